//! What the master tells the allocator, and what the allocator proposes.
//! These messages are the seam between the two: neither sees the other's state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1;

use crate::ids::{AgentId, FrameworkId, Role};
use crate::quota::Quota;
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
    pub capabilities: Arc<[String]>,
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
        /// When its machine is planned to be away, if it is.
        unavailability: Option<v1::Unavailability>,
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
    /// Resources that nobody holds changed form on behalf of an operator. Answered by
    /// [`Notice::Transformed`]: a proposal under way may have set them aside just before.
    TransformFree {
        /// Where.
        agent: AgentId,
        /// What is taken away, without allocation roles.
        consumed: Resources,
        /// What takes its place.
        converted: Resources,
        /// Names the answer.
        token: u64,
    },
    /// A role's quota; the default quota ends it.
    SetQuota {
        /// A top-level role, with or without frameworks.
        role: Role,
        /// The new quota.
        quota: Quota,
    },
    /// New weights of role paths; those not named stay as they are.
    UpdateWeights(Vec<(Role, f64)>),
    /// Host names whose agents may be offered; `None` allows all.
    SetWhitelist(Option<BTreeSet<String>>),
    /// When an agent's machine is planned to be away; drops the agent's inverse offers and their
    /// filters.
    SetUnavailability {
        /// The agent.
        agent: AgentId,
        /// The plan, or none any more.
        plan: Option<v1::Unavailability>,
    },
    /// An inverse offer is no longer outstanding: answered, rescinded or lost.
    EndInverseOffer {
        /// To whom it was made.
        framework: FrameworkId,
        /// For which agent.
        agent: AgentId,
        /// Set when the framework answered: no further one for a while.
        refusal: Option<Refusal>,
    },
    /// First of all after a change of master: what the registry holds. With any quota, nothing is
    /// allocated until enough of the expected agents are back or time is up.
    Recover {
        /// Agents in the registry.
        expected_agents: usize,
        /// Quotas in the registry.
        quotas: Vec<(Role, Quota)>,
        /// Weights in the registry.
        weights: Vec<(Role, f64)>,
    },
}

/// What a command led to besides a change of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The answer to [`Command::TransformFree`].
    Transformed {
        /// Of the command.
        token: u64,
        /// What is missing, if it could not be done; nothing is changed then.
        result: Result<(), String>,
    },
}

/// What a run decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Proposals {
    /// Resources to be offered.
    pub offers: Vec<Proposal>,
    /// Frameworks to be asked to leave agents.
    pub inverse_offers: Vec<InverseProposal>,
}

impl Proposals {
    /// True when nothing is proposed.
    pub fn is_empty(&self) -> bool {
        self.offers.is_empty() && self.inverse_offers.is_empty()
    }
}

/// A framework that holds resources on an agent is to be told when the agent will be away. It
/// stays outstanding until [`Command::EndInverseOffer`].
#[derive(Debug, Clone, PartialEq)]
pub struct InverseProposal {
    /// Who is to be asked.
    pub framework: FrameworkId,
    /// The framework's generation the allocator knew.
    pub framework_generation: Generation,
    /// Which agent it is about.
    pub agent: AgentId,
    /// The agent's generation the allocator knew.
    pub agent_generation: Generation,
    /// When the agent will be away.
    pub unavailability: v1::Unavailability,
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
