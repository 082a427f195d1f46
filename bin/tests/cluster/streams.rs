//! Very many streams of events that nobody reads: they cost little, and others are served meanwhile.
//! What streams tell is tested elsewhere.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::support::cluster::{Cluster, Program, metric, until};
use crate::support::framework::{Framework, task};
use crate::support::http;
use crate::support::marathon::Marathon;

/// Streams that are open at a time.
const STREAMS: usize = 1000;

/// Longest time that opening them all may take, also where the machine is busy with other tests.
const LIMIT: Duration = Duration::from_secs(120);

/// What a stream may take of the server's memory, in KiB.
const MAX_STREAM_KIB: usize = 64;

/// Lets this process, and those that it starts, have files enough for all streams.
fn allow_open_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = 4 * STREAMS as u64;
    assert!(
        hard >= wanted,
        "at least {wanted} files must be allowed, not {hard}"
    );
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).expect("a higher limit");
}

/// Memory of a program, in KiB.
fn memory(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid()));
    let status = status.expect("a running program");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|it| it.parse().ok()).expect("its memory")
}

/// Opens all streams; nobody reads them.
fn open(to: SocketAddr, method: &str, path: &str, body: &[u8], kind: &str) -> Vec<TcpStream> {
    let headers = [("Content-Type", "application/json"), ("Accept", kind)];
    let streams = (0..STREAMS).map(|_| http::send(to, method, path, &headers, body));
    streams.collect::<Result<_, _>>().expect("connections")
}

/// What all streams have cost must be bounded, in time and in memory.
fn must_be_cheap(program: &Program, before: usize, began: Instant) {
    let grown = memory(program).saturating_sub(before);
    let took = began.elapsed();
    eprintln!("{STREAMS} streams: {} KiB each, {took:?}", grown / STREAMS);
    assert!(
        grown < STREAMS * MAX_STREAM_KIB,
        "{grown} KiB for {STREAMS} streams"
    );
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn very_many_idle_streams_of_the_operator_api_do_no_harm() {
    allow_open_files();
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let (before, began) = (memory(&cluster.master), Instant::now());
    let subscribe = json!({"type": "SUBSCRIBE"}).to_string();
    let kind = "application/json";
    let idle = open(master, "POST", "/api/v1", subscribe.as_bytes(), kind);
    let streams = || metric(master, "master/operator_event_stream_subscribers");
    until("all streams", || {
        (streams() == STREAMS as f64).then_some(())
    });
    let mut framework = Framework::simple(master, "busy", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("t", &offer, "exit 0")]);
    framework.await_state("t", "TASK_FINISHED");
    framework.teardown();
    assert_eq!(streams(), STREAMS as f64);
    must_be_cheap(&cluster.master, before, began);
    drop(idle);
    until("the end of all streams", || {
        (streams() == 0.0).then_some(())
    });
}

#[test]
fn very_many_idle_streams_of_an_app_manager_do_no_harm() {
    allow_open_files();
    let cluster = Cluster::start(1);
    let marathon = Marathon::start(cluster.dir.path(), cluster.master.address, &[]);
    marathon.get("/v2/apps");
    let (before, began) = (memory(&marathon.program), Instant::now());
    let idle = open(
        marathon.address(),
        "GET",
        "/v2/events",
        &[],
        "text/event-stream",
    );
    let streams = || {
        let metrics = marathon.get("/metrics");
        metrics["gauges"]["marathon.http.event-streams.active.gauge"]["value"].as_u64()
    };
    until("all streams", || {
        (streams() == Some(STREAMS as u64)).then_some(())
    });
    let app = json!({"id": "/a", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 8,
        "portDefinitions": []});
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_running("/a", 1);
    marathon.await_deployments();
    assert_eq!(streams(), Some(STREAMS as u64));
    must_be_cheap(&marathon.program, before, began);
    drop(idle);
    until("the end of all streams", || {
        (streams() == Some(0)).then_some(())
    });
}
