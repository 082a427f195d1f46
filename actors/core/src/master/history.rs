//! Bounded memories: completed tasks and frameworks, tasks on unreachable agents.
//! Does not decide when something becomes history.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::Vector;

use super::Master;
use super::model::{Framework, Task};
use crate::ids::{AgentId, FrameworkId, TaskId};
use crate::memo::Memo;

/// Where each remembered task on an unreachable agent is, so that none must be searched for.
#[derive(Debug, Default)]
pub(super) struct UnreachableTasks {
    by_agent: BTreeMap<AgentId, BTreeSet<(FrameworkId, TaskId)>>,
    oldest_first: BTreeMap<FrameworkId, VecDeque<TaskId>>,
}

/// Appends to a history and drops its oldest entries beyond `limit`.
pub(super) fn push_bounded<T: Clone>(history: &mut Vector<T>, entry: T, limit: usize) {
    history.push_back(entry);
    while history.len() > limit {
        history.pop_front();
    }
}

impl Master {
    /// Remembers a task of an agent that became unreachable.
    pub(super) fn remember_unreachable(&mut self, framework: &FrameworkId, task: Arc<Memo<Task>>) {
        let limit = self.settings.max_unreachable_tasks_per_framework;
        let (agent, id) = (task.agent.clone(), task.id.clone());
        let Some(owner) = self.framework_mut(framework) else {
            return;
        };
        owner.unreachable_tasks.insert(id.clone(), task);
        let key = (framework.clone(), id.clone());
        self.unreachable
            .by_agent
            .entry(agent)
            .or_default()
            .insert(key);
        let order = self
            .unreachable
            .oldest_first
            .entry(framework.clone())
            .or_default();
        order.push_back(id);
        let surplus = order.len().saturating_sub(limit);
        let evicted: Vec<TaskId> = order.drain(..surplus).collect();
        for task in evicted {
            self.forget_unreachable(framework, &task);
        }
    }

    /// Forgets one task on an unreachable agent, if it is remembered.
    pub(super) fn forget_unreachable(&mut self, framework: &FrameworkId, id: &TaskId) {
        let Some(task) = self
            .framework_mut(framework)
            .and_then(|owner| owner.unreachable_tasks.remove(id))
        else {
            return;
        };
        if let Some(order) = self.unreachable.oldest_first.get_mut(framework) {
            order.retain(|other| other != id);
            if order.is_empty() {
                self.unreachable.oldest_first.remove(framework);
            }
        }
        let agent = &task.agent;
        if let Some(tasks) = self.unreachable.by_agent.get_mut(agent) {
            tasks.remove(&(framework.clone(), id.clone()));
            if tasks.is_empty() {
                self.unreachable.by_agent.remove(agent);
            }
        }
    }

    /// Forgets all tasks of an agent that is no longer unreachable.
    pub(super) fn forget_unreachable_of(&mut self, agent: &AgentId) {
        for (framework, task) in self.unreachable_on(agent) {
            self.forget_unreachable(&framework, &task);
        }
    }

    /// Remembered tasks on an agent that is unreachable.
    pub(super) fn unreachable_on(&self, agent: &AgentId) -> BTreeSet<(FrameworkId, TaskId)> {
        let tasks = self.unreachable.by_agent.get(agent);
        tasks.cloned().unwrap_or_default()
    }

    /// Moves a framework that has been removed to the completed ones.
    pub(super) fn remember_framework(&mut self, framework: Arc<Framework>) {
        self.completed_ids.insert(framework.id.clone());
        self.completed_frameworks.push_back(framework);
        while self.completed_frameworks.len() > self.settings.max_completed_frameworks {
            if let Some(oldest) = self.completed_frameworks.pop_front() {
                self.completed_ids.remove(&oldest.id);
            }
        }
    }

    /// Checks that the two indexes name exactly the remembered tasks.
    pub(super) fn check_unreachable(&self) -> Result<(), String> {
        let mut remembered = 0;
        for (id, framework) in &self.frameworks {
            remembered += framework.unreachable_tasks.len();
            let ordered = self
                .unreachable
                .oldest_first
                .get(id)
                .map_or(0, VecDeque::len);
            if ordered != framework.unreachable_tasks.len() {
                return Err(format!(
                    "order of unreachable tasks of {id} is not complete"
                ));
            }
            for (task_id, task) in &framework.unreachable_tasks {
                let key = (id.clone(), task_id.clone());
                if !self
                    .unreachable
                    .by_agent
                    .get(&task.agent)
                    .is_some_and(|t| t.contains(&key))
                {
                    return Err(format!("unreachable task {task_id} is not indexed"));
                }
            }
        }
        let indexed: usize = self.unreachable.by_agent.values().map(BTreeSet::len).sum();
        if indexed != remembered {
            return Err(format!(
                "{indexed} unreachable tasks indexed, {remembered} remembered"
            ));
        }
        Ok(())
    }
}
