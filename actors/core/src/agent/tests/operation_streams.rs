//! Statuses of operations: told until acknowledged, across lost links and restarts, and once only.

use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::v1::{OperationState, OperationStatus};

use super::super::MAX_UNACKNOWLEDGED_OPERATIONS;
use super::operations::{create, reserve, reserved, rich, volume};
use super::*;

/// An agent whose operation 1 has succeeded, the status not acknowledged, and its checkpoint.
fn unacknowledged() -> (Fixture, OperationStatus, ResourcesAndOperations) {
    let mut agent = Fixture::registered_with(rich());
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    let state = agent.checkpoint().state;
    agent.written();
    let status = agent.operation_status(1);
    (agent, status, state)
}

#[test]
fn an_unacknowledged_status_is_repeated_ever_more_rarely() {
    let (mut agent, first, _) = unacknowledged();
    for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
        let mut left = Duration::from_secs(seconds);
        // Pings keep the link alive meanwhile.
        while left > Duration::from_secs(60) {
            agent.pass(Duration::from_secs(60));
            agent.master_says(MasterToAgent::Ping { connected: true });
            assert_eq!(agent.told_master(), AgentToMaster::Pong);
            left -= Duration::from_secs(60);
        }
        agent.pass(left - Duration::from_millis(1));
        agent.nothing();
        agent.pass(Duration::from_millis(1));
        assert_eq!(agent.operation_status(1), first);
        agent.master_says(MasterToAgent::Ping { connected: true });
        assert_eq!(agent.told_master(), AgentToMaster::Pong);
    }
}

#[test]
fn an_acknowledged_operation_is_forgotten_durably() {
    let (mut agent, status, _) = unacknowledged();
    let mut other = status.clone();
    other.uuid.as_mut().unwrap().value = vec![0; 16];
    agent.acknowledge_operation(&other, 1);
    agent.acknowledge_operation(&status, 2);
    agent.nothing();
    agent.acknowledge_operation(&status, 1);
    let order = agent.checkpoint();
    assert!(order.state.operations.is_empty());
    assert_eq!(order.state.resources.len(), 1);
    agent.written();
    agent.pass(Duration::from_secs(60));
    agent.nothing();
    agent.acknowledge_operation(&status, 1);
    agent.nothing();
}

#[test]
fn a_repeated_operation_is_answered_and_not_carried_out_again() {
    let (mut agent, status, _) = unacknowledged();
    let total = agent.snapshot().total;
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    assert_eq!(agent.operation_status(1), status);
    assert_eq!(agent.snapshot().total, total);
    agent.acknowledge_operation(&status, 1);
    agent.checkpoint();
    agent.written();
    // Acknowledged or not: it was carried out.
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.nothing();
    assert_eq!(agent.snapshot().total, total);
}

#[test]
fn an_operation_without_a_proper_uuid_is_ignored() {
    let mut agent = Fixture::registered_with(rich());
    agent.master_says(MasterToAgent::ApplyOperation {
        framework_id: None,
        operation: Pb(reserve(vec![reserved("cpus", 1.0)])),
        operation_uuid: vec![1; 3],
    });
    agent.master_says(MasterToAgent::AcknowledgeOperation {
        status_uuid: vec![1; 16],
        operation_uuid: Vec::new(),
    });
    agent.nothing();
}

#[test]
fn an_operators_operation_names_no_framework() {
    let mut agent = Fixture::registered_with(rich());
    agent.master_says(MasterToAgent::ApplyOperation {
        framework_id: None,
        operation: Pb(reserve(vec![reserved("cpus", 1.0)])),
        operation_uuid: vec![1; 16],
    });
    agent.checkpoint();
    agent.written();
    let AgentToMaster::OperationStatus { framework_id, .. } = agent.told_master() else {
        panic!("no status")
    };
    assert_eq!(framework_id, None);
}

#[test]
fn statuses_wait_for_the_master_and_are_told_on_reregistration() {
    let (mut agent, status, _) = unacknowledged();
    agent.link_down();
    agent.link_up(8);
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no re-registration")
    };
    assert_eq!(report.operations.len(), 1);
    let operation = &report.operations[0];
    assert_eq!(operation.uuid.value, vec![1; 16]);
    assert_eq!(operation.latest_status, status);
    assert_eq!(operation.framework_id.as_ref().unwrap().value, FRAMEWORK);
    assert_eq!(report.register.checkpointed_resources.len(), 1);
    agent.master_says(MasterToAgent::Reregistered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 0,
        reconcile: vec![],
    });
    assert_eq!(agent.operation_status(1), status);
    // The retries start afresh.
    agent.pass(Duration::from_secs(10));
    assert_eq!(agent.operation_status(1), status);
}

#[test]
fn nothing_is_told_while_the_master_is_away() {
    let (mut agent, _, _) = unacknowledged();
    agent.apply(reserve(vec![reserved("mem", 1.0)]), 2);
    agent.checkpoint();
    agent.link_down();
    agent.written();
    agent.nothing();
    agent.link_up(8);
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no re-registration")
    };
    assert_eq!(report.operations.len(), 2);
    assert_eq!(report.register.checkpointed_resources.len(), 2);
}

#[test]
fn a_registration_waits_for_the_checkpoint() {
    let mut agent = Fixture::registered_with(rich());
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.checkpoint();
    agent.link_down();
    agent.link_up(8);
    agent.nothing();
    agent.written();
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no re-registration")
    };
    assert_eq!(report.operations.len(), 1);
    assert_eq!(report.register.checkpointed_resources.len(), 1);
}

#[test]
fn a_master_that_lost_the_agent_meanwhile_is_told_after_the_checkpoint() {
    let mut agent = Fixture::registered_with(rich());
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.checkpoint();
    agent.master_says(MasterToAgent::Ping { connected: false });
    assert_eq!(agent.told_master(), AgentToMaster::Pong);
    agent.nothing();
    agent.written();
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no re-registration")
    };
    assert_eq!(report.operations.len(), 1);
}

#[test]
fn an_agent_that_was_restarted_goes_on_under_its_new_id() {
    let (_agent, status, state) = unacknowledged();
    let mut agent = Fixture::restarted(rich(), state.clone());
    agent.link_up(3);
    let AgentToMaster::Register(register) = agent.told_master() else {
        panic!("no registration")
    };
    assert_eq!(register.checkpointed_resources, state.resources);
    agent.master_says(MasterToAgent::Registered {
        agent_id: "S9".into(),
        ping_timeout_ms: 0,
    });
    assert_eq!(agent.effect(), Effect::Admitted("S9".into()));
    let told = agent.operation_status(1);
    assert_eq!(told.agent_id.as_ref().unwrap().value, "S9");
    assert_eq!(told.uuid, status.uuid);
    assert_eq!(told.state(), OperationState::OperationFinished);
    // Not even after a restart is it carried out twice.
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    assert_eq!(agent.operation_status(1), told);
    agent.acknowledge_operation(&told, 1);
    assert!(agent.checkpoint().state.operations.is_empty());
    agent.written();
}

#[test]
fn operations_that_no_framework_named_are_forgotten_by_a_restart() {
    let mut agent = Fixture::registered_with(rich());
    let nameless = v1::offer::Operation {
        id: None,
        ..reserve(vec![reserved("cpus", 1.0)])
    };
    agent.apply(nameless, 1);
    let state = agent.checkpoint().state;
    agent.written();
    agent.operation_status(1);
    assert_eq!(state.operations.len(), 1);
    let mut agent = Fixture::restarted(rich(), state);
    agent.link_up(3);
    agent.told_master();
    agent.master_says(MasterToAgent::Registered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 0,
    });
    assert_eq!(agent.effect(), Effect::Admitted(AGENT.into()));
    agent.nothing();
    assert_eq!(
        agent.snapshot().total.reserved().scalar_milli("cpus"),
        1_000
    );
}

#[test]
fn what_was_written_before_is_kept_by_later_checkpoints() {
    let (mut agent, _, _) = unacknowledged();
    agent.apply(reserve(vec![reserved("disk", 10.0)]), 2);
    agent.checkpoint();
    agent.written();
    agent.operation_status(2);
    agent.apply(create(vec![volume("v1", 10.0)]), 3);
    let state = agent.checkpoint().state;
    assert_eq!(state.operations.len(), 3);
    assert_eq!(state.resources.len(), 2);
    agent.written();
    agent.operation_status(3);
}

#[test]
fn operations_beyond_the_limit_are_dropped_and_not_kept() {
    let (_agent, _, mut state) = unacknowledged();
    let one = state.operations[0].clone();
    for number in 1..MAX_UNACKNOWLEDGED_OPERATIONS {
        let mut uuid = vec![9; 16];
        uuid[..8].copy_from_slice(&number.to_le_bytes());
        let mut more = one.clone();
        more.uuid.value = uuid;
        state.operations.push(more);
    }
    let mut agent = Fixture::restarted(rich(), state);
    agent.link_up(3);
    agent.told_master();
    agent.register_quietly();
    agent.apply(reserve(vec![reserved("mem", 1.0)]), 2);
    let status = agent.operation_status(2);
    assert_eq!(status.state(), OperationState::OperationDropped);
    assert_eq!(status.uuid, None);
    assert_eq!(agent.snapshot().total.reserved().scalar_milli("mem"), 0);
}

impl Fixture {
    /// Is admitted; what is told then is of no interest.
    fn register_quietly(&mut self) {
        self.master_says(MasterToAgent::Registered {
            agent_id: AGENT.into(),
            ping_timeout_ms: 0,
        });
        self.effects.clear();
    }
}
