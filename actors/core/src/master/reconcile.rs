//! RECONCILE: tells a framework what the master knows of its tasks.
//! Changes nothing.

use tepui_protocol::v1::scheduler::call::reconcile;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{self, TaskState, TaskStatus};

use super::messages::{Effect, StreamId};
use super::model::{Framework, Task};
use super::{Master, events};
use crate::ids::{FrameworkId, TaskId};
use crate::time::{Now, Wall};

/// Tasks that are told before the framework must have read them: one that has very many could
/// not be told all at once, as what waits for a framework is bounded.
pub const RECONCILED_AT_ONCE: usize = 2_000;

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
            return self.reconcile_all(now, id, out);
        }
        for asked in tasks {
            if let Some(status) = self.reconciled(now, framework, asked) {
                self.send(id, events::update(status), out);
            }
        }
    }

    /// Begins to tell all tasks, or begins anew if that is under way: who asks twice is told
    /// everything after the second time.
    fn reconcile_all(&mut self, now: Now, id: &FrameworkId, out: &mut Vec<Effect>) {
        let framework = self.frameworks.get(id);
        let Some(stream) = framework.and_then(|framework| framework.stream()).cloned() else {
            return;
        };
        if let Some(next) = self.reconciling.get_mut(&stream) {
            *next = TaskId::from("");
            return;
        }
        let next = self.tell_tasks(now, id, &TaskId::from(""), out);
        self.remember_reconciling(stream, next, out);
    }

    /// The framework has read what it was told last: it is told the next tasks.
    pub(super) fn reconcile_more(&mut self, now: Now, stream: &StreamId, out: &mut Vec<Effect>) {
        let Some(first) = self.reconciling.remove(stream) else {
            return;
        };
        let Some(id) = self.streams.get(stream).cloned() else {
            return;
        };
        let mut told = Vec::new();
        let next = self.tell_tasks(now, &id, &first, &mut told);
        // Asked for before these are read, the next ones are there when they have been.
        self.remember_reconciling(stream.clone(), next, out);
        out.append(&mut told);
    }

    fn remember_reconciling(
        &mut self,
        stream: StreamId,
        next: Option<TaskId>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(next) = next {
            out.push(Effect::NotifyDrained(stream.clone()));
            self.reconciling.insert(stream, next);
        }
    }

    /// Tells some tasks from `first` on; gives the first of those that are left.
    fn tell_tasks(
        &self,
        now: Now,
        id: &FrameworkId,
        first: &TaskId,
        out: &mut Vec<Effect>,
    ) -> Option<TaskId> {
        let framework = self.frameworks.get(id)?;
        let mut left = framework.tasks.range(first.clone()..);
        for (_, task) in left.by_ref().take(RECONCILED_AT_ONCE) {
            self.send(id, events::update(latest(task, now.wall)), out);
        }
        left.next().map(|(next, _)| next.clone())
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
        if self.gone_agents.contains_key(id) {
            let text = "Reconciliation: Task is gone";
            let state = TaskState::TaskGoneByOperator;
            return Some(answer(framework, asked, state, text, now.wall));
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
    let state = task.forwarded_state.unwrap_or(task.state);
    let text = "Reconciliation: Latest task state";
    events::known_task(task, state, Reason::Reconciliation, text, at)
}
