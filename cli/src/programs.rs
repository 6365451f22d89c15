//! The files of programs that sweeps run, as this command sees them.

use std::collections::{BTreeMap, HashMap};

use colearn_core::{settings::ProgramSettings, sweep::Sweep};
use colearn_runner::files_digest;

use crate::exit::{Exit, Failure};

/// The digests of the files of a sweep's programs, by name. Those without files are left out.
///
/// # Errors
/// If the folder of a program or one of its files is missing.
pub(crate) fn digests(sweep: &Sweep) -> Result<HashMap<String, String>, Failure> {
    let mut digests = HashMap::new();
    for (name, program) in programs(sweep) {
        let digest = files_digest(program).map_err(|error| Failure::new(Exit::DataSet, error))?;
        if !digest.is_empty() {
            digests.insert(name, digest);
        }
    }
    Ok(digests)
}

/// The same for a sweep that runs elsewhere: programs that are not here are left out, and said to be.
pub(crate) fn digests_that_are_here(sweep: &Sweep) -> HashMap<String, String> {
    digests(sweep).unwrap_or_else(|failure| {
        errln!("note: {failure}; the program was not checked, it has to be on the workers");
        HashMap::new()
    })
}

fn programs(sweep: &Sweep) -> BTreeMap<String, &ProgramSettings> {
    let programs = sweep.configurations.iter().filter_map(|configuration| configuration.settings.program());
    programs.map(|program| (program.name(), program)).collect()
}
