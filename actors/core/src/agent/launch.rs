//! Launching tasks and groups: the checks before, the executor they need, their delivery.
//! Starts no process itself.

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tepui_protocol::link::{AgentToMaster, RunTask, RunTaskGroup};
use tepui_protocol::v1::executor::{Event, event};
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{self, ExecutorInfo, FrameworkInfo, TaskState, TaskStatus};

use super::container_resources::ContainerResources;
use super::messages::{Effect, InDocker, InImage, Launch};
use super::model::{
    Executor, ExecutorKind, ExecutorState, Framework, FrameworkState, Queued, is_partition_aware,
    staged,
};
use super::updates::AgentStatus;
use super::volumes::TOO_LATE;
use super::{Agent, Life, Timer, executor_info, paths};
use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use crate::resources::Resources;
use crate::time::Now;
use crate::validation::container::is_docker;

/// One order to launch: a task or a group, and the executor it is for.
struct Order {
    framework: FrameworkInfo,
    framework_id: FrameworkId,
    executor: ExecutorInfo,
    executor_id: ExecutorId,
    kind: ExecutorKind,
    work: Queued,
    launch_executor: bool,
}

/// Why an order cannot be carried out.
struct Dropped {
    reason: Reason,
    message: &'static str,
    /// Mesos leaves the executor out of some statuses.
    names_executor: bool,
}

impl Agent {
    pub(super) fn run_task(&mut self, now: Now, run: RunTask, out: &mut Vec<Effect>) {
        let (framework, task) = (run.framework.0, run.task.0);
        let executor = executor_info::for_task(&task, &framework, &self.settings);
        let kind = executor_info::kind(Some(&task), &executor);
        let work = Queued::Task(Arc::new(task));
        self.run(
            now,
            framework,
            executor,
            kind,
            work,
            run.launch_executor,
            out,
        );
    }

    pub(super) fn run_task_group(&mut self, now: Now, run: RunTaskGroup, out: &mut Vec<Effect>) {
        let framework = run.framework.0;
        let mut executor = run.executor.0;
        executor.framework_id = executor.framework_id.or_else(|| framework.id.clone());
        let kind = executor_info::kind(None, &executor);
        let work = Queued::Group(Arc::new(run.group.0));
        self.run(
            now,
            framework,
            executor,
            kind,
            work,
            run.launch_executor,
            out,
        );
    }

    #[allow(clippy::too_many_arguments, reason = "they are the parts of one order")]
    fn run(
        &mut self,
        now: Now,
        framework: FrameworkInfo,
        executor: ExecutorInfo,
        kind: ExecutorKind,
        work: Queued,
        launch_executor: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework_id) = framework.id.as_ref().map(FrameworkId::from) else {
            return;
        };
        let own_id = self.agent_id.as_ref().map_or("", |id| id.as_str());
        if work
            .tasks()
            .iter()
            .any(|task| task.agent_id.value != own_id)
        {
            tracing::warn!(framework = %framework_id, "launch for another agent id ignored");
            return;
        }
        match self.life {
            Life::Active => {}
            Life::Stopping | Life::Leaving | Life::Ended => return,
        }
        let executor_id = ExecutorId::from(&executor.executor_id);
        let order = Order {
            framework,
            framework_id,
            executor,
            executor_id,
            kind,
            work,
            launch_executor,
        };
        self.admit_framework(&order);
        if let Err(dropped) = self.carry_out(now, &order, out) {
            self.drop_order(now, &order, &dropped, out);
        }
        self.remove_framework_when_idle(&order.framework_id);
    }

    /// Makes the framework known, with its earlier executors if it was here before.
    fn admit_framework(&mut self, order: &Order) {
        if self.frameworks.contains_key(&order.framework_id) {
            return;
        }
        self.keep_framework(&order.framework_id);
        let before = self
            .completed_frameworks
            .iter()
            .position(|done| done.id == order.framework_id);
        let completed_executors = before
            .map(|at| {
                self.completed_frameworks
                    .remove(at)
                    .completed_executors
                    .clone()
            })
            .unwrap_or_default();
        let framework = Framework {
            id: order.framework_id.clone(),
            info: Arc::new(order.framework.clone()),
            state: FrameworkState::Running,
            executors: OrdMap::new(),
            tasks: OrdMap::new(),
            completed_executors,
        };
        self.frameworks
            .insert(order.framework_id.clone(), Arc::new(framework));
    }

    /// What speaks against an order, whatever its executor.
    fn check_order(&self, order: &Order) -> Result<(), Dropped> {
        let dropped = |reason, message| Dropped {
            reason,
            message,
            names_executor: true,
        };
        if self.drain.is_some() {
            let message = "Task was received while agent was already draining";
            return Err(dropped(Reason::AgentDraining, message));
        }
        let ids = [order.framework_id.as_str(), order.executor_id.as_str()];
        if !ids.into_iter().all(paths::is_safe_name) {
            let message = "The framework's or executor's id cannot name a sandbox directory";
            return Err(dropped(Reason::TaskInvalid, message));
        }
        let executor = self.executor(&order.framework_id, &order.executor_id);
        let joined = executor.filter(|_| !order.launch_executor);
        if joined.is_some_and(|it| self.brings_volume_too_late(it, &order.work)) {
            return Err(dropped(Reason::ContainerUpdateFailed, TOO_LATE));
        }
        self.unknown_resources(order).map_or(Ok(()), Err)
    }

    fn carry_out(&mut self, now: Now, order: &Order, out: &mut Vec<Effect>) -> Result<(), Dropped> {
        let Some(framework) = self.frameworks.get(&order.framework_id) else {
            return Ok(());
        };
        if framework.state == FrameworkState::Terminating {
            self.refuse_while_ending(now, order, out);
            return Ok(());
        }
        self.check_order(order)?;
        let mut failed = None;
        match framework
            .executors
            .get(&order.executor_id)
            .map(|executor| executor.state)
        {
            None if order.launch_executor => failed = self.start_executor(now, order, out),
            None => {
                return Err(terminated(
                    "No executor is expected to launch and there is none running",
                ));
            }
            Some(_) if order.kind == ExecutorKind::Command => {
                return Err(Dropped {
                    reason: Reason::TaskInvalid,
                    message: "Cannot reuse an already existing executor for a command task",
                    names_executor: true,
                });
            }
            Some(_) if order.launch_executor => {
                self.refuse_second_executor(now, order, out);
                return Ok(());
            }
            Some(ExecutorState::Terminating(_)) => {
                return Err(Dropped {
                    names_executor: false,
                    ..terminated("Executor terminating")
                });
            }
            Some(ExecutorState::Terminated) => {
                return Err(Dropped {
                    names_executor: false,
                    ..terminated("Executor terminated")
                });
            }
            Some(ExecutorState::Registering | ExecutorState::Running(_)) => {}
        }
        let joins = self
            .executor(&order.framework_id, &order.executor_id)
            .is_some()
            && !order.launch_executor;
        self.enqueue(order);
        if joins {
            self.update_container(&order.framework_id, &order.executor_id, out);
            self.add_links(&order.framework_id, &order.executor_id, out);
        }
        self.deliver(&order.framework_id, &order.executor_id, out);
        if let Some((container, why)) = failed {
            self.container_launched(now, &container, Err(why), out);
        }
        Ok(())
    }

    /// Why the order cannot be carried out, when it counts on reservations or volumes that the
    /// agent has not checkpointed.
    fn unknown_resources(&self, order: &Order) -> Option<Dropped> {
        let checkpointed = self.operations.checkpointed();
        let is_known = |resource: &v1::Resource| match Resources::from_v1(from_ref(resource)) {
            Ok(one) => checkpointed.contains(&one.unallocated().checkpointed()),
            Err(_) => false,
        };
        let unknown = |message| Dropped {
            reason: Reason::ResourcesUnknown,
            message,
            names_executor: true,
        };
        let mut tasks = order.work.tasks().iter();
        if !tasks.all(|task| task.resources.iter().all(is_known)) {
            return Some(unknown(
                "The checkpointed resources being used by the task or task group are unknown to \
                 the agent",
            ));
        }
        if !order.executor.resources.iter().all(is_known) {
            return Some(unknown(
                "The checkpointed resources being used by the executor are unknown to the agent",
            ));
        }
        None
    }

    /// The master counted a new executor where one exists: its books are put right.
    fn refuse_second_executor(&mut self, now: Now, order: &Order, out: &mut Vec<Effect>) {
        let dropped = terminated("Master wants to launch executor, but one already exists");
        self.send_dropped(now, order, &dropped, out);
        let state = self
            .executor(&order.framework_id, &order.executor_id)
            .map(|known| known.state);
        match state {
            Some(ExecutorState::Terminated) => self.tell_executor_will_not_start(order, out),
            Some(ExecutorState::Registering | ExecutorState::Running(_)) => {
                self.begin_shutdown(now, &order.framework_id, &order.executor_id, out);
            }
            Some(ExecutorState::Terminating(_)) | None => {}
        }
    }

    fn drop_order(&mut self, now: Now, order: &Order, dropped: &Dropped, out: &mut Vec<Effect>) {
        self.send_dropped(now, order, dropped, out);
        let executor_lives = self
            .executor(&order.framework_id, &order.executor_id)
            .is_some();
        if order.launch_executor && !executor_lives {
            self.tell_executor_will_not_start(order, out);
        }
    }

    /// An earlier master has ended the framework here, but for the present one it goes on: it must
    /// hear that nothing comes of its tasks.
    fn refuse_while_ending(&mut self, now: Now, order: &Order, out: &mut Vec<Effect>) {
        let dropped = terminated("Framework terminating");
        for status in self.dropped_statuses(now, order, &dropped) {
            let key = (order.framework_id.clone(), TaskId::from(&status.task_id));
            self.stream_update(now, &key, status, out);
        }
        self.tell_executor_will_not_start(order, out);
    }

    /// Says of each task of the order that it was dropped.
    fn send_dropped(&mut self, now: Now, order: &Order, dropped: &Dropped, out: &mut Vec<Effect>) {
        for status in self.dropped_statuses(now, order, dropped) {
            self.update(now, &order.framework_id, status, out);
        }
    }

    fn dropped_statuses(&mut self, now: Now, order: &Order, dropped: &Dropped) -> Vec<TaskStatus> {
        let state = match is_partition_aware(&order.framework) {
            true => TaskState::TaskDropped,
            false => TaskState::TaskLost,
        };
        let tasks = order.work.tasks().iter();
        let statuses = tasks.map(|task| {
            self.agent_status(AgentStatus {
                now,
                task: &TaskId::from(&task.task_id),
                executor: dropped.names_executor.then_some(&order.executor_id),
                state,
                reason: dropped.reason,
                message: dropped.message,
            })
        });
        statuses.collect()
    }

    /// The master counted an executor that will not exist.
    fn tell_executor_will_not_start(&self, order: &Order, out: &mut Vec<Effect>) {
        if order.launch_executor {
            let message = AgentToMaster::ExecutorExited {
                framework_id: order.framework_id.to_string(),
                executor_id: order.executor_id.to_string(),
                status: -1,
            };
            self.tell_master(message, out);
        }
    }

    /// Records a new executor and orders its process; says why when it cannot be ordered.
    fn start_executor(
        &mut self,
        now: Now,
        order: &Order,
        out: &mut Vec<Effect>,
    ) -> Option<(ContainerId, String)> {
        let agent = self.agent_id.clone()?;
        self.keep_executor(&order.framework_id, &order.executor_id);
        let container = ContainerId::new(self.ids.uuid().to_string());
        let directory = paths::run(
            &self.settings.work_dir,
            &agent,
            &order.framework_id,
            &order.executor_id,
            &container,
        );
        let executor = Executor {
            id: order.executor_id.clone(),
            info: Arc::new(order.executor.clone()),
            kind: order.kind,
            container: container.clone(),
            directory: directory.clone(),
            state: ExecutorState::Registering,
            recovered: false,
            pid: None,
            queued: Vector::new(),
            launched: OrdMap::new(),
            terminated: OrdMap::new(),
            completed: Vector::new(),
            termination: None,
            ever_sent: false,
            volumes: BTreeMap::new(),
            kills: Vec::new(),
            linking: 0,
        };
        let key = (order.framework_id.clone(), order.executor_id.clone());
        if let Some(framework) = self.framework_mut(&key.0) {
            framework
                .executors
                .insert(key.1.clone(), Arc::new(executor));
        }
        self.containers.insert(container.clone(), key);
        self.timers.set(
            Timer::Subscribe(container.clone()),
            now.mono + self.settings.executor_registration_timeout,
        );
        match self.launch_order(order, container.clone(), directory) {
            Ok(launch) => {
                let key = (&order.framework_id, &order.executor_id);
                if let Some(executor) = self.executor_mut(key.0, key.1) {
                    let shown = launch.volumes.iter();
                    executor.volumes = shown
                        .map(|link| (link.name.clone(), link.volume.path.clone()))
                        .collect();
                }
                out.push(Effect::Launch(Box::new(launch)));
                None
            }
            Err(why) => Some((container, why)),
        }
    }

    fn launch_order(
        &self,
        order: &Order,
        container: ContainerId,
        directory: String,
    ) -> Result<Launch, String> {
        let info = &order.executor;
        let command = executor_info::command(info, order.kind, &self.settings);
        if let Some(why) = executor_info::unsupported(&command, info, self.settings.isolation) {
            return Err(why);
        }
        let agent = self.agent_id.as_ref().ok_or("the agent has no id yet")?;
        let docker = self.in_docker(order, agent, &command, &directory);
        // What runs outside of a container is not told what the framework tells its inside.
        let outside = docker
            .as_ref()
            .map(|_| executor_info::own_program(&self.settings));
        let outside = outside.as_ref().unwrap_or(&command);
        let image = self.in_image(order, &command);
        let (program, arguments) = match &image {
            Some(_) => executor_info::argv_in_image(outside)?,
            None => executor_info::argv(outside)?,
        };
        let environment = match &image {
            Some(_) => executor_info::own_environment,
            None => executor_info::environment,
        };
        let mut environment = environment(&self.settings, agent, info, outside, &directory);
        executor_info::add_recovery(&self.settings, &order.framework, &mut environment);
        let own_user = || {
            command
                .user
                .clone()
                .unwrap_or_else(|| order.framework.user.clone())
        };
        Ok(Launch {
            container,
            framework: order.framework_id.clone(),
            executor: order.executor_id.clone(),
            directory,
            program,
            arguments,
            environment,
            user: self.settings.switch_user.then(own_user),
            volumes: self.first_links(info, &order.work)?,
            resources: match &docker {
                Some(docker) if !docker.is_executor => {
                    ContainerResources::of_tasks(order.work.tasks())
                }
                _ => ContainerResources::at_launch(info, order.work.tasks()),
            },
            info: info.container.clone(),
            docker,
            image,
            uris: command.uris,
            called: None,
        })
    }

    /// What runs in the container, if its root file system is that of an image.
    fn in_image(&self, order: &Order, command: &v1::CommandInfo) -> Option<Box<InImage>> {
        if !executor_info::has_image(order.executor.container.as_deref()) {
            return None;
        }
        let is_task = order.kind == ExecutorKind::Command;
        let task = order.work.tasks().first().filter(|_| is_task);
        let own = task.and_then(|task| task.command.as_deref());
        let settings = &self.settings;
        let inherited = executor_info::inherited(settings);
        let command = own.unwrap_or(command);
        Some(executor_info::in_image(
            command, is_task, inherited, settings,
        ))
    }

    /// What runs in the container, if it is of type DOCKER.
    fn in_docker(
        &self,
        order: &Order,
        agent: &AgentId,
        command: &v1::CommandInfo,
        directory: &str,
    ) -> Option<Box<InDocker>> {
        let info = &order.executor;
        info.container.as_deref().filter(|info| is_docker(info))?;
        let is_executor = order.kind != ExecutorKind::Command;
        let task = order.work.tasks().first();
        let own = task.and_then(|task| task.command.as_deref());
        let command = own.filter(|_| !is_executor).unwrap_or(command).clone();
        let environment = match is_executor {
            true => {
                let settings = &self.settings;
                let mut all =
                    executor_info::environment(settings, agent, info, &command, directory);
                executor_info::add_recovery(settings, &order.framework, &mut all);
                // The image has its own.
                if executor_info::variable(&command, "PATH").is_none() {
                    all.remove("PATH");
                }
                all
            }
            false => executor_info::task_environment(&command, &info.resources),
        };
        Some(Box::new(InDocker {
            command,
            environment,
            is_executor,
        }))
    }

    fn enqueue(&mut self, order: &Order) {
        let Some(framework) = self.framework_mut(&order.framework_id) else {
            return;
        };
        for task in order.work.tasks() {
            framework
                .tasks
                .insert(TaskId::from(&task.task_id), order.executor_id.clone());
        }
        if let Some(executor) = framework.executors.get_mut(&order.executor_id) {
            Arc::make_mut(executor).queued.push_back(order.work.clone());
        }
    }

    /// Hands everything queued to an executor that has subscribed.
    pub(super) fn deliver(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self
            .frameworks
            .get(framework_id)
            .map(|known| known.info.clone())
        else {
            return;
        };
        let Some(executor) = self.executor_mut(framework_id, executor_id) else {
            return;
        };
        if !matches!(executor.state, ExecutorState::Running(Some(_))) || executor.linking > 0 {
            return;
        }
        let queued = std::mem::take(&mut executor.queued);
        let mut events = Vec::with_capacity(queued.len());
        for work in queued {
            for task in work.tasks() {
                let record = staged(task, &framework, executor);
                executor
                    .launched
                    .insert(TaskId::from(&task.task_id), Arc::new(record));
                executor.ever_sent = true;
            }
            events.push(launch_event(&work));
        }
        for event in events {
            self.send_event(framework_id, executor_id, event, out);
        }
    }
}

fn launch_event(work: &Queued) -> Event {
    match work {
        Queued::Task(task) => Event {
            r#type: Some(event::Type::Launch as i32),
            launch: Some(event::Launch {
                task: v1::TaskInfo::clone(task),
            }),
            ..Event::default()
        },
        Queued::Group(group) => Event {
            r#type: Some(event::Type::LaunchGroup as i32),
            launch_group: Some(event::LaunchGroup {
                task_group: v1::TaskGroupInfo::clone(group),
            }),
            ..Event::default()
        },
    }
}

fn terminated(message: &'static str) -> Dropped {
    Dropped {
        reason: Reason::ExecutorTerminated,
        message,
        names_executor: true,
    }
}
