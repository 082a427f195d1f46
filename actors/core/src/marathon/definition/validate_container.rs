//! Rules for the networks of an app, its container and the container's ports and volumes.
//! Looks at nothing else of the app but its secrets.

use tepui_protocol::marathon::{
    App, Container, ContainerType, DiskType, ExternalVolume, IpcMode, LinuxInfo, NetworkMode,
    Operator, PersistentVolume, ReadMode, Volume,
};

use super::constraints::read_constraint;
use super::rejection::Findings;
use super::settings::{Feature, Settings};
use super::validate::{check_feature, check_secret, distinct};

/// Notes what is wrong with the networks.
pub(crate) fn check_networks(app: &App, findings: &mut Findings) {
    let path = "/networks";
    let count = |mode| app.networks.iter().filter(|n| n.mode == mode).count();
    let (host, bridge) = (count(NetworkMode::Host), count(NetworkMode::Bridge));
    let fine = match (host, bridge, count(NetworkMode::Container)) {
        (1, 0, 0) | (0, 1, 0) => true,
        (0, 0, containers) => containers > 0,
        _ => false,
    };
    let text = "May specify a single host network, single bridge network, or else 1-to-n container networks";
    findings.check(fine, path, text);
    for network in &app.networks {
        let (named, labelled) = (network.name.is_some(), !network.labels.is_empty());
        let (fine, text) = match network.mode {
            NetworkMode::Host => (
                !named && !labelled,
                "Host networks may not have names or labels",
            ),
            NetworkMode::Bridge => (!named, "Bridge networks may not have names"),
            NetworkMode::Container => (
                named,
                "Network name must be specified when container network is selected.",
            ),
        };
        findings.check(fine, path, text);
    }
    let names = app
        .networks
        .iter()
        .filter_map(|network| network.name.as_deref());
    findings.check(distinct(names), path, "network names must be unique");
}

/// Notes what is wrong with the container.
pub(crate) fn check_container(app: &App, settings: &Settings, findings: &mut Findings) {
    let Some(container) = &app.container else {
        return;
    };
    match container.kind {
        ContainerType::Docker => check_docker(app, container, findings),
        ContainerType::Mesos => check_mesos(app, container, settings, findings),
    }
    check_mappings(app, container, findings);
    for (index, volume) in container.volumes.iter().enumerate() {
        let path = format!("/container/volumes({index})");
        check_volume(app, volume, &path, settings, findings);
    }
}

fn check_docker(app: &App, container: &Container, findings: &mut Findings) {
    let path = "/container/docker";
    findings.check(container.docker.is_some(), path, "not defined");
    let mode = |network: &&_| {
        matches!(
            network,
            tepui_protocol::marathon::Network {
                mode: NetworkMode::Container,
                ..
            }
        )
    };
    let text = "may only specify a single container network when using the Docker container engine";
    findings.check(app.networks.iter().filter(mode).count() <= 1, "", text);
    let pull = container
        .docker
        .as_ref()
        .and_then(|docker| docker.pull_config.as_ref());
    let text = "pullConfig is not supported with Docker containerizer";
    findings.check(pull.is_none(), "/container/docker/pullConfig", text);
    let text = "is not supported with Docker containerizer";
    findings.check(container.linux_info.is_none(), "/container/linuxInfo", text);
}

fn check_mesos(app: &App, container: &Container, settings: &Settings, findings: &mut Findings) {
    if let Some(info) = &container.linux_info {
        check_linux_info(info, findings);
    }
    let pull = container
        .docker
        .as_ref()
        .and_then(|docker| docker.pull_config.as_ref());
    if let Some(pull) = pull {
        let path = "/container/docker/pullConfig";
        check_feature(settings, Feature::Secrets, path, findings);
        check_secret(app, &pull.secret, &format!("{path}/secret"), findings);
    }
}

fn check_linux_info(info: &LinuxInfo, findings: &mut Findings) {
    if let Some(seccomp) = &info.seccomp {
        let one = seccomp.profile_name.is_some() != seccomp.unconfined;
        let text = "must have either a profileName or unconfined set to true";
        findings.check(one, "/container/linuxInfo/seccomp", text);
    }
    if let Some(ipc) = &info.ipc_info {
        let fine = ipc.mode == IpcMode::Private || ipc.shm_size.is_none();
        let text = "shmSize may only be set with mode PRIVATE";
        findings.check(fine, "/container/linuxInfo/ipcInfo", text);
    }
}

fn check_mappings(app: &App, container: &Container, findings: &mut Findings) {
    let mappings = container.port_mappings.as_deref().unwrap_or_default();
    let path = "/container/portMappings";
    let names = mappings
        .iter()
        .filter_map(|mapping| mapping.name.as_deref());
    findings.check(distinct(names), path, "Port names must be unique.");
    let known: Vec<&str> = app
        .networks
        .iter()
        .filter_map(|n| n.name.as_deref())
        .collect();
    for (index, mapping) in mappings.iter().enumerate() {
        for (at, name) in mapping.network_names.iter().enumerate() {
            let path = format!("{path}({index})/networkNames({at})");
            let text = format!("is not one of ({})", known.join(","));
            findings.check(known.contains(&name.as_str()), &path, text);
        }
    }
}

fn check_volume(
    app: &App,
    volume: &Volume,
    path: &str,
    settings: &Settings,
    findings: &mut Findings,
) {
    match volume {
        Volume::Persistent {
            container_path,
            persistent,
            mode,
        } => {
            let at = format!("{path}/containerPath");
            let slash = container_path.contains('/');
            findings.check(!slash, &at, "value must not contain \"/\"");
            let dots = container_path == "." || container_path == "..";
            findings.check(!dots, &at, "value must not be \".\" or \"..\"");
            let at = format!("{path}/mode");
            findings.check(*mode == ReadMode::Rw, &at, "persistent volumes must be RW");
            check_persistent(persistent, &format!("{path}/persistent"), findings);
        }
        Volume::External { external, .. } => {
            check_feature(settings, Feature::ExternalVolumes, path, findings);
            check_external(external, &format!("{path}/external"), findings);
        }
        Volume::Secret { secret, .. } => {
            let at = format!("{path}/secret");
            check_feature(settings, Feature::Secrets, &at, findings);
            check_secret(app, secret, &at, findings);
        }
        Volume::Host { .. } => {}
    }
}

fn check_persistent(volume: &PersistentVolume, path: &str, findings: &mut Findings) {
    if let Some(max) = volume.max_size {
        let at = format!("{path}/maxSize");
        let text = "may only be set for volumes of type mount";
        findings.check(volume.kind == DiskType::Mount, &at, text);
        findings.check(max > volume.size, &at, "must be above size");
    }
    let fine = volume.kind != DiskType::Root || volume.constraints.is_empty();
    let text = "may not be set for volumes of type root";
    findings.check(fine, &format!("{path}/constraints"), text);
    for (index, constraint) in volume.constraints.iter().enumerate() {
        let at = format!("{path}/constraints({index})");
        let like = matches!(constraint.operator, Operator::Like | Operator::Unlike);
        let text = "must be [\"path\", \"LIKE\" or \"UNLIKE\", a regular expression]";
        findings.check(like && constraint.field == "path", &at, text);
        if let Err(error) = read_constraint(&Vec::from(constraint.clone())) {
            findings.add(&at, error);
        }
    }
}

fn check_external(volume: &ExternalVolume, path: &str, findings: &mut Findings) {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    findings.check(given(&volume.name), &format!("{path}/name"), "not defined");
    let at = format!("{path}/provider");
    findings.check(given(&volume.provider), &at, "not defined");
    if volume.provider.as_deref() == Some("dvdi") {
        let driver = volume.options.contains_key("dvdi/driver");
        let text = "must hold the driver as dvdi/driver";
        findings.check(driver, &format!("{path}/options"), text);
    }
}
