//! What commands read of the app manager's answers.
//! Leaves out whatever is not shown, and takes answers of older and newer app managers.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An app, with what the server tells beside its definition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct App {
    pub id: String,
    pub cmd: Option<String>,
    pub args: Option<Vec<String>>,
    pub container: Option<Value>,
    pub constraints: Vec<Vec<Value>>,
    pub cpus: f64,
    pub mem: f64,
    pub disk: f64,
    pub gpus: f64,
    pub instances: u32,
    pub labels: BTreeMap<String, String>,
    pub health_checks: Vec<Value>,
    pub dependencies: Vec<String>,
    pub role: String,
    pub user: Option<String>,
    pub version: String,
    pub tasks_staged: Option<u32>,
    pub tasks_running: Option<u32>,
    pub tasks_healthy: u32,
    pub tasks_unhealthy: u32,
    pub deployments: Vec<Identified>,
    pub tasks: Vec<Task>,
    pub last_task_failure: Option<TaskFailure>,
}

/// Anything with an id.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Identified {
    pub id: String,
}

/// What GET of one app answers.
#[derive(Debug, Deserialize)]
pub(super) struct OneApp {
    pub app: App,
}

/// What GET of all apps answers.
#[derive(Debug, Deserialize)]
pub(super) struct Apps {
    pub apps: Vec<App>,
}

/// A task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Task {
    pub id: String,
    pub app_id: String,
    pub host: String,
    pub slave_id: Option<String>,
    pub state: String,
    pub ports: Vec<u16>,
    pub ip_addresses: Vec<IpAddress>,
    pub health_check_results: Vec<Health>,
    pub staged_at: Option<String>,
    pub started_at: Option<String>,
    pub version: Option<String>,
    pub role: String,
}

/// An address of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IpAddress {
    pub ip_address: String,
}

/// What a health check says of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Health {
    pub alive: bool,
    pub last_failure_cause: Option<String>,
}

/// Lists of tasks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tasks {
    pub tasks: Vec<Task>,
}

/// How a task failed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TaskFailure {
    pub task_id: String,
    pub state: String,
    pub message: String,
    pub host: String,
    pub timestamp: String,
    pub slave_id: Option<String>,
}

/// Versions of an app.
#[derive(Debug, Deserialize)]
pub(super) struct Versions {
    pub versions: Vec<String>,
}

/// A deployment that is under way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Deployment {
    pub id: String,
    pub version: String,
    pub affected_apps: Vec<String>,
    pub affected_pods: Vec<String>,
    pub steps: Vec<Step>,
    pub current_actions: Vec<Action>,
    pub current_step: u32,
    pub total_steps: u32,
}

/// A step of a deployment, or of a dry run's plan.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    pub actions: Vec<Action>,
}

/// The steps that a dry run answers.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    #[serde(default)]
    pub placement: Option<Placement>,
}

/// Where new instances would go.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Placement {
    pub note: Option<String>,
    pub apps: Vec<AppPlacement>,
}

/// Where those of one app would go.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AppPlacement {
    pub id: String,
    pub hosts: Vec<HostPlacement>,
    pub unplaced: u32,
    pub reasons: Vec<Lack>,
}

/// Instances on one agent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HostPlacement {
    pub hostname: String,
    pub agent_id: String,
    pub instances: u32,
}

/// Why offers would carry no further instance.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lack {
    pub reason: String,
    pub offers: u32,
    pub example: String,
    pub unblock: String,
}

/// Something done with one app or pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Action {
    pub action: String,
    pub app: Option<String>,
    pub pod: Option<String>,
    pub readiness_check_results: Vec<Readiness>,
}

/// What a readiness check says of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Readiness {
    pub name: String,
    pub task_id: String,
    pub ready: bool,
}

/// Which deployment a change has started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Started {
    pub deployment_id: Option<String>,
    pub deployments: Vec<Identified>,
}

/// A group with what is below it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Group {
    pub id: String,
    pub apps: Vec<App>,
    pub groups: Vec<Group>,
    pub dependencies: Vec<String>,
    pub version: Option<String>,
    pub enforce_role: Option<bool>,
}

impl Group {
    /// The ids of all apps below it, or those of itself and all groups below it.
    pub(super) fn ids<'a>(&'a self, of_groups: bool, into: &mut Vec<&'a str>) {
        match of_groups {
            true => into.push(&self.id),
            false => into.extend(self.apps.iter().map(|app| app.id.as_str())),
        }
        for group in &self.groups {
            group.ids(of_groups, into);
        }
    }
}

/// Apps that wait for offers.
#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub queue: Vec<Waiting>,
}

/// An app that waits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Waiting {
    pub count: u32,
    pub role: String,
    pub delay: Delay,
    pub since: String,
    pub processed_offers_summary: Summary,
    pub app: Option<Identified>,
    pub pod: Option<Identified>,
}

/// How long launches are still delayed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Delay {
    pub time_left_seconds: i64,
}

/// What became of the offers that an app has seen.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Summary {
    pub processed_offers_count: u32,
    pub unused_offers_count: u32,
    pub reject_summary_launch_attempt: Vec<Declined>,
}

/// How many offers a reason has ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Declined {
    pub reason: String,
    pub declined: u32,
    pub processed: u32,
}

/// Why an app does not run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Why {
    pub app_id: String,
    pub cause: String,
    pub explanation: Vec<String>,
    pub unblock: Vec<String>,
    pub instances: u32,
    pub waiting: u32,
    pub tasks_running: u32,
    pub last_task_failure: Option<TaskFailure>,
    pub offers: Option<WhyOffers>,
}

/// What was wrong with offers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct WhyOffers {
    pub reasons: Vec<Declined>,
    pub agents: Vec<WhyAgent>,
}

/// What was wrong with the latest unused offer of an agent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WhyAgent {
    pub agent_id: String,
    pub hostname: String,
    pub timestamp: String,
    pub problems: Vec<Problem>,
}

/// What would be wrong with it now.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub reason: String,
    pub text: String,
    pub unblock: String,
}

impl Action {
    /// The app or pod it is about.
    pub(super) fn subject(&self) -> &str {
        self.app.as_deref().or(self.pod.as_deref()).unwrap_or("")
    }
}

impl Task {
    /// What its health checks say, if they say something.
    pub(super) fn health(&self) -> Option<bool> {
        let results = &self.health_check_results;
        (!results.is_empty()).then(|| results.iter().all(|result| result.alive))
    }
}
