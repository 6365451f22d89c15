//! `colearn data`, and the check whether a sweep fits its data sets.

mod import;

use std::{collections::BTreeMap, path::Path};

use colearn_core::{settings::DataShape, sweep::Sweep, table::ResultsTable};
use colearn_data_format::{Dataset, Split, generate, inspect::Summary, resolve, write};

use crate::{
    args::DataCommand,
    exit::{Exit, Failure, Outcome},
};

/// Runs a `colearn data` command.
pub(crate) fn data(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Generate { out, seed } => {
            let options = generate::DemoOptions { seed: *seed, ..generate::DemoOptions::default() };
            if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(|error| {
                    Failure::new(
                        Exit::DataSet,
                        format!("cannot make the folder `{}`: {error}", folder.display()),
                    )
                })?;
            }
            let dataset = generate::demo(&options).map_err(|error| Failure::new(Exit::DataSet, error))?;
            write(out, &dataset).map_err(|error| Failure::new(Exit::DataSet, error))?;
            outln!("wrote {} (generated, seed {seed})", out.display());
        }
        DataCommand::Import(arguments) => return import::run(arguments),
        DataCommand::Inspect { file, data_dir, json } => {
            // As in a sweep file, a bare name is looked up in the data folder. An existing file takes precedence.
            let path = if file.is_file() { file.clone() } else { resolve(&file.to_string_lossy(), data_dir) };
            let dataset = Dataset::open(&path).map_err(|error| Failure::new(Exit::DataSet, error))?;
            let summary = Summary::new(&dataset);
            if *json {
                let text = serde_json::to_string_pretty(&summary)
                    .map_err(|error| Failure::new(Exit::Failure, error))?;
                outln!("{text}");
            } else {
                out!("{summary}");
            }
        }
    }
    Ok(Exit::Success)
}

/// Opens all data sets of `sweep`, checks that they fit, and returns them by name.
///
/// # Errors
/// Names the data set, and everything in the sweep that does not fit it.
pub(crate) fn check_data(sweep: &Sweep, data_dir: &Path) -> Result<BTreeMap<String, Dataset>, Failure> {
    let mut opened: BTreeMap<String, Dataset> = BTreeMap::new();
    for name in sweep.data_sets() {
        let path = resolve(name, data_dir);
        let dataset = Dataset::open(&path).map_err(|error| {
            let advice = if name.starts_with('~') {
                "; only shells replace `~` by the home folder: write the path out"
            } else {
                ""
            };
            Failure::new(Exit::DataSet, format!("{error}{advice}"))
        })?;
        for warning in dataset.warnings() {
            noteln!("warning: {}: {warning}", path.display());
        }
        opened.insert(name.to_owned(), dataset);
    }
    check_fit(sweep, &opened)?;
    Ok(opened)
}

/// Checks a sweep against those of its data sets that exist on this machine, and prints the names of the others, which
/// only the workers have. Returns those that are here, by name.
///
/// # Errors
/// Names the data set, and everything in the sweep that does not fit it.
pub(crate) fn check_data_that_is_here(
    sweep: &Sweep,
    data_dir: &Path,
) -> Result<BTreeMap<String, DataShape>, Failure> {
    let mut opened = BTreeMap::new();
    for name in sweep.data_sets() {
        let path = resolve(name, data_dir);
        if !path.exists() {
            noteln!(
                "note: {} is not here, so the settings were not checked against the data (--data-dir)",
                path.display()
            );
            continue;
        }
        let dataset = Dataset::open(&path).map_err(|error| Failure::new(Exit::DataSet, error))?;
        opened.insert(name.to_owned(), dataset);
    }
    check_fit(sweep, &opened)?;
    Ok(opened.into_iter().map(|(name, dataset)| (name, shape(&dataset))).collect())
}

/// Checks every configuration against its data set, if it is open.
fn check_fit(sweep: &Sweep, opened: &BTreeMap<String, Dataset>) -> Result<(), Failure> {
    let mistakes: Vec<String> =
        opened.iter().flat_map(|(name, dataset)| sweep.misfits(name, &shape(dataset))).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::new(Exit::DataSet, mistakes.join("\n"))) }
}

fn shape(dataset: &Dataset) -> DataShape {
    DataShape {
        name: format!("the data set {}", dataset.path().display()),
        modalities: dataset.modalities().iter().map(|modality| modality.name.clone()).collect(),
        train_samples: dataset.split(Split::Train).len(),
    }
}

/// Refuses to continue a sweep with other data than that of its recorded results.
///
/// # Errors
/// Names the changed data set.
pub(crate) fn check_same_data(
    table: &ResultsTable,
    datasets: &BTreeMap<String, Dataset>,
    file: &Path,
) -> Result<(), Failure> {
    for (name, recorded) in &table.data_digests {
        let Some(dataset) = datasets.get(name) else { continue };
        let digest = dataset.digest();
        if let Some(other) = recorded.iter().find(|recorded| *recorded != digest) {
            return Err(Failure::new(
                Exit::DataSet,
                format!(
                    "results of sweep {} were recorded on another version of {} (sha256 {:.12}..., now {digest:.12}...): restore that file, or start over: colearn run {} --name {}-2 (to keep the old results), or --replace (without them)",
                    table.sweep,
                    dataset.path().display(),
                    other,
                    file.display(),
                    table.sweep
                ),
            ));
        }
    }
    Ok(())
}
