//! Status-update streams: every update of a task or operation reaches the one who asked, in order,
//! at least once. Keeps no other state and sends nothing: it says which update is to be sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tepui_protocol::v1::{OperationStatus, TaskStatus};

use super::model::is_terminal;
use super::restored::RestoredStream;
use crate::ids::{FrameworkId, TaskId};

/// Time after which an unacknowledged update is sent again; doubles each time.
pub const RETRY_MIN: Duration = Duration::from_secs(10);

/// Longest time between two attempts.
pub const RETRY_MAX: Duration = Duration::from_secs(600);

/// Updates of one stream that may wait for acknowledgement; further ones that are not terminal are
/// refused, and the executor keeps them.
pub const MAX_PENDING: usize = 1_000;

/// Acknowledged updates of one stream whose ids are remembered to recognise repetitions.
pub const MAX_REMEMBERED: usize = 1_000;

/// Names the stream of a task.
pub(super) type Key = (FrameworkId, TaskId);

/// What a stream carries.
pub(super) trait Update {
    /// What it is acknowledged by.
    fn uuid(&self) -> &[u8];
    /// Whether nothing can follow it.
    fn is_last(&self) -> bool;
}

impl Update for TaskStatus {
    fn uuid(&self) -> &[u8] {
        self.uuid.as_deref().unwrap_or_default()
    }

    fn is_last(&self) -> bool {
        is_terminal(self.state())
    }
}

impl Update for OperationStatus {
    fn uuid(&self) -> &[u8] {
        self.uuid.as_ref().map_or(&[], |uuid| &uuid.value)
    }

    /// The agent reports an operation once, when it has ended.
    fn is_last(&self) -> bool {
        true
    }
}

/// What became of an update that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the head of its stream: send it now.
    Head,
    /// It waits behind others.
    Queued,
    /// It was seen before.
    Duplicate,
    /// Too many wait already.
    Full,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// The next update is due now.
    Next,
    /// Nothing more to send at present.
    Idle,
    /// A terminal update was acknowledged: the stream is closed.
    Closed,
    /// No such update is in flight.
    Unknown,
}

#[derive(Debug)]
struct Stream<U> {
    pending: VecDeque<U>,
    seen: BTreeSet<Vec<u8>>,
    acknowledged: VecDeque<Vec<u8>>,
    retry: Duration,
}

/// All streams of one kind of an agent.
#[derive(Debug)]
pub(super) struct Streams<K, U> {
    streams: BTreeMap<K, Stream<U>>,
}

impl<K, U> Default for Streams<K, U> {
    fn default() -> Self {
        Streams {
            streams: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, U: Update> Streams<K, U> {
    /// Takes an update over; its uuid must be set.
    pub(super) fn update(&mut self, key: &K, status: U) -> Taken {
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Stream {
            pending: VecDeque::new(),
            seen: BTreeSet::new(),
            acknowledged: VecDeque::new(),
            retry: RETRY_MIN,
        });
        let uuid = status.uuid().to_vec();
        if stream.seen.contains(&uuid) {
            return Taken::Duplicate;
        }
        if stream.pending.len() >= MAX_PENDING && !status.is_last() {
            return Taken::Full;
        }
        stream.seen.insert(uuid);
        stream.pending.push_back(status);
        if stream.pending.len() == 1 {
            Taken::Head
        } else {
            Taken::Queued
        }
    }

    /// The update that is in flight, or is to be sent, on this stream.
    pub(super) fn head(&self, key: &K) -> Option<&U> {
        self.streams.get(key)?.pending.front()
    }

    /// Time to wait for the acknowledgement of the head just sent; doubles with every call.
    pub(super) fn retry_after(&mut self, key: &K) -> Duration {
        let Some(stream) = self.streams.get_mut(key) else {
            return RETRY_MIN;
        };
        let delay = stream.retry;
        stream.retry = (delay * 2).min(RETRY_MAX);
        delay
    }

    /// The one who asked has seen the update `uuid`.
    pub(super) fn acknowledge(&mut self, key: &K, uuid: &[u8]) -> Acknowledged {
        let Some(stream) = self.streams.get_mut(key) else {
            return Acknowledged::Unknown;
        };
        if stream.pending.front().map(U::uuid) != Some(uuid) {
            return Acknowledged::Unknown;
        }
        let Some(head) = stream.pending.pop_front() else {
            return Acknowledged::Unknown;
        };
        if head.is_last() {
            self.streams.remove(key);
            return Acknowledged::Closed;
        }
        stream.retry = RETRY_MIN;
        stream.acknowledged.push_back(uuid.to_vec());
        if stream.acknowledged.len() > MAX_REMEMBERED
            && let Some(oldest) = stream.acknowledged.pop_front()
        {
            stream.seen.remove(&oldest);
        }
        if stream.pending.is_empty() {
            Acknowledged::Idle
        } else {
            Acknowledged::Next
        }
    }

    /// Starts the retries of all streams afresh and names those with something to send.
    pub(super) fn resume(&mut self) -> Vec<K> {
        let mut due = Vec::new();
        for (key, stream) in &mut self.streams {
            stream.retry = RETRY_MIN;
            if !stream.pending.is_empty() {
                due.push(key.clone());
            }
        }
        due
    }

    /// Streams with something unacknowledged.
    pub(super) fn pending_keys(&self) -> Vec<K> {
        let waiting = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.pending.is_empty());
        waiting.map(|(key, _)| key.clone()).collect()
    }
}

impl Streams<Key, TaskStatus> {
    /// Shows every update there is, in the order of its task; of acknowledged ones only that they
    /// are, so that a repetition is known for one.
    pub(super) fn replay(&self, show: &mut dyn FnMut(&Key, &TaskStatus, bool)) {
        for (key, stream) in &self.streams {
            for uuid in &stream.acknowledged {
                let known = TaskStatus {
                    task_id: key.1.to_v1(),
                    uuid: Some(uuid.clone()),
                    ..TaskStatus::default()
                };
                show(key, &known, true);
            }
            for status in &stream.pending {
                show(key, status, false);
            }
        }
    }

    /// Puts a stream back as it was.
    pub(super) fn restore(&mut self, key: &Key, restored: RestoredStream) {
        let pending = restored.pending.iter().map(|status| status.uuid().to_vec());
        let stream = Stream {
            seen: pending
                .chain(restored.acknowledged.iter().cloned())
                .collect(),
            acknowledged: restored.acknowledged.into(),
            pending: restored.pending,
            retry: RETRY_MIN,
        };
        self.streams.insert(key.clone(), stream);
    }

    /// Whether any update of this framework waits for acknowledgement.
    pub(super) fn is_waiting(&self, framework: &FrameworkId) -> bool {
        self.of(framework)
            .any(|(_, stream)| !stream.pending.is_empty())
    }

    /// Forgets the streams of a framework and names them.
    pub(super) fn forget(&mut self, framework: &FrameworkId) -> Vec<Key> {
        let keys: Vec<Key> = self.of(framework).map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.streams.remove(key);
        }
        keys
    }

    fn of(&self, framework: &FrameworkId) -> impl Iterator<Item = (&Key, &Stream<TaskStatus>)> {
        let first = (framework.clone(), TaskId::new(""));
        self.streams
            .range(first..)
            .take_while(move |((owner, _), _)| owner == framework)
    }
}
