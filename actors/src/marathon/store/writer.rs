//! The thread of the store: folds batches into writes, and deletes old versions along with them.
//! Knows no backend, and decides nothing about records but which old versions go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tepui_core::registry::Row;
use tepui_core::time::Mono;

use super::backend::Backend;
use super::error::StoreError;
use super::key::{Batch, Change, Key, Record};
use super::queue::{Queue, Work};
use super::retention::{Index, Retention};
use super::{Done, Owner, Settings, archive, records_of};
use crate::clock::Clock;

/// Owns the backend; lives in the store's thread.
pub(super) struct Writer<O: Owner> {
    queue: Arc<Queue>,
    backend: Box<dyn Backend>,
    owner: O,
    retention: Retention,
    interval: Duration,
    clock: Clock,
    index: Index,
    /// When old versions were looked for.
    looked: Mono,
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
    pub(super) fn new(
        queue: Arc<Queue>,
        backend: Box<dyn Backend>,
        owner: O,
        settings: &Settings,
        records: &[Record],
    ) -> Writer<O> {
        let mut index = Index::default();
        for (key, value) in records {
            index.put(key, owner.refers_to(key, value));
        }
        index.settle();
        Writer {
            queue,
            backend,
            owner,
            retention: settings.retention,
            interval: settings.retention_interval,
            clock: settings.clock,
            index,
            looked: settings.clock.now().mono,
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
                self.fold(change, &mut rows);
            }
            finished.push(done);
        }
        let forgotten = self.old_versions();
        for key in &forgotten {
            self.index.delete(key);
            rows.insert(key.clone(), None);
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
        if !forgotten.is_empty() {
            self.owner.forgotten(forgotten);
        }
        Ok(())
    }

    /// The last word on a record counts.
    fn fold(&mut self, change: Change, rows: &mut BTreeMap<Key, Option<Vec<u8>>>) {
        match change {
            Change::Put(key, value) => {
                self.index.put(&key, self.owner.refers_to(&key, &value));
                rows.insert(key, Some(value));
            }
            Change::Delete(key) => {
                self.index.delete(&key);
                rows.insert(key, None);
            }
        }
    }

    /// The versions that may go, when it is time to look for them.
    fn old_versions(&mut self) -> Vec<Key> {
        let now = self.clock.now().mono;
        if now.since(self.looked) < self.interval {
            return Vec::new();
        }
        self.looked = now;
        let old = self.retention.to_delete(&self.index);
        self.index.settle();
        old
    }

    /// What the backup says is for who asked for it; only a backend that cannot be read ends all.
    fn backup(&mut self, path: &Path) -> Result<Result<(), super::ArchiveError>, StoreError> {
        let rows = self.backend.load()?;
        let records = records_of(&self.backend.place(), rows)?;
        Ok(archive::write(path, &records))
    }
}
