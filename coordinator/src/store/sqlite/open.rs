//! Opens the database: to serve it, or only to read it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, atomic::AtomicU64},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqlSafeStr as _, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::{Ownership, SqliteStore, Writer, ahead::Ahead};
use crate::store::{StoreError, files, lock::StateLock};

/// Without `sqlx::migrate!`: its crate of macros would build sqlx and SQLite a second time, for the compiler.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let simple = |version, description: &'static str, sql: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        simple(
            1,
            "journal sweeps results",
            include_str!("../../../migrations/0001_journal_sweeps_results.sql"),
        ),
        simple(
            2,
            "sweeps settle and grow",
            include_str!("../../../migrations/0002_sweeps_settle_and_grow.sql"),
        ),
        simple(3, "results by position", include_str!("../../../migrations/0003_results_by_position.sql")),
        simple(4, "sweeps in parts", include_str!("../../../migrations/0004_sweeps_in_parts.sql")),
        simple(5, "submitters", include_str!("../../../migrations/0005_submitters.sql")),
        simple(6, "pools", include_str!("../../../migrations/0006_pools.sql")),
        simple(7, "notifications", include_str!("../../../migrations/0007_notifications.sql")),
        simple(
            8,
            "tasks cancelled sweeps removed in parts",
            include_str!("../../../migrations/0008_tasks_cancelled_sweeps_removed_in_parts.sql"),
        ),
        simple(9, "rest cancelled", include_str!("../../../migrations/0009_rest_cancelled.sql")),
    ])
});

/// The oldest SQLite without the WAL-reset bug, which could lose commits when two connections were open.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

impl SqliteStore {
    /// Locks the state folder, which is created if it does not exist, updates the database's schema, and takes
    /// ownership of the database: see [`crate::store::Store`].
    ///
    /// # Errors
    /// If the folder cannot be written, is in use or belongs to another user; if the database is damaged, is a
    /// symbolic link or was written by a newer version; if no space is left; or if durability is not available there.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_locked(folder, StateLock::take(folder)?).await
    }

    /// Like [`Self::open`], in a folder that is locked already.
    pub(crate) async fn open_locked(folder: &Path, lock: StateLock) -> Result<Self, StoreError> {
        let path = folder.join("colearn.db");
        files::make_private_database(folder, "colearn.db")?;
        let broken = |error| StoreError::of(&path, error);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may undo a migration as a whole; the commit that takes ownership syncs all of them.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let mut connection = options.clone().connect().await.map_err(broken)?;
        refuse_old_sqlite(&mut connection, &path).await?;
        MIGRATIONS.run(&mut connection).await.map_err(|error| migration_failed(&path, error))?;
        // With NORMAL a power cut would undo the newest commits, which were acknowledged.
        sqlx::query("PRAGMA synchronous = FULL").execute(&mut connection).await.map_err(broken)?;
        assert_durable(&mut connection, &path).await?;
        let reader = options.read_only(true).create_if_missing(false).connect().await.map_err(broken)?;
        let ownership = Some(Ownership::claim(&mut connection, lock, &path).await?);
        Ok(Self::of(Writer { connection, ownership }, reader, path))
    }

    fn of(writer: Writer, reader: SqliteConnection, path: PathBuf) -> Self {
        Self {
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(reader)),
            path,
            ahead: Ahead::default(),
            written: AtomicU64::default(),
            purging: Mutex::default(),
        }
    }

    /// Opens the database of a state folder for reading. A coordinator may be using the folder, and the folder may be
    /// read-only. Nothing can be committed.
    ///
    /// # Errors
    /// If there is no database, if it is damaged or of another version, or if its newest commits are in a log that
    /// cannot be read without writing to the folder.
    pub async fn open_to_read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("colearn.db");
        match path.metadata() {
            Ok(found) if found.is_file() => {}
            Err(cause) if !matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(StoreError::NotReadable { path, cause });
            }
            Ok(_) | Err(_) => return Err(StoreError::Missing { path }),
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        match Self::connect_to_read(&path, &options).await {
            // For a database with a log, SQLite needs a file that it shares with other processes, and creates it.
            Err(StoreError::NotWritable { cause, .. }) => {
                if files::has_log(&path) {
                    return Err(StoreError::LogNotReadable { path, cause });
                }
                // Without a log no coordinator uses the database, and its file is complete.
                Self::connect_to_read(&path, &options.immutable(true)).await
            }
            opened => opened,
        }
    }

    async fn connect_to_read(path: &Path, options: &SqliteConnectOptions) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let broken = |error| StoreError::of(&path, error);
        let connection = options.clone().connect().await.map_err(broken)?;
        let mut reader = options.connect().await.map_err(broken)?;
        let version: i64 = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&mut reader)
            .await
            .map_err(broken)?;
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        match version.cmp(&newest) {
            std::cmp::Ordering::Less => return Err(StoreError::Older { path }),
            std::cmp::Ordering::Greater => return Err(StoreError::Newer { path, version }),
            std::cmp::Ordering::Equal => {}
        }
        Ok(Self::of(Writer { connection, ownership: None }, reader, path))
    }
}

async fn refuse_old_sqlite(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| StoreError::of(path, error))?;
    if is_recent(&found) { Ok(()) } else { Err(StoreError::OldSqlite { found }) }
}

/// Acknowledged data must survive a power cut; this depends on these settings.
async fn assert_durable(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let broken = |error| StoreError::of(path, error);
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.map_err(broken)?;
    if mode != "wal" {
        let setting = "journal_mode = wal";
        return Err(StoreError::NotDurable { path: path.to_owned(), setting, found: mode });
    }
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.map_err(broken)?;
    if synchronous != 2 {
        let setting = "synchronous = full";
        return Err(StoreError::NotDurable {
            path: path.to_owned(),
            setting,
            found: synchronous.to_string(),
        });
    }
    Ok(())
}

fn is_recent(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    parts.as_slice() >= OLDEST_SQLITE.as_slice()
}

fn migration_failed(path: &Path, error: MigrateError) -> StoreError {
    let path = path.to_owned();
    match error {
        MigrateError::VersionMissing(version) => StoreError::Newer { path, version },
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            StoreError::Corrupt { path, detail: format!("its schema is not that of version {version}") }
        }
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::of(&path, source)
        }
        other => StoreError::Database { path, cause: other.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{MIGRATIONS, is_recent};

    #[test]
    fn every_file_of_the_folder_is_a_migration_in_order() {
        let folder = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let mut files: Vec<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let named = MIGRATIONS.iter().map(|migration| {
            format!("{:04}_{}.sql", migration.version, migration.description.replace(' ', "_"))
        });
        assert_eq!(named.collect::<Vec<_>>(), files);
        for (migration, file) in MIGRATIONS.iter().zip(files) {
            let text =
                fs::read_to_string(format!("{}/migrations/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert_eq!(migration.sql.as_str(), text);
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, recent) in [
            ("3.51.3", true),
            ("3.51.2", false),
            ("3.52.0", true),
            ("3.9.99", false),
            ("4.0.0", true),
            ("x", false),
        ] {
            assert_eq!(is_recent(version), recent, "{version}");
        }
    }
}
