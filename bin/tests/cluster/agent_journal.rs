//! Agents whose journal is damaged or cannot be written.
//! What cannot be recorded does not happen, and no damage keeps an agent from starting.

use nix::sys::signal::Signal;
use serde_json::json;
use tepui_protocol::journal::{self, HEADER};

use super::agent_restart::{PATIENT, careful, crash, is_alive, with_task};
use crate::support::cluster::{Cluster, start_agent_after, until};
use crate::support::framework::{Encoding, Framework, task};

#[test]
fn an_agent_whose_journal_cannot_be_written_ends_and_launches_nothing() {
    let mut cluster = Cluster::start(1);
    cluster.agents[0].signal(Signal::SIGTERM);
    assert!(cluster.agents[0].wait().success());
    // As with a full disk, writing fails, but only where a file becomes too long.
    let limit = "trap '' XFSZ && ulimit -f 400";
    let port = cluster.agents[0].address.port();
    let master = cluster.master.address.to_string();
    let settings = [
        "--resources=cpus:4;mem:2048;disk:4096;ports:[31000-31100,32000-32099]",
        "--attributes=rack:r1;level:1;range:[1-5]",
    ];
    let work_dir = cluster.work_dir(0);
    cluster.agents[0] = start_agent_after(limit, port, &work_dir, &master, &settings);
    cluster.wait_for_agents(1);
    let info = careful("large");
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let offer = framework.offer();
    let mut large = task("large", &offer, "true");
    large["labels"] = json!({"labels": [{"key": "long", "value": "x".repeat(600_000)}]});
    framework.launch(&offer, &[large]);
    let status = cluster.agents[0].wait();
    assert_eq!(status.code(), Some(1), "{status}");
    let log = cluster.agents[0].log_text();
    for part in ["journal cannot be written", "File too large"] {
        assert!(log.contains(part), "{log}");
    }
    let id = offer["agent_id"]["value"].as_str().expect("id");
    let sandboxes = work_dir.join("slaves").join(id).join("frameworks");
    assert!(!sandboxes.exists(), "nothing was launched");

    // It goes on where it was when there is room again.
    cluster.restart_agent(0, PATIENT);
    cluster.wait_for_agents(1);
    let dropped = framework.update("large");
    assert_eq!(dropped["reason"], "REASON_RECONCILIATION", "{dropped}");
    assert_eq!(framework.offer()["agent_id"], offer["agent_id"]);
    let log = cluster.agents[0].log_text();
    assert!(log.contains("cut off"), "{log}");
    assert!(!log.contains("damaged"), "{log}");
}

#[test]
fn an_agent_goes_on_with_what_was_recorded_before_the_damage() {
    let (mut cluster, mut framework, running, pid) = with_task("exec sleep 1000");
    crash(&mut cluster);
    let file = cluster.work_dir(0).join("meta/agent.journal");
    let mut bytes = std::fs::read(&file).expect("journal");
    let records = journal::read(&bytes).records;
    // After the agent's own record comes its framework's, which is damaged now.
    let mut first = HEADER.to_vec();
    journal::append(&records[0], &mut first).expect("a record");
    let at = first.len() + 20;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).expect("journal");
    cluster.restart_agent(0, PATIENT);
    let log = cluster.agents[0].log_text();
    assert!(log.contains("damaged"), "{log}");
    assert!(file.with_extension("damaged-1").exists());
    until("the task's end", || (!is_alive(pid)).then_some(()));
    let lost = framework.update("kept");
    assert_eq!(lost["reason"], "REASON_RECONCILIATION", "{lost}");
    assert_eq!(lost["agent_id"], running["agent_id"]);
    // It is whole again.
    crash(&mut cluster);
    cluster.restart_agent(0, PATIENT);
    let log = cluster.agents[0].log_text();
    assert!(!log.contains("damaged"), "{log}");
    assert!(!file.with_extension("damaged-2").exists());
}
