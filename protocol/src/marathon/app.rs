//! An app as Marathon stores it and gives it back, members in its order.
//! Every default is filled in; nothing here is checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AppCheck, Artifact, Container, HealthCheck, Network, PathId, PortDefinition, ReadinessCheck,
    Timestamp,
};

/// The definition of a long-running app: Marathon's `App` in its normalised form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// Where it stands in the tree of groups.
    pub id: PathId,
    /// Reservations it may use; absent means what `accepted_resource_roles_default_behavior` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_resource_roles: Option<Vec<String>>,
    /// Argument vector, run without a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// What the launch delay is multiplied by with each failure.
    pub backoff_factor: f64,
    /// Launch delay after the first failure, seconds.
    pub backoff_seconds: i64,
    /// Shell command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Where its instances may run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Absent: a plain command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// CPUs of an instance.
    pub cpus: f64,
    /// Apps and groups that must run before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<PathId>,
    /// Disk of an instance, MiB.
    pub disk: f64,
    /// Environment of its tasks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Path of a custom executor; empty for the built-in one.
    pub executor: String,
    /// Resources of a custom executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_resources: Option<ExecutorResources>,
    /// Files put into the sandbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetch: Vec<Artifact>,
    /// Checks that say whether an instance is healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<HealthCheck>,
    /// A check whose result is only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<AppCheck>,
    /// How many instances are wanted.
    pub instances: u32,
    /// Labels of the app and its tasks.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The launch delay never exceeds this, seconds.
    pub max_launch_delay_seconds: i64,
    /// Memory of an instance, MiB.
    pub mem: f64,
    /// GPUs of an instance.
    pub gpus: u32,
    /// Networks it joins; never empty.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// Ports on the host; only with host networking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_definitions: Option<Vec<PortDefinition>>,
    /// Checks that say whether a new instance is ready; at most one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readiness_checks: Vec<ReadinessCheck>,
    /// Present for apps with persistent volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<Residency>,
    /// Limits above the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    /// Host ports are the service ports.
    pub require_ports: bool,
    /// Secrets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// Time between SIGTERM and SIGKILL, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_kill_grace_period_seconds: Option<i64>,
    /// Bounds of a rolling upgrade.
    pub upgrade_strategy: UpgradeStrategy,
    /// Who its tasks run as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When this definition was made.
    pub version: Timestamp,
    /// Absent until the app is part of the root group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_info: Option<VersionInfo>,
    /// Who dies first when it is scaled down.
    pub kill_selection: KillSelection,
    /// What becomes of instances on lost agents.
    pub unreachable_strategy: UnreachableStrategy,
    /// Whether its tasks get a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// Role its resources are allocated to.
    pub role: String,
}

/// A value of an environment variable, or the name of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvValue {
    /// The value itself.
    Text(String),
    /// A key of `secrets`.
    Secret {
        /// Its name.
        secret: String,
    },
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its path in the store of secrets.
    pub source: String,
}

/// `[field, operator]` or `[field, operator, value]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Constraint {
    /// `hostname`, `@hostname`, `@region`, `@zone` or the name of an attribute.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub value: Option<String>,
}

/// How a constraint compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operator {
    /// Each value at most once.
    Unique,
    /// One value for all.
    Cluster,
    /// Spread evenly over the values.
    GroupBy,
    /// The value matches a regular expression.
    Like,
    /// The value does not match a regular expression.
    Unlike,
    /// Each value at most so often.
    MaxPer,
    /// The value equals.
    Is,
}

impl Operator {
    /// All of them, in the order Marathon's error names them.
    pub const ALL: [Operator; 7] = [
        Operator::Unique,
        Operator::Cluster,
        Operator::GroupBy,
        Operator::Like,
        Operator::MaxPer,
        Operator::Unlike,
        Operator::Is,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Unique => "UNIQUE",
            Operator::Cluster => "CLUSTER",
            Operator::GroupBy => "GROUP_BY",
            Operator::Like => "LIKE",
            Operator::Unlike => "UNLIKE",
            Operator::MaxPer => "MAX_PER",
            Operator::Is => "IS",
        }
    }

    /// Reads a name in any case.
    pub fn from_name(name: &str) -> Option<Operator> {
        Operator::ALL
            .into_iter()
            .find(|operator| operator.as_str().eq_ignore_ascii_case(name))
    }
}

impl TryFrom<Vec<String>> for Constraint {
    type Error = &'static str;
    fn try_from(parts: Vec<String>) -> Result<Constraint, &'static str> {
        let mut parts = parts.into_iter();
        let (Some(field), Some(operator), value, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("each constraint must have either 2 or 3 fields");
        };
        let operator = Operator::from_name(&operator).ok_or("unknown operator")?;
        Ok(Constraint {
            field,
            operator,
            value,
        })
    }
}

impl From<Constraint> for Vec<String> {
    fn from(constraint: Constraint) -> Vec<String> {
        let mut parts = vec![constraint.field, constraint.operator.as_str().to_owned()];
        parts.extend(constraint.value);
        parts
    }
}

/// Resources of a custom executor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExecutorResources {
    /// CPUs.
    pub cpus: f64,
    /// Memory, MiB.
    pub mem: f64,
    /// Disk, MiB.
    pub disk: f64,
}

/// Limits above the requests.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<ResourceLimit>,
    /// Memory, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<ResourceLimit>,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ResourceLimit {
    /// So much.
    Amount(f64),
    /// No limit.
    Unlimited(Unlimited),
}

/// The word `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unlimited {
    /// The word itself.
    #[serde(rename = "unlimited")]
    Unlimited,
}

/// Bounds of a rolling upgrade, as shares of the wanted instances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStrategy {
    /// So many more than wanted may run meanwhile.
    pub maximum_over_capacity: f64,
    /// So many of the wanted stay healthy meanwhile.
    pub minimum_health_capacity: f64,
}

/// When the app changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// Last change of the number of instances alone.
    pub last_scaling_at: Timestamp,
    /// Last change of anything else.
    pub last_config_change_at: Timestamp,
}

/// Who dies first when an app is scaled down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KillSelection {
    /// The latest started.
    #[default]
    YoungestFirst,
    /// The earliest started.
    OldestFirst,
}

/// What becomes of instances on lost agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UnreachableStrategy {
    /// They are replaced, and forgotten, after so long.
    Enabled(UnreachableTimes),
    /// Nothing happens until they are back or killed by hand.
    Disabled(Disabled),
}

/// How long an instance may be unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreachableTimes {
    /// Until a replacement is launched, seconds.
    pub inactive_after_seconds: i64,
    /// Until it is forgotten, seconds.
    pub expunge_after_seconds: i64,
}

/// The word `disabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disabled {
    /// The word itself.
    #[serde(rename = "disabled")]
    Disabled,
}

/// Of apps with persistent volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Residency {
    /// Seconds; 3600 when the unreachable strategy is disabled, else its time to inactivity.
    pub relaunch_escalation_timeout_seconds: i64,
    /// Kept for clients; the unreachable strategy decides.
    pub task_lost_behavior: TaskLostBehavior,
}

/// What Marathon once did with lost resident tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskLostBehavior {
    /// Wait for the agent.
    #[default]
    WaitForever,
    /// Launch elsewhere after a time.
    RelaunchAfterTimeout,
}
