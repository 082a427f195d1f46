//! Reads the master's flags about offers and their division.
//! Divides nothing; the allocator does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tepui_core::allocator::SorterKind;
use tepui_core::validation::roles;

use super::error::FlagError;
use super::kind;
use super::values::Values;

/// The flag `allocation_interval`.
pub(super) fn interval(values: &Values) -> Result<Duration, FlagError> {
    let interval = values.duration("allocation_interval")?;
    if interval.is_zero() {
        return Err(values.bad("allocation_interval", "a duration above 0"));
    }
    Ok(interval)
}

/// The flag `fair_sharing_excluded_resource_names`.
pub(super) fn excluded_names(values: &Values) -> Result<Vec<String>, FlagError> {
    let name = "fair_sharing_excluded_resource_names";
    let names = values.optional(name, kind::Kind::List.expected(), kind::parse_list)?;
    Ok(names.unwrap_or_default())
}

/// One of the flags `role_sorter` and `framework_sorter`.
pub(super) fn sorter(values: &Values, name: &'static str) -> Result<SorterKind, FlagError> {
    values.parse(name, "'drf' or 'random'", |text| match text {
        "drf" => Some(SorterKind::Drf),
        "random" => Some(SorterKind::Random),
        _ => None,
    })
}

/// The flag `allocator_agent_recovery_factor`: a share.
pub(super) fn recovery_factor(values: &Values) -> Result<f64, FlagError> {
    let name = "allocator_agent_recovery_factor";
    values.parse(name, "a number from 0 to 1", |text| {
        let factor = text.parse().ok()?;
        (0.0..=1.0).contains(&factor).then_some(factor)
    })
}

/// The flag `whitelist`: a path, also as `file:///path`; `*` means what leaving it out means.
pub(super) fn whitelist(values: &mut Values) -> Result<Option<PathBuf>, FlagError> {
    if values.text("whitelist") == Some("*") {
        values.note(
            "flag 'whitelist': '*' stands for all agents, which is the default; leave it out"
                .to_owned(),
        );
        return Ok(None);
    }
    values.optional("whitelist", "the path of a file", |text| {
        let path = text.strip_prefix("file://").unwrap_or(text);
        std::path::absolute(path).ok()
    })
}

/// The flag `weights`: `role=weight,role=weight`, weights above 0, roles as `--roles` allows them.
pub(super) fn weights(
    values: &Values,
    listed: Option<&BTreeSet<String>>,
) -> Result<BTreeMap<String, f64>, FlagError> {
    let read = |text: &str| {
        let mut weights = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (role, weight) = pair.split_once('=')?;
            let weight: f64 = weight.trim().parse().ok()?;
            let fresh = weights.insert(role.trim().to_owned(), weight).is_none();
            if !fresh || role.trim().is_empty() || weight <= 0.0 || !weight.is_finite() {
                return None;
            }
        }
        Some(weights)
    };
    let expected = "role=weight,role=weight with weights above 0 and no role twice";
    let weights = values.optional("weights", expected, read)?;
    let weights: BTreeMap<String, f64> = weights.unwrap_or_default();
    for role in weights.keys() {
        if let Err(why) = roles::validate(role) {
            return Err(values.bad("weights", &format!("names of roles ({why})")));
        }
        if !roles::is_whitelisted(listed, role) {
            return Err(values.bad("weights", &format!("roles of --roles only, not '{role}'")));
        }
    }
    Ok(weights)
}

/// The flag `min_allocatable_resources`: `name:amount;name:amount|name:amount`: alternatives, each a set of amounts.
pub(super) fn min_allocatable_resources(
    values: &Values,
) -> Result<Vec<BTreeMap<String, f64>>, FlagError> {
    let read = |text: &str| {
        let mut alternatives = Vec::new();
        for alternative in text.split('|').filter(|part| !part.trim().is_empty()) {
            let mut amounts = BTreeMap::new();
            for pair in alternative
                .split(';')
                .filter(|pair| !pair.trim().is_empty())
            {
                let (name, amount) = pair.split_once(':')?;
                let amount: f64 = amount.trim().parse().ok()?;
                if name.trim().is_empty() || amount < 0.0 || !amount.is_finite() {
                    return None;
                }
                *amounts.entry(name.trim().to_owned()).or_insert(0.0) += amount;
            }
            alternatives.push(amounts);
        }
        Some(alternatives)
    };
    let expected = "name:amount;name:amount, with '|' between alternatives";
    values.parse("min_allocatable_resources", expected, read)
}
