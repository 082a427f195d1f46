//! Rules for the quota of one role; the texts are Mesos's (`quota::validate`).
//! Does not know the cluster or other roles.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::v1::Resource;
use tepui_protocol::v1::quota::QuotaConfig;
use tepui_protocol::v1::value::{Scalar, Type};

use super::{framework, roles};
use crate::quota::Quota;
use crate::resources::{format_milli, to_milli};

/// Largest amount of memory or disk, in megabytes.
const EXABYTE_MB: f64 = 1_099_511_627_776.0;
/// Largest amount of anything else.
const TRILLION: f64 = 1e12;

/// Reads a role's quota.
///
/// # Errors
/// What is wrong with it, in Mesos's words.
pub fn validate(config: &QuotaConfig) -> Result<Quota, String> {
    roles::validate(&config.role)
        .map_err(|error| format!("Invalid 'QuotaConfig.role': {error}"))?;
    not_too_large(&config.guarantees)
        .map_err(|error| format!("Invalid 'QuotaConfig.guarantees': {error}"))?;
    not_too_large(&config.limits)
        .map_err(|error| format!("Invalid 'QuotaConfig.limits': {error}"))?;
    amounts("guarantee", &config.guarantees)?;
    amounts("limit", &config.limits)?;
    let quota = Quota::from(config);
    if !quota.allows(&quota.guarantees) {
        return Err(format!(
            "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
            map_text(&config.guarantees),
            map_text(&config.limits)
        ));
    }
    Ok(quota)
}

/// Checks a role and what it is to be guaranteed, in the form in which quota was set at first;
/// the resources are sound, and reservations are written as stacks.
///
/// Mesos: `quota::validation::quotaInfo`.
///
/// # Errors
/// What is wrong, in Mesos's words.
pub fn validate_info(role: &str, guarantee: &[Resource]) -> Result<(), String> {
    roles::validate(role).map_err(|error| format!("QuotaInfo with invalid role: {error}"))?;
    if guarantee.is_empty() {
        return Err("QuotaInfo with empty 'guarantee'".to_owned());
    }
    let mut names = BTreeSet::new();
    for resource in guarantee {
        if !resource.reservations.is_empty() {
            return Err("QuotaInfo must not contain any ReservationInfo".to_owned());
        }
        if resource.disk.is_some() {
            return Err("QuotaInfo must not contain DiskInfo".to_owned());
        }
        if resource.revocable.is_some() {
            return Err("QuotaInfo must not contain RevocableInfo".to_owned());
        }
        if resource.r#type() != Type::Scalar {
            return Err("QuotaInfo must not include non-scalar resources".to_owned());
        }
        if !names.insert(&resource.name) {
            let name = &resource.name;
            return Err(format!(
                "QuotaInfo contains duplicate resource name '{name}'"
            ));
        }
    }
    Ok(())
}

fn not_too_large(amounts: &BTreeMap<String, Scalar>) -> Result<(), String> {
    for (name, amount) in amounts {
        let (limit, words) = match name.as_str() {
            "mem" | "disk" => (EXABYTE_MB, "1 exabyte"),
            _ => (TRILLION, "1 trillion"),
        };
        if amount.value > limit {
            return Err(format!(
                "{{'{name}': {}}} is invalid: values greater than {words} ({limit:.0}) are not \
                 supported",
                text(amount)
            ));
        }
    }
    Ok(())
}

fn amounts(kind: &str, amounts: &BTreeMap<String, Scalar>) -> Result<(), String> {
    for (name, amount) in amounts {
        framework::validate_quantity(amount.value).map_err(|error| {
            let amount = text(amount);
            format!("Invalid {kind} configuration {{'{name}': {amount}}}: {error}")
        })?;
    }
    Ok(())
}

fn text(amount: &Scalar) -> String {
    format_milli(to_milli(amount.value))
}

fn map_text(amounts: &BTreeMap<String, Scalar>) -> String {
    let entries = amounts.iter();
    let entries: Vec<String> = entries
        .map(|(name, amount)| format!("{name}: {}", text(amount)))
        .collect();
    format!("{{ {} }}", entries.join(", "))
}
