//! Tests of the maintenance schedule: its changes, agents of machines that go down and come up.
//! Inverse offers have tests of their own.

use serde_json::{Value, json};
use tepui_protocol::link::{AgentToMaster, MasterToAgent};

use super::super::messages::{Answer, Input};
use super::super::operator::Request;
use super::fixture::{TestAgent, TestMaster, read, register, reregister};
use crate::allocator::messages::Command;
use crate::maintenance::{Change, MachineKey};
use crate::registry::{Operation, Registry};

/// The machine of test agents.
fn host() -> Value {
    json!({"hostname": "HOST", "ip": "127.0.0.1"})
}

fn start_of(nanoseconds: i64) -> Value {
    json!({"start": {"nanoseconds": nanoseconds}, "duration": {"nanoseconds": 9}})
}

/// A schedule of one window for each pair of start and machine.
pub fn schedule(windows: &[(i64, Value)]) -> Request {
    let windows = windows.iter();
    let windows: Vec<Value> = windows
        .map(|(at, machine)| json!({"machine_ids": [machine], "unavailability": start_of(*at)}))
        .collect();
    Request::UpdateMaintenanceSchedule(read(&json!({"windows": windows})))
}

/// Has the machine of test agents planned to be away from then on; reads nothing but the answer.
pub fn plan(test: &mut TestMaster, at: i64) {
    let reply = test.operator_asks(schedule(&[(at, host())]));
    test.store();
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

fn start(machine: &Value) -> Request {
    Request::StartMaintenance(vec![read(machine)])
}

fn stop(machine: &Value) -> Request {
    Request::StopMaintenance(vec![read(machine)])
}

fn told_of_plan(test: &mut TestMaster, agent: &TestAgent) -> Option<i64> {
    let Command::SetUnavailability {
        agent: id,
        plan: unavailability,
    } = test.command()
    else {
        panic!("expected SetUnavailability");
    };
    assert_eq!(id, agent.id);
    unavailability.map(|plan| plan.start.nanoseconds)
}

#[test]
fn a_schedule_takes_offers_of_its_agents_back_and_tells_the_allocator() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    test.offer(&framework, &agent, "cpus:1");
    let reply = test.operator_asks(schedule(&[(5, host()), (6, json!({"hostname": "host"}))]));
    assert!(matches!(
        test.store(),
        Operation::ChangeMaintenance(Change::Schedule(_))
    ));
    assert!(test.event(&framework.stream).rescind.is_some());
    test.released();
    assert_eq!(told_of_plan(&mut test, &agent), Some(5));
    assert_eq!(test.operator_told(reply), Answer::Ok);
    let snapshot = test.master.snapshot();
    assert_eq!(snapshot.maintenance.schedule().windows.len(), 2);
    assert_eq!(snapshot.maintenance_status().draining_machines.len(), 2);
}

#[test]
fn offers_and_new_agents_of_a_scheduled_machine_carry_the_plan() {
    let mut test = TestMaster::new();
    plan(&mut test, 5);
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    test.store();
    let Command::AddAgent { unavailability, .. } = test.command() else {
        panic!("expected AddAgent");
    };
    assert_eq!(unavailability.unwrap().start.nanoseconds, 5);
    let MasterToAgent::Registered { agent_id, .. } = test.order(link) else {
        panic!("expected Registered");
    };
    let framework = test.framework(json!({}));
    let proposal = test.proposal(&framework.id, &agent_id.as_str().into(), "cpus:1");
    test.input(Input::Proposed(vec![proposal]));
    let offers = test.event(&framework.stream).offers.unwrap().offers;
    let plan = offers[0].unavailability.as_ref().unwrap();
    assert_eq!(plan.duration.unwrap().nanoseconds, 9);
}

#[test]
fn only_agents_whose_plan_changes_hear_of_a_new_schedule() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({}));
    plan(&mut test, 5);
    assert_eq!(told_of_plan(&mut test, &agent), Some(5));
    test.offer(&framework, &agent, "cpus:1");
    let reply = test.operator_asks(schedule(&[(6, json!({"hostname": "x"})), (5, host())]));
    test.store();
    assert_eq!(test.operator_told(reply), Answer::Ok);
    test.done();

    let reply = test.operator_asks(schedule(&[]));
    test.store();
    assert!(test.event(&framework.stream).rescind.is_some());
    test.released();
    assert_eq!(told_of_plan(&mut test, &agent), None);
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert!(
        test.master
            .snapshot()
            .maintenance
            .schedule()
            .windows
            .is_empty()
    );
}

#[test]
fn bad_requests_are_refused_with_400_and_change_nothing() {
    let mut test = TestMaster::new();
    let unknown = json!({"hostname": "nope"});
    let not_scheduled = "Machine '{\"hostname\":\"nope\"}' is not part of a maintenance schedule";
    for (request, text) in [
        (
            schedule(&[(5, json!({}))]),
            "Both 'hostname' and 'ip' for a machine are empty",
        ),
        (start(&unknown), not_scheduled),
        (stop(&unknown), not_scheduled),
        (
            Request::StartMaintenance(Vec::new()),
            "List of machines is empty",
        ),
    ] {
        let reply = test.operator_asks(request);
        assert_eq!(
            test.operator_told(reply),
            Answer::Refused(400, text.to_string())
        );
    }
    plan(&mut test, 5);
    let reply = test.operator_asks(stop(&host()));
    let text = "Machine '{\"hostname\":\"HOST\",\"ip\":\"127.0.0.1\"}' is not in DOWN mode and \
                cannot be brought up";
    assert_eq!(
        test.operator_told(reply),
        Answer::Refused(400, text.to_string())
    );
}

/// Brings the machine of test agents down; reads nothing but the answer.
fn bring_down(test: &mut TestMaster) {
    plan(test, 5);
    let reply = test.operator_asks(start(&host()));
    assert!(matches!(
        test.store(),
        Operation::ChangeMaintenance(Change::Start(_))
    ));
    assert_eq!(test.operator_told(reply), Answer::Ok);
}

fn shut_down(test: &mut TestMaster, agent: &TestAgent) -> String {
    match test.order(agent.link) {
        MasterToAgent::Shutdown { message } => message,
        other => panic!("expected Shutdown, got {other:?}"),
    }
}

#[test]
fn agents_of_a_machine_that_goes_down_are_shut_down_and_removed() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    let framework = test.framework(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}));
    test.launch(&framework, &agent, "t");
    bring_down(&mut test);
    assert_eq!(told_of_plan(&mut test, &agent), Some(5));
    assert_eq!(
        shut_down(&mut test, &agent),
        "Operator initiated 'Machine DOWN'"
    );
    assert_eq!(test.store(), Operation::RemoveAgent(agent.id.clone()));
    assert_eq!(test.command(), Command::RemoveAgent(agent.id.clone()));
    let (task, state, reason, message) = test.update_text(&framework);
    assert_eq!((task.as_str(), state.as_str()), ("t", "TASK_LOST"));
    let expected = "Agent host removed: Operator initiated 'Machine DOWN'";
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("REASON_AGENT_REMOVED", expected)
    );
    assert!(test.event(&framework.stream).failure.is_some());
    assert_eq!(test.closed_link(), agent.link);
    let status = test.master.snapshot().maintenance_status();
    assert!(status.draining_machines.is_empty());
    assert_eq!(status.down_machines[0].hostname(), "HOST");
}

#[test]
fn agents_of_a_machine_that_is_down_are_told_to_end_until_it_is_up() {
    let mut test = TestMaster::new();
    bring_down(&mut test);
    let link = test.open_link();
    let down = MasterToAgent::Shutdown {
        message: "Machine is `DOWN`".to_string(),
    };
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert_eq!(test.order(link), down);
    let agent = TestAgent {
        id: "M-S9".into(),
        link,
        port: 5051,
    };
    test.agent_says(
        link,
        AgentToMaster::Reregister(Box::new(reregister(&agent))),
    );
    assert_eq!(test.order(link), down);
    test.done();

    let reply = test.operator_asks(stop(&host()));
    assert!(matches!(
        test.store(),
        Operation::ChangeMaintenance(Change::Stop(_))
    ));
    assert_eq!(test.operator_told(reply), Answer::Ok);
    assert!(test.master.snapshot().maintenance.machines.is_empty());
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert!(matches!(test.store(), Operation::AdmitAgent(_)));
    test.skip();
}

#[test]
fn an_agent_admitted_while_its_machine_goes_down_is_removed_again() {
    let mut test = TestMaster::new();
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    let (token, _) = test.operation();
    bring_down(&mut test);
    test.input(Input::Applied {
        token,
        result: Ok(true),
    });
    assert!(matches!(test.command(), Command::AddAgent { .. }));
    assert!(matches!(test.order(link), MasterToAgent::Registered { .. }));
    assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
    assert!(matches!(test.store(), Operation::RemoveAgent(_)));
    assert!(matches!(test.command(), Command::RemoveAgent(_)));
    test.closed_link();
    assert!(test.master.snapshot().agents.is_empty());
}

#[test]
fn an_agent_that_returns_while_its_machine_goes_down_is_removed_again() {
    let mut test = TestMaster::new();
    let agent = test.agent(5051);
    test.close_link(&agent);
    test.command();
    let link = test.open_link();
    let mut report = reregister(&agent);
    report.register.info.attributes.push(Default::default());
    let agent = TestAgent { link, ..agent };
    test.agent_says(link, AgentToMaster::Reregister(Box::new(report)));
    let (token, operation) = test.operation();
    assert!(matches!(operation, Operation::UpdateAgent(_)));
    bring_down(&mut test);
    assert_eq!(told_of_plan(&mut test, &agent), Some(5));
    test.input(Input::Applied {
        token,
        result: Ok(true),
    });
    assert!(matches!(
        test.order(link),
        MasterToAgent::Reregistered { .. }
    ));
    assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
    assert!(matches!(test.store(), Operation::RemoveAgent(_)));
    test.skip();
}

#[test]
fn of_two_requests_that_do_not_fit_together_the_later_is_refused() {
    let mut test = TestMaster::new();
    plan(&mut test, 5);
    let first = test.operator_asks(schedule(&[]));
    let second = test.operator_asks(start(&host()));
    test.store();
    assert_eq!(test.operator_told(first), Answer::Ok);
    let (token, _) = test.operation();
    let result = Err("machine host/127.0.0.1 is not draining".to_string());
    test.input(Input::Applied { token, result });
    assert!(matches!(
        test.operator_told(second),
        Answer::Refused(409, _)
    ));
    assert!(test.master.snapshot().maintenance.machines.is_empty());
}

#[test]
fn the_schedule_outlives_the_master() {
    let mut registry = Registry::default();
    let Request::UpdateMaintenanceSchedule(planned) = schedule(&[(5, host())]) else {
        panic!("a schedule");
    };
    let key = MachineKey::new("host", "127.0.0.1");
    for change in [Change::Schedule(planned), Change::Start(vec![key])] {
        registry
            .apply(&Operation::ChangeMaintenance(change))
            .unwrap();
    }
    let mut test = TestMaster::after_failover(registry);
    let link = test.open_link();
    test.agent_says(link, AgentToMaster::Register(Box::new(register(5051))));
    assert!(matches!(test.order(link), MasterToAgent::Shutdown { .. }));
}
