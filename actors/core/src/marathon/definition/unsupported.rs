//! Refuses what Tepui can read, check and show but not launch yet.
//! Nothing of it is ever ignored in silence.

use tepui_protocol::marathon::{App, EnvValue, Volume};

use super::rejection::{Findings, Rejection};

/// Whether reservations and persistent volumes can be made for apps.
const LAUNCHES_RESIDENT_APPS: bool = false;

/// Whether volumes of drivers can be mounted.
const LAUNCHES_EXTERNAL_VOLUMES: bool = false;

/// Whether secrets can be resolved.
const LAUNCHES_SECRETS: bool = false;

/// Refuses apps that need what cannot be launched yet, with 422 and the place of each such member.
pub fn refuse_unsupported(app: &App) -> Result<(), Rejection> {
    let mut findings = Findings::default();
    let text = |what: &str| format!("{what} cannot be launched by this version of Tepui yet");
    let volumes = app
        .container
        .iter()
        .flat_map(|container| &container.volumes);
    for (index, volume) in volumes.enumerate() {
        let (supported, what) = match volume {
            Volume::Persistent { .. } => (LAUNCHES_RESIDENT_APPS, "persistent volumes"),
            Volume::External { .. } => (LAUNCHES_EXTERNAL_VOLUMES, "external volumes"),
            Volume::Secret { .. } => (LAUNCHES_SECRETS, "secrets"),
            Volume::Host { .. } => (true, "host volumes"),
        };
        findings.check(
            supported,
            &format!("/container/volumes({index})"),
            text(what),
        );
    }
    let docker = app
        .container
        .as_ref()
        .and_then(|container| container.docker.as_ref());
    let pull = docker.is_some_and(|docker| docker.pull_config.is_some());
    let path = "/container/docker/pullConfig";
    findings.check(LAUNCHES_SECRETS || !pull, path, text("secrets"));
    findings.check(
        LAUNCHES_SECRETS || app.secrets.is_empty(),
        "/secrets",
        text("secrets"),
    );
    let in_env = app
        .env
        .values()
        .any(|value| matches!(value, EnvValue::Secret { .. }));
    findings.check(LAUNCHES_SECRETS || !in_env, "/env", text("secrets"));
    findings.into_result()
}
