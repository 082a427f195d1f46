//! ACCEPT: checks the offers, runs the operations in order, returns what is left.
//! Launching itself is in `launch`; operations that change resources are in `changes`.

use std::collections::BTreeSet;

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::scheduler::call::Accept;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{TaskInfo, TaskState};

use super::framework_counters::OfferEvent;
use super::messages::{Effect, LinkId};
use super::model::Offer;
use super::{Master, events};
use crate::ids::{AgentId, FrameworkId, OfferId, Role};
use crate::resources::Resources;
use crate::time::Now;
use crate::validation::normalise;
use crate::validation::operation::{self as rules, Refusal};

/// What the operations of one ACCEPT share.
pub(super) struct Accepted {
    pub(super) framework: FrameworkId,
    pub(super) agent: AgentId,
    pub(super) link: LinkId,
    pub(super) role: Role,
    /// What the offers held.
    pub(super) offered: Resources,
    /// What no operation has used yet.
    pub(super) remaining: Resources,
    /// The shared volumes among it: several tasks may use one.
    pub(super) shared: Resources,
    /// Volumes that were grown or shrunk.
    pub(super) resized: Resources,
    /// Whether an operation has changed resources.
    pub(super) is_changed: bool,
}

impl Master {
    pub(super) fn accept(
        &mut self,
        now: Now,
        id: &FrameworkId,
        call: Accept,
        out: &mut Vec<Effect>,
    ) {
        self.count_launches(&call.operations);
        let ids: Vec<OfferId> = call.offer_ids.iter().map(OfferId::from).collect();
        let (agent, role) = match self.check_offers(id, &ids) {
            Ok(found) => found,
            Err(error) => {
                self.discard_own(id, &ids, out);
                return self.refuse_accept(now, id, &call.operations, &error, out);
            }
        };
        let Some(link) = self.agents.get(&agent).and_then(|agent| agent.link()) else {
            self.discard_own(id, &ids, out);
            return self.refuse_without_agent(now, id, &agent, &call.operations, out);
        };
        let mut offered = Resources::new();
        for offer in &ids {
            if let Some(offer) = self.take_offer(offer) {
                offered.add(&offer.resources);
                self.counters.offers_accepted += 1;
                self.count_offers(id, OfferEvent::Accepted, 1);
            }
        }
        let mut accepted = Accepted {
            framework: id.clone(),
            agent,
            link,
            role,
            remaining: offered.clone(),
            shared: offered.shared(),
            resized: Resources::new(),
            is_changed: false,
            offered,
        };
        let checked = self.check_operations(now, &accepted, call.operations, out);
        for operation in checked {
            self.run_operation(now, &mut accepted, operation, out);
        }
        self.give_back(accepted, call.filters.as_ref(), out);
    }

    fn count_launches(&mut self, operations: &[Operation]) {
        for launch in operations
            .iter()
            .filter(|o| rules::known_type(o) == Type::Launch)
        {
            let tasks = launch
                .launch
                .as_ref()
                .map_or(0, |launch| launch.task_infos.len());
            match tasks {
                0 => self.counters.messages_decline_offers += 1,
                _ => self.counters.messages_launch_tasks += 1,
            }
        }
    }

    /// All or nothing: the offers' agent and role, or what is wrong with one of them.
    ///
    /// Mesos: `validation::offer::validate`.
    fn check_offers(&self, id: &FrameworkId, ids: &[OfferId]) -> Result<(AgentId, Role), String> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = ids.iter().find(|offer| !seen.insert(*offer)) {
            return Err(format!("Duplicate offer {twice} in offer list"));
        }
        let mut offers: Vec<&Offer> = Vec::with_capacity(ids.len());
        for offer in ids {
            let known = self.offers.get(offer);
            offers.push(known.ok_or_else(|| format!("Offer {offer} is no longer valid"))?);
        }
        let Some(first) = offers.first() else {
            return Err("No offers specified".to_string());
        };
        if let Some(other) = offers.iter().find(|offer| offer.framework != *id) {
            return Err(format!(
                "Offer {} has invalid framework {} while framework {id} is expected",
                other.id, other.framework
            ));
        }
        // The quotes that do not close are Mesos's.
        if let Some(other) = offers.iter().find(|offer| offer.role != first.role) {
            return Err(format!(
                "Aggregated offers must be allocated to the same role. Offer {} uses role '{} \
                 but another is using role '{}",
                other.id, other.role, first.role
            ));
        }
        if let Some(other) = offers.iter().find(|offer| offer.agent != first.agent) {
            return Err(format!(
                "Aggregated offers must belong to one single agent. Offer {} uses agent {} and \
                 agent {}",
                other.id, other.agent, first.agent
            ));
        }
        Ok((first.agent.clone(), first.role.clone()))
    }

    /// Returns the listed offers that are still valid, without a filter.
    ///
    /// Mesos also takes away those of other frameworks; we leave them alone.
    fn discard_own(&mut self, id: &FrameworkId, ids: &[OfferId], out: &mut Vec<Effect>) {
        for offer in ids {
            if self.offers.get(offer).is_some_and(|o| o.framework == *id) {
                self.discard_offer(offer, None, out);
            }
        }
    }

    fn refuse_accept(
        &mut self,
        now: Now,
        id: &FrameworkId,
        operations: &[Operation],
        error: &str,
        out: &mut Vec<Effect>,
    ) {
        for operation in operations {
            let kind = rules::known_type(operation);
            let message = rules::invalid_offers_message(kind, error);
            match kind {
                Type::Launch | Type::LaunchGroup => {
                    let tasks = tasks_of(operation);
                    self.drop_tasks(now, id, tasks, Reason::InvalidOffers, &message, out);
                }
                _ => self.refuse_operation(id, operation, message, out),
            }
        }
    }

    fn refuse_without_agent(
        &mut self,
        now: Now,
        id: &FrameworkId,
        agent: &AgentId,
        operations: &[Operation],
        out: &mut Vec<Effect>,
    ) {
        let (reason, message) = match self.agents.contains_key(agent) {
            true => (Reason::AgentDisconnected, "Agent disconnected"),
            false => (Reason::AgentRemoved, "Agent removed"),
        };
        for operation in operations {
            self.drop_tasks(now, id, tasks_of(operation), reason, message, out);
        }
    }

    /// Tells that tasks never started: TASK_DROPPED, or TASK_LOST without PARTITION_AWARE.
    fn drop_tasks(
        &mut self,
        now: Now,
        id: &FrameworkId,
        tasks: &[TaskInfo],
        reason: Reason,
        message: &str,
        out: &mut Vec<Effect>,
    ) {
        let aware = self
            .frameworks
            .get(id)
            .is_some_and(|f| f.is_partition_aware());
        let state = if aware {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        };
        self.refuse_tasks(now, id, tasks, (state, reason), message, out);
    }

    /// Tells that tasks never started.
    pub(super) fn refuse_tasks(
        &mut self,
        now: Now,
        id: &FrameworkId,
        tasks: &[TaskInfo],
        (state, reason): (TaskState, Reason),
        message: &str,
        out: &mut Vec<Effect>,
    ) {
        for task in tasks {
            self.counters.count_end(state);
            let (task_id, agent_id) = (&task.task_id, Some(&task.agent_id));
            let status = events::status(task_id, agent_id, state, reason, message, now.wall);
            self.counters.count_reason(&status);
            self.send(id, events::update(status), out);
        }
    }

    /// Looks at the form of all operations before any is carried out, and fills them in.
    fn check_operations(
        &mut self,
        now: Now,
        accepted: &Accepted,
        operations: Vec<Operation>,
        out: &mut Vec<Effect>,
    ) -> Vec<Operation> {
        let capabilities = self
            .agents
            .get(&accepted.agent)
            .map_or_else(Default::default, |agent| agent.capabilities.clone());
        let id = &accepted.framework;
        let mut checked = Vec::with_capacity(operations.len());
        for mut operation in operations {
            match rules::validate(&operation, &accepted.agent, &capabilities) {
                Ok(()) => {
                    normalise::operation(&mut operation, id, &accepted.role);
                    checked.push(operation);
                }
                Err(Refusal::Tasks(error)) => {
                    let verdict = (TaskState::TaskError, Reason::TaskInvalid);
                    self.refuse_tasks(now, id, tasks_of(&operation), verdict, &error, out);
                }
                Err(Refusal::TaskGroup(error)) => {
                    let verdict = (TaskState::TaskError, Reason::TaskGroupInvalid);
                    self.refuse_tasks(now, id, tasks_of(&operation), verdict, &error, out);
                }
                Err(Refusal::Operation(error)) => {
                    self.refuse_operation(id, &operation, error, out);
                }
                Err(Refusal::Unknown) => self.counters.dropped_messages += 1,
            }
        }
        checked
    }

    fn run_operation(
        &mut self,
        now: Now,
        accepted: &mut Accepted,
        operation: Operation,
        out: &mut Vec<Effect>,
    ) {
        match rules::known_type(&operation) {
            Type::Launch => {
                for task in operation.launch.into_iter().flat_map(|l| l.task_infos) {
                    self.launch(now, accepted, task, out);
                }
            }
            Type::LaunchGroup => {
                if let Some(group) = operation.launch_group {
                    self.launch_group(now, accepted, group, out);
                }
            }
            Type::Reserve
            | Type::Unreserve
            | Type::Create
            | Type::Destroy
            | Type::GrowVolume
            | Type::ShrinkVolume
            | Type::CreateDisk
            | Type::DestroyDisk => self.change(accepted, operation, out),
            // Dropped before.
            Type::Unknown => self.counters.dropped_messages += 1,
        }
    }
}

fn tasks_of(operation: &Operation) -> &[TaskInfo] {
    match rules::known_type(operation) {
        Type::Launch => operation
            .launch
            .as_ref()
            .map_or(&[], |launch| &launch.task_infos),
        Type::LaunchGroup => operation
            .launch_group
            .as_ref()
            .map_or(&[], |group| &group.task_group.tasks),
        _ => &[],
    }
}
