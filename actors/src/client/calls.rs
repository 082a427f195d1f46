//! Makes the scheduler calls that most frameworks need.
//! Sends nothing.

use tepui_protocol::v1;
use v1::scheduler::{Call, call};

/// Accepts offers to launch tasks; what is left of the offers comes back after `refuse_seconds`.
pub fn accept(
    framework_id: &v1::FrameworkId,
    offer_ids: Vec<v1::OfferId>,
    task_infos: Vec<v1::TaskInfo>,
    refuse_seconds: f64,
) -> Call {
    let launch = v1::offer::operation::Launch { task_infos };
    let operation = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch.into()),
        launch: Some(launch),
        ..Default::default()
    };
    let accept = call::Accept {
        offer_ids,
        operations: vec![operation],
        filters: Some(filters(refuse_seconds)),
    };
    Call {
        accept: Some(accept),
        ..call_of(framework_id, call::Type::Accept)
    }
}

/// Declines offers; their resources are not offered again for `refuse_seconds`.
pub fn decline(
    framework_id: &v1::FrameworkId,
    offer_ids: Vec<v1::OfferId>,
    refuse_seconds: f64,
) -> Call {
    let filters = Some(filters(refuse_seconds));
    let decline = call::Decline { offer_ids, filters };
    Call {
        decline: Some(decline),
        ..call_of(framework_id, call::Type::Decline)
    }
}

/// Acknowledges a status; nothing for one that asks for no acknowledgement.
pub fn acknowledge(framework_id: &v1::FrameworkId, status: &v1::TaskStatus) -> Option<Call> {
    let acknowledge = call::Acknowledge {
        agent_id: status.agent_id.clone()?,
        task_id: status.task_id.clone(),
        uuid: status.uuid.clone()?,
    };
    let call = call_of(framework_id, call::Type::Acknowledge);
    Some(Call {
        acknowledge: Some(acknowledge),
        ..call
    })
}

/// Asks for the end of a task.
pub fn kill(
    framework_id: &v1::FrameworkId,
    task_id: &v1::TaskId,
    agent_id: Option<&v1::AgentId>,
) -> Call {
    let (task_id, agent_id) = (task_id.clone(), agent_id.cloned());
    let kill = call::Kill {
        task_id,
        agent_id,
        ..Default::default()
    };
    Call {
        kill: Some(kill),
        ..call_of(framework_id, call::Type::Kill)
    }
}

/// Asks what the master knows of a task.
pub fn reconcile(
    framework_id: &v1::FrameworkId,
    task_id: &v1::TaskId,
    agent_id: &v1::AgentId,
) -> Call {
    let task = call::reconcile::Task {
        task_id: task_id.clone(),
        agent_id: Some(agent_id.clone()),
    };
    Call {
        reconcile: Some(call::Reconcile { tasks: vec![task] }),
        ..call_of(framework_id, call::Type::Reconcile)
    }
}

/// Asks for no more offers.
pub fn suppress(framework_id: &v1::FrameworkId) -> Call {
    call_of(framework_id, call::Type::Suppress)
}

/// Ends the framework and all its tasks.
pub fn teardown(framework_id: &v1::FrameworkId) -> Call {
    call_of(framework_id, call::Type::Teardown)
}

fn call_of(framework_id: &v1::FrameworkId, r#type: call::Type) -> Call {
    Call {
        framework_id: Some(framework_id.clone()),
        r#type: Some(r#type.into()),
        ..Default::default()
    }
}

fn filters(refuse_seconds: f64) -> v1::Filters {
    v1::Filters {
        refuse_seconds: Some(refuse_seconds),
    }
}
