//! What an agent that comes back says of what it runs, in the master's own terms.
//! What becomes of that is up to `reregister`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tepui_protocol::link::{Register, Reregister};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::{self, ExecutorInfo, FrameworkInfo, TaskState};
use uuid::Uuid;

use super::Master;
use super::model::{Executor, Operation, Task};
use super::shapes::Shapes;
use super::tasks::{is_over, state_of};
use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::memo::Memo;
use crate::resources::Resources;

/// What an agent says it runs.
pub(super) struct Report {
    pub(super) frameworks: Vec<FrameworkInfo>,
    pub(super) tasks: BTreeMap<(FrameworkId, TaskId), Arc<Memo<Task>>>,
    pub(super) executors: BTreeMap<(FrameworkId, ExecutorId), Executor>,
    pub(super) operations: BTreeMap<Uuid, Operation>,
}

impl Master {
    /// Reads a report, which was validated.
    pub(super) fn read_report(
        &mut self,
        agent: &AgentId,
        report: Reregister,
    ) -> (Register, Report) {
        let frameworks: Vec<FrameworkInfo> = report.frameworks.into_iter().map(|f| f.0).collect();
        let ids = frameworks.iter().filter_map(|info| info.id.as_ref());
        let known: BTreeSet<FrameworkId> = ids.map(|id| self.framework_id(&id.value)).collect();
        let shapes = &mut self.shapes;
        let tasks = report.tasks.into_iter().filter_map(|Pb(task)| {
            let framework = known.get(task.framework_id.value.as_str())?;
            let key = (framework.clone(), TaskId::from(&task.task_id));
            let task = read_task(key.clone(), agent.clone(), task, shapes);
            Some((key, Arc::new(task.into())))
        });
        let executors = report.executors.into_iter().filter_map(|Pb(executor)| {
            let framework = known.get(executor.framework_id.as_ref()?.value.as_str())?;
            let key = (framework.clone(), ExecutorId::from(&executor.executor_id));
            Some((key, read_executor(executor)))
        });
        let operations = report.operations.into_iter();
        let read = Report {
            tasks: tasks.collect(),
            executors: executors.collect(),
            operations: operations
                .filter_map(|Pb(operation)| read_operation(operation))
                .map(|operation| (operation.uuid, operation))
                .collect(),
            frameworks,
        };
        (report.register, read)
    }
}

fn read_task(
    key: (FrameworkId, TaskId),
    agent: AgentId,
    info: v1::Task,
    shapes: &mut Shapes,
) -> Task {
    let resources = Resources::from_v1(&info.resources).unwrap_or_default();
    let resources = shapes.resources(resources);
    let recovered = is_over(state_of(info.state).unwrap_or(TaskState::TaskRunning));
    let mut task = Task::new(key, agent, info, resources);
    task.recovered = recovered;
    task
}

/// An operation as an agent reports it; none if it has no name to speak of it by.
fn read_operation(operation: v1::Operation) -> Option<Operation> {
    Some(Operation {
        uuid: Uuid::from_slice(&operation.uuid.value).ok()?,
        framework: operation.framework_id.as_ref().map(FrameworkId::from),
        info: operation,
    })
}

fn read_executor(executor: ExecutorInfo) -> Executor {
    Executor {
        resources: Resources::from_v1(&executor.resources).unwrap_or_default(),
        info: Arc::new(executor),
    }
}
