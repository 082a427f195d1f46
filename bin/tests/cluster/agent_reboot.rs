//! Agents whose host was started anew: what ran is over, what was stored is there.
//! Reboots nothing: the journal is made to say that it was written in an earlier boot.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tepui_protocol::journal::{self, End, HEADER, Record};

use super::agent_restart::{PATIENT, crash, is_alive, with_task};
use super::operations::{create, finished, offer_with_volume, reserve, task_on_volume, web};
use crate::support::cluster::{Cluster, start_agent_on};
use crate::support::framework::{Encoding, Framework};
use crate::support::http;

/// Makes a journal one of an earlier boot of this host.
fn age(work_dir: &Path) {
    let file = work_dir.join("meta/agent.journal");
    let found = journal::read(&std::fs::read(&file).expect("journal"));
    assert_eq!(found.end, End::Whole);
    let mut bytes = HEADER.to_vec();
    for mut record in found.records {
        if let Record::Agent { boot_id, .. } = &mut record {
            let now = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("boot id");
            assert_eq!(boot_id.as_deref(), Some(now.trim()));
            *boot_id = Some("an earlier boot".to_owned());
        }
        journal::append(&record, &mut bytes).expect("a record");
    }
    std::fs::write(&file, bytes).expect("journal");
}

fn signal(pid: &Value, signal: Signal) {
    let pid = pid.as_i64().and_then(|pid| i32::try_from(pid).ok());
    kill(Pid::from_raw(pid.expect("pid")), signal).expect("signal");
}

#[test]
fn after_a_reboot_the_agent_is_the_same_and_its_tasks_have_failed() {
    let (mut cluster, mut framework, running, pid) = with_task("exec sleep 1000");
    // It takes no part in what follows, and shows that nobody looks for it.
    let executor = &running["container_status"]["executor_pid"];
    signal(executor, Signal::SIGSTOP);
    crash(&mut cluster);
    age(&cluster.work_dir(0));
    cluster.restart_agent(0, PATIENT);
    let failed = framework.await_state("kept", "TASK_FAILED");
    assert_eq!(failed["source"], "SOURCE_AGENT");
    assert_eq!(failed["reason"], "REASON_EXECUTOR_TERMINATED");
    assert_eq!(failed["agent_id"], running["agent_id"]);
    assert!(is_alive(pid));
    signal(executor, Signal::SIGKILL);
    signal(&json!(pid), Signal::SIGKILL);
    let offer = framework.offer();
    assert_eq!(offer["agent_id"], running["agent_id"]);
    // The present boot is recorded by now.
    crash(&mut cluster);
    cluster.restart_agent(0, PATIENT);
    let log = cluster.agents[0].log_text();
    assert!(!log.contains("started anew"), "{log}");
}

#[test]
fn after_a_reboot_another_agent_may_take_over_with_the_volumes_of_the_old_one() {
    let mut cluster = Cluster::start(1);
    let mut info = web();
    info["checkpoint"] = json!(true);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let offer = framework.offer();
    let old = offer["agent_id"].clone();
    let write = task_on_volume("write", &offer, "echo kept > data/file");
    let launch = json!({"type": "LAUNCH", "launch": {"task_infos": [write]}});
    let operations = json!([reserve("reserve"), create("create"), launch]);
    framework.accept(&offer, operations, 0.0);
    finished(&mut framework, "reserve");
    finished(&mut framework, "create");
    framework.await_state("write", "TASK_FINISHED");

    crash(&mut cluster);
    let work_dir = cluster.work_dir(0);
    age(&work_dir);
    let flags = [
        "--resources=cpus:3;mem:2048;disk:4096;ports:[31000-31100,32000-32099]",
        "--attributes=rack:r1;level:1;range:[1-5]",
    ];
    let (master, port) = (cluster.master.address, cluster.agents[0].address.port());
    cluster.agents[0] = start_agent_on(port, &work_dir, &master.to_string(), &flags);
    let log = cluster.agents[0].log_text();
    for part in ["drops its id", "resources differ"] {
        assert!(log.contains(part), "{log}");
    }
    cluster.wait_for_agents(1);
    let offer = loop {
        let offer = offer_with_volume(&mut framework);
        if offer["agent_id"] != old {
            break offer;
        }
    };
    // What the old one has left is nobody's to remove.
    let id = old["value"].as_str().expect("id");
    assert!(work_dir.join("slaves").join(id).is_dir());
    assert!(work_dir.join("volumes/roles/web/kept/file").exists());
    let read = task_on_volume("read", &offer, "test \"$(cat data/file)\" = kept");
    framework.launch(&offer, &[read]);
    framework.await_state("read", "TASK_FINISHED");
    let state = http::request(master, "GET", "/state", &[], &[]).json();
    assert_eq!(state["slaves"].as_array().map(Vec::len), Some(1), "{state}");
    assert_eq!(state["slaves"][0]["id"], offer["agent_id"]["value"]);
    framework.teardown();
}
