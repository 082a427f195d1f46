//! The machine's side towards its tasks: launching, ending, killing them.
//! How the agent hears of it is decided in `agent`.

use std::time::Duration;

use tepui_protocol::v1::agent::response::WaitContainer;
use tepui_protocol::v1::framework_info::capability;
use tepui_protocol::v1::{ContainerId, KillPolicy, TaskGroupInfo, TaskInfo, TaskState};

use super::checker::Checker;
use super::status::{Ended, Report};
use super::task::{Cause, Life, Task};
use super::{Action, DEFAULT_KILL_GRACE, MAX_TASKS, Machine, Mode, SHUTDOWN_RESERVE, Start};
use crate::clock::Now;
use crate::ids::uuid_text;

impl Machine {
    pub(super) fn on_launch(&mut self, now: Now, task: TaskInfo, out: &mut Vec<Action>) {
        match self.mode {
            Mode::Undecided => {}
            Mode::Command => {
                let text = "Attempted to run multiple tasks using a \"command\" executor";
                let report = Report::of(&task, TaskState::TaskFailed).message(text);
                self.report(now, report, out);
                return;
            }
            Mode::Group => {
                out.push(Action::Log(
                    "LAUNCH event is not supported beside LAUNCH_GROUP".into(),
                ));
                self.shut_down(now, out);
                return;
            }
        }
        if self.shutting_down {
            out.push(Action::Log(
                "ignoring a launch, as the executor is shutting down".into(),
            ));
            return;
        }
        self.mode = Mode::Command;
        self.add(now, task, None, None, out);
        self.start_added(1, out);
    }

    pub(super) fn on_launch_group(
        &mut self,
        now: Now,
        group: TaskGroupInfo,
        out: &mut Vec<Action>,
    ) {
        if self.mode == Mode::Command {
            out.push(Action::Log(
                "LAUNCH_GROUP event is not supported beside LAUNCH".into(),
            ));
            self.shut_down(now, out);
            return;
        }
        if self.shutting_down {
            out.push(Action::Log(
                "ignoring a launch, as the executor is shutting down".into(),
            ));
            return;
        }
        self.mode = Mode::Group;
        self.groups += 1;
        let count = group.tasks.len();
        if self.tasks.len() + count > MAX_TASKS {
            let text = format!(
                "Executor runs {} of at most {MAX_TASKS} tasks",
                self.tasks.len()
            );
            for task in &group.tasks {
                let report = Report::of(task, TaskState::TaskFailed).message(&text);
                self.report(now, report, out);
            }
            return;
        }
        for task in group.tasks {
            let value = uuid_text(&self.ids.uuid());
            let parent = self.container.clone().map(Box::new);
            self.add(
                now,
                task,
                Some(self.groups),
                Some(ContainerId { value, parent }),
                out,
            );
        }
        self.start_added(count, out);
    }

    /// Takes a task on and says so.
    fn add(
        &mut self,
        now: Now,
        info: TaskInfo,
        group: Option<u64>,
        container: Option<ContainerId>,
        out: &mut Vec<Action>,
    ) {
        let task = Task::new(now, info, group, container);
        self.report(now, task.report(TaskState::TaskStarting), out);
        self.tasks.push(task);
    }

    /// Starts the processes of the last `count` tasks.
    fn start_added(&self, count: usize, out: &mut Vec<Action>) {
        let first = self.tasks.len().saturating_sub(count);
        out.extend(self.tasks.iter().skip(first).map(|task| {
            Action::Start(Box::new(Start {
                task: task.info.clone(),
                container: task.container.as_ref().map(|id| id.value.clone()),
                parent: task.container.as_ref().and_then(|id| id.parent.clone()),
            }))
        }));
    }

    pub(super) fn on_started(&mut self, now: Now, id: &str, pid: i32, out: &mut Vec<Action>) {
        let Some(task) = self.tasks.iter_mut().find(|task| task.waits_for_start(id)) else {
            // Its end was decided while it started.
            out.push(Action::Kill(pid));
            return;
        };
        let doomed = task.doomed;
        task.life = Life::Running { pid };
        let report = task.running_report();
        self.report(now, report, out);
        match doomed {
            Some(grace) => self.kill(now, id, Cause::Asked, grace, out),
            None => self.start_checks(now, id, out),
        }
    }

    /// Mesos executes a task from a process it has started already, so that a program that cannot
    /// be executed is a task that ran and ended with status 1.
    pub(super) fn on_not_executable(
        &mut self,
        now: Now,
        id: &str,
        message: &str,
        out: &mut Vec<Action>,
    ) {
        if let Some(index) = self.tasks.iter().position(|task| task.waits_for_start(id)) {
            let task = self.tasks.remove(index);
            out.push(Action::Log(format!("task '{id}': {message}")));
            self.report(now, task.report(TaskState::TaskRunning), out);
            self.report(now, task.final_report(Ended::Exited(1)), out);
            self.end_group_of(now, &task, out);
        }
    }

    pub(super) fn on_start_failed(
        &mut self,
        now: Now,
        id: &str,
        message: String,
        out: &mut Vec<Action>,
    ) {
        if let Some(index) = self.tasks.iter().position(|task| task.waits_for_start(id)) {
            let task = self.tasks.remove(index);
            let in_docker = self.settings.docker.is_some();
            let report = Report {
                reason: in_docker.then_some(Reason::ContainerLaunchFailed),
                ..task.report(TaskState::TaskFailed).message(&message)
            };
            out.push(Action::Log(format!("task '{id}': {message}")));
            self.report(now, report, out);
            self.end_group_of(now, &task, out);
        }
    }

    pub(super) fn on_exited(&mut self, now: Now, pid: i32, ended: Ended, out: &mut Vec<Action>) {
        let report = |task: &Task| task.final_report(ended);
        self.on_ended(now, pid, report, out);
    }

    /// What the agent says of a container's end goes before what is known here.
    pub(super) fn on_container_ended(
        &mut self,
        now: Now,
        pid: i32,
        how: WaitContainer,
        out: &mut Vec<Action>,
    ) {
        let report = |task: &Task| task.container_report(how);
        self.on_ended(now, pid, report, out);
    }

    fn on_ended(
        &mut self,
        now: Now,
        pid: i32,
        report: impl FnOnce(&Task) -> Report,
        out: &mut Vec<Action>,
    ) {
        let Some(index) = self
            .tasks
            .iter()
            .position(|task| task.life.pid() == Some(pid))
        else {
            return;
        };
        let mut task = self.tasks.remove(index);
        stop_checks(&mut task, out);
        let report = report(&task);
        let failed = report.state != TaskState::TaskFinished;
        self.report(now, report, out);
        if failed {
            self.end_group_of(now, &task, out);
        }
    }

    /// One member failed or was killed: the others of its group are killed.
    fn end_group_of(&mut self, now: Now, ended: &Task, out: &mut Vec<Action>) {
        if self.shutting_down || ended.group.is_none() {
            return;
        }
        let others: Vec<String> = self
            .tasks
            .iter()
            .filter(|task| task.group == ended.group)
            .map(|task| task.info.task_id.value.clone())
            .collect();
        for id in others {
            self.kill(now, &id, Cause::Asked, DEFAULT_KILL_GRACE, out);
        }
    }

    pub(super) fn on_kill(
        &mut self,
        now: Now,
        id: &str,
        policy: Option<&KillPolicy>,
        out: &mut Vec<Action>,
    ) {
        let default = self.settings.kill_grace();
        let Some(task) = self.task_mut(id) else {
            out.push(Action::Log(format!(
                "ignoring the kill of task '{id}', which is not active"
            )));
            return;
        };
        let grace = task.kill_grace(policy, default);
        self.kill(now, id, Cause::Asked, grace, out);
    }

    /// Starts or hastens the end of a task.
    pub(super) fn kill(
        &mut self,
        now: Now,
        id: &str,
        cause: Cause,
        grace: Duration,
        out: &mut Vec<Action>,
    ) {
        let Some(task) = self
            .tasks
            .iter_mut()
            .find(|task| task.info.task_id.value == id)
        else {
            return;
        };
        match &mut task.life {
            Life::Starting => {
                task.doomed = Some(task.doomed.map_or(grace, |earlier| earlier.min(grace)));
            }
            Life::Running { pid } => {
                let pid = *pid;
                let escalate_at = Some(now.mono + grace);
                task.life = Life::Killing {
                    pid,
                    cause,
                    since: now.mono,
                    escalate_at,
                };
                task.complete_at = None;
                stop_checks(task, out);
                let report = task.report(TaskState::TaskKilling);
                if cause == Cause::Asked && self.knows_task_killing() {
                    self.report(now, report, out);
                }
                out.push(Action::Terminate(pid));
            }
            Life::Killing {
                since,
                escalate_at: Some(at),
                ..
            } => {
                // A repeated kill may only shorten the wait.
                let sooner = (*since + grace).max(now.mono);
                *at = sooner.min(*at);
            }
            Life::Killing {
                escalate_at: None, ..
            } => {}
        }
    }

    pub(super) fn shut_down(&mut self, now: Now, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.shutting_down, true) {
            return;
        }
        let rest = self
            .settings
            .shutdown_grace
            .saturating_sub(SHUTDOWN_RESERVE);
        let grace = match self.mode {
            Mode::Group => rest.min(DEFAULT_KILL_GRACE),
            Mode::Command | Mode::Undecided => rest,
        };
        let ids: Vec<_> = self
            .tasks
            .iter()
            .map(|task| task.info.task_id.value.clone())
            .collect();
        for id in ids {
            self.kill(now, &id, Cause::Asked, grace, out);
        }
    }

    pub(super) fn tick_tasks(&mut self, now: Now, out: &mut Vec<Action>) {
        let late: Vec<_> = self
            .tasks
            .iter()
            .filter(|task| task.complete_at.is_some_and(|at| at <= now.mono))
            .map(|task| task.info.task_id.value.clone())
            .collect();
        for id in late {
            out.push(Action::Log(format!(
                "task '{id}' exceeded its maximum completion time"
            )));
            self.kill(now, &id, Cause::MaxCompletionTime, Duration::ZERO, out);
        }
        for task in &mut self.tasks {
            let id = &task.info.task_id.value;
            if let Life::Killing {
                pid, escalate_at, ..
            } = &mut task.life
                && escalate_at.is_some_and(|at| at <= now.mono)
            {
                *escalate_at = None;
                let text = format!("task '{id}' did not end in time, sending SIGKILL");
                out.push(Action::Log(text));
                out.push(Action::Kill(*pid));
            }
        }
    }

    /// The task of that id, unless it ended.
    pub(super) fn task_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.is(id))
    }

    fn knows_task_killing(&self) -> bool {
        let wanted = capability::Type::TaskKillingState;
        self.framework
            .capabilities
            .iter()
            .any(|capability| capability.r#type() == wanted)
    }
}

/// A task that ends is not looked at any more.
fn stop_checks(task: &mut Task, out: &mut Vec<Action>) {
    let checkers = std::mem::take(&mut task.checkers);
    let runs = checkers.iter().filter_map(Checker::run);
    out.extend(runs.map(Action::StopCheck));
}
