//! Deployments as they are stored and listed, and the arithmetic of upgrades.
//! Carries nothing out; that is the engine's.

mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use tepui_protocol::marathon::{
    ActionKind, App, DeploymentAction, DeploymentPlan, DeploymentStep, PathId, ReadinessCheckResult,
};

use crate::marathon::ids::InstanceId;

pub use upgrade::{UpgradeMoves, UpgradeState, upgrade_moves};

/// What a deployment makes of one app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppChange {
    /// Its definition before; none for new apps.
    pub from: Option<Arc<App>>,
    /// Its definition afterwards; none for removed apps.
    pub to: Option<Arc<App>>,
    /// Instances that a scale action gives up before all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kill: Vec<InstanceId>,
}

/// A deployment with all that a new leader needs to carry on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDeployment {
    /// What is done, in which order.
    pub plan: DeploymentPlan,
    /// The apps it is done to.
    pub changes: BTreeMap<PathId, AppChange>,
}

impl StoredDeployment {
    /// Takes out of two root groups what `plan` needs, with the instances that scale actions are to
    /// give up first.
    pub fn new(
        plan: DeploymentPlan,
        original: &OrdMap<PathId, Arc<App>>,
        target: &OrdMap<PathId, Arc<App>>,
        mut kill: BTreeMap<PathId, Vec<InstanceId>>,
    ) -> StoredDeployment {
        let mut changes = BTreeMap::new();
        for app in affected_apps(&plan.steps) {
            let change = AppChange {
                from: original.get(&app).cloned(),
                to: target.get(&app).cloned(),
                kill: kill.remove(&app).unwrap_or_default(),
            };
            changes.insert(app, change);
        }
        StoredDeployment { plan, changes }
    }
}

/// The apps that steps name, each once, in order.
pub fn affected_apps(steps: &[DeploymentStep]) -> std::collections::BTreeSet<PathId> {
    let actions = steps.iter().flat_map(|step| &step.actions);
    actions.filter_map(|action| action.app.clone()).collect()
}

/// What an action does; pods are carried out like apps, once there are pods.
pub(super) fn verb(kind: ActionKind) -> Verb {
    match kind {
        ActionKind::StartApplication | ActionKind::StartPod => Verb::Start,
        ActionKind::StopApplication | ActionKind::StopPod => Verb::Stop,
        ActionKind::ScaleApplication | ActionKind::ScalePod => Verb::Scale,
        ActionKind::RestartApplication | ActionKind::RestartPod => Verb::Restart,
    }
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// The app becomes known with no instances.
    Start,
    /// All its instances end.
    Stop,
    /// It gets as many instances as are wanted.
    Scale,
    /// Its instances are replaced by such of the new version.
    Restart,
}

/// An action being carried out, as `GET /v2/deployments` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentAction {
    /// The action.
    #[serde(flatten)]
    pub action: DeploymentAction,
    /// What readiness probes said, by instance.
    pub readiness_check_results: Vec<ReadinessCheckResult>,
}

/// A deployment as `GET /v2/deployments` shows it, but for the flag.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentListing {
    /// The deployment.
    pub stored: Arc<StoredDeployment>,
    /// Counts from 1.
    pub current_step: usize,
    /// The actions of the current step.
    pub current_actions: Vec<CurrentAction>,
    /// Whether the current step has taken longer than `deployment_step_timeout`. Not in Marathon.
    pub is_overdue: bool,
}

/// Why a deployment is not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// Others touch the same apps; Marathon answers 409.
    #[error("the plan changes apps that other deployments change: {}; cancel them or use force", .0.join(", "))]
    Conflict(Vec<String>),
    /// Marathon answers 403.
    #[error("{0} deployments run already, which is the most; wait for one of them to end")]
    TooMany(usize),
}

/// How a deployment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentOutcome {
    /// All its steps ended.
    Success,
    /// It was cancelled.
    Cancelled,
}

#[cfg(test)]
mod tests;
