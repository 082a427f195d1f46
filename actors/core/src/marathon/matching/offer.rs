//! An offer that is being used: where it is from and what is left of it.
//! Does not choose; `match_offer` does.

use tepui_protocol::v1;

use crate::ids::{AgentId, OfferId, Role};
use crate::marathon::constraint::place_of;
use crate::marathon::place::Place;
use crate::resources::{Entry, ResourceError, Resources};

use super::{ANY_ROLE, Match};

/// The label of what Marathon reserved for one resident instance.
const TASK_LABEL: &str = "marathon_task_id";

/// An offer, read once and used for several launches.
#[derive(Debug, Clone)]
pub struct OpenOffer {
    /// Its id.
    pub id: OfferId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Where it is, as constraints see it.
    pub place: Place,
    /// The role it is allocated to.
    pub role: Option<Role>,
    /// What is left of it.
    pub remaining: Resources,
    /// GPUs it came with, in thousandths; they make its agent scarce.
    pub gpus_milli: i64,
    /// The maintenance planned for its agent.
    pub unavailability: Option<v1::Unavailability>,
    /// How many instances have been taken from it, for `--max_instances_per_offer`.
    pub launches: u32,
}

impl OpenOffer {
    /// Reads an offer.
    ///
    /// # Errors
    /// When its resources are not valid.
    pub fn read(offer: &v1::Offer) -> Result<OpenOffer, ResourceError> {
        let mut remaining = Resources::from_v1(&offer.resources)?;
        let info = offer.allocation_info.as_ref();
        let role: Option<Role> = info
            .and_then(|info| info.role.as_deref())
            .map(Role::from)
            .or_else(|| remaining.sole_allocation_role().cloned());
        if let Some(role) = &role {
            remaining = remaining.allocated_to(role);
        }
        Ok(OpenOffer {
            id: OfferId::from(&offer.id),
            agent_id: AgentId::from(&offer.agent_id),
            place: place_of(offer),
            role,
            gpus_milli: remaining.scalar_milli("gpus"),
            remaining,
            unavailability: offer.unavailability,
            launches: 0,
        })
    }

    /// Takes what a match consumes, so that the next one finds only the rest.
    pub fn take(&mut self, matched: &Match) {
        self.remaining.subtract(&matched.resources);
        self.remaining.subtract(&matched.executor_resources);
        self.launches = self.launches.saturating_add(1);
    }

    /// What an app may use that accepts these roles.
    pub(super) fn usable_by(&self, roles: &[&str]) -> Resources {
        self.remaining.filter(|entry| {
            let role = entry
                .reservation_role()
                .map_or(ANY_ROLE, |role| role.as_ref());
            roles.contains(&role) && is_ordinary(entry)
        })
    }
}

/// Whether any instance may use it: neither a volume, nor kept for a resident instance, nor such
/// that Mesos may take it back.
fn is_ordinary(entry: &Entry) -> bool {
    let has_volume = entry.disk().is_some_and(|disk| disk.volume.is_some());
    let labels = entry
        .reservations()
        .iter()
        .filter_map(|reservation| reservation.labels.as_ref());
    let mut labels = labels.flat_map(|labels| &labels.labels);
    !entry.is_persistent_volume()
        && !has_volume
        && !entry.is_shared()
        && !entry.is_revocable()
        && !labels.any(|label| label.key == TASK_LABEL)
}
