//! What the manager is told and asked, and what it wants done.
//! Says nothing about how.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tepui_protocol::marathon::{App, DeploymentPlan, PathId, ReadinessCheckResult, Timestamp};
use tepui_protocol::v1;

use super::placing::Placing;
use super::records::Change;
use crate::ids::{AgentId, OfferId, Role, TaskId};
use crate::marathon::definition::Rejection;
use crate::marathon::engine::{self, EventKind, HealthVerdict};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::Instance;

/// Links an answer to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Whoever sent a request, as `api_post_event` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// Address of the client.
    pub client_ip: String,
    /// Path of the request.
    pub uri: String,
}

/// Something that changes the manager's state.
#[derive(Debug)]
pub enum Input {
    /// A request of the API; it gets one answer with the same token.
    Request(Token, Request),
    /// The scheduler has subscribed.
    Connected {
        /// The id Mesos gave.
        framework_id: String,
        /// Region of the master.
        region: Option<String>,
        /// Host name of the master, for events.
        master: String,
    },
    /// The connection to the master is lost.
    Disconnected,
    /// Offers came.
    Offers(Vec<v1::Offer>),
    /// Mesos told of a task.
    Update(Box<v1::TaskStatus>),
    /// An agent is lost.
    AgentLost(AgentId),
    /// A framework message came from an executor.
    Message {
        /// The executor.
        executor: String,
        /// Its agent.
        agent: String,
        /// What it says.
        data: Vec<u8>,
    },
    /// A probe of health ended.
    Health {
        /// The instance.
        instance: InstanceId,
        /// Place of the check in the app's definition.
        check: usize,
        /// What it found.
        verdict: HealthVerdict,
    },
    /// A probe of readiness ended.
    Readiness {
        /// The instance.
        instance: InstanceId,
        /// What it found.
        result: ReadinessCheckResult,
    },
    /// The time that was asked for has come.
    Timer,
}

/// A request that may change something.
#[derive(Debug)]
pub enum Request {
    /// POST /v2/apps.
    CreateApp {
        /// The app.
        body: Value,
        /// Cancel deployments in the way.
        force: bool,
        /// Who asks.
        caller: Caller,
    },
    /// PUT and PATCH of one app.
    ChangeApp {
        /// The app.
        id: PathId,
        /// What changes.
        body: Value,
        /// Whether absent members stay as they are.
        partial: bool,
        /// Whether a missing app is made.
        may_create: bool,
        /// Cancel deployments in the way.
        force: bool,
        /// Who asks.
        caller: Caller,
    },
    /// PUT and PATCH of /v2/apps.
    ChangeApps {
        /// A list of changes.
        body: Value,
        /// Whether absent members stay as they are.
        partial: bool,
        /// Whether missing apps are made.
        may_create: bool,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// DELETE of one app.
    DeleteApp {
        /// The app.
        id: PathId,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// POST /v2/apps/{id}/restart.
    RestartApp {
        /// The app.
        id: PathId,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// POST /v2/groups[/{id}].
    CreateGroup {
        /// What ids in the body are relative to.
        base: PathId,
        /// The group.
        body: Value,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// PUT /v2/groups[/{id}].
    ChangeGroup {
        /// The group.
        base: PathId,
        /// What changes.
        body: Value,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// PATCH /v2/groups/{id}.
    PatchGroup {
        /// The group.
        id: PathId,
        /// What changes.
        body: Value,
    },
    /// DELETE /v2/groups[/{id}].
    DeleteGroup {
        /// The group.
        id: PathId,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// Any other request, without doing it: the plan is answered.
    DryRun {
        /// What is not to be done.
        request: Box<Request>,
        /// Whether to look where instances would go, too; that may take a second.
        places: bool,
    },
    /// Tasks are killed.
    KillTasks {
        /// Their instances; those that are gone are passed over.
        instances: Vec<InstanceId>,
        /// Lower the number of wanted instances accordingly.
        scale: bool,
        /// Give reservations up too.
        wipe: bool,
        /// Cancel deployments in the way.
        force: bool,
    },
    /// DELETE /v2/deployments/{id}.
    CancelDeployment {
        /// The deployment.
        id: String,
        /// Stop where it is instead of going back.
        force: bool,
    },
    /// DELETE /v2/queue/{id}/delay.
    ResetDelay {
        /// The app.
        id: PathId,
    },
}

/// What a change would do.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// The steps.
    pub plan: DeploymentPlan,
    /// For where instances would go, if that was asked for.
    pub placing: Option<Placing>,
}

/// An answer to a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An app was made by POST.
    Created {
        /// As it was before it became part of the tree.
        app: Box<App>,
        /// The deployment that was begun.
        deployment: String,
    },
    /// A deployment was begun.
    Deployment {
        /// Its id.
        id: String,
        /// Version of the root group.
        version: Timestamp,
        /// What was made, where something was.
        created: Option<PathId>,
    },
    /// What a deployment would do.
    Plan(Box<DryRun>),
    /// Instances that are being killed.
    Killed(Vec<Arc<Instance>>),
    /// Done; there is nothing to say.
    Done,
    /// Refused, and nothing was changed.
    Refused(Rejection),
}

/// Something to do, in this order: none may be done before those that precede it have reached the
/// store.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Write all of this or nothing of it.
    Store(Vec<Change>),
    /// Answer a request.
    Reply(Token, Answer),
    /// Launch these tasks on an offer.
    Launch {
        /// The offer.
        offer: OfferId,
        /// The tasks.
        tasks: Vec<v1::TaskInfo>,
    },
    /// Use these offers no further, for this time in seconds.
    Decline(Vec<OfferId>, f64),
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
    /// Subscribe with these roles from now on.
    Roles(Vec<Role>),
    /// Ask for offers of a role, also on agents that were declined.
    Revive(Role),
    /// Ask for no more offers of a role.
    Suppress(Role),
    /// Ask for the state of these tasks; of all tasks when there are none.
    Reconcile(Vec<(TaskId, Option<AgentId>)>),
    /// Tell those who listen to the event stream.
    Event(Event),
    /// Begin to probe an instance's health.
    StartProbing {
        /// The instance.
        instance: Arc<Instance>,
        /// The definition it runs.
        app: Arc<App>,
    },
    /// Stop probing an instance's health.
    StopProbing(InstanceId),
    /// Probe an instance for readiness until it is ready.
    StartReadiness {
        /// The instance.
        instance: Arc<Instance>,
        /// The definition it runs.
        app: Arc<App>,
    },
    /// Stop probing an instance for readiness.
    StopReadiness(InstanceId),
}

/// An event of the stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// What the engine tells.
    Engine(Box<engine::Event>),
    /// What the manager itself tells.
    Manager(ManagerEvent),
}

/// An event of the manager itself, with its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ManagerEvent {
    /// What happened.
    #[serde(flatten)]
    pub kind: ManagerEventKind,
    /// When.
    pub timestamp: Timestamp,
}

/// What happened. Names and fields are those of Marathon's stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "eventType", rename_all_fields = "camelCase")]
pub enum ManagerEventKind {
    /// One app was created or changed.
    #[serde(rename = "api_post_event")]
    ApiPost {
        /// Who asked.
        client_ip: String,
        /// Path of the request.
        uri: String,
        /// The app.
        app_definition: Box<App>,
    },
    /// A change of the root group was accepted and stored.
    #[serde(rename = "group_change_success")]
    GroupChange {
        /// The group.
        group_id: PathId,
        /// Version of the root group.
        version: Timestamp,
    },
    /// First subscription.
    #[serde(rename = "scheduler_registered_event")]
    Registered {
        /// The id Mesos gave.
        framework_id: String,
        /// Host name of the master.
        master: String,
    },
    /// Another subscription.
    #[serde(rename = "scheduler_reregistered_event")]
    Reregistered {
        /// Host name of the master.
        master: String,
    },
    /// The connection to the master is lost.
    #[serde(rename = "scheduler_disconnected_event")]
    Disconnected,
    /// A message from an executor.
    #[serde(rename = "framework_message_event")]
    Message {
        /// The executor.
        executor_id: String,
        /// Its agent.
        slave_id: String,
        /// Its bytes, signed.
        message: Vec<i8>,
    },
}

impl Event {
    /// Its name in the stream.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Engine(event) => name_of(&event.kind),
            Event::Manager(event) => event.kind.name(),
        }
    }
}

impl ManagerEventKind {
    /// Its name in the stream.
    pub fn name(&self) -> &'static str {
        match self {
            ManagerEventKind::ApiPost { .. } => "api_post_event",
            ManagerEventKind::GroupChange { .. } => "group_change_success",
            ManagerEventKind::Registered { .. } => "scheduler_registered_event",
            ManagerEventKind::Reregistered { .. } => "scheduler_reregistered_event",
            ManagerEventKind::Disconnected => "scheduler_disconnected_event",
            ManagerEventKind::Message { .. } => "framework_message_event",
        }
    }
}

fn name_of(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::DeploymentInfo { .. } => "deployment_info",
        EventKind::DeploymentStepSuccess { .. } => "deployment_step_success",
        EventKind::DeploymentStepFailure { .. } => "deployment_step_failure",
        EventKind::DeploymentSuccess { .. } => "deployment_success",
        EventKind::DeploymentFailed { .. } => "deployment_failed",
        EventKind::StatusUpdate { .. } => "status_update_event",
        EventKind::InstanceChanged { .. } => "instance_changed_event",
        EventKind::InstanceHealthChanged { .. } => "instance_health_changed_event",
        EventKind::UnknownInstanceTerminated { .. } => "unknown_instance_terminated_event",
        EventKind::AddHealthCheck { .. } => "add_health_check_event",
        EventKind::RemoveHealthCheck { .. } => "remove_health_check_event",
        EventKind::FailedHealthCheck { .. } => "failed_health_check_event",
        EventKind::HealthStatusChanged { .. } => "health_status_changed_event",
        EventKind::UnhealthyInstanceKill { .. } => "unhealthy_instance_kill_event",
        EventKind::AppTerminated { .. } => "app_terminated_event",
    }
}
