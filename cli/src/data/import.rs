//! `colearn data import`: a data set of arrays and tables.

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
    let names: Vec<&str> = written.modalities().iter().map(|modality| modality.name.as_str()).collect();
    outln!(
        "\nin a sweep file: `dataset: {}` and `primary:` one of {}",
        arguments.out.display(),
        names.join(", ")
    );
    Ok(Exit::Success)
}
