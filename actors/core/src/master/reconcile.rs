//! RECONCILE: tells a framework what the master knows of its tasks.
//! Changes nothing.

use tepui_protocol::v1::scheduler::call::reconcile;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{self, TaskState, TaskStatus};

use super::messages::Effect;
use super::model::{Framework, Task};
use super::{Master, events};
use crate::ids::FrameworkId;
use crate::time::{Now, Wall};

impl Master {
    /// An empty list asks for all tasks; those on unreachable agents are not told then.
    pub(super) fn reconcile(
        &mut self,
        now: Now,
        id: &FrameworkId,
        tasks: &[reconcile::Task],
        out: &mut Vec<Effect>,
    ) {
        self.counters.messages_reconcile_tasks += 1;
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        if tasks.is_empty() {
            for task in framework.tasks.values() {
                self.send(id, events::update(latest(task, now.wall)), out);
            }
            return;
        }
        for asked in tasks {
            if let Some(status) = self.reconciled(now, framework, asked) {
                self.send(id, events::update(status), out);
            }
        }
    }

    /// The answer for one task; none while its agent may still come back with it.
    fn reconciled(
        &self,
        now: Now,
        framework: &Framework,
        asked: &reconcile::Task,
    ) -> Option<TaskStatus> {
        if let Some(task) = framework.tasks.get(asked.task_id.value.as_str()) {
            return Some(latest(task, now.wall));
        }
        let agent = asked.agent_id.as_ref();
        let Some(id) = agent.map(|agent| agent.value.as_str()) else {
            let unknown = self.recovered_agents.is_empty();
            return unknown.then(|| unknown_task(framework, asked, now.wall));
        };
        if self.recovered_agents.contains_key(id) {
            return None;
        }
        if self.agents.contains_key(id) {
            let text = "Reconciliation: Task is unknown to the agent";
            return Some(answer(
                framework,
                asked,
                TaskState::TaskGone,
                text,
                now.wall,
            ));
        }
        if let Some(since) = self.unreachable_agents.get(id) {
            let text = "Reconciliation: Task is unreachable";
            let state = TaskState::TaskUnreachable;
            return Some(TaskStatus {
                unreachable_time: Some(events::time_info(*since)),
                ..answer(framework, asked, state, text, now.wall)
            });
        }
        Some(unknown_task(framework, asked, now.wall))
    }
}

fn unknown_task(framework: &Framework, asked: &reconcile::Task, at: Wall) -> TaskStatus {
    let text = "Reconciliation: Task is unknown";
    answer(framework, asked, TaskState::TaskUnknown, text, at)
}

/// A state that only PARTITION_AWARE frameworks know; others are told TASK_LOST.
fn answer(
    framework: &Framework,
    asked: &reconcile::Task,
    state: TaskState,
    text: &str,
    at: Wall,
) -> TaskStatus {
    let state = match framework.is_partition_aware() {
        true => state,
        false => TaskState::TaskLost,
    };
    let agent: Option<&v1::AgentId> = asked.agent_id.as_ref();
    events::status(
        &asked.task_id,
        agent,
        state,
        Reason::Reconciliation,
        text,
        at,
    )
}

fn latest(task: &Task, at: Wall) -> TaskStatus {
    let state = task.info.status_update_state.unwrap_or(task.info.state);
    let text = "Reconciliation: Latest task state";
    events::known_task(&task.info, state, Reason::Reconciliation, text, at)
}
