//! What the engine wants done, and the events it causes.
//! Does none of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tepui_protocol::marathon::{
    App, DeploymentPlan, DeploymentStep, HealthCheck, PathId, Timestamp,
};

use crate::ids::{AgentId, Role, TaskId};
use crate::marathon::deployment::{DeploymentOutcome, StoredDeployment};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Condition, Instance, IpAddress};

/// What the skin does, in this order: an effect may be performed only after those before it have
/// reached the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write the instance.
    Store(Arc<Instance>),
    /// Delete the instance.
    Forget(InstanceId),
    /// Ask Mesos to kill a task.
    Kill {
        /// The task.
        task: TaskId,
        /// Its agent, if known.
        agent: Option<AgentId>,
    },
    /// Acknowledge a status.
    Acknowledge {
        /// The task.
        task: TaskId,
        /// The agent that sent it.
        agent: AgentId,
        /// Of the status.
        uuid: Vec<u8>,
    },
    /// Ask for offers of a role, also on agents that were declined.
    Revive(Role),
    /// Ask for no more offers of a role.
    Suppress(Role),
    /// Ask for the state of these tasks; of all tasks when there are none.
    Reconcile(Vec<(TaskId, Option<AgentId>)>),
    /// Tell those who listen.
    Event(Event),
    /// Begin to probe an instance by the checks that `app` has and Marathon probes itself.
    StartProbing {
        /// The instance, with its addresses and ports.
        instance: Arc<Instance>,
        /// The definition it runs.
        app: Arc<App>,
    },
    /// Stop probing an instance.
    StopProbing(InstanceId),
    /// Probe an instance for readiness until it is ready.
    StartReadiness {
        /// The instance, with its addresses and ports.
        instance: Arc<Instance>,
        /// The definition it runs.
        app: Arc<App>,
    },
    /// Stop probing an instance for readiness.
    StopReadiness(InstanceId),
    /// Write the deployment.
    DeploymentStored(Arc<StoredDeployment>),
    /// Delete the deployment.
    DeploymentEnded {
        /// Its id.
        id: String,
        /// How it ended.
        outcome: DeploymentOutcome,
    },
    /// Remember the failure as the app's last one.
    TaskFailure(TaskFailure),
}

/// How a task failed: `lastTaskFailure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure {
    /// The app.
    pub app_id: PathId,
    /// Host name of the agent.
    pub host: String,
    /// What Mesos said, at most 10000 characters.
    pub message: String,
    /// The Mesos state.
    pub state: String,
    /// The task.
    pub task_id: String,
    /// When.
    pub timestamp: Timestamp,
    /// Config version of its definition.
    pub version: Timestamp,
    /// Id of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slave_id: Option<String>,
}

/// An event with its time, in the form of the event stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// When.
    pub timestamp: Timestamp,
}

/// What happened. Names and fields are those of Marathon's stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "eventType",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum EventKind {
    /// A step begins.
    DeploymentInfo {
        /// The plan.
        plan: DeploymentPlan,
        /// The step.
        current_step: DeploymentStep,
    },
    /// A step has ended.
    DeploymentStepSuccess {
        /// The plan.
        plan: DeploymentPlan,
        /// The step.
        current_step: DeploymentStep,
    },
    /// A step takes too long.
    DeploymentStepFailure {
        /// The plan.
        plan: DeploymentPlan,
        /// The step.
        current_step: DeploymentStep,
    },
    /// All steps have ended.
    DeploymentSuccess {
        /// Of the plan.
        id: String,
        /// The plan.
        plan: DeploymentPlan,
    },
    /// A deployment was cancelled.
    DeploymentFailed {
        /// Of the plan.
        id: String,
        /// The plan.
        plan: DeploymentPlan,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A status changed a task.
    #[serde(rename = "status_update_event")]
    StatusUpdate {
        /// Id of the agent.
        slave_id: String,
        /// The task.
        task_id: String,
        /// The Mesos state.
        task_status: String,
        /// What Mesos said.
        message: String,
        /// The app.
        app_id: PathId,
        /// Host name of the agent.
        host: String,
        /// Addresses of the task.
        ip_addresses: Vec<IpAddress>,
        /// Its host ports.
        ports: Vec<u16>,
        /// Config version of its definition.
        version: Timestamp,
    },
    /// The condition of an instance changed.
    #[serde(rename = "instance_changed_event")]
    InstanceChanged {
        /// The instance.
        instance_id: InstanceId,
        /// Its condition.
        condition: Condition,
        /// The app.
        run_spec_id: PathId,
        /// Id of the agent.
        agent_id: Option<String>,
        /// Host name of the agent.
        host: Option<String>,
        /// Config version of its definition.
        run_spec_version: Timestamp,
    },
    /// The verdict of all checks of an instance changed.
    #[serde(rename = "instance_health_changed_event")]
    InstanceHealthChanged {
        /// The instance.
        instance_id: InstanceId,
        /// The app.
        run_spec_id: PathId,
        /// The verdict.
        healthy: Option<bool>,
        /// Config version of its definition.
        run_spec_version: Timestamp,
    },
    /// A task that nobody knows has ended.
    #[serde(rename = "unknown_instance_terminated_event")]
    UnknownInstanceTerminated {
        /// The instance, as its task's id tells; the task's id where it does not.
        instance_id: String,
        /// The app, likewise.
        run_spec_id: String,
        /// How it ended.
        condition: Condition,
    },
    /// A health check is in force.
    #[serde(rename = "add_health_check_event")]
    AddHealthCheck {
        /// The app.
        app_id: PathId,
        /// Config version of the definition.
        version: Timestamp,
        /// The check.
        health_check: HealthCheck,
    },
    /// A health check is in force no more.
    #[serde(rename = "remove_health_check_event")]
    RemoveHealthCheck {
        /// The app.
        app_id: PathId,
    },
    /// A probe failed and counted.
    #[serde(rename = "failed_health_check_event")]
    FailedHealthCheck {
        /// The app.
        app_id: PathId,
        /// The instance, under the name of old.
        task_id: InstanceId,
        /// The check.
        health_check: HealthCheck,
    },
    /// The verdict of one check on an instance changed.
    #[serde(rename = "health_status_changed_event")]
    HealthStatusChanged {
        /// The app.
        app_id: PathId,
        /// The instance.
        instance_id: InstanceId,
        /// Config version of its definition.
        version: Timestamp,
        /// The verdict.
        alive: bool,
    },
    /// An instance is killed because of its health.
    #[serde(rename = "unhealthy_instance_kill_event")]
    UnhealthyInstanceKill {
        /// The app.
        app_id: PathId,
        /// The task.
        task_id: String,
        /// The instance.
        instance_id: InstanceId,
        /// Config version of its definition.
        version: Timestamp,
        /// Why the last probe failed.
        reason: String,
        /// Host name of the agent.
        host: String,
        /// Id of the agent.
        slave_id: Option<String>,
    },
    /// All instances of a removed app are gone.
    #[serde(rename = "app_terminated_event")]
    AppTerminated {
        /// The app.
        app_id: PathId,
    },
}
