//! The stateless checks of a scheduler call, made before the master sees it.
//! Decoding, streams and subscriptions are checked elsewhere.

use tepui_protocol::v1;
use tepui_protocol::v1::scheduler::Call;
use tepui_protocol::v1::scheduler::call::Type;

use super::ids::validate_uuid;

/// Checks a decoded call; the error is what follows `Failed to validate scheduler::Call: `.
///
/// `principal` is the authenticated principal, if there is authentication.
/// Mesos: `master::validation::scheduler::call::validate`.
pub fn validate(call: &Call, principal: Option<&str>) -> Result<(), String> {
    // An enum value this version does not know counts as not set, as in Mesos.
    let Some(kind) = call.r#type.and_then(|kind| Type::try_from(kind).ok()) else {
        return Err("Expecting 'type' to be present".to_string());
    };
    if kind == Type::Subscribe {
        return validate_subscribe(call, principal);
    }
    present(&call.framework_id, "framework_id")?;
    match kind {
        Type::Unknown | Type::Subscribe | Type::Teardown | Type::Revive | Type::Suppress => Ok(()),
        Type::Accept => present(&call.accept, "accept"),
        Type::Decline => present(&call.decline, "decline"),
        Type::AcceptInverseOffers => present(&call.accept_inverse_offers, "accept_inverse_offers"),
        Type::DeclineInverseOffers => {
            present(&call.decline_inverse_offers, "decline_inverse_offers")
        }
        Type::Kill => present(&call.kill, "kill"),
        Type::Shutdown => present(&call.shutdown, "shutdown"),
        Type::Acknowledge => validate_acknowledge(call),
        Type::AcknowledgeOperationStatus => validate_acknowledge_operation(call),
        Type::Reconcile => present(&call.reconcile, "reconcile"),
        Type::ReconcileOperations => present(&call.reconcile_operations, "reconcile_operations"),
        Type::Message => present(&call.message, "message"),
        Type::Request => present(&call.request, "request"),
        Type::UpdateFramework => validate_update_framework(call),
    }
}

fn validate_subscribe(call: &Call, principal: Option<&str>) -> Result<(), String> {
    let Some(subscribe) = &call.subscribe else {
        return Err(missing("subscribe"));
    };
    let info = &subscribe.framework_info;
    if id_text(&info.id) != id_text(&call.framework_id) {
        return Err("'framework_id' differs from 'subscribe.framework_info.id'".to_string());
    }
    match (principal, info.principal.as_deref()) {
        (Some(authenticated), Some(claimed)) if authenticated != claimed => Err(format!(
            "Authenticated principal '{authenticated}' does not match principal '{claimed}' set \
             in `FrameworkInfo`"
        )),
        _ => Ok(()),
    }
}

fn validate_acknowledge(call: &Call) -> Result<(), String> {
    match &call.acknowledge {
        Some(acknowledge) => validate_uuid(&acknowledge.uuid),
        None => Err(missing("acknowledge")),
    }
}

fn validate_acknowledge_operation(call: &Call) -> Result<(), String> {
    let Some(acknowledge) = &call.acknowledge_operation_status else {
        return Err(missing("acknowledge_operation_status"));
    };
    validate_uuid(&acknowledge.uuid)?;
    present(&acknowledge.agent_id, "agent_id")
}

fn validate_update_framework(call: &Call) -> Result<(), String> {
    let Some(update) = &call.update_framework else {
        return Err(missing("update_framework"));
    };
    if id_text(&call.framework_id) != id_text(&update.framework_info.id) {
        return Err("'framework_id' differs from 'update_framework.framework_info.id'".to_string());
    }
    Ok(())
}

/// An absent id counts as the empty one, as protobuf's getters have it.
fn id_text(id: &Option<v1::FrameworkId>) -> &str {
    id.as_ref().map_or("", |id| id.value.as_str())
}

fn present<T>(field: &Option<T>, name: &str) -> Result<(), String> {
    match field {
        Some(_) => Ok(()),
        None => Err(missing(name)),
    }
}

fn missing(name: &str) -> String {
    format!("Expecting '{name}' to be present")
}
