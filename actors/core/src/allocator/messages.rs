//! What the master tells the allocator, and what the allocator proposes.
//! These messages are the seam between the two: neither sees the other's state.

use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1;

use crate::ids::{AgentId, FrameworkId, Role};
use crate::resources::Resources;
use crate::validation::constraints::OfferConstraintsFilter;

/// Number the master gives each admission of an agent and each subscription of a framework.
///
/// A proposal carries both numbers; the master drops one whose number is no longer current.
pub type Generation = u64;

/// What the allocator must know of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentFacts {
    /// Host name, attributes, domain.
    pub info: Arc<v1::AgentInfo>,
    /// Announced capabilities, e.g. `MULTI_ROLE`.
    pub capabilities: Vec<String>,
}

/// What the allocator must know of a framework.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameworkFacts {
    /// Roles, capabilities, offer filters.
    pub info: Arc<v1::FrameworkInfo>,
    /// Roles the framework is subscribed to (from `role` or `roles`).
    pub roles: Vec<Role>,
    /// Roles for which it wants no offers now.
    pub suppressed: Vec<Role>,
    /// Which agents its roles must not be offered; validated and compiled with the master's limits.
    pub constraints: Option<Arc<OfferConstraintsFilter>>,
}

/// How long and where refused resources stay hidden.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal {
    /// Time the filter lasts, already clamped by the master's rules; zero sets no filter.
    pub timeout: Duration,
}

/// A change the master reports. All resources carry their allocation role unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A framework subscribed (or was recovered, then `active` is false).
    AddFramework {
        /// The framework.
        id: FrameworkId,
        /// Of this subscription.
        generation: Generation,
        /// What decides its offers.
        facts: FrameworkFacts,
        /// Resources it already holds, per agent.
        used: Vec<(AgentId, Resources)>,
        /// Whether it may get offers.
        active: bool,
    },
    /// A framework's data, suppressed roles or constraints changed.
    UpdateFramework {
        /// The framework.
        id: FrameworkId,
        /// The new data.
        facts: FrameworkFacts,
    },
    /// A framework may get offers again.
    ActivateFramework {
        /// The framework.
        id: FrameworkId,
        /// Of the new subscription.
        generation: Generation,
    },
    /// A framework is disconnected: no offers, its filters are dropped.
    DeactivateFramework(FrameworkId),
    /// A framework is gone; what it held has been recovered before.
    RemoveFramework(FrameworkId),
    /// An agent was admitted or came back.
    AddAgent {
        /// The agent.
        id: AgentId,
        /// Of this admission.
        generation: Generation,
        /// Attributes, capabilities, domain.
        facts: AgentFacts,
        /// All its resources, without allocation roles.
        total: Resources,
        /// What frameworks hold on it; frameworks the allocator does not know yet are kept.
        used: Vec<(FrameworkId, Resources)>,
    },
    /// An agent's data or total resources changed.
    UpdateAgent {
        /// The agent.
        id: AgentId,
        /// New facts.
        facts: AgentFacts,
        /// New total, without allocation roles.
        total: Resources,
    },
    /// An agent is connected and may be offered.
    ActivateAgent(AgentId),
    /// An agent is disconnected, draining or deactivated: it is not offered.
    DeactivateAgent(AgentId),
    /// An agent is gone with all that was allocated on it.
    RemoveAgent(AgentId),
    /// A framework turned part of an offer into tasks: the resources stay allocated.
    ///
    /// `offered` was allocated by a proposal; after this the framework holds `used` and the
    /// rest has been (or will be) released by [`Command::Release`].
    Release {
        /// Who held the resources.
        framework: FrameworkId,
        /// Where.
        agent: AgentId,
        /// What comes back.
        resources: Resources,
        /// Set when the framework refused them: hides them from it for a while.
        refusal: Option<Refusal>,
    },
    /// A framework holds more on an agent than the allocator gave it (found at re-registration).
    Charge {
        /// Who holds the resources.
        framework: FrameworkId,
        /// Where.
        agent: AgentId,
        /// What it holds.
        resources: Resources,
    },
    /// Allocated resources changed form (reserve, create and so on): total and allocation follow.
    Transform {
        /// Who holds the resources.
        framework: FrameworkId,
        /// Where.
        agent: AgentId,
        /// What is taken away, with its allocation role.
        consumed: Resources,
        /// What takes its place.
        converted: Resources,
    },
    /// Offers wanted again for these roles (all when empty); their filters are dropped.
    Revive {
        /// The framework.
        framework: FrameworkId,
        /// The roles.
        roles: Vec<Role>,
    },
    /// No offers wanted for these roles (all when empty); filters stay.
    Suppress {
        /// The framework.
        framework: FrameworkId,
        /// The roles.
        roles: Vec<Role>,
    },
}

/// Resources the allocator has set aside for a framework: to be made an offer by the master,
/// or to be given back with [`Command::Release`].
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Who is to get them.
    pub framework: FrameworkId,
    /// The framework's generation the allocator knew.
    pub framework_generation: Generation,
    /// In which role.
    pub role: Role,
    /// Where they are.
    pub agent: AgentId,
    /// The agent's generation the allocator knew.
    pub agent_generation: Generation,
    /// What, with allocation role set.
    pub resources: Resources,
}
