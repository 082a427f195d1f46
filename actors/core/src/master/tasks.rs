//! Bookkeeping of tasks: their states, the resources they hold, and their end.
//! Who is told what about a task is decided where these are called.

use std::sync::Arc;

use tepui_protocol::v1::{TaskState, TaskStatus};

use super::agent_sums::Amounts;
use super::counters::Counters;
use super::messages::Effect;
use super::model::Task;
use super::{Master, history, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{AgentId, FrameworkId, TaskId};
use crate::memo::Memo;
use crate::resources::Resources;

/// Where a removed task is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Among the completed tasks.
    Completed,
    /// Among the tasks on unreachable agents: it may come back.
    Unreachable,
}

/// Whether a task in this state has ended; Mesos's `isTerminalState`.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskLost
        | TaskState::TaskError
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Whether a task in this state holds no resources.
pub(super) fn is_over(state: TaskState) -> bool {
    is_terminal(state) || state == TaskState::TaskUnreachable
}

/// A state by its number; `None` for one that this version does not know.
pub(super) fn state_of(number: i32) -> Option<TaskState> {
    TaskState::try_from(number).ok()
}

impl Master {
    pub(super) fn task(&self, framework: &FrameworkId, task: &TaskId) -> Option<&Arc<Memo<Task>>> {
        self.frameworks.get(framework)?.tasks.get(task)
    }

    pub(super) fn tasks_of_framework(&self, id: &FrameworkId) -> Vec<TaskId> {
        let framework = self.frameworks.get(id);
        framework.map_or_else(Vec::new, |framework| {
            framework.tasks.keys().cloned().collect()
        })
    }

    /// Takes a status and the latest known state into a task; Mesos's `updateTask`.
    ///
    /// When the task ends by that, its resources go back to the allocator, once.
    pub(super) fn apply_status(
        &mut self,
        id: &FrameworkId,
        task_id: &TaskId,
        status: &TaskStatus,
        latest: TaskState,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        let Some(task) = framework.tasks.get_mut(task_id) else {
            return;
        };
        let task = Arc::make_mut(task);
        let ended = state_of(task.state).is_some_and(is_terminal);
        if !ended {
            framework.task_counts.remove(task.state);
            task.state = latest as i32;
            framework.task_counts.add(task.state);
            if is_terminal(latest) {
                framework.counters.ended.count(task.state);
            }
        }
        let is_new_state = task.push_status(status);
        let state = task.state;
        let released = (!task.recovered && is_over(latest)).then(|| {
            task.recovered = true;
            (task.resources.clone(), task.agent.clone())
        });
        self.tell_task_updated(id, status, state, is_new_state, out);
        let Some((resources, agent)) = released else {
            return;
        };
        self.counters.count_end(latest);
        self.counters.count_reason(status);
        self.uncharge(id, &agent, resources, out);
    }

    /// Forgets a task and remembers it as history.
    pub(super) fn remove_task(
        &mut self,
        id: &FrameworkId,
        task_id: &TaskId,
        fate: Fate,
        out: &mut Vec<Effect>,
    ) {
        let limit = self.settings.max_completed_tasks_per_framework;
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        let Some(mut task) = framework.tasks.remove(task_id) else {
            return;
        };
        framework.task_counts.remove(task.state);
        let agent = task.agent.clone();
        if !task.recovered {
            Arc::make_mut(&mut task).recovered = true;
            self.uncharge(id, &agent, task.resources.clone(), out);
        }
        let key = (id.clone(), task_id.clone());
        if let Some(agent) = self.agent_mut(&agent) {
            agent.tasks.remove(&key);
        }
        self.forget_kill(&agent, &key);
        self.note_perhaps_drained(&agent);
        match fate {
            Fate::Unreachable => self.remember_unreachable(id, task),
            Fate::Completed => {
                if let Some(framework) = self.framework_mut(id) {
                    history::push_bounded(&mut framework.completed_tasks, task, limit);
                }
            }
        }
    }

    /// Gives back what a task or executor held.
    ///
    /// Of an agent that is no longer admitted nothing is given back: the allocator was told before
    /// that it is gone with all that was allocated on it.
    pub(super) fn uncharge(
        &mut self,
        id: &FrameworkId,
        agent_id: &AgentId,
        resources: Resources,
        out: &mut Vec<Effect>,
    ) {
        let Some(agent) = self.agent_mut(agent_id) else {
            return;
        };
        if let Some(used) = agent.used.get_mut(id) {
            let given_back = Amounts::change(used, |used| used.subtract(&resources));
            if used.is_empty() {
                agent.used.remove(id);
            }
            self.agent_sums.used.add(&given_back);
        }
        if resources.is_empty() {
            return;
        }
        out.push(to_allocator(Command::Release {
            framework: id.clone(),
            agent: agent_id.clone(),
            resources,
            refusal: None,
        }));
    }
}

impl Counters {
    /// Counts a task that reached a terminal state.
    pub(super) fn count_end(&mut self, state: TaskState) {
        match state {
            TaskState::TaskFinished => self.tasks_finished += 1,
            TaskState::TaskFailed => self.tasks_failed += 1,
            TaskState::TaskKilled => self.tasks_killed += 1,
            TaskState::TaskLost => self.tasks_lost += 1,
            TaskState::TaskError => self.tasks_error += 1,
            TaskState::TaskDropped => self.tasks_dropped += 1,
            TaskState::TaskGone => self.tasks_gone += 1,
            TaskState::TaskGoneByOperator => self.tasks_gone_by_operator += 1,
            TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable
            | TaskState::TaskUnknown => {}
        }
    }
}
