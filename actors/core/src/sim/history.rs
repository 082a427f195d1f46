//! What has really happened to every task, whoever believes what; for the checkers.
//! How often things happen is counted in `counts`.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1::{OperationState, TaskStatus};

use super::executors::Executor;
use super::messages::Messages;
use crate::agent::model::is_terminal;
use crate::ids::{AgentId, ContainerId, FrameworkId, TaskId};

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
    pub(super) messages: Messages,
    /// The latest of the calls of each framework that have arrived.
    pub(super) last_calls: BTreeMap<usize, u64>,
    /// How operations that frameworks named have ended, as their agents say.
    operations: BTreeMap<(FrameworkId, String), OperationState>,
    /// Tasks that their frameworks wanted to be killed.
    pub(super) killed: BTreeSet<String>,
    /// When an agent last told the end of an operation of a framework.
    pub(super) operations_told: BTreeMap<FrameworkId, u64>,
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

    /// Whether a framework of this id has launched a task.
    pub(super) fn is_of(&self, framework: &str, task: &str) -> bool {
        let key = (FrameworkId::from(framework), TaskId::from(task));
        self.tasks.contains_key(&key)
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

    /// A framework has heard of an operation from its agent.
    pub(super) fn operation_ended(
        &mut self,
        framework: &FrameworkId,
        id: &str,
        state: OperationState,
    ) -> Result<(), String> {
        let key = (framework.clone(), id.to_owned());
        let before = *self.operations.entry(key).or_insert(state);
        match before == state {
            true => Ok(()),
            false => Err(format!(
                "operation {id} has ended in {before:?} and in {state:?}"
            )),
        }
    }

    /// Tasks that really run now, with their frameworks.
    pub(super) fn running(&self) -> impl Iterator<Item = (&(FrameworkId, TaskId), &ContainerId)> {
        let running = self.tasks.iter();
        running.filter_map(|(key, story)| story.runs_in.as_ref().map(|container| (key, container)))
    }
}
