//! Images that the Docker Engine has saved, which the Mesos containerizer runs without it.
//! Images of all other kinds are made in `bin/tests/cluster/images` and `bin/fetcher`.

use serde_json::json;

use super::{engine, read, sandbox};
use crate::support::cgroups::Cgroups;
use crate::support::cluster::Cluster;
use crate::support::framework::{Encoding, Framework, info, task};

/// Name and tag of the image.
const NAME: (&str, &str) = ("tepui-test/saved", "1");

/// Adds, changes and removes something.
const SCRIPT: &str = "echo added > /added; /bin/busybox rm /marker; \
                      /bin/busybox ln -sf /bin/busybox /bin/test";

#[test]
fn an_image_that_the_engine_has_saved_runs_without_it() {
    engine::ready();
    let (name, tag) = NAME;
    let archive = engine::save_changed(name, tag, SCRIPT);
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join(format!("{name}:{tag}.tar"));
    std::fs::create_dir(path.parent().expect("a parent")).expect("a directory");
    std::fs::write(path, archive).expect("to write");
    let cgroups = Cgroups {
        root: format!("tepui-test-saved-{}", std::process::id()),
    };
    let flags = [
        "--launcher=linux".to_owned(),
        "--isolation=filesystem/linux,docker/runtime".to_owned(),
        format!("--cgroups_root={}", cgroups.root),
        "--image_providers=docker".to_owned(),
        format!("--docker_registry={}", dir.path().display()),
        format!("--docker_store_dir={}", dir.path().join("store").display()),
    ];
    let given: Vec<&str> = flags.iter().map(String::as_str).collect();
    let cluster = Cluster::with(1, &[], &given);
    let info = info("saved", &["PARTITION_AWARE"]);
    let mut framework = Framework::subscribe(cluster.master.address, Encoding::Json, info);
    let work_dir = cluster.work_dir(0).canonicalize().expect("work dir");
    let mut launch = |id: &str, command: serde_json::Value| {
        let offer = framework.offer();
        let mut task = task(id, &offer, "");
        task["command"] = command;
        let image = json!({"type": "DOCKER", "docker": {"name": format!("{name}:{tag}")}});
        task["container"] = json!({"type": "MESOS", "mesos": {"image": image}});
        framework.launch(&offer, &[task]);
        let ended = framework.await_state(id, "TASK_FINISHED");
        sandbox(&work_dir, id, &ended)
    };
    // What the image itself says.
    let own = launch("own", json!({"shell": false}));
    assert_eq!(read(own.join("added")), "added\n");
    assert_eq!(read(own.join("env")), "by the Engine\n");
    // What the upper layer has removed is not seen, and what it leaves alone is.
    let script = "test ! -e /marker && test -x /bin/wget";
    launch("other", json!({"shell": true, "value": script}));
    drop(cluster);
    cgroups.remove();
}
