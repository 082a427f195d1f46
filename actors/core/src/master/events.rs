//! Builds the events and statuses that the master itself sends to frameworks.
//! Decides nothing: who gets which is decided where these are called.

use tepui_protocol::v1::scheduler::{Event, event};
use tepui_protocol::v1::task_status::{Reason, Source};
use tepui_protocol::v1::{
    self, MasterInfo, OperationState, OperationStatus, TaskState, TaskStatus, TimeInfo,
};

use super::model::Task;
use crate::ids::{AgentId, ExecutorId, FrameworkId, OfferId};
use crate::time::Wall;

/// Time between two HEARTBEAT events, in seconds; Mesos's `DEFAULT_HEARTBEAT_INTERVAL`.
pub const HEARTBEAT_INTERVAL_SECONDS: f64 = 15.0;

fn of_type(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

/// SUBSCRIBED: the first event of every stream.
pub(super) fn subscribed(id: &FrameworkId, master: &MasterInfo) -> Event {
    Event {
        subscribed: Some(event::Subscribed {
            framework_id: id.to_v1(),
            heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL_SECONDS),
            master_info: Some(master.clone()),
        }),
        ..of_type(event::Type::Subscribed)
    }
}

/// ERROR: the stream ends after it.
pub(super) fn error(message: impl Into<String>) -> Event {
    Event {
        error: Some(event::Error {
            message: message.into(),
        }),
        ..of_type(event::Type::Error)
    }
}

/// OFFERS: all offers of one batch.
pub(super) fn offers(offers: Vec<v1::Offer>) -> Event {
    Event {
        offers: Some(event::Offers { offers }),
        ..of_type(event::Type::Offers)
    }
}

/// RESCIND: an offer is no longer valid.
pub(super) fn rescind(id: &OfferId) -> Event {
    Event {
        rescind: Some(event::Rescind {
            offer_id: id.to_v1(),
        }),
        ..of_type(event::Type::Rescind)
    }
}

/// INVERSE_OFFERS: all inverse offers of one batch.
pub(super) fn inverse_offers(inverse_offers: Vec<v1::InverseOffer>) -> Event {
    Event {
        inverse_offers: Some(event::InverseOffers { inverse_offers }),
        ..of_type(event::Type::InverseOffers)
    }
}

/// RESCIND_INVERSE_OFFER: an inverse offer is no longer valid.
pub(super) fn rescind_inverse(id: &OfferId) -> Event {
    Event {
        rescind_inverse_offer: Some(event::RescindInverseOffer {
            inverse_offer_id: id.to_v1(),
        }),
        ..of_type(event::Type::RescindInverseOffer)
    }
}

/// UPDATE: a task's status.
pub(super) fn update(status: TaskStatus) -> Event {
    Event {
        update: Some(event::Update { status }),
        ..of_type(event::Type::Update)
    }
}

/// MESSAGE: data of an executor.
pub(super) fn message(agent: &AgentId, executor: &ExecutorId, data: Vec<u8>) -> Event {
    Event {
        message: Some(event::Message {
            agent_id: agent.to_v1(),
            executor_id: executor.to_v1(),
            data,
        }),
        ..of_type(event::Type::Message)
    }
}

/// FAILURE of an agent.
pub(super) fn agent_failure(agent: &AgentId) -> Event {
    Event {
        failure: Some(event::Failure {
            agent_id: Some(agent.to_v1()),
            ..Default::default()
        }),
        ..of_type(event::Type::Failure)
    }
}

/// FAILURE of an executor; `status` is its wait status, -1 when unknown.
pub(super) fn executor_failure(agent: &AgentId, executor: &ExecutorId, status: i32) -> Event {
    Event {
        failure: Some(event::Failure {
            agent_id: Some(agent.to_v1()),
            executor_id: Some(executor.to_v1()),
            status: Some(status),
        }),
        ..of_type(event::Type::Failure)
    }
}

/// UPDATE_OPERATION_STATUS without a uuid: not to be acknowledged.
pub(super) fn operation_status(
    state: OperationState,
    operation: &v1::OperationId,
    message: String,
    agent: Option<v1::AgentId>,
    provider: Option<v1::ResourceProviderId>,
) -> Event {
    operation_update(OperationStatus {
        operation_id: Some(operation.clone()),
        state: state as i32,
        message: Some(message),
        agent_id: agent,
        resource_provider_id: provider,
        ..Default::default()
    })
}

/// UPDATE_OPERATION_STATUS: a status as an agent reported it.
pub(super) fn operation_update(status: OperationStatus) -> Event {
    Event {
        update_operation_status: Some(event::UpdateOperationStatus { status }),
        ..of_type(event::Type::UpdateOperationStatus)
    }
}

/// A status made by the master: it has no uuid, so it is neither acknowledged nor sent again.
pub(super) fn status(
    task: &v1::TaskId,
    agent: Option<&v1::AgentId>,
    state: TaskState,
    reason: Reason,
    message: &str,
    at: Wall,
) -> TaskStatus {
    TaskStatus {
        task_id: task.clone(),
        agent_id: agent.cloned(),
        state: state as i32,
        source: Some(Source::Master as i32),
        reason: Some(reason as i32),
        message: Some(message.to_string()),
        timestamp: Some(at.as_secs_f64()),
        ..Default::default()
    }
}

/// The end of a known task, told by the master.
pub(super) fn end_of_task(
    task: &Task,
    state: TaskState,
    reason: Reason,
    message: &str,
    at: Wall,
) -> TaskStatus {
    TaskStatus {
        executor_id: task.executor.as_ref().map(ExecutorId::to_v1),
        ..status(
            &task.id.to_v1(),
            Some(&task.agent.to_v1()),
            state,
            reason,
            message,
            at,
        )
    }
}

/// What is known of a task, told by the master: its health, check and container with it.
pub(super) fn known_task(
    task: &Task,
    state: i32,
    reason: Reason,
    message: &str,
    at: Wall,
) -> TaskStatus {
    let mut latest_first = task.statuses().rev();
    let mut last = latest_first.next();
    let container = last.as_mut().and_then(|last| last.container_status.take());
    let container = container.or_else(|| latest_first.find_map(|status| status.container_status));
    TaskStatus {
        state,
        healthy: last.as_ref().and_then(|status| status.healthy),
        check_status: last.and_then(|status| status.check_status),
        container_status: container,
        ..end_of_task(task, TaskState::TaskStaging, reason, message, at)
    }
}

/// Nanoseconds since the epoch in the form of the API.
pub(super) fn time_info(at: Wall) -> TimeInfo {
    TimeInfo {
        nanoseconds: at.as_nanos(),
    }
}
