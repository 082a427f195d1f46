//! Tasks whose container the Docker Engine runs.

use super::*;

use tepui_protocol::v1::network_info::Protocol;

fn with_docker(grace: Duration) -> Fixture {
    let mut fixture = Fixture::subscribed(false);
    fixture.machine.settings.docker = Some(grace);
    fixture.launch(task("t"));
    fixture.expect_update("t", TaskState::TaskStarting);
    assert!(matches!(
        fixture.actions.pop_front(),
        Some(Action::Start(_))
    ));
    fixture
}

fn run(fixture: &mut Fixture) -> TaskStatus {
    fixture.input(Input::Inspected {
        task: "t".into(),
        text: "[{}]".into(),
        addresses: vec!["172.17.0.2".into(), "fe80::1".into()],
    });
    fixture.expect_nothing();
    fixture.input(Input::Started {
        task: "t".into(),
        pid: 7,
    });
    fixture.expect_update("t", TaskState::TaskRunning)
}

#[test]
fn a_task_runs_with_what_the_engine_says_of_its_container() {
    let mut fixture = with_docker(Duration::ZERO);
    let running = run(&mut fixture);
    assert_eq!(running.data(), b"[{}]");
    let infos = running.container_status.expect("a status").network_infos;
    let addresses = &infos[0].ip_addresses;
    assert_eq!(addresses[0].ip_address(), "172.17.0.2");
    assert_eq!(addresses[0].protocol, None);
    assert_eq!(addresses[1].protocol(), Protocol::IPv6);
    fixture.input(Input::Exited {
        pid: 7,
        ended: Ended::Exited(4),
    });
    let failed = fixture.expect_update("t", TaskState::TaskFailed);
    assert_eq!(failed.message(), "Container exited with status 4");
    assert!(failed.container_status.is_none());
}

#[test]
fn a_container_has_the_agents_time_to_stop_where_nobody_says() {
    let mut fixture = with_docker(seconds(4));
    run(&mut fixture);
    fixture.kill("t", None);
    fixture.expect_update("t", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    fixture.tick_after(seconds(4));
    fixture.expect_log("sending SIGKILL");
    fixture.expect(Action::Kill(7));
}

#[test]
fn too_little_memory_is_the_reason() {
    let mut fixture = with_docker(Duration::ZERO);
    run(&mut fixture);
    fixture.input(Input::OutOfMemory { task: "t".into() });
    fixture.input(Input::Exited {
        pid: 7,
        ended: Ended::Exited(137),
    });
    let failed = fixture.expect_update("t", TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(
        failed.message(),
        "Container exited with status 137: it used more memory than it may"
    );
}

#[test]
fn a_container_that_does_not_start_was_not_launched() {
    let mut fixture = with_docker(Duration::ZERO);
    fixture.input(Input::StartFailed {
        task: "t".into(),
        message: "no such port".into(),
    });
    fixture.expect_log("no such port");
    let failed = fixture.expect_update("t", TaskState::TaskFailed);
    assert_eq!(failed.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(failed.message(), "no such port");
}
