//! Volumes of containers: from the host, from sandboxes, and those of disks that do not answer.
//! Needs root.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::{Value, json};

use super::groups::launch_group;
use super::isolation::{Isolated, read, sized};
use super::operations;
use crate::support::cgroups::{Cgroups, need_root};
use crate::support::cluster::{Cluster, free_port, start_agent_after, start_master, until};
use crate::support::framework::{Encoding, Framework, task};

/// A place of a sandbox, seen at another path.
fn of_sandbox(whose: &str, path: &str, container_path: &str) -> Value {
    let sandbox_path = json!({"type": whose, "path": path});
    json!({
        "mode": "RW", "container_path": container_path,
        "source": {"type": "SANDBOX_PATH", "sandbox_path": sandbox_path},
    })
}

fn with(mut task: Value, volumes: &[Value]) -> Value {
    task["container"] = json!({"type": "MESOS", "volumes": volumes});
    task
}

#[test]
fn a_place_of_the_own_sandbox_is_seen_at_another_one() {
    let mut isolated = Isolated::with("self", "filesystem/linux", &[]);
    let offer = isolated.framework.offer();
    let own = sized("own", &offer, 32.0, "echo mine > inner/seen/file");
    let out = sized("out", &offer, 32.0, "true");
    let tasks = [
        with(own, &[of_sandbox("SELF", "data", "inner/seen")]),
        with(out, &[of_sandbox("SELF", "../x", "seen")]),
    ];
    isolated.framework.launch(&offer, &tasks);
    isolated.framework.await_state("own", "TASK_FINISHED");
    let sandbox = isolated.sandbox("own");
    assert_eq!(read(sandbox.join("data/file")), "mine\n");
    assert!(!sandbox.join("inner/seen/file").exists(), "it is a mount");
    let failed = isolated.framework.await_state("out", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(
        message.contains("'../x' in the sandbox must not leave it"),
        "{message}"
    );
    isolated.wait_until_nothing_is_left();
}

#[test]
fn a_persistent_volume_is_only_read_if_so_asked() {
    let mut isolated = Isolated::with("only-read", "filesystem/linux", &[]);
    let offer = isolated.framework.offer();
    isolated.framework.accept(&offer, json!([]), 1000.0);
    let master = isolated.cluster().master.address;
    let mut framework = Framework::subscribe(master, Encoding::Json, operations::web());
    let offer = framework.offer();
    let write = operations::task_on_volume("write", &offer, "echo kept > data/file");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [write]}});
    let (reserve, create) = (operations::reserve("r"), operations::create("c"));
    framework.accept(&offer, json!([reserve, create, launch]), 0.0);
    framework.await_state("write", "TASK_FINISHED");
    let offer = operations::offer_with_volume(&mut framework);
    let script = "grep -q kept data/file && ! echo no > data/other";
    let look = operations::task_reading_volume("look", &offer, script);
    framework.launch(&offer, &[look]);
    framework.await_state("look", "TASK_FINISHED");
    let work_dir = isolated.cluster().work_dir(0);
    let volume = work_dir.join("volumes/roles/web/kept");
    assert_eq!(read(volume.join("file")), "kept\n");
    assert!(!volume.join("other").exists());
    isolated.wait_until_nothing_is_left();
}

#[test]
fn tasks_of_a_group_share_a_place_of_their_executors_sandbox() {
    let mut isolated = Isolated::with("parent", "filesystem/linux", &[]);
    let offer = isolated.framework.offer();
    let shared = |at: &str| of_sandbox("PARENT", "shared", at);
    let read_it = "while [ ! -e its/done ]; do sleep 0.05; done; cp its/file got";
    let tasks = [
        with(
            task(
                "writes",
                &offer,
                "echo hello > mine/file; : > mine/done; sleep 1",
            ),
            &[shared("mine")],
        ),
        with(task("reads", &offer, read_it), &[shared("its")]),
        with(
            task("leaves", &offer, "true"),
            &[of_sandbox("PARENT", "../x", "its")],
        ),
    ];
    launch_group(&isolated.framework, &offer, &tasks[..2]);
    for id in ["writes", "reads"] {
        isolated.framework.await_state(id, "TASK_FINISHED");
    }
    let sandbox = isolated.sandbox("group");
    assert_eq!(read(sandbox.join("shared/file")), "hello\n");
    let got = read(sandbox.join("tasks/reads/got"));
    assert_eq!(got, "hello\n");
    isolated.wait_until_nothing_is_left();

    let mut isolated = Isolated::with("parent-out", "filesystem/linux", &[]);
    let offer = isolated.framework.offer();
    let mut leaves = tasks[2].clone();
    leaves["agent_id"] = offer["agent_id"].clone();
    launch_group(&isolated.framework, &offer, &[leaves]);
    let failed = isolated.framework.await_state("leaves", "TASK_FAILED");
    let message = failed["message"].as_str().expect("message");
    assert!(message.contains("must not leave it"), "{message}");
    isolated.wait_until_nothing_is_left();
}

/// A directory of the host with a file system mounted in it, which is guarded. Gone when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(directory: &Path) -> Mounted {
        let inner = directory.join("inner");
        std::fs::create_dir_all(&inner).expect("a directory");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let kind = Some("tmpfs");
        mount(kind, &inner, kind, flags, Some("size=1m")).expect("a mount");
        std::fs::write(inner.join("file"), "inside").expect("a file");
        Mounted(inner)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn nothing_below_a_volume_that_is_read_only_can_be_written() {
    let mut isolated = Isolated::with("read-only", "filesystem/linux", &[]);
    let host = isolated.cluster().dir.path().join("a host");
    let mounted = Mounted::new(&host);
    let offer = isolated.framework.offer();
    // The volume itself, and what is mounted in it; then what guards the latter.
    let script = "cat data/inner/file one > seen; (touch data/x; touch data/inner/x) 2> refused; \
                  grep ' [^ ]*/data/inner ' /proc/self/mountinfo > guards";
    let file = host.join("inner/file");
    let volumes = [
        json!({"mode": "RO", "container_path": "data", "host_path": host}),
        json!({"mode": "RO", "container_path": "one", "host_path": file}),
    ];
    let of_guarded = host.join("inner");
    let second = "grep ' [^ ]*/data ' /proc/self/mountinfo > guards";
    let guarded = [json!({"mode": "RO", "container_path": "data", "host_path": of_guarded})];
    let tasks = [
        with(sized("t", &offer, 32.0, script), &volumes),
        with(sized("u", &offer, 32.0, second), &guarded),
    ];
    isolated.framework.launch(&offer, &tasks);
    for id in ["t", "u"] {
        isolated.framework.await_state(id, "TASK_FINISHED");
        let guards = read(isolated.sandbox(id).join("guards"));
        let kept = guards.contains(" ro,nosuid,nodev,noexec,");
        assert!(kept, "{id}: {guards}");
    }
    let sandbox = isolated.sandbox("t");
    assert_eq!(read(sandbox.join("seen")), "insideinside");
    let refused = read(sandbox.join("refused"));
    assert_eq!(
        refused.matches("Read-only file system").count(),
        2,
        "{refused}"
    );
    // Nothing has changed for the host.
    std::fs::write(host.join("inner/y"), "").expect("a file of the host's");
    isolated.wait_until_nothing_is_left();
    drop(mounted);
}

/// A cluster whose agent alone sees a file system that never answers.
struct Deaf {
    cluster: Option<Cluster>,
    cgroups: Cgroups,
    place: PathBuf,
}

impl Deaf {
    fn start() -> Deaf {
        need_root();
        let dir = tempfile::tempdir().expect("directory");
        let place = dir.path().join("deaf");
        std::fs::create_dir(&place).expect("directory");
        let root = format!("tepui-test-deaf-{}", std::process::id());
        let master = start_master(dir.path(), &[]);
        // Its server would be whoever reads from this descriptor, and nobody does.
        let options = "fd=9,rootmode=40000,user_id=0,group_id=0";
        let script = format!(
            "exec 9<>/dev/fuse && mount -i -t fuse -o {options} deaf {} && exec \"$0\" \"$@\"",
            place.display()
        );
        let setup = format!("exec unshare --mount sh -c '{script}' \"$0\" \"$@\"");
        let flags = [
            "--launcher=linux",
            "--isolation=filesystem/linux",
            &format!("--cgroups_root={root}"),
            // Nobody but the framework ends what hangs.
            "--executor_registration_timeout=10mins",
            "--resources=cpus:4;mem:1024",
        ];
        let (work_dir, address) = (dir.path().join("agent-1"), master.address.to_string());
        let agent = start_agent_after(&setup, free_port(), &work_dir, &address, &flags);
        let cluster = Cluster {
            agents: vec![agent],
            master,
            dir,
        };
        Deaf {
            cluster: Some(cluster),
            cgroups: Cgroups { root },
            place,
        }
    }

    fn subscribe(&self) -> Framework {
        let cluster = self.cluster.as_ref().expect("it runs");
        Framework::simple(cluster.master.address, "deaf", &[])
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        drop(self.cluster.take());
        self.cgroups.remove();
    }
}

/// Launches one task and leaves the rest of the offer for others.
fn launch_one(framework: &Framework, offer: &Value, task: &Value) {
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
    framework.accept(offer, launch, 0.0);
}

#[test]
fn a_disk_that_does_not_answer_holds_up_no_other_launch() {
    let deaf = Deaf::start();
    let mut framework = deaf.subscribe();
    let offer = framework.offer();
    let volume = json!({"mode": "RO", "container_path": "data", "host_path": deaf.place.join("x")});
    let hangs = with(task("hangs", &offer, "true"), &[volume]);
    launch_one(&framework, &offer, &hangs);
    let offer = framework.offer();
    launch_one(&framework, &offer, &task("other", &offer, "true"));
    framework.await_state("other", "TASK_FINISHED");
    framework.kill("hangs");
    framework.await_state("hangs", "TASK_KILLED");
    until("the end of all cgroups", || {
        deaf.cgroups.containers().is_empty().then_some(())
    });
}

#[test]
fn a_container_that_hangs_before_its_program_runs_is_killed() {
    let deaf = Deaf::start();
    let mut framework = deaf.subscribe();
    let offer = framework.offer();
    let mut hangs = task("hangs", &offer, "");
    hangs.as_object_mut().expect("task").remove("command");
    hangs["executor"] = json!({
        "executor_id": {"value": "hangs"},
        "command": {"shell": false, "value": deaf.place.join("program")},
    });
    launch_one(&framework, &offer, &hangs);
    until("its first process", || {
        (deaf.cgroups.processes() > 0).then_some(())
    });
    framework.kill("hangs");
    framework.await_state("hangs", "TASK_KILLED");
    until("the end of all cgroups", || {
        deaf.cgroups.containers().is_empty().then_some(())
    });
}
