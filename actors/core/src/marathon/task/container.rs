//! What a task runs in: a container of Docker Engine or of Mesos.
//! Networks and volumes have files of their own.

use tepui_protocol::marathon::{App, Container, ContainerType, Docker, IpcMode, LinuxInfo};
use tepui_protocol::v1;
use v1::container_info::{DockerInfo, MesosInfo, Type};

use super::networks::{docker_network, docker_port_mappings, network_infos};
use super::volumes::volumes;
use super::{Launch, secret};

/// The container of a task; absent for a plain command without a terminal.
pub(super) fn container_info(launch: &Launch<'_>) -> Option<v1::ContainerInfo> {
    let app = launch.app;
    let has_tty = app.tty == Some(true);
    let Some(container) = &app.container else {
        // A terminal needs a container to belong to.
        return has_tty.then(|| v1::ContainerInfo {
            r#type: Type::Mesos as i32,
            mesos: Some(MesosInfo::default()),
            tty_info: Some(v1::TtyInfo::default()),
            ..Default::default()
        });
    };
    let mut info = v1::ContainerInfo {
        volumes: volumes(app, container),
        network_infos: network_infos(launch, container.kind),
        tty_info: has_tty.then(v1::TtyInfo::default),
        ..Default::default()
    };
    match container.kind {
        ContainerType::Docker => {
            info.r#type = Type::Docker as i32;
            info.docker = docker_info(launch, container);
        }
        ContainerType::Mesos => {
            info.r#type = Type::Mesos as i32;
            info.mesos = Some(MesosInfo {
                image: container.docker.as_ref().map(|docker| image(app, docker)),
            });
            info.linux_info = container.linux_info.as_ref().map(linux_info);
        }
    }
    Some(info)
}

fn docker_info(launch: &Launch<'_>, container: &Container) -> Option<DockerInfo> {
    let docker = container.docker.as_ref()?;
    let parameter = |key: &str, value: &str| v1::Parameter {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let own = docker.parameters.iter();
    let own = own.map(|own| parameter(&own.key, &own.value));
    let label = format!("MESOS_TASK_ID={}", launch.task_id);
    Some(DockerInfo {
        image: docker.image.clone(),
        network: Some(docker_network(launch.app) as i32),
        port_mappings: docker_port_mappings(launch),
        privileged: Some(docker.privileged),
        parameters: own.chain([parameter("label", &label)]).collect(),
        force_pull_image: Some(docker.force_pull_image),
        ..Default::default()
    })
}

fn image(app: &App, docker: &Docker) -> v1::Image {
    let config = docker.pull_config.as_ref();
    v1::Image {
        r#type: v1::image::Type::Docker as i32,
        docker: Some(v1::image::Docker {
            name: docker.image.clone(),
            config: config.map(|config| secret(app, &config.secret)),
            ..Default::default()
        }),
        cached: Some(!docker.force_pull_image),
        ..Default::default()
    }
}

fn linux_info(info: &LinuxInfo) -> v1::LinuxInfo {
    let ipc = info.ipc_info.as_ref();
    let mode = |mode: IpcMode| match mode {
        IpcMode::Private => v1::linux_info::IpcMode::Private,
        IpcMode::ShareParent => v1::linux_info::IpcMode::ShareParent,
    };
    v1::LinuxInfo {
        seccomp: info.seccomp.as_ref().map(|seccomp| v1::SeccompInfo {
            profile_name: seccomp.profile_name.clone(),
            unconfined: Some(seccomp.unconfined),
        }),
        ipc_mode: ipc.map(|ipc| mode(ipc.mode) as i32),
        shm_size: ipc
            .and_then(|ipc| ipc.shm_size)
            .and_then(|size| u32::try_from(size).ok()),
        ..Default::default()
    }
}
