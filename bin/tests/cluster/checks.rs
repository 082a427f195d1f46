//! Checks and health checks of tasks, from the framework's call to its updates.
//! The manners of servers and commands are tested with the executor alone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::framework::{Framework, task};

/// A health check that begins at once.
fn health_check(kind: &str, failures: u32) -> Value {
    json!({
        "type": kind, "delay_seconds": 0.0, "interval_seconds": 0.1, "timeout_seconds": 60.0,
        "grace_period_seconds": 0.0, "consecutive_failures": failures,
    })
}

/// Answers HTTP requests with the status that the returned number holds at that time.
fn server() -> (u16, Arc<AtomicU16>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let status = Arc::new(AtomicU16::new(200));
    let current = Arc::clone(&status);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let status = current.load(Ordering::SeqCst);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n"
            );
        }
    });
    (port, status)
}

#[test]
fn a_task_that_turns_unhealthy_is_killed() {
    let cluster = Cluster::start(1);
    let mut framework =
        Framework::simple(cluster.master.address, "health", &["TASK_KILLING_STATE"]);
    let offer = framework.offer();
    let (port, status) = server();
    let mut web = task("web", &offer, "exec sleep 1000");
    web["health_check"] = health_check("HTTP", 2);
    web["health_check"]["http"] = json!({"port": port, "path": "/health"});
    framework.launch(&offer, &[web]);
    assert_eq!(framework.update("web")["state"], "TASK_STARTING");
    let running = framework.update("web");
    assert_eq!(running["state"], "TASK_RUNNING");
    assert!(running["healthy"].is_null(), "{running}");

    let mut updates = vec![framework.update("web")];
    status.store(500, Ordering::SeqCst);
    updates.extend([framework.update("web"), framework.update("web")]);
    for (update, healthy) in updates.iter().zip([true, false, false]) {
        assert_eq!(update["state"], "TASK_RUNNING");
        assert_eq!(update["healthy"], healthy, "{update}");
        assert_eq!(update["reason"], "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED");
        assert_eq!(update["source"], "SOURCE_EXECUTOR");
    }
    assert_eq!(framework.update("web")["state"], "TASK_KILLING");
    let killed = framework.update("web");
    assert_eq!(killed["state"], "TASK_KILLED");
    assert_eq!(killed["healthy"], false);
    assert!(killed["reason"].is_null(), "{killed}");
    assert_eq!(
        killed["message"],
        "Command terminated with signal Terminated"
    );
}

#[test]
fn a_task_becomes_healthy_and_its_check_changes() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "ready", &[]);
    let offer = framework.offer();
    let file = cluster.dir.path().join("ready");
    let look = json!({"value": format!("test -e {}", file.display())});
    let mut late = task("late", &offer, "exec sleep 1000");
    late["health_check"] = health_check("COMMAND", 1);
    late["health_check"]["command"] = look.clone();
    // Failures before the first success do not count for so long.
    late["health_check"]["grace_period_seconds"] = json!(1e6);
    late["check"] = json!({
        "type": "COMMAND", "command": {"command": look},
        "delay_seconds": 0.0, "interval_seconds": 0.1, "timeout_seconds": 60.0,
    });
    framework.launch(&offer, &[late]);
    let starting = framework.update("late");
    let running = framework.update("late");
    for (update, state) in [(starting, "TASK_STARTING"), (running, "TASK_RUNNING")] {
        assert_eq!(update["state"], state);
        assert_eq!(
            update["check_status"],
            json!({"type": "COMMAND", "command": {}})
        );
    }
    let failing = framework.update("late");
    assert_eq!(failing["reason"], "REASON_TASK_CHECK_STATUS_UPDATED");
    assert_eq!(failing["check_status"]["command"]["exit_code"], 1);
    assert!(failing["healthy"].is_null(), "{failing}");

    std::fs::write(&file, "").expect("a file");
    let mut reasons = Vec::new();
    let (first, last) = (framework.update("late"), framework.update("late"));
    for update in [&first, &last] {
        assert_eq!(update["state"], "TASK_RUNNING");
        reasons.push(update["reason"].as_str().unwrap_or_default());
    }
    // Which of the two is due first is open.
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "REASON_TASK_CHECK_STATUS_UPDATED",
            "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
        ]
    );
    assert_eq!(last["healthy"], true);
    assert_eq!(last["check_status"]["command"]["exit_code"], 0);
    framework.kill("late");
    let killed = framework.await_state("late", "TASK_KILLED");
    assert!(killed["healthy"].is_null(), "{killed}");
}

#[test]
fn a_health_check_that_says_too_little_is_refused() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "invalid", &[]);
    let offer = framework.offer();
    let mut bad = task("bad", &offer, "true");
    bad["health_check"] = health_check("TCP", 1);
    framework.launch(&offer, &[bad]);
    let error = framework.await_state("bad", "TASK_ERROR");
    assert_eq!(
        error["message"],
        "Task uses invalid health check: Expecting 'tcp' to be set for TCP health check"
    );
}

/// A check that begins at once.
fn check(kind: &str) -> Value {
    json!({
        "type": kind, "delay_seconds": 0.0, "interval_seconds": 0.1, "timeout_seconds": 60.0,
    })
}

/// What a check has found next.
fn checked(framework: &mut Framework, task: &str) -> Value {
    loop {
        let update = framework.update(task);
        assert!(update["healthy"].is_null(), "{update}");
        if update["reason"] == "REASON_TASK_CHECK_STATUS_UPDATED" {
            assert_eq!(update["state"], "TASK_RUNNING", "{update}");
            return update["check_status"].clone();
        }
    }
}

#[test]
fn checks_of_servers_say_what_they_find_and_end_nothing() {
    let cluster = Cluster::start(1);
    let mut framework = Framework::simple(cluster.master.address, "servers", &[]);
    let offer = framework.offer();
    let (page, status) = server();
    let mut web = task("web", &offer, "exec sleep 1000");
    web["check"] = check("HTTP");
    web["check"]["http"] = json!({"port": page, "path": "/here"});
    // It has an address, and listens later.
    let kind = SockType::Stream;
    let own = socket(AddressFamily::Inet, kind, SockFlag::empty(), None).expect("a socket");
    bind(own.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("an address");
    let port = getsockname::<SockaddrIn>(own.as_raw_fd());
    let mut late = task("late", &offer, "exec sleep 1000");
    late["check"] = check("TCP");
    late["check"]["tcp"] = json!({"port": port.expect("an address").port()});
    framework.launch(&offer, &[web, late]);
    for (id, kind, empty) in [("web", "HTTP", "http"), ("late", "TCP", "tcp")] {
        let starting = framework.update(id);
        assert_eq!(starting["check_status"], json!({"type": kind, empty: {}}));
    }
    let found = |code: u16| json!({"type": "HTTP", "http": {"status_code": code}});
    assert_eq!(checked(&mut framework, "web"), found(200));
    status.store(503, Ordering::SeqCst);
    assert_eq!(checked(&mut framework, "web"), found(503));
    let found = |succeeded: bool| json!({"type": "TCP", "tcp": {"succeeded": succeeded}});
    assert_eq!(checked(&mut framework, "late"), found(false));
    listen(&own, Backlog::new(8).expect("a backlog")).expect("a listening socket");
    assert_eq!(checked(&mut framework, "late"), found(true));
    for id in ["web", "late"] {
        framework.kill(id);
        framework.await_state(id, "TASK_KILLED");
    }
}
