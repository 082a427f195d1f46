//! The thread of the store: folds batches into writes.
//! Knows no backend, and decides nothing about records.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tepui_core::registry::Row;

use super::backend::Backend;
use super::error::StoreError;
use super::key::{Batch, Change, Key};
use super::queue::{Queue, Work};
use super::{Done, Owner, archive, records_of};

/// Owns the backend; lives in the store's thread.
pub(super) struct Writer<O: Owner> {
    queue: Arc<Queue>,
    backend: Box<dyn Backend>,
    owner: O,
}

/// Ends the queue with the thread, also when that panics.
struct EndsWith(Arc<Queue>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

impl<O: Owner> Writer<O> {
    pub(super) fn new(queue: Arc<Queue>, backend: Box<dyn Backend>, owner: O) -> Writer<O> {
        Writer {
            queue,
            backend,
            owner,
        }
    }

    /// Works until the queue is closed or a write fails.
    pub(super) fn run(mut self) {
        let _ends = EndsWith(self.queue.clone());
        while let Some(work) = self.queue.next() {
            let worked = match work {
                Work::Write(batches) => self.write(batches),
                Work::Backup(path, done) => self.backup(&path).map(done),
            };
            if let Err(error) = worked {
                tracing::error!(place = self.backend.place(), %error, "the store has ended");
                self.queue.fail();
                return self.owner.failed(error);
            }
        }
    }

    fn write(&mut self, batches: Vec<(Batch, Done)>) -> Result<(), StoreError> {
        let bytes = batches.iter().map(|(batch, _)| batch.bytes()).sum();
        let mut finished = Vec::with_capacity(batches.len());
        let mut rows = BTreeMap::new();
        for (batch, done) in batches {
            for change in batch.into_changes() {
                fold(change, &mut rows);
            }
            finished.push(done);
        }
        if !rows.is_empty() {
            let rows = rows.into_iter().map(|(key, value)| Row {
                key: key.to_string(),
                value,
            });
            self.backend.write(rows.collect())?;
        }
        self.queue.written(bytes);
        for done in finished {
            done();
        }
        Ok(())
    }

    /// What the backup says is for who asked for it; only a backend that cannot be read ends all.
    fn backup(&mut self, path: &Path) -> Result<Result<(), super::ArchiveError>, StoreError> {
        let rows = self.backend.load()?;
        let records = records_of(&self.backend.place(), rows)?;
        Ok(archive::write(path, &records))
    }
}

/// The last word on a record counts.
fn fold(change: Change, rows: &mut BTreeMap<Key, Option<Vec<u8>>>) {
    match change {
        Change::Put(key, value) => rows.insert(key, Some(value)),
        Change::Delete(key) => rows.insert(key, None),
    };
}
