//! Plans of deployments, as stored, listed and sent in events.
//! How a plan is made and carried out is decided in `tepui-core`.

use serde::{Deserialize, Serialize};

use super::{PathId, Timestamp};

/// Steps from one root group to the next; the light form of Marathon's `DeploymentPlan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentPlan {
    /// A random uuid.
    pub id: String,
    /// Carried out one after the other.
    pub steps: Vec<DeploymentStep>,
    /// Version of the target.
    pub version: Timestamp,
}

/// Actions that are carried out at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeploymentStep {
    /// Never empty in a plan.
    pub actions: Vec<DeploymentAction>,
}

/// What is done to one app or pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeploymentAction {
    /// What is done.
    pub action: ActionKind,
    /// The app it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<PathId>,
    /// The pod it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PathId>,
}

/// What is done to an app or a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActionKind {
    /// The app becomes known, with no instances yet.
    StartApplication,
    /// Its instances end and it is forgotten.
    StopApplication,
    /// Instances are added or removed.
    ScaleApplication,
    /// Instances are replaced by such of a new version.
    RestartApplication,
    /// As for apps.
    StartPod,
    /// As for apps.
    StopPod,
    /// As for apps.
    ScalePod,
    /// As for apps.
    RestartPod,
}

/// Answer of a probe for readiness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheckResult {
    /// Name of the check.
    pub name: String,
    /// Whose it is.
    pub task_id: String,
    /// What it said.
    pub ready: bool,
    /// With `preserveLastResponse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_response: Option<ReadinessResponse>,
}

/// The answer a readiness check got last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessResponse {
    /// Status of the answer; 504 when there was none.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// Its beginning.
    pub body: String,
}
