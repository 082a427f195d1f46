//! Rules for commands, environments, secrets, volumes and containers.
//! Whether an agent can run them is the agent's to find out.

use tepui_protocol::v1::environment::{Variable, variable};
use tepui_protocol::v1::volume::{Source, source};
use tepui_protocol::v1::{CommandInfo, ContainerInfo, Environment, Secret, Volume, secret};

/// Checks a command; only its environment has rules.
///
/// Mesos: `common::validation::validateCommandInfo`.
pub fn validate_command(command: &CommandInfo) -> Result<(), String> {
    match &command.environment {
        Some(environment) => validate_environment(environment),
        None => Ok(()),
    }
}

/// Checks that each variable carries either a value or a secret, as its type says.
///
/// Mesos: `common::validation::validateEnvironment`.
pub fn validate_environment(environment: &Environment) -> Result<(), String> {
    environment.variables.iter().try_for_each(validate_variable)
}

/// Checks that a secret carries what its type says.
///
/// Mesos: `common::validation::validateSecret`.
pub fn validate_secret(secret: &Secret) -> Result<(), String> {
    match secret.r#type() {
        secret::Type::Reference => {
            let Some(reference) = &secret.reference else {
                return Err(
                    "Secret of type REFERENCE must have the 'reference' field set".to_string(),
                );
            };
            if secret.value.is_some() {
                return Err(format!(
                    "Secret '{}' of type REFERENCE must not have the 'value' field set",
                    reference.name
                ));
            }
        }
        secret::Type::Value => {
            if secret.value.is_none() {
                return Err("Secret of type VALUE must have the 'value' field set".to_string());
            }
            if secret.reference.is_some() {
                return Err(
                    "Secret of type VALUE must not have the 'reference' field set".to_string(),
                );
            }
        }
        secret::Type::Unknown => {}
    }
    Ok(())
}

/// Checks a container's volumes and, for DOCKER, its docker part.
///
/// Mesos: `common::validation::validateContainerInfo`.
pub fn validate_container(container: &ContainerInfo) -> Result<(), String> {
    for volume in &container.volumes {
        validate_volume(volume).map_err(|error| format!("Invalid volume: {error}"))?;
    }
    if !is_docker(container) {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".to_string());
    };
    // The docker containerizer names its containers itself, to find them again.
    if docker.parameters.iter().any(|p| p.key == "name") {
        return Err("Parameter in DockerInfo must not be 'name'".to_string());
    }
    Ok(())
}

/// Checks that a volume names exactly one place it comes from.
///
/// Mesos: `common::validation::validateVolume`.
pub fn validate_volume(volume: &Volume) -> Result<(), String> {
    let set = [
        volume.host_path.is_some(),
        volume.image.is_some(),
        volume.source.is_some(),
    ];
    if set.into_iter().filter(|set| *set).count() != 1 {
        return Err(
            "Only one of them should be set: 'host_path', 'image' and 'source'".to_string(),
        );
    }
    match &volume.source {
        Some(source) => validate_source(source),
        None => Ok(()),
    }
}

/// True for a container of type DOCKER.
pub fn is_docker(container: &ContainerInfo) -> bool {
    container.r#type() == tepui_protocol::v1::container_info::Type::Docker
}

/// What a container says of sharing its parent's cgroups; `None` when it says nothing.
pub fn share_cgroups(container: Option<&ContainerInfo>) -> Option<bool> {
    container?.linux_info.as_ref()?.share_cgroups
}

fn validate_variable(variable: &Variable) -> Result<(), String> {
    let name = &variable.name;
    match variable.r#type() {
        variable::Type::Secret => validate_secret_variable(variable),
        variable::Type::Value => {
            if variable.value.is_none() {
                return Err(format!(
                    "Environment variable '{name}' of type 'VALUE' must have a value set"
                ));
            }
            if variable.secret.is_some() {
                return Err(format!(
                    "Environment variable '{name}' of type 'VALUE' must not have a secret set"
                ));
            }
            Ok(())
        }
        variable::Type::Unknown => {
            Err("Environment variable of type 'UNKNOWN' is not allowed".to_string())
        }
    }
}

fn validate_secret_variable(variable: &Variable) -> Result<(), String> {
    let name = &variable.name;
    let Some(secret) = &variable.secret else {
        return Err(format!(
            "Environment variable '{name}' of type 'SECRET' must have a secret set"
        ));
    };
    if variable.value.is_some() {
        return Err(format!(
            "Environment variable '{name}' of type 'SECRET' must not have a value set"
        ));
    }
    validate_secret(secret).map_err(|error| {
        format!("Environment variable '{name}' specifies an invalid secret: {error}")
    })?;
    if let Some(value) = &secret.value
        && value.data.contains(&0)
    {
        return Err(format!(
            "Environment variable '{name}' specifies a secret containing null bytes, which is not \
             allowed in the environment"
        ));
    }
    Ok(())
}

fn validate_source(source: &Source) -> Result<(), String> {
    let (name, field, set) = match source.r#type() {
        source::Type::DockerVolume => (
            "DOCKER_VOLUME",
            "docker_volume",
            source.docker_volume.is_some(),
        ),
        source::Type::HostPath => ("HOST_PATH", "host_path", source.host_path.is_some()),
        source::Type::SandboxPath => (
            "SANDBOX_PATH",
            "sandbox_path",
            source.sandbox_path.is_some(),
        ),
        source::Type::Secret => ("SECRET", "secret", source.secret.is_some()),
        source::Type::CsiVolume => {
            let csi = source.csi_volume.as_ref();
            let provisioned = csi.is_none_or(|csi| csi.static_provisioning.is_some());
            match provisioned {
                true => ("CSI", "csi_volume", csi.is_some()),
                false => ("CSI", "csi_volume.static_provisioning", false),
            }
        }
        source::Type::Unknown => return Err("'source.type' is unknown".to_string()),
    };
    match set {
        true => Ok(()),
        false => Err(format!("'source.{field}' is not set for {name} volume")),
    }
}
