//! Tasks in `/state`, with their statuses.
//! Shows what frameworks and agents said of them, nothing else.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tepui_core::master::model::Task;
use tepui_protocol::v1;

use super::resources::ResourcesView;
use super::{LabelView, labels, role};

/// A task.
#[derive(Serialize)]
pub(super) struct TaskView<'a> {
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
    pub(super) fn new(task: &'a Task) -> Self {
        let info = &task.info;
        TaskView {
            id: &info.task_id.value,
            name: &info.name,
            framework_id: &info.framework_id.value,
            executor_id: info.executor_id.as_ref().map_or("", |id| &id.value),
            slave_id: &info.agent_id.value,
            state: info.state().as_str_name(),
            resources: ResourcesView::of(&task.resources),
            limits: info
                .limits
                .iter()
                .map(|(name, limit)| (name.as_str(), Limit(limit.value)))
                .collect(),
            role: role(&task.resources).unwrap_or_default(),
            statuses: info.statuses.iter().map(StatusView::new).collect(),
            user: info.user.as_deref(),
            labels: labels(info.labels.as_ref()),
            discovery: info.discovery.as_deref(),
            container: info.container.as_deref(),
            health_check: info.health_check.as_deref(),
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
