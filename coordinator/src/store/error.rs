//! Errors of a store, with the remedies.

use std::{io, path::PathBuf};

use colearn_core::id::{SweepId, TaskId};

/// The reason why a store cannot be opened, read or written.
///
/// The text is complete, with causes, so that callers print it unchanged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state folder cannot be created or written.
    #[error(
        "state folder {path} cannot be written ({cause}): choose a folder that you may write to with --state"
    )]
    NotWritable {
        /// Path of the folder.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// Another coordinator uses the state folder.
    #[error(
        "state folder {path} is in use by {holder}: stop that one, or choose another folder with --state"
    )]
    Held {
        /// Path of the folder.
        path: PathBuf,
        /// The process that uses it.
        holder: String,
    },
    /// The state folder belongs to another user.
    #[error(
        "state folder {path} belongs to user id {owner}, who could replace its files: choose a folder of your own with --state"
    )]
    Foreign {
        /// Path of the folder.
        path: PathBuf,
        /// User id of the owner.
        owner: u32,
    },
    /// Another process has taken over, changed or replaced the database since it was opened.
    #[error(
        "database {path} no longer belongs to this coordinator ({detail}): nothing was written to it; start only one coordinator on a state folder, and stop it before the folder is moved or restored"
    )]
    TakenOver {
        /// Path of the database.
        path: PathBuf,
        /// The observed change.
        detail: String,
    },
    /// The database was opened for reading only.
    #[error("database {path} was opened for reading only")]
    ReadOnly {
        /// Path of the database.
        path: PathBuf,
    },
    /// The newest commits are in a log that cannot be read.
    #[error(
        "database {path} has a log beside it, {path}-wal, which cannot be read without writing to the folder ({cause}): copy the folder to a writable place and name the copy with --state, or let its coordinator be stopped by a signal, which leaves no log",
        path = path.display()
    )]
    LogNotReadable {
        /// Path of the database.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The database is damaged.
    #[error(
        "database {path} is damaged ({detail}): restore it from a backup, or move it away to start with an empty one"
    )]
    Corrupt {
        /// Path of the database.
        path: PathBuf,
        /// The place and kind of the damage.
        detail: String,
    },
    /// The database was written by a later version of this program.
    #[error(
        "database {path} was written by a newer colearn (its schema has version {version}): use that version or a later one"
    )]
    Newer {
        /// Path of the database.
        path: PathBuf,
        /// Version of its schema.
        version: i64,
    },
    /// The database was written by an earlier version, and is opened for reading only.
    #[error(
        "database {path} was written by an older colearn: start a coordinator on it once, which updates it"
    )]
    Older {
        /// Path of the database.
        path: PathBuf,
    },
    /// There is no database.
    #[error(
        "there is no database {path}: name the state folder of a coordinator or of `colearn run` with --state"
    )]
    Missing {
        /// The expected path.
        path: PathBuf,
    },
    /// The state folder cannot be looked into.
    #[error(
        "database {path} cannot be read ({cause}): ask its owner, or name another state folder with --state"
    )]
    NotReadable {
        /// Path of the database.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A copy could not be written.
    #[error("backup {path} cannot be written ({cause})")]
    BackupNotWritten {
        /// Path of the copy.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// There is no space left.
    #[error(
        "no space is left for database {path}: free some and start again; everything that was acknowledged is intact"
    )]
    Full {
        /// Path of the database.
        path: PathBuf,
    },
    /// The task already has a result.
    #[error("task {0} has a recorded result already")]
    AlreadyRecorded(TaskId),
    /// The result's sweep was never submitted.
    #[error("sweep {0} was never submitted")]
    UnknownSweep(SweepId),
    /// A volatile event cannot be journaled.
    #[error("event `{0}` is volatile and does not belong in the journal")]
    NotAFact(&'static str),
    /// The bundled SQLite is too old to be safe.
    #[error(
        "SQLite {found} is older than 3.51.3, which can lose commits in WAL mode: build colearn with its bundled SQLite"
    )]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// A setting that durability depends on did not take effect.
    #[error(
        "database {path} does not keep `{setting}` (it reports `{found}`): keep the state folder on a local disk"
    )]
    NotDurable {
        /// Path of the database.
        path: PathBuf,
        /// The requested setting.
        setting: &'static str,
        /// The actual value.
        found: String,
    },
    /// Any other error of the database.
    #[error("database {path} failed: {cause}")]
    Database {
        /// Path of the database.
        path: PathBuf,
        /// The error.
        cause: sqlx::Error,
    },
}

/// Primary result codes of SQLite, see <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

impl StoreError {
    /// The meaning of an error of the database at `path`.
    pub(super) fn of(path: &std::path::Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let extended = source.as_database_error().and_then(|error| error.code());
        let extended = extended.and_then(|code| code.parse::<u32>().ok());
        match extended.map(|code| code & 0xff) {
            Some(code::FULL) => Self::Full { path },
            Some(code::CORRUPT | code::NOTADB) => Self::Corrupt { path, detail: source.to_string() },
            Some(code::READONLY | code::CANTOPEN) => {
                Self::NotWritable { path, cause: io::Error::other(source.to_string()) }
            }
            _ => Self::Database { path, cause: source },
        }
    }
}
