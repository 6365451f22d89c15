//! `colearn report NAME`: a folder with a page, tables and charts.

use std::path::Path;

use colearn_core::{sweep::Sweep, text::counted_len};
use colearn_report::{Provenance, Reference};

use crate::{
    args::ReportArgs,
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    plan::parse_file,
    remote::{History, failure_note, get_sweep, moment, own_provenance, receive_results, warn_anyway},
};

/// Fetches the available results and writes the report.
pub(crate) async fn report(arguments: &ReportArgs) -> Outcome {
    let mut connection = Connection::open_to_look(&arguments.target).await?;
    // First what is small: the coordinator lets go of a settled sweep with its results.
    let response = get_sweep(&mut connection.sweeps, arguments.name.as_str(), Some(1)).await?;
    let received =
        receive_results(&mut connection.sweeps, arguments.name.as_str(), History::Included).await?;
    connection.close().await;
    let fetched = received.averaged();
    warn_anyway(&fetched);

    let reference = match &arguments.sweep_file {
        Some(file) => reference_of_file(&fetched.sweep, file)?,
        None => reference_from_here(&fetched.sweep)?,
    };
    if let Some(reference) = &reference {
        let matched =
            reference.beside(&fetched.table).map_err(|error| Failure::new(Exit::SweepFile, error))?;
        for warning in matched.warnings {
            noteln!("warning: {warning}");
        }
    }
    let out = arguments.out.clone().unwrap_or_else(|| Path::new("reports").join(fetched.sweep.name.as_str()));
    let missing: usize = fetched.table.configurations.iter().map(|row| row.expected - row.n).sum();
    let (mut material, table) = fetched.into_material(Provenance {
        sweep_file: arguments.sweep_file.as_ref().map(|file| file.display().to_string()),
        submitted_at: response.sweep.map(|sweep| moment(sweep.submitted_at)),
        made_at: Some(moment(jiff::Timestamp::now().as_millisecond())),
        ..own_provenance()
    });
    material.reference = reference;
    // Attempts that were tried again are part of the sweep's state; the others are part of the results.
    let again = response.failures.into_iter().filter(|failed| !failed.r#final);
    material.failures.extend(again.filter_map(|failed| failure_note(failed).ok()));
    let page =
        colearn_report::write(&material, &table, &out).map_err(|error| Failure::new(Exit::Failure, error))?;
    if missing > 0 {
        noteln!("{} missing; the report shows which", counted_len(missing, "result"));
    }
    outln!("{}", page.display());
    Ok(Exit::Success)
}

/// The published means that the sweep file names. The current file takes precedence over the submitted one: the
/// display of results may change after they are recorded.
fn reference_of_file(sweep: &Sweep, file: &Path) -> Result<Option<Reference>, Failure> {
    let (_, parsed) = parse_file(file)?;
    if parsed.sweep.name != sweep.name {
        return Err(Failure::new(
            Exit::SweepFile,
            format!(
                "`{}` is the sweep `{}`, not `{}`; name the file that this sweep was submitted from",
                file.display(),
                parsed.sweep.name,
                sweep.name
            ),
        ));
    }
    let Some(reference) = parsed.sweep.report.reference else { return Ok(None) };
    let path = file.parent().unwrap_or(Path::new("")).join(reference);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(Exit::SweepFile, format!("cannot read the reference `{}`: {error}", path.display()))
    })?;
    parse_reference(sweep, &text, &path).map(Some)
}

/// The published means that the submitted sweep names, if their file is found relative to the current folder. It may
/// be missing: the report may be made on another machine.
fn reference_from_here(sweep: &Sweep) -> Result<Option<Reference>, Failure> {
    let Some(reference) = &sweep.report.reference else { return Ok(None) };
    let path = Path::new(reference);
    match std::fs::read_to_string(path) {
        Ok(text) => parse_reference(sweep, &text, path).map(Some),
        Err(error) => {
            noteln!(
                "warning: the published means are left out: cannot read `{}`: {error}; the path is relative to the sweep file, so name that with --sweep-file",
                path.display()
            );
            Ok(None)
        }
    }
}

fn parse_reference(sweep: &Sweep, text: &str, path: &Path) -> Result<Reference, Failure> {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |it| it.to_string_lossy().into());
    Reference::parse_for(sweep, text, &name).map_err(|error| Failure::new(Exit::SweepFile, error))
}
