//! Counts what waits in the outbound queue of one peer, and tells when it is too much.
//! Holds no messages itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Messages and bytes that may wait for one peer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages, encoded or not.
    pub messages: usize,
    /// Bytes of encoded messages.
    pub bytes: usize,
}

/// What waits for one peer.
#[derive(Debug)]
pub struct Load {
    limits: Limits,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    overflown: AtomicBool,
}

impl Load {
    /// Nothing waits yet.
    pub fn new(limits: Limits) -> Self {
        Load {
            limits,
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            overflown: AtomicBool::new(false),
        }
    }

    /// One more message waits; false when the peer has too many, now or before.
    pub fn add_message(&self) -> bool {
        let waiting = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        self.check(waiting <= self.limits.messages)
    }

    /// A waiting message was encoded to so many bytes; false when the peer has too many.
    ///
    /// One message larger than the limit is let through when nothing else waits: it could
    /// otherwise never be sent.
    pub fn add_bytes(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.check(before == 0 || before.saturating_add(bytes) <= self.limits.bytes)
    }

    /// A message of so many bytes is on its way.
    pub fn sent(&self, bytes: usize) {
        self.sent_all(1, bytes);
    }

    /// So many messages with so many bytes together are on their way.
    pub fn sent_all(&self, messages: usize, bytes: usize) {
        self.messages.fetch_sub(messages, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether the peer has ever had too much waiting; it is given up then.
    pub fn is_overflown(&self) -> bool {
        self.overflown.load(Ordering::Relaxed)
    }

    fn check(&self, fits: bool) -> bool {
        if !fits {
            self.overflown.store(true, Ordering::Relaxed);
        }
        !self.is_overflown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        messages: 2,
        bytes: 10,
    };

    #[test]
    fn too_many_messages_overflow_for_good() {
        let load = Load::new(LIMITS);
        assert!(load.add_message());
        assert!(load.add_message());
        load.sent(0);
        assert!(load.add_message());
        assert!(!load.add_message());
        load.sent(0);
        load.sent(0);
        assert!(
            !load.add_message(),
            "a peer that was given up stays given up"
        );
    }

    #[test]
    fn too_many_bytes_overflow() {
        let load = Load::new(LIMITS);
        assert!(load.add_bytes(6));
        assert!(!load.add_bytes(5));
        assert!(load.is_overflown());
    }

    #[test]
    fn a_single_large_message_passes() {
        let load = Load::new(LIMITS);
        assert!(load.add_message());
        assert!(load.add_bytes(100));
        load.sent(100);
        assert!(load.add_bytes(10));
    }
}
