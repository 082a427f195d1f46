//! The rules of RESERVE and UNRESERVE.
//! Does not know whether the resources are there, or who is authorised.

use tepui_protocol::json;
use tepui_protocol::v1;
use v1::FrameworkInfo;
use v1::offer::operation::{Reserve, Unreserve};

use super::is_capable;
use crate::resources::{Entry, Format, Resources};
use crate::validation::framework::roles_of;
use crate::validation::{resource, text};

/// Checks a RESERVE, of the framework with an ACCEPT, or of an operator without one.
///
/// `principal` is the framework's or the operator's; without one, reservations may name any. A
/// framework's resources must carry their allocation role (`normalise` sees to it), those of an
/// operator must not.
///
/// # Errors
/// The text of Mesos's `operation::validate(Reserve)`.
pub fn validate_reserve(
    reserve: &Reserve,
    principal: Option<&str>,
    agent_capabilities: &[String],
    framework: Option<&FrameworkInfo>,
) -> Result<(), String> {
    resource::read(&reserve.resources).map_err(|error| format!("Invalid resources: {error}"))?;
    resource::read(&reserve.source).map_err(|error| format!("Invalid source: {error}"))?;
    let reserved = entries(&reserve.resources)?;
    if !reserve.source.is_empty() {
        validate_source(entries(&reserve.source)?, &reserved)?;
    }
    resource::validate_single_provider(&reserve.resources)
        .map_err(|error| format!("Invalid resources: {error}"))?;
    for entry in &reserved {
        validate_agent_can(entry, agent_capabilities)?;
        if let Some(principal) = principal {
            validate_principal(entry, principal)?;
        }
        match framework {
            Some(framework) => validate_role(entry, framework)?,
            None if entry.allocation_role().is_some() => {
                return Err(
                    "A reserve operation was attempted with an allocated resource, but the \
                     operator API only allows reservations to be made to unallocated resources"
                        .to_string(),
                );
            }
            None => {}
        }
    }
    if framework.is_some() {
        resource::validate_single_allocation(&reserve.resources)
            .map_err(|error| format!("Invalid reservation resources: {error}"))?;
    }
    Ok(())
}

/// Checks an UNRESERVE, of a framework or an operator.
///
/// Whoever may unreserve need not be who reserved: that is for authorisation to say.
///
/// # Errors
/// The text of Mesos's `operation::validate(Unreserve)`.
pub fn validate_unreserve(unreserve: &Unreserve) -> Result<(), String> {
    resource::read(&unreserve.resources).map_err(|error| format!("Invalid resources: {error}"))?;
    resource::validate_single_provider(&unreserve.resources)
        .map_err(|error| format!("Invalid resources: {error}"))?;
    for entry in entries(&unreserve.resources)? {
        if !entry.is_dynamically_reserved() {
            return Err(format!("Resource {entry} is not dynamically reserved"));
        }
        if entry.is_persistent_volume() {
            return Err(format!(
                "A dynamically reserved persistent volume {entry} cannot be unreserved directly. \
                 Please destroy the persistent volume first then unreserve the resource"
            ));
        }
    }
    Ok(())
}

fn entries(resources: &[v1::Resource]) -> Result<Vec<Entry>, String> {
    let entries = resources.iter().map(Entry::from_v1);
    entries.collect::<Result<_, _>>().map_err(|error| error.0)
}

/// An operator may change reservations: from `source`'s to those of the operation's resources.
fn validate_source(source: Vec<Entry>, target: &[Entry]) -> Result<(), String> {
    validate_same_stack(&source).map_err(|error| format!("Invalid source: {error}"))?;
    validate_same_stack(target).map_err(|error| format!("Invalid resources: {error}"))?;
    let source: Resources = source.iter().map(Entry::to_unreserved).collect();
    let target: Resources = target.iter().map(Entry::to_unreserved).collect();
    if source != target {
        return Err(format!(
            "Source and target resources should refer to identical resource quantities: {source} \
             vs. {target}"
        ));
    }
    Ok(())
}

fn validate_same_stack(entries: &[Entry]) -> Result<(), String> {
    let Some(first) = entries.first() else {
        return Err("Resource cannot be empty".to_string());
    };
    let same = |entry: &Entry| entry.reservations() == first.reservations();
    if entries.iter().all(same) {
        return Ok(());
    }
    // Mesos prints a list that is not yet a bag as JSON.
    let list: Vec<String> = entries
        .iter()
        .map(|entry| {
            let json = json::to_vec(&entry.to_v1(Format::PostRefinement));
            String::from_utf8_lossy(&json).into_owned()
        })
        .collect();
    Err(format!(
        "Mixed reservations are not supported[{}]",
        list.join(",")
    ))
}

fn validate_agent_can(entry: &Entry, agent_capabilities: &[String]) -> Result<(), String> {
    let role = entry.reservation_role();
    let Some(role) = role.filter(|_| entry.is_dynamically_reserved()) else {
        return Err(format!("Resource {entry} is not dynamically reserved"));
    };
    if role.contains('/') && !is_capable(agent_capabilities, "HIERARCHICAL_ROLE") {
        return Err(format!(
            "Resource {entry} with reservation for hierarchical role '{role}' cannot be reserved \
             on an agent without HIERARCHICAL_ROLE capability"
        ));
    }
    if entry.has_refined_reservations() && !is_capable(agent_capabilities, "RESERVATION_REFINEMENT")
    {
        return Err(format!(
            "Resource {entry} with reservation refinement cannot be reserved on an agent without \
             RESERVATION_REFINEMENT capability"
        ));
    }
    Ok(())
}

fn validate_principal(entry: &Entry, principal: &str) -> Result<(), String> {
    let reservation = entry.reservations().last();
    match reservation.and_then(|reservation| reservation.principal.as_deref()) {
        None => Err(format!(
            "A reserve operation was attempted by principal '{principal}', but there is a \
             reserved resource in the request with no principal set"
        )),
        Some(given) if given != principal => Err(format!(
            "A reserve operation was attempted by authenticated principal '{principal}', which \
             does not match a reserved resource in the request with principal '{given}'"
        )),
        Some(_) => Ok(()),
    }
}

/// A framework reserves what it was offered in one of its roles, for that very role.
fn validate_role(entry: &Entry, framework: &FrameworkInfo) -> Result<(), String> {
    let Some(allocated) = entry.allocation_role() else {
        return Err(format!(
            "A reserve operation was attempted on unallocated resource {entry}, but frameworks \
             can only perform reservations on allocated resources"
        ));
    };
    if let Some(role) = entry.reservation_role().filter(|role| *role != allocated) {
        return Err(format!(
            "A reserve operation was attempted for a resource with role '{role}', but the \
             resource was allocated to role '{allocated}'"
        ));
    }
    let roles = roles_of(framework);
    if !roles.contains(allocated.as_ref()) {
        return Err(format!(
            "A reserve operation was attempted for a resource allocated to role '{allocated}', \
             but the framework only has roles '{}'",
            text::set(&roles)
        ));
    }
    Ok(())
}
