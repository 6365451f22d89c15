//! `colearn data`, and checking that a sweep fits its data sets.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use colearn_core::{
    settings::{TaskSettings, schema::field},
    sweep::{Configuration, Sweep, did_you_mean},
    table::ResultsTable,
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
            say!("wrote {} (generated, seed {seed})", out.display());
        }
        DataCommand::Inspect { file, data_dir, json } => {
            // As in a sweep file: a bare name is looked up in the data folder. What is there goes first.
            let path = if file.is_file() { file.clone() } else { resolve(&file.to_string_lossy(), data_dir) };
            let dataset = Dataset::open(&path).map_err(|error| Failure::new(Exit::DataSet, error))?;
            let summary = Summary::new(&dataset);
            if *json {
                let text = serde_json::to_string_pretty(&summary)
                    .map_err(|error| Failure::new(Exit::Failure, error))?;
                say!("{text}");
            } else {
                show!("{summary}");
            }
        }
    }
    Ok(Exit::Success)
}

/// Opens every data set of `sweep`, checks that it can be trained on, and returns them by name.
///
/// # Errors
/// Naming the data set and what it lacks.
pub(crate) fn check_data(sweep: &Sweep, data_dir: &Path) -> Result<BTreeMap<String, Dataset>, Failure> {
    let mut opened: BTreeMap<String, Dataset> = BTreeMap::new();
    for configuration in &sweep.configurations {
        let settings = &configuration.settings;
        let dataset = match opened.entry(settings.dataset.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let path = resolve(&settings.dataset, data_dir);
                let dataset = Dataset::open(&path).map_err(|error| {
                    let advice = if settings.dataset.starts_with('~') {
                        "; `~` means the home folder to shells alone: write the path out"
                    } else {
                        ""
                    };
                    Failure::new(Exit::DataSet, format!("{error}{advice}"))
                })?;
                for warning in dataset.warnings() {
                    tell!("warning: {}: {warning}", path.display());
                }
                entry.insert(dataset)
            }
        };
        check_modalities(configuration, dataset)?;
        check_settings(settings, dataset)?;
    }
    Ok(opened)
}

/// Checks that the data set has every modality that a configuration names. What makes no difference, such as a
/// dropout of zero, is not among the settings, but a name that is not there is a mistake at any level.
fn check_modalities(configuration: &Configuration, dataset: &Dataset) -> Result<(), Failure> {
    let settings = &configuration.settings;
    let there = || dataset.modalities().iter().map(|modality| modality.name.as_str());
    let written = configuration.values.keys().filter_map(|path| {
        let field = field(path)?;
        Some((field.by_modality()?.trim_end_matches('.'), field.modality(path)?))
    });
    for (key, name) in settings.modalities_named().chain(written) {
        if !there().any(|modality| modality == name) {
            let advice = did_you_mean(name, there()).map_or_else(String::new, |advice| format!("; {advice}"));
            return Err(Failure::new(
                Exit::DataSet,
                format!(
                    "`{key}` names the modality `{name}`, which the data set {} does not have; it has: {}{advice}",
                    dataset.path().display(),
                    there().collect::<Vec<_>>().join(", ")
                ),
            ));
        }
    }
    Ok(())
}

/// Checks that a configuration can be trained on its data set.
fn check_settings(settings: &TaskSettings, dataset: &Dataset) -> Result<(), Failure> {
    let path = dataset.path().display();
    let unfit = |message: String| Err(Failure::new(Exit::DataSet, message));
    let samples = dataset.split(Split::Train).len();
    if settings.training.drop_last && settings.training.batch_size as usize > samples {
        return unfit(format!(
            "training.batch_size is {}, but the training split of {path} has {samples} samples; choose a smaller batch, or set training.drop_last to false",
            settings.training.batch_size
        ));
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
