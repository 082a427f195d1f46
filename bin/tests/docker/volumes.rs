//! Volumes: persistent ones, and those of the Engine.

use serde_json::{Value, json};

use crate::support::cluster::until;
use crate::support::framework::{info, scalar};
use crate::{Dockered, FLAGS, engine, read, sandbox};

fn reserved_disk() -> Value {
    let mut resource = scalar("disk", 32.0);
    resource["reservations"] = json!([{"type": "DYNAMIC", "role": "web"}]);
    resource
}

fn persistent(mode: &str) -> Value {
    let mut resource = reserved_disk();
    resource["disk"] = json!({
        "persistence": {"id": "kept"},
        "volume": {"mode": mode, "container_path": "data"},
    });
    resource
}

/// A task with the volume.
fn task(id: &str, offer: &Value, mode: &str, command: &str) -> Value {
    let mut task = crate::task(id, offer, Some(command), json!({}));
    task["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 64.0), persistent(mode)]);
    task
}

#[test]
fn a_persistent_volume_is_in_the_sandbox_of_the_container() {
    let mut info = info("docker-volumes", &["MULTI_ROLE", "RESERVATION_REFINEMENT"]);
    info["roles"] = json!(["web"]);
    let mut own = Dockered::of(info, FLAGS);
    let offer = own.framework.offer();
    let write = "echo kept > $MESOS_SANDBOX/data/file; \
                 /bin/busybox grep -c \" $MESOS_SANDBOX/data \" /proc/mounts; /bin/busybox ls -a $MESOS_SANDBOX/data";
    own.framework.accept(
        &offer,
        json!([
            {"type": "RESERVE", "reserve": {"resources": [reserved_disk()]}},
            {"type": "CREATE", "create": {"volumes": [persistent("RW")]}},
            {"type": "LAUNCH", "launch": {"task_infos": [task("write", &offer, "RW", write)]}},
        ]),
        0.0,
    );
    let ended = own.framework.await_state("write", "TASK_FINISHED");
    let outside = sandbox(&own.work_dir, "write", &ended);
    let said = read(outside.join("stdout"));
    assert_eq!(said, "1\n.\n..\nfile\n");
    assert_eq!(
        read(own.work_dir.join("volumes/roles/web/kept/file")),
        "kept\n"
    );
    // What is seen of it outside is where it is mounted.
    assert!(
        outside
            .join("data")
            .symlink_metadata()
            .expect("it")
            .is_dir()
    );

    let offer = until("an offer with the volume", || {
        let offer = own.framework.offer();
        let resources = offer["resources"].as_array().expect("resources").clone();
        let is_it = |it: &Value| it["disk"]["persistence"]["id"] == "kept";
        let has = resources.iter().any(is_it);
        if !has {
            own.framework.accept(&offer, json!([]), 0.0);
        }
        has.then_some(offer)
    });
    let look = "cat $MESOS_SANDBOX/data/file; echo no > $MESOS_SANDBOX/data/other";
    let look = task("look", &offer, "RO", look);
    own.framework.launch(&offer, &[look]);
    let failed = own.framework.await_state("look", "TASK_FAILED");
    let outside = sandbox(&own.work_dir, "look", &failed);
    assert_eq!(read(outside.join("stdout")), "kept\n");
    assert!(read(outside.join("stderr")).contains("Read-only file system"));
    own.wait_until_nothing_is_left();
}

#[test]
fn a_volume_of_the_engine_outlives_its_task() {
    let mut own = Dockered::start("docker-named");
    let name = format!("tepui-test-{}", std::process::id());
    let volume = json!({
        "container_path": "/named", "mode": "RW",
        "source": {"type": "DOCKER_VOLUME", "docker_volume": {"driver": "local", "name": name}},
    });
    for (id, command) in [
        ("write", "echo kept > /named/file"),
        ("look", "cat /named/file"),
    ] {
        let offer = own.framework.offer();
        let mut task = crate::task(id, &offer, Some(command), json!({}));
        task["resources"] = json!([scalar("cpus", 0.1), scalar("mem", 64.0)]);
        task["container"]["volumes"] = json!([volume]);
        let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
        own.framework.accept(&offer, launch, 0.0);
        let ended = own.framework.await_state(id, "TASK_FINISHED");
        if id == "look" {
            let stdout = sandbox(&own.work_dir, id, &ended).join("stdout");
            assert_eq!(read(stdout), "kept\n");
        }
    }
    own.wait_until_nothing_is_left();
    let (status, said) = engine::ask("DELETE", &format!("/volumes/{name}"), "", b"");
    assert_eq!(status, 204, "{said}");
}
