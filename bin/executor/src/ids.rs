//! Random ids and delays, drawn from one seed so that a test sees the same ones every time.
//! Reads no random source itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Draws ids from a random seed.
#[derive(Debug)]
pub struct IdSource {
    seed: [u8; 16],
    drawn: u64,
}

impl IdSource {
    /// A source whose ids are as unique as its seed.
    pub fn from_seed(seed: [u8; 16]) -> Self {
        IdSource { seed, drawn: 0 }
    }

    /// The 16 bytes of a random UUID (version 4).
    pub fn uuid(&mut self) -> [u8; 16] {
        let number = u128::from(self.draw()) << 64 | u128::from(self.draw());
        let mut bytes = number.to_be_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }

    /// A random delay from zero to `max`, in whole milliseconds.
    pub fn delay_up_to(&mut self, max: Duration) -> Duration {
        let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(
            self.draw()
                .checked_rem(max_ms.saturating_add(1))
                .unwrap_or(0),
        )
    }

    /// Hashes seed and counter: each draw differs, and one does not tell the next.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        self.drawn.hash(&mut hasher);
        hasher.finish()
    }
}

/// The usual text of a UUID: lower-case hexadecimal in five groups.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_differ_and_have_version_four() {
        let mut ids = IdSource::from_seed([7; 16]);
        let (first, second) = (ids.uuid(), ids.uuid());
        assert_ne!(first, second);
        assert_ne!(first, IdSource::from_seed([8; 16]).uuid());
        let text = uuid_text(&first);
        assert_eq!(text.len(), 36);
        assert_eq!(text.matches('-').count(), 4);
        assert_eq!(&text[14..15], "4");
    }

    #[test]
    fn delays_stay_within_their_bound() {
        let mut ids = IdSource::from_seed([7; 16]);
        let delays: Vec<_> = (0..100)
            .map(|_| ids.delay_up_to(Duration::from_millis(50)).as_millis())
            .collect();
        assert!(delays.iter().all(|delay| *delay <= 50));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
        assert_eq!(ids.delay_up_to(Duration::ZERO), Duration::ZERO);
    }
}
