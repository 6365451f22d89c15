//! Checks whether this store still owns the database, in the state in which it left it.
//!
//! The lock of the state folder prevents a second coordinator. But the lock file can be deleted, locks do nothing on
//! some file systems, and a folder can be moved or replaced by a backup. Acknowledged data must not be lost in these
//! cases either. Therefore every commit verifies that it writes to the right database.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sqlx::{Connection as _, SqliteConnection};

use crate::store::{StoreError, files, lock::StateLock};

/// The owner's mark, and the end of the journal if no other process wrote to it. Numbers of entries grow forever:
/// those of removed sweeps are not used again.
const SELECT: &str = "SELECT \
    (SELECT value FROM marks WHERE name = 'owner'), \
    COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0)";

/// The state that a commit must find.
#[derive(Debug)]
pub(super) struct Ownership {
    lock: StateLock,
    path: PathBuf,
    /// A random number that was written when ownership was taken.
    mark: i64,
    /// The number of the last journal entry.
    last: i64,
    files: Files,
}

/// The files of the database after the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Files {
    database: FileId,
    log: FileId,
    /// Only a commit changes the database file, when it has copied the log into it.
    size: u64,
    modified: (i64, i64),
}

/// The identity of the file at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Ownership {
    /// Takes ownership of the database: the earlier owner can commit nothing more.
    pub(super) async fn claim(
        connection: &mut SqliteConnection,
        lock: StateLock,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let broken = |error| StoreError::of(path, error);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(broken)?;
        let insert = "INSERT INTO marks (name, value) VALUES ('owner', random()) \
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        sqlx::query(insert).execute(&mut *transaction).await.map_err(broken)?;
        // Sweeps that an earlier coordinator wrote ahead, and did not commit.
        for delete in [
            "DELETE FROM definition_parts WHERE definition IN (SELECT id FROM definitions WHERE entry IS NULL)",
            "DELETE FROM definitions WHERE entry IS NULL",
        ] {
            sqlx::query(delete).execute(&mut *transaction).await.map_err(broken)?;
        }
        let (mark, last): (i64, i64) =
            sqlx::query_as(SELECT).fetch_one(&mut *transaction).await.map_err(broken)?;
        transaction.commit().await.map_err(broken)?;
        let files = Files::of(path).map_err(|detail| taken_over(path, detail))?;
        let claimed = Self { lock, path: path.to_owned(), mark, last, files };
        claimed.verify_lock()?;
        Ok(claimed)
    }

    /// Verifies in the transaction of a commit that no other process has written to the database or replaced it.
    pub(super) async fn verify(&self, transaction: &mut SqliteConnection) -> Result<(), StoreError> {
        let (mark, last): (Option<i64>, i64) = sqlx::query_as(SELECT)
            .fetch_one(transaction)
            .await
            .map_err(|error| StoreError::of(&self.path, error))?;
        if mark != Some(self.mark) {
            return Err(self.taken_by_another());
        }
        if last != self.last {
            let detail = format!(
                "its journal ends at entry {last}, and not at entry {}, where this coordinator left it",
                self.last
            );
            return Err(taken_over(&self.path, detail));
        }
        self.verify_files()
    }

    /// Verifies that no other process was given the lock of the state folder. Where locks do nothing, SQLite's locks
    /// do nothing either, and SQLite may not show the writes of others. To be called before and after each commit.
    pub(super) fn verify_lock(&self) -> Result<(), StoreError> {
        if self.lock.is_held() { Ok(()) } else { Err(self.taken_by_another()) }
    }

    fn taken_by_another(&self) -> StoreError {
        let holder = self.lock.holder();
        let detail = format!("it was taken over by another coordinator; the lock file names {holder}");
        taken_over(&self.path, detail)
    }

    /// Verifies that the files of the database are the opened ones, in the state after the last commit.
    pub(super) fn verify_files(&self) -> Result<(), StoreError> {
        let files = Files::of(&self.path).map_err(|detail| taken_over(&self.path, detail))?;
        self.files.compare(files).map_err(|detail| taken_over(&self.path, detail.to_owned()))
    }

    /// Records the state after a commit; `last` is the number of the last entry that it appended.
    pub(super) fn committed(&mut self, last: Option<i64>) -> Result<(), StoreError> {
        self.last = last.unwrap_or(self.last);
        self.verify_lock()?;
        let files = Files::of(&self.path).map_err(|detail| taken_over(&self.path, detail))?;
        // The files may have been replaced in the meantime.
        let Files { size, modified, .. } = files;
        let expected = Files { size, modified, ..self.files };
        expected.compare(files).map_err(|detail| taken_over(&self.path, detail.to_owned()))?;
        self.files = files;
        Ok(())
    }
}

impl Files {
    fn of(path: &Path) -> Result<Self, String> {
        let look = |path: &Path| {
            fs::symlink_metadata(path).map_err(|error| {
                format!("{}: {error}: the state folder was moved or restored", path.display())
            })
        };
        let id = |file: &fs::Metadata| FileId { device: file.dev(), inode: file.ino() };
        let database = look(path)?;
        let log = look(&files::beside(path, "-wal"))?;
        Ok(Self {
            database: id(&database),
            log: id(&log),
            size: database.size(),
            modified: (database.mtime(), database.mtime_nsec()),
        })
    }

    fn compare(self, found: Self) -> Result<(), &'static str> {
        if self.database != found.database {
            return Err("another file has replaced it: the state folder was moved or restored");
        }
        if self.log != found.log {
            return Err("another log has replaced its own: the state folder was restored");
        }
        if self != found {
            return Err(
                "another program has written to its file: it was restored, or another program has it open",
            );
        }
        Ok(())
    }
}

fn taken_over(path: &Path, detail: String) -> StoreError {
    StoreError::TakenOver { path: path.to_owned(), detail }
}
