//! The order that makes a container of what a framework asks for (Mesos: `Docker::RunOptions::create`).
//! Asks nobody; the Engine judges what is written here only in form.

use std::path::Path;

use serde_json::{Map, Value, json};
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::{InDocker, Launch};
use tepui_core::resources::Resources;
use tepui_protocol::v1;
use tepui_protocol::v1::container_info::docker_info::{Network, PortMapping};

use super::dns::ContainerDns;
use super::parameters;

/// The label that tells whose containers are: its value is the agent's work directory.
pub(super) const LABEL: &str = "tepui.agent.work_dir";

/// Length of the period in which a quota of CPU time is given, in microseconds.
pub(super) const CFS_PERIOD_US: f64 = 100_000.0;

/// The least quota that is given, in microseconds.
const MIN_QUOTA_US: f64 = 1_000.0;

/// Shares of a CPU, and the fewest that are given.
const SHARES_PER_CPU: f64 = 1024.0;
const MIN_SHARES: f64 = 2.0;

/// The least memory that a container is given, in MB.
const MIN_MEM_MB: f64 = 32.0;

/// What all containers of an agent have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    /// The agent's work directory.
    pub(super) work_dir: String,
    /// Where the sandbox is seen in containers.
    pub(super) sandbox_directory: String,
    /// Whether the CPUs that a container is given are also the most that it may use.
    pub(super) enable_cfs: bool,
    /// Who tells containers the addresses of names.
    pub(super) dns: ContainerDns,
    /// The machine's memory in bytes, if it is known.
    pub(super) mem_total_bytes: Option<u64>,
}

/// The name of a container.
pub(super) fn name(container: &str) -> String {
    format!("mesos-{container}")
}

/// The order to make a container, and its image.
///
/// # Errors
/// What of it cannot be done.
pub(super) fn order(launch: &Launch, common: &Common) -> Result<(String, Value), String> {
    let (Some(info), Some(inside)) = (launch.info.as_deref(), launch.docker.as_deref()) else {
        return Err("the container is not of type DOCKER".to_owned());
    };
    let docker = info.docker.as_ref();
    let docker = docker.ok_or("No docker info found in container info")?;
    let image = image(&docker.image)?;
    let mut order = json!({
        "Image": image,
        "Env": environment(launch, inside, common),
        "Labels": {LABEL: common.work_dir},
        "AttachStdout": true,
        "AttachStderr": true,
    });
    add_command(&mut order, &inside.command)?;
    set(
        &mut order,
        "/HostConfig/Privileged",
        json!(docker.privileged()),
    );
    for (place, value) in resources(&launch.resources, common) {
        set(&mut order, &format!("/HostConfig/{place}"), value);
    }
    let (binds, driver) = volumes(info, docker, &launch.directory, common)?;
    set(&mut order, "/HostConfig/Binds", json!(binds));
    if let Some(driver) = driver {
        set(&mut order, "/HostConfig/VolumeDriver", json!(driver));
    }
    if !launch.volumes.is_empty() {
        let mounts = launch.volumes.iter().map(|link| {
            let target = format!("{}/{}", common.sandbox_directory, link.name);
            let (source, read_only) = (&link.volume.path, link.read_only);
            json!({"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only})
        });
        set(&mut order, "/HostConfig/Mounts", mounts.collect());
    }
    let network = network(info, docker)?;
    set(&mut order, "/HostConfig/NetworkMode", json!(network));
    common.dns.apply(&mut order, docker, &network);
    if let Some(hostname) = &info.hostname {
        if network == "host" {
            return Err("Unable to set hostname with host network mode".to_owned());
        }
        set(&mut order, "/Hostname", json!(hostname));
    }
    add_ports(
        &mut order,
        &docker.port_mappings,
        &network,
        &launch.resources.requests,
    )?;
    for parameter in &docker.parameters {
        parameters::apply(&mut order, &parameter.key, &parameter.value)?;
    }
    parameters::finish(&mut order);
    Ok((image, order))
}

/// Sets a value deep within objects, which are made if need be.
pub(super) fn set(order: &mut Value, place: &str, value: Value) {
    let mut at = order;
    for name in place.trim_start_matches('/').split('/') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(object) = at else { return };
        at = object.entry(name).or_insert(Value::Null);
    }
    *at = value;
}

/// An image's name, with the tag that it means.
fn image(name: &str) -> Result<String, String> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    let goes_up = name.split('/').any(|part| part == ".." || part.is_empty());
    if name.is_empty() || goes_up || !name.chars().all(is_known) {
        return Err(format!("'{name}' cannot name an image"));
    }
    let last = name.rsplit('/').next().unwrap_or_default();
    Ok(match last.contains([':', '@']) {
        true => name.to_owned(),
        false => format!("{name}:latest"),
    })
}

fn environment(launch: &Launch, inside: &InDocker, common: &Common) -> Vec<String> {
    let mut all = inside.environment.clone();
    all.insert("MESOS_SANDBOX".into(), common.sandbox_directory.clone());
    all.insert(
        "MESOS_CONTAINER_NAME".into(),
        name(launch.container.as_str()),
    );
    all.into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// A shell takes the place of the image's entry point; all else is given to that.
fn add_command(order: &mut Value, command: &v1::CommandInfo) -> Result<(), String> {
    let value = command.value.as_ref();
    if command.shell() {
        let script = value.ok_or("Shell specified but no command value provided")?;
        set(order, "/Entrypoint", json!(["/bin/sh"]));
        set(order, "/Cmd", json!(["-c", script]));
        return Ok(());
    }
    let all: Vec<&String> = value.into_iter().chain(&command.arguments).collect();
    if !all.is_empty() {
        set(order, "/Cmd", json!(all));
    }
    Ok(())
}

/// Shares of the CPUs. Saturates: a float that is out of range becomes the nearest integer.
pub(super) fn shares(cpus: f64) -> u64 {
    (cpus * SHARES_PER_CPU).max(MIN_SHARES) as u64
}

/// The quota of CPU time in each period, in microseconds. Saturates.
pub(super) fn quota(cpus: f64) -> u64 {
    (cpus * CFS_PERIOD_US).max(MIN_QUOTA_US) as u64
}

/// A limit of memory in bytes. Saturates.
pub(super) fn bytes(megabytes: f64) -> i64 {
    (megabytes.max(MIN_MEM_MB) * 1_048_576.0) as i64
}

/// What a container may use, by the Engine's names.
fn resources(resources: &ContainerResources, common: &Common) -> Vec<(&'static str, Value)> {
    let amount = |kind: &str| resources.requests.scalar_milli(kind) as f64 / 1000.0;
    let limit = |kind: &str| resources.limits.get(kind).copied();
    let (cpus, mem) = (amount("cpus"), amount("mem"));
    let mut all = Vec::new();
    if cpus > 0.0 {
        all.push(("CpuShares", json!(shares(cpus))));
    }
    let most = match limit("cpus") {
        Some(limit) => Some(limit).filter(|limit| limit.is_finite()),
        None => Some(cpus).filter(|cpus| common.enable_cfs && *cpus > 0.0),
    };
    if let Some(most) = most {
        all.push(("CpuQuota", json!(quota(most))));
    }
    match limit("mem") {
        Some(limit) => {
            if limit.is_finite() {
                all.push(("Memory", json!(bytes(limit))));
            }
            if mem > 0.0 {
                all.push(("MemoryReservation", json!(bytes(mem))));
            }
            if let Some(adjustment) = oom_score_adj(mem, limit, common.mem_total_bytes) {
                all.push(("OomScoreAdj", json!(adjustment)));
            }
        }
        None if mem > 0.0 => all.push(("Memory", json!(bytes(mem)))),
        None => {}
    }
    all
}

/// How much sooner than others a container is ended when the machine has no memory left: what may
/// use more than it was given goes first, and of those what was given little. (Mesos:
/// `calculateOOMScoreAdj`.)
fn oom_score_adj(mem: f64, limit: f64, total_bytes: Option<u64>) -> Option<i64> {
    let total = total_bytes.filter(|total| *total > 0)? as f64;
    let may_use_more = mem > 0.0 && mem < limit;
    let share = mem * 1_048_576.0 / total;
    may_use_more.then(|| 1000 - (share * 1000.0).clamp(0.0, 1000.0) as i64)
}

type Volumes = (Vec<String>, Option<String>);

fn volumes(
    info: &v1::ContainerInfo,
    docker: &v1::container_info::DockerInfo,
    sandbox: &str,
    common: &Common,
) -> Result<Volumes, String> {
    let mut driver: Option<String> = docker.volume_driver.clone();
    let mut binds = Vec::new();
    for volume in &info.volumes {
        let inside = &volume.container_path;
        let is_absolute = inside.starts_with('/');
        let target = match is_absolute {
            true => inside.clone(),
            false => format!("{}/{inside}", common.sandbox_directory),
        };
        let mode = match volume.mode() {
            v1::volume::Mode::Rw => "rw",
            v1::volume::Mode::Ro => "ro",
        };
        let source = match (&volume.host_path, &volume.source) {
            (Some(path), _) if path.starts_with('/') => path.clone(),
            (Some(path), _) if !is_absolute => {
                return Err(format!(
                    "Both host_path '{path}' and container_path '{inside}' of a volume are relative"
                ));
            }
            (Some(path), _) if docker.volume_driver.is_some() => path.clone(),
            (Some(path), _) => {
                let is_plain = |part| matches!(part, std::path::Component::Normal(_));
                if !Path::new(path).components().all(is_plain) {
                    return Err(format!("host_path '{path}' of a volume leaves the sandbox"));
                }
                format!("{sandbox}/{path}")
            }
            (None, Some(source)) => {
                let named = source.docker_volume.as_ref();
                let named = named.ok_or(
                    "'ContainerInfo.volumes' with this type of 'source' are not supported by the \
                     Docker containerizer, expected DOCKER_VOLUME",
                )?;
                if let Some(own) = &named.driver {
                    if driver.as_ref().is_some_and(|other| other != own) {
                        return Err("Only one volume driver is supported".to_owned());
                    }
                    driver = Some(own.clone());
                }
                named.name.clone()
            }
            (None, None) => return Err("Host path or volume source is required".to_owned()),
        };
        binds.push(format!("{source}:{target}:{mode}"));
    }
    binds.push(format!("{sandbox}:{}", common.sandbox_directory));
    Ok((binds, driver))
}

/// The container's network, by the Engine's name.
fn network(
    info: &v1::ContainerInfo,
    docker: &v1::container_info::DockerInfo,
) -> Result<String, String> {
    let given = docker
        .parameters
        .iter()
        .find(|it| it.key == "net" || it.key == "network");
    if let Some(given) = given {
        return Ok(given.value.clone());
    }
    Ok(match docker.network() {
        Network::Bridge => "bridge".to_owned(),
        Network::None => "none".to_owned(),
        Network::User => match info.network_infos.as_slice() {
            [] => return Err("No network info found in container info".to_owned()),
            [one] => {
                let name = one.name.clone();
                name.ok_or("No network name found in network info")?
            }
            _ => return Err("Only a single network can be defined in Docker run".to_owned()),
        },
        Network::Host => "host".to_owned(),
    })
}

fn add_ports(
    order: &mut Value,
    mappings: &[PortMapping],
    network: &str,
    given: &Resources,
) -> Result<(), String> {
    if mappings.is_empty() {
        return Ok(());
    }
    if network == "host" || network == "none" {
        let why = "Port mappings are only supported for bridge and user-defined networks";
        return Err(why.to_owned());
    }
    let ranges = given.ranges("ports");
    if ranges.is_empty() {
        return Err("Port mappings require port resources".to_owned());
    }
    let (mut exposed, mut bound) = (Map::new(), Map::new());
    for mapping in mappings {
        let port = u64::from(mapping.host_port);
        if !ranges
            .iter()
            .any(|(begin, end)| (begin..=end).contains(&&port))
        {
            return Err(format!("Port [{port}] not included in resources"));
        }
        let protocols = mapping.protocol.as_deref().unwrap_or("tcp");
        let protocol = protocols.to_ascii_lowercase();
        let inside = format!("{}/{protocol}", mapping.container_port);
        exposed.insert(inside.clone(), json!({}));
        let all = bound.entry(inside).or_insert_with(|| json!([]));
        if let Some(all) = all.as_array_mut() {
            all.push(json!({"HostPort": port.to_string()}));
        }
    }
    set(order, "/ExposedPorts", Value::Object(exposed));
    set(order, "/HostConfig/PortBindings", Value::Object(bound));
    Ok(())
}
