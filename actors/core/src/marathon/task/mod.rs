//! The Mesos task of an instance: what an app's definition and its match become on the wire.
//! Chooses nothing: resources and ports come from the match.

use std::collections::BTreeMap;

use tepui_protocol::marathon::{App, ResourceLimit};
use tepui_protocol::v1;

use crate::ids::TaskId;
use crate::resources::Format;

use super::matching::{Match, custom_executor};

mod checks;
mod command;
mod container;
mod csi;
mod discovery;
mod env;
mod networks;
#[cfg(test)]
mod tests;
mod volumes;

pub use env::environment;

/// Flags that shape tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSettings {
    /// `--env_vars_prefix`: put before the variables of ports and HOST.
    pub env_vars_prefix: String,
    /// `--mesos_bridge_name`: the network of bridged MESOS containers.
    pub mesos_bridge_name: String,
    /// `--executor`: of apps that name none.
    pub executor: String,
}

impl Default for TaskSettings {
    /// The defaults of the flags.
    fn default() -> Self {
        TaskSettings {
            env_vars_prefix: String::new(),
            mesos_bridge_name: "mesos-bridge".to_owned(),
            executor: "//cmd".to_owned(),
        }
    }
}

/// An instance that is about to be launched.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// Its app.
    pub app: &'a App,
    /// The id its task gets.
    pub task_id: &'a TaskId,
    /// What it got from an offer.
    pub matched: &'a Match,
    /// Whether its top-level group enforces its role.
    pub enforce_role: bool,
    /// Flags.
    pub settings: &'a TaskSettings,
}

/// The task to send to Mesos. Checks that Marathon itself carries out are not part of it, nor
/// secrets in the environment, which only a plugin could resolve. Marathon.
pub fn task_info(launch: &Launch<'_>) -> v1::TaskInfo {
    let app = launch.app;
    let container = container::container_info(launch);
    let command = command::command_info(launch);
    let path = custom_executor(app, &launch.settings.executor);
    let (command, container, executor) = match path {
        None => (Some(command), container, None),
        Some(path) => {
            let executor = command::executor_info(launch, path, command, container);
            (None, None, Some(executor))
        }
    };
    v1::TaskInfo {
        name: app.id.reversed_dotted(),
        task_id: launch.task_id.to_v1(),
        agent_id: v1::AgentId {
            value: launch.matched.place.agent_id.clone(),
        },
        // The framework does not announce RESERVATION_REFINEMENT, so offers have the old form.
        resources: launch.matched.resources.to_v1(Format::PreRefinement),
        executor: executor.map(Box::new),
        command: command.map(Box::new),
        container: container.map(Box::new),
        health_check: checks::health_check(launch).map(Box::new),
        check: checks::check(launch).map(Box::new),
        discovery: Some(Box::new(discovery::discovery_info(launch))),
        labels: labels(&app.labels),
        kill_policy: kill_policy(app),
        limits: limits(app),
        ..Default::default()
    }
}

fn kill_policy(app: &App) -> Option<v1::KillPolicy> {
    let seconds = app.task_kill_grace_period_seconds?;
    Some(v1::KillPolicy {
        grace_period: Some(v1::DurationInfo {
            nanoseconds: seconds.saturating_mul(1_000_000_000),
        }),
    })
}

fn limits(app: &App) -> BTreeMap<String, v1::value::Scalar> {
    let Some(limits) = app.resource_limits else {
        return BTreeMap::new();
    };
    let scalar = |name: &str, limit: ResourceLimit| {
        let value = match limit {
            ResourceLimit::Amount(amount) => amount,
            ResourceLimit::Unlimited(_) => f64::INFINITY,
        };
        (name.to_owned(), v1::value::Scalar { value })
    };
    let cpus = limits.cpus.map(|limit| scalar("cpus", limit));
    let mem = limits.mem.map(|limit| scalar("mem", limit));
    cpus.into_iter().chain(mem).collect()
}

/// Labels in Mesos's form; absent when there are none.
fn labels(labels: &BTreeMap<String, String>) -> Option<v1::Labels> {
    let label = |(key, value): (&String, &String)| v1::Label {
        key: key.clone(),
        value: Some(value.clone()),
    };
    (!labels.is_empty()).then(|| v1::Labels {
        labels: labels.iter().map(label).collect(),
    })
}

/// A secret by its name in the app: whoever resolves it knows it by its source.
fn secret(app: &App, name: &str) -> v1::Secret {
    let source = app.secrets.get(name).map(|secret| secret.source.as_str());
    v1::Secret {
        r#type: Some(v1::secret::Type::Reference as i32),
        reference: Some(v1::secret::Reference {
            name: source.unwrap_or(name).to_owned(),
            key: None,
        }),
        value: None,
    }
}
