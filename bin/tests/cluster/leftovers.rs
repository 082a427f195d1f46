//! What is left of containers when their agent is killed: while they are launched, and while they are
//! destroyed. Needs root.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::isolation::{Isolated, read};
use crate::support::cluster::until;
use crate::support::framework::{scalar, task};

const TASKS: usize = 200;

fn crash(isolated: &mut Isolated) {
    isolated.cluster().agents[0].signal(Signal::SIGKILL);
    isolated.cluster().agents[0].wait();
    isolated.restart_agent();
}

#[test]
fn many_launches_with_crashes_in_the_middle_leave_nothing() {
    let isolation = "cgroups/cpu,cgroups/mem,cgroups/pids,filesystem/linux,namespaces/pid,\
                     namespaces/ipc";
    let mut isolated = Isolated::with("many", isolation, &["--gc_delay=0ns"]);
    let host = isolated.cluster().dir.path().join("host");
    std::fs::create_dir(&host).expect("directory");
    let offer = isolated.framework.offer();
    let id = |number: usize| format!("t{number}");
    let tasks = (0..TASKS).map(|number| {
        let mut task = task(&id(number), &offer, "sleep 1000");
        task["resources"] = json!([scalar("cpus", 0.001), scalar("mem", 1.0)]);
        task["container"] = json!({
            "type": "MESOS", "linux_info": {"ipc_mode": "PRIVATE"},
            "volumes": [{"mode": "RO", "container_path": "data", "host_path": host}],
        });
        task
    });
    let tasks: Vec<Value> = tasks.collect();
    isolated.framework.launch(&offer, &tasks);
    until("the first containers", || {
        (isolated.cgroups.containers().len() > TASKS / 4).then_some(())
    });
    crash(&mut isolated);
    for number in 0..TASKS {
        isolated.framework.kill(&id(number));
    }
    let before = isolated.cgroups.containers().len();
    until("the first that are destroyed", || {
        let now = isolated.cgroups.containers().len();
        (now < before || now == 0).then_some(())
    });
    crash(&mut isolated);
    // Those whose kill was lost are killed again.
    for number in 0..TASKS {
        isolated.framework.kill(&id(number));
    }
    for number in 0..TASKS {
        isolated.framework.await_end(&id(number));
    }
    isolated.wait_until_nothing_is_left();
    assert_nothing_is_left(&mut isolated);
}

/// No process, file or mount is left of any container.
fn assert_nothing_is_left(isolated: &mut Isolated) {
    let work_dir = isolated.cluster().work_dir(0);
    let work_dir = work_dir.canonicalize().expect("work directory");
    until("the end of all processes", || {
        processes_of(&work_dir).is_empty().then_some(())
    });
    let count = |directory: &Path| {
        let entries = std::fs::read_dir(directory).map(Iterator::count);
        entries.unwrap_or(0)
    };
    let slaves = work_dir.join("slaves");
    until("the end of all sandboxes", || {
        let left = count(&slaves.join("latest/frameworks")) + count(&slaves.join(".removed"));
        (left == 0).then_some(())
    });
    for directory in ["meta/statuses", "meta/containers", "provisioner/containers"] {
        assert_eq!(count(&work_dir.join(directory)), 0, "{directory}");
    }
    let mounts = read("/proc/self/mounts");
    assert!(!mounts.contains(&*work_dir.to_string_lossy()), "{mounts}");
}

/// The processes with a sandbox in a work directory.
fn processes_of(work_dir: &Path) -> Vec<String> {
    let mark = format!("MESOS_SANDBOX={}/", work_dir.display());
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let found = entries.filter(|entry| {
        let environment = std::fs::read(entry.path().join("environ"));
        let environment = environment.unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&mark)
    });
    let names = found.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}
