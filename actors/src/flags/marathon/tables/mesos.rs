//! Flags about the master, the framework, and the rules for services.
//! Declares them only.

use super::super::kind::Kind;
use super::super::table::Support::{Inert, No, Yes};
use super::super::table::{Flag, Group, flags};

flags! {
    MESOS;
    [General]
        help: Kind::Switch, None, Yes, "Print this text and end.";
        version: Kind::Switch, None, Yes, "Print the version and end.";
    [Mesos]
        master: Kind::Text, None, Yes,
            "Where the masters are: host:port, http://host:port, https://host:port, \
             zk://[user:pass@]host1:port1,host2:port2/path, or file:///path of a file that holds \
             one of these. Required.";
        mesos_leader_ui_url: Kind::Text, None, Yes,
            "Address of the web page of Mesos, which /v2/info tells those who ask.";
        framework_name: Kind::Text, Some("marathon"), Yes, "Name of the framework.";
        mesos_user: Kind::Text, None, Yes,
            "User that tasks run as unless their app says otherwise. Default: the user of this \
             process.";
        failover_timeout: Kind::SECONDS, Some("604800"), Yes,
            "Time for which tasks outlive this framework while it is not connected to the master.";
        checkpoint: Kind::Toggle, Some("true"), Yes,
            "Whether agents keep what tasks need to outlive a restart of the agent.";
        webui_url: Kind::Text, None, Yes,
            "Address of the web page given to the master. Default: that of this instance.";
        mesos_authentication: Kind::Toggle, Some("false"), Yes,
            "Whether this framework tells the master its principal and secret; needs both.";
        mesos_authentication_principal: Kind::Text, None, Yes,
            "The principal of the framework, which the master is told without a secret, too.";
        mesos_authentication_secret_file: Kind::Path, None, Yes,
            "File that holds the secret of the principal.";
        mesos_authentication_secret: Kind::Text, None, Yes,
            "The secret itself, which everybody on this machine can then see; better name a file.";
        mesos_heartbeat_interval: Kind::MILLIS_FROM_1, Some("15000"), Yes,
            "Silence of a master without heartbeats after which it is asked for an answer.";
        mesos_heartbeat_failure_threshold: Kind::COUNT_FROM_1, Some("5"), Yes,
            "Such silences in a row after which the master counts as gone.";
        executor: Kind::Text, Some("//cmd"), Yes,
            "Executor of apps that name none; '//cmd' is that of the agent.";
    [Services]
        mesos_role: Kind::Text, Some("*"), Yes, "Role of services at the root level.";
        new_group_enforce_role: Kind::Choice(&["off", "top"]), Some("off"), Yes,
            "Whether services in a new top-level group must have the group's name as their role, \
             unless the group says otherwise.";
        accepted_resource_roles_default_behavior:
            Kind::Choice(&["any", "unreserved", "reserved"]), Some("any"), Yes,
            "Which resources a service takes that does not say it itself.";
        default_accepted_resource_roles: Kind::List, None,
            No("Marathon 1.10 removed it; say it with --accepted_resource_roles_default_behavior, \
                or with acceptedResourceRoles of the apps"),
            "Roles of resources a service takes.";
        local_port_min: Kind::PORT_FROM_1, Some("10000"), Yes,
            "Lowest service port that is assigned.";
        local_port_max: Kind::PORT_FROM_1, Some("20000"), Yes,
            "Highest service port that is assigned.";
        env_vars_prefix: Kind::Text, None, Yes,
            "Put before the names of the variables PORT, PORTS, PORT0, HOST and their like.";
        max_apps: Kind::COUNT, None,
            Inert("Marathon itself reads it but does not limit the number of apps"),
            "Most apps there may be.";
        enable_features: Kind::List, Some(""), Yes,
            "Optional features to switch on: vips, task_killing, external_volumes, secrets, \
             gpu_resources.";
        deprecated_features: Kind::List, Some(""), Yes,
            "Features to keep beyond their time. All that are known have been removed, so each \
             stops the start; with disable_ in front it is accepted.";
        mesos_bridge_name: Kind::Text, Some("mesos-bridge"), Yes,
            "CNI network that the bridge mode of MESOS containers means.";
        default_network_name: Kind::Text, None, Yes,
            "Name of container networks that are given without one.";
}
