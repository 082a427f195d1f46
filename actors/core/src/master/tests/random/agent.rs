//! An agent's own view: its tasks, its resources, its operations and which of them have failed.
//! Sends nothing; the world does.

use std::collections::BTreeMap;

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, MasterToAgent, Reregister, RunTask};
use tepui_protocol::v1::{self, FrameworkInfo, OperationState, OperationStatus, Task};

use super::super::fixture::{TestAgent, read, register};
use crate::ids::IdSource;
use crate::resources::conversion::{Conversion, conversions};
use crate::resources::{Format, Resources};

pub struct Simulated {
    pub agent: TestAgent,
    pub tasks: BTreeMap<(String, String), Task>,
    pub frameworks: BTreeMap<String, FrameworkInfo>,
    pub total: Resources,
    /// Ended operations that nobody has acknowledged.
    pub operations: BTreeMap<Vec<u8>, v1::Operation>,
    pub failed: usize,
    pub finished: usize,
}

impl Simulated {
    pub fn new(agent: TestAgent) -> Self {
        Simulated {
            agent,
            tasks: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            total: Resources::parse("cpus:4;mem:2048;disk:4096", "*").unwrap(),
            operations: BTreeMap::new(),
            failed: 0,
            finished: 0,
        }
    }

    pub fn hear(&mut self, message: MasterToAgent, random: &mut IdSource) {
        match message {
            MasterToAgent::RunTask(run) => self.run(*run),
            MasterToAgent::ShutdownFramework { framework_id } => {
                self.tasks
                    .retain(|(framework, _), _| *framework != framework_id);
                self.frameworks.remove(&framework_id);
            }
            MasterToAgent::AcknowledgeStatus {
                framework_id,
                task_id,
                ..
            } => {
                self.tasks.remove(&(framework_id, task_id));
            }
            MasterToAgent::ApplyOperation {
                framework_id,
                operation,
                operation_uuid,
            } => {
                let unlucky = random.next_u64().is_multiple_of(10);
                self.apply(framework_id, operation.0, operation_uuid, unlucky);
            }
            MasterToAgent::AcknowledgeOperation {
                operation_uuid,
                status_uuid,
            } => {
                assert_eq!(status_uuid, operation_uuid);
                self.operations.remove(&operation_uuid);
            }
            _ => {}
        }
    }

    fn run(&mut self, run: RunTask) {
        let framework = run.framework.id.as_ref().unwrap().value.clone();
        let task = json!({
            "name": "t",
            "task_id": {"value": run.task.task_id.value},
            "framework_id": {"value": framework},
            "agent_id": {"value": self.agent.id.as_str()},
            "state": "TASK_STAGING",
            "resources": [],
        });
        let mut task: Task = read(&task);
        task.resources.clone_from(&run.task.resources);
        let key = (framework.clone(), task.task_id.value.clone());
        self.frameworks.insert(framework, run.framework.0);
        self.tasks.insert(key, task);
    }

    /// Carries an operation out, or fails; the status's uuid is the operation's.
    fn apply(
        &mut self,
        framework: Option<String>,
        operation: v1::offer::Operation,
        uuid: Vec<u8>,
        unlucky: bool,
    ) {
        let steps: Vec<Conversion> = conversions(&operation)
            .unwrap()
            .iter()
            .map(|step| Conversion {
                consumed: step.consumed.unallocated(),
                converted: step.converted.unallocated(),
            })
            .collect();
        let done = !unlucky && self.total.convert(&steps).is_ok();
        let state = match done {
            true => OperationState::OperationFinished,
            false => OperationState::OperationFailed,
        };
        self.finished += usize::from(done);
        self.failed += usize::from(!done);
        let status = OperationStatus {
            operation_id: operation.id.clone(),
            state: state as i32,
            uuid: Some(v1::Uuid {
                value: uuid.clone(),
            }),
            ..Default::default()
        };
        let framework_id = framework.map(|value| v1::FrameworkId { value });
        let record = v1::Operation {
            framework_id,
            agent_id: Some(self.agent.id.to_v1()),
            info: operation,
            latest_status: status.clone(),
            statuses: vec![status],
            uuid: v1::Uuid {
                value: uuid.clone(),
            },
        };
        self.operations.insert(uuid, record);
    }

    /// What it says of an operation that has ended.
    pub fn status_of(&self, uuid: &[u8]) -> AgentToMaster {
        let operation = &self.operations[uuid];
        let framework = operation.framework_id.as_ref();
        AgentToMaster::OperationStatus {
            framework_id: framework.map(|id| id.value.clone()),
            operation_uuid: uuid.to_vec(),
            status: operation.latest_status.clone().into(),
        }
    }

    /// What it says when it comes back.
    pub fn report(&self) -> AgentToMaster {
        let mut register = register(self.agent.port);
        register.info.id = Some(self.agent.id.to_v1());
        let made = self.total.checkpointed().to_v1(Format::PostRefinement);
        register.checkpointed_resources = made.into_iter().map(Into::into).collect();
        let frameworks = self.frameworks.values().cloned();
        let operations = self.operations.values().cloned();
        AgentToMaster::Reregister(Box::new(Reregister {
            register,
            tasks: self.tasks.values().cloned().map(Into::into).collect(),
            executors: Vec::new(),
            frameworks: frameworks.map(Into::into).collect(),
            completed_frameworks: Vec::new(),
            operations: operations.map(Into::into).collect(),
        }))
    }
}
