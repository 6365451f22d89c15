//! `colearn data import`: a data set of arrays and tables.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use colearn_core::text::printable_lines;
use colearn_data_format::{Dataset, NewDataset, Split, inspect::Summary, write};
use colearn_data_import::{Imported, Request, import, import_each};

use crate::{
    args::ImportArgs,
    exit::{Exit, Failure, Outcome},
    init::scalar,
};

pub(crate) fn run(arguments: &ImportArgs) -> Outcome {
    let request = arguments.request();
    if arguments.all_folds() {
        return all_folds(arguments, &request);
    }
    let Imported { dataset, notes, warnings } =
        import(&request).map_err(|mistakes| Failure::invalid_import(&mistakes))?;
    for note in notes {
        outln!("{}", printable_lines(note));
    }
    for warning in warnings {
        noteln!("warning: {}", printable_lines(warning));
    }
    let written = put(&arguments.out, &dataset)?;
    out!("\nwrote {}", Summary::new(&written));
    outln!("\nnext: `colearn init {}` writes a sweep file for it", dataset_name(&arguments.out));
    Ok(Exit::Success)
}

/// Writes every fold to a file of its own. Equal notes and warnings are printed once.
fn all_folds(arguments: &ImportArgs, request: &Request) -> Outcome {
    let folds = import_each(request, request.division.all_folds())
        .map_err(|mistakes| Failure::invalid_import(&mistakes))?;
    let mut said = HashSet::new();
    let mut names = Vec::new();
    for (fold, Imported { dataset, notes, warnings }) in folds.enumerate() {
        for note in notes {
            if said.insert(note.clone()) {
                outln!("{}", printable_lines(note));
            }
        }
        for warning in warnings {
            if said.insert(warning.clone()) {
                noteln!("warning: {}", printable_lines(warning));
            }
        }
        let file = fold_file(&arguments.out, fold);
        let written = put(&file, &dataset)?;
        let splits = Split::ALL.map(|split| format!("{} {split}", written.split(split).len()));
        outln!("wrote {}: {}", file.display(), splits.join(", "));
        names.push(scalar(&dataset_name(&file)));
    }
    outln!(
        "\nnext: `colearn init {}` writes a sweep file; to average over the folds, add to it:\n  parameters: {{dataset: [{}]}}\n  report: {{replicates: [dataset]}}",
        dataset_name(&fold_file(&arguments.out, 0)),
        names.join(", ")
    );
    Ok(Exit::Success)
}

fn put(file: &Path, dataset: &NewDataset) -> Result<Dataset, Failure> {
    write(file, dataset).map_err(|error| Failure::new(Exit::DataSet, error))?;
    Dataset::open(file).map_err(|error| Failure::new(Exit::DataSet, error))
}

/// The file of a fold: `-fold0` before the ending.
fn fold_file(out: &Path, fold: usize) -> PathBuf {
    let mut name = out.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-fold{fold}"));
    if let Some(ending) = out.extension() {
        name.push(".");
        name.push(ending);
    }
    out.with_file_name(name)
}

/// The data set as sweep files name it: without folder and ending if it is in the default data folder.
fn dataset_name(file: &Path) -> String {
    let in_data_folder =
        file.parent() == Some(Path::new("data")) && file.extension() == Some("safetensors".as_ref());
    match file.file_stem() {
        Some(stem) if in_data_folder => stem.to_string_lossy().into_owned(),
        // A path without a folder and an ending would be looked up in the data folder.
        _ if file.parent() == Some(Path::new("")) => format!("./{}", file.display()),
        _ => file.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_is_named_as_in_sweep_files() {
        for (file, name) in [
            ("data/mine.safetensors", "mine"),
            ("data/mine", "data/mine"),
            ("mine.safetensors", "./mine.safetensors"),
            ("/srv/mine.safetensors", "/srv/mine.safetensors"),
        ] {
            assert_eq!(dataset_name(Path::new(file)), name);
        }
    }

    #[test]
    fn a_fold_is_named_before_the_ending() {
        for (out, file) in [
            ("data/mine.safetensors", "data/mine-fold3.safetensors"),
            ("mine.v2.safetensors", "mine.v2-fold3.safetensors"),
            ("/srv/mine", "/srv/mine-fold3"),
        ] {
            assert_eq!(fold_file(Path::new(out), 3), Path::new(file));
        }
    }
}
