//! Dense numbers for what the allocator keeps, and a hash for them.
//! Ids occur only where messages come in.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct $name(pub usize);
    };
}

key!(
    /// Where an agent is kept.
    AgentKey
);
key!(
    /// Where a framework is kept.
    FrameworkKey
);
key!(
    /// Where a role is kept.
    RoleKey
);
key!(
    /// Where a framework's part in a role is kept.
    SubKey
);
key!(
    /// Where a top-level role's quota and consumption are kept.
    TopKey
);

/// A map from keys. They are numbers we gave, so nobody can choose them to collide.
pub(super) type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// Spreads one number by a multiplication.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing; the map takes its buckets from both ends of the product.
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}
