//! What waits to be stored, bounded by its bytes.
//! Stores nothing.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::key::{Batch, Change, Key};
use super::{BackupDone, Done, MAX_VALUE_BYTES};

/// Most bytes that may wait; what comes then is refused.
pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Batches are folded into one write until it has so many bytes.
pub const MAX_WRITE_BYTES: usize = 8 * 1024 * 1024;

/// A batch that was not taken.
pub struct Refused {
    /// The batch.
    pub batch: Batch,
    /// What was to be called when it is durable.
    pub done: Done,
    /// Why it was not taken.
    pub reason: Reason,
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Refused");
        shown.field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Too much waits already; try again when a batch is done.
    #[error("{MAX_QUEUED_BYTES} bytes wait to be stored already; try again later")]
    Full,
    /// The store has ended or is closed, and takes nothing any more.
    #[error("the store has ended")]
    Ended,
    /// A value that cannot be stored.
    #[error("the value of '{0}' has more than {MAX_VALUE_BYTES} bytes")]
    TooLong(Key),
    /// A record that only the store writes.
    #[error("'{0}' is a record of the store itself")]
    Reserved(Key),
}

/// Something for the store's thread to do.
pub(super) enum Job {
    /// Store a batch.
    Apply {
        /// What to store.
        batch: Batch,
        /// To be called then.
        done: Done,
    },
    /// Write a backup.
    Backup {
        /// Into this file.
        path: PathBuf,
        /// To be called then.
        done: BackupDone,
    },
}

/// What the store's thread does next.
pub(super) enum Work {
    /// Stores these batches with one write.
    Write(Vec<(Batch, Done)>),
    /// Writes a backup.
    Backup(PathBuf, BackupDone),
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Bytes of batches that wait or are being written.
    bytes: usize,
    life: Life,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Open,
    /// Takes nothing any more; what waits is still stored.
    Closed,
    /// Takes and stores nothing any more.
    Failed,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push_batch(&self, batch: Batch, done: Done) -> Result<(), Refused> {
        let refuse = |batch, done, reason| {
            Err(Refused {
                batch,
                done,
                reason,
            })
        };
        if let Some(reason) = unstorable(&batch) {
            return refuse(batch, done, reason);
        }
        let mut state = self.state();
        if state.life != Life::Open {
            return refuse(batch, done, Reason::Ended);
        }
        // One that is too large for an empty queue would never be taken otherwise.
        if state.bytes > 0 && state.bytes.saturating_add(batch.bytes()) > MAX_QUEUED_BYTES {
            return refuse(batch, done, Reason::Full);
        }
        state.bytes += batch.bytes();
        state.jobs.push_back(Job::Apply { batch, done });
        self.changed.notify_one();
        Ok(())
    }

    /// A job that has no bytes; dropped when the store has ended.
    pub(super) fn push(&self, job: Job) {
        let mut state = self.state();
        if state.life == Life::Open {
            state.jobs.push_back(job);
            self.changed.notify_one();
        }
    }

    /// Waits for work; none when the queue is closed and empty.
    pub(super) fn next(&self) -> Option<Work> {
        let state = self.state();
        let waiting = self.changed.wait_while(state, |state| {
            state.jobs.is_empty() && state.life == Life::Open
        });
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        let mut batches = Vec::new();
        let mut bytes = 0;
        loop {
            match state.jobs.pop_front() {
                Some(Job::Apply { batch, done }) => {
                    bytes += batch.bytes();
                    batches.push((batch, done));
                }
                Some(Job::Backup { path, done }) if batches.is_empty() => {
                    return Some(Work::Backup(path, done));
                }
                Some(backup) => {
                    state.jobs.push_front(backup);
                    return Some(Work::Write(batches));
                }
                None if batches.is_empty() => return None,
                None => return Some(Work::Write(batches)),
            }
            if bytes >= MAX_WRITE_BYTES {
                return Some(Work::Write(batches));
            }
        }
    }

    /// So many bytes wait no longer.
    pub(super) fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// What was queued is dropped, and nothing is taken any more.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        state.life = Life::Failed;
        state.bytes = 0;
        let dropped = std::mem::take(&mut state.jobs);
        // What is dropped may hold handles on the store; it goes without the lock.
        drop(state);
        drop(dropped);
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.life == Life::Open {
            state.life = Life::Closed;
        }
        self.changed.notify_one();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state().life == Life::Failed
    }

    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }
}

fn unstorable(batch: &Batch) -> Option<Reason> {
    let format = Key::format();
    batch.changes().iter().find_map(|change| match change {
        Change::Put(key, _) | Change::Delete(key) if *key == format => {
            Some(Reason::Reserved(key.clone()))
        }
        Change::Put(key, value) if value.len() > MAX_VALUE_BYTES => {
            Some(Reason::TooLong(key.clone()))
        }
        Change::Put(..) | Change::Delete(_) => None,
    })
}
