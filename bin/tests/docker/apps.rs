//! Apps of the app manager in containers, as their users write them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::cluster::until;
use crate::support::http;
use crate::support::marathon::Marathon;
use crate::{Dockered, engine};

#[test]
fn an_app_is_reached_at_its_mapped_port() {
    let mut own = Dockered::start("docker-apps");
    // Everything is for the app manager.
    let offer = own.framework.offer();
    own.framework.accept(&offer, json!([]), 1000.0);
    let page = own.work_dir.join("pages");
    std::fs::create_dir(&page).expect("a directory");
    std::fs::write(page.join("index.html"), "from a volume").expect("a file");
    let marathon = Marathon::start(own.cluster.dir.path(), own.cluster.master.address, &[]);
    let app = json!({
        "id": "/web", "cpus": 0.1, "mem": 32, "instances": 2, "backoffSeconds": 0,
        "cmd": "echo $PORT0 > /port; exec httpd -f -h /pages -p 8080",
        "networks": [{"mode": "container/bridge"}],
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": engine::IMAGE,
                "parameters": [{"key": "hostname", "value": "web"}],
            },
            "portMappings": [{"containerPort": 8080, "hostPort": 0, "name": "http"}],
            "volumes": [{"hostPath": page, "containerPath": "/pages", "mode": "RO"}],
        },
        "healthChecks": [{
            "protocol": "MESOS_HTTP", "portIndex": 0, "path": "/index.html", "intervalSeconds": 1,
            "gracePeriodSeconds": 60, "delaySeconds": 0,
        }],
    });
    marathon.change("POST", "/v2/apps", &app);
    marathon.await_deployments();
    let app = marathon.app("/web").expect("the app");
    assert_eq!(app["tasksHealthy"], 2, "{app:#}");
    let tasks = app["tasks"].as_array().expect("tasks");
    for task in tasks {
        let port = task["ports"][0].as_u64().expect("a port");
        let port = u16::try_from(port).expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let answer = http::request(address, "GET", "/index.html", &[], &[]);
        assert_eq!(answer.text(), "from a volume");
    }
    for name in own.containers() {
        let seen = engine::inspect(&name).expect("the container");
        assert_eq!(seen["Config"]["Hostname"], "web");
    }
    marathon.change("DELETE", "/v2/apps/web", &Value::Null);
    marathon.await_deployments();
    until("the end of all containers", || {
        own.containers().is_empty().then_some(())
    });
}
