//! The master's v0 endpoints where recordings are silent: pages of tasks, changes that are seen
//! afterwards, requests that are broken.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Framework, info, scalar, task};
use crate::support::http;

fn get(master: SocketAddr, path: &str) -> Value {
    let answer = http::request(master, "GET", path, &[], &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn send(master: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let answer = http::request(master, method, path, &[], body.as_bytes());
    (answer.status, answer.text())
}

/// The ids of the tasks that `/tasks` shows for a query.
fn page(master: SocketAddr, query: &str) -> Vec<String> {
    let shown = get(master, &format!("/tasks?{query}"));
    let tasks = shown["tasks"].as_array().expect("tasks").iter();
    let id = |task: &Value| task["id"].as_str().expect("id").to_owned();
    tasks.map(id).collect()
}

#[test]
fn tasks_are_shown_page_by_page() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let mut framework = Framework::simple(master, "worker", &[]);
    for id in ["t1", "t2", "t3"] {
        let offer = framework.offer();
        let launch = json!([{"type": "LAUNCH",
            "launch": {"task_infos": [task(id, &offer, "exec sleep 1000")]}}]);
        framework.accept(&offer, launch, 0.0);
        framework.await_state(id, "TASK_RUNNING");
    }
    assert_eq!(page(master, ""), ["t3", "t2", "t1"]);
    assert_eq!(page(master, "order=asc"), ["t1", "t2", "t3"]);
    assert_eq!(page(master, "limit=1&offset=1"), ["t2"]);
    assert_eq!(page(master, "order=asc&offset=2"), ["t3"]);
    assert_eq!(page(master, "offset=3"), [""; 0]);
    assert_eq!(page(master, "limit=x&offset=y"), ["t3", "t2", "t1"]);
    assert_eq!(page(master, "limit=2;limit=1"), ["t3"], "the last counts");
    let own = format!("framework_id={}&task_id=t2", framework.id);
    assert_eq!(page(master, &own), ["t2"]);
    assert_eq!(page(master, "framework_id=nope"), [""; 0]);

    let summary = get(master, "/state-summary");
    let (agent, shown) = (&summary["slaves"][0], &summary["frameworks"][0]);
    for counted in [agent, shown] {
        assert_eq!(counted["TASK_RUNNING"], 3);
        assert_eq!(counted["TASK_STAGING"], 0);
    }
    assert_eq!(agent["framework_ids"], json!([framework.id]));
    assert_eq!(shown["slave_ids"], json!([agent["id"]]));
    let state = get(master, "/state");
    let whole = &state["frameworks"][0];
    assert_eq!(shown["used_resources"], whole["used_resources"]);
    assert_eq!(agent["used_resources"], whole["used_resources"]);

    let body = format!("frameworkId={}", framework.id);
    assert_eq!(
        send(master, "POST", "/master/teardown", &body),
        (200, String::new())
    );
    framework.end();
    assert_eq!(get(master, "/frameworks")["frameworks"], json!([]));
    assert_eq!(page(master, "task_id=t1"), ["t1"], "it is remembered");
}

/// A resource reserved to `web`, and a volume on such disk.
fn reserved() -> (Value, Value) {
    let mut disk = scalar("disk", 64.0);
    disk["role"] = json!("web");
    disk["reservation"] = json!({});
    let mut volume = disk.clone();
    volume["scalar"]["value"] = json!(32.0);
    volume["disk"] = json!({"persistence": {"id": "kept"},
        "volume": {"mode": "RW", "container_path": "data"}});
    (disk, volume)
}

#[test]
fn reservations_and_volumes_come_and_go() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let agent = get(master, "/slaves")["slaves"][0]["id"].clone();
    let agent = agent.as_str().expect("id").to_owned();
    let (disk, volume) = reserved();
    let change = |path: &str, name: &str, resource: &Value| {
        let body = format!("slaveId={agent}&{name}=[{resource}]");
        assert_eq!(
            send(master, "POST", path, &body),
            (202, String::new()),
            "{path}"
        );
    };
    let web = || get(master, &format!("/slaves?slave_id={agent}"))["slaves"][0].clone();
    change("/reserve", "resources", &disk);
    assert_eq!(web()["reserved_resources"]["web"]["disk"], 64.0);
    change("/create-volumes", "volumes", &volume);
    let full = web()["reserved_resources_full"]["web"].clone();
    let full = full.as_array().expect("resources");
    let id = |resource: &Value| resource["disk"]["persistence"]["id"] == "kept";
    assert!(full.len() == 2 && full.iter().any(id), "{full:?}");
    let role = get(master, "/roles")["roles"][0].clone();
    assert_eq!(role["name"], "web");
    assert_eq!(role["reserved"], json!({"disk": 64.0}));
    assert_eq!(role["quota"]["consumed"], json!({"disk": 64.0}));
    // A volume can be destroyed once the agent has made it.
    until("the volume's end", || {
        let body = format!("slaveId={agent}&volumes=[{volume}]");
        (send(master, "POST", "/destroy-volumes", &body).0 == 202).then_some(())
    });
    until("the reservation's end", || {
        let body = format!("slaveId={agent}&resources=[{disk}]");
        (send(master, "POST", "/unreserve", &body).0 == 202).then_some(())
    });
    assert_eq!(web()["reserved_resources_full"], json!({}));
    let body = format!("slaveId={agent}&resources=[{disk}]");
    let (status, text) = send(master, "POST", "/unreserve", &body);
    assert_eq!(status, 409, "{text}");
}

#[test]
fn what_operators_set_is_shown_and_stored() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    let ok = (200, String::new());
    let quota = json!({"role": "web", "guarantee": [scalar("cpus", 1.5)]}).to_string();
    assert_eq!(send(master, "POST", "/quota", &quota), ok);
    assert_eq!(send(master, "POST", "/quota", &quota).0, 400, "it has one");
    let amounts = json!({"cpus": {"value": 1.5}});
    let shown = json!({
        "infos": [{"role": "web", "guarantee": [scalar("cpus", 1.5)]}],
        "configs": [{"role": "web", "guarantees": amounts, "limits": amounts}],
    });
    assert_eq!(get(master, "/quota"), shown);
    let huge = json!({"role": "huge", "guarantee": [scalar("cpus", 1e6)]}).to_string();
    assert_eq!(send(master, "POST", "/quota", &huge).0, 409);

    let weights = json!([{"role": "web", "weight": 2.5}]);
    assert_eq!(send(master, "PUT", "/weights", &weights.to_string()), ok);
    assert_eq!(get(master, "/weights"), weights);

    let machine = json!({"hostname": "elsewhere.test", "ip": "127.0.0.9"});
    let start = 4_000_000_000_000_000_000_i64;
    let schedule = json!({"windows": [{"machine_ids": [machine],
        "unavailability": {"start": {"nanoseconds": start}}}]});
    let path = "/maintenance/schedule";
    assert_eq!(send(master, "POST", path, &schedule.to_string()), ok);
    assert_eq!(get(master, path), schedule);
    let machines = json!([machine]).to_string();
    assert_eq!(send(master, "POST", "/machine/down", &machines), ok);
    let down = json!({"down_machines": [machine]});
    assert_eq!(get(master, "/maintenance/status"), down);

    let registry = get(master, "/registrar(1)/registry");
    assert_eq!(get(master, "/registrar%281%29/registry"), registry);
    assert_eq!(registry["quota_configs"], shown["configs"]);
    assert_eq!(registry["weights"], json!([{"info": weights[0]}]));
    assert_eq!(registry["schedules"], json!([schedule]));
    assert_eq!(registry["machines"]["machines"][0]["info"]["mode"], "DOWN");
    let agents = get(master, "/slaves");
    let stored = &registry["slaves"]["slaves"][0]["info"]["id"]["value"];
    assert_eq!(*stored, agents["slaves"][0]["id"]);

    assert_eq!(send(master, "POST", "/machine/up", &machines), ok);
    assert_eq!(get(master, path), json!({}));
    assert_eq!(send(master, "DELETE", "/master/quota/web", ""), ok);
    assert_eq!(get(master, "/quota"), json!({}));
    let (status, text) = send(master, "DELETE", "/quota", "");
    let expected = "Failed to parse remove quota request for path '/master/quota': expected 3 \
                    tokens, found 2 tokens";
    assert_eq!((status, text.as_str()), (400, expected));
}

#[test]
fn constraints_of_offers_show_which_agents_they_exclude() {
    let cluster = Cluster::start(2);
    let master = cluster.master.address;
    let debug = |path: &str| get(master, path)["frameworks"].clone();
    let path = "/allocator/offer_constraints_debug";
    assert_eq!(debug(path), json!({}));
    let framework = Framework::simple(master, "picky", &["MULTI_ROLE"]);
    let mut changed = info("picky", &["MULTI_ROLE"]);
    changed["id"] = json!({"value": framework.id});
    changed["roles"] = json!(["eng/web", "ops"]);
    let is_on = |rack: &str| {
        json!({"groups": [{"attribute_constraints": [{"selector": {"attribute_name": "rack"},
            "predicate": {"text_matches": {"regex": rack}}}]}]})
    };
    let update = |constraints: Value, suppressed: Value| {
        let update = json!({"framework_info": changed, "suppressed_roles": suppressed,
            "offer_constraints": {"role_constraints": constraints}});
        framework.call(json!({"type": "UPDATE_FRAMEWORK", "update_framework": update}))
    };
    let answer = update(
        json!({"eng/web": is_on("r1"), "ops": is_on("r[12]")}),
        json!(["ops"]),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let slaves = get(master, "/slaves")["slaves"].clone();
    let mut slaves = slaves.as_array().expect("agents").iter();
    let second = slaves.find(|agent| agent["attributes"]["rack"] == "r2");
    let second = second.expect("the second agent")["id"].clone();
    let shown = json!({framework.id.clone(): {"suppressed_roles": ["ops"],
        "excluded_by_attribute_constraints": {"eng/web": [second], "ops": []}}});
    assert_eq!(debug(path), shown);
    // A pattern that is none is refused, and what was set before goes on to count.
    let answer = update(json!({"eng/web": is_on("(")}), json!([]));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(debug(path), shown);
    let answer = update(json!({}), json!([]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let open = json!({framework.id.clone(): {"suppressed_roles": [],
        "excluded_by_attribute_constraints": {"eng/web": [], "ops": []}}});
    assert_eq!(debug(path), open);
}

#[test]
fn long_answers_are_compressed_when_asked_for() {
    let cluster = Cluster::start(1);
    let master = cluster.master.address;
    for path in ["/state", "/slaves", "/help?format=json", "/state?jsonp=f"] {
        let gzip = [("Accept-Encoding", "gzip")];
        let packed = http::request(master, "GET", path, &gzip, &[]);
        let encoding = packed.header("content-encoding");
        assert_eq!((packed.status, encoding), (200, Some("gzip")), "{path}");
        assert!(packed.body.starts_with(&[0x1f, 0x8b]), "{path}");
        let plain = http::request(master, "GET", path, &[], &[]);
        assert_eq!(plain.header("content-encoding"), None);
        assert!(packed.body.len() < plain.body.len(), "{path}");
    }
}

#[test]
fn broken_requests_are_refused_and_change_nothing() {
    let cluster = Cluster::start(0);
    let master = cluster.master.address;
    for path in ["/state?x=%zz", "/tasks?limit=%", "/version?%4=1"] {
        let (status, text) = send(master, "GET", path, "");
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("Malformed % escape"), "{text}");
    }
    let deep = "[".repeat(20_000);
    let nested = format!("{{\"windows\":{deep}");
    let form = format!("slaveId=S&resources={deep}");
    for (method, path) in [
        ("PUT", "/weights"),
        ("POST", "/quota"),
        ("POST", "/machine/down"),
        ("POST", "/machine/up"),
        ("POST", "/maintenance/schedule"),
        ("POST", "/reserve"),
        ("POST", "/unreserve"),
        ("POST", "/teardown"),
    ] {
        for body in [
            "",
            "{",
            "null",
            "\u{0}",
            "frameworkId=%zz",
            &deep,
            &nested,
            &form,
        ] {
            let (status, text) = send(master, method, path, body);
            assert_eq!(status, 400, "{path} {}: {text}", body.len());
        }
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
        let line = raw(master, head.as_bytes());
        assert!(line.starts_with("HTTP/1.1 413"), "{path}: {line}");
    }
    for (path, status) in [
        ("/redirect/x", 404),
        ("/master/redirect", 307),
        ("/help/nope", 400),
        ("/profiler/start", 400),
        ("/memory-profiler/state", 404),
        ("/%6daster/health", 200),
        ("/master/%68ealth", 404),
        ("/tasks.json", 404),
    ] {
        assert_eq!(send(master, "GET", path, "").0, status, "{path}");
    }
    for path in ["/__processes__", "/system/stats.json", "/help?format=json"] {
        get(master, path);
    }
}

/// The beginning of what is answered to these bytes.
fn raw(master: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(master).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(bytes).expect("send");
    let mut answer = [0; 1024];
    let count = socket.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[test]
fn odd_forms_of_requests_are_answered() {
    let cluster = Cluster::start(0);
    let master = cluster.master.address;
    for target in ["", "state", "?x"] {
        let line = raw(
            master,
            format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
        );
        assert!(line.starts_with("HTTP/1.1 40"), "{target:?}: {line}");
    }
    let chunked = "POST /teardown HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   c\r\nframeworkId=\r\n5\r\nghost\r\n0\r\n";
    let whole = raw(master, format!("{chunked}\r\n").as_bytes());
    assert!(
        whole.ends_with("No framework found with specified ID"),
        "{whole}"
    );
    // What follows the last chunk is taken or refused, but neither waited for nor fatal.
    let trailed = raw(master, format!("{chunked}X-Sum: 1\r\n\r\n").as_bytes());
    assert!(trailed.starts_with("HTTP/1.1 400"), "{trailed}");
    get(master, "/state-summary");
}
