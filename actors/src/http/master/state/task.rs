//! Tasks in `/state`, with their statuses.
//! Shows what frameworks and agents said of them, nothing else.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tepui_core::master::model::Task;
use tepui_core::memo::Memo;
use tepui_protocol::json::RawValue;
use tepui_protocol::v1;

use super::resources::ResourcesView;
use super::{LabelView, labels, role, write};

/// A task as JSON, which is written anew only when the task has changed.
pub(super) fn task(task: &Memo<Task>) -> &RawValue {
    task.written(|task| {
        let details = task.details();
        let statuses: Vec<v1::TaskStatus> = task.statuses().collect();
        write(&TaskView::new(task, &details, &statuses))
    })
}

/// A task.
#[derive(Serialize)]
struct TaskView<'a> {
    id: &'a str,
    name: &'a str,
    framework_id: &'a str,
    executor_id: &'a str,
    slave_id: &'a str,
    state: &'static str,
    resources: ResourcesView<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<&'a str, Limit>,
    role: &'a str,
    statuses: Vec<StatusView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<LabelView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discovery: Option<&'a v1::DiscoveryInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a v1::ContainerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check: Option<&'a v1::HealthCheck>,
}

impl<'a> TaskView<'a> {
    fn new(task: &'a Task, details: &'a v1::Task, statuses: &'a [v1::TaskStatus]) -> Self {
        TaskView {
            id: task.id.as_str(),
            name: &details.name,
            framework_id: task.framework.as_str(),
            executor_id: task.executor.as_ref().map_or("", |id| id.as_str()),
            slave_id: task.agent.as_str(),
            // A state that this version does not know is shown as the first, as prost reads it.
            state: v1::TaskState::try_from(task.state)
                .unwrap_or_default()
                .as_str_name(),
            resources: ResourcesView::of(&task.resources),
            limits: details
                .limits
                .iter()
                .map(|(name, limit)| (name.as_str(), Limit(limit.value)))
                .collect(),
            role: role(&task.resources).unwrap_or_default(),
            statuses: statuses.iter().map(StatusView::new).collect(),
            user: details.user.as_deref(),
            labels: labels(details.labels.as_ref()),
            discovery: details.discovery.as_deref(),
            container: details.container.as_deref(),
            health_check: details.health_check.as_deref(),
        }
    }
}

/// An upper bound; a task may be given no bound at all, for which JSON has no number.
struct Limit(f64);

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str("Infinity")
        }
    }
}

#[derive(Serialize)]
struct StatusView<'a> {
    state: &'static str,
    timestamp: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<LabelView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_status: Option<ContainerStatusView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy: Option<bool>,
}

impl<'a> StatusView<'a> {
    fn new(status: &'a v1::TaskStatus) -> Self {
        StatusView {
            state: status.state().as_str_name(),
            timestamp: status.timestamp(),
            labels: labels(status.labels.as_ref()),
            container_status: status
                .container_status
                .as_deref()
                .map(ContainerStatusView::new),
            healthy: status.healthy,
        }
    }
}

#[derive(Serialize)]
struct ContainerStatusView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<&'a v1::ContainerId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    network_infos: Vec<NetworkView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_info: Option<&'a v1::CgroupInfo>,
}

impl<'a> ContainerStatusView<'a> {
    fn new(status: &'a v1::ContainerStatus) -> Self {
        ContainerStatusView {
            container_id: status.container_id.as_ref(),
            network_infos: status.network_infos.iter().map(NetworkView::new).collect(),
            cgroup_info: status.cgroup_info.as_ref(),
        }
    }
}

#[derive(Serialize)]
struct NetworkView<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<LabelView<'a>>>,
    #[serde(skip_serializing_if = "<[v1::network_info::IpAddress]>::is_empty")]
    ip_addresses: &'a [v1::network_info::IpAddress],
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "<[v1::network_info::PortMapping]>::is_empty")]
    port_mappings: &'a [v1::network_info::PortMapping],
}

impl<'a> NetworkView<'a> {
    fn new(info: &'a v1::NetworkInfo) -> Self {
        NetworkView {
            groups: &info.groups,
            labels: labels(info.labels.as_ref()),
            ip_addresses: &info.ip_addresses,
            name: info.name.as_deref(),
            port_mappings: &info.port_mappings,
        }
    }
}
