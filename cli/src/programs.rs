//! The files of programs that sweeps run, as this command sees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use colearn_core::{settings::ProgramSettings, sweep::Sweep};
use colearn_runner::{file_names, files_digest, missing_scripts};

use crate::exit::{Exit, Failure};

/// Maximum number of files that are named.
const MAX_SHOWN: usize = 8;

/// The digests of the files of a sweep's programs, by name. Those without files are left out.
///
/// # Errors
/// If the folder of a program or one of its files is missing.
pub(crate) fn digests(sweep: &Sweep) -> Result<HashMap<String, String>, Failure> {
    let mut digests = HashMap::new();
    for (name, program) in programs(sweep) {
        let digest = files_digest(program).map_err(|error| Failure::new(Exit::DataSet, error))?;
        for script in missing_scripts(program) {
            noteln!(
                "warning: the command of the program names `{script}`, which is not in {}",
                program.directory
            );
        }
        if !digest.is_empty() {
            digests.insert(name, digest);
        }
    }
    Ok(digests)
}

/// The same for a sweep that runs elsewhere: programs that are not here are left out, and said to be.
pub(crate) fn digests_that_are_here(sweep: &Sweep) -> HashMap<String, String> {
    digests(sweep).unwrap_or_else(|failure| {
        noteln!("note: {failure}; the program was not checked, it has to be on the workers");
        HashMap::new()
    })
}

/// The files that are recorded with every result of a sweep, for people; `None` for a sweep of networks.
pub(crate) fn recorded(sweep: &Sweep) -> Option<String> {
    let programs = programs(sweep);
    let names: BTreeSet<String> =
        programs.values().filter_map(|program| file_names(program).ok()).flatten().collect();
    if programs.is_empty() {
        return None;
    }
    if names.is_empty() {
        return Some("none: a changed program is not noticed; name its files in program.files".to_owned());
    }
    let more = names.len().saturating_sub(MAX_SHOWN);
    let shown: Vec<String> = names.into_iter().take(MAX_SHOWN).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "{}{more} (what a script imports is not followed: name it in program.files)",
        shown.join(", ")
    ))
}

fn programs(sweep: &Sweep) -> BTreeMap<String, &ProgramSettings> {
    let programs = sweep.configurations.iter().filter_map(|configuration| configuration.settings.program());
    programs.map(|program| (program.name(), program)).collect()
}
