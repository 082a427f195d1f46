//! Environments, secrets, volumes and containers.

use tepui_protocol::v1;
use v1::environment::variable::Type as VariableType;
use v1::secret::Type as SecretType;
use v1::volume::source::Type as SourceType;

use super::fixtures::mesos_container;
use crate::validation::container::{
    validate_container, validate_environment, validate_secret, validate_volume,
};

fn secret(kind: SecretType, reference: bool, value: Option<&[u8]>) -> v1::Secret {
    v1::Secret {
        r#type: Some(kind as i32),
        reference: reference.then(|| v1::secret::Reference {
            name: "s".to_string(),
            key: None,
        }),
        value: value.map(|data| v1::secret::Value {
            data: data.to_vec(),
        }),
    }
}

#[test]
fn secrets_carry_what_their_type_says() {
    use SecretType::{Reference, Unknown, Value};
    let cases = [
        (Reference, true, false, Ok(())),
        (
            Reference,
            false,
            false,
            Err("Secret of type REFERENCE must have the 'reference' field set"),
        ),
        (
            Reference,
            true,
            true,
            Err("Secret 's' of type REFERENCE must not have the 'value' field set"),
        ),
        (Value, false, true, Ok(())),
        (
            Value,
            false,
            false,
            Err("Secret of type VALUE must have the 'value' field set"),
        ),
        (
            Value,
            true,
            true,
            Err("Secret of type VALUE must not have the 'reference' field set"),
        ),
        (Unknown, false, false, Ok(())),
    ];
    for (kind, reference, value, wanted) in cases {
        let secret = secret(kind, reference, value.then_some(b"x".as_slice()));
        assert_eq!(validate_secret(&secret), wanted.map_err(str::to_string));
    }
}

#[test]
fn variables_carry_a_value_or_a_secret() {
    let good = || Some(secret(SecretType::Value, false, Some(b"x")));
    let bad = || Some(secret(SecretType::Value, false, None));
    let null = || Some(secret(SecretType::Value, false, Some(b"a\0b")));
    let cases = [
        (None, Some("v"), None, Ok(())),
        (Some(VariableType::Value), Some(""), None, Ok(())),
        (
            None,
            None,
            None,
            Err("Environment variable 'A' of type 'VALUE' must have a value set"),
        ),
        (
            None,
            Some("v"),
            good(),
            Err("Environment variable 'A' of type 'VALUE' must not have a secret set"),
        ),
        (Some(VariableType::Secret), None, good(), Ok(())),
        (
            Some(VariableType::Secret),
            None,
            None,
            Err("Environment variable 'A' of type 'SECRET' must have a secret set"),
        ),
        (
            Some(VariableType::Secret),
            Some("v"),
            good(),
            Err("Environment variable 'A' of type 'SECRET' must not have a value set"),
        ),
        (
            Some(VariableType::Secret),
            None,
            bad(),
            Err(
                "Environment variable 'A' specifies an invalid secret: Secret of type VALUE must \
                 have the 'value' field set",
            ),
        ),
        (
            Some(VariableType::Secret),
            None,
            null(),
            Err(
                "Environment variable 'A' specifies a secret containing null bytes, which is not \
                 allowed in the environment",
            ),
        ),
        (
            Some(VariableType::Unknown),
            Some("v"),
            None,
            Err("Environment variable of type 'UNKNOWN' is not allowed"),
        ),
    ];
    for (kind, value, secret, wanted) in cases {
        let variable = v1::environment::Variable {
            name: "A".to_string(),
            value: value.map(str::to_string),
            r#type: kind.map(|kind| kind as i32),
            secret,
        };
        let environment = v1::Environment {
            variables: vec![variable],
        };
        let result = validate_environment(&environment);
        assert_eq!(result, wanted.map_err(str::to_string));
    }
}

#[test]
fn a_volume_comes_from_one_place() {
    let text = "Only one of them should be set: 'host_path', 'image' and 'source'";
    for bits in 0..8_u8 {
        let volume = v1::Volume {
            host_path: (bits & 1 != 0).then(|| "/x".to_string()),
            image: (bits & 2 != 0).then(Default::default),
            source: (bits & 4 != 0).then(|| v1::volume::Source {
                r#type: Some(SourceType::HostPath as i32),
                host_path: Some(Default::default()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let wanted = match bits.count_ones() {
            1 => Ok(()),
            _ => Err(text.to_string()),
        };
        assert_eq!(validate_volume(&volume), wanted, "{bits}");
    }
}

#[test]
fn a_volumes_source_matches_its_type() {
    let cases = [
        (
            SourceType::DockerVolume,
            "'source.docker_volume' is not set for DOCKER_VOLUME volume",
        ),
        (
            SourceType::HostPath,
            "'source.host_path' is not set for HOST_PATH volume",
        ),
        (
            SourceType::SandboxPath,
            "'source.sandbox_path' is not set for SANDBOX_PATH volume",
        ),
        (
            SourceType::Secret,
            "'source.secret' is not set for SECRET volume",
        ),
        (
            SourceType::CsiVolume,
            "'source.csi_volume' is not set for CSI volume",
        ),
        (SourceType::Unknown, "'source.type' is unknown"),
    ];
    for (kind, text) in cases {
        let mut volume = v1::Volume {
            source: Some(v1::volume::Source {
                r#type: Some(kind as i32),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(validate_volume(&volume), Err(text.to_string()));
        volume.source = Some(v1::volume::Source {
            r#type: Some(kind as i32),
            docker_volume: Some(Default::default()),
            sandbox_path: Some(Default::default()),
            secret: Some(Default::default()),
            host_path: Some(Default::default()),
            csi_volume: Some(v1::volume::source::CsiVolume {
                static_provisioning: Some(Default::default()),
                ..Default::default()
            }),
        });
        assert_eq!(
            validate_volume(&volume).is_ok(),
            kind != SourceType::Unknown
        );
    }
    let untyped = v1::Volume {
        source: Some(Default::default()),
        ..Default::default()
    };
    assert_eq!(
        validate_volume(&untyped),
        Err("'source.type' is unknown".to_string())
    );
    let unprovisioned = v1::Volume {
        source: Some(v1::volume::Source {
            r#type: Some(SourceType::CsiVolume as i32),
            csi_volume: Some(Default::default()),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(
        validate_volume(&unprovisioned),
        Err("'source.csi_volume.static_provisioning' is not set for CSI volume".to_string())
    );
}

#[test]
fn containers_have_good_volumes_and_docker_its_part() {
    assert_eq!(validate_container(&mesos_container()), Ok(()));
    let mut container = mesos_container();
    container.volumes.push(v1::Volume::default());
    assert_eq!(
        validate_container(&container),
        Err(
            "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"
                .to_string()
        )
    );
    let mut container = v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        ..Default::default()
    };
    assert_eq!(
        validate_container(&container),
        Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".to_string())
    );
    let parameter = |key: &str| v1::Parameter {
        key: key.to_string(),
        value: "v".to_string(),
    };
    container.docker = Some(v1::container_info::DockerInfo {
        parameters: vec![parameter("hostname")],
        ..Default::default()
    });
    assert_eq!(validate_container(&container), Ok(()));
    container
        .docker
        .as_mut()
        .unwrap()
        .parameters
        .push(parameter("name"));
    assert_eq!(
        validate_container(&container),
        Err("Parameter in DockerInfo must not be 'name'".to_string())
    );
}
