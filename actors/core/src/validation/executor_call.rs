//! The stateless checks of an executor call, made before the agent acts on it.
//! Decoding and whether the executor is known are checked elsewhere.

use tepui_protocol::v1;
use tepui_protocol::v1::executor::Call;
use tepui_protocol::v1::executor::call::Type;

use super::checks;
use super::ids::validate_uuid;

/// Checks a decoded call; the error is what follows `Failed to validate Executor::Call: `.
///
/// Mesos: `common::validation::validateExecutorCall`.
pub fn validate(call: &Call) -> Result<(), String> {
    let Some(kind) = call.r#type.and_then(|kind| Type::try_from(kind).ok()) else {
        return Err("Expecting 'type' to be present".to_string());
    };
    match kind {
        Type::Subscribe if call.subscribe.is_none() => {
            Err("Expecting 'subscribe' to be present".to_string())
        }
        Type::Message if call.message.is_none() => {
            Err("Expecting 'message' to be present".to_string())
        }
        Type::Update => match &call.update {
            Some(update) => validate_status(call, &update.status),
            None => Err("Expecting 'update' to be present".to_string()),
        },
        Type::Subscribe | Type::Message | Type::Heartbeat | Type::Unknown => Ok(()),
    }
}

fn validate_status(call: &Call, status: &v1::TaskStatus) -> Result<(), String> {
    let executor = &call.executor_id.value;
    let framework = &call.framework_id.value;
    let Some(uuid) = &status.uuid else {
        return Err("Expecting 'uuid' to be present".to_string());
    };
    validate_uuid(uuid)?;
    if let Some(claimed) = &status.executor_id
        && claimed.value != *executor
    {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            claimed.value
        ));
    }
    if status.source != Some(v1::task_status::Source::Executor as i32) {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, \
             expecting 'SOURCE_EXECUTOR'"
        ));
    }
    if status.state == v1::TaskState::TaskStaging as i32 {
        return Err(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is not \
             allowed"
        ));
    }
    match &status.check_status {
        Some(check_status) => checks::validate_status(check_status),
        None => Ok(()),
    }
}
