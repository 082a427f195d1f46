//! Killing tasks before and after their delivery.

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::task_status::Reason;

use super::*;

fn kill(task: &str) -> MasterToAgent {
    MasterToAgent::KillTask {
        framework_id: FRAMEWORK.into(),
        task_id: task.into(),
        kill_policy: None,
    }
}

#[test]
fn a_delivered_task_is_killed_by_its_executor() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let policy = v1::KillPolicy {
        grace_period: Some(v1::DurationInfo { nanoseconds: 1 }),
    };
    agent.master_says(MasterToAgent::KillTask {
        framework_id: FRAMEWORK.into(),
        task_id: "t1".into(),
        kill_policy: Some(Pb(policy)),
    });
    let sent = agent.event(1).kill.unwrap();
    assert_eq!(sent.task_id.value, "t1");
    assert_eq!(sent.kill_policy, Some(policy));
}

#[test]
fn a_queued_task_never_reaches_its_executor() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    let container = agent.launch().container;
    agent.input(Input::Launched {
        container: container.clone(),
        result: Ok(77),
    });
    agent.master_says(kill("t1"));
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskKilled);
    assert_eq!(update.status.reason(), Reason::TaskKilledDuringLaunch);
    assert_eq!(
        update.status.message(),
        "Killed before delivery to the executor"
    );
    assert_eq!(update.executor_id.as_deref(), Some("ex"));
    assert_eq!(update.status.container_status, None);
    // The executor has nothing to do: it is sent away when it comes, and killed if it stays.
    agent.subscribe("ex", 1);
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.pass(Duration::from_secs(5));
    assert_eq!(agent.effect(), Effect::Kill(container));
}

/// A task whose command has something fetched.
fn fetching_task(id: &str) -> v1::TaskInfo {
    let mut task = command_task(id, "true");
    task.command.as_mut().unwrap().uris = vec![v1::command_info::Uri {
        value: "http://x/y".into(),
        ..Default::default()
    }];
    task
}

#[test]
fn a_task_killed_while_its_uris_are_fetched_ends_its_container() {
    let mut agent = Fixture::registered();
    agent.run(fetching_task("t1"));
    let launch = agent.launch();
    assert_eq!(launch.uris[0].value, "http://x/y");
    agent.master_says(kill("t1"));
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskKilled);
    let container = launch.container;
    assert_eq!(agent.effect(), Effect::Kill(container.clone()));
    // Whoever fetches says that it was ended, which is news to nobody.
    let result = Err("fetching was ended".to_owned());
    agent.input(Input::Launched { container, result });
    agent.acknowledge(&update);
    agent.nothing();
}

#[test]
fn a_task_killed_before_its_executor_runs_ends_its_container() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    let container = agent.launch().container;
    agent.master_says(kill("t1"));
    assert_eq!(agent.update().status.state(), TaskState::TaskKilled);
    assert_eq!(agent.effect(), Effect::Kill(container));
}

#[test]
fn a_task_killed_after_its_uris_were_fetched_is_not_killed_at_once() {
    let mut agent = Fixture::registered();
    agent.run(fetching_task("t1"));
    let container = agent.launch().container;
    let result = Ok(77);
    agent.input(Input::Launched { container, result });
    agent.master_says(kill("t1"));
    assert_eq!(agent.update().status.state(), TaskState::TaskKilled);
    agent.nothing();
}

#[test]
fn an_executor_with_other_tasks_stays() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t1", "ex"));
    agent.launch();
    agent.run_as(framework(&[]), custom_task("t2", "ex"), false);
    agent.master_says(kill("t1"));
    agent.update();
    agent.subscribe("ex", 1);
    assert_eq!(agent.event_type(1), event::Type::Subscribed);
    assert_eq!(agent.event(1).launch.unwrap().task.task_id.value, "t2");
}

#[test]
fn a_queued_group_is_killed_as_a_whole() {
    let mut agent = Fixture::registered();
    agent.run_group(vec![command_task("g1", "true"), command_task("g2", "true")]);
    let container = agent.launch().container;
    agent.master_says(kill("g2"));
    for task in ["g1", "g2"] {
        let update = agent.update();
        assert_eq!(update.status.task_id.value, task);
        assert_eq!(update.status.state(), TaskState::TaskKilled);
        assert_eq!(
            update.status.message(),
            "A task within the task group was killed before delivery to the executor"
        );
    }
    assert_eq!(agent.effect(), Effect::Kill(container));
}

#[test]
fn a_task_nobody_runs_is_reported_lost() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(kill("ghost"));
    let update = agent.update();
    assert_eq!(update.status.state(), TaskState::TaskLost);
    assert_eq!(update.status.reason(), Reason::ExecutorTerminated);
    assert_eq!(update.status.message(), "Cannot find executor");
    let info = framework(&[Capability::PartitionAware]);
    agent.master_says(MasterToAgent::UpdateFramework { info: Pb(info) });
    agent.master_says(kill("ghost2"));
    assert_eq!(
        agent.updates(),
        [("ghost2".to_owned(), TaskState::TaskDropped)]
    );
}

#[test]
fn kills_for_unknown_frameworks_and_ending_executors_are_ignored() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.master_says(MasterToAgent::KillTask {
        framework_id: "unknown".into(),
        task_id: "t1".into(),
        kill_policy: None,
    });
    agent.master_says(MasterToAgent::ShutdownExecutor {
        framework_id: FRAMEWORK.into(),
        executor_id: "ex".into(),
    });
    agent.event(1);
    agent.master_says(kill("t1"));
}
