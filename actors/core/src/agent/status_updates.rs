//! Status-update streams: every update of a task reaches the framework, in order, at least once.
//! Keeps no task state and sends nothing itself: it says which update is to be sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tepui_protocol::v1::TaskStatus;

use super::model::is_terminal;
use crate::ids::{FrameworkId, TaskId};

/// Time after which an unacknowledged update is sent again; doubles each time.
pub const RETRY_MIN: Duration = Duration::from_secs(10);

/// Longest time between two attempts.
pub const RETRY_MAX: Duration = Duration::from_secs(600);

/// Updates of one task that may wait for acknowledgement; further ones that are not terminal are
/// refused, and the executor keeps them.
pub const MAX_PENDING: usize = 1_000;

/// Acknowledged updates of one task whose ids are remembered to recognise repetitions.
pub const MAX_REMEMBERED: usize = 1_000;

/// Names one stream.
pub(super) type Key = (FrameworkId, TaskId);

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
struct Stream {
    pending: VecDeque<TaskStatus>,
    seen: BTreeSet<Vec<u8>>,
    acknowledged: VecDeque<Vec<u8>>,
    retry: Duration,
}

/// All streams of an agent.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: BTreeMap<Key, Stream>,
}

impl Streams {
    /// Takes an update over; its `uuid` must be set.
    pub(super) fn update(&mut self, key: &Key, status: TaskStatus) -> Taken {
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Stream {
            pending: VecDeque::new(),
            seen: BTreeSet::new(),
            acknowledged: VecDeque::new(),
            retry: RETRY_MIN,
        });
        let uuid = status.uuid.clone().unwrap_or_default();
        if stream.seen.contains(&uuid) {
            return Taken::Duplicate;
        }
        if stream.pending.len() >= MAX_PENDING && !is_terminal(status.state()) {
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
    pub(super) fn head(&self, key: &Key) -> Option<&TaskStatus> {
        self.streams.get(key)?.pending.front()
    }

    /// Time to wait for the acknowledgement of the head just sent; doubles with every call.
    pub(super) fn retry_after(&mut self, key: &Key) -> Duration {
        let Some(stream) = self.streams.get_mut(key) else {
            return RETRY_MIN;
        };
        let delay = stream.retry;
        stream.retry = (delay * 2).min(RETRY_MAX);
        delay
    }

    /// The framework has seen the update `uuid`.
    pub(super) fn acknowledge(&mut self, key: &Key, uuid: &[u8]) -> Acknowledged {
        let Some(stream) = self.streams.get_mut(key) else {
            return Acknowledged::Unknown;
        };
        if stream.pending.front().and_then(|head| head.uuid.as_deref()) != Some(uuid) {
            return Acknowledged::Unknown;
        }
        let Some(head) = stream.pending.pop_front() else {
            return Acknowledged::Unknown;
        };
        if is_terminal(head.state()) {
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
    pub(super) fn resume(&mut self) -> Vec<Key> {
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
    pub(super) fn pending_keys(&self) -> Vec<Key> {
        let waiting = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.pending.is_empty());
        waiting.map(|(key, _)| key.clone()).collect()
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

    fn of(&self, framework: &FrameworkId) -> impl Iterator<Item = (&Key, &Stream)> {
        let first = (framework.clone(), TaskId::new(""));
        self.streams
            .range(first..)
            .take_while(move |((owner, _), _)| owner == framework)
    }
}
