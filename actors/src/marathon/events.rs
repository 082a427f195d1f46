//! The event stream's memory: the latest events, which every subscriber reads at its own pace.
//! Speaks no HTTP; a subscriber that is too slow is told what it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// So many of the latest events are kept.
const MAX_EVENTS: usize = 16_384;

/// So many bytes of events are kept.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// An event as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Counts from 1 over the life of the leader.
    pub id: u64,
    /// Its name in the stream.
    pub name: &'static str,
    /// Its JSON, on one line.
    pub json: Arc<str>,
}

/// What a subscriber gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Event(Sent),
    /// So many events were dropped before this subscriber had read them.
    Gap(u64),
}

/// How far the stream has come.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    id: u64,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Memory {
    events: VecDeque<Sent>,
    bytes: usize,
}

/// The event stream; copies are the same one.
#[derive(Debug, Clone)]
pub struct EventHub {
    memory: Arc<Mutex<Memory>>,
    last: Arc<watch::Sender<Last>>,
}

/// One reader of the stream.
#[derive(Debug)]
pub struct Subscription {
    memory: Arc<Mutex<Memory>>,
    last: watch::Receiver<Last>,
    next: u64,
}

impl Default for EventHub {
    fn default() -> EventHub {
        EventHub {
            memory: Arc::default(),
            last: Arc::new(watch::Sender::new(Last::default())),
        }
    }
}

impl EventHub {
    /// Adds an event; the oldest ones make room.
    pub fn publish(&self, name: &'static str, json: String) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.last.borrow().id + 1;
        memory.bytes += json.len();
        memory.events.push_back(Sent {
            id,
            name,
            json: json.into(),
        });
        while memory.events.len() > MAX_EVENTS || memory.bytes > MAX_BYTES {
            let Some(oldest) = memory.events.pop_front() else {
                break;
            };
            memory.bytes -= oldest.json.len();
        }
        drop(memory);
        self.last.send_modify(|last| last.id = id);
    }

    /// Ends the streams of all subscribers, once they have read what is there.
    pub fn close(&self) {
        self.last.send_modify(|last| last.is_closed = true);
    }

    /// Reads from the event after `seen` on; without it, only what is yet to come.
    pub fn subscribe(&self, seen: Option<u64>) -> Subscription {
        let mut last = self.last.subscribe();
        let latest = last.borrow_and_update().id;
        // An id of an earlier leader says nothing.
        let seen = seen.filter(|seen| *seen <= latest);
        Subscription {
            memory: self.memory.clone(),
            last,
            next: seen.unwrap_or(latest) + 1,
        }
    }
}

impl Subscription {
    /// The next event; none when the stream has ended.
    pub async fn next(&mut self) -> Option<Next> {
        loop {
            let is_closed = self.last.borrow_and_update().is_closed;
            if let Some(next) = self.ready() {
                return Some(next);
            }
            if is_closed {
                return None;
            }
            self.last.changed().await.ok()?;
        }
    }

    fn ready(&mut self) -> Option<Next> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let first = memory.events.front()?.id;
        if self.next < first {
            let lost = first - self.next;
            self.next = first;
            return Some(Next::Gap(lost));
        }
        let place = usize::try_from(self.next - first).ok()?;
        let sent = memory.events.get(place)?.clone();
        self.next += 1;
        Some(Next::Event(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_subscriber_reads_all_that_comes_and_can_resume() {
        let hub = EventHub::default();
        hub.publish("before", "{}".into());
        let mut first = hub.subscribe(None);
        for at in 0..3 {
            hub.publish("event", format!("{{\"at\":{at}}}"));
        }
        for at in 0..3 {
            let Some(Next::Event(sent)) = first.next().await else {
                panic!("expected an event");
            };
            assert_eq!(
                (sent.id, &*sent.json),
                (at + 2, &*format!("{{\"at\":{at}}}"))
            );
        }
        let mut resumed = hub.subscribe(Some(3));
        let Some(Next::Event(sent)) = resumed.next().await else {
            panic!("expected an event");
        };
        assert_eq!(sent.id, 4);
        drop(hub);
        assert_eq!(first.next().await, None);
    }

    #[tokio::test]
    async fn a_closed_stream_ends_after_what_is_there() {
        let hub = EventHub::default();
        let mut reader = hub.subscribe(None);
        hub.publish("last", "{}".into());
        hub.close();
        assert!(matches!(reader.next().await, Some(Next::Event(_))));
        assert_eq!(reader.next().await, None);
        assert_eq!(hub.subscribe(None).next().await, None);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_what_it_missed() {
        let hub = EventHub::default();
        let mut slow = hub.subscribe(None);
        for _ in 0..MAX_EVENTS + 10 {
            hub.publish("event", "{}".into());
        }
        assert_eq!(slow.next().await, Some(Next::Gap(10)));
        assert!(matches!(slow.next().await, Some(Next::Event(sent)) if sent.id == 11));
        let mut stranger = hub.subscribe(Some(u64::MAX));
        hub.publish("event", "{}".into());
        assert!(matches!(stranger.next().await, Some(Next::Event(sent))
            if sent.id == MAX_EVENTS as u64 + 11));
        let big = "x".repeat(MAX_BYTES);
        hub.publish("event", big);
        let memory = hub.memory.lock().expect("memory");
        assert_eq!(memory.events.len(), 1);
    }
}
