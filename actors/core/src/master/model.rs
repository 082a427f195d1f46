//! What the master knows: agents, frameworks, tasks, operations, offers.
//! Cheap to copy: readers get a [`Snapshot`] that shares memory with the live state.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use tepui_protocol::v1;
use uuid::Uuid;

use super::agent_sums::AgentSums;
use super::counters::Counters;
use super::framework_counters::FrameworkCounters;
use super::messages::{LinkId, StreamId};
pub use super::task_record::Task;
use crate::allocator::messages::Generation;
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId, OperationId, Role, TaskId};
use crate::maintenance::{MachineKey, Maintenance};
use crate::memo::{Memo, Parts, Still};
use crate::quota::Quota;
use crate::registry::Deactivation;
use crate::resources::Resources;
use crate::time::{Mono, Wall};

/// How far this master is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Another master leads, or none; whoever runs this master waits for its election.
    Standby,
    /// The registry is being read.
    Recovering,
    /// Calls are served.
    Serving,
}

/// Life cycle of an admitted agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// Its link is up.
    Connected(LinkId),
    /// Its link is down since then; it may come back.
    Disconnected(Mono),
}

/// An agent that the master would give up, if it were not one of too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What an operator would allow.
    pub from: HeldFrom,
    /// Why the master would do it.
    pub why: String,
    /// Since when it waits for an operator's word.
    pub since: Wall,
}

/// What is held back from an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldFrom {
    /// Being marked unreachable: frameworks would be told that their tasks are lost.
    Removal,
    /// Being shut down when it comes back: its tasks would be killed.
    ShutDown,
}

/// An executor the master knows of.
#[derive(Debug, Clone, PartialEq)]
pub struct Executor {
    /// Its description.
    pub info: Arc<v1::ExecutorInfo>,
    /// Its resources, with allocation role.
    pub resources: Resources,
}

/// An admitted agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its description, with its id and without its resources.
    pub info: Arc<v1::AgentInfo>,
    /// The resources of its description, in the memory of other agents' where those are alike.
    pub described: Arc<[v1::Resource]>,
    /// `slave(1)@ip:port`, as Mesos names agents.
    pub pid: String,
    /// The machine it runs on, for maintenance.
    pub machine: MachineKey,
    /// Version of Mesos's interfaces it speaks.
    pub version: String,
    /// Names of its capabilities.
    pub capabilities: Arc<[String]>,
    /// Of this admission.
    pub generation: Generation,
    /// Whether its link is up.
    pub state: AgentState,
    /// All its resources, without allocation roles.
    pub total: Resources,
    /// What tasks and executors use, per framework, with allocation roles.
    pub used: OrdMap<FrameworkId, Resources>,
    /// Its executors.
    pub executors: OrdMap<(FrameworkId, ExecutorId), Executor>,
    /// Its non-removed tasks.
    pub tasks: OrdSet<(FrameworkId, TaskId)>,
    /// Its operations, until their end is acknowledged.
    pub operations: OrdMap<Uuid, Arc<Operation>>,
    /// Outstanding offers of its resources.
    pub offers: OrdSet<OfferId>,
    /// How an operator keeps it out of offers, if one does.
    pub deactivation: Option<Deactivation>,
    /// Since when it ends its tasks, as far as this master knows.
    pub drain_started: Option<Wall>,
    /// First registration.
    pub registered_time: Wall,
    /// Last re-registration.
    pub reregistered_time: Option<Wall>,
    /// When it last registered or re-registered.
    pub arrived: Mono,
    /// What was written of all but its state, what is used and what is offered.
    pub still: Still<AgentKey>,
}

/// What changes when anything does that [`Agent::still`] tells of.
#[derive(Debug)]
pub struct AgentKey {
    /// Another description may come with each re-registration.
    info: Arc<v1::AgentInfo>,
    total: Resources,
    reregistered_time: Option<Wall>,
}

impl Agent {
    /// Its whole description.
    pub fn description(&self) -> v1::AgentInfo {
        v1::AgentInfo {
            resources: self.described.to_vec(),
            ..v1::AgentInfo::clone(&self.info)
        }
    }

    /// What was written of its description, its version, its capabilities, its address, its
    /// resources and the times of its registrations.
    pub fn still(&self) -> Arc<Parts<AgentKey>> {
        let is_key = |key: &AgentKey| {
            Arc::ptr_eq(&key.info, &self.info)
                && key.reregistered_time == self.reregistered_time
                && (key.total.is_same_copy(&self.total) || key.total == self.total)
        };
        self.still.of(is_key, || AgentKey {
            info: self.info.clone(),
            total: self.total.clone(),
            reregistered_time: self.reregistered_time,
        })
    }

    /// Its link, while it is connected.
    pub fn link(&self) -> Option<LinkId> {
        match self.state {
            AgentState::Connected(link) => Some(link),
            AgentState::Disconnected(_) => None,
        }
    }

    /// Whether its resources are offered: its link is up, and no operator keeps it out.
    pub fn is_active(&self) -> bool {
        self.link().is_some() && self.deactivation.is_none()
    }

    /// Its tasks of one framework.
    pub fn tasks_of<'a>(&'a self, framework: &'a FrameworkId) -> impl Iterator<Item = &'a TaskId> {
        self.tasks
            .range((framework.clone(), TaskId::from(""))..)
            .take_while(move |(owner, _)| owner == framework)
            .map(|(_, task)| task)
    }

    /// Its executors of one framework.
    pub fn executors_of<'a>(
        &'a self,
        framework: &'a FrameworkId,
    ) -> impl Iterator<Item = (&'a ExecutorId, &'a Executor)> {
        self.executors
            .range((framework.clone(), ExecutorId::from(""))..)
            .take_while(move |((owner, _), _)| owner == framework)
            .map(|((_, id), executor)| (id, executor))
    }
}

/// An operation on reservations or volumes that an agent is to carry out.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The master's own name for it.
    pub uuid: Uuid,
    /// Who asked for it; none for an operator.
    pub framework: Option<FrameworkId>,
    /// Its description in the form of the API; `latest_status` and `statuses` are kept current.
    pub info: v1::Operation,
}

impl Operation {
    /// The framework's own name for it, if the framework wants to hear of it.
    pub fn id(&self) -> Option<&v1::OperationId> {
        self.info.info.id.as_ref()
    }

    /// The last status the framework was told, or would have been.
    pub fn last_status(&self) -> &v1::OperationStatus {
        let last = self.info.statuses.last();
        last.unwrap_or(&self.info.latest_status)
    }

    /// Whether it has ended; Mesos's `isTerminalState`.
    pub fn is_terminal(&self) -> bool {
        is_terminal(self.info.latest_status.state())
    }
}

/// Whether an operation in this state has ended.
pub fn is_terminal(state: v1::OperationState) -> bool {
    use v1::OperationState as State;
    match state {
        State::OperationFinished
        | State::OperationFailed
        | State::OperationError
        | State::OperationDropped
        | State::OperationGoneByOperator => true,
        State::OperationUnsupported
        | State::OperationPending
        | State::OperationUnreachable
        | State::OperationRecovering
        | State::OperationUnknown => false,
    }
}

/// How many tasks are in each state, kept current so that nobody has to count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskCounts([usize; TaskCounts::STATES]);

impl TaskCounts {
    /// States are numbered from zero; a higher number is one that a newer peer made up.
    const STATES: usize = 16;

    /// Tasks in this state.
    pub fn of(&self, state: v1::TaskState) -> usize {
        let place = usize::try_from(state as i32).ok();
        place.and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }

    /// One more task is in the state of this number.
    pub(super) fn add(&mut self, state: i32) {
        if let Some(count) = self.place(state) {
            *count += 1;
        }
    }

    /// One task less is in the state of this number.
    pub(super) fn remove(&mut self, state: i32) {
        if let Some(count) = self.place(state) {
            *count = count.saturating_sub(1);
        }
    }

    fn place(&mut self, state: i32) -> Option<&mut usize> {
        usize::try_from(state)
            .ok()
            .and_then(|at| self.0.get_mut(at))
    }
}

/// Life cycle of a framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameworkState {
    /// Subscribed on this stream, and gets offers.
    Active(StreamId),
    /// Its stream ended then; it is removed when its failover timeout has passed.
    Disconnected(Mono),
    /// Known from its tasks only, after a change of master.
    Recovered,
}

/// A framework.
#[derive(Debug, Clone)]
pub struct Framework {
    /// Its id.
    pub id: FrameworkId,
    /// Its description; `id` is set.
    pub info: Arc<v1::FrameworkInfo>,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Its suppressed roles.
    pub suppressed: OrdSet<Role>,
    /// Its offer constraints as sent.
    pub constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
    /// Of this subscription.
    pub generation: Generation,
    /// Whether it is subscribed.
    pub state: FrameworkState,
    /// Its tasks: not terminal, or terminal and not yet acknowledged.
    pub tasks: OrdMap<TaskId, Arc<Memo<Task>>>,
    /// Of these, how many are in each state.
    pub task_counts: TaskCounts,
    /// Tasks on unreachable agents.
    pub unreachable_tasks: OrdMap<TaskId, Arc<Memo<Task>>>,
    /// The last finished tasks, oldest first, bounded.
    pub completed_tasks: Vector<Arc<Memo<Task>>>,
    /// Its executors, per agent.
    pub executors: OrdMap<(AgentId, ExecutorId), Executor>,
    /// Its operations, and the agents that hold them.
    pub operations: OrdMap<Uuid, AgentId>,
    /// Its operations by the names it gave them.
    pub operation_ids: OrdMap<OperationId, Uuid>,
    /// Its outstanding offers.
    pub offers: OrdSet<OfferId>,
    /// First subscription.
    pub registered_time: Wall,
    /// Last subscription after the first.
    pub reregistered_time: Option<Wall>,
    /// When it was removed or last disconnected.
    pub unregistered_time: Option<Wall>,
    /// What was counted of it; copies share it.
    pub counters: Arc<FrameworkCounters>,
}

impl Framework {
    /// Its event stream, while it is subscribed.
    pub fn stream(&self) -> Option<&StreamId> {
        match &self.state {
            FrameworkState::Active(stream) => Some(stream),
            FrameworkState::Disconnected(_) | FrameworkState::Recovered => None,
        }
    }

    /// Whether it announced this capability.
    pub fn has_capability(&self, capability: v1::framework_info::capability::Type) -> bool {
        let wanted = Some(capability as i32);
        self.info.capabilities.iter().any(|c| c.r#type == wanted)
    }

    /// Whether it knows the task states that came with PARTITION_AWARE.
    pub fn is_partition_aware(&self) -> bool {
        self.has_capability(v1::framework_info::capability::Type::PartitionAware)
    }
}

/// An outstanding offer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// To whom.
    pub framework: FrameworkId,
    /// Of which agent.
    pub agent: AgentId,
    /// In which role.
    pub role: Role,
    /// What, with allocation role.
    pub resources: Resources,
    /// When it expires, if offers do.
    pub expires: Option<Mono>,
}

/// A question whether a framework can leave an agent that is planned to be away.
#[derive(Debug, Clone, PartialEq)]
pub struct InverseOffer {
    /// Its id; offers and inverse offers share their numbers.
    pub id: OfferId,
    /// Who is asked.
    pub framework: FrameworkId,
    /// Which agent it is about.
    pub agent: AgentId,
    /// When the agent will be away.
    pub unavailability: v1::Unavailability,
    /// When it expires, if offers do.
    pub expires: Option<Mono>,
}

/// A framework's last answer to an inverse offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InverseOfferAnswer {
    /// Whether it will leave the agent.
    pub accepted: bool,
    /// When it said so.
    pub at: Wall,
}

/// A consistent view of the master for readers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The master itself.
    pub master: Arc<v1::MasterInfo>,
    /// When the master process started.
    pub start_time: Wall,
    /// When it was elected.
    pub elected_time: Wall,
    /// How far it is.
    pub phase: Phase,
    /// Admitted agents.
    pub agents: OrdMap<AgentId, Arc<Memo<Agent>>>,
    /// Sums over them.
    pub agent_sums: AgentSums,
    /// Agents in the registry that have not come back yet.
    pub recovered_agents: OrdMap<AgentId, Arc<v1::AgentInfo>>,
    /// Unreachable agents and since when.
    pub unreachable_agents: OrdMap<AgentId, Wall>,
    /// Agents that an operator marked gone, and when.
    pub gone_agents: OrdMap<AgentId, Wall>,
    /// Agents that an operator keeps out of offers, whether admitted, recovered or unreachable.
    pub deactivated_agents: OrdMap<AgentId, Deactivation>,
    /// Agents that are not given up until an operator says so.
    pub held_agents: OrdMap<AgentId, Held>,
    /// Frameworks that are not completed.
    pub frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    /// The last completed frameworks, oldest first, bounded.
    pub completed_frameworks: Vector<Arc<Framework>>,
    /// Outstanding offers.
    pub offers: OrdMap<OfferId, Arc<Offer>>,
    /// Outstanding inverse offers.
    pub inverse_offers: OrdMap<OfferId, Arc<InverseOffer>>,
    /// What frameworks answered to inverse offers of agents, until the agent's schedule changes.
    pub inverse_offer_answers: OrdMap<(AgentId, FrameworkId), InverseOfferAnswer>,
    /// Quotas that operators set; one that was ended stays here as the default until the master
    /// restarts, as in Mesos.
    pub quotas: OrdMap<Role, Quota>,
    /// Weights of role paths that were set.
    pub weights: OrdMap<Role, f64>,
    /// Machines planned to be away.
    pub maintenance: Maintenance,
    /// Counts of what happened since start.
    pub counters: Counters,
}
