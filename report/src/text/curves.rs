//! The values of all epochs as comma-separated values.

use std::collections::BTreeSet;

use super::csv::{digits, plain_text, written};
use crate::report_data::Material;

/// The columns that are no curves.
const FIXED: [&str; 3] = ["id", "seed", "epoch"];

/// One record for each epoch of each result: the id of the configuration, the seed, the epoch, and the value of every
/// curve. `None` if no result has any.
pub(crate) fn curves(material: &Material) -> Option<String> {
    let records = material.done().flat_map(|result| &result.history);
    let names: BTreeSet<&String> = records.flat_map(|record| record.values.keys()).collect();
    if names.is_empty() {
        return None;
    }
    let heading = |name: &&String| match FIXED.contains(&name.as_str()) {
        true => format!("curve.{name}"),
        false => plain_text(name),
    };
    let heading = FIXED.map(str::to_owned).into_iter().chain(names.iter().map(heading)).collect();
    let records = material.sweep.configurations.iter().flat_map(|configuration| {
        let results = material.results(configuration.id);
        let names = &names;
        results.into_iter().flat_map(move |(seed, result)| {
            result.history.iter().map(move |record| {
                let mut cells =
                    vec![configuration.id.to_string(), seed.to_string(), record.epoch.to_string()];
                cells.extend(names.iter().map(|name| record.get(name).map(digits).unwrap_or_default()));
                cells
            })
        })
    });
    Some(written(std::iter::once(heading).chain(records)))
}
