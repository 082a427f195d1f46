//! Rules for a FrameworkInfo, for subscribing with it and for changing it later.
//! Who may register in which role is authorisation's, not decided here.

use std::collections::BTreeSet;
use std::sync::Arc;

use tepui_protocol::v1::framework_info::capability;
use tepui_protocol::v1::scheduler::OfferConstraints;
use tepui_protocol::v1::{FrameworkInfo, OfferFilters};

use super::constraints::{self, OfferConstraintsFilter};
use super::re2::Limits;
use super::{ids, roles, text};
use crate::ids::Role;

/// What the master's flags and memory say about subscriptions.
#[derive(Debug, Clone, Copy)]
pub struct SubscriptionOptions<'a> {
    /// `--roles`; `None` admits every role. `*` is always admitted.
    pub role_whitelist: Option<&'a BTreeSet<String>>,
    /// `--root_submissions`.
    pub root_submissions: bool,
    /// True when the framework's id is that of a completed framework.
    pub completed: bool,
    /// `--offer_constraints_re2_max_mem` and `--offer_constraints_re2_max_program_size`.
    pub constraint_limits: Limits,
}

/// What a valid subscription comes to.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The framework's roles, sorted.
    pub roles: Vec<Role>,
    /// Roles it wants no offers for, sorted.
    pub suppressed: Vec<Role>,
    /// Its offer constraints, ready to be applied; `None` when it sent none.
    pub constraints: Option<Arc<OfferConstraintsFilter>>,
}

/// Checks a SUBSCRIBE; the error is the message of the ERROR event that refuses it.
///
/// Mesos: `Master::validateFramework` and `createAllocatorFrameworkOptions`.
pub fn subscription(
    info: &FrameworkInfo,
    suppressed: &[String],
    constraints: Option<&OfferConstraints>,
    options: &SubscriptionOptions<'_>,
) -> Result<Subscription, String> {
    validate_for_master(info, options)?;
    validate_offers_wanted(info, suppressed, constraints, options.constraint_limits)
}

/// Adapts the info of a SUBSCRIBE with the id of a known framework to what must not change.
///
/// `user` and `checkpoint` silently stay as they are; another principal is refused with the
/// message of the ERROR event. Call it after [`subscription`].
/// Mesos: `preserveImmutableFields` and `validateUpdate`.
pub fn resubscription(old: &FrameworkInfo, new: &mut FrameworkInfo) -> Result<(), String> {
    new.user.clone_from(&old.user);
    if new.checkpoint() != old.checkpoint() {
        new.checkpoint = Some(old.checkpoint());
    }
    validate_change(old, new)
}

/// Checks an UPDATE_FRAMEWORK; the error is the body of the 400 that refuses it.
///
/// Mesos: `Master::updateFramework`.
pub fn update(
    old: &FrameworkInfo,
    new: &FrameworkInfo,
    suppressed: &[String],
    constraints: Option<&OfferConstraints>,
    options: &SubscriptionOptions<'_>,
) -> Result<Subscription, String> {
    validate_for_master(new, options)
        .map_err(|error| format!("Supplied FrameworkInfo is not valid: {error}"))?;
    validate_change(old, new)
        .map_err(|error| format!("FrameworkInfo update is not valid: {error}"))?;
    validate_offers_wanted(new, suppressed, constraints, options.constraint_limits)
        .map_err(|error| format!("'UpdateFramework' call is not valid: {error}"))
}

/// Checks what can be seen from the info alone.
///
/// Mesos: `validation::framework::validate`.
pub fn validate(info: &FrameworkInfo) -> Result<(), String> {
    validate_roles(info)?;
    match &info.id {
        Some(id) if !id.value.is_empty() => ids::validate(&id.value)?,
        _ => {}
    }
    info.offer_filters
        .values()
        .try_for_each(validate_offer_filters)?;
    validate_failover_timeout(info.failover_timeout())
}

/// The framework's roles, sorted and without duplicates: `roles` with MULTI_ROLE, else `role`.
pub fn roles_of(info: &FrameworkInfo) -> BTreeSet<&str> {
    match has_capability(info, capability::Type::MultiRole) {
        true => info.roles.iter().map(String::as_str).collect(),
        false => BTreeSet::from([info.role()]),
    }
}

/// True when the framework announces this capability.
pub fn has_capability(info: &FrameworkInfo, capability: capability::Type) -> bool {
    let wanted = Some(capability as i32);
    info.capabilities.iter().any(|c| c.r#type == wanted)
}

fn validate_for_master(
    info: &FrameworkInfo,
    options: &SubscriptionOptions<'_>,
) -> Result<(), String> {
    validate(info)?;
    if let Some(whitelist) = options.role_whitelist {
        let mut unlisted = roles_of(info);
        unlisted.retain(|role| *role != "*" && !whitelist.contains(*role));
        if !unlisted.is_empty() {
            return Err(format!(
                "Roles {} are not present in the master's --roles",
                text::set(&unlisted)
            ));
        }
    }
    if info.user == "root" && !options.root_submissions {
        return Err(
            "User 'root' is not allowed to run frameworks without --root_submissions set"
                .to_string(),
        );
    }
    match options.completed {
        true => Err("Framework has been removed".to_string()),
        false => Ok(()),
    }
}

/// Mesos: `createAllocatorFrameworkOptions`.
fn validate_offers_wanted(
    info: &FrameworkInfo,
    suppressed: &[String],
    constraints: Option<&OfferConstraints>,
    limits: Limits,
) -> Result<Subscription, String> {
    let roles = roles_of(info);
    let suppressed: BTreeSet<&str> = suppressed.iter().map(String::as_str).collect();
    let strangers: BTreeSet<&str> = suppressed.difference(&roles).copied().collect();
    if !strangers.is_empty() {
        return Err(format!(
            "Suppressed roles {} are not contained in the set of roles",
            text::set(&strangers)
        ));
    }
    let mut filter = None;
    if let Some(constraints) = constraints {
        let stranger = |role: &&String| !roles.contains(role.as_str());
        if let Some(role) = constraints.role_constraints.keys().find(stranger) {
            // The missing blank is Mesos's.
            return Err(format!(
                "Offer constraints specify `role_constraints` for a role '{role}'not contained in \
                 the set of roles"
            ));
        }
        let compiled = constraints::compile(constraints, limits)
            .map_err(|error| format!("Offer constraints are not valid: {error}"))?;
        filter = Some(Arc::new(compiled));
    }
    Ok(Subscription {
        roles: roles.into_iter().map(Arc::from).collect(),
        suppressed: suppressed.into_iter().map(Arc::from).collect(),
        constraints: filter,
    })
}

/// Mesos: `validation::framework::validateUpdate`. The old principal is not told to the other
/// side, which may be a stranger.
fn validate_change(old: &FrameworkInfo, new: &FrameworkInfo) -> Result<(), String> {
    if old.principal != new.principal {
        return Err("Changing framework's principal is not allowed.".to_string());
    }
    if old.user != new.user {
        return Err(format!(
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
            old.user, new.user
        ));
    }
    if old.checkpoint() != new.checkpoint() {
        return Err(format!(
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{}' to \
             '{}'",
            old.checkpoint(),
            new.checkpoint()
        ));
    }
    Ok(())
}

#[allow(deprecated)] // `role` is still what frameworks without MULTI_ROLE set.
fn validate_roles(info: &FrameworkInfo) -> Result<(), String> {
    if !has_capability(info, capability::Type::MultiRole) {
        if !info.roles.is_empty() {
            return Err(
                "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE \
                 capable"
                    .to_string(),
            );
        }
        return roles::validate(info.role())
            .map_err(|error| format!("'FrameworkInfo.role' is not a valid role: {error}"));
    }
    if info.role.is_some() {
        return Err(
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
                .to_string(),
        );
    }
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for role in &info.roles {
        if !seen.insert(role.as_str()) {
            duplicates.insert(role.as_str());
        }
    }
    if !duplicates.is_empty() {
        return Err(format!(
            "'FrameworkInfo.roles' contains duplicate items: {}",
            text::set(&duplicates)
        ));
    }
    info.roles.iter().try_for_each(|role| {
        roles::validate(role)
            .map_err(|error| format!("'FrameworkInfo.roles' contains invalid role: {error}"))
    })
}

/// Mesos: `common::validation::validateOfferFilters`.
fn validate_offer_filters(filters: &OfferFilters) -> Result<(), String> {
    let Some(minimum) = &filters.min_allocatable_resources else {
        return Ok(());
    };
    for quantities in &minimum.quantities {
        if quantities.quantities.is_empty() {
            return Err("Resource quantities must contain at least one quantity".to_string());
        }
        for (name, quantity) in &quantities.quantities {
            validate_quantity(quantity.value)
                .map_err(|error| format!("Invalid resource quantity for '{name}': {error}"))?;
        }
    }
    Ok(())
}

/// Mesos: `common::validation::validateInputScalarValue`.
pub(super) fn validate_quantity(value: f64) -> Result<(), &'static str> {
    use std::num::FpCategory;
    match value.classify() {
        FpCategory::Infinite => Err("Infinite values not supported"),
        FpCategory::Nan => Err("NaN not supported"),
        FpCategory::Subnormal => Err("Subnormal values not supported"),
        FpCategory::Normal if value < 0.0 => Err("Negative values not supported"),
        FpCategory::Zero | FpCategory::Normal => Ok(()),
    }
}

/// A timeout must fit nanoseconds in 64 bits. A negative one passes, as in Mesos; one that is no
/// number is refused, which Mesos forgets.
fn validate_failover_timeout(seconds: f64) -> Result<(), String> {
    let nanoseconds = seconds * 1e9;
    if (i64::MIN as f64..=i64::MAX as f64).contains(&nanoseconds) {
        return Ok(());
    }
    Err(format!(
        "The framework failover_timeout ({}) is invalid",
        text::number(seconds)
    ))
}
