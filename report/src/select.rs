//! Chooses the columns, metrics and rows of a table.

use std::{cmp::Ordering, collections::BTreeMap};

use colearn_core::{
    sweep::did_you_mean,
    table::{ConfigurationRow, ResultsTable},
};
use serde_json::Value;

use crate::cells::{all_metrics, metric_heading, setting_columns};

/// What is shown of a table, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The settings, by their paths or the ends of these; `None` for those that distinguish the rows.
    pub columns: Option<Vec<String>>,
    /// The metrics; empty for those of the sweep file.
    pub metrics: Vec<String>,
    /// A metric, of which the best comes first, or a setting, of which the lowest comes first; after `-` the other way.
    pub sort: Option<String>,
    /// The number of rows. Baselines are always shown: the verdicts are about them.
    pub top: Option<usize>,
}

/// A name that the table does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {noun} `{name}` in these results; {known}")]
pub struct UnknownName {
    noun: &'static str,
    name: String,
    known: String,
}

impl Selection {
    /// Applies the selection. Returns the number of rows that are left out.
    ///
    /// # Errors
    /// If a setting or a metric is unknown; the error lists the known ones.
    pub fn apply(&self, table: &mut ResultsTable) -> Result<usize, UnknownName> {
        let metrics = self.metrics.iter().map(|name| metric(table, name)).collect::<Result<Vec<_>, _>>()?;
        let columns = self.columns.as_ref().map(|names| {
            names.iter().map(|name| setting(table, name, "setting")).collect::<Result<Vec<_>, _>>()
        });
        if let Some(sort) = &self.sort {
            sort_rows(table, sort)?;
        }
        if !metrics.is_empty() {
            table.metrics = metrics;
        }
        if let Some(columns) = columns.transpose()? {
            for row in &mut table.configurations {
                let flat = row.settings.flat();
                let value = |path: &String| row.values.get(path).or_else(|| flat.get(path)).cloned();
                let values: BTreeMap<_, _> =
                    columns.iter().filter_map(|it| Some((it.clone(), value(it)?))).collect();
                row.values = values.into();
            }
            table.parameters = columns;
        }
        let all = table.configurations.len();
        let mut place = 0;
        table.configurations.retain(|row| {
            place += 1;
            row.baseline || self.top.is_none_or(|top| place <= top)
        });
        Ok(all - table.configurations.len())
    }
}

/// The rows of a table that are shown where all would be too many, and how they were picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leading {
    /// Their positions in the table.
    pub rows: Vec<usize>,
    /// What they are, such as `the 40 best by valid/accuracy, and the baseline`.
    pub what: String,
}

/// The first rows of a table, and its only baseline. The first ones are those with the best means of the metric of
/// choice, the best one first; without such a metric, or if somebody has `sorted` the table, those that are first in it.
#[must_use]
pub fn leading(table: &ResultsTable, most: usize, sorted: bool) -> Leading {
    let mut rows: Vec<usize> = (0..table.configurations.len()).collect();
    // Without a best row some have no mean of the metric.
    let by = table.choose_by.as_deref().filter(|_| !sorted && table.best.is_some());
    if let Some(by) = by {
        let direction = table.direction(by);
        let score = |at: usize| {
            let row = table.configurations.get(at)?;
            row.metrics.get(by).map(|it| direction.score(it.mean))
        };
        let scores: Vec<Option<f64>> = rows.iter().map(|at| score(*at)).collect();
        let of = |at: &usize| scores.get(*at).copied().flatten();
        rows.sort_by(|left, right| {
            known_first(of(left), of(right), |left: &f64, right: &f64| right.total_cmp(left))
        });
    }
    rows.truncate(most);
    let mut what = match by {
        Some(by) => format!("the {} best by {}", rows.len(), metric_heading(table, by)),
        None => format!("the first {}", rows.len()),
    };
    let only = table.baseline().map(|row| row.id);
    let baseline = table.configurations.iter().position(|row| Some(row.id) == only);
    if let Some(baseline) = baseline.filter(|at| !rows.contains(at)) {
        rows.push(baseline);
        what += ", and the baseline";
    }
    Leading { rows, what }
}

fn metric(table: &ResultsTable, name: &str) -> Result<String, UnknownName> {
    let known = all_metrics(table);
    if known.iter().any(|it| it == name) {
        return Ok(name.to_owned());
    }
    Err(unknown("metric", name, &known))
}

/// The path of a setting that is named by it or by its end.
fn setting(table: &ResultsTable, name: &str, noun: &'static str) -> Result<String, UnknownName> {
    let mut known = setting_columns(table);
    let settings = table.configurations.iter().flat_map(|row| row.settings.flat().into_keys());
    for path in settings {
        if !known.contains(&path) {
            known.push(path);
        }
    }
    let ends = |path: &&String| path.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let found = known.iter().find(|path| *path == name).or_else(|| known.iter().find(ends));
    found.cloned().ok_or_else(|| unknown(noun, name, &known))
}

fn unknown(noun: &'static str, name: &str, known: &[String]) -> UnknownName {
    let like =
        did_you_mean(name, known.iter().map(String::as_str)).map(|like| like + " ").unwrap_or_default();
    UnknownName { noun, name: name.to_owned(), known: format!("{like}known are {}", known.join(", ")) }
}

fn sort_rows(table: &mut ResultsTable, by: &str) -> Result<(), UnknownName> {
    let (name, reversed) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
    let turned = |order: Ordering| if reversed { order.reverse() } else { order };
    if all_metrics(table).iter().any(|it| it == name) {
        let direction = table.direction(name);
        let score = |row: &ConfigurationRow| row.metrics.get(name).map(|it| direction.score(it.mean));
        let order = |left: &f64, right: &f64| turned(right.total_cmp(left));
        table.configurations.sort_by(|left, right| known_first(score(left), score(right), order));
        return Ok(());
    }
    let path = setting(table, name, "metric or setting").map_err(|mut unknown| {
        unknown.known += &format!("; metrics: {}", all_metrics(table).join(", "));
        unknown
    })?;
    let value = |row: &ConfigurationRow| row.values.get(&path).cloned().or(row.settings.flat().remove(&path));
    let order = |left: &Value, right: &Value| turned(compared(left, right));
    table.configurations.sort_by(|left, right| known_first(value(left), value(right), order));
    Ok(())
}

/// Rows without a value come last in either order.
fn known_first<T>(left: Option<T>, right: Option<T>, order: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => order(&left, &right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}

/// Numbers in their order, then other values in that of their text.
fn compared(left: &Value, right: &Value) -> Ordering {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.to_string().cmp(&right.to_string()),
    }
}
