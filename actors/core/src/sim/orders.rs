//! Calls of frameworks, filled in.
//! Sends none of them.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::scheduler::{Call, call};
use tepui_protocol::v1::{AgentId, Filters, OfferId, TaskStatus};

use super::frameworks::Known;
use crate::ids::TaskId;

/// ACCEPT.
pub(super) fn accept(offers: Vec<OfferId>, operations: Vec<Operation>, refuse: f64) -> Call {
    Call {
        accept: Some(call::Accept {
            offer_ids: offers,
            operations,
            filters: Some(Filters {
                refuse_seconds: Some(refuse),
            }),
        }),
        ..Call::default()
    }
}

/// DECLINE.
pub(super) fn decline(offers: Vec<OfferId>, refuse: f64) -> Call {
    Call {
        decline: Some(call::Decline {
            offer_ids: offers,
            filters: Some(Filters {
                refuse_seconds: Some(refuse),
            }),
        }),
        ..Call::default()
    }
}

/// KILL.
pub(super) fn kill(task: &TaskId, agent: Option<AgentId>) -> Call {
    Call {
        kill: Some(call::Kill {
            task_id: task.to_v1(),
            agent_id: agent,
            kill_policy: None,
        }),
        ..Call::default()
    }
}

/// ACKNOWLEDGE; none for an update that needs none.
pub(super) fn acknowledge(status: &TaskStatus) -> Option<Call> {
    Some(Call {
        acknowledge: Some(call::Acknowledge {
            agent_id: status.agent_id.clone()?,
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone()?,
        }),
        ..Call::default()
    })
}

/// RECONCILE of these tasks, or of all when there are none.
pub(super) fn reconcile<'a>(tasks: impl Iterator<Item = (&'a TaskId, &'a Known)>) -> Call {
    let tasks = tasks.map(|(id, known)| call::reconcile::Task {
        task_id: id.to_v1(),
        agent_id: Some(known.agent.to_v1()),
    });
    Call {
        reconcile: Some(call::Reconcile {
            tasks: tasks.collect(),
        }),
        ..Call::default()
    }
}
