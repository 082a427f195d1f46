//! Frameworks after they subscribed: changes, suppressed roles, loss of the stream, removal.
//! Subscribing is in `subscribe`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::scheduler::call::{Subscribe, UpdateFramework};
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{FrameworkInfo, TaskState};

use super::agent_loss::Loss;
use super::messages::{Answer, Effect, StreamId};
use super::model::{Framework, FrameworkState};
use super::operator::OperatorEvent;
use super::tasks::Fate;
use super::{Deadline, Master, events, subscribe, to_agent, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{AgentId, FrameworkId, Role, TaskId};
use crate::time::Now;
use crate::validation::framework as rules;

/// Longest time a framework may stay away: what a signed 64-bit count of nanoseconds holds.
const MAX_FAILOVER_SECONDS: f64 = 9_223_372_036.0;

impl Master {
    /// Forgets a stream; gives the framework whose it was.
    pub(super) fn forget_stream(&mut self, stream: &StreamId) -> Option<FrameworkId> {
        self.reconciling.remove(stream);
        self.streams.remove(stream)
    }

    /// UPDATE_FRAMEWORK: everything but principal, user and checkpoint is replaced.
    pub(super) fn update_framework(
        &mut self,
        id: &FrameworkId,
        call: UpdateFramework,
        out: &mut Vec<Effect>,
    ) -> Answer {
        let Some(framework) = self.frameworks.get(id) else {
            return Answer::Refused(400, "Framework cannot be found".to_string());
        };
        let wanted = match rules::update(
            &framework.info,
            &call.framework_info,
            &call.suppressed_roles,
            call.offer_constraints.as_ref(),
            &self.subscription_options(false),
        ) {
            Ok(wanted) => wanted,
            Err(error) => return Answer::Refused(400, error),
        };
        let changed = *framework.info != call.framework_info;
        let Some(framework) = self.framework_mut(id) else {
            return Answer::Refused(400, "Framework cannot be found".to_string());
        };
        let replacement = Subscribe {
            framework_info: call.framework_info,
            suppressed_roles: call.suppressed_roles,
            offer_constraints: call.offer_constraints,
        };
        let facts = subscribe::replace_info(framework, replacement, wanted);
        let roles = framework.roles.clone();
        out.push(to_allocator(Command::UpdateFramework {
            id: id.clone(),
            facts,
        }));
        for offer in self.offers_of_framework(id) {
            if self
                .offers
                .get(&offer)
                .is_some_and(|o| !roles.contains(&o.role))
            {
                self.rescind_offer(&offer, out);
            }
        }
        if changed {
            self.tell_framework_updated(id, out);
            self.tell_agents_of_framework(id, out);
        }
        Answer::Ok
    }

    /// SUPPRESS: no roles means all roles.
    pub(super) fn suppress(&mut self, id: &FrameworkId, roles: Vec<String>, out: &mut Vec<Effect>) {
        self.counters.messages_suppress_offers += 1;
        let roles: Vec<Role> = roles.into_iter().map(Role::from).collect();
        if !self.may_name_roles(id, &roles) {
            self.counters.dropped_messages += 1;
            return;
        }
        if let Some(framework) = self.framework_mut(id) {
            let named = if roles.is_empty() {
                &framework.roles
            } else {
                &roles
            };
            framework.suppressed.extend(named.iter().cloned());
        }
        out.push(to_allocator(Command::Suppress {
            framework: id.clone(),
            roles,
        }));
    }

    /// REVIVE: no roles means all roles.
    pub(super) fn revive(&mut self, id: &FrameworkId, roles: Vec<String>, out: &mut Vec<Effect>) {
        self.counters.messages_revive_offers += 1;
        let roles: Vec<Role> = roles.into_iter().map(Role::from).collect();
        if !self.may_name_roles(id, &roles) {
            self.counters.dropped_messages += 1;
            return;
        }
        if let Some(framework) = self.framework_mut(id) {
            match roles.is_empty() {
                true => framework.suppressed.clear(),
                false => roles.iter().for_each(|role| {
                    framework.suppressed.remove(role);
                }),
            }
        }
        out.push(to_allocator(Command::Revive {
            framework: id.clone(),
            roles,
        }));
    }

    /// A stream ended; if it is the framework's current one, its time to come back starts.
    pub(super) fn stream_closed(&mut self, now: Now, stream: &StreamId, out: &mut Vec<Effect>) {
        let Some(id) = self.forget_stream(stream) else {
            return;
        };
        let Some(framework) = self.framework_mut(&id) else {
            return;
        };
        framework.state = FrameworkState::Disconnected(now.mono);
        framework.unregistered_time = Some(now.wall);
        let timeout = failover_timeout(&framework.info);
        out.push(to_allocator(Command::DeactivateFramework(id.clone())));
        for offer in self.offers_of_framework(&id) {
            self.rescind_offer(&offer, out);
        }
        self.end_inverse_offers_to(&id, out);
        self.deadlines
            .set(Deadline::Framework(id), now.mono + timeout);
    }

    /// Ends a framework: TEARDOWN, or it did not come back in time.
    pub(super) fn remove_framework(&mut self, now: Now, id: &FrameworkId, out: &mut Vec<Effect>) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let stream = framework.stream().cloned();
        self.deadlines.clear(&Deadline::Framework(id.clone()));
        if stream.is_some() {
            out.push(to_allocator(Command::DeactivateFramework(id.clone())));
        }
        for offer in self.offers_of_framework(id) {
            self.discard_offer(&offer, None, out);
        }
        self.end_inverse_offers_to(id, out);
        self.inverse_offers.forget_answers_of(id);
        self.tell_all_agents_to_shut_down(id, out);
        self.end_tasks_of_removed(now, id, out);
        self.remove_executors_of_framework(id, out);
        self.orphan_operations(id);
        let Some(mut framework) = self.frameworks.remove(id) else {
            return;
        };
        let ended = Arc::make_mut(&mut framework);
        ended.state = FrameworkState::Disconnected(now.mono);
        ended.unregistered_time = Some(now.wall);
        if let Some(stream) = stream {
            self.forget_stream(&stream);
            out.push(Effect::CloseStream(stream));
        }
        out.push(to_allocator(Command::RemoveFramework(id.clone())));
        self.tell_subscribers(
            || OperatorEvent::FrameworkRemoved(framework.info.clone()),
            out,
        );
        self.remember_framework(framework);
    }

    /// Tasks of a removed framework count as killed at once, though their agents may need longer.
    fn end_tasks_of_removed(&mut self, now: Now, id: &FrameworkId, out: &mut Vec<Effect>) {
        let message = format!("Framework {id} removed");
        let (state, reason) = (TaskState::TaskKilled, Reason::FrameworkRemoved);
        for task_id in self.tasks_of_framework(id) {
            let Some(task) = self.task(id, &task_id) else {
                continue;
            };
            let status = events::end_of_task(task, state, reason, &message, now.wall);
            self.apply_status(id, &task_id, &status, state, out);
            self.remove_task(id, &task_id, Fate::Completed, out);
        }
        let framework = self.frameworks.get(id);
        let unreachable: Vec<TaskId> =
            framework.map_or_else(Vec::new, |f| f.unreachable_tasks.keys().cloned().collect());
        let loss = Loss {
            state,
            reason,
            message: &message,
            unreachable_since: None,
            fate: Fate::Completed,
        };
        for task_id in unreachable {
            // The framework is not told: it asked for that, or is away.
            let _ = self.end_unreachable_task(now, id, &task_id, &loss, out);
        }
    }

    /// An agent may hold remains of the framework that the master has forgotten, so all are told.
    fn tell_all_agents_to_shut_down(&self, id: &FrameworkId, out: &mut Vec<Effect>) {
        for link in self.agents.values().filter_map(|agent| agent.link()) {
            let framework_id = id.to_string();
            out.push(to_agent(
                link,
                MasterToAgent::ShutdownFramework { framework_id },
            ));
        }
    }

    /// Sends a framework's data to the connected agents that run something of it.
    pub(super) fn tell_agents_of_framework(&self, id: &FrameworkId, out: &mut Vec<Effect>) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        for agent in agents_in_use(framework) {
            if let Some(link) = self.agents.get(&agent).and_then(|agent| agent.link()) {
                let info = FrameworkInfo::clone(&framework.info).into();
                out.push(to_agent(link, MasterToAgent::UpdateFramework { info }));
            }
        }
    }
}

fn agents_in_use(framework: &Framework) -> BTreeSet<AgentId> {
    let of_tasks = framework.tasks.values().map(|task| task.agent.clone());
    let of_executors = framework.executors.keys().map(|(agent, _)| agent.clone());
    of_tasks.chain(of_executors).collect()
}

/// The time a framework has to come back; validated at subscription, so odd values are none.
fn failover_timeout(info: &FrameworkInfo) -> Duration {
    let seconds = info.failover_timeout();
    if seconds.is_nan() || seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::from_secs_f64(seconds.min(MAX_FAILOVER_SECONDS))
}
