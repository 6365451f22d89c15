//! `colearn data`, and checking that a sweep fits its data sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use colearn_core::{
    settings::{DataShape, SettingsError, schema::field},
    sweep::{Configuration, Sweep},
    table::ResultsTable,
    text::counted_len,
};
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
        DataCommand::Inspect { file, data_dir, json } => {
            // As in a sweep file: a bare name is looked up in the data folder. What is there goes first.
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

/// Opens every data set of `sweep`, checks that it can be trained on, and returns them by name.
///
/// # Errors
/// Naming the data set, and everything in the sweep that does not fit it.
pub(crate) fn check_data(sweep: &Sweep, data_dir: &Path) -> Result<BTreeMap<String, Dataset>, Failure> {
    let mut opened: BTreeMap<String, Dataset> = BTreeMap::new();
    for name in names(sweep) {
        let path = resolve(name, data_dir);
        let dataset = Dataset::open(&path).map_err(|error| {
            let advice = if name.starts_with('~') {
                "; `~` means the home folder to shells alone: write the path out"
            } else {
                ""
            };
            Failure::new(Exit::DataSet, format!("{error}{advice}"))
        })?;
        for warning in dataset.warnings() {
            errln!("warning: {}: {warning}", path.display());
        }
        opened.insert(name.to_owned(), dataset);
    }
    check_fit(sweep, &opened)?;
    Ok(opened)
}

/// Checks a sweep against those of its data sets that are in the data folder here, and says which are not: they are where
/// the workers are.
///
/// # Errors
/// Naming the data set, and everything in the sweep that does not fit it.
pub(crate) fn check_data_that_is_here(sweep: &Sweep, data_dir: &Path) -> Result<(), Failure> {
    let mut opened = BTreeMap::new();
    for name in names(sweep) {
        let path = resolve(name, data_dir);
        if !path.exists() {
            errln!(
                "note: {} is not here, so the settings were not checked against the data (--data-dir)",
                path.display()
            );
            continue;
        }
        let dataset = Dataset::open(&path).map_err(|error| Failure::new(Exit::DataSet, error))?;
        opened.insert(name.to_owned(), dataset);
    }
    check_fit(sweep, &opened)
}

fn names(sweep: &Sweep) -> BTreeSet<&str> {
    sweep.configurations.iter().map(|configuration| configuration.settings.dataset.as_str()).collect()
}

/// Checks every configuration against its data set, if that is open.
fn check_fit(sweep: &Sweep, opened: &BTreeMap<String, Dataset>) -> Result<(), Failure> {
    let shapes: BTreeMap<&str, DataShape> =
        opened.iter().map(|(name, dataset)| (name.as_str(), shape(dataset))).collect();
    let mut mistakes: Vec<(String, usize)> = Vec::new();
    for configuration in &sweep.configurations {
        let settings = &configuration.settings;
        let Some(shape) = shapes.get(settings.dataset.as_str()) else { continue };
        let fits = check_written_modalities(configuration, shape).and_then(|()| settings.fits(shape));
        let Err(mistake) = fits.map_err(|error| error.to_string()) else { continue };
        match mistakes.iter_mut().find(|(text, _)| *text == mistake) {
            Some((_, times)) => *times += 1,
            None => mistakes.push((mistake, 1)),
        }
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    let all = sweep.configurations.len();
    let line = |(mistake, times): (String, usize)| match times {
        times if times == all => mistake,
        times => format!("{mistake} (in {times} of {})", counted_len(all, "configuration")),
    };
    let lines: Vec<String> = mistakes.into_iter().map(line).collect();
    Err(Failure::new(Exit::DataSet, lines.join("\n")))
}

fn shape(dataset: &Dataset) -> DataShape {
    DataShape {
        name: format!("the data set {}", dataset.path().display()),
        modalities: dataset.modalities().iter().map(|modality| modality.name.clone()).collect(),
        train_samples: dataset.split(Split::Train).len(),
    }
}

/// Checks that the data set has every modality that a configuration's parameters name. What makes no difference,
/// such as a dropout of zero, is not among the settings, but a name that is not there is a mistake at any level.
fn check_written_modalities(configuration: &Configuration, data: &DataShape) -> Result<(), SettingsError> {
    for path in configuration.values.keys() {
        let Some(field) = field(path) else { continue };
        if let (Some(key), Some(name)) = (field.by_modality(), field.modality(path)) {
            data.modality(key.trim_end_matches('.'), name)?;
        }
    }
    Ok(())
}

/// Refuses to continue a sweep on other data than its recorded results were trained on.
///
/// # Errors
/// Naming the data set that was changed.
pub(crate) fn check_same_data(
    table: &ResultsTable,
    datasets: &BTreeMap<String, Dataset>,
) -> Result<(), Failure> {
    for (name, recorded) in &table.data_digests {
        let Some(dataset) = datasets.get(name) else { continue };
        let digest = dataset.digest();
        if let Some(other) = recorded.iter().find(|recorded| *recorded != digest) {
            return Err(Failure::new(
                Exit::DataSet,
                format!(
                    "results of sweep {} were recorded on another version of {} (sha256 {:.12}..., now {digest:.12}...): put that file back, or start over under another name or with another --state",
                    table.sweep,
                    dataset.path().display(),
                    other
                ),
            ));
        }
    }
    Ok(())
}
