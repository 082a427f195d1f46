//! Executors: played processes that start, run tasks, end them and themselves.
//! How they speak with the agent is in `executor_api`.

use std::collections::{BTreeMap, VecDeque};

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::{TaskInfo, TaskState, TaskStatus};

use super::events::{Deed, Event};
use super::net::ConnId;
use super::world::{SECOND, World};
use crate::agent::messages::{Input, Launch};
use crate::ids::{ContainerId, ExecutorId, FrameworkId};

/// Wait status of a process that was killed by SIGKILL.
const KILLED: i32 = 9;

/// A task an executor runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) info: TaskInfo,
    /// What the executor has said last.
    pub(super) state: TaskState,
    /// It has ended.
    pub(super) is_over: bool,
}

/// A played executor.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) framework: FrameworkId,
    pub(super) id: ExecutorId,
    /// The agent's process that started it.
    pub(super) life: u64,
    pub(super) conn: Option<ConnId>,
    pub(super) is_subscribed: bool,
    pub(super) tasks: BTreeMap<String, Running>,
    /// Said and not acknowledged by the agent.
    pub(super) unacknowledged: VecDeque<TaskStatus>,
    /// It was given a task at least once.
    pub(super) had_task: bool,
    /// It waits for an agent that is gone.
    pub(super) outlives_agent: bool,
    /// It was told to end.
    pub(super) is_ending: bool,
}

impl World {
    pub(super) fn executor(&mut self, agent: usize, id: &ContainerId) -> Option<&mut Executor> {
        self.agents.get_mut(agent)?.executors.get_mut(id)
    }

    fn deed(&mut self, delay: u64, agent: usize, container: &ContainerId, deed: Deed) {
        let container = container.clone();
        let event = Event::Executor {
            agent,
            container,
            deed,
        };
        self.after(delay, event);
    }

    /// A container's process is started, or that fails.
    pub(super) fn spawn(&mut self, agent: usize, life: u64, launch: Launch) {
        if !self.is_alive(agent, life) {
            return;
        }
        let can_fail = self.options.has_faults && !self.is_calm;
        let container = launch.container.clone();
        if can_fail && self.random.per_mille(30) {
            let result = Err("no such program".to_owned());
            return self.agent_input(agent, Input::Launched { container, result });
        }
        let executor = Executor {
            framework: launch.framework,
            id: launch.executor,
            life,
            conn: None,
            is_subscribed: false,
            tasks: BTreeMap::new(),
            unacknowledged: VecDeque::new(),
            had_task: false,
            outlives_agent: launch
                .environment
                .get("MESOS_CHECKPOINT")
                .is_some_and(|it| it == "1"),
            is_ending: false,
        };
        if let Some(host) = self.agents.get_mut(agent) {
            host.executors.insert(container.clone(), executor);
        }
        self.counts.executors += 1;
        let pid = u32::try_from(self.number() % 30_000).unwrap_or(2) + 2;
        // Some never subscribe, and some end before they do.
        match self.random.below(100) {
            0 if can_fail => {}
            1 if can_fail => self.deed(SECOND, agent, &container, Deed::Exit),
            _ => {
                let delay = self.random.between(SECOND / 100, 2 * SECOND);
                self.deed(delay, agent, &container, Deed::Subscribe);
            }
        }
        let result = Ok(pid);
        self.agent_input(agent, Input::Launched { container, result });
    }

    /// An executor's process is gone, and so are its tasks.
    pub(super) fn executor_gone(&mut self, agent: usize, container: &ContainerId) {
        let gone = self
            .agents
            .get_mut(agent)
            .and_then(|host| host.executors.remove(container));
        if let Some(executor) = gone {
            self.history.ended(&executor);
            if let Some(conn) = executor.conn {
                self.hang_up(conn, super::net::Side::Client);
            }
        }
    }

    /// A container's processes are killed, if it runs.
    pub(super) fn kill_container(&mut self, agent: usize, container: &ContainerId, delay: u64) {
        self.exit(agent, container, KILLED, delay);
    }

    fn exit(&mut self, agent: usize, container: &ContainerId, status: i32, delay: u64) {
        let Some(life) = self
            .executor(agent, container)
            .map(|executor| executor.life)
        else {
            return;
        };
        self.note(format_args!("executor {container} of agent {agent} ends"));
        self.executor_gone(agent, container);
        let input = Box::new(Input::Exited {
            container: container.clone(),
            status: Some(status),
        });
        self.after(delay, Event::ToAgent { agent, life, input });
    }

    pub(super) fn executor_does(&mut self, agent: usize, container: &ContainerId, deed: Deed) {
        if self.executor(agent, container).is_none() {
            return;
        }
        match deed {
            Deed::Subscribe => self.executor_subscribes(agent, container),
            Deed::Finish(task) => {
                let state = match self.random.per_mille(200) {
                    true => TaskState::TaskFailed,
                    false => TaskState::TaskFinished,
                };
                self.end_task(agent, container, &task, state);
            }
            Deed::Killed(task) => self.end_task(agent, container, &task, TaskState::TaskKilled),
            Deed::GiveUp => {
                // Unless the agent has come back meanwhile.
                let found = self
                    .executor(agent, container)
                    .is_some_and(|it| it.is_subscribed);
                if !found {
                    self.executor_does(agent, container, Deed::Exit);
                }
            }
            Deed::Exit => {
                let delay = self.random.between(100, SECOND / 10);
                self.exit(agent, container, 0, delay);
            }
        }
    }

    /// Tasks are handed to an executor.
    pub(super) fn executor_starts(
        &mut self,
        agent: usize,
        container: &ContainerId,
        tasks: Vec<TaskInfo>,
    ) {
        for info in tasks {
            let id = info.task_id.value.clone();
            let Some(executor) = self.executor(agent, container) else {
                return;
            };
            executor.had_task = true;
            let framework = executor.framework.clone();
            let running = Running {
                info: info.clone(),
                state: TaskState::TaskStaging,
                is_over: false,
            };
            let before = executor.tasks.insert(id.clone(), running);
            if before.is_some() {
                return self.fail(format!("task {id} was handed twice to an executor"));
            }
            if let Err(error) = self.history.started(agent, container, &framework, &id) {
                return self.fail(error);
            }
            self.counts.tasks_started += 1;
            self.task_begins(agent, &info);
            if self.random.per_mille(300) {
                self.update(agent, container, &id, TaskState::TaskStarting);
            }
            self.update(agent, container, &id, TaskState::TaskRunning);
            if self.random.per_mille(100) {
                self.message_framework(agent, container);
            }
            let runs = match self.random.below(10) {
                0 => continue,
                1 | 2 => self.random.below(SECOND),
                3..=7 => self.random.below(60 * SECOND),
                _ => self.random.below(1_200 * SECOND),
            };
            self.deed(runs, agent, container, Deed::Finish(id));
        }
    }

    /// An executor is told to kill a task.
    pub(super) fn executor_kills(&mut self, agent: usize, container: &ContainerId, task: &str) {
        let delay = match self.random.below(4) {
            0 => self.random.below(10 * SECOND),
            _ => self.random.below(SECOND / 10),
        };
        let executor = self.executor(agent, container);
        let is_running = executor.is_some_and(|executor| {
            let task = executor.tasks.get(task);
            task.is_some_and(|task| task.state == TaskState::TaskRunning && !task.is_over)
        });
        if is_running && self.is_told_of_kills(agent, container) {
            self.update(agent, container, task, TaskState::TaskKilling);
        }
        self.deed(delay, agent, container, Deed::Killed(task.to_owned()));
    }

    /// Whether the framework of an executor knows TASK_KILLING.
    fn is_told_of_kills(&mut self, agent: usize, container: &ContainerId) -> bool {
        let owner = self
            .executor(agent, container)
            .map(|it| it.framework.clone());
        let mut hosts = self.frameworks.iter();
        let owner = hosts.position(|host| host.id.is_some() && host.id == owner);
        owner.is_some_and(|owner| self.is_capable(owner, Capability::TaskKillingState))
    }

    /// An executor is told to end: it ends its tasks first. Some take longer than they may.
    pub(super) fn executor_ends(&mut self, agent: usize, container: &ContainerId) {
        let Some(executor) = self.executor(agent, container) else {
            return;
        };
        if std::mem::replace(&mut executor.is_ending, true) {
            return;
        }
        let tasks: Vec<String> = executor.tasks.keys().cloned().collect();
        for task in tasks {
            self.end_task(agent, container, &task, TaskState::TaskKilled);
        }
        let delay = match self.random.below(10) {
            0 => self.random.below(20 * SECOND),
            _ => self.random.below(SECOND),
        };
        self.deed(delay, agent, container, Deed::Exit);
    }

    fn end_task(&mut self, agent: usize, container: &ContainerId, task: &str, state: TaskState) {
        let running = self
            .executor(agent, container)
            .and_then(|executor| executor.tasks.get_mut(task));
        let Some(running) = running else {
            return;
        };
        if !std::mem::replace(&mut running.is_over, true) {
            self.update(agent, container, task, state);
        }
    }

    /// An executor all of whose tasks are over and acknowledged ends by and by.
    pub(super) fn executor_idles(&mut self, agent: usize, container: &ContainerId) {
        let Some(executor) = self.executor(agent, container) else {
            return;
        };
        let is_idle = executor.had_task
            && executor.unacknowledged.is_empty()
            && executor.tasks.values().all(|task| task.is_over);
        if is_idle {
            executor.tasks.clear();
            executor.is_ending = true;
            let delay = self.random.below(2 * SECOND);
            self.deed(delay, agent, container, Deed::Exit);
        }
    }

    /// A second attempt to subscribe, some time later.
    pub(super) fn subscribe_later(&mut self, agent: usize, container: &ContainerId) {
        let delay = self.random.between(SECOND / 10, 3 * SECOND);
        self.deed(delay, agent, container, Deed::Subscribe);
    }
}
