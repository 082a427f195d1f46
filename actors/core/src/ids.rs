//! Ids as distinct types, and the one source of random ids.
//! Knows nothing about what the ids name.

use std::fmt;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tepui_protocol::v1;
use uuid::Uuid;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $wire:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text of an id.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as the v1 API writes it.
            #[allow(clippy::needless_update, reason = "some ids have more fields on the wire")]
            pub fn to_v1(&self) -> v1::$wire {
                v1::$wire { value: self.0.to_string(), ..Default::default() }
            }
        }

        impl From<&v1::$wire> for $name {
            fn from(id: &v1::$wire) -> Self {
                $name(Arc::from(id.value.as_str()))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(Arc::from(text))
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Names a framework.
    FrameworkId, FrameworkId
);
text_id!(
    /// Names an agent.
    AgentId, AgentId
);
text_id!(
    /// Names an offer or an inverse offer.
    OfferId, OfferId
);
text_id!(
    /// Names a task within its framework.
    TaskId, TaskId
);
text_id!(
    /// Names an executor within its framework and agent.
    ExecutorId, ExecutorId
);
text_id!(
    /// The framework's own name for an operation.
    OperationId, OperationId
);
text_id!(
    /// Names one container (one run of an executor).
    ContainerId, ContainerId
);

/// A role's full path, e.g. `eng/web`; `*` is the default role.
pub type Role = Arc<str>;

/// Draws random ids from a seed, so that the same seed draws the same ids.
pub struct IdSource(StdRng);

impl IdSource {
    /// A source that starts from `seed`; a skin takes the seed from the operating system.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        IdSource(StdRng::from_seed(seed))
    }

    /// A random UUID (version 4).
    pub fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A random number, for back-off and shuffles.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl fmt::Debug for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdSource")
    }
}
