//! Draining: ends all tasks, within a limit of time, and takes no more until the drain is over.
//! When the agent is drained is decided by the master.

use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{self, DrainConfig, TaskState, TaskStatus};

use super::Agent;
use super::messages::Effect;
use super::model::Drain;
use crate::ids::{FrameworkId, TaskId};
use crate::time::Now;

impl Agent {
    /// What the master says of draining; none ends it. Mesos: `Slave::drain`.
    pub(super) fn drain(&mut self, now: Now, config: Option<DrainConfig>, out: &mut Vec<Effect>) {
        let Some(config) = config else {
            self.drain = None;
            return;
        };
        if self.has_nothing_to_drain() {
            return;
        }
        tracing::info!(?config, "the agent drains");
        let started = self.drain.as_ref().map(|drain| drain.started);
        self.drain = Some(Drain {
            config,
            started: started.unwrap_or(now.wall),
        });
        for (framework, task, own) in self.tasks_to_drain() {
            let policy = kill_policy(&config, own.as_ref());
            self.kill_task(now, &framework, &task, policy, out);
        }
    }

    /// A drain is over when no framework and no operation is left. Mesos: `updateDrainStatus`.
    pub(super) fn end_drain_when_done(&mut self) {
        if self.drain.is_some() && self.has_nothing_to_drain() {
            tracing::info!("the agent has finished draining");
            self.drain = None;
        }
    }

    fn has_nothing_to_drain(&self) -> bool {
        self.frameworks.is_empty() && self.operations.unacknowledged().next().is_none()
    }

    /// Tasks that have not ended, with their own kill policies.
    fn tasks_to_drain(&self) -> Vec<(FrameworkId, TaskId, Option<v1::KillPolicy>)> {
        let mut tasks = Vec::new();
        for (id, framework) in &self.frameworks {
            for executor in framework.executors.values() {
                let launched = executor.launched.iter();
                tasks.extend(launched.map(|(task, it)| (id.clone(), task.clone(), it.kill_policy)));
                let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
                tasks.extend(
                    queued.map(|it| (id.clone(), TaskId::from(&it.task_id), it.kill_policy)),
                );
            }
        }
        tasks
    }

    /// What is said of a task that ends because of a drain. Mesos: `Slave::statusUpdate`, which tells
    /// of a task that is still being killed, too, that it is gone.
    pub(super) fn tell_of_drain(&self, status: &mut TaskStatus, knows_gone: bool) {
        let Some(drain) = &self.drain else {
            return;
        };
        let state = status.state();
        if matches!(state, TaskState::TaskKilling | TaskState::TaskKilled) {
            status.set_reason(Reason::AgentDraining);
        }
        if state == TaskState::TaskKilled && drain.config.mark_gone() && knows_gone {
            status.set_state(TaskState::TaskGoneByOperator);
        }
    }
}

/// How a task is killed: within its own time, but no longer than the drain allows; none when its own
/// policy stands.
fn kill_policy(config: &DrainConfig, own: Option<&v1::KillPolicy>) -> Option<v1::KillPolicy> {
    let most = config.max_grace_period?;
    let own = own.and_then(|policy| policy.grace_period);
    let is_shorter = own.is_some_and(|own| own.nanoseconds <= most.nanoseconds);
    (!is_shorter).then_some(v1::KillPolicy {
        grace_period: Some(most),
    })
}
