//! From the body of a request to the definition of an app that is stored: read, rewritten, checked,
//! defaults filled in. What concerns the tree of groups is decided in the room of groups.

mod body;
mod constraints;
mod convert;
mod names;
mod old;
mod read_app;
mod read_checks;
mod read_container;
mod reader;
mod rejection;
mod rewrite;
mod settings;
#[cfg(test)]
mod tests;
mod unsupported;
mod update;
mod validate;
mod validate_checks;
mod validate_container;

pub use rejection::{Detail, Details, Identified, Rejection};
pub use settings::{AcceptedRoles, Feature, Settings};
pub use unsupported::refuse_unsupported;
pub use validate::MAX_SEGMENTS;

pub(crate) use body::AppBody;
pub(crate) use read_app::{read_app, read_path, read_timestamp, read_update};
pub(crate) use reader::{At, read_body};
pub(crate) use rejection::Findings;
pub(crate) use validate::check_id;

use serde_json::Value;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use convert::PortIndices;

/// Which role an app gets and which ones it may have, by the rules of its top-level group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Used when the body names none.
    pub default: String,
    /// Never empty; in the order Marathon names them.
    pub allowed: Vec<String>,
}

/// Parses the bytes of a body: 400 when there is none or it is no JSON.
pub fn parse_body(bytes: &[u8]) -> Result<Value, Rejection> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Rejection::empty_body());
    }
    serde_json::from_slice(bytes).map_err(|error| Rejection::syntax(error.to_string()))
}

/// The version an update of one app wants to go back to; none when it names none. The caller looks
/// that version up before it applies the update.
pub fn version_wanted(body: &Value) -> Option<Timestamp> {
    body.get("version")?.as_str()?.parse().ok()
}

/// The definition a complete body stands for. Old forms are checked and rewritten first.
pub(crate) fn define(
    body: AppBody,
    id: PathId,
    (roles, settings): (&Roles, &Settings),
    version: Timestamp,
) -> Result<App, Rejection> {
    let body = without_old_members(body, settings)?;
    let listed = |body: &AppBody| {
        body.port_definitions
            .as_ref()
            .is_some_and(|all| !all.is_empty())
    };
    let indices = PortIndices::Fill {
        definitions_listed: listed(&body),
    };
    finish(body, id, indices, (roles, settings), version)
}

/// The definition that `update` makes of a stored app.
pub(crate) fn change(
    stored: &App,
    mut update: AppBody,
    (roles, settings): (&Roles, &Settings),
    version: Timestamp,
) -> Result<App, Rejection> {
    let only_id = AppBody {
        id: update.id.clone(),
        version: update.version,
        ..AppBody::default()
    };
    if update.version.is_some() && update != only_id {
        let text = "The 'version' field may only be combined with the 'id' field.";
        return Err(Rejection::one("", text));
    }
    // The old network members mean the container that is there, not a new one.
    if update.ip_address.is_some() && update.container.is_none() {
        update.container = stored.container.as_ref().map(update::container_body);
    }
    let update = without_old_members(update, settings)?;
    let indices = match &update.health_checks {
        Some(_) => PortIndices::Fill {
            definitions_listed: update
                .port_definitions
                .as_ref()
                .is_some_and(|all| !all.is_empty()),
        },
        None => PortIndices::Keep,
    };
    let body = update::merge(stored, update);
    finish(body, stored.id.clone(), indices, (roles, settings), version)
}

/// Whether a stored app still keeps to the rules, as when going back to an old version.
pub(crate) fn check(app: &App, roles: &Roles, settings: &Settings) -> Result<(), Rejection> {
    let mut findings = Findings::default();
    validate::validate(app, roles, settings, &mut findings);
    findings.into_result()
}

fn without_old_members(body: AppBody, settings: &Settings) -> Result<AppBody, Rejection> {
    let mut findings = Findings::default();
    old::check_old_members(&body, &mut findings);
    findings.into_result()?;
    rewrite::rewrite(body, settings)
}

fn finish(
    body: AppBody,
    id: PathId,
    indices: PortIndices,
    (roles, settings): (&Roles, &Settings),
    version: Timestamp,
) -> Result<App, Rejection> {
    let mut findings = Findings::default();
    let app = convert::convert(body, id, indices, (roles, settings), version, &mut findings);
    validate::validate(&app, roles, settings, &mut findings);
    findings.into_result()?;
    Ok(app)
}
