//! Ids as distinct types, and the one source of random ids.
//! Knows nothing about what the ids name.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tepui_protocol::v1;
use uuid::Uuid;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $wire:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl Ord for $name {
            // Most ids that are compared are alike, and copies of one: keys of many maps begin
            // with the framework's.
            fn cmp(&self, other: &Self) -> Ordering {
                match Arc::ptr_eq(&self.0, &other.0) {
                    true => Ordering::Equal,
                    false => self.0.cmp(&other.0),
                }
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

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
    /// Names one container: one run of an executor, or a container in another one, whose text is
    /// that of the outer one, a dot and its own, as Mesos writes it.
    ContainerId, ContainerId
);

impl ContainerId {
    /// Between the id of a container and that of one in it; no id has one itself.
    const SEPARATOR: char = '.';

    /// The id of the API with all that it is in, outermost first.
    pub fn of_chain(id: &v1::ContainerId) -> Self {
        let mut names = vec![id.value.as_str()];
        let mut outer = id.parent.as_deref();
        while let Some(id) = outer {
            names.push(&id.value);
            outer = id.parent.as_deref();
        }
        names.reverse();
        ContainerId::new(names.join("."))
    }

    /// The id as the API writes it, with all that it is in.
    pub fn to_chain(&self) -> v1::ContainerId {
        v1::ContainerId {
            value: self.name().to_owned(),
            parent: self.parent().map(|outer| Box::new(outer.to_chain())),
        }
    }

    /// The container that this one is in.
    pub fn parent(&self) -> Option<ContainerId> {
        let (outer, _) = self.0.rsplit_once(Self::SEPARATOR)?;
        Some(ContainerId::from(outer))
    }

    /// The outermost container.
    pub fn root(&self) -> ContainerId {
        let (outermost, _) = self.0.split_once(Self::SEPARATOR).unwrap_or((&self.0, ""));
        ContainerId::from(outermost)
    }

    /// Its own part of the id.
    pub fn name(&self) -> &str {
        self.0.rsplit(Self::SEPARATOR).next().unwrap_or_default()
    }

    /// In how many others it is.
    pub fn depth(&self) -> usize {
        self.0.matches(Self::SEPARATOR).count()
    }

    /// Whether it is in `outer`, be it in another one there.
    pub fn is_within(&self, outer: &ContainerId) -> bool {
        let rest = self.0.strip_prefix(outer.as_str());
        rest.is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }
}

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
