//! Apps of the app manager in containers, as their users write them.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::until;
use crate::support::http;
use crate::support::marathon::Marathon;
use crate::{Dockered, engine, read};

/// Answers each datagram with its letters in the other order.
const MIRROR: &str = "import socket\n\
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
    own.bind(('0.0.0.0', 9000))\n\
    while True:\n    \
        data, sender = own.recvfrom(100)\n    \
        own.sendto(data[::-1], sender)\n";

/// An app manager with an agent of its own.
pub(super) struct Apps {
    own: Dockered,
    pub(super) marathon: Marathon,
}

impl Apps {
    pub(super) fn start(name: &str) -> Apps {
        let mut own = Dockered::start(name);
        // Everything is for the app manager.
        let offer = own.framework.offer();
        own.framework.accept(&offer, json!([]), 1000.0);
        let master = own.cluster.master.address;
        let marathon = Marathon::start(own.cluster.dir.path(), master, &[]);
        Apps { own, marathon }
    }

    /// A directory for a volume.
    fn directory(&self, name: &str) -> PathBuf {
        let path = self.own.work_dir.join(name);
        std::fs::create_dir(&path).expect("a directory");
        path
    }

    /// Starts an app of one instance; gives it, with its task.
    pub(super) fn run(&self, mut app: Value) -> Value {
        for (member, value) in [
            ("cpus", json!(0.1)),
            ("mem", json!(32)),
            ("instances", json!(1)),
        ] {
            app[member] = value;
        }
        self.marathon.change("POST", "/v2/apps", &app);
        self.marathon.await_deployments();
        let id = app["id"].as_str().expect("an id");
        let app = self.marathon.app(id).expect("the app");
        assert_eq!(app["tasksRunning"], 1, "{app:#}");
        app
    }

    pub(super) fn end(self, ids: &[&str]) {
        for id in ids {
            let path = format!("/v2/apps{id}");
            self.marathon.change("DELETE", &path, &Value::Null);
        }
        self.marathon.await_deployments();
        self.own.wait_until_nothing_is_left();
    }
}

/// The address of a port of an app's only task.
fn address(app: &Value, index: usize) -> SocketAddr {
    let port = app["tasks"][0]["ports"][index].as_u64();
    let port = u16::try_from(port.expect("a port")).expect("a port");
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// What a server says of a page, once it answers.
fn page(server: SocketAddr, path: &str) -> String {
    let answer = until("the server", || {
        http::try_request(server, "GET", path, &[], &[]).ok()
    });
    assert_eq!(answer.status, 200, "{path}");
    answer.text()
}

#[test]
fn an_app_is_reached_at_its_mapped_port() {
    let apps = Apps::start("docker-apps");
    let (own, marathon) = (&apps.own, &apps.marathon);
    let page = apps.directory("pages");
    std::fs::write(page.join("index.html"), "from a volume").expect("a file");
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
    apps.end(&["/web"]);
}

#[test]
fn an_app_in_the_old_form_is_reached_and_shown_in_the_new_one() {
    let apps = Apps::start("docker-old");
    let pages = apps.directory("pages");
    std::fs::write(pages.join("index.html"), "old form").expect("a file");
    // Arguments without a command are what the image is to run.
    let app = apps.run(json!({
        "id": "/old", "args": ["httpd", "-f", "-h", "/pages", "-p", "8080"],
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": engine::IMAGE, "network": "BRIDGE", "forcePullImage": false,
                "portMappings": [
                    {"containerPort": 8080, "hostPort": 0, "servicePort": 10_123, "protocol": "tcp"},
                ],
                "privileged": false, "parameters": [],
            },
            "volumes": [{"containerPath": "/pages", "hostPath": pages, "mode": "RO"}],
        },
    }));
    assert_eq!(app["networks"], json!([{"mode": "container/bridge"}]));
    let mapping = &app["container"]["portMappings"][0];
    assert_eq!(mapping["containerPort"], 8080, "{app:#}");
    assert_eq!(mapping["servicePort"], 10_123, "{app:#}");
    assert!(app["container"]["docker"]["network"].is_null(), "{app:#}");
    assert_eq!(page(address(&app, 0), "/index.html"), "old form");
    let seen = engine::inspect(&apps.own.containers()[0]).expect("the container");
    assert_eq!(seen["HostConfig"]["NetworkMode"], "bridge");
    assert_eq!(seen["HostConfig"]["Privileged"], false);
    apps.end(&["/old"]);
}

/// What the Engine says of a privileged container itself: a machine that is a container may not be
/// able to run any.
fn privileged() -> Result<(), String> {
    let asked = json!({
        "Image": engine::IMAGE, "Cmd": ["/bin/true"],
        "HostConfig": {"Privileged": true, "NetworkMode": "host"},
    });
    let ask =
        |path: &str, body: &str| engine::ask("POST", path, "application/json", body.as_bytes());
    let read = |said: &str| serde_json::from_str::<Value>(said).expect("JSON");
    let (status, said) = ask("/containers/create", &asked.to_string());
    assert_eq!(status, 201, "{said}");
    let id = read(&said)["Id"].as_str().expect("an id").to_owned();
    let (status, said) = ask(&format!("/containers/{id}/start"), "");
    engine::remove(&id);
    match status {
        204 => Ok(()),
        _ => Err(read(&said)["message"].as_str().expect("why").to_owned()),
    }
}

#[test]
fn a_privileged_app_is_one_for_the_engine_and_writes_to_its_volume() {
    let apps = Apps::start("docker-privileged");
    let shared = apps.directory("shared");
    let app = |id: &str, is_privileged: bool| {
        json!({
            "id": id, "instances": 1,
            "cmd": format!("cat /proc/self/status > /shared{id}; exec sleep 1000"),
            "container": {
                "type": "DOCKER",
                "docker": {
                    "image": engine::IMAGE, "network": "HOST", "privileged": is_privileged,
                },
                "volumes": [{"containerPath": "/shared", "hostPath": shared, "mode": "RW"}],
            },
        })
    };
    let capabilities = |name: &str| {
        let status = until("what it has written", || {
            let path = shared.join(name);
            let text = path.exists().then(|| read(path))?;
            text.contains("CapEff:").then_some(text)
        });
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("CapEff:\t"));
        u64::from_str_radix(line.expect("a line"), 16).expect("a number")
    };
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    apps.run(app("/some", false));
    assert_eq!(capabilities("some") & CAP_SYS_ADMIN, 0);
    match privileged() {
        Ok(()) => {
            apps.run(app("/all", true));
            assert_ne!(capabilities("all") & CAP_SYS_ADMIN, 0);
        }
        // Whoever wrote the app is told what the Engine says.
        Err(why) => {
            apps.marathon.change("POST", "/v2/apps", &app("/all", true));
            let told = until("the failure", || {
                let app = apps.marathon.app("/all")?;
                app["lastTaskFailure"]["message"]
                    .as_str()
                    .map(str::to_owned)
            });
            assert!(told.contains(&why), "{told} is not {why}");
        }
    }
    let delete = "/v2/apps/all?force=true";
    apps.marathon.change("DELETE", delete, &Value::Null);
    apps.end(&["/some"]);
}

#[test]
fn a_datagram_reaches_an_app_at_its_mapped_port() {
    let apps = Apps::start("docker-udp");
    let shown = |path: &str| json!({"containerPath": path, "hostPath": path, "mode": "RO"});
    let app = apps.run(json!({
        "id": "/mirror", "args": ["python3", "-c", MIRROR],
        "networks": [{"mode": "container/bridge"}],
        "container": {
            "type": "DOCKER",
            "docker": {"image": engine::IMAGE},
            "portMappings": [
                {"containerPort": 9000, "hostPort": 0, "protocol": "udp", "name": "mirror"},
            ],
            // Nothing in the image speaks UDP; the host's Python does.
            "volumes": [shown("/usr"), shown("/lib"), shown("/lib64")],
        },
    }));
    let own = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let patience = Some(Duration::from_millis(200));
    own.set_read_timeout(patience).expect("a timeout");
    own.connect(address(&app, 0)).expect("an address");
    let answer = until("an answer", || {
        own.send(b"there").ok()?;
        let mut bytes = [0; 100];
        let count = own.recv(&mut bytes).ok()?;
        Some(bytes[..count].to_vec())
    });
    assert_eq!(answer, b"ereht");
    let seen = engine::inspect(&apps.own.containers()[0]).expect("the container");
    assert!(
        seen["NetworkSettings"]["Ports"]["9000/udp"].is_array(),
        "{seen:#}"
    );
    apps.end(&["/mirror"]);
}

#[test]
fn an_app_joins_a_network_that_it_names() {
    engine::ready();
    let network = engine::Network::make();
    let apps = Apps::start("docker-user");
    let pages = apps.directory("pages");
    std::fs::write(pages.join("index.html"), "in a network").expect("a file");
    let of = |id: &str| {
        json!({
            "id": id, "cmd": "exec httpd -f -h /pages -p 8080",
            "container": {
                "type": "DOCKER", "docker": {"image": engine::IMAGE},
                "volumes": [{"containerPath": "/pages", "hostPath": pages, "mode": "RO"}],
            },
        })
    };
    let mut new = of("/new");
    new["networks"] = json!([{"mode": "container", "name": network.0}]);
    new["container"]["portMappings"] = json!([
        {"containerPort": 8080, "hostPort": 0, "name": "http"},
        {"containerPort": 8081, "name": "inner"},
    ]);
    let new = apps.run(new);
    let mut old = of("/old");
    old["container"]["docker"]["network"] = json!("USER");
    old["ipAddress"] = json!({"networkName": network.0});
    let old = apps.run(old);
    assert_eq!(page(address(&new, 0), "/index.html"), "in a network");
    for app in [&new, &old] {
        let networks = json!([{"mode": "container", "name": network.0}]);
        assert_eq!(app["networks"], networks);
        let task = &app["tasks"][0];
        let ip = task["ipAddresses"][0]["ipAddress"]
            .as_str()
            .expect("an address");
        let inner = SocketAddr::new(ip.parse().expect("an address"), 8080);
        assert_eq!(page(inner, "/index.html"), "in a network");
    }
    for name in apps.own.containers() {
        let seen = engine::inspect(&name).expect("the container");
        let joined = &seen["NetworkSettings"]["Networks"][&network.0];
        assert!(joined["IPAddress"].is_string(), "{seen:#}");
    }
    apps.end(&["/new", "/old"]);
}
