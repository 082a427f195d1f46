//! Reads containers, networks, ports, volumes and artifacts of an app body.
//! Fills in the defaults their types have and no other.

use serde_json::{Map, Value};
use tepui_protocol::marathon::{
    Artifact, Constraint, ContainerType, DiskType, Docker, DockerParameter, ExternalVolume,
    IpcInfo, IpcMode, LinuxInfo, Network, NetworkMode, PersistentVolume, PortDefinition,
    PortMapping, Protocol, PullConfig, ReadMode, Seccomp, Volume,
};

use super::body::{ContainerBody, DockerBody, DockerNetwork};
use super::names::{is_legacy_name, is_network_name};
use super::reader::At;

/// A container in its new or its old form.
pub(crate) fn read_container(at: &At) -> Option<ContainerBody> {
    at.object()?;
    const TYPES: [(&str, ContainerType); 2] = [
        ("MESOS", ContainerType::Mesos),
        ("DOCKER", ContainerType::Docker),
    ];
    let kind = at.maybe("type", |kind| kind.one_of(&TYPES));
    Some(ContainerBody {
        kind: kind.unwrap_or(ContainerType::Docker),
        docker: at.maybe("docker", read_docker),
        linux_info: at.maybe("linuxInfo", read_linux_info),
        volumes: at
            .maybe("volumes", |all| all.list(read_volume))
            .unwrap_or_default(),
        port_mappings: at.maybe("portMappings", |all| all.list(read_port_mapping)),
    })
}

fn read_docker(at: &At) -> Option<DockerBody> {
    at.object()?;
    const NETWORKS: [(&str, DockerNetwork); 4] = [
        ("BRIDGE", DockerNetwork::Bridge),
        ("HOST", DockerNetwork::Host),
        ("NONE", DockerNetwork::None),
        ("USER", DockerNetwork::User),
    ];
    let image = at.required("image", |image| image.text_from(1));
    let credential = at.maybe("credential", |credential| {
        credential.object()?;
        credential.maybe("secret", At::text);
        credential.required("principal", At::text)
    });
    let docker = Docker {
        pull_config: at.maybe("pullConfig", |config| {
            config.object()?;
            let secret = config.required("secret", |secret| secret.text_from(1))?;
            Some(PullConfig { secret })
        }),
        force_pull_image: at.maybe("forcePullImage", At::boolean).unwrap_or(false),
        image: image.unwrap_or_default(),
        parameters: at
            .maybe("parameters", |all| all.list(read_parameter))
            .unwrap_or_default(),
        privileged: at.maybe("privileged", At::boolean).unwrap_or(false),
    };
    Some(DockerBody {
        docker,
        network: at.maybe("network", |network| network.one_of(&NETWORKS)),
        port_mappings: at.maybe("portMappings", |all| all.list(read_port_mapping)),
        credential: credential.is_some(),
    })
}

fn read_parameter(at: &At) -> Option<DockerParameter> {
    at.object()?;
    let key = at.required("key", |key| key.text_from(1));
    let value = at.required("value", At::text);
    Some(DockerParameter {
        key: key?,
        value: value?,
    })
}

fn read_linux_info(at: &At) -> Option<LinuxInfo> {
    at.object()?;
    const MODES: [(&str, IpcMode); 2] = [
        ("PRIVATE", IpcMode::Private),
        ("SHARE_PARENT", IpcMode::ShareParent),
    ];
    Some(LinuxInfo {
        seccomp: at.maybe("seccomp", |seccomp| {
            seccomp.object()?;
            Some(Seccomp {
                profile_name: seccomp.maybe("profileName", At::text),
                unconfined: seccomp.maybe("unconfined", At::boolean).unwrap_or(false),
            })
        }),
        ipc_info: at.maybe("ipcInfo", |ipc| {
            ipc.object()?;
            let shm_size = ipc.maybe("shmSize", |size| {
                size.int(i64::from(i32::MIN), i64::from(i32::MAX))
            });
            let mode = ipc.required("mode", |mode| mode.one_of(&MODES))?;
            Some(IpcInfo { mode, shm_size })
        }),
    })
}

/// The kind of a volume is told by which member is present, looked for in this order.
fn read_volume(at: &At) -> Option<Volume> {
    at.object()?;
    let container_path = at.required("containerPath", |path| path.text_from(1));
    if at.member("persistent").is_some() {
        let persistent = at.required("persistent", read_persistent);
        let mode = at.required("mode", read_mode);
        return Some(Volume::Persistent {
            container_path: container_path?,
            persistent: persistent?,
            mode: mode?,
        });
    }
    if at.member("external").is_some() {
        let external = at.required("external", read_external);
        let mode = at.required("mode", read_mode);
        return Some(Volume::External {
            container_path: container_path?,
            external: external?,
            mode: mode?,
        });
    }
    if at.member("secret").is_some() {
        let secret = at.required("secret", |secret| secret.text_from(1));
        return Some(Volume::Secret {
            container_path: container_path?,
            secret: secret?,
        });
    }
    let host_path = at.required("hostPath", |path| path.text_from(1));
    let mode = at.required("mode", read_mode);
    Some(Volume::Host {
        container_path: container_path?,
        host_path: host_path?,
        mode: mode?,
    })
}

fn read_mode(at: &At) -> Option<ReadMode> {
    at.one_of(&[("RO", ReadMode::Ro), ("RW", ReadMode::Rw)])
}

fn read_persistent(at: &At) -> Option<PersistentVolume> {
    at.object()?;
    const KINDS: [(&str, DiskType); 3] = [
        ("root", DiskType::Root),
        ("path", DiskType::Path),
        ("mount", DiskType::Mount),
    ];
    let profile_name = at.maybe("profileName", At::text);
    let default = match profile_name {
        Some(_) => DiskType::Mount,
        None => DiskType::Root,
    };
    let kind = at.maybe("type", |kind| kind.one_of(&KINDS));
    let size = at.required("size", |size| size.int(1, i64::from(i32::MAX)));
    Some(PersistentVolume {
        kind: kind.unwrap_or(default),
        size: size?,
        max_size: at.maybe("maxSize", At::count),
        profile_name,
        constraints: at
            .maybe("constraints", |all| all.set(read_disk_constraint))
            .unwrap_or_default(),
    })
}

fn read_disk_constraint(at: &At) -> Option<Constraint> {
    let parts = at.list(At::text)?;
    match Constraint::try_from(parts) {
        Ok(constraint) => Some(constraint),
        Err(_) => at.wrong("error.unknown.enum.literal"),
    }
}

fn read_external(at: &At) -> Option<ExternalVolume> {
    at.object()?;
    let provider = at.maybe("provider", At::text);
    let csi = provider.as_deref() == Some("csi");
    let options = match csi {
        true => at.required("options", read_csi_options),
        false => at
            .maybe("options", |options| {
                let labels = options.labels()?;
                Some(labels.into_iter().map(|(k, v)| (k, v.into())).collect())
            })
            .or_else(|| Some(Map::new())),
    };
    let shared = match csi {
        true => None,
        false => Some(at.maybe("shared", At::boolean).unwrap_or(false)),
    };
    let name = match csi {
        true => Some(at.required("name", At::text)?),
        false => at.maybe("name", At::text),
    };
    Some(ExternalVolume {
        size: at.maybe("size", At::count).filter(|_| !csi),
        name,
        provider,
        options: options?,
        shared,
    })
}

fn read_csi_options(at: &At) -> Option<Map<String, Value>> {
    const ACCESS_MODES: [(&str, ()); 5] = [
        ("SINGLE_NODE_WRITER", ()),
        ("SINGLE_NODE_READER_ONLY", ()),
        ("MULTI_NODE_READER_ONLY", ()),
        ("MULTI_NODE_SINGLE_WRITER", ()),
        ("MULTI_NODE_MULTI_WRITER", ()),
    ];
    let members = at.object()?;
    at.required("pluginName", |name| name.text_from(1))?;
    at.required("capability", |capability| {
        capability.object()?;
        capability.required("accessMode", |mode| mode.one_of(&ACCESS_MODES))?;
        capability.required("accessType", |kind| {
            kind.one_of(&[("block", ()), ("mount", ())])
        })?;
        capability.maybe("fsType", At::text);
        capability.maybe("mountFlags", |flags| flags.list(At::text));
        Some(())
    })?;
    let maps = ["nodeStageSecret", "nodePublishSecret", "volumeContext"];
    for name in maps {
        at.maybe(name, At::labels);
    }
    let known = |name: &str| maps.contains(&name) || name == "pluginName" || name == "capability";
    let kept = members.iter().filter(|(name, _)| known(name));
    Some(
        kept.map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// A network; its mode is `container` unless given.
pub(crate) fn read_network(at: &At) -> Option<Network> {
    at.object()?;
    const MODES: [(&str, NetworkMode); 3] = [
        ("container", NetworkMode::Container),
        ("container/bridge", NetworkMode::Bridge),
        ("host", NetworkMode::Host),
    ];
    let mode = at.maybe("mode", |mode| mode.one_of(&MODES));
    Some(Network {
        name: at.maybe("name", |name| name.pattern((1, 63), is_network_name)),
        mode: mode.unwrap_or(NetworkMode::Container),
        labels: at.maybe("labels", At::labels).unwrap_or_default(),
    })
}

/// `tcp`, `udp` or `udp,tcp`.
pub(crate) fn read_protocol(at: &At) -> Option<Protocol> {
    at.one_of(&[
        ("tcp", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("udp,tcp", Protocol::Both),
    ])
}

fn read_port_name(at: &At) -> Option<String> {
    at.pattern((1, usize::MAX), is_legacy_name)
}

/// A port on the host.
pub(crate) fn read_port_definition(at: &At) -> Option<PortDefinition> {
    at.object()?;
    Some(PortDefinition {
        port: at.maybe("port", At::port).unwrap_or(0),
        labels: at.maybe("labels", At::labels).unwrap_or_default(),
        name: at.maybe("name", read_port_name),
        protocol: at.maybe("protocol", read_protocol).unwrap_or_default(),
    })
}

fn read_port_mapping(at: &At) -> Option<PortMapping> {
    at.object()?;
    let network = |name: &At| name.pattern((1, 63), is_network_name);
    Some(PortMapping {
        container_port: at.maybe("containerPort", At::port).unwrap_or(0),
        host_port: at.maybe("hostPort", At::port),
        labels: at.maybe("labels", At::labels).unwrap_or_default(),
        name: at.maybe("name", read_port_name),
        protocol: at.maybe("protocol", read_protocol).unwrap_or_default(),
        service_port: at.maybe("servicePort", At::port).unwrap_or(0),
        network_names: at
            .maybe("networkNames", |all| all.list(network))
            .unwrap_or_default(),
    })
}

/// A file put into the sandbox.
pub(crate) fn read_artifact(at: &At) -> Option<Artifact> {
    at.object()?;
    let uri = at.required("uri", |uri| uri.text_between(1, 1024));
    Some(Artifact {
        extract: at.maybe("extract", At::boolean).unwrap_or(true),
        executable: at.maybe("executable", At::boolean).unwrap_or(false),
        cache: at.maybe("cache", At::boolean).unwrap_or(false),
        dest_path: at.maybe("destPath", |path| path.text_between(1, 1024)),
        uri: uri?,
    })
}
