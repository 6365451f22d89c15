//! `colearn db`: checks and copies the database of a coordinator.

use colearn_coordinator::store::{self, CheckReport, StoreError};
use colearn_core::text::counted;

use crate::{
    args::DbCommand,
    exit::{Exit, Failure, Outcome},
};

/// `colearn db check` and `colearn db backup`.
pub(crate) async fn db(command: &DbCommand) -> Outcome {
    match command {
        DbCommand::Check { state } => {
            let report = store::check(state).await.map_err(|error| failure(&error))?;
            let CheckReport { sweeps, tasks, entries, results, problems, more } = report;
            outln!(
                "{}, {}, {}, {}",
                counted(sweeps, "sweep"),
                counted(tasks, "task"),
                counted(entries, "journal entry"),
                counted(results, "result")
            );
            if problems.is_empty() {
                outln!("the journal and the results agree");
                return Ok(Exit::Success);
            }
            let mut message = format!("{} is inconsistent", state.join("colearn.db").display());
            for problem in &problems {
                message += &format!("\n  {problem}");
            }
            if more > 0 {
                message += &format!("\n  ... and {more} more");
            }
            message += "\nrestore it from a backup; what can still be read can be saved with `colearn results NAME --format json`";
            Err(Failure::new(Exit::State, message))
        }
        DbCommand::Backup { file, state } => {
            store::backup(state, file).await.map_err(|error| failure(&error))?;
            let bytes = std::fs::metadata(file)?.len();
            outln!("{} has {}", file.display(), counted(bytes, "byte"));
            Ok(Exit::Success)
        }
    }
}

fn failure(error: &StoreError) -> Failure {
    Failure::new(Exit::State, error)
}
