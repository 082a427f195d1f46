//! Why the app manager's store could not be used, in words for an operator.
//! Tells nothing about single records: the store does not know what they mean.

use std::path::PathBuf;
use std::time::Duration;

use crate::registrar::store::StoreError as ZkStoreError;

/// Why a store could not be opened, or has ended. After one of these nothing is written any more.
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
    #[error("store file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database in the file refuses.
    #[error("store file {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// Another process has the file open.
    #[error("store file {path} is in use by another process; stop it, or use another --work_dir")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Not the store of an app manager, or a damaged one. It is left as it is.
    #[error(
        "{place} is damaged or not a store of tepui-marathon: {reason}; restore it from a copy, or \
         move it away to start with an empty one"
    )]
    Damaged {
        /// The file, or the node in ZooKeeper.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by a later version.
    #[error(
        "{place} has format {found}, this tepui-marathon reads up to {known}; start the newer \
         tepui-marathon"
    )]
    TooNew {
        /// The file, or the node in ZooKeeper.
        place: String,
        /// Format found.
        found: u32,
        /// Newest format this version reads.
        known: u32,
    },
    /// A newer leader uses the store; this one must stop, and nothing it writes counts.
    #[error(
        "store {path} in zookeeper belongs to a newer leader: its epoch is {found}, ours {own}"
    )]
    Fenced {
        /// The store's node.
        path: String,
        /// Epoch of this leader.
        own: u64,
        /// Epoch of the leader that uses it now; the own one when it was opened twice.
        found: u64,
    },
    /// ZooKeeper refuses.
    #[error("store {path} in zookeeper: {source}")]
    ZooKeeper {
        /// The store's node.
        path: String,
        /// What ZooKeeper said.
        source: zookeeper_client::Error,
    },
    /// ZooKeeper did not answer in time; whether a write was carried out is unknown.
    #[error("store {path} in zookeeper: no {what} within {limit:?}")]
    TooSlow {
        /// The store's node.
        path: String,
        /// What was to be done.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A value has no form that can be stored.
    #[error("a record cannot be stored: {reason}")]
    Unwritable {
        /// What is wrong with it.
        reason: String,
    },
    /// The thread of the store cannot be started, or has died.
    #[error("the thread of the store is not there: {reason}")]
    Thread {
        /// What happened to it.
        reason: String,
    },
    /// A backup cannot be read or written.
    #[error(transparent)]
    Archive(#[from] super::archive::ArchiveError),
}

impl From<ZkStoreError> for StoreError {
    fn from(error: ZkStoreError) -> StoreError {
        match error {
            ZkStoreError::Directory { path, source } => StoreError::Directory { path, source },
            ZkStoreError::File { path, source } => StoreError::Database { path, source },
            ZkStoreError::Damaged { path, reason } => StoreError::Damaged {
                place: path.display().to_string(),
                reason,
            },
            ZkStoreError::Fenced { path, own, found } => StoreError::Fenced { path, own, found },
            ZkStoreError::ZooKeeper { path, source } => StoreError::ZooKeeper { path, source },
            ZkStoreError::TooSlow { path, what, limit } => {
                StoreError::TooSlow { path, what, limit }
            }
            ZkStoreError::DamagedNodes { path, reason } => StoreError::Damaged {
                place: format!("node {path} in zookeeper"),
                reason,
            },
            ZkStoreError::TooNew { path, found, known } => StoreError::TooNew {
                place: format!("node {path} in zookeeper"),
                found,
                known,
            },
            ZkStoreError::NotLoaded { path } => StoreError::Thread {
                reason: format!("an earlier write to {path} in zookeeper has failed"),
            },
        }
    }
}
