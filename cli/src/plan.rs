//! `colearn plan FILE`, and reading sweep files in general.

use std::path::Path;

use colearn_core::sweep::{Parsed, Plan, Sweep};

use crate::{
    args::{PlanArgs, folder_of, origin_of},
    data::check_data_that_is_here,
    exit::{Exit, Failure, Outcome},
    programs,
    remote::read_sweep_file,
};

/// Shows what a sweep file expands to.
pub(crate) fn plan(arguments: &PlanArgs) -> Outcome {
    let (_, parsed) = parse_file(&arguments.file)?;
    let data = check_data_that_is_here(&parsed.sweep, &arguments.data_dir)?;
    programs::digests_that_are_here(&parsed.sweep);
    let plan = Plan::of(&parsed, arguments.first).with_data(&parsed.sweep, &data);
    if arguments.json {
        let text = serde_json::to_string_pretty(&plan).map_err(|error| Failure::new(Exit::Failure, error))?;
        outln!("{text}");
    } else {
        outln!("{plan}");
        if let Some(files) = programs::recorded(&parsed.sweep) {
            outln!("files of the program: {files}");
        }
    }
    Ok(Exit::Success)
}

/// Reads and validates a sweep file; warnings are printed.
///
/// # Errors
/// Returns all diagnostics if the file cannot be read or is not valid.
pub(crate) fn parse_file(file: &Path) -> Result<(String, Parsed), Failure> {
    let source = read_sweep_file(file)?;
    let parsed = Sweep::parse_in(&source, &origin_of(file), &folder_of(file))
        .map_err(|diagnostics| Failure::invalid_sweep(&diagnostics))?;
    for warning in &parsed.warnings {
        noteln!("{warning}");
    }
    Ok((source, parsed))
}

/// Runs `colearn schema`.
pub(crate) fn schema() -> Outcome {
    outln!("{:#}", colearn_core::sweep::json_schema());
    Ok(Exit::Success)
}

/// Runs `colearn settings`.
pub(crate) fn settings() -> Outcome {
    out!("{}", colearn_core::sweep::reference());
    Ok(Exit::Success)
}
