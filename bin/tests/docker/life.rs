//! Tasks and executors in containers: what they find inside, how they end, and that they outlive
//! their agent.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::cluster::until;
use crate::{Dockered, FLAGS, engine, name, read, sandbox};

fn executor_pid(status: &Value) -> i32 {
    let pid = status["container_status"]["executor_pid"].as_i64();
    i32::try_from(pid.expect("a process")).expect("a process id")
}

#[test]
fn a_task_runs_in_its_container_and_its_output_is_in_the_sandbox() {
    let mut own = Dockered::start("docker-runs");
    let script = "cat /marker; echo oops >&2; echo $MESOS_CONTAINER_NAME > $MESOS_SANDBOX/name; \
                  cat $MESOS_SANDBOX/go 2>/dev/null; while ! cat $MESOS_SANDBOX/go; do sleep 0.1; done \
                  2>/dev/null; exit 3";
    own.launch("t", Some(script), json!({}));
    assert_eq!(own.framework.update("t")["state"], "TASK_STARTING");
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let name = name(&running);
    let seen = engine::inspect(&name).expect("the container");
    assert_eq!(seen["HostConfig"]["NetworkMode"], "host");
    assert_eq!(seen["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(seen["HostConfig"]["CpuShares"], 102);
    assert!(running["data"].is_string(), "{running:#}");
    let sandbox = sandbox(&own.work_dir, "t", &running);
    until("the file from inside", || {
        let text = std::fs::read_to_string(sandbox.join("name")).ok()?;
        (text.trim() == name).then_some(())
    });
    std::fs::write(sandbox.join("go"), "on\n").expect("a file");
    let failed = own.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["message"], "Container exited with status 3");
    assert_eq!(read(sandbox.join("stdout")), "inside\non\n");
    assert_eq!(read(sandbox.join("stderr")), "oops\n");
    own.wait_until_nothing_is_left();
}

#[test]
fn an_image_says_what_it_runs_and_parameters_change_it() {
    let mut own = Dockered::start("docker-parameters");
    own.launch("image", None, json!({}));
    let running = own.framework.await_state("image", "TASK_RUNNING");
    own.framework.await_state("image", "TASK_FINISHED");
    let stdout = sandbox(&own.work_dir, "image", &running).join("stdout");
    assert_eq!(read(stdout), "of the image\n");

    let parameters: Vec<Value> = [
        ("env", "GREETING=hello"),
        ("hostname", "some-host"),
        ("user", "65534"),
        ("workdir", "/bin"),
        ("ulimit", "nofile=77:88"),
        ("label", "who=me"),
        ("add-host", "elsewhere:10.9.8.7"),
        ("init", "true"),
        ("tmpfs", "/scratch"),
    ]
    .iter()
    .map(|(key, value)| json!({"key": key, "value": value}))
    .collect();
    let script = "echo $GREETING $(hostname) $(id -u) $PWD $(ulimit -n); cat /etc/hosts | tail -n 2; \
         echo $(cat /proc/1/comm) $(/bin/busybox grep -c ' /scratch tmpfs' /proc/mounts); \
         echo end; exec sleep 1000";
    let docker = json!({"parameters": parameters, "network": "BRIDGE"});
    own.launch("changed", Some(script), docker);
    let running = own.framework.await_state("changed", "TASK_RUNNING");
    let output = sandbox(&own.work_dir, "changed", &running).join("stdout");
    let said = until("all it says", || {
        let said = read(&output);
        said.ends_with("end\n").then_some(said)
    });
    own.framework.kill("changed");
    own.framework.await_state("changed", "TASK_KILLED");
    assert!(
        said.starts_with("hello some-host 65534 /bin 77\n"),
        "{said}"
    );
    assert!(said.contains("10.9.8.7\telsewhere"), "{said}");
    assert!(said.ends_with("\ndocker-init 1\nend\n"), "{said}");
    let infos = &running["container_status"]["network_infos"];
    let address = infos[0]["ip_addresses"][0]["ip_address"].as_str();
    assert!(
        address.is_some_and(|it| it.starts_with("172.")),
        "{infos:#}"
    );
}

#[test]
fn a_container_outlives_its_agent_and_no_output_is_lost() {
    let mut own = Dockered::start("docker-restart");
    let script = "i=0; while ! cat $MESOS_SANDBOX/stop 2>/dev/null; do i=$((i+1)); echo line $i; \
                  sleep 0.02; done; echo last $i; exit 7";
    own.launch("kept", Some(script), json!({}));
    let running = own.framework.await_state("kept", "TASK_RUNNING");
    let sandbox = sandbox(&own.work_dir, "kept", &running);
    own.cluster.agents[0].signal(Signal::SIGKILL);
    own.cluster.agents[0].wait();
    let before = read(sandbox.join("stdout")).lines().count();
    until("output without an agent", || {
        (read(sandbox.join("stdout")).lines().count() > before + 10).then_some(())
    });
    own.cluster.restart_agent(0, FLAGS);
    own.cluster.wait_for_agents(1);
    assert_eq!(own.containers(), [name(&running)]);
    std::fs::write(sandbox.join("stop"), "").expect("a file");
    let failed = own.framework.await_state("kept", "TASK_FAILED");
    assert_eq!(failed["message"], "Container exited with status 7");
    let said = read(sandbox.join("stdout"));
    let lines: Vec<&str> = said.lines().collect();
    let (last, numbered) = lines.split_last().expect("lines");
    assert_eq!(*last, format!("last {}", numbered.len()));
    for (index, line) in numbered.iter().enumerate() {
        assert_eq!(*line, format!("line {}", index + 1));
    }
    own.wait_until_nothing_is_left();
}

#[test]
fn a_kill_gives_the_container_its_time() {
    let mut own = Dockered::start("docker-kill");
    let polite = "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.1; done";
    let offer = own.framework.offer();
    let mut task = crate::task("polite", &offer, Some(polite), json!({}));
    task["kill_policy"] = json!({"grace_period": {"nanoseconds": 20_000_000_000_i64}});
    own.framework.launch(&offer, &[task]);
    let running = own.framework.await_state("polite", "TASK_RUNNING");
    let stdout = sandbox(&own.work_dir, "polite", &running).join("stdout");
    until("its trap", || read(&stdout).contains("ready").then_some(()));
    own.framework.kill("polite");
    assert_eq!(own.framework.update("polite")["state"], "TASK_KILLING");
    let killed = own.framework.await_state("polite", "TASK_KILLED");
    assert_eq!(killed["message"], "Container exited with status 0");
    assert!(read(&stdout).ends_with("bye\n"));

    // A first process without a handler does not mind SIGTERM.
    own.launch("stubborn", Some("exec sleep 1000"), json!({}));
    own.framework.await_state("stubborn", "TASK_RUNNING");
    own.framework.kill("stubborn");
    let killed = own.framework.await_state("stubborn", "TASK_KILLED");
    assert_eq!(killed["message"], "Container exited with status 137");
    own.wait_until_nothing_is_left();
}

#[test]
fn the_flag_says_how_long_a_container_has_to_end() {
    let flags = [FLAGS, &["--docker_stop_timeout=20secs"]].concat();
    let mut own = Dockered::with("docker-grace", &flags);
    let polite = "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.1; done";
    own.launch("t", Some(polite), json!({}));
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let stdout = sandbox(&own.work_dir, "t", &running).join("stdout");
    until("its trap", || read(&stdout).contains("ready").then_some(()));
    own.framework.kill("t");
    let killed = own.framework.await_state("t", "TASK_KILLED");
    assert_eq!(killed["message"], "Container exited with status 0");
    assert!(read(&stdout).ends_with("bye\n"));
}

#[test]
fn a_terminal_writes_to_the_sandbox_too() {
    let mut own = Dockered::start("docker-terminal");
    let parameters = ["tty", "interactive"].map(|key| json!({"key": key, "value": "true"}));
    let script = "/bin/busybox test -t 1 && echo terminal; echo oops >&2; exit 4";
    own.launch("t", Some(script), json!({"parameters": parameters}));
    let failed = own.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["message"], "Container exited with status 4");
    let stdout = sandbox(&own.work_dir, "t", &failed).join("stdout");
    assert_eq!(read(stdout), "terminal\r\noops\r\n");
}

#[test]
fn output_is_rotated_as_the_task_says() {
    let flags = [FLAGS, &["--container_logger=logrotate"]].concat();
    let mut own = Dockered::with("docker-logs", &flags);
    let mut launch = |id: &str, size: &str| {
        let offer = own.framework.offer();
        let mut task = crate::task(id, &offer, Some("/bin/busybox seq 1 5000"), json!({}));
        task["resources"] = json!([crate::scalar("cpus", 0.1), crate::scalar("mem", 64.0)]);
        task["command"]["environment"] = json!({"variables": [
            {"name": "CONTAINER_LOGGER_MAX_STDOUT_SIZE", "value": size},
        ]});
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
        own.framework.accept(&offer, launch, 0.0);
        own.framework.await_end(id)
    };
    let refused = launch("refused", "much");
    assert_eq!(refused["state"], "TASK_FAILED");
    let message = refused["message"].as_str().expect("a message");
    let words = "'CONTAINER_LOGGER_MAX_STDOUT_SIZE': 'much' is not a size";
    assert!(message.contains(words), "{message}");
    let ended = launch("t", "8KB");
    assert_eq!(ended["state"], "TASK_FINISHED");
    let sandbox = sandbox(&own.work_dir, "t", &ended);
    let files = ["stdout.3", "stdout.2", "stdout.1", "stdout"];
    let expected: Vec<String> = (1..=5000).map(|number| number.to_string()).collect();
    until("all lines in small files", || {
        let texts =
            files.map(|name| std::fs::read_to_string(sandbox.join(name)).unwrap_or_default());
        assert!(texts.iter().all(|text| text.len() <= 8192));
        let all = texts.concat();
        (all.lines().collect::<Vec<_>>() == expected).then_some(())
    });
}

#[test]
fn what_ended_before_the_agent_did_is_removed_and_orphans_are_left_if_so_asked() {
    let given = [
        "--containerizers=docker,mesos",
        "--docker_kill_orphans=false",
        "--docker_remove_delay=10secs",
        "--executor_reregistration_timeout=15secs",
    ];
    let mut own = Dockered::with("docker-left", &given);
    let mut seen = Vec::new();
    for (id, command, state) in [
        ("runs", "exec sleep 1000", "TASK_RUNNING"),
        ("ended", "true", "TASK_FINISHED"),
    ] {
        let offer = own.framework.offer();
        let mut task = crate::task(id, &offer, Some(command), json!({}));
        task["resources"] = json!([crate::scalar("cpus", 0.1), crate::scalar("mem", 64.0)]);
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
        own.framework.accept(&offer, launch, 0.0);
        let status = own.framework.await_state(id, state);
        seen.push((name(&status), executor_pid(&status)));
    }
    let (orphan, pid) = seen.swap_remove(0);
    own.cluster.agents[0].signal(Signal::SIGKILL);
    own.cluster.agents[0].wait();
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("signal");
    assert_eq!(own.containers().len(), 2);
    own.cluster.restart_agent(0, &given);
    own.framework.await_state("runs", "TASK_FAILED");
    until("the removal of what has ended", || {
        (own.containers() == [orphan.clone()]).then_some(())
    });
    let seen = engine::inspect(&orphan).expect("the container");
    assert_eq!(seen["State"]["Running"], true);
}

#[test]
fn a_container_without_its_executor_is_ended_and_that_of_another_agent_is_not() {
    let mut own = Dockered::start("docker-orphan");
    let mut other = Dockered::start("docker-neighbour");
    for one in [&mut own, &mut other] {
        one.launch("t", Some("exec sleep 1000"), json!({}));
    }
    let running = own.framework.await_state("t", "TASK_RUNNING");
    other.framework.await_state("t", "TASK_RUNNING");
    own.cluster.agents[0].signal(Signal::SIGKILL);
    own.cluster.agents[0].wait();
    kill(Pid::from_raw(executor_pid(&running)), Signal::SIGKILL).expect("signal");
    assert_eq!(own.containers().len(), 1);
    own.cluster.restart_agent(0, FLAGS);
    let failed = own.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    own.wait_until_nothing_is_left();
    let name = other.containers().pop().expect("the neighbour's container");
    let seen = engine::inspect(&name).expect("the container");
    assert_eq!(seen["State"]["Running"], true);
}

#[test]
fn checks_look_from_inside() {
    let mut own = Dockered::start("docker-checks");
    let offer = own.framework.offer();
    // Only the container's own loopback interface has this port.
    let script = "echo page > /index.html; httpd -f -h / -p 127.0.0.1:8080";
    let mut tasks = Vec::new();
    for (id, kind, body) in [
        (
            "command",
            "COMMAND",
            json!({"command": {"value": "cat /marker"}}),
        ),
        (
            "http",
            "HTTP",
            json!({"http": {"port": 8080, "path": "/index.html"}}),
        ),
        ("tcp", "TCP", json!({"tcp": {"port": 8080}})),
    ] {
        let mut task = crate::task(id, &offer, Some(script), json!({"network": "BRIDGE"}));
        task["resources"] = json!([crate::scalar("cpus", 0.1), crate::scalar("mem", 64.0)]);
        let mut check = json!({"type": kind, "delay_seconds": 0, "interval_seconds": 0.1});
        for (key, value) in body.as_object().expect("an object") {
            check[key] = value.clone();
        }
        task["health_check"] = check;
        tasks.push(task);
    }
    own.framework.launch(&offer, &tasks);
    for id in ["command", "http", "tcp"] {
        own.framework.await_state(id, "TASK_RUNNING");
        let healthy = own.framework.await_state(id, "TASK_RUNNING");
        assert_eq!(healthy["healthy"], true, "{healthy:#}");
        own.framework.kill(id);
        own.framework.await_state(id, "TASK_KILLED");
    }
}

#[test]
fn an_executor_in_a_container_has_its_own_environment() {
    let mut own = Dockered::start("docker-executor");
    let offer = own.framework.offer();
    let script = "echo $MESOS_EXECUTOR_ID $MESOS_SANDBOX $OWN; exit 5";
    let task = json!({
        "name": "t", "task_id": {"value": "t"}, "agent_id": offer["agent_id"],
        "resources": [crate::scalar("cpus", 0.1), crate::scalar("mem", 32.0)],
        "executor": {
            "type": "CUSTOM", "executor_id": {"value": "t"}, "name": "t",
            "command": {"value": script, "environment": {"variables": [
                {"name": "OWN", "value": "mine"}]}},
            "resources": [crate::scalar("cpus", 0.1), crate::scalar("mem", 32.0)],
            "container": {"type": "DOCKER", "docker": {"image": engine::IMAGE}},
        },
    });
    own.framework.launch(&offer, &[task]);
    let failed = own.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    let runs = own.work_dir.join("slaves/latest/frameworks");
    let framework = std::fs::read_dir(runs)
        .expect("frameworks")
        .flatten()
        .next();
    let latest = framework
        .expect("a framework")
        .path()
        .join("executors/t/runs/latest");
    assert_eq!(read(latest.join("stdout")), "t /mnt/mesos/sandbox mine\n");
    own.wait_until_nothing_is_left();
}
