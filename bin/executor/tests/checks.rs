//! The real program checks tasks: commands, connections and HTTP servers of all manners.
//! When checks are due and what results mean is tested with the state machine.

#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only sees in #[test]"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};
use nix::unistd::{User, geteuid};
use support::{Run, shell};
use tepui_protocol::v1::network_info::Protocol;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{
    CheckInfo, CommandInfo, HealthCheck, TaskInfo, TaskState, TaskStatus, check_info, health_check,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup";

/// A task that only waits.
fn sleeper(check: HealthCheck) -> TaskInfo {
    TaskInfo {
        health_check: Some(Box::new(check)),
        ..shell("t1", "exec sleep 1000")
    }
}

/// A health check that begins at once and ends the task at the first failure.
fn health(kind: health_check::Type) -> HealthCheck {
    HealthCheck {
        r#type: Some(kind as i32),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.0),
        timeout_seconds: Some(0.0),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(1),
        ..Default::default()
    }
}

fn http(port: u16) -> HealthCheck {
    HealthCheck {
        http: Some(health_check::HttpCheckInfo {
            port: u32::from(port),
            path: Some("/health?x=1#y".into()),
            ..Default::default()
        }),
        ..health(health_check::Type::Http)
    }
}

fn tcp(port: u16, protocol: Protocol) -> HealthCheck {
    HealthCheck {
        tcp: Some(health_check::TcpCheckInfo {
            port: u32::from(port),
            protocol: Some(protocol as i32),
        }),
        ..health(health_check::Type::Tcp)
    }
}

fn command(script: &str) -> HealthCheck {
    HealthCheck {
        command: Some(CommandInfo {
            value: Some(script.into()),
            ..Default::default()
        }),
        ..health(health_check::Type::Command)
    }
}

/// Serves HTTP by handing each connection, after its request, to `answer` with its number.
fn serve(address: &str, answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            assert!(
                request.starts_with("GET /health?x=1 HTTP/1.1\r\nHost: "),
                "{request}"
            );
            answer(number, &mut stream);
        }
    });
    port
}

/// Writes an answer; that the other side has heard enough is no failure.
fn write(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// A port of the loopback interface on which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Run {
    /// Launches a task and takes it to TASK_RUNNING.
    fn begin(&mut self, task: TaskInfo) {
        self.launch(task);
        self.expect("t1", TaskState::TaskStarting);
        self.expect("t1", TaskState::TaskRunning);
    }

    fn expect_health(&mut self, healthy: bool) -> TaskStatus {
        let status = self.expect("t1", TaskState::TaskRunning);
        assert_eq!(status.healthy, Some(healthy), "{status:?}");
        assert_eq!(status.reason(), Reason::TaskHealthCheckStatusUpdated);
        status
    }

    /// Takes the updates of a task that its health check ends.
    fn expect_kill(&mut self) {
        self.expect("t1", TaskState::TaskKilling);
        let killed = self.expect("t1", TaskState::TaskKilled);
        assert_eq!(killed.healthy, Some(false));
        assert_eq!(
            killed.message(),
            "Command terminated with signal Terminated"
        );
        assert_eq!(self.exit_code(), Some(0));
    }
}

/// Runs a task with a health check and returns why it fails at once.
fn first_failure(check: HealthCheck) -> String {
    let mut run = Run::subscribed(&[]);
    run.begin(sleeper(check));
    let message = run.expect_health(false).message().to_owned();
    run.expect_kill();
    assert!(
        run.read("stderr")
            .contains(" health check of task 't1' failed: ")
    );
    message
}

/// Runs a task with a health check that must pass at once.
fn passes(check: HealthCheck) {
    let mut run = Run::subscribed(&[]);
    run.begin(sleeper(check));
    run.expect_health(true);
}

#[test]
fn a_server_that_turns_unhealthy_has_its_task_killed() {
    let port = serve("127.0.0.1:0", |number, stream| match number {
        0 | 1 => write(stream, OK),
        _ => write(stream, b"HTTP/1.1 503 Busy\r\n\r\n"),
    });
    let mut run = Run::subscribed(&[]);
    run.begin(sleeper(HealthCheck {
        consecutive_failures: Some(2),
        ..http(port)
    }));
    run.expect_health(true);
    for _ in 0..2 {
        let text = "HTTP health check failed: Unexpected HTTP response code: 503";
        assert_eq!(run.expect_health(false).message(), text);
    }
    run.expect_kill();
}

#[test]
fn a_task_is_looked_at_again_once_the_agent_is_back() {
    let broken = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&broken);
    let port = serve("127.0.0.1:0", move |_, stream| match now.load(SeqCst) {
        false => write(stream, OK),
        true => write(stream, b"HTTP/1.1 500 Broken\r\n\r\n"),
    });
    let mut run = Run::subscribed(&[("MESOS_CHECKPOINT", "1")]);
    run.begin(sleeper(http(port)));
    run.expect_health(true);
    run.cut();
    run.accept_subscribe();
    broken.store(true, SeqCst);
    run.send_subscribed();
    run.expect_health(false);
    run.expect_kill();
}

#[test]
fn answers_count_however_they_come() {
    let slow = |_, stream: &mut TcpStream| {
        for byte in OK {
            write(stream, &[*byte]);
        }
    };
    passes(http(serve("127.0.0.1:0", slow)));
    // What the location says is not looked at.
    let elsewhere = b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n";
    passes(http(serve("127.0.0.1:0", |_, stream| {
        write(stream, elsewhere)
    })));
    let endless = |_, stream: &mut TcpStream| {
        write(stream, b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[0; 1024]).is_ok() {}
    };
    passes(http(serve("127.0.0.1:0", endless)));
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(2000);
    passes(http(serve("127.0.0.1:0", move |_, stream| {
        write(stream, &interim);
        write(stream, OK);
    })));
    let mut over_ipv6 = http(serve("[::1]:0", |_, stream| write(stream, OK)));
    over_ipv6.http.as_mut().unwrap().protocol = Some(Protocol::IPv6 as i32);
    passes(over_ipv6);
}

#[test]
fn broken_answers_fail_with_their_reason() {
    let fails = |bytes: Vec<u8>, reason: &str| {
        let port = serve("127.0.0.1:0", move |_, stream| write(stream, &bytes));
        let message = first_failure(http(port));
        let expected = format!("HTTP health check failed: HTTP request to 127.0.0.1:{port} failed");
        assert_eq!(message, format!("{expected}: {reason}"));
    };
    fails(
        b"HTTP/1.1 200 O".to_vec(),
        "the connection was closed before the head of the answer was complete",
    );
    fails(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec(),
        "the connection was closed before the answer was complete",
    );
    fails(
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
        "the answer is not HTTP/1.1",
    );
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    fails(long.into_bytes(), "the head of the response is too long");
}

#[test]
fn servers_that_cannot_be_asked_fail_with_the_reason() {
    let port = closed_port();
    assert_eq!(
        first_failure(http(port)),
        format!(
            "HTTP health check failed: Failed to connect to 127.0.0.1:{port}: \
             Connection refused (os error 111)"
        )
    );
    let silent = serve("127.0.0.1:0", |_, stream| drop(stream.read(&mut [0])));
    let timed = HealthCheck {
        timeout_seconds: Some(0.25),
        ..http(silent)
    };
    assert_eq!(
        first_failure(timed),
        "HTTP health check failed: HTTP request timed out after 0.25secs"
    );
    let mut unfit = http(port);
    unfit.http.as_mut().unwrap().path = Some("/a b".into());
    assert_eq!(
        first_failure(unfit),
        "HTTP health check failed: The path \"/a b\" contains spaces or control characters"
    );
    let mut no_port = http(port);
    no_port.http.as_mut().unwrap().port = 70_000;
    assert_eq!(
        first_failure(no_port),
        "HTTP health check failed: 70000 is not a port, expected one from 1 to 65535"
    );
}

#[test]
fn ports_are_looked_at() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    passes(tcp(listener.local_addr().unwrap().port(), Protocol::IPv4));
    let listener = TcpListener::bind("[::1]:0").unwrap();
    passes(tcp(listener.local_addr().unwrap().port(), Protocol::IPv6));
    assert_eq!(
        first_failure(tcp(closed_port(), Protocol::IPv4)),
        "TCP health check failed: TCP connection failed"
    );
}

#[test]
fn a_connection_that_hangs_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // A full queue of connections that nobody accepts lets further ones hang.
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut open = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        open.push(stream);
        assert!(open.len() < 100, "the queue does not fill");
    }
    let timed = HealthCheck {
        timeout_seconds: Some(0.25),
        ..tcp(address.port(), Protocol::IPv4)
    };
    assert_eq!(
        first_failure(timed),
        "TCP health check failed: TCP connection timed out after 0.25secs"
    );
}

#[test]
fn a_command_looks_from_the_place_of_its_task() {
    let mut run = Run::subscribed(&[("FROM_EXECUTOR", "1")]);
    let check = command("echo seen by $WHO $FROM_EXECUTOR; test \"$PWD\" = \"$MESOS_SANDBOX\"");
    let mut task = sleeper(check);
    let who = tepui_protocol::v1::environment::Variable {
        name: "WHO".into(),
        value: Some("the task".into()),
        ..Default::default()
    };
    task.command.as_mut().unwrap().environment = Some(tepui_protocol::v1::Environment {
        variables: vec![who],
    });
    run.begin(task);
    run.expect_health(true);
    assert!(run.read("stderr").contains("seen by the task 1\n"));
    assert_eq!(run.read("stdout"), "");
}

#[test]
fn a_command_looks_as_the_user_of_its_task() {
    let user = match geteuid().is_root() {
        true => "nobody".to_owned(),
        false => User::from_uid(geteuid()).unwrap().unwrap().name,
    };
    let mut run = Run::subscribed(&[]);
    fs::set_permissions(run.sandbox.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut check = command("echo looked at by $(id -un)");
    // What the check asks for is not what the task may do.
    check.command.as_mut().unwrap().user = Some("root".into());
    let mut task = sleeper(check);
    task.command.as_mut().unwrap().user = Some(user.clone());
    run.begin(task);
    run.expect_health(true);
    assert!(
        run.read("stderr")
            .contains(&format!("looked at by {user}\n"))
    );
}

#[test]
fn a_command_that_fails_says_how() {
    assert_eq!(
        first_failure(command("exit 3")),
        "COMMAND health check failed: Command exited with status 3"
    );
    assert_eq!(
        first_failure(command("kill -9 $$")),
        "COMMAND health check failed: Command terminated with signal Killed"
    );
    let mut missing = command("/no/such/program");
    missing.command.as_mut().unwrap().shell = Some(false);
    assert_eq!(
        first_failure(missing),
        "COMMAND health check failed: Failed to execute '/no/such/program': \
         No such file or directory (os error 2)"
    );
}

/// A command that ignores SIGTERM, has children in this session and another, and floods its output;
/// all hold the named pipe open.
const STUBBORN: &str = "trap '' TERM; exec 3>pipe; echo up >&3; sleep 1000 & setsid sleep 1000 & \
                        head -c 1000000 /dev/zero; wait";

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    run.begin(sleeper(HealthCheck {
        timeout_seconds: Some(4.0),
        ..command(STUBBORN)
    }));
    assert_eq!(pipe.line().as_deref(), Some("up"));
    let text = "COMMAND health check failed: Command timed out after 4secs";
    assert_eq!(run.expect_health(false).message(), text);
    assert_eq!(pipe.line(), None);
    run.expect_kill();
}

#[test]
fn a_command_ends_with_its_task() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    run.begin(sleeper(command(STUBBORN)));
    assert_eq!(pipe.line().as_deref(), Some("up"));
    run.kill("t1", None);
    run.expect("t1", TaskState::TaskKilling);
    let killed = run.expect("t1", TaskState::TaskKilled);
    assert_eq!(killed.healthy, None);
    assert_eq!(pipe.line(), None);
    assert_eq!(run.exit_code(), Some(0));
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let mut run = Run::subscribed(&[]);
    let pipe = run.pipe("pipe");
    let check = HealthCheck {
        interval_seconds: Some(1e9),
        ..command("exec 3>pipe; sleep 1000 & exit 0")
    };
    run.begin(sleeper(check));
    run.expect_health(true);
    assert_eq!(pipe.line(), None);
}

#[test]
fn the_status_of_a_check_is_told_when_it_changes() {
    let port = serve("127.0.0.1:0", |number, stream| match number {
        0 | 1 => write(stream, OK),
        2 => write(stream, b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"),
        3 => write(stream, b"nonsense\r\n\r\n"),
        _ => write(stream, OK),
    });
    let check = CheckInfo {
        r#type: Some(check_info::Type::Http as i32),
        http: Some(check_info::Http {
            port: u32::from(port),
            path: Some("/health?x=1".into()),
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.0),
        ..Default::default()
    };
    let mut run = Run::subscribed(&[]);
    run.launch(TaskInfo {
        check: Some(Box::new(check)),
        ..shell("t1", "exec sleep 1000")
    });
    let code = |status: &TaskStatus| {
        let check = status.check_status.as_ref().unwrap();
        assert_eq!(check.r#type(), check_info::Type::Http);
        check.http.as_ref().unwrap().status_code
    };
    assert_eq!(code(&run.expect("t1", TaskState::TaskStarting)), None);
    assert_eq!(code(&run.expect("t1", TaskState::TaskRunning)), None);
    for expected in [Some(200), Some(404), None, Some(200)] {
        let status = run.expect("t1", TaskState::TaskRunning);
        assert_eq!(code(&status), expected);
        assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
        assert_eq!(status.healthy, None);
        assert_eq!(status.message.is_some(), expected.is_none());
    }
    run.kill("t1", None);
    run.expect("t1", TaskState::TaskKilling);
    let killed = run.expect("t1", TaskState::TaskKilled);
    assert_eq!((code(&killed), killed.healthy), (None, None));
}

/// The first update of a health check with TLS, on an agent whose only program besides `/bin/sleep`
/// is this script named `curl`.
fn by_curl(script: Option<&str>, healthy: bool) -> TaskStatus {
    let bin = tempfile::TempDir::new().unwrap();
    if let Some(script) = script {
        let path = bin.path().join("curl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut check = http(443);
    check.http.as_mut().unwrap().scheme = Some("https".into());
    let mut run = Run::subscribed(&[("PATH", bin.path().to_str().unwrap())]);
    run.begin(TaskInfo {
        health_check: Some(Box::new(check)),
        ..shell("t1", "exec /bin/sleep 1000")
    });
    run.expect_health(healthy)
}

#[test]
fn pages_with_tls_are_looked_at_by_curl() {
    // The script agrees only with the right last argument.
    let script = "for last; do :; done\n\
                  [ \"$last\" = 'https://127.0.0.1:443/health?x=1' ] && printf 204";
    by_curl(Some(script), true);
    let refused = by_curl(Some("printf 500"), false);
    assert_eq!(
        refused.message(),
        "HTTP health check failed: Unexpected HTTP response code: 500"
    );
    let failed = by_curl(Some("echo 'curl: (7) no' >&2; exit 7"), false);
    assert_eq!(
        failed.message(),
        "HTTP health check failed: curl exited with status 7: curl: (7) no"
    );
    let strange = by_curl(Some("echo hello"), false);
    assert_eq!(
        strange.message(),
        "HTTP health check failed: Unexpected output from curl: \"hello\\n\""
    );
}

#[test]
fn without_curl_pages_with_tls_fail_and_say_why() {
    assert_eq!(
        by_curl(None, false).message(),
        "HTTP health check failed: HTTPS is checked with the program 'curl', which is not \
         installed on this agent"
    );
}
