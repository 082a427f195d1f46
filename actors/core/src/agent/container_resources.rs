//! What a container is given: the sum over its executor and its tasks, and what they may use at most.
//! Limits nothing itself.

use std::collections::BTreeMap;

use tepui_protocol::v1;

use super::Agent;
use super::messages::Effect;
use super::model::{Executor, ExecutorKind, ExecutorState};
use crate::ids::{ExecutorId, FrameworkId};
use crate::resources::Resources;
use crate::validation::container::is_docker;

/// The kinds of resources that a task may have limits of.
const LIMITED: &[&str] = &["cpus", "mem"];

/// What a container is given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerResources {
    /// What the executor and its tasks were given together.
    pub requests: Resources,
    /// What they may use at most, by kind (`cpus` in CPUs, `mem` in MB), where any task says so;
    /// infinite where one of them has no limit.
    pub limits: BTreeMap<String, f64>,
}

/// What this depends on of a task.
struct Given<'a> {
    resources: &'a [v1::Resource],
    limits: &'a BTreeMap<String, v1::value::Scalar>,
}

impl ContainerResources {
    /// Those of an executor with all its tasks that have not ended, queued ones among them; of a
    /// command in a container of the Docker Engine the command's alone, as its executor is outside.
    pub fn of(executor: &Executor) -> Self {
        let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
        let launched = executor.launched.values().map(|task| Given {
            resources: &task.resources,
            limits: &task.limits,
        });
        let tasks: Vec<Given<'_>> = queued.map(given).chain(launched).collect();
        let own: &[v1::Resource] = match is_command_in_docker(executor) {
            true => &[],
            false => &executor.info.resources,
        };
        Self::sum(own, &tasks)
    }

    /// Those of these tasks alone.
    pub(super) fn of_tasks(tasks: &[v1::TaskInfo]) -> Self {
        let tasks: Vec<Given<'_>> = tasks.iter().map(given).collect();
        Self::sum(&[], &tasks)
    }

    /// Those of an executor that is started for these tasks.
    pub(super) fn at_launch(executor: &v1::ExecutorInfo, tasks: &[v1::TaskInfo]) -> Self {
        let tasks: Vec<Given<'_>> = tasks.iter().map(given).collect();
        Self::sum(&executor.resources, &tasks)
    }

    /// Where a task has no limit, what it was given is its limit. (Mesos:
    /// `Slave::computeExecutorLimits`.)
    fn sum(own: &[v1::Resource], tasks: &[Given<'_>]) -> Self {
        let read = |resources: &[v1::Resource]| Resources::from_v1(resources).unwrap_or_default();
        let own = read(own);
        let tasks: Vec<_> = tasks
            .iter()
            .map(|task| (read(task.resources), task.limits))
            .collect();
        let mut limits = BTreeMap::new();
        for kind in LIMITED {
            if !tasks.iter().any(|(_, limits)| limits.contains_key(*kind)) {
                continue;
            }
            let amount = |resources: &Resources| resources.scalar_milli(kind) as f64 / 1000.0;
            let of_tasks = tasks.iter().map(|(resources, limits)| {
                let limit = limits.get(*kind);
                limit.map_or_else(|| amount(resources), |limit| limit.value)
            });
            limits.insert((*kind).to_owned(), amount(&own) + of_tasks.sum::<f64>());
        }
        let mut requests = own;
        for (resources, _) in &tasks {
            requests.add(resources);
        }
        ContainerResources { requests, limits }
    }
}

fn is_command_in_docker(executor: &Executor) -> bool {
    let container = executor.info.container.as_deref();
    executor.kind == ExecutorKind::Command && container.is_some_and(is_docker)
}

fn given(task: &v1::TaskInfo) -> Given<'_> {
    Given {
        resources: &task.resources,
        limits: &task.limits,
    }
}

impl Agent {
    /// Has a container's limits changed to what its executor and tasks have now.
    pub(super) fn update_container(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        if !self.settings.isolation.limits {
            return;
        }
        let Some(executor) = self.executor(framework, executor) else {
            return;
        };
        // It has from the start what it is given until its end. (Mesos: `generatedForCommandTask`.)
        if is_command_in_docker(executor) {
            return;
        }
        match executor.state {
            ExecutorState::Registering | ExecutorState::Running(_) => {}
            // What ends is not changed any more.
            ExecutorState::Terminating(_) | ExecutorState::Terminated => return,
        }
        out.push(Effect::UpdateContainer(
            executor.container.clone(),
            Box::new(ContainerResources::of(executor)),
        ));
    }
}
