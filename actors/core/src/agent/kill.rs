//! Killing tasks: delivered ones through their executor, queued ones at once.
//! Signals no process.

use tepui_protocol::v1::executor::{Event, event};
use tepui_protocol::v1::{self, TaskState, task_status::Reason};

use super::messages::Effect;
use super::model::{ExecutorState, FrameworkState, Queued};
use super::updates::AgentStatus;
use super::{Agent, Life};
use crate::ids::{ExecutorId, FrameworkId, TaskId};
use crate::time::Now;

/// Mesos's text for a task that was killed while it was queued.
const KILLED_ALONE: &str = "Killed before delivery to the executor";

/// Mesos's text for the tasks of a group one of which was killed while queued.
const KILLED_WITH_GROUP: &str =
    "A task within the task group was killed before delivery to the executor";

impl Agent {
    pub(super) fn kill_task(
        &mut self,
        now: Now,
        framework_id: &FrameworkId,
        task: &TaskId,
        policy: Option<v1::KillPolicy>,
        out: &mut Vec<Effect>,
    ) {
        match self.life {
            Life::Active | Life::Stopping => {}
            Life::Leaving | Life::Ended => return,
        }
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        if framework.state == FrameworkState::Terminating {
            return;
        }
        let Some(executor) = framework.executor_of(task) else {
            return self.kill_unknown(now, framework_id, task, framework.is_partition_aware(), out);
        };
        let id = executor.id.clone();
        let queued = executor.queued_with(task).cloned();
        match (executor.state, queued) {
            (ExecutorState::Terminating(_) | ExecutorState::Terminated, _) => {}
            (ExecutorState::Registering | ExecutorState::Running(_), Some(queued)) => {
                self.kill_queued(now, framework_id, &id, &queued, out);
            }
            (ExecutorState::Registering | ExecutorState::Running(_), None) => {
                let kill = event::Kill {
                    task_id: task.to_v1(),
                    kill_policy: policy,
                };
                self.send_kill(framework_id, &id, kill, out);
            }
        }
    }

    /// An executor whose stream is down is told when it is back; Mesos's agent loses such a kill.
    fn send_kill(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        kill: event::Kill,
        out: &mut Vec<Effect>,
    ) {
        let Some(executor) = self.executor_mut(framework, id) else {
            return;
        };
        if executor.connection().is_none() {
            executor.kills.retain(|known| known.task_id != kill.task_id);
            executor.kills.push(kill);
            return;
        }
        let event = Event {
            r#type: Some(event::Type::Kill as i32),
            kill: Some(kill),
            ..Event::default()
        };
        self.send_event(framework, id, event, out);
    }

    /// Tells an executor that is back which of its tasks were to be killed meanwhile.
    pub(super) fn send_held_kills(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let Some(executor) = self.executor_mut(framework, id) else {
            return;
        };
        let mut kills = std::mem::take(&mut executor.kills);
        // One that has ended meanwhile needs no end.
        kills.retain(|kill| executor.launched.contains_key(kill.task_id.value.as_str()));
        for kill in kills {
            self.send_kill(framework, id, kill, out);
        }
    }

    fn kill_unknown(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        task: &TaskId,
        partition_aware: bool,
        out: &mut Vec<Effect>,
    ) {
        let state = if partition_aware {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        };
        let status = self.agent_status(AgentStatus {
            now,
            task,
            executor: None,
            state,
            reason: Reason::ExecutorTerminated,
            message: "Cannot find executor",
        });
        self.update(now, framework, status, out);
    }

    /// A task that never reached its executor, with its whole group.
    fn kill_queued(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        executor: &ExecutorId,
        queued: &Queued,
        out: &mut Vec<Effect>,
    ) {
        let message = match queued {
            Queued::Task(_) => KILLED_ALONE,
            Queued::Group(_) => KILLED_WITH_GROUP,
        };
        for task in queued.tasks() {
            let status = self.agent_status(AgentStatus {
                now,
                task: &TaskId::from(&task.task_id),
                executor: Some(executor),
                state: TaskState::TaskKilled,
                reason: Reason::TaskKilledDuringLaunch,
                message,
            });
            self.update(now, framework, status, out);
        }
        let Some(known) = self.executor_mut(framework, executor) else {
            return;
        };
        if known.ever_sent || !known.queued.is_empty() {
            return;
        }
        match known.state {
            ExecutorState::Running(_) => self.begin_shutdown(now, framework, executor, out),
            // That may take long, and it is for nothing now; Mesos goes on with it.
            ExecutorState::Registering if known.is_made_ready() => {
                known.state = ExecutorState::Terminating(None);
                out.push(Effect::Kill(known.container.clone()));
            }
            // Any other that has not subscribed yet is told when it does.
            ExecutorState::Registering
            | ExecutorState::Terminating(_)
            | ExecutorState::Terminated => {}
        }
    }
}
