//! Containers, networks, ports in discovery, and volumes.

use serde_json::{Value, json};
use v1::container_info::docker_info::Network;

use super::*;

fn docker(task: &v1::TaskInfo) -> &v1::container_info::DockerInfo {
    container(task).docker.as_ref().expect("a docker part")
}

fn ports_of(task: &v1::TaskInfo) -> Vec<(u32, Option<&str>, &str, Vec<String>)> {
    let discovery = task.discovery.as_ref().expect("discovery");
    let ports = &discovery.ports.as_ref().expect("ports").ports;
    let text =
        |label: &v1::Label| format!("{}={}", label.key, label.value.as_deref().unwrap_or(""));
    ports
        .iter()
        .map(|port| {
            let labels = port.labels.iter().flat_map(|labels| &labels.labels);
            (
                port.number,
                port.name.as_deref(),
                port.protocol.as_deref().unwrap_or(""),
                labels.map(text).collect(),
            )
        })
        .collect()
}

/// A DOCKER app with three ports on these networks.
fn on_network(networks: Value, kind: &str) -> v1::TaskInfo {
    task(json!({
        "networks": networks,
        "container": {
            "type": kind,
            "docker": {"image": "nginx", "forcePullImage": true, "privileged": true,
                "parameters": [{"key": "cpu-shares", "value": "2"}]},
            "volumes": [{"containerPath": "/c", "hostPath": "/h", "mode": "RO"}],
            "portMappings": [
                {"containerPort": 80, "hostPort": 31080, "name": "web", "protocol": "udp,tcp",
                    "labels": {"VIP": "1"}, "servicePort": 1},
                {"containerPort": 0, "hostPort": 31081, "protocol": "tcp", "servicePort": 2,
                    "networkNames": ["n1"]},
                {"containerPort": 82, "protocol": "tcp", "servicePort": 3},
            ],
        },
    }))
}

#[test]
fn docker_containers_on_the_bridge() {
    let task = on_network(json!([{"mode": "container/bridge"}]), "DOCKER");
    let docker = docker(&task);
    assert_eq!(docker.image, "nginx");
    assert_eq!(docker.network, Some(Network::Bridge as i32));
    assert_eq!(
        (docker.privileged, docker.force_pull_image),
        (Some(true), Some(true))
    );
    let parameters: Vec<(&str, &str)> = docker
        .parameters
        .iter()
        .map(|parameter| (parameter.key.as_str(), parameter.value.as_str()))
        .collect();
    let label = format!("MESOS_TASK_ID={TASK}");
    assert_eq!(parameters, [("cpu-shares", "2"), ("label", label.as_str())]);
    let mappings: Vec<(u32, u32, &str)> = docker
        .port_mappings
        .iter()
        .map(|one| {
            (
                one.host_port,
                one.container_port,
                one.protocol.as_deref().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        mappings,
        [
            (31080, 80, "udp"),
            (31080, 80, "tcp"),
            (31081, 31081, "tcp")
        ]
    );
    assert!(container(&task).network_infos.is_empty());
    let volume = &container(&task).volumes[0];
    assert_eq!(
        (
            volume.container_path.as_str(),
            volume.host_path.as_deref(),
            volume.mode
        ),
        ("/c", Some("/h"), v1::volume::Mode::Ro as i32)
    );
    let scope = |text: &str| format!("network-scope={text}");
    assert_eq!(
        ports_of(&task),
        [
            (
                31080,
                Some("web"),
                "udp",
                vec!["VIP=1".to_owned(), scope("host")]
            ),
            (
                31080,
                Some("web"),
                "tcp",
                vec!["VIP=1".to_owned(), scope("host")]
            ),
            (31081, None, "tcp", vec![scope("host")]),
            (82, None, "tcp", vec![scope("container")]),
        ]
    );
    let variables = variables(&task);
    assert_eq!(variables["PORTS"], "31080,31081,82");
    assert_eq!(
        (
            variables["PORT_80"].as_str(),
            variables["PORT_31081"].as_str()
        ),
        ("31080", "31081")
    );
    assert_eq!(
        (variables["PORT_WEB"].as_str(), variables["PORT2"].as_str()),
        ("31080", "82")
    );
}

#[test]
fn docker_containers_on_a_network_of_their_own() {
    let networks = json!([{"mode": "container", "name": "n1", "labels": {"a": "b"}}]);
    let task = on_network(networks, "DOCKER");
    assert_eq!(docker(&task).network, Some(Network::User as i32));
    assert_eq!(docker(&task).port_mappings.len(), 3);
    let infos = &container(&task).network_infos;
    assert_eq!((infos.len(), infos[0].name.as_deref()), (1, Some("n1")));
    assert!(infos[0].port_mappings.is_empty());
    assert_eq!(infos[0].labels.as_ref().expect("labels").labels[0].key, "a");
    let unmapped = &ports_of(&task)[3];
    assert_eq!(unmapped.3, ["network-name=n1", "network-scope=container"]);
}

#[test]
fn docker_containers_on_the_host() {
    let task = task(json!({
        "container": {"type": "DOCKER", "docker": {"image": "x", "forcePullImage": false,
            "parameters": [], "privileged": false}},
        "requirePorts": true,
        "portDefinitions": [{"port": 31000, "name": "a", "protocol": "tcp", "labels": {"k": "v"}}],
    }));
    assert_eq!(docker(&task).network, Some(Network::Host as i32));
    assert!(docker(&task).port_mappings.is_empty());
    assert!(container(&task).network_infos.is_empty());
    assert_eq!(
        ports_of(&task),
        [(31000, Some("a"), "tcp", vec!["k=v".to_owned()])]
    );
}

#[test]
fn mesos_containers_have_port_mappings_in_their_networks() {
    let networks =
        json!([{"mode": "container", "name": "n1"}, {"mode": "container", "name": "n2"}]);
    let task = on_network(networks, "MESOS");
    assert!(container(&task).docker.is_none());
    let image = container(&task)
        .mesos
        .as_ref()
        .and_then(|mesos| mesos.image.as_ref());
    let image = image.expect("an image");
    assert_eq!(image.docker.as_ref().expect("docker").name, "nginx");
    assert_eq!(image.cached, Some(false));
    let mapped: Vec<(Option<&str>, usize)> = container(&task)
        .network_infos
        .iter()
        .map(|info| (info.name.as_deref(), info.port_mappings.len()))
        .collect();
    // The second mapping is for n1 only; the third has no host port.
    assert_eq!(mapped, [(Some("n1"), 3), (Some("n2"), 2)]);
    // A port that is not mapped is announced on each network.
    let unmapped = ports_of(&task).into_iter().filter(|port| port.0 == 82);
    assert_eq!(unmapped.count(), 2);
    let bridge = on_network(json!([{"mode": "container/bridge"}]), "MESOS");
    let info = &container(&bridge).network_infos[0];
    assert_eq!(info.name.as_deref(), Some("mesos-bridge"));
    assert_eq!(info.port_mappings[2].container_port, 31081);
}

#[test]
fn terminals_and_linux_settings_are_handed_on() {
    let tty = task(json!({"tty": true}));
    assert_eq!(
        container(&tty).r#type,
        v1::container_info::Type::Mesos as i32
    );
    assert!(container(&tty).tty_info.is_some() && container(&tty).mesos.is_some());
    assert!(task(json!({"tty": false})).container.is_none());
    let task = task(json!({"container": {"type": "MESOS", "linuxInfo": {
        "seccomp": {"profileName": "p", "unconfined": false},
        "ipcInfo": {"mode": "PRIVATE", "shmSize": 64}}}}));
    let info = container(&task).linux_info.as_ref().expect("linux info");
    assert_eq!(
        info.seccomp
            .as_ref()
            .expect("seccomp")
            .profile_name
            .as_deref(),
        Some("p")
    );
    assert_eq!(info.ipc_mode, Some(v1::linux_info::IpcMode::Private as i32));
    assert_eq!((info.shm_size, info.share_cgroups), (Some(64), None));
}

#[test]
fn volumes_of_drivers_and_secrets_are_mounted() {
    let task = task(json!({
        "secrets": {"pw": {"source": "team/pw"}},
        "container": {"type": "MESOS", "volumes": [
            {"containerPath": "/d", "mode": "RW", "external": {"size": 5, "name": "v1",
                "provider": "dvdi", "options": {"dvdi/driver": "rexray", "dvdi/iops": 7}}},
            {"containerPath": "pw", "secret": "pw"},
            {"containerPath": "/c", "mode": "RO", "external": {"name": "v2", "provider": "csi",
                "options": {"pluginName": "p", "nodeStageSecret": {"user": "pw"},
                    "volumeContext": {"a": "b"},
                    "capability": {"accessMode": "single_node_writer", "accessType": "mount",
                        "fsType": "ext4", "mountFlags": ["noatime"]}}}},
        ]},
    }));
    let sources: Vec<&v1::volume::Source> = container(&task)
        .volumes
        .iter()
        .map(|volume| volume.source.as_ref().expect("a source"))
        .collect();
    let docker = sources[0].docker_volume.as_ref().expect("a docker volume");
    assert_eq!(
        (docker.driver.as_deref(), docker.name.as_str()),
        (Some("rexray"), "v1")
    );
    let options = &docker.driver_options.as_ref().expect("options").parameter;
    let options: Vec<(&str, &str)> = options
        .iter()
        .map(|option| (option.key.as_str(), option.value.as_str()))
        .collect();
    assert_eq!(options, [("iops", "7"), ("size", "5")]);
    let secret = sources[1].secret.as_ref().expect("a secret");
    assert_eq!(
        secret.reference.as_ref().expect("a reference").name,
        "team/pw"
    );
    let csi = sources[2].csi_volume.as_ref().expect("a CSI volume");
    let provisioning = csi.static_provisioning.as_ref().expect("provisioning");
    assert_eq!(
        (csi.plugin_name.as_str(), provisioning.volume_id.as_str()),
        ("p", "v2")
    );
    let mount = provisioning
        .volume_capability
        .mount
        .as_ref()
        .expect("a mount");
    assert_eq!(
        (mount.fs_type.as_deref(), mount.mount_flags.len()),
        (Some("ext4"), 1)
    );
    assert_eq!(provisioning.volume_capability.access_mode.mode, 1);
    assert_eq!(provisioning.volume_context["a"], "b");
    assert!(provisioning.node_stage_secrets.contains_key("user"));
}
