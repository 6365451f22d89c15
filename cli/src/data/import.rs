//! `colearn data import`: a data set of arrays and tables.

use std::path::Path;

use colearn_core::text::printable_lines;
use colearn_data_format::{Dataset, inspect::Summary, write};
use colearn_data_import::{Imported, import};

use crate::{
    args::ImportArgs,
    exit::{Exit, Failure, Outcome},
};

pub(crate) fn run(arguments: &ImportArgs) -> Outcome {
    let request = arguments.request();
    let Imported { dataset, notes, warnings } =
        import(&request).map_err(|mistakes| Failure::invalid_import(&mistakes))?;
    for note in notes {
        outln!("{}", printable_lines(note));
    }
    for warning in warnings {
        errln!("warning: {}", printable_lines(warning));
    }
    write(&arguments.out, &dataset).map_err(|error| Failure::new(Exit::DataSet, error))?;
    let written = Dataset::open(&arguments.out).map_err(|error| Failure::new(Exit::DataSet, error))?;
    out!("\nwrote {}", Summary::new(&written));
    outln!("\nnext: `colearn init {}` writes a sweep file for it", dataset_name(&arguments.out));
    Ok(Exit::Success)
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
}
