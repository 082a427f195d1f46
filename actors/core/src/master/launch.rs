//! Launches tasks and task groups on an agent out of accepted offers.
//! The rules a task must keep are `validation`'s; starting processes is the agent's.

use std::sync::Arc;

use tepui_protocol::link::{MasterToAgent, RunTask, RunTaskGroup};
use tepui_protocol::v1::offer::operation::{LaunchGroup, Type};
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{self, ExecutorInfo, FrameworkInfo, TaskInfo, TaskState};

use super::accept::Accepted;
use super::agent_sums::Amounts;
use super::messages::Effect;
use super::model::{Agent, Executor, Framework, Task};
use super::operator::OperatorEvent;
use super::{Master, to_agent, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{ExecutorId, FrameworkId, TaskId};
use crate::memo::Memo;
use crate::resources::{Format, Resources};
use crate::time::Now;
use crate::validation::task::{KnownTasks, TaskContext};
use crate::validation::{task, task_group};

/// What validation may ask about one framework on one agent.
struct Known<'a> {
    framework: &'a Framework,
    agent: &'a Agent,
}

impl KnownTasks for Known<'_> {
    fn is_active(&self, task: &str) -> bool {
        self.framework.tasks.contains_key(task)
    }

    fn is_unreachable(&self, task: &str) -> bool {
        self.framework.unreachable_tasks.contains_key(task)
    }

    fn executor(&self, executor: &str) -> Option<&ExecutorInfo> {
        let key = (self.framework.id.clone(), ExecutorId::from(executor));
        self.agent
            .executors
            .get(&key)
            .map(|executor| &*executor.info)
    }

    fn each_task_of(&self, executor: &str, show: &mut dyn FnMut(&v1::Task)) {
        for task in self.agent.tasks_of(&self.framework.id) {
            let Some(task) = self.framework.tasks.get(task) else {
                continue;
            };
            let own = task.executor.as_ref();
            if own.is_some_and(|id| id.as_str() == executor) {
                show(&task.to_v1());
            }
        }
    }
}

impl Master {
    /// Launches one task, or tells why it cannot be launched.
    pub(super) fn launch(
        &mut self,
        now: Now,
        accepted: &mut Accepted,
        mut task: TaskInfo,
        out: &mut Vec<Effect>,
    ) {
        let verdict = self.validated(accepted, |context| {
            task::validate(&task, context)?;
            let resources = read(&task.resources)?;
            let executor = task.executor.as_deref();
            let executor = executor
                .map(|executor| read(&executor.resources))
                .transpose()?;
            Ok((resources, executor))
        });
        let (resources, executor_resources) = match verdict {
            Ok(read) => read,
            Err(error) => {
                let verdict = (TaskState::TaskError, Reason::TaskInvalid);
                let id = accepted.framework.clone();
                return self.refuse_tasks(now, &id, &[task], verdict, &error, out);
            }
        };
        task.resources = resources.to_v1(Format::PostRefinement);
        let mut launch_executor = true;
        if let (Some(executor), Some(resources)) = (&mut task.executor, executor_resources) {
            executor.resources = resources.to_v1(Format::PostRefinement);
            launch_executor = self.add_executor(accepted, executor, resources, out);
        }
        self.add_task(accepted, &task, resources, out);
        self.count_operation(accepted, Type::Launch);
        let Some(framework) = self.framework_info(&accepted.framework) else {
            return;
        };
        let message = RunTask {
            framework: framework.into(),
            task: task.into(),
            launch_executor,
        };
        out.push(to_agent(
            accepted.link,
            MasterToAgent::RunTask(Box::new(message)),
        ));
    }

    /// Launches a whole group, or tells every task of it why it cannot be launched.
    pub(super) fn launch_group(
        &mut self,
        now: Now,
        accepted: &mut Accepted,
        group: LaunchGroup,
        out: &mut Vec<Effect>,
    ) {
        let LaunchGroup {
            mut executor,
            mut task_group,
        } = group;
        let verdict = self.validated(accepted, |context| {
            task_group::validate(&task_group, &executor, context)?;
            let of_tasks = task_group.tasks.iter().map(|task| read(&task.resources));
            Ok((
                read(&executor.resources)?,
                of_tasks.collect::<Result<Vec<_>, _>>()?,
            ))
        });
        let (executor_resources, of_tasks) = match verdict {
            Ok(read) => read,
            Err(error) => {
                let verdict = (TaskState::TaskError, Reason::TaskGroupInvalid);
                let id = accepted.framework.clone();
                return self.refuse_tasks(now, &id, &task_group.tasks, verdict, &error, out);
            }
        };
        executor.resources = executor_resources.to_v1(Format::PostRefinement);
        let launch_executor = self.add_executor(accepted, &executor, executor_resources, out);
        for (task, resources) in task_group.tasks.iter_mut().zip(of_tasks) {
            task.resources = resources.to_v1(Format::PostRefinement);
            if let Some(own) = &mut task.executor {
                own.resources.clone_from(&executor.resources);
            }
            self.add_task(accepted, task, resources, out);
        }
        self.count_operation(accepted, Type::LaunchGroup);
        let Some(framework) = self.framework_info(&accepted.framework) else {
            return;
        };
        let message = RunTaskGroup {
            framework: framework.into(),
            executor: executor.into(),
            group: task_group.into(),
            launch_executor,
        };
        out.push(to_agent(
            accepted.link,
            MasterToAgent::RunTaskGroup(Box::new(message)),
        ));
    }

    /// Shows the rules of `validation` what they ask for.
    fn validated<T>(
        &self,
        accepted: &Accepted,
        check: impl FnOnce(&TaskContext<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let framework = self
            .frameworks
            .get(&accepted.framework)
            .ok_or("Framework removed")?;
        let agent = self.agents.get(&accepted.agent).ok_or("Agent removed")?;
        check(&TaskContext {
            framework_id: &accepted.framework,
            agent_id: &accepted.agent,
            agent_capabilities: &agent.capabilities,
            tasks: &Known { framework, agent },
            offered: &accepted.available(),
        })
    }

    /// Counts an operation that is carried out.
    pub(super) fn count_operation(&self, accepted: &Accepted, kind: Type) {
        if let Some(framework) = self.frameworks.get(&accepted.framework) {
            framework.counters.operations.count(kind as i32);
        }
    }

    fn framework_info(&self, id: &FrameworkId) -> Option<FrameworkInfo> {
        self.frameworks
            .get(id)
            .map(|framework| FrameworkInfo::clone(&framework.info))
    }

    /// Counts an executor unless it runs already; says whether it is new.
    ///
    /// The executor that the agent makes for a command task is not counted, as in Mesos.
    fn add_executor(
        &mut self,
        accepted: &mut Accepted,
        info: &ExecutorInfo,
        resources: Resources,
        out: &mut Vec<Effect>,
    ) -> bool {
        let id = ExecutorId::from(&info.executor_id);
        let key = (accepted.framework.clone(), id.clone());
        let Some(agent) = self.agent_mut(&accepted.agent) else {
            return false;
        };
        if agent.executors.contains_key(&key) {
            return false;
        }
        let executor = Executor {
            info: Arc::new(info.clone()),
            resources,
        };
        use_up(accepted, &executor.resources, out);
        let charged = charge(agent, &accepted.framework, &executor.resources);
        agent.executors.insert(key, executor.clone());
        self.agent_sums.used.add(&charged);
        if let Some(framework) = self.framework_mut(&accepted.framework) {
            framework
                .executors
                .insert((accepted.agent.clone(), id), executor);
        }
        true
    }

    fn add_task(
        &mut self,
        accepted: &mut Accepted,
        info: &TaskInfo,
        resources: Resources,
        out: &mut Vec<Effect>,
    ) {
        let resources = self.shapes.resources(resources);
        use_up(accepted, &resources, out);
        let key = (accepted.framework.clone(), TaskId::from(&info.task_id));
        let task = Task::new(key, accepted.agent.clone(), describe(info), resources);
        self.insert_task(Arc::new(task.into()), out);
    }

    /// Adds a task to its framework and agent; one that holds resources is charged for them.
    pub(super) fn insert_task(&mut self, task: Arc<Memo<Task>>, out: &mut Vec<Effect>) {
        let (id, task_id) = (&task.framework, &task.id);
        if let Some(agent) = self.agent_mut(&task.agent) {
            agent.tasks.insert((id.clone(), task_id.clone()));
            if !task.recovered {
                let charged = charge(agent, id, &task.resources);
                self.agent_sums.used.add(&charged);
            }
        }
        if let Some(framework) = self.framework_mut(id) {
            framework.task_counts.add(task.state);
            if let Some(before) = framework.tasks.insert(task_id.clone(), task.clone()) {
                framework.task_counts.remove(before.state);
            }
        }
        self.tell_subscribers(|| OperatorEvent::TaskAdded(task.clone()), out);
    }
}

/// Takes what is launched out of what is left.
///
/// A shared volume may be used more often than it was offered: the allocator is told of each use
/// beyond that.
fn use_up(accepted: &mut Accepted, resources: &Resources, out: &mut Vec<Effect>) {
    if !accepted.shared.is_empty() {
        let mut more = resources.shared();
        more.subtract(&accepted.remaining.shared());
        if !more.is_empty() {
            out.push(to_allocator(Command::Charge {
                framework: accepted.framework.clone(),
                agent: accepted.agent.clone(),
                resources: more,
            }));
        }
    }
    accepted.remaining.subtract(resources);
}

/// Adds to what a framework uses of an agent; gives by how much that grew.
pub(super) fn charge(agent: &mut Agent, framework: &FrameworkId, resources: &Resources) -> Amounts {
    match agent.used.get_mut(framework) {
        Some(used) => Amounts::change(used, |used| used.add(resources)),
        None => {
            agent.used.insert(framework.clone(), resources.clone());
            Amounts::of(resources)
        }
    }
}

fn read(resources: &[v1::Resource]) -> Result<Resources, String> {
    Resources::from_v1(resources).map_err(|error| error.0)
}

/// What the master keeps of a task beside its ids and resources; Mesos's `createTask`.
fn describe(task: &TaskInfo) -> v1::Task {
    let command = task.command.as_deref();
    let executor = task.executor.as_deref();
    let executor_command = executor.and_then(|executor| executor.command.as_deref());
    let user = command.and_then(|command| command.user.clone());
    let executor_user = || executor_command.and_then(|command| command.user.clone());
    v1::Task {
        name: task.name.clone(),
        executor_id: executor.map(|executor| executor.executor_id.clone()),
        state: TaskState::TaskStaging as i32,
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        container: task.container.clone(),
        user: user.or_else(executor_user),
        health_check: task.health_check.clone(),
        kill_policy: task.kill_policy,
        limits: task.limits.clone(),
        ..Default::default()
    }
}
