//! All flags of master and agent, each declared once.
//! Declares only: reading and checking happen in the modules beside this one.

mod agent;
mod common;
mod containers;
mod master;

use super::table::Table;

/// The flags of `tepui-master`.
pub(super) const MASTER: Table = Table {
    program: "tepui-master",
    about: "The master of a Tepui cluster: offers the agents' resources to frameworks.",
    lists: &[common::COMMON, master::MASTER],
    own_defaults: &[],
    build_conditional: &["max_executors_per_agent"],
};

/// The flags of `tepui-agent`.
pub(super) const AGENT: Table = Table {
    program: "tepui-agent",
    about: "An agent of a Tepui cluster: runs the tasks of frameworks on its machine.",
    lists: &[common::COMMON, agent::AGENT, containers::CONTAINERS],
    // Mesos finds this out when it starts; here it is what is asked for.
    own_defaults: &[("systemd_enable_support", "false")],
    build_conditional: &[
        "authenticate_http_executors",
        "check_agent_port_range_only",
        "container_ports_watch_interval",
        "egress_flow_classifier_parent",
        "egress_unique_flow_per_container",
        "enforce_container_ports",
        "ephemeral_ports_per_container",
        "ingress_isolate_existing_containers",
        "network_enable_rate_statistics",
        "network_enable_snmp_statistics",
        "network_enable_socket_statistics_details",
        "network_enable_socket_statistics_summary",
        "xfs_kill_containers",
        "xfs_project_range",
        "xfs_quota_headroom",
    ],
};
