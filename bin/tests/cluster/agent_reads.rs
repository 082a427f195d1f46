//! What operators read of an agent while real tasks run: files, figures, logs.
//! Shapes of answers are compared with recordings elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tepui_protocol::v1::agent::Response;

use crate::support::cluster::{Cluster, until};
use crate::support::framework::{Framework, task};
use crate::support::http;

const JSON: [(&str, &str); 2] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
];

/// Longest time an answer may take, whatever a task has put into its sandbox.
const AT_ONCE: Duration = Duration::from_secs(10);

fn get(agent: SocketAddr, path: &str) -> http::Response {
    http::request_within(AT_ONCE, agent, "GET", path, &[], &[]).expect("an answer")
}

fn call(agent: SocketAddr, body: &Value) -> http::Response {
    let body = body.to_string().into_bytes();
    http::request_within(AT_ONCE, agent, "POST", "/api/v1", &JSON, &body).expect("an answer")
}

/// Runs a command, and gives its framework and its sandbox once there is a file `ready` in it.
fn run(cluster: &Cluster, command: &str) -> (Framework, String) {
    let mut framework = Framework::simple(cluster.master.address, "reads", &[]);
    let offer = framework.offer();
    framework.launch(&offer, &[task("t", &offer, command)]);
    framework.await_state("t", "TASK_RUNNING");
    let state = get(cluster.agents[0].address, "/state").json();
    let executor = &state["frameworks"][0]["executors"][0];
    let sandbox = executor["directory"].as_str().expect("sandbox").to_owned();
    until("the task to be ready", || {
        std::path::Path::new(&sandbox)
            .join("ready")
            .exists()
            .then_some(())
    });
    (framework, sandbox)
}

#[test]
fn a_task_cannot_lead_readers_out_of_its_sandbox_or_make_them_wait() {
    let cluster = Cluster::start(1);
    let secret = cluster.dir.path().join("secret");
    std::fs::write(&secret, "secret").expect("a file outside");
    let command = format!(
        "ln -s {secret} absolute; ln -s ../../../../../../../../../secret relative; ln -s .. up; \
         ln -s / root; ln -s self self; ln -s /proc/self/cwd magic; mkfifo pipe; mkdir sub; \
         echo inside > sub/file; ln -s sub/file inside; mknod zero c 1 5; \
         touch ready; exec sleep 1000",
        secret = secret.display(),
    );
    let (framework, sandbox) = run(&cluster, &command);
    let agent = cluster.agents[0].address;
    let id = &framework.id;
    let latest = format!("/frameworks/{id}/executors/t/runs/latest");
    for base in [&sandbox, &latest] {
        let inside = get(agent, &format!("/files/read?path={base}/inside&offset=0"));
        assert_eq!(inside.json(), json!({"data": "inside\n", "offset": 0}));
        for path in [
            "absolute",
            "relative",
            "up",
            "up/latest/stdout",
            "root/etc/passwd",
            "self",
            "magic",
            "pipe",
            "zero",
            "..",
            "../latest/stdout",
            "%2e%2e/latest/stdout",
            "sub%2f..%2fstdout",
            "sub/../../../../../../../../../../secret",
            "%00",
            "stdout%00",
            "sub/file/x",
        ] {
            for route in ["read", "browse", "download"] {
                let answer = get(
                    agent,
                    &format!("/files/{route}?path={base}/{path}&offset=0"),
                );
                assert_eq!(
                    answer.status,
                    404,
                    "{route} {base}/{path}: {}",
                    answer.text()
                );
            }
        }
        for path in ["absolute", "pipe", "zero", "../x"] {
            let path = format!("{base}/{path}");
            let read = json!({"path": path, "offset": 0});
            let read = call(agent, &json!({"type": "READ_FILE", "read_file": read}));
            assert_eq!((read.status, read.text().as_str()), (404, ""), "{path}");
            let list = json!({"type": "LIST_FILES", "list_files": {"path": path}});
            assert_eq!(call(agent, &list).status, 404, "{path}");
        }
    }
    // What leads out is listed as the link it is.
    let listed = get(agent, &format!("/files/browse?path={sandbox}")).json();
    let mode = |name: &str| {
        let path = format!("{sandbox}/{name}");
        let mut all = listed.as_array().expect("entries").iter();
        let found = all.find(|file| file["path"] == path.as_str());
        found.expect("an entry")["mode"].as_str().expect("mode")[..1].to_owned()
    };
    assert_eq!(
        [mode("root"), mode("pipe"), mode("sub"), mode("inside")],
        ["l", "p", "d", "-"]
    );
    framework.teardown();
}

#[test]
fn a_file_that_grows_is_read_page_by_page() {
    let cluster = Cluster::start(1);
    let command = "touch ready; while [ ! -e stop ]; do echo 0123456789abcde; done";
    let (framework, sandbox) = run(&cluster, command);
    let agent = cluster.agents[0].address;
    let read = |offset: u64, length: u64| {
        let path = format!("/files/read?path={sandbox}/stdout&offset={offset}&length={length}");
        let answer = get(agent, &path).json();
        assert_eq!(answer["offset"], offset);
        answer["data"].as_str().expect("data").to_owned()
    };
    let line = "0123456789abcde\n";
    let (mut offset, mut pages) = (0_u64, 0);
    while offset < 300_000 {
        let page = read(offset, 1_000_000);
        // Never more than is given at once, and never anything but what was written there.
        assert!(page.len() <= 16 * 4096, "{} bytes", page.len());
        let begin = usize::try_from(offset % 16).expect("small");
        let expected = line.chars().cycle().skip(begin).take(page.len());
        assert!(page.chars().eq(expected), "at {offset}");
        offset += page.len() as u64;
        pages += usize::from(!page.is_empty());
    }
    assert!(pages >= 5, "{pages} pages of 300000 bytes");
    std::fs::write(format!("{sandbox}/stop"), "").expect("the end");
    for behind in [1 << 40, i64::MAX as u64] {
        assert_eq!(read(behind, 10), "", "{behind}");
    }
    let past = json!({"path": format!("{sandbox}/stdout"), "offset": u64::MAX});
    let past = call(agent, &json!({"type": "READ_FILE", "read_file": past})).json();
    assert_eq!(past["read_file"]["data"], "");
    assert!(
        past["read_file"]["size"].as_u64() >= Some(300_000),
        "{past}"
    );
    framework.teardown();
}

#[test]
fn figures_follow_what_a_task_does() {
    let cluster = Cluster::start(1);
    let command = "touch ready; (while :; do :; done) & sleep 1000 & wait";
    let (framework, _) = run(&cluster, command);
    let agent = cluster.agents[0].address;
    let statistics = || get(agent, "/monitor/statistics").json()[0]["statistics"].clone();
    let user = |of: &Value| of["cpus_user_time_secs"].as_f64().expect("a number");
    let first = until("figures", || {
        Some(statistics()).filter(|first| first["processes"].as_u64() >= Some(4))
    });
    let second = until("the task to use the CPU", || {
        Some(statistics()).filter(|second| user(second) >= user(&first) + 0.2)
    });
    assert!(second["timestamp"].as_f64() > first["timestamp"].as_f64());
    assert!(second["mem_rss_bytes"].as_u64() > Some(100_000), "{second}");
    assert!(
        second["threads"].as_u64() >= second["processes"].as_u64(),
        "{second}"
    );
    let state = get(agent, "/state").json();
    let executor = &state["frameworks"][0]["executors"][0];
    let mem_mb = executor["resources"]["mem"].as_f64().expect("mem");
    assert_eq!(second["cpus_soft_limit"], executor["resources"]["cpus"]);
    assert_eq!(
        second["mem_limit_bytes"].as_f64(),
        Some(mem_mb * 1024.0 * 1024.0)
    );
    assert!(
        second["cpus_limit"].is_null(),
        "nothing limits CPUs: {second}"
    );

    let shown = get(agent, "/slave(1)/containers").json();
    assert_eq!(shown[0]["container_id"], executor["container"]);
    let pid = shown[0]["status"]["executor_pid"].as_u64().expect("pid");
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let filter = format!("/containers?framework_id={}&executor_id=t", framework.id);
    assert_eq!(get(agent, &filter).json().as_array().map(Vec::len), Some(1));
    for refused in ["executor_id=t", "container_id=c&framework_id=f"] {
        assert_eq!(
            get(agent, &format!("/containers?{refused}")).status,
            400,
            "{refused}"
        );
    }
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/x-protobuf"),
    ];
    let body = br#"{"type":"GET_CONTAINERS"}"#;
    let answer = http::request(agent, "POST", "/api/v1", &headers, body);
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-protobuf")
    );
    let answer: Response = tepui_protocol::wire::decode(&answer.body).expect("a response");
    let containers = answer.get_containers.expect("containers").containers;
    let figures = containers[0].resource_statistics.as_ref().expect("figures");
    assert!(figures.cpus_user_time_secs >= second["cpus_user_time_secs"].as_f64());
    framework.teardown();
    until("the end of the container", || {
        let left = get(agent, "/containers").json();
        (left == json!([])).then_some(())
    });
}

#[test]
fn broken_queries_are_refused() {
    let cluster = Cluster::start(1);
    let agent = cluster.agents[0].address;
    for path in ["/state?x=%zz", "/slave(1)/state?%4=1", "/nope?%"] {
        let answer = get(agent, path);
        assert_eq!(answer.status, 400, "{path}");
        let text = answer.text();
        assert!(text.starts_with("Unable to decode query string: Malformed % escape"));
    }
    assert_eq!(get(agent, "/state?x=%20").status, 200);
}

#[test]
fn logs_are_shown_where_flags_name_them() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = dir.path().join("log");
    std::fs::write(&log, "one line\n").expect("a log");
    let flag = format!("--external_log_file={}", log.display());
    let cluster = Cluster::with(1, &[&flag], &[&flag]);
    let (master, agent) = (cluster.master.address, cluster.agents[0].address);
    for (server, path) in [(master, "/master/log"), (agent, "/slave/log")] {
        let read = get(server, &format!("/files/read?path={path}&offset=4"));
        assert_eq!(read.json(), json!({"data": "line\n", "offset": 4}));
        let shown = get(server, "/files/debug").json();
        assert_eq!(shown, json!({path: log.display().to_string()}));
        let download = get(server, &format!("/files/download?path={path}"));
        assert_eq!(download.text(), "one line\n");
        for nothing in ["/etc/passwd", &format!("{path}/../log"), "/"] {
            let answer = get(server, &format!("/files/read?path={nothing}&offset=0"));
            assert_eq!(answer.status, 404, "{nothing}");
        }
    }
    let state = get(agent, "/state").json();
    assert_eq!(state["external_log_file"], log.display().to_string());
}
