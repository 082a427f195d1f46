//! Networks of containers and ports that lead to them.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::json;

use crate::support::cluster::{free_port, until};
use crate::support::http;
use crate::{Dockered, engine, name, read, sandbox};

#[test]
fn a_container_without_a_network_has_none() {
    let mut own = Dockered::start("docker-none");
    own.launch("t", Some("cat /proc/net/dev"), json!({"network": "NONE"}));
    let ended = own.framework.await_state("t", "TASK_FINISHED");
    let said = read(sandbox(&own.work_dir, "t", &ended).join("stdout"));
    let devices = said.lines().filter_map(|line| line.split_once(':'));
    let devices: Vec<&str> = devices.map(|(name, _)| name.trim()).collect();
    assert!(
        devices.contains(&"lo") && !devices.contains(&"eth0"),
        "{said}"
    );
}

/// A task in the network, with this name there.
fn in_network(own: &mut Dockered, network: &engine::Network, id: &str, command: &str) {
    let offer = own.framework.offer();
    let parameters = json!([{"key": "network-alias", "value": format!("{id}.example")}]);
    let docker = json!({"network": "USER", "parameters": parameters});
    let mut task = crate::task(id, &offer, Some(command), docker);
    task["resources"] = json!([crate::scalar("cpus", 0.1), crate::scalar("mem", 64.0)]);
    task["container"]["network_infos"] = json!([{"name": network.0}]);
    let launch = json!([{"type": "LAUNCH", "launch": {"task_infos": [task]}}]);
    own.framework.accept(&offer, launch, 0.0);
}

#[test]
fn containers_of_one_network_know_each_other_by_name() {
    let mut own = Dockered::start("docker-user");
    let network = engine::Network::make();
    let serve = "echo page > /index.html; exec httpd -f -h / -p 8080";
    in_network(&mut own, &network, "web", serve);
    let running = own.framework.await_state("web", "TASK_RUNNING");
    let seen = engine::inspect(&name(&running)).expect("the container");
    let address = &seen["NetworkSettings"]["Networks"][&network.0]["IPAddress"];
    let told = &running["container_status"]["network_infos"][0]["ip_addresses"][0]["ip_address"];
    assert!(
        address.as_str().is_some_and(|it| !it.is_empty()),
        "{seen:#}"
    );
    assert_eq!(told, address, "{running:#}");
    let look = "while ! wget -q -O - http://web.example:8080/index.html; do sleep 0.1; done";
    in_network(&mut own, &network, "look", look);
    let ended = own.framework.await_state("look", "TASK_FINISHED");
    assert_eq!(
        read(sandbox(&own.work_dir, "look", &ended).join("stdout")),
        "page\n"
    );
    own.framework.kill("web");
    own.framework.await_state("web", "TASK_KILLED");
    own.wait_until_nothing_is_left();
}

/// Waits in a container's network for a datagram at this port.
fn receive(container: &str, port: u16) -> std::thread::JoinHandle<Vec<u8>> {
    let seen = engine::inspect(container).expect("the container");
    let path = format!("/proc/{}/ns/net", seen["State"]["Pid"]);
    let network = std::fs::File::open(path).expect("its network");
    std::thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET).expect("to enter it");
        let socket = UdpSocket::bind(("0.0.0.0", port)).expect("a socket");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).expect("a timeout");
        let mut bytes = [0; 64];
        let count = socket.recv(&mut bytes).expect("a datagram");
        bytes[..count].to_vec()
    })
}

#[test]
fn mapped_and_published_ports_lead_to_the_container() {
    let mut own = Dockered::start("docker-ports");
    let offer = own.framework.offer();
    let resources = offer["resources"].as_array().expect("resources");
    let ports = resources.iter().find(|it| it["name"] == "ports");
    let range = &ports.expect("ports")["ranges"]["range"][0];
    let begin = range["begin"].as_u64().expect("a port");
    let udp = u16::try_from(begin).expect("a port");
    let tcp = free_port();
    let docker = json!({
        "network": "BRIDGE",
        "port_mappings": [{"host_port": udp, "container_port": 5353, "protocol": "udp"}],
        "parameters": [{"key": "publish", "value": format!("127.0.0.1:{tcp}:8080")}],
    });
    let serve = "echo page > /index.html; exec httpd -f -h / -p 8080";
    let task = crate::task("t", &offer, Some(serve), docker);
    own.framework.launch(&offer, &[task]);
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let received = receive(&name(&running), 5353);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    while !received.is_finished() {
        let _ = socket.send_to(b"hello", ("127.0.0.1", udp));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(received.join().expect("a datagram"), b"hello");
    let at = SocketAddr::from(([127, 0, 0, 1], tcp));
    let page = until("the page", || {
        let answer = http::try_request(at, "GET", "/index.html", &[], &[]).ok()?;
        (answer.status == 200).then(|| answer.text())
    });
    assert_eq!(page, "page\n");
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
}

#[test]
fn labels_and_rights_are_those_that_were_asked_for() {
    let mut own = Dockered::start("docker-rights");
    let labels = ["MESOS_TASK_ID=wrong", "MESOS_TASK_ID=t", "empty"];
    let mut parameters = labels
        .map(|value| json!({"key": "label", "value": value}))
        .to_vec();
    parameters.push(json!({"key": "cap-add", "value": "NET_ADMIN"}));
    parameters.push(json!({"key": "cap-drop", "value": "CHOWN"}));
    let script = "cat /proc/self/status; exec sleep 1000";
    own.launch("t", Some(script), json!({"parameters": parameters}));
    let running = own.framework.await_state("t", "TASK_RUNNING");
    let seen = engine::inspect(&name(&running)).expect("the container");
    let labels = &seen["Config"]["Labels"];
    assert_eq!(labels["MESOS_TASK_ID"], "t", "{labels}");
    assert_eq!(labels["empty"], "", "{labels}");
    let work_dir = own.work_dir.to_str().expect("a path");
    assert_eq!(labels["tepui.agent.work_dir"], work_dir, "{labels}");
    let stdout = sandbox(&own.work_dir, "t", &running).join("stdout");
    let given = until("its rights", || {
        let said = read(&stdout);
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:\t"))?;
        u64::from_str_radix(line, 16).ok()
    });
    // CAP_CHOWN is the first, and CAP_NET_ADMIN has the number 12.
    assert_eq!(given & (1 | 1 << 12), 1 << 12, "{given:x}");
    own.framework.kill("t");
    own.framework.await_state("t", "TASK_KILLED");
}

#[test]
fn a_container_is_privileged_if_so_asked() {
    let flags = ["--containerizers=docker", "--docker_remove_delay=1mins"];
    let mut own = Dockered::with("docker-privileged", &flags);
    own.launch("t", Some("exec sleep 1000"), json!({"privileged": true}));
    // Where root itself has not all rights, as in containers, the Engine refuses to start it.
    let status = until("its start or its end", || {
        let status = own.framework.update("t");
        (status["state"] != "TASK_STARTING").then_some(status)
    });
    let seen = engine::inspect(&name(&status)).expect("the container");
    assert_eq!(seen["HostConfig"]["Privileged"], true, "{seen:#}");
}
