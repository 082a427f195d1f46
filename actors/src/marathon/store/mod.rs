//! The durable store of the app manager: opaque records by key, batches in order, all or nothing.
//! Decides nothing about records, and never looks into a value.
//!
//! One thread owns the backend. Batches wait in a queue of bounded size; whatever waits is folded
//! into one durable write, of which one is outstanding. A write that fails ends the store: what is
//! stored no longer follows its owner, who must end so that another can read it anew.

mod archive;
mod backend;
mod error;
mod file;
mod format;
mod key;
mod name;
mod queue;
#[cfg(test)]
mod tests;
mod writer;
mod zk;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tepui_core::registry::Row;

pub use archive::ArchiveError;
pub use backend::Memory;
pub use error::StoreError;
pub use file::FILE_NAME;
pub use format::FORMAT;
pub use key::{Batch, Change, FORMAT_ID, Key, Kind, Record};
pub use queue::{MAX_QUEUED_BYTES, MAX_WRITE_BYTES, Reason, Refused};
pub use zk::{COMPRESS_BYTES, NODE, ZkSettings};

use backend::Backend;
use queue::{Job, Queue};
use writer::Writer;

/// Longest value of a record, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

/// Where records are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// Nowhere, once the last clone of this memory is gone.
    Memory(Memory),
    /// In the file [`FILE_NAME`] below this directory (`--work_dir`).
    File(PathBuf),
    /// In ZooKeeper (`--zk`).
    ZooKeeper(ZkSettings),
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// Write a backup into this file before anything else.
    pub backup: Option<PathBuf>,
    /// Replace everything by the records of this backup, after the own one.
    pub restore: Option<PathBuf>,
}

impl Settings {
    /// Without backup and restore.
    #[must_use]
    pub fn new(place: Place) -> Settings {
        Settings {
            place,
            backup: None,
            restore: None,
        }
    }
}

/// Whom the store tells. It calls from its own thread, so calls should be short.
pub trait Owner: Send + 'static {
    /// The store has ended. Nothing more is stored or acknowledged, and the process must end.
    fn failed(&self, error: StoreError);
}

/// Called when a batch is durable, on the store's thread, in the order of batches.
pub type Done = Box<dyn FnOnce() + Send>;

/// Called when a backup is on disk, or could not be made.
pub type BackupDone = Box<dyn FnOnce(Result<(), ArchiveError>) + Send>;

/// A handle on an open store. When it is dropped, what waits is still written.
pub struct Store {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a store; gives all records in it, ordered by key.
    ///
    /// Blocks while it reads, so it must not be called on a thread of an async runtime. In
    /// ZooKeeper, no older leader can write any more when this returns.
    ///
    /// # Errors
    /// When it cannot be read, is in use, damaged, or written by a later version, or when the
    /// backup or the restore fails. It is left as it was then.
    pub fn open(settings: Settings, owner: impl Owner) -> Result<(Store, Vec<Record>), StoreError> {
        let backend: Box<dyn Backend> = match settings.place.clone() {
            Place::Memory(memory) => Box::new(memory),
            Place::File(work_dir) => Box::new(file::FileBackend::open(&work_dir)?),
            Place::ZooKeeper(settings) => Box::new(zk::ZkBackend::new(settings)),
        };
        Store::open_in(backend, &settings, owner)
    }

    fn open_in(
        mut backend: Box<dyn Backend>,
        settings: &Settings,
        owner: impl Owner,
    ) -> Result<(Store, Vec<Record>), StoreError> {
        let mut records = load(backend.as_mut())?;
        if let Some(path) = &settings.backup {
            archive::write(path, &records)?;
        }
        if let Some(path) = &settings.restore {
            records = replace(backend.as_mut(), &records, archive::read(path)?)?;
        }
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(queue.clone(), backend, owner);
        let thread = std::thread::Builder::new()
            .name("marathon-store".to_owned())
            .spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::Thread {
            reason: error.to_string(),
        })?;
        let store = Store {
            queue,
            thread: Some(thread),
        };
        Ok((store, records))
    }

    /// Takes a batch, which is stored after all that were taken before; then `done` is called.
    /// When the store ends first, `done` is dropped and [`Owner::failed`] is called instead.
    ///
    /// # Errors
    /// Gives the batch back when [`MAX_QUEUED_BYTES`] wait already ([`Reason::Full`]: try again
    /// when another is done), when the store has ended, and when a record cannot be stored.
    pub fn apply(&self, batch: Batch, done: Done) -> Result<(), Refused> {
        self.queue.push_batch(batch, done)
    }

    /// Writes all records, as of the batches taken so far, into a tar archive at `path`, which is
    /// compressed when its name ends in `.gz` or `.tgz`. Batches that follow wait for it.
    ///
    /// When the store ends before it, `done` is dropped.
    pub fn backup(&self, path: PathBuf, done: BackupDone) {
        self.queue.push(Job::Backup { path, done });
    }

    /// Bytes that wait to be stored, with those being written now.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Stores what waits and closes. Blocks meanwhile.
    ///
    /// # Errors
    /// When not everything could be stored; [`Owner::failed`] was told why.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.queue.close();
        let joined = self.thread.take().map(JoinHandle::join);
        match (joined, self.queue.has_failed()) {
            (Some(Ok(())) | None, false) => Ok(()),
            (Some(Ok(())) | None, true) => Err(StoreError::Thread {
                reason: "an earlier write has failed".to_owned(),
            }),
            (Some(Err(_)), _) => Err(StoreError::Thread {
                reason: "it has panicked".to_owned(),
            }),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// All records; marks a new store as one of this version.
fn load(backend: &mut dyn Backend) -> Result<Vec<Record>, StoreError> {
    let rows = backend.load()?;
    if rows.is_empty() {
        backend.write(vec![format::row()?])?;
        return Ok(Vec::new());
    }
    format::check(&backend.place(), &rows)?;
    records_of(&backend.place(), rows)
}

/// The records in these rows, without the one that only the store knows.
fn records_of(place: &str, rows: Vec<(String, Vec<u8>)>) -> Result<Vec<Record>, StoreError> {
    let format = Key::format();
    let mut records = Vec::with_capacity(rows.len());
    for (text, value) in rows {
        let key = Key::read(&text).ok_or_else(|| StoreError::Damaged {
            place: place.to_owned(),
            reason: format!("it holds '{text}', which is no record"),
        })?;
        if key != format {
            records.push((key, value));
        }
    }
    records.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(records)
}

/// Puts other records in place of those there are, all or nothing.
fn replace(
    backend: &mut dyn Backend,
    old: &[Record],
    new: Vec<Record>,
) -> Result<Vec<Record>, StoreError> {
    let kept: BTreeSet<&Key> = new.iter().map(|(key, _)| key).collect();
    let gone = old.iter().filter(|(key, _)| !kept.contains(key));
    let deleted = gone.map(|(key, _)| Row {
        key: key.to_string(),
        value: None,
    });
    let put = new.iter().map(|(key, value)| Row {
        key: key.to_string(),
        value: Some(value.clone()),
    });
    backend.write(deleted.chain(put).collect())?;
    Ok(new)
}
