//! What frameworks ask for, as orders to the Docker Engine.
//! Asks no Engine.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::{InDocker, Launch};
use tepui_core::agent::volumes::{Volume as PersistentVolume, VolumeKind, VolumeLink};
use tepui_core::ids::{ContainerId, ExecutorId, FrameworkId};
use tepui_core::resources::Resources;
use tepui_protocol::v1::container_info::docker_info::{Network, PortMapping};
use tepui_protocol::v1::container_info::{DockerInfo, Type};
use tepui_protocol::v1::{CommandInfo, ContainerInfo, Parameter, Volume};

use super::create::{self, Common};
use super::{ContainerDns, host};

fn docker(image: &str) -> DockerInfo {
    DockerInfo {
        image: image.to_owned(),
        ..DockerInfo::default()
    }
}

fn launch(docker: DockerInfo) -> Launch {
    let info = ContainerInfo {
        r#type: Type::Docker as i32,
        docker: Some(docker),
        ..ContainerInfo::default()
    };
    let command = CommandInfo {
        shell: Some(false),
        ..CommandInfo::default()
    };
    Launch {
        container: ContainerId::from("c"),
        framework: FrameworkId::from("f"),
        executor: ExecutorId::from("e"),
        directory: "/box".into(),
        program: "/tepui-executor".into(),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        user: None,
        volumes: Vec::new(),
        resources: ContainerResources {
            requests: Resources::parse("cpus:0.5;mem:64;ports:[31000-31001]", "*").unwrap(),
            limits: BTreeMap::new(),
        },
        info: Some(Box::new(info)),
        image: None,
        called: None,
        docker: Some(Box::new(InDocker {
            command,
            environment: [("A".to_owned(), "1".to_owned())].into(),
            is_executor: false,
        })),
        uris: Vec::new(),
    }
}

fn order(launch: &Launch) -> Result<Value, String> {
    let common = Common {
        work_dir: "/work".into(),
        sandbox_directory: "/mnt/mesos/sandbox".into(),
        enable_cfs: true,
        dns: ContainerDns::default(),
        mem_total_bytes: Some(1 << 30),
    };
    create::order(launch, &common).map(|(_, order)| order)
}

fn mapping(host: u32, container: u32, protocol: &str) -> PortMapping {
    PortMapping {
        host_port: host,
        container_port: container,
        protocol: Some(protocol.to_owned()),
    }
}

#[test]
fn a_container_is_made_as_mesos_makes_it() {
    let mut launch = launch(DockerInfo {
        network: Some(Network::Bridge as i32),
        port_mappings: vec![mapping(31_000, 80, "TCP"), mapping(31_001, 53, "udp")],
        ..docker("some/image")
    });
    let info = launch.info.as_mut().unwrap();
    info.hostname = Some("h".into());
    info.volumes = [("/etc", "/e"), ("data", "/d"), ("/x", "in")]
        .map(|(host, inside)| Volume {
            host_path: Some(host.into()),
            container_path: inside.into(),
            mode: 2,
            ..Volume::default()
        })
        .to_vec();
    let inside = launch.docker.as_mut().unwrap();
    inside.command = CommandInfo {
        value: Some("echo hi".into()),
        ..CommandInfo::default()
    };
    let expected = json!({
        "Image": "some/image:latest",
        "Env": ["A=1", "MESOS_CONTAINER_NAME=mesos-c", "MESOS_SANDBOX=/mnt/mesos/sandbox"],
        "Labels": {"tepui.agent.work_dir": "/work"},
        "AttachStdout": true,
        "AttachStderr": true,
        "Entrypoint": ["/bin/sh"],
        "Cmd": ["-c", "echo hi"],
        "Hostname": "h",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "HostConfig": {
            "Privileged": false,
            "CpuShares": 512,
            "CpuQuota": 50_000,
            "Memory": 64 << 20,
            "Binds": [
                "/etc:/e:ro",
                "/box/data:/d:ro",
                "/x:/mnt/mesos/sandbox/in:ro",
                "/box:/mnt/mesos/sandbox",
            ],
            "NetworkMode": "bridge",
            "PortBindings": {
                "80/tcp": [{"HostPort": "31000"}],
                "53/udp": [{"HostPort": "31001"}],
            },
        },
    });
    assert_eq!(order(&launch), Ok(expected));
}

#[test]
fn limits_take_the_place_of_what_is_given() {
    let mut launch = launch(docker("a:1"));
    let limits = [
        ("cpus".to_owned(), f64::INFINITY),
        ("mem".to_owned(), 128.0),
    ];
    launch.resources.limits = limits.into();
    let order = order(&launch).unwrap();
    let host = &order["HostConfig"];
    assert_eq!(host["CpuQuota"], Value::Null);
    assert_eq!(host["Memory"], json!(128 << 20));
    assert_eq!(host["MemoryReservation"], json!(64 << 20));
    // It has a sixteenth of the machine's memory.
    assert_eq!(host["OomScoreAdj"], json!(938));
    assert_eq!(host["NetworkMode"], "host");
    assert_eq!(order["Image"], "a:1");
    assert_eq!(order["Cmd"], Value::Null, "the image says what it runs");
}

#[test]
fn what_may_use_no_more_than_it_is_given_is_not_ended_sooner() {
    let mut launch = launch(docker("a:1"));
    for limits in [vec![], vec![("mem".to_owned(), 64.0)]] {
        launch.resources.limits = limits.into_iter().collect();
        let order = order(&launch).unwrap();
        assert_eq!(order["HostConfig"]["OomScoreAdj"], Value::Null);
    }
    launch.resources.limits = [("mem".to_owned(), f64::INFINITY)].into();
    let order = order(&launch).unwrap();
    assert_eq!(order["HostConfig"]["OomScoreAdj"], json!(938));
}

#[test]
fn persistent_volumes_are_seen_in_the_sandbox() {
    let mut launch = launch(docker("a:1"));
    launch.volumes = [("data", false), ("more", true)]
        .map(|(name, read_only)| VolumeLink {
            name: name.into(),
            volume: PersistentVolume {
                id: name.into(),
                path: format!("/volumes/a:b/{name}"),
                kind: VolumeKind::Directory,
            },
            chown: true,
            read_only,
        })
        .to_vec();
    let mount = |name: &str, read_only: bool| {
        json!({
            "Type": "bind", "Source": format!("/volumes/a:b/{name}"),
            "Target": format!("/mnt/mesos/sandbox/{name}"), "ReadOnly": read_only,
        })
    };
    let order = order(&launch).unwrap();
    let expected = json!([mount("data", false), mount("more", true)]);
    assert_eq!(order["HostConfig"]["Mounts"], expected);
}

#[test]
fn what_cannot_be_done_is_said() {
    let bridge = |mapping| DockerInfo {
        network: Some(Network::Bridge as i32),
        port_mappings: vec![mapping],
        ..docker("a")
    };
    let on_host = DockerInfo {
        port_mappings: vec![mapping(31_000, 80, "tcp")],
        ..docker("a")
    };
    let user = DockerInfo {
        network: Some(Network::User as i32),
        ..docker("a")
    };
    let unknown = DockerInfo {
        parameters: vec![Parameter {
            key: "detach".into(),
            value: "true".into(),
        }],
        ..docker("a")
    };
    for (docker, words) in [
        (docker(""), "'' cannot name an image"),
        (docker("../images/x"), "cannot name an image"),
        (docker("a?b"), "cannot name an image"),
        (
            bridge(mapping(80, 80, "tcp")),
            "Port [80] not included in resources",
        ),
        (on_host, "Port mappings are only supported for bridge"),
        (user, "No network info found in container info"),
        (unknown, "'detach', which is not supported"),
    ] {
        let why = order(&launch(docker)).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let mut escaping = launch(docker("a"));
    escaping.info.as_mut().unwrap().volumes = vec![Volume {
        host_path: Some("../other".into()),
        container_path: "/x".into(),
        mode: 1,
        ..Volume::default()
    }];
    let why = order(&escaping).unwrap_err();
    assert_eq!(why, "host_path '../other' of a volume leaves the sandbox");
}

#[test]
fn of_the_host_only_what_may_be_shown_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in [
        "work/sandbox/own",
        "work/volume",
        "work/other",
        "shown",
        "hidden",
    ] {
        std::fs::create_dir_all(path(name)).unwrap();
    }
    std::os::unix::fs::symlink(path("hidden"), path("shown/link")).unwrap();
    let judge = |host: Value| {
        let order = json!({"HostConfig": host});
        let prefixes = [path("shown")];
        host::check(
            &order,
            &path("work/sandbox"),
            &[path("work/volume")],
            Some(&prefixes),
        )
    };
    let check = |source: &str| {
        let bound = judge(json!({"Binds": [format!("{source}:/x:rw")]}));
        let mounted =
            judge(json!({"Mounts": [{"Type": "bind", "Source": source, "Target": "/x"}]}));
        assert_eq!(bound, mounted);
        bound
    };
    let at = |name: &str| path(name).display().to_string();
    let own = ["work/sandbox", "work/sandbox/own/new", "work/volume"];
    for name in own.into_iter().chain(["shown", "shown/new"]) {
        assert_eq!(check(&at(name)), Ok(()), "{name}");
    }
    assert_eq!(check("a-volume-of-the-engine"), Ok(()));
    for name in [
        "hidden",
        "work/other",
        "work/sandbox/../other",
        "shown/../hidden",
        "shown/link",
        "shown/link/new",
        "shown/new/../../hidden",
    ] {
        assert!(check(&at(name)).is_err(), "{name}");
    }
}
