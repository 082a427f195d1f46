//! Keeps the rows of the app manager in one crash-safe file below the work directory.
//! Knows rows, not what they mean.
//!
//! redb verifies the checksums of all pages when the file was not closed, as after a crash, and
//! those of its header always. Pages that are damaged in a file that was closed may make it panic.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tepui_core::registry::Row;

use super::backend::Backend;
use super::error::StoreError;

/// Name of the file below the work directory.
pub const FILE_NAME: &str = "marathon.redb";

/// Name it has until it is complete for the first time.
const NEW_NAME: &str = "marathon.redb.new";

/// Values may hold secrets of apps.
const MODE: u32 = 0o600;

/// Memory redb may use to cache pages; the store is read once and then only written.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("marathon");

/// The open file. No other process can open it meanwhile.
pub(super) struct FileBackend {
    path: PathBuf,
    database: Database,
}

impl fmt::Debug for FileBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FileBackend");
        shown.field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileBackend {
    /// Opens the file below `work_dir`, making both when they are not there.
    pub(super) fn open(work_dir: &Path) -> Result<FileBackend, StoreError> {
        std::fs::create_dir_all(work_dir).map_err(|source| StoreError::Directory {
            path: work_dir.to_owned(),
            source,
        })?;
        let path = work_dir.join(FILE_NAME);
        let database = match made(work_dir, &path)? {
            Some(database) => database,
            None => existing(&path)?,
        };
        Ok(FileBackend { path, database })
    }

    fn read_rows(&self) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(ROWS)?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            rows.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(rows)
    }

    fn write_rows(&self, rows: &[Row]) -> Result<(), redb::Error> {
        // A commit is durable (synced) unless asked otherwise.
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for row in rows {
                match &row.value {
                    Some(value) => table.insert(row.key.as_str(), value.as_slice())?,
                    None => table.remove(row.key.as_str())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

impl Backend for FileBackend {
    fn place(&self) -> String {
        format!("store file {}", self.path.display())
    }

    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read_rows()
            .map_err(|error| classify(&self.path, error))
    }

    fn write(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.write_rows(&rows)
            .map_err(|error| classify(&self.path, error))
    }
}

/// Makes the file unless it is there. It gets its name when it is complete, so that a crash on the
/// way leaves no half of one.
fn made(work_dir: &Path, path: &Path) -> Result<Option<Database>, StoreError> {
    let failed = |source| file_error(path, source);
    if path.try_exists().map_err(failed)? {
        return Ok(None);
    }
    let new = work_dir.join(NEW_NAME);
    let file = open_private(&new, true).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path)),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // Whoever held the lock before may have finished in the meantime.
    if path.try_exists().map_err(failed)? {
        return Ok(None);
    }
    file.set_len(0).map_err(failed)?;
    let database = opened(file, path)?;
    let backend = FileBackend {
        path: path.to_owned(),
        database,
    };
    let tables = backend.write_rows(&[]);
    tables.map_err(|error| classify(path, error))?;
    std::fs::rename(&new, path).map_err(failed)?;
    let directory = File::open(work_dir).map_err(failed)?;
    directory.sync_all().map_err(failed)?;
    Ok(Some(backend.database))
}

fn existing(path: &Path) -> Result<Database, StoreError> {
    let failed = |source| file_error(path, source);
    let file = open_private(path, false).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        // Ours never are; redb would take it for a new one.
        return Err(damaged(path, "it is empty".to_owned()));
    }
    file.set_permissions(Permissions::from_mode(MODE))
        .map_err(failed)?;
    opened(file, path)
}

fn open_private(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).mode(MODE);
    options.open(path)
}

fn opened(file: File, path: &Path) -> Result<Database, StoreError> {
    let opened = redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create_file(file);
    opened.map_err(|error| classify(path, error.into()))
}

fn in_use(path: &Path) -> StoreError {
    StoreError::InUse {
        path: path.to_owned(),
    }
}

fn file_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::File {
        path: path.to_owned(),
        source,
    }
}

fn damaged(path: &Path, reason: String) -> StoreError {
    StoreError::Damaged {
        place: format!("store file {}", path.display()),
        reason,
    }
}

/// Tells a damaged file, which an operator must act upon, from one that cannot be used now.
fn classify(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen => in_use(path),
        redb::Error::Corrupted(reason) => damaged(path, reason),
        redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. } => damaged(path, error.to_string()),
        redb::Error::Io(io)
            if matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            damaged(path, io.to_string())
        }
        error => StoreError::Database {
            path: path.to_owned(),
            source: Box::new(error),
        },
    }
}
