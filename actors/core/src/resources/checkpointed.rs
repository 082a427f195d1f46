//! What an agent must remember of its resources itself: reservations and volumes made at run time.
//! Stores nothing; the agent does.

use super::entry::{Entry, ReservationKind};
use super::{ResourceError, Resources};

impl Entry {
    /// Whether it was made at run time, and by no resource provider: the agent must remember it.
    ///
    /// Mesos: `needCheckpointing`.
    pub fn needs_checkpointing(&self) -> bool {
        self.provider().is_none() && (self.is_dynamically_reserved() || self.is_persistent_volume())
    }

    /// What the agent was started with, of which this was made.
    fn before_checkpointing(&self) -> Entry {
        let mut entry = self.without_persistence();
        let is_dynamic = |entry: &Entry| {
            let last = entry.reservations().last();
            last.is_some_and(|last| last.kind == ReservationKind::Dynamic)
        };
        while is_dynamic(&entry) {
            match entry.pop_reservation() {
                Some(popped) => entry = popped,
                None => break,
            }
        }
        entry
    }
}

impl Resources {
    /// The entries that an agent must remember itself.
    pub fn checkpointed(&self) -> Resources {
        self.filter(Entry::needs_checkpointing)
    }

    /// These resources, with which an agent was started, after reservations and volumes were made
    /// of them. Mesos: `applyCheckpointedResources`.
    ///
    /// # Errors
    /// When something was not made at run time, or what it was made of is not there.
    pub fn with_checkpointed(&self, checkpointed: &Resources) -> Result<Resources, ResourceError> {
        let mut total = self.clone();
        for entry in checkpointed {
            if !entry.needs_checkpointing() {
                return Err(ResourceError(format!(
                    "Unexpected checkpointed resources {entry}"
                )));
            }
            let before = Resources::from_iter([entry.before_checkpointing()]);
            if !total.contains(&before) {
                return Err(ResourceError(format!(
                    "Incompatible agent resources: {total} does not contain {before}"
                )));
            }
            total.subtract(&before);
            total.add_entry(entry.clone());
        }
        Ok(total)
    }
}
