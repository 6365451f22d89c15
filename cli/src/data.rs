//! `colearn data`, and checking that a sweep fits its data sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use colearn_core::sweep::Sweep;
use colearn_data_format::{Dataset, generate, inspect::Summary, resolve, write};

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
            println!("wrote {} (generated, seed {seed})", out.display());
        }
        DataCommand::Inspect { file, json } => {
            let dataset = Dataset::open(file).map_err(|error| Failure::new(Exit::DataSet, error))?;
            let summary = Summary::new(&dataset);
            if *json {
                let text = serde_json::to_string_pretty(&summary)
                    .map_err(|error| Failure::new(Exit::Failure, error))?;
                println!("{text}");
            } else {
                print!("{summary}");
            }
        }
    }
    Ok(Exit::Success)
}

/// Opens every data set of `sweep` and checks that its modalities are there.
///
/// # Errors
/// Naming the data set and what it lacks.
pub(crate) fn check_data(sweep: &Sweep, data_dir: &Path) -> Result<(), Failure> {
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for configuration in &sweep.configurations {
        let settings = &configuration.settings;
        let modalities = wanted.entry(&settings.dataset).or_default();
        modalities.insert(&settings.primary);
        modalities.extend(settings.modality_dropout.keys().map(String::as_str));
    }
    for (name, modalities) in wanted {
        let path = resolve(name, data_dir);
        let dataset = Dataset::open(&path).map_err(|error| Failure::new(Exit::DataSet, error))?;
        let there: Vec<&str> = dataset.modalities().iter().map(|modality| modality.name.as_str()).collect();
        for modality in modalities {
            if !there.contains(&modality) {
                return Err(Failure::new(
                    Exit::DataSet,
                    format!(
                        "the sweep names the modality `{modality}`, which the data set {} does not have; it has: {}",
                        path.display(),
                        there.join(", ")
                    ),
                ));
            }
        }
        for warning in dataset.warnings() {
            eprintln!("warning: {}: {warning}", path.display());
        }
    }
    Ok(())
}
