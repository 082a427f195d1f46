//! What becomes of images in the agent's store: they are timed, replaced, and removed.
//! What tasks see of them is tested in the module above.

use serde_json::json;

use super::{Imaged, archive, image, read, shell};
use crate::support::cluster::{find_metric, metric, until};
use crate::support::http;

/// How long it took to unpack images.
const PULLS: &str = "containerizer/mesos/provisioner/docker_store/image_pull_ms";

#[test]
fn an_image_is_unpacked_once_until_its_archive_is_replaced() {
    let mut imaged = Imaged::start("replaced");
    let agent = imaged.isolated.cluster().agents[0].address;
    assert_eq!(find_metric(agent, PULLS), None);
    let script = "echo $FROM_IMAGE > $MESOS_SANDBOX/seen";
    let sandbox = imaged.run("a", "app", shell(script));
    assert_eq!(read(sandbox.join("seen")), "image\n");
    assert!(metric(agent, PULLS) > 0.0);
    imaged.run("b", "app:latest", shell("true"));
    let count = |expected: u32| {
        let told = http::request(agent, "GET", "/metrics/prometheus", &[], &[]).text();
        let line = format!("tepui_agent_image_pull_seconds_count {expected}\n");
        assert!(told.contains(&line), "{told}");
    };
    count(1);
    let mut settings = archive::settings();
    settings["Env"] = json!(["PATH=/bin", "FROM_IMAGE=replaced"]);
    archive::docker(&imaged.registry(), "app:latest", &settings);
    let sandbox = imaged.run("c", "app", shell(script));
    assert_eq!(read(sandbox.join("seen")), "replaced\n");
    count(2);
    imaged.wait_until_nothing_is_left();
}

#[test]
fn images_go_by_themselves_when_the_disk_is_too_full() {
    let gc = json!({
        // However empty it is.
        "image_disk_headroom": 1.0,
        "image_disk_watch_interval": {"nanoseconds": 100_000_000},
        "excluded_images": [image("kept")],
    });
    let flag = format!("--image_gc_config={gc}");
    let mut imaged = Imaged::with("full", super::ALL, &[&flag]);
    imaged.launch("t", "app", shell("exec sleep 1000"));
    imaged.isolated.framework.await_state("t", "TASK_RUNNING");
    // Its layers stay while it runs, and go with it.
    assert_eq!(imaged.layers().len(), 2);
    imaged.isolated.framework.kill("t");
    imaged.isolated.framework.await_state("t", "TASK_KILLED");
    until("the layers to go", || {
        imaged.layers().is_empty().then_some(())
    });
    archive::docker(&imaged.registry(), "kept:latest", &archive::settings());
    imaged.run("k", "kept", shell("true"));
    imaged.run("l", "app", shell("true"));
    let record = imaged.dir.path().join("store/images.json");
    until("the other image to be forgotten", || {
        let known = read(&record);
        (known.contains("kept:latest") && !known.contains("app:latest")).then_some(())
    });
    assert_eq!(imaged.layers().len(), 2, "those of the image that stays");
    imaged.wait_until_nothing_is_left();
}
