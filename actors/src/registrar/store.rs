//! Where the registry is kept: nowhere, or in a file; ZooKeeper's store is in `zk.rs`.
//! Knows rows, not what they mean.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tepui_core::registry::Row;

/// Name of the registry file below the work directory.
pub const FILE_NAME: &str = "registry.redb";

/// Memory redb may use to cache pages; a registry is read once and then only written.
const CACHE_BYTES: usize = 1024 * 1024;

const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("registry");

/// Why a store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory of the file cannot be made.
    #[error("cannot create directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be opened, read or written.
    #[error("registry file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the store said.
        source: Box<redb::Error>,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "registry file {path} is damaged or not a registry: {reason}; \
         restore it from a copy, or move it away to start with an empty registry"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the store said.
        reason: String,
    },
    /// A newer leader uses the registry; this master must stop, and nothing it writes counts.
    #[error(
        "registry {path} in zookeeper belongs to a newer leader: its epoch is {found}, ours {own}"
    )]
    Fenced {
        /// The registry's node.
        path: String,
        /// Epoch of this master.
        own: u64,
        /// Epoch of the leader that uses it now; the own one when it was opened twice.
        found: u64,
    },
    /// ZooKeeper refuses.
    #[error("registry {path} in zookeeper: {source}")]
    ZooKeeper {
        /// The registry's node.
        path: String,
        /// What ZooKeeper said.
        source: zookeeper_client::Error,
    },
    /// ZooKeeper did not answer in time; whether a write was carried out is unknown.
    #[error("registry {path} in zookeeper: no {what} within {limit:?}")]
    TooSlow {
        /// The registry's node.
        path: String,
        /// What was to be done.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The nodes are no registry, or a damaged one.
    #[error(
        "registry {path} in zookeeper is damaged or not a registry: {reason}; restore it from a \
         copy, or delete this node with all below it to start with an empty registry"
    )]
    DamagedNodes {
        /// The registry's node.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by a later version.
    #[error(
        "registry {path} in zookeeper has format {found}, this master reads up to {known}; \
         start the newer master"
    )]
    TooNew {
        /// The registry's node.
        path: String,
        /// Format found.
        found: u32,
        /// Newest format this master reads.
        known: u32,
    },
    /// It must be loaded first: it never was, or an earlier write has failed.
    #[error("registry {path} in zookeeper was not loaded, or an earlier write to it has failed")]
    NotLoaded {
        /// The registry's node.
        path: String,
    },
}

/// Keeps the rows of a registry. Calls block; the registrar makes them off its own thread.
pub trait Store: Send + fmt::Debug {
    /// All rows.
    ///
    /// # Errors
    /// When they cannot be read.
    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Writes and deletes rows, all or nothing; they are durable when this returns.
    /// Returns by how many bytes keys and values grew (negative: shrank).
    ///
    /// # Errors
    /// When they are not durable; what the store then holds is unknown.
    fn write(&mut self, rows: &[Row]) -> Result<i64, StoreError>;
}

/// Keeps nothing: a restarted master starts empty.
#[derive(Debug, Default)]
pub struct InMemory;

impl Store for InMemory {
    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    fn write(&mut self, _rows: &[Row]) -> Result<i64, StoreError> {
        Ok(0)
    }
}

/// Keeps the rows in one crash-safe file; every write is synced before it counts.
pub struct File {
    path: PathBuf,
    database: Database,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish()
    }
}

impl File {
    /// Opens the registry file below `work_dir`, making both when they are not there.
    ///
    /// # Errors
    /// When the file cannot be opened, is in use by another master, or is damaged.
    pub fn open(work_dir: &Path) -> Result<File, StoreError> {
        std::fs::create_dir_all(work_dir).map_err(|source| StoreError::Directory {
            path: work_dir.to_owned(),
            source,
        })?;
        let path = work_dir.join(FILE_NAME);
        let opened = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(&path);
        let database = opened.map_err(|error| classify(&path, error.into()))?;
        Ok(File { path, database })
    }

    fn read_rows(&self) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = match transaction.open_table(ROWS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            rows.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(rows)
    }

    fn write_rows(&self, rows: &[Row]) -> Result<i64, redb::Error> {
        let mut grown = 0;
        // A commit is durable (synced) unless asked otherwise.
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for row in rows {
                let key = row.key.as_str();
                let before = match &row.value {
                    Some(value) => {
                        grown += row_bytes(key, value);
                        table.insert(key, value.as_slice())?
                    }
                    None => table.remove(key)?,
                };
                if let Some(before) = before {
                    grown -= row_bytes(key, before.value());
                }
            }
        }
        transaction.commit()?;
        Ok(grown)
    }
}

impl Store for File {
    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read_rows()
            .map_err(|error| classify(&self.path, error))
    }

    fn write(&mut self, rows: &[Row]) -> Result<i64, StoreError> {
        self.write_rows(rows)
            .map_err(|error| classify(&self.path, error))
    }
}

/// Bytes one row counts for in the size of the registry.
pub fn row_bytes(key: &str, value: &[u8]) -> i64 {
    i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX)
}

/// Tells a damaged file, which an operator must act upon, from one that cannot be used now.
fn classify(path: &Path, error: redb::Error) -> StoreError {
    let path = path.to_owned();
    match &error {
        redb::Error::Corrupted(reason) => StoreError::Damaged {
            path,
            reason: reason.clone(),
        },
        redb::Error::UpgradeRequired(_) | redb::Error::TableTypeMismatch { .. } => {
            StoreError::Damaged {
                path,
                reason: error.to_string(),
            }
        }
        redb::Error::Io(io)
            if matches!(
                io.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Damaged {
                path,
                reason: error.to_string(),
            }
        }
        _ => StoreError::File {
            path,
            source: Box::new(error),
        },
    }
}
