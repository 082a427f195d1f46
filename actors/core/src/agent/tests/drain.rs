//! Draining: all tasks end, none is taken, and the agent tells why.

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::task_status::Reason;

use super::*;

fn seconds(seconds: i64) -> v1::DurationInfo {
    v1::DurationInfo {
        nanoseconds: seconds * 1_000_000_000,
    }
}

fn drain(most: Option<i64>, mark_gone: bool) -> MasterToAgent {
    let config = v1::DrainConfig {
        max_grace_period: most.map(seconds),
        mark_gone: Some(mark_gone),
    };
    MasterToAgent::Drain {
        config: Some(Pb(config)),
    }
}

fn grace(event: Event) -> Option<i64> {
    let kill = event.kill.expect("KILL");
    let period = kill.kill_policy.and_then(|policy| policy.grace_period);
    period.map(|period| period.nanoseconds / 1_000_000_000)
}

#[test]
fn tasks_are_killed_within_the_limit_and_new_ones_are_dropped() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(drain(Some(7), false));
    assert_eq!(grace(agent.event(1)), Some(7));
    assert!(agent.snapshot().drain.is_some());

    agent.run(command_task("late", "true"));
    let dropped = agent.update();
    assert_eq!(dropped.status.state(), TaskState::TaskLost);
    assert_eq!(dropped.status.reason(), Reason::AgentDraining);
    assert_eq!(
        dropped.status.message(),
        "Task was received while agent was already draining"
    );
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    agent.acknowledge(&dropped);

    agent.executor_update("ex", status("t1", TaskState::TaskKilled, 1));
    let killed = agent.update();
    assert_eq!(killed.status.state(), TaskState::TaskKilled);
    assert_eq!(killed.status.reason(), Reason::AgentDraining);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
}

#[test]
fn a_task_with_less_time_of_its_own_keeps_that() {
    for (own, most, expected) in [
        (Some(3), Some(7), None),
        (Some(7), Some(7), None),
        (Some(9), Some(7), Some(7)),
        (Some(9), None, None),
        (None, None, None),
    ] {
        let mut agent = Fixture::registered();
        let mut task = custom_task("t1", "ex");
        task.kill_policy = own.map(|own| v1::KillPolicy {
            grace_period: Some(seconds(own)),
        });
        agent.run(task);
        agent.launch();
        agent.subscribe("ex", 1);
        assert_eq!(agent.event_type(1), event::Type::Subscribed);
        assert_eq!(agent.event_type(1), event::Type::Launch);
        agent.master_says(drain(most, false));
        assert_eq!(grace(agent.event(1)), expected, "{own:?} {most:?}");
    }
}

#[test]
fn frameworks_that_know_it_are_told_that_tasks_are_gone() {
    for (capabilities, expected) in [
        (
            &[Capability::PartitionAware][..],
            TaskState::TaskGoneByOperator,
        ),
        (&[], TaskState::TaskKilled),
    ] {
        let mut agent = Fixture::registered();
        agent.run_as(framework(capabilities), custom_task("t1", "ex"), true);
        let container = agent.launch().container;
        agent.master_says(drain(None, true));
        let update = agent.update();
        assert_eq!(update.status.state(), expected);
        assert_eq!(update.status.reason(), Reason::AgentDraining);
        // Its executor does not run yet.
        assert_eq!(agent.effect(), Effect::Kill(container));
    }
}

#[test]
fn a_task_that_is_being_killed_is_not_gone_yet() {
    let mut agent = Fixture::registered();
    let aware = framework(&[Capability::PartitionAware, Capability::TaskKillingState]);
    agent.run_as(aware, custom_task("t1", "ex"), true);
    agent.launch();
    agent.subscribe("ex", 1);
    assert_eq!(agent.event_type(1), event::Type::Subscribed);
    assert_eq!(agent.event_type(1), event::Type::Launch);
    agent.master_says(drain(None, true));
    assert_eq!(grace(agent.event(1)), None);
    for (number, said, told) in [
        (1, TaskState::TaskKilling, TaskState::TaskKilling),
        (2, TaskState::TaskKilled, TaskState::TaskGoneByOperator),
    ] {
        agent.executor_update("ex", status("t1", said, number));
        let update = agent.update();
        assert_eq!(update.status.state(), told);
        assert_eq!(agent.event_type(1), event::Type::Acknowledged);
        agent.acknowledge(&update);
    }
}

#[test]
fn an_agent_without_anything_to_end_does_not_drain() {
    let mut agent = Fixture::registered();
    agent.master_says(drain(None, false));
    assert_eq!(agent.snapshot().drain, None);
    agent.run(command_task("t1", "true"));
    agent.launch();
}

#[test]
fn a_drain_that_is_called_off_lets_tasks_come_again() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(drain(None, false));
    assert_eq!(grace(agent.event(1)), None);
    agent.master_says(MasterToAgent::Drain { config: None });
    assert_eq!(agent.snapshot().drain, None);
    agent.run(command_task("t2", "true"));
    agent.launch();
}

#[test]
fn a_restarted_agent_goes_on_draining() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(drain(Some(7), false));
    assert_eq!(grace(agent.event(1)), Some(7));
    let before = agent.snapshot().drain;
    let agent = agent.crashed(settings());
    assert_eq!(agent.snapshot().drain, before);
    assert!(before.is_some());
}
