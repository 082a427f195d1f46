//! What has really happened to every task, whoever believes what; for the checkers.
//! Also counts what happened, so that one sees what a run was worth.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1::TaskStatus;

use super::executors::Executor;
use crate::agent::model::is_terminal;
use crate::allocator::messages::Command;
use crate::ids::{AgentId, ContainerId, FrameworkId, Role, TaskId};
use crate::quota::Quota;

/// What happened how often.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says by its name what it counts")]
pub struct Counts {
    pub subscriptions: u64,
    pub resubscriptions: u64,
    pub accepts: u64,
    pub tasks_launched: u64,
    pub tasks_started: u64,
    pub tasks_ended: u64,
    pub task_errors: u64,
    pub executors: u64,
    pub executors_refused: u64,
    pub kills: u64,
    pub operations: u64,
    pub operations_ended: u64,
    pub teardowns: u64,
    pub frameworks_removed: u64,
    pub operator_requests: u64,
    pub writes: u64,
    pub master_crashes: u64,
    pub agent_crashes: u64,
    pub framework_crashes: u64,
    pub unresponsive: u64,
    pub broken_connections: u64,
    pub held_connections: u64,
    pub pauses: u64,
    pub clock_jumps: u64,
}

/// What happened to one task.
#[derive(Debug, Default)]
struct Story {
    /// Where its framework wanted it to run.
    agent: Option<AgentId>,
    /// Where it runs now.
    runs_in: Option<ContainerId>,
    has_started: bool,
    /// What its executor has said, in order.
    said: Vec<Vec<u8>>,
    /// How much of that its framework has heard.
    heard: usize,
}

/// The history of a run.
#[derive(Debug, Default)]
pub(super) struct History {
    tasks: BTreeMap<(FrameworkId, TaskId), Story>,
    /// Updates whose acknowledgement an agent has processed, by agent and its life.
    pub(super) acknowledged: BTreeSet<(usize, u64, Vec<u8>)>,
    /// When an agent last told the end of an operation of a framework.
    pub(super) operations_told: BTreeMap<FrameworkId, u64>,
    /// Quotas as the allocator knows them.
    pub(super) quotas: BTreeMap<Role, Quota>,
}

impl History {
    /// A framework is about to launch a task.
    pub(super) fn launched(&mut self, framework: &FrameworkId, task: &TaskId, agent: &AgentId) {
        let key = (framework.clone(), task.clone());
        let story = Story {
            agent: Some(agent.clone()),
            ..Story::default()
        };
        self.tasks.insert(key, story);
    }

    /// An executor was handed a task.
    pub(super) fn started(
        &mut self,
        agent: usize,
        container: &ContainerId,
        framework: &FrameworkId,
        task: &str,
    ) -> Result<(), String> {
        let key = (framework.clone(), TaskId::from(task));
        let Some(story) = self.tasks.get_mut(&key) else {
            return Err(format!(
                "task {task} runs, but {framework} has not launched it"
            ));
        };
        if let Some(other) = &story.runs_in {
            return Err(format!(
                "task {task} runs on agent {agent} and also in {other}"
            ));
        }
        if story.has_started {
            return Err(format!(
                "task {task} is started a second time, on agent {agent}"
            ));
        }
        story.has_started = true;
        story.runs_in = Some(container.clone());
        Ok(())
    }

    /// An executor said what became of a task.
    pub(super) fn said(&mut self, framework: &FrameworkId, task: &str, status: &TaskStatus) {
        let key = (framework.clone(), TaskId::from(task));
        if let Some(story) = self.tasks.get_mut(&key) {
            story.said.extend(status.uuid.clone());
            if is_terminal(status.state()) {
                story.runs_in = None;
            }
        }
    }

    /// An executor's process has ended with all its tasks.
    pub(super) fn ended(&mut self, executor: &Executor) {
        for task in executor.tasks.keys() {
            let key = (executor.framework.clone(), TaskId::from(task.as_str()));
            if let Some(story) = self.tasks.get_mut(&key) {
                story.runs_in = None;
            }
        }
    }

    /// A framework has heard a status.
    pub(super) fn delivered(
        &mut self,
        framework: &FrameworkId,
        task: &TaskId,
        status: &TaskStatus,
    ) -> Result<(), String> {
        let key = (framework.clone(), task.clone());
        let (Some(story), Some(uuid)) = (self.tasks.get_mut(&key), &status.uuid) else {
            return Ok(());
        };
        let agent = status.agent_id.as_ref().map(AgentId::from);
        if agent != story.agent {
            return Err(format!(
                "task {task} is of {:?}, not of {agent:?}",
                story.agent
            ));
        }
        let Some(at) = story.said.iter().position(|said| said == uuid) else {
            return Ok(());
        };
        if at > story.heard {
            return Err(format!(
                "update {at} of task {task} arrives, but {} was not heard",
                story.heard
            ));
        }
        story.heard = story.heard.max(at + 1);
        Ok(())
    }

    /// Tasks that really run now, with their frameworks.
    pub(super) fn running(&self) -> impl Iterator<Item = (&(FrameworkId, TaskId), &ContainerId)> {
        let running = self.tasks.iter();
        running.filter_map(|(key, story)| story.runs_in.as_ref().map(|container| (key, container)))
    }

    /// Remembers what the allocator is told of quotas.
    pub(super) fn follow_quota(&mut self, command: &Command) {
        match command {
            Command::SetQuota { role, quota } => {
                self.quotas.insert(role.clone(), quota.clone());
            }
            Command::Recover { quotas, .. } => self.quotas = quotas.iter().cloned().collect(),
            _ => {}
        }
    }

    /// A new master's allocator knows of nothing yet.
    pub(super) fn new_master(&mut self) {
        self.quotas.clear();
    }
}
