//! Rules for the weight of one role; the texts are Mesos's (`WeightsHandler::_updateWeights`).
//! Does not know other roles.

use std::collections::BTreeSet;

use tepui_protocol::v1::WeightInfo;

use super::{roles, text};
use crate::ids::Role;

/// Reads a role and its weight; space around the role is dropped.
///
/// `whitelist` is `--roles`; `*` is always in it.
///
/// # Errors
/// What is wrong, in Mesos's words. Mesos lets weights pass that are no numbers or infinite; here
/// they are refused like those that are not above zero.
pub fn validate(
    info: &WeightInfo,
    whitelist: Option<&BTreeSet<String>>,
) -> Result<(Role, f64), String> {
    const FAILED: &str = "Failed to validate update weights request JSON";
    let role = info.role().trim();
    roles::validate(role).map_err(|error| format!("{FAILED}: Invalid role '{role}': {error}"))?;
    if !roles::is_whitelisted(whitelist, role) {
        return Err(format!("{FAILED}: Unknown role '{role}'"));
    }
    if info.weight > 0.0 && info.weight.is_finite() {
        return Ok((Role::from(role), info.weight));
    }
    Err(format!(
        "{FAILED} for role '{role}': Invalid weight '{}': Weights must be positive",
        text::number(info.weight)
    ))
}
