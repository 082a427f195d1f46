//! What the manager wants done, one effect at a time: calls, answers, events, probes.
//! The order of effects is kept by the caller.

use tepui_core::ids::{AgentId, TaskId};
use tepui_core::marathon::manager::Effect;
use tepui_protocol::v1;
use tracing::{debug, warn};
use v1::scheduler::call::reconcile;

use super::Run;
use crate::marathon::driver::CallError;

impl Run {
    /// Does it.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(token, answer) => {
                if let Some(reply) = self.replies.remove(&token) {
                    // Who asked may be gone.
                    let _ = reply.send(answer);
                }
            }
            Effect::Event(event) => match serde_json::to_string(&event) {
                Ok(json) => self.with.events.publish(event.name(), json),
                Err(error) => warn!(%error, "an event cannot be written as JSON"),
            },
            Effect::StartProbing { instance, app } => self.probes.start_health(&instance, &app),
            Effect::StartReadiness { instance, app } => self.probes.start_readiness(&instance, app),
            Effect::StopProbing(id) => self.probes.stop_health(&id),
            Effect::StopReadiness(id) => self.probes.stop_readiness(&id),
            call => match self.call(call) {
                Ok(()) => {}
                // What matters is asked for when there is one.
                Err(error @ CallError::NotSubscribed) => debug!(%error, "a call was not made"),
                Err(error) => warn!(%error, "a call to the master was not made"),
            },
        }
    }

    /// Makes a call to the master.
    fn call(&mut self, effect: Effect) -> Result<(), CallError> {
        let mesos = &self.with.metrics.mesos;
        match effect {
            Effect::Launch { offer, tasks } => {
                let launched = tasks.len();
                let launch = v1::offer::operation::Launch { task_infos: tasks };
                let operation = v1::offer::Operation {
                    r#type: Some(v1::offer::operation::Type::Launch as i32),
                    launch: Some(launch),
                    ..Default::default()
                };
                // What is left may be of use to what waits.
                let kinds = [operation.r#type()];
                self.with
                    .driver
                    .accept(vec![offer.to_v1()], vec![operation], 0.0)?;
                mesos.accepted(&kinds, launched);
            }
            Effect::Decline(offers, seconds) => {
                let offers: Vec<_> = offers.iter().map(|offer| offer.to_v1()).collect();
                let declined = offers.len() as u64;
                self.with.driver.decline(offers, seconds)?;
                mesos.offers_declined.add(declined);
            }
            Effect::Kill { task, agent } => {
                let agent = agent.map(|agent| agent.to_v1());
                self.with.driver.kill(task.to_v1(), agent, None)?;
            }
            Effect::Acknowledge { task, agent, uuid } => {
                self.with.driver.acknowledge(&v1::TaskStatus {
                    task_id: task.to_v1(),
                    agent_id: Some(agent.to_v1()),
                    uuid: Some(uuid),
                    ..Default::default()
                })?;
            }
            Effect::Roles(roles) => {
                let info = &mut self.with.registration.framework_info;
                info.roles = roles.iter().map(ToString::to_string).collect();
                self.with
                    .driver
                    .update_framework(self.with.registration.clone())?;
            }
            Effect::Revive(role) => {
                self.with.driver.revive(vec![role.to_string()])?;
                mesos.revives.add(1);
            }
            Effect::Suppress(role) => {
                self.with.driver.suppress(vec![role.to_string()])?;
                mesos.suppresses.add(1);
            }
            Effect::Reconcile(tasks) => self.with.driver.reconcile(asked_for(&tasks))?,
            // Done by the caller.
            Effect::Store(_)
            | Effect::Reply(..)
            | Effect::Event(_)
            | Effect::StartProbing { .. }
            | Effect::StartReadiness { .. }
            | Effect::StopProbing(_)
            | Effect::StopReadiness(_) => {}
        }
        Ok(())
    }
}

fn asked_for(tasks: &[(TaskId, Option<AgentId>)]) -> Vec<reconcile::Task> {
    let task = |(task, agent): &(TaskId, Option<AgentId>)| reconcile::Task {
        task_id: task.to_v1(),
        agent_id: agent.as_ref().map(AgentId::to_v1),
    };
    tasks.iter().map(task).collect()
}
