//! Containers in cgroups and namespaces, as the kernel shows them. Needs root, and cgroups of
//! either version at `/sys/fs/cgroup`.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::agent_restart::{PATIENT, careful, is_alive};
use crate::support::cgroups::{Cgroups, Figure, need_root, shares};
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Encoding, Framework, scalar, task};
use crate::support::http;

/// Everything that can be isolated without asking for more.
pub(super) const ALL: &str = "cgroups/cpu,cgroups/mem,cgroups/pids,filesystem/linux,namespaces/pid,\
                   namespaces/ipc,posix/rlimits,linux/capabilities,linux/nnp,disk/du";

/// A cluster whose agent isolates, and a framework. Its cgroups are gone with it.
pub(super) struct Isolated {
    pub(super) cluster: Option<Cluster>,
    pub(super) framework: Framework,
    pub(super) cgroups: Cgroups,
    flags: Vec<String>,
}

impl Isolated {
    pub(super) fn with(name: &str, isolation: &str, more: &[&str]) -> Isolated {
        let isolation = format!("--isolation={isolation}");
        let mut flags = vec!["--launcher=linux", &isolation];
        flags.extend(more);
        Isolated::started(name, &flags)
    }

    /// With these flags, and cgroups of its own if it has any.
    fn started(name: &str, flags: &[&str]) -> Isolated {
        need_root();
        let root = format!("tepui-test-{name}-{}", std::process::id());
        let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--cgroups_root={root}"));
        flags.extend(PATIENT.iter().map(|flag| (*flag).to_owned()));
        let given: Vec<&str> = flags.iter().map(String::as_str).collect();
        let cluster = Cluster::with(1, &[], &given);
        let master = cluster.master.address;
        let framework = Framework::subscribe(master, Encoding::Json, careful(name));
        Isolated {
            cluster: Some(cluster),
            framework,
            cgroups: Cgroups { root },
            flags,
        }
    }

    pub(super) fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("it runs")
    }

    /// The answer of the agent at a path.
    pub(super) fn agent(&mut self, path: &str) -> Value {
        let address = self.cluster().agents[0].address;
        http::request(address, "GET", path, &[], &[]).json()
    }

    pub(super) fn restart_agent(&mut self) {
        self.restart_agent_with(&[]);
    }

    /// With further flags, which win over those it had.
    pub(super) fn restart_agent_with(&mut self, more: &[&str]) {
        let more = more.iter().map(|flag| (*flag).to_owned());
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let mut flags = self.flags.clone();
        for flag in more {
            flags.retain(|known| name(known) != name(&flag));
            flags.push(flag);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.cluster().restart_agent(0, &flags);
        self.cluster().wait_for_agents(1);
    }

    pub(super) fn wait_until_nothing_is_left(&mut self) {
        until("the end of all cgroups", || {
            self.cgroups.containers().is_empty().then_some(())
        });
        let records = self.cluster().work_dir(0).join("meta/containers");
        until("the end of all records", || {
            let left = std::fs::read_dir(&records).expect("records").count();
            (left == 0).then_some(())
        });
    }

    /// The sandbox of the only container, as the agent tells it.
    pub(super) fn sandbox(&mut self, executor: &str) -> PathBuf {
        let work_dir = self.cluster().work_dir(0);
        let state = self.agent("/state");
        let frameworks = state["frameworks"].as_array().expect("frameworks").clone();
        let completed = state["completed_frameworks"]
            .as_array()
            .expect("list")
            .clone();
        let lists = frameworks.iter().chain(&completed);
        let executors = lists.flat_map(|framework| {
            ["executors", "completed_executors"]
                .into_iter()
                .flat_map(|key| framework[key].as_array().cloned().unwrap_or_default())
        });
        let mut found = executors.filter(|known| known["id"] == executor);
        let directory = found.next().expect("executor")["directory"].clone();
        let directory = PathBuf::from(directory.as_str().expect("path"));
        assert!(directory.starts_with(work_dir.canonicalize().expect("work dir")));
        directory
    }
}

impl Drop for Isolated {
    fn drop(&mut self) {
        drop(self.cluster.take());
        // A test that has failed leaves its tasks, as an agent that stops does.
        self.cgroups.remove();
    }
}

pub(super) fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn namespace(pid: i64, kind: &str) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("namespace")
}

pub(super) fn executor_pid(status: &Value) -> i64 {
    status["container_status"]["executor_pid"]
        .as_i64()
        .expect("pid")
}

/// A task with these resources and limits of memory in MB.
pub(super) fn sized(id: &str, offer: &Value, mem: f64, command: &str) -> Value {
    let mut task = task(id, offer, command);
    task["resources"] = json!([
        scalar("cpus", 0.5),
        scalar("mem", mem),
        scalar("disk", 16.0)
    ]);
    task
}

#[test]
fn a_container_is_in_its_cgroups_and_namespaces() {
    let mut isolated = Isolated::with("all", ALL, &["--cgroups_enable_cfs"]);
    let offer = isolated.framework.offer();
    let command = "exec sleep 1000";
    isolated
        .framework
        .launch(&offer, &[sized("t", &offer, 96.0, command)]);
    let running = isolated.framework.await_state("t", "TASK_RUNNING");
    let pid = executor_pid(&running);
    let container = running["container_status"]["container_id"]["value"]
        .as_str()
        .expect("container")
        .to_owned();
    isolated.cgroups.assert_holds(pid, &container);
    for kind in ["pid", "ipc", "mnt"] {
        let host = namespace(i64::from(std::process::id()), kind);
        assert_ne!(namespace(pid, kind), host, "{kind}");
    }
    let status = read(format!("/proc/{pid}/status"));
    assert!(
        status.lines().any(|line| line == "NoNewPrivs:\t1"),
        "{status}"
    );
    // What the task and its executor have together: 96 + 32 MB, 0.5 + 0.1 CPUs.
    let figure = |figure| isolated.cgroups.figure(&container, figure);
    assert_eq!(figure(Figure::MemoryLimit), (128 << 20).to_string());
    // 1024 shares for each CPU.
    assert_eq!(figure(Figure::CpuShares), shares(614));
    assert_eq!(figure(Figure::CpuQuota), "60000");

    let shown = isolated.agent("/monitor/statistics");
    let statistics = &shown[0]["statistics"];
    assert_eq!(statistics["mem_limit_bytes"], json!(128 << 20));
    for figure in ["mem_rss_bytes", "mem_total_bytes", "cpus_user_time_secs"] {
        assert!(
            statistics[figure].as_f64().is_some_and(|it| it >= 0.0),
            "{figure}: {shown}"
        );
    }
    assert!(statistics["cpus_nr_periods"].is_u64(), "{shown}");
    assert!(
        statistics["threads"].as_u64().is_some_and(|it| it >= 2),
        "{shown}"
    );

    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

/// The state of a task that leaves a process behind which is nobody's child, and of which the process
/// group knows nothing; its pid is in a file.
fn launch_with_daemon(isolated: &mut Isolated, id: &str) -> (i64, i32) {
    let offer = isolated.framework.offer();
    let command = "(setsid sh -c 'echo $$ > daemon; exec sleep 1000' &); sleep 1000";
    isolated
        .framework
        .launch(&offer, &[sized(id, &offer, 32.0, command)]);
    let running = isolated.framework.await_state(id, "TASK_RUNNING");
    let file = isolated.sandbox(id).join("daemon");
    let daemon = until("the daemon", || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.trim().parse().ok()
    });
    (executor_pid(&running), daemon)
}

#[test]
fn root_gets_cgroups_without_asking() {
    let mut isolated = Isolated::started("default", &[]);
    assert_eq!(isolated.agent("/flags")["flags"]["launcher"], "linux");
    let (pid, daemon) = launch_with_daemon(&mut isolated, "t");
    let cgroups = read(format!("/proc/{pid}/cgroup"));
    assert!(cgroups.contains(&isolated.cgroups.root), "{cgroups}");
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    until("the daemon's end", || (!is_alive(daemon)).then_some(()));
    isolated.wait_until_nothing_is_left();
}

#[test]
fn containers_of_the_posix_launcher_outlive_the_change_to_the_other_one() {
    let mut isolated = Isolated::started("change", &["--launcher=posix"]);
    let offer = isolated.framework.offer();
    let command = "exec sleep 1000";
    let old = [sized("old", &offer, 32.0, command)];
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": old}}]);
    // The rest is offered when the agent is back.
    isolated.framework.accept(&offer, launch, 3.0);
    let running = isolated.framework.await_state("old", "TASK_RUNNING");
    let executor = i32::try_from(executor_pid(&running)).expect("a pid");
    isolated.cluster().agents[0].signal(Signal::SIGKILL);
    isolated.cluster().agents[0].wait();
    isolated.restart_agent_with(&["--launcher=linux"]);
    let (_, daemon) = launch_with_daemon(&mut isolated, "new");
    for id in ["old", "new"] {
        isolated.framework.kill(id);
        isolated.framework.await_state(id, "TASK_KILLED");
    }
    for pid in [executor, daemon] {
        until("the end of all", || (!is_alive(pid)).then_some(()));
    }
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_container_sees_only_its_own_processes_and_files() {
    let mut isolated = Isolated::with("inside", ALL, &[]);
    let host = isolated.cluster().dir.path().join("host");
    std::fs::create_dir(&host).expect("directory");
    std::fs::write(host.join("file"), "from the host").expect("file");
    let offer = isolated.framework.offer();
    let command = "ls /proc | grep -c '^[0-9]' > processes; cat data/file > seen; \
                   touch data/mine 2> refused || true; ulimit -n > files; \
                   grep CapEff /proc/self/status > caps";
    let mut task = sized("t", &offer, 32.0, command);
    task["container"] = json!({
        "type": "MESOS",
        "volumes": [{"mode": "RO", "container_path": "data", "host_path": host}],
        "rlimit_info": {"rlimits": [{"type": "RLMT_NOFILE", "soft": 100, "hard": 100}]},
        "linux_info": {"effective_capabilities": {"capabilities": ["CHOWN", "DAC_OVERRIDE"]}},
    });
    isolated.framework.launch(&offer, &[task]);
    isolated.framework.await_state("t", "TASK_FINISHED");
    let sandbox = isolated.sandbox("t");
    let count: u32 = read(sandbox.join("processes"))
        .trim()
        .parse()
        .expect("number");
    assert!(count < 10, "{count} processes");
    assert_eq!(read(sandbox.join("seen")), "from the host");
    assert!(
        read(sandbox.join("refused")).contains("Read-only"),
        "it is read-only"
    );
    assert!(!host.join("mine").exists());
    assert_eq!(read(sandbox.join("files")).trim(), "100");
    assert_eq!(
        read(sandbox.join("caps")).trim(),
        "CapEff:\t0000000000000003"
    );
    // The mount is seen in the container alone.
    let mounts = read("/proc/self/mounts");
    assert!(!mounts.contains(&*sandbox.to_string_lossy()), "{mounts}");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_container_that_uses_too_much_memory_ends_with_figures() {
    let mut isolated = Isolated::with("oom", "cgroups/mem", &[]);
    let offer = isolated.framework.offer();
    let command = "exec tail /dev/zero";
    isolated
        .framework
        .launch(&offer, &[sized("t", &offer, 32.0, command)]);
    let failed = isolated.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LIMITATION_MEMORY");
    let message = failed["message"].as_str().expect("message");
    let start = "Memory limit exceeded: Requested: 64MB Maximum Used: ";
    assert!(message.starts_with(start), "{message}");
    assert!(message.contains("\nMEMORY STATISTICS: \n") && message.contains("total_rss"));
    let used = failed["limitation"]["resources"][0]["scalar"]["value"].as_f64();
    assert!(used.is_some_and(|used| used > 32.0), "{failed}");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_container_that_takes_too_much_disk_ends_with_figures() {
    let flags = [
        "--enforce_container_disk_quota",
        "--container_disk_watch_interval=100ms",
    ];
    let mut isolated = Isolated::with("disk", "disk/du", &flags);
    let offer = isolated.framework.offer();
    let command = "head -c 20000000 /dev/zero > much; exec sleep 1000";
    isolated
        .framework
        .launch(&offer, &[sized("t", &offer, 32.0, command)]);
    let failed = isolated.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LIMITATION_DISK");
    let message = failed["message"].as_str().expect("message");
    assert!(message.starts_with("Disk usage ("), "{message}");
    assert!(message.ends_with("exceeds quota (16MB)"), "{message}");
}

#[test]
fn what_hides_from_its_parent_is_killed_with_its_container() {
    let mut isolated = Isolated::with("hidden", "cgroups/pids", &[]);
    let mark = isolated.cluster().dir.path().join("pid");
    let offer = isolated.framework.offer();
    // Neither parent, group, session nor environment tell whose it is.
    let command = format!(
        "env -i /usr/bin/setsid sh -c 'setsid sleep 1000 & echo $! > {}' & exec sleep 1000",
        mark.display()
    );
    isolated
        .framework
        .launch(&offer, &[sized("t", &offer, 32.0, &command)]);
    isolated.framework.await_state("t", "TASK_RUNNING");
    let hidden: i32 = until("the hidden process", || {
        std::fs::read_to_string(&mark).ok()?.trim().parse().ok()
    });
    assert!(is_alive(hidden));
    isolated.framework.kill("t");
    isolated.framework.await_state("t", "TASK_KILLED");
    until("its end", || (!is_alive(hidden)).then_some(()));
    isolated.wait_until_nothing_is_left();
}

#[test]
fn isolated_containers_outlive_the_agent_and_orphans_do_not() {
    let mut isolated = Isolated::with("restart", ALL, &[]);
    let offer = isolated.framework.offer();
    let tasks = ["kept", "lost"].map(|id| sized(id, &offer, 32.0, "exec sleep 1000"));
    isolated.framework.launch(&offer, &tasks);
    let kept = isolated.framework.await_state("kept", "TASK_RUNNING");
    let lost = isolated.framework.await_state("lost", "TASK_RUNNING");
    let (kept, lost) = (executor_pid(&kept), executor_pid(&lost));
    isolated.cluster().agents[0].signal(Signal::SIGKILL);
    isolated.cluster().agents[0].wait();
    // Its first process ends, and with it its namespace.
    let lost = Pid::from_raw(i32::try_from(lost).expect("pid"));
    kill(lost, Signal::SIGKILL).expect("signal");
    isolated.restart_agent();
    let failed = isolated.framework.await_state("lost", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    assert!(is_alive(i32::try_from(kept).expect("pid")));
    until("one container", || {
        (isolated.cgroups.containers().len() == 1).then_some(())
    });
    isolated.framework.kill("kept");
    isolated.framework.await_state("kept", "TASK_KILLED");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn what_cannot_be_executed_leaves_nothing() {
    let mut isolated = Isolated::with("missing", ALL, &[]);
    let offer = isolated.framework.offer();
    let mut task = sized("t", &offer, 32.0, "");
    task.as_object_mut().expect("task").remove("command");
    task["executor"] = json!({
        "executor_id": {"value": "ex"},
        "command": {"shell": false, "value": "/no/such/program"},
    });
    isolated.framework.launch(&offer, &[task]);
    let failed = isolated.framework.await_state("t", "TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(message.contains("'/no/such/program'"), "{message}");
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_wrong_isolator_is_told_with_the_right_ones() {
    let dir = tempfile::tempdir().expect("directory");
    let output = std::process::Command::new(crate::support::cluster::binary("tepui-agent"))
        .args([
            "--master=127.0.0.1:1",
            "--ip=127.0.0.1",
            "--port=0",
            "--isolation=cgroups/cpi",
        ])
        .arg(format!("--work_dir={}", dir.path().display()))
        .output()
        .expect("agent");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("unknown isolator 'cgroups/cpi', expected some of"),
        "{said}"
    );
    assert!(said.contains("cgroups/cpu"), "{said}");
}
