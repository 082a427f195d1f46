//! Volumes of a task's container: paths of the host, volumes of drivers, secrets.
//! Persistent volumes need reservations and are no part of a first launch.

use tepui_protocol::marathon::{App, Container, ContainerType, ExternalVolume, ReadMode, Volume};
use tepui_protocol::v1;
use v1::volume::source::{DockerVolume, Type};
use v1::volume::{Mode, Source};

use super::csi::csi_volume;
use super::secret;

/// What the options of Docker volume drivers begin with. Marathon.
const DVDI_PREFIX: &str = "dvdi/";

/// The provider of CSI volumes.
const CSI: &str = "csi";

/// The volumes of a container that do not need a reservation.
pub(super) fn volumes(app: &App, container: &Container) -> Vec<v1::Volume> {
    let volumes = container.volumes.iter();
    volumes
        .filter_map(|volume| volume_of(app, container.kind, volume))
        .collect()
}

fn volume_of(app: &App, kind: ContainerType, volume: &Volume) -> Option<v1::Volume> {
    let mounted = |mode: ReadMode| v1::Volume {
        container_path: volume.container_path().to_owned(),
        mode: mode_of(mode) as i32,
        ..Default::default()
    };
    match volume {
        Volume::Persistent { .. } => None,
        Volume::Host {
            host_path, mode, ..
        } => Some(v1::Volume {
            host_path: Some(host_path.clone()),
            ..mounted(*mode)
        }),
        Volume::Secret { secret: name, .. } => Some(v1::Volume {
            source: Some(Source {
                r#type: Some(Type::Secret as i32),
                secret: Some(secret(app, name)),
                ..Default::default()
            }),
            ..mounted(ReadMode::Ro)
        }),
        Volume::External { external, mode, .. } => Some(v1::Volume {
            source: Some(external_source(app, kind, external)?),
            ..mounted(*mode)
        }),
    }
}

fn external_source(app: &App, kind: ContainerType, external: &ExternalVolume) -> Option<Source> {
    if external.provider.as_deref() == Some(CSI) {
        return Some(Source {
            r#type: Some(Type::CsiVolume as i32),
            csi_volume: Some(csi_volume(app, external)?),
            ..Default::default()
        });
    }
    Some(Source {
        r#type: Some(Type::DockerVolume as i32),
        docker_volume: Some(docker_volume(kind, external)?),
        ..Default::default()
    })
}

/// A volume of a Docker volume driver. Its size is an option of the driver; Docker Engine, which
/// mounts only volumes that exist, is not told of it.
fn docker_volume(kind: ContainerType, external: &ExternalVolume) -> Option<DockerVolume> {
    let parameter = |key: &str, value: String| v1::Parameter {
        key: key.to_owned(),
        value,
    };
    let mut driver = None;
    let mut options = Vec::new();
    for (key, value) in &external.options {
        let key = key.strip_prefix(DVDI_PREFIX).unwrap_or(key);
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        match key {
            "driver" => driver = Some(text),
            _ => options.push(parameter(key, text)),
        }
    }
    if let (ContainerType::Mesos, Some(size)) = (kind, external.size) {
        options.push(parameter("size", size.to_string()));
    }
    Some(DockerVolume {
        driver,
        name: external.name.clone()?,
        driver_options: (!options.is_empty()).then_some(v1::Parameters { parameter: options }),
    })
}

fn mode_of(mode: ReadMode) -> Mode {
    match mode {
        ReadMode::Rw => Mode::Rw,
        ReadMode::Ro => Mode::Ro,
    }
}
