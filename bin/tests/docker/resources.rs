//! What containers may use and do use, as the Engine and the kernel see it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::until;
use crate::support::framework::{Encoding, decode, scalar};
use crate::support::http;
use crate::{Dockered, FLAGS, engine, name};

const MB: i64 = 1 << 20;

/// What the Engine says that a container may use.
fn limits(name: &str) -> Value {
    let seen = engine::inspect(name).unwrap_or_default();
    let of_host = |key: &str| seen["HostConfig"][key].clone();
    json!({
        "shares": of_host("CpuShares"), "quota": of_host("CpuQuota"),
        "memory": of_host("Memory"), "swap": of_host("MemorySwap"),
        "soft": of_host("MemoryReservation"),
    })
}

#[track_caller]
fn await_limits(name: &str, wanted: &Value) {
    let start = std::time::Instant::now();
    loop {
        let seen = limits(name);
        if seen == *wanted {
            return;
        }
        let is_late = start.elapsed().as_secs() > 30;
        assert!(!is_late, "{name} has {seen}, expected {wanted}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// What the kernel says that a container may have of memory, whatever version its cgroups have.
fn memory_limit(name: &str) -> i64 {
    let seen = engine::inspect(name).expect("the container");
    let path = format!("/proc/{}/cgroup", seen["State"]["Pid"]);
    let cgroups = std::fs::read_to_string(path).expect("its cgroups");
    let find = |mark: &str| cgroups.lines().find_map(|line| line.split_once(mark));
    let path = match find(":memory:") {
        Some((_, path)) => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
        None => {
            let (_, path) = find("0::").expect("a cgroup of version 2");
            format!("/sys/fs/cgroup{path}/memory.max")
        }
    };
    let text = std::fs::read_to_string(path).expect("a limit");
    text.trim().parse().expect("a number")
}

/// The Engine says what is to be before it has told the kernel.
fn await_memory_limit(name: &str, wanted: i64) {
    until("the limit in the kernel", || {
        (memory_limit(name) == wanted).then_some(())
    });
}

/// The test itself, in the place of an executor that sleeps in its container.
struct Executor {
    agent: std::net::SocketAddr,
    framework: String,
    stream: http::Stream,
}

const HEADERS: [(&str, &str); 2] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
];

impl Executor {
    fn subscribe(own: &Dockered) -> Executor {
        let agent = own.cluster.agents[0].address;
        let framework = own.framework.id.clone();
        let call = json!({
            "type": "SUBSCRIBE", "executor_id": {"value": "ex"},
            "framework_id": {"value": framework},
            "subscribe": {"unacknowledged_tasks": [], "unacknowledged_updates": []},
        });
        let body = call.to_string();
        let stream = until("a subscription", || {
            let path = "/api/v1/executor";
            http::open(agent, path, &HEADERS, body.as_bytes()).ok()
        });
        let executor = Executor {
            agent,
            framework,
            stream,
        };
        executor.expect("SUBSCRIBED");
        executor
    }

    fn expect(&self, kind: &str) -> Value {
        loop {
            let patience = std::time::Duration::from_secs(30);
            let chunk = self.stream.chunks.recv_timeout(patience);
            let event = decode(Encoding::Json, &chunk.expect("an event"));
            if event["type"] == kind {
                return event;
            }
        }
    }

    fn says(&self, task: &str, state: &str) {
        let uuid = uuid::Uuid::new_v4();
        let uuid = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, uuid);
        let call = json!({
            "type": "UPDATE", "executor_id": {"value": "ex"},
            "framework_id": {"value": self.framework},
            "update": {"status": {
                "task_id": {"value": task}, "executor_id": {"value": "ex"}, "state": state,
                "source": "SOURCE_EXECUTOR", "uuid": uuid,
            }},
        });
        let body = call.to_string();
        let answer = http::request(
            self.agent,
            "POST",
            "/api/v1/executor",
            &HEADERS,
            body.as_bytes(),
        );
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

fn on_executor(id: &str, offer: &Value, cpus: f64, mem: f64) -> Value {
    json!({
        "name": id, "task_id": {"value": id}, "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", cpus), scalar("mem", mem)],
        "executor": {
            "type": "CUSTOM", "executor_id": {"value": "ex"}, "name": "ex",
            "command": {"value": "exec sleep 1000"},
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
            "container": {"type": "DOCKER", "docker": {"image": engine::IMAGE}},
        },
    })
}

/// Launches a task on the executor, and has it run there.
fn join(own: &mut Dockered, executor: &Executor, id: &str, task: impl Fn(&Value) -> Value) {
    let offer = own.framework.offer();
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task(&offer)]}}]);
    own.framework.accept(&offer, launch, 0.0);
    executor.expect("LAUNCH");
    executor.says(id, "TASK_RUNNING");
    own.framework.await_state(id, "TASK_RUNNING");
}

#[test]
fn what_a_container_may_use_follows_its_tasks() {
    let mut own = Dockered::start("docker-updates");
    let offer = own.framework.offer();
    let first = on_executor("t1", &offer, 0.1, 32.0);
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [first]}}]);
    own.framework.accept(&offer, launch, 0.0);
    let executor = Executor::subscribe(&own);
    executor.expect("LAUNCH");
    executor.says("t1", "TASK_RUNNING");
    let running = own.framework.await_state("t1", "TASK_RUNNING");
    let name = name(&running);
    let limits = |shares: i64, quota: i64, memory: i64, soft: i64| {
        json!({
            "shares": shares, "quota": quota, "memory": memory * MB, "swap": 2 * memory * MB,
            "soft": soft * MB,
        })
    };
    await_limits(&name, &limits(204, 0, 64, 0));

    // More than all the swap that the container had.
    join(&mut own, &executor, "t2", |offer| {
        on_executor("t2", offer, 0.2, 256.0)
    });
    await_limits(&name, &limits(409, 0, 320, 320));
    await_memory_limit(&name, 320 * MB);

    // It may have the memory in use.
    executor.says("t2", "TASK_FINISHED");
    own.framework.await_state("t2", "TASK_FINISHED");
    await_limits(&name, &limits(204, 0, 320, 64));
    await_memory_limit(&name, 320 * MB);

    join(&mut own, &executor, "t3", |offer| {
        let mut task = on_executor("t3", offer, 0.1, 32.0);
        task["limits"] = json!({"cpus": {"value": 0.5}});
        task
    });
    await_limits(&name, &limits(307, 70_000, 320, 96));

    // Another agent gives it what it has to have.
    own.cluster.agents[0].signal(Signal::SIGKILL);
    own.cluster.agents[0].wait();
    let path = format!("/containers/{name}/update");
    let other = json!({"CpuShares": 99, "MemoryReservation": 40 * MB}).to_string();
    let (status, said) = engine::ask("POST", &path, "application/json", other.as_bytes());
    assert_eq!(status, 200, "{said}");
    own.cluster.restart_agent(0, FLAGS);
    let executor = Executor::subscribe(&own);
    await_limits(&name, &limits(307, 70_000, 320, 96));
    executor.says("t1", "TASK_FINISHED");
    own.framework.await_state("t1", "TASK_FINISHED");
    await_limits(&name, &limits(204, 60_000, 320, 64));
}

/// What the agent tells of its only container.
fn statistics(own: &Dockered) -> Option<Value> {
    let agent = own.cluster.agents[0].address;
    let said = http::request(agent, "GET", "/monitor/statistics", &[], &[]).json();
    Some(said.get(0)?["statistics"].clone())
}

#[test]
fn a_command_keeps_its_limits_and_its_use_is_told() {
    let flags = [FLAGS, &["--cgroups_enable_cfs"]].concat();
    let mut own = Dockered::with("docker-usage", &flags);
    let script = "x=$(head -c 8000000 /dev/zero | /bin/busybox tr '\\0' a); i=0; \
                  while [ $i -lt 20000 ]; do i=$((i+1)); done; \
                  echo done > $MESOS_SANDBOX/done; sleep 1000; echo $x";
    own.launch("t", Some(script), json!({}));
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let sandbox = crate::sandbox(&own.work_dir, "t", &running);
    let name = name(&running);
    until("its work", || sandbox.join("done").exists().then_some(()));
    let given = json!({
        "shares": 102, "quota": 10_000, "memory": 64 * MB, "swap": 128 * MB, "soft": 0,
    });
    assert_eq!(limits(&name), given);
    let seen = statistics(&own).expect("statistics");
    let number = |key: &str| {
        seen[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {seen:#}"))
    };
    let rss = number("mem_rss_bytes");
    assert!((8e6..64.0 * MB as f64).contains(&rss), "{seen:#}");
    assert!(number("mem_total_bytes") >= rss, "{seen:#}");
    assert_eq!(seen["mem_limit_bytes"], 64 * MB, "{seen:#}");
    assert_eq!(seen["cpus_soft_limit"], 0.1, "{seen:#}");
    assert_eq!(seen["cpus_limit"], 0.1, "{seen:#}");
    assert!(number("cpus_nr_periods") > 0.0, "{seen:#}");
    let cpu = number("cpus_user_time_secs") + number("cpus_system_time_secs");
    assert!((0.005..60.0).contains(&cpu), "{seen:#}");
    // A shell that waits for a program.
    assert_eq!(seen["threads"], 2, "{seen:#}");

    own.cluster.agents[0].signal(Signal::SIGKILL);
    own.cluster.agents[0].wait();
    own.cluster.restart_agent(0, &flags);
    own.cluster.wait_for_agents(1);
    let again = until("statistics", || statistics(&own));
    assert_eq!(again["mem_limit_bytes"], 64 * MB, "{again:#}");
    assert_eq!(limits(&name), given);
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
    own.wait_until_nothing_is_left();
}

#[test]
fn what_may_use_more_than_it_is_given_is_ended_sooner() {
    let mut own = Dockered::start("docker-burst");
    let offer = own.framework.offer();
    let mut task = crate::task("t", &offer, Some("exec sleep 1000"), json!({}));
    task["limits"] = json!({"mem": {"value": 128.0}});
    own.framework.launch(&offer, &[task]);
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let given = limits(&name(&running));
    assert_eq!(given["memory"], 128 * MB, "{given}");
    assert_eq!(given["soft"], 64 * MB, "{given}");
    let seen = engine::inspect(&name(&running)).expect("the container");
    let path = format!("/proc/{}/oom_score_adj", seen["State"]["Pid"]);
    let adjustment = std::fs::read_to_string(path).expect("a score");
    let adjustment: i64 = adjustment.trim().parse().expect("a number");
    assert!((900..1000).contains(&adjustment), "{adjustment}");
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
}
