//! When tasks are looked at, what results mean, and what the agent is told.
//! What a look does is tested with the real program.

use super::*;
use tepui_protocol::v1::{CommandInfo, HealthCheck, health_check};

const GOOD: Found = Ok(Finding::ExitCode(0));
const BAD: Found = Ok(Finding::ExitCode(1));

/// A health check with a command: 2 s delay, 3 s interval, 1 s timeout.
fn health(grace_seconds: f64, limit: u32) -> HealthCheck {
    HealthCheck {
        r#type: Some(health_check::Type::Command as i32),
        command: Some(CommandInfo::default()),
        delay_seconds: Some(2.0),
        interval_seconds: Some(3.0),
        timeout_seconds: Some(1.0),
        grace_period_seconds: Some(grace_seconds),
        consecutive_failures: Some(limit),
        ..Default::default()
    }
}

fn health_checked(id: &str, check: HealthCheck) -> TaskInfo {
    TaskInfo {
        health_check: Some(Box::new(check)),
        ..task(id)
    }
}

/// A task with a check for a command: 2 s delay, 3 s interval, 1 s timeout.
fn checked(id: &str) -> TaskInfo {
    let check = CheckInfo {
        r#type: Some(check_info::Type::Command as i32),
        command: Some(check_info::Command::default()),
        delay_seconds: Some(2.0),
        interval_seconds: Some(3.0),
        timeout_seconds: Some(1.0),
        ..Default::default()
    };
    TaskInfo {
        check: Some(Box::new(check)),
        ..task(id)
    }
}

impl Fixture {
    fn expect_check(&mut self) -> Check {
        match self.next() {
            Action::Check(check) => *check,
            other => panic!("expected a check, got {other:?}"),
        }
    }

    /// Lets the next look begin after this time; the number of the look.
    fn look_after(&mut self, wait: Duration) -> u64 {
        self.tick_after(wait);
        let check = self.expect_check();
        self.expect_nothing();
        check.run
    }

    fn found(&mut self, run: u64, found: Found) {
        self.input(Input::Checked { run, found });
    }

    fn expect_health(&mut self, id: &str, healthy: bool) -> TaskStatus {
        let status = self.expect_update(id, TaskState::TaskRunning);
        assert_eq!(status.healthy, Some(healthy));
        assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
        status
    }
}

fn exit_code(status: &TaskStatus) -> Option<i32> {
    let status = status.check_status.as_ref().expect("a check status");
    assert_eq!(status.r#type(), check_info::Type::Command);
    status.command.as_ref().expect("of a command").exit_code
}

/// What the agent hears of one result.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Nothing,
    Healthy,
    Unhealthy,
    Kill,
}

/// A result, and what the agent hears of it.
type Step = (Found, Told);

#[test]
fn health_follows_results_as_in_mesos() {
    use Told::{Healthy, Kill, Nothing, Unhealthy};
    // Looks end 2, 5, 8, 11, ... seconds after the start.
    let cases: &[(f64, u32, &[Step])] = &[
        (0.0, 3, &[(BAD, Unhealthy), (BAD, Unhealthy), (BAD, Kill)]),
        (0.0, 1, &[(BAD, Kill)]),
        (0.0, 0, &[(GOOD, Healthy), (GOOD, Nothing), (BAD, Kill)]),
        // Failures within the grace period do not count, its last moment included.
        (
            8.0,
            1,
            &[(BAD, Nothing), (BAD, Nothing), (BAD, Nothing), (BAD, Kill)],
        ),
        (7.9, 1, &[(BAD, Nothing), (BAD, Nothing), (BAD, Kill)]),
        // The first success ends it.
        (
            1e9,
            2,
            &[
                (BAD, Nothing),
                (GOOD, Healthy),
                (BAD, Unhealthy),
                (BAD, Kill),
            ],
        ),
        // Only failures in a row count, and each is told.
        (
            0.0,
            2,
            &[
                (BAD, Unhealthy),
                (GOOD, Healthy),
                (GOOD, Nothing),
                (BAD, Unhealthy),
                (GOOD, Healthy),
                (BAD, Unhealthy),
                (BAD, Kill),
            ],
        ),
    ];
    for (grace, limit, steps) in cases {
        let mut fixture = Fixture::subscribed(false);
        fixture.run(health_checked("t", health(*grace, *limit)), 7);
        let mut wait = seconds(2);
        for (found, told) in *steps {
            let run = fixture.look_after(wait);
            wait = seconds(3);
            fixture.found(run, found.clone());
            if *found == BAD {
                fixture.expect_log("COMMAND health check of task 't' failed");
            }
            match told {
                Nothing => {}
                Healthy => assert_eq!(fixture.expect_health("t", true).message, None),
                Unhealthy | Kill => {
                    let status = fixture.expect_health("t", false);
                    let text = "COMMAND health check failed: Command exited with status 1";
                    assert_eq!(status.message(), text);
                }
            }
            if *told == Kill {
                let killing = fixture.expect_update("t", TaskState::TaskKilling);
                assert_eq!((killing.healthy, killing.reason), (None, None));
                fixture.expect(Action::Terminate(7));
            }
            fixture.expect_nothing();
        }
    }
}

#[test]
fn results_count_by_kind() {
    let tcp = health_check::Type::Tcp;
    let http = health_check::Type::Http;
    let command = health_check::Type::Command;
    let cases = [
        (command, Ok(Finding::ExitCode(0)), None),
        (
            command,
            Ok(Finding::ExitCode(9)),
            Some("Command exited with status 9"),
        ),
        (command, Err("Command x".into()), Some("Command x")),
        (
            http,
            Ok(Finding::StatusCode(199)),
            Some("Unexpected HTTP response code: 199"),
        ),
        (http, Ok(Finding::StatusCode(200)), None),
        (http, Ok(Finding::StatusCode(399)), None),
        (
            http,
            Ok(Finding::StatusCode(400)),
            Some("Unexpected HTTP response code: 400"),
        ),
        (tcp, Ok(Finding::Connected(true)), None),
        (
            tcp,
            Ok(Finding::Connected(false)),
            Some("TCP connection failed"),
        ),
    ];
    for (kind, found, failure) in cases {
        let check = HealthCheck {
            r#type: Some(kind as i32),
            http: Some(Default::default()),
            tcp: Some(Default::default()),
            ..health(0.0, 9)
        };
        let mut fixture = Fixture::subscribed(false);
        fixture.run(health_checked("t", check), 7);
        let run = fixture.look_after(seconds(2));
        fixture.found(run, found);
        if let Some(text) = failure {
            fixture.expect_log(text);
        }
        let status = fixture.expect_health("t", failure.is_none());
        assert!(status.message().ends_with(failure.unwrap_or_default()));
        fixture.expect_nothing();
    }
}

#[test]
fn looks_that_take_too_long_are_failures() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(health_checked("t", health(0.0, 3)), 7);
    let run = fixture.look_after(seconds(2));
    fixture.tick_after(seconds(1));
    fixture.expect(Action::StopCheck(run));
    fixture.expect_log("Command timed out after 1secs");
    let status = fixture.expect_health("t", false);
    let text = "COMMAND health check failed: Command timed out after 1secs";
    assert_eq!(status.message(), text);
    // Its result comes too late.
    fixture.found(run, GOOD);
    fixture.expect_nothing();
    assert_ne!(fixture.look_after(seconds(3)), run);
}

#[test]
fn the_interval_begins_when_a_look_ends() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(health_checked("t", health(0.0, 3)), 7);
    let run = fixture.look_after(seconds(2));
    fixture.now.mono += Duration::from_millis(900);
    fixture.found(run, GOOD);
    fixture.expect_health("t", true);
    fixture.look_after(seconds(3));
}

#[test]
fn strange_times_are_survived() {
    let cases = [
        // Without timeout nothing is due before the result.
        (0.0, 0.0, None, Duration::from_millis(100)),
        (-1.0, f64::NAN, None, Duration::from_millis(100)),
        (3.0, f64::INFINITY, Some(seconds(3_153_600_000)), seconds(3)),
        (
            0.25,
            0.5,
            Some(Duration::from_millis(500)),
            Duration::from_millis(250),
        ),
    ];
    for (interval, timeout, limit, wait) in cases {
        let check = HealthCheck {
            delay_seconds: Some(0.0),
            interval_seconds: Some(interval),
            timeout_seconds: Some(timeout),
            ..health(0.0, 3)
        };
        let mut fixture = Fixture::subscribed(false);
        fixture.run(health_checked("t", check), 7);
        let run = fixture.look_after(Duration::ZERO);
        // The next call that keeps the connection open comes at the latest.
        let due = limit.unwrap_or(Duration::MAX).min(HEARTBEAT);
        assert_eq!(fixture.machine.next_deadline(), Some(due));
        fixture.found(run, GOOD);
        fixture.expect_health("t", true);
        fixture.look_after(wait);
    }
}

#[test]
fn an_unhealthy_task_is_killed_by_its_own_policy() {
    let mut fixture = Fixture::subscribed(false);
    let info = TaskInfo {
        kill_policy: Some(policy(7000)),
        check: checked("t").check,
        ..health_checked("t", health(0.0, 1))
    };
    fixture.run(info, 7);
    fixture.tick_after(seconds(2));
    let (check, health) = (fixture.expect_check(), fixture.expect_check());
    fixture.found(health.run, BAD);
    fixture.expect_log("failed");
    fixture.expect_health("t", false);
    // The other look is of no use any more.
    fixture.expect(Action::StopCheck(check.run));
    fixture.expect_update("t", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    fixture.found(check.run, GOOD);
    fixture.tick_after(seconds(7));
    fixture.expect_log("sending SIGKILL");
    fixture.expect(Action::Kill(7));
    fixture.input(Input::Exited {
        pid: 7,
        ended: TERMINATED,
    });
    let killed = fixture.expect_update("t", TaskState::TaskKilled);
    assert_eq!((killed.healthy, killed.reason), (Some(false), None));
    assert_eq!(
        killed.message(),
        "Command terminated with signal Terminated"
    );
    assert_eq!(exit_code(&killed), None);
    fixture.expect_nothing();
}

#[test]
fn changes_of_a_check_are_told_with_all_that_was_told_before() {
    let mut fixture = Fixture::subscribed(false);
    let info = TaskInfo {
        check: checked("t").check,
        ..health_checked("t", health(0.0, 9))
    };
    fixture.run(info, 7);
    let gone: Found = Err("Command timed out".into());
    // What the check and the health check find, and whether the update of either is sent.
    let steps = [
        (Ok(Finding::ExitCode(3)), Some(Some(3)), GOOD, Some(true)),
        (Ok(Finding::ExitCode(3)), None, GOOD, None),
        (Ok(Finding::ExitCode(0)), Some(Some(0)), BAD, Some(false)),
        (gone.clone(), Some(None), BAD, Some(false)),
        (gone, None, GOOD, Some(true)),
    ];
    let (mut healthy, mut code, mut wait) = (None, None, seconds(2));
    for (found, told, health, told_health) in steps {
        fixture.tick_after(wait);
        wait = seconds(3);
        let runs = (fixture.expect_check().run, fixture.expect_check().run);
        let failed = found.is_err();
        fixture.found(runs.0, found);
        if failed {
            fixture.expect_log("COMMAND check of task 't' failed: Command timed out");
        }
        if let Some(told) = told {
            code = told;
            let status = fixture.expect_update("t", TaskState::TaskRunning);
            assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
            assert_eq!((exit_code(&status), status.healthy), (code, healthy));
            assert_eq!(status.message.is_some(), failed);
        }
        fixture.found(runs.1, health.clone());
        if health == BAD {
            fixture.expect_log("health check");
        }
        if let Some(told) = told_health {
            healthy = Some(told);
            let status = fixture.expect_health("t", told);
            assert_eq!(exit_code(&status), code);
        }
        fixture.expect_nothing();
    }
}

#[test]
fn checks_wait_while_the_agent_is_away() {
    let mut fixture = Fixture::subscribed(true);
    fixture.run(health_checked("t", health(0.0, 1)), 7);
    let run = fixture.look_after(seconds(2));
    fixture.input(Input::Lost("gone".into()));
    fixture.expect_log("lost the agent");
    fixture.expect(Action::StopCheck(run));
    fixture.found(run, BAD);
    fixture.now.mono += seconds(60);
    fixture.input(Input::Tick);
    fixture.expect_subscribe();
    fixture.expect_nothing();
    fixture.subscribe(true);
    let run = fixture.look_after(Duration::ZERO);
    fixture.found(run, GOOD);
    fixture.expect_health("t", true);
}

#[test]
fn a_task_that_starts_while_the_agent_is_away_is_looked_at_once_it_is_back() {
    let mut fixture = Fixture::subscribed(true);
    fixture.launch(health_checked("t", health(0.0, 1)));
    fixture.expect_update("t", TaskState::TaskStarting);
    fixture.expect_start("t");
    fixture.input(Input::Lost("gone".into()));
    fixture.expect_log("lost the agent");
    fixture.started("t", 7);
    fixture.now.mono += seconds(60);
    fixture.input(Input::Tick);
    fixture.expect_subscribe();
    fixture.expect_nothing();
    fixture.subscribe(true);
    fixture.look_after(Duration::ZERO);
}

#[test]
fn health_does_not_wait_for_acknowledgements() {
    let mut fixture = Fixture::subscribed(true);
    fixture.run(health_checked("t", health(0.0, 9)), 7);
    let mut sent = Vec::new();
    for (wait, found) in [(2, GOOD), (3, BAD), (3, GOOD)] {
        let run = fixture.look_after(seconds(wait));
        fixture.found(run, found.clone());
        if found == BAD {
            fixture.expect_log("failed");
        }
        sent.push(fixture.expect_health("t", found == GOOD));
    }
    fixture.acknowledge(&sent.remove(0));
    fixture.input(Input::Lost("gone".into()));
    fixture.expect_log("lost the agent");
    fixture.now.mono += seconds(60);
    fixture.input(Input::Tick);
    let repeated = fixture.expect_subscribe().unacknowledged_updates;
    let repeated: Vec<_> = repeated.into_iter().map(|update| update.status).collect();
    assert_eq!(repeated, sent);
}

#[test]
fn a_task_that_ends_or_is_killed_is_not_looked_at() {
    for by_kill in [true, false] {
        let mut fixture = Fixture::subscribed(false);
        fixture.run(health_checked("t", health(0.0, 1)), 7);
        let run = fixture.look_after(seconds(2));
        if by_kill {
            fixture.kill("t", None);
            fixture.expect(Action::StopCheck(run));
            fixture.expect_update("t", TaskState::TaskKilling);
            fixture.expect(Action::Terminate(7));
            fixture.found(run, BAD);
            fixture.tick_after(seconds(3));
            fixture.expect_log("sending SIGKILL");
            fixture.expect(Action::Kill(7));
        }
        fixture.input(Input::Exited {
            pid: 7,
            ended: TERMINATED,
        });
        let state = match by_kill {
            true => TaskState::TaskKilled,
            false => {
                fixture.expect(Action::StopCheck(run));
                TaskState::TaskFailed
            }
        };
        assert_eq!(fixture.expect_update("t", state).healthy, None);
        fixture.found(run, BAD);
        fixture.expect_nothing();
    }
}

#[test]
fn an_unhealthy_member_marks_its_group() {
    let mut fixture = Fixture::subscribed(false);
    let groups = [
        vec![health_checked("a", health(0.0, 1)), task("b")],
        vec![task("c")],
    ];
    for (tasks, pids) in groups.into_iter().zip([[7, 8], [9, 0]]) {
        let ids: Vec<_> = tasks.iter().map(|it| it.task_id.value.clone()).collect();
        fixture.launch_group_of(tasks);
        for id in &ids {
            fixture.expect_update(id, TaskState::TaskStarting);
        }
        for (id, pid) in ids.iter().zip(pids) {
            fixture.actions.retain(|it| !matches!(it, Action::Start(_)));
            fixture.started(id, pid);
            fixture.actions.retain(|it| !matches!(it, Action::Start(_)));
            fixture.expect_update(id, TaskState::TaskRunning);
        }
    }
    fixture.tick_after(seconds(2));
    let check = fixture.expect_check();
    assert_eq!(check.of.task.task_id.value, "a");
    assert!(check.of.container.is_some());
    fixture.found(check.run, BAD);
    fixture.expect_log("failed");
    assert!(fixture.expect_health("a", false).container_status.is_some());
    fixture.expect_update("a", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(7));
    let exited = |pid| Input::Exited {
        pid,
        ended: TERMINATED,
    };
    fixture.input(exited(7));
    let killed = fixture.expect_update("a", TaskState::TaskKilled);
    assert_eq!(killed.healthy, Some(false));
    fixture.expect_update("b", TaskState::TaskKilling);
    fixture.expect(Action::Terminate(8));
    fixture.input(exited(8));
    let killed = fixture.expect_update("b", TaskState::TaskKilled);
    assert_eq!(killed.healthy, Some(false));
    fixture.input(exited(9));
    let failed = fixture.expect_update("c", TaskState::TaskFailed);
    assert_eq!(failed.healthy, None);
}

#[test]
fn checks_that_say_too_little_are_named() {
    let untyped = HealthCheck {
        r#type: None,
        ..health(0.0, 1)
    };
    let empty = HealthCheck {
        command: None,
        ..health(0.0, 1)
    };
    for (check, text) in [
        (
            untyped,
            "task 't' is not checked: its health check has no known type",
        ),
        (empty, "its COMMAND health check does not say what to check"),
    ] {
        let mut fixture = Fixture::subscribed(false);
        fixture.launch(health_checked("t", check));
        fixture.expect_update("t", TaskState::TaskStarting);
        fixture.expect_start("t");
        fixture.started("t", 7);
        fixture.expect_update("t", TaskState::TaskRunning);
        fixture.expect_log(text);
        fixture.expect_nothing();
    }
}

#[test]
fn probes_say_where_to_look() {
    use tepui_protocol::v1::network_info::Protocol;
    let http = health_check::HttpCheckInfo {
        port: 80,
        path: Some("/x".into()),
        scheme: Some("https".into()),
        protocol: Some(Protocol::IPv6 as i32),
        ..Default::default()
    };
    let tcp = health_check::TcpCheckInfo {
        port: 81,
        ..Default::default()
    };
    let https = Probe::Http {
        tls: true,
        ipv6: true,
        port: 80,
        path: "/x".into(),
    };
    let open = Probe::Tcp {
        ipv6: false,
        port: 81,
    };
    for (kind, probe) in [
        (health_check::Type::Http, https),
        (health_check::Type::Tcp, open),
    ] {
        let check = HealthCheck {
            r#type: Some(kind as i32),
            http: Some(http.clone()),
            tcp: Some(tcp),
            ..health(0.0, 1)
        };
        let mut fixture = Fixture::subscribed(false);
        fixture.run(health_checked("t", check), 7);
        fixture.tick_after(seconds(2));
        assert_eq!(fixture.expect_check().probe, probe);
    }
}
