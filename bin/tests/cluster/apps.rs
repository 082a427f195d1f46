//! `tepui app` and its neighbours as a user meets them: a local cluster with its app manager, and tasks
//! that really run. What the app manager decides is tested elsewhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::cluster::{binary, until};

/// A local cluster with an app manager, ended when dropped.
struct Local {
    process: Child,
    marathon: String,
    master: String,
}

/// What a command has printed, and how it ended.
#[derive(Debug)]
struct Done {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Local {
    fn start() -> Local {
        let mut process = Command::new(binary("tepui"))
            .args(["local", "--port=0", "--agent-port=0", "--marathon-port=0"])
            .args(["--resources", "cpus:2;mem:256;disk:64;ports:[31000-31100]"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tepui local starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let (mut marathon, mut master) = (None, None);
        // The output ends when the program fails, so this ends in any case.
        for line in lines.map_while(Result::ok) {
            let after = |name| line.strip_prefix(name).map(|url| url.trim().to_owned());
            marathon = marathon.or_else(|| after("apps "));
            master = master.or_else(|| after("master "));
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        Local {
            process,
            marathon: marathon.expect("an app manager"),
            master: master.expect("a master"),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("tepui"));
        command
            .args(args)
            .env("TEPUI_MARATHON", &self.marathon)
            .env_remove("TEPUI_MASTER")
            .env_remove("TEPUI_MARATHON_CREDENTIALS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn tepui(&self, args: &[&str]) -> Done {
        self.tepui_with(args, "")
    }

    /// Runs a command that is given a standard input.
    fn tepui_with(&self, args: &[&str], input: &str) -> Done {
        let mut child = self.command(args).spawn().expect("tepui starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A command that reads no input may have ended already; what it did is in its output.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        Done {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs a command that must succeed.
    fn succeed(&self, args: &[&str], input: &Value) -> Done {
        let done = self.tepui_with(args, &input.to_string());
        assert_eq!(done.status, Some(0), "{args:?}: {done:?}");
        done
    }

    /// The JSON that a command prints.
    fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["-o", "json"]);
        let done = self.succeed(&all, &Value::Null);
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }

    fn tasks(&self, app: &str) -> Vec<String> {
        let tasks = self.json(&["app", "tasks", app]);
        let tasks = tasks["tasks"].as_array().expect("a list").iter();
        let running = tasks.filter(|task| task["state"] == "TASK_RUNNING");
        running
            .map(|task| task["id"].as_str().expect("an id").to_owned())
            .collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        signal(&self.process, Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn signal(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id()).expect("a small number");
    kill(Pid::from_raw(pid), signal).expect("the process runs");
}

/// An app that says who it is and then sleeps.
fn app(id: &str, instances: u32) -> Value {
    json!({"id": id, "cmd": "echo first; echo \"I am $WHO\"; echo wrong >&2; sleep 600",
        "cpus": 0.1, "mem": 16, "instances": instances, "portDefinitions": [],
        "env": {"WHO": "one"}, "labels": {"tier": "front"},
        "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 1}})
}

#[test]
fn an_app_lives_from_its_creation_to_its_removal() {
    let local = Local::start();
    let create = ["app", "create", "-", "--dry-run"];
    let dry = local.succeed(&create, &app("/shop/cart", 1));
    assert!(dry.out.contains("ScaleApplication  /shop/cart"), "{dry:?}");
    let mut large = app("/shop/cart", 1);
    large["cpus"] = json!(100_000);
    let lacking = local.succeed(&create, &large);
    let expected = "1 of /shop/cart would wait for other offers\n  InsufficientCpus in 1 offers";
    assert!(lacking.out.contains(expected), "{lacking:?}");
    let placed = dry.out.lines().find(|line| line.starts_with("1  "));
    assert!(
        placed.is_some_and(|line| line.ends_with("  /shop/cart")),
        "{dry:?}"
    );
    assert_eq!(local.json(&["app", "list"]), json!({"apps": []}));

    let create = ["app", "create", "-", "--wait", "--timeout", "60s"];
    let created = local.succeed(&create, &app("/shop/cart", 1));
    assert!(
        created
            .out
            .starts_with("app /shop/cart is created; deployment "),
        "{created:?}"
    );
    assert!(created.err.contains("has succeeded"), "{created:?}");
    let first = local.tasks("/shop/cart");
    assert_eq!(first.len(), 1);

    let scaled = local.json(&["app", "scale", "shop/cart", "2", "--dry-run"]);
    let of_app = &scaled["placement"]["apps"][0];
    assert_eq!(
        (&of_app["launch"], &of_app["unplaced"]),
        (&json!(1), &json!(0)),
        "{scaled}"
    );
    local.succeed(&["app", "scale", "shop/cart", "2", "--wait"], &Value::Null);
    assert_eq!(local.tasks("shop/cart").len(), 2);
    let listed = local.tepui(&["app", "list", "--label", "tier==front", "--id", "CART"]);
    let line = listed.out.lines().nth(1).expect("an app");
    assert!(line.starts_with("/shop/cart  2/2"), "{listed:?}");
    let none = local.json(&["app", "list", "--label", "tier==back"]);
    assert_eq!(none, json!({"apps": []}));

    let update = ["app", "update", "/shop/cart", "-", "--wait"];
    local.succeed(&update, &json!({"env": {"WHO": "two"}}));
    let shown = local.json(&["app", "show", "/shop/cart"]);
    let changed = &shown["app"];
    assert_eq!(
        (&changed["env"]["WHO"], &changed["instances"]),
        (&json!("two"), &json!(2))
    );
    let second = local.tasks("/shop/cart");
    assert_eq!(second.len(), 2);
    assert!(!second.contains(&first[0]), "{second:?}");

    let versions = local.json(&["app", "versions", "/shop/cart"]);
    let versions = versions["versions"].as_array().expect("a list");
    assert_eq!(versions.len(), 3);
    let oldest = versions[2].as_str().expect("a version");
    let old = local.json(&["app", "show", "/shop/cart", "--version", oldest]);
    assert_eq!(
        (&old["env"]["WHO"], &old["instances"]),
        (&json!("one"), &json!(1))
    );

    local.succeed(&["app", "restart", "/shop/cart", "--wait"], &Value::Null);
    let third = local.tasks("/shop/cart");
    assert!(third.iter().all(|task| !second.contains(task)), "{third:?}");

    let kill = ["app", "kill", &third[0], "--scale", "--wait"];
    local.succeed(&kill, &Value::Null);
    assert_eq!(local.tasks("/shop/cart"), third[1..]);
    let again = local.tepui(&["app", "kill", "shop_cart.instance-gone"]);
    assert!(
        again.status == Some(1) && again.err.contains("no such tasks"),
        "{again:?}"
    );

    let shown = local.tepui(&["app", "show", "/shop/cart"]);
    assert!(shown.out.contains(&third[1]), "{shown:?}");
    local.succeed(&["app", "delete", "/shop/cart", "--wait"], &Value::Null);
    let gone = local.tepui(&["app", "show", "/shop/cart"]);
    assert_eq!(gone.status, Some(1));
    assert_eq!(
        gone.err,
        "tepui: refused (404): App '/shop/cart' does not exist\n"
    );
}

#[test]
fn what_tasks_write_is_read_from_their_sandboxes() {
    let local = Local::start();
    let create = ["app", "create", "-", "--wait"];
    let mut one = app("/a", 1);
    one["cmd"] = json!("echo first; echo 'l\u{e4}st'; echo wrong >&2; sleep 600");
    local.succeed(&create, &one);
    let logs = |args: &[&str]| {
        let mut all = vec!["app", "logs", "/a"];
        all.extend(args);
        let done = local.tepui(&all);
        assert_eq!(done.status, Some(0), "{done:?}");
        done.out
    };
    until("the task's output", || {
        (logs(&[]) == "first\nl\u{e4}st\n").then_some(())
    });
    assert_eq!(logs(&["-n", "1"]), "l\u{e4}st\n");
    assert_eq!(logs(&["-n", "0"]), "");
    assert_eq!(logs(&["--stderr", "--master", &local.master]), "wrong\n");
    let task = local.tasks("/a").remove(0);
    assert_eq!(logs(&["--task", &task, "-n", "9"]), "first\nl\u{e4}st\n");

    // What follows shows the tasks that come while it runs.
    let mut follow = local
        .command(&["app", "logs", "/a", "-f", "-n", "1"])
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(follow.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    let first = next();
    assert!(
        first.starts_with('[') && first.ends_with("] l\u{e4}st"),
        "{first}"
    );
    let update = ["app", "update", "/a", "-", "--wait"];
    local.succeed(&update, &json!({"cmd": "echo changed; exec sleep 600"}));
    assert!(next().ends_with("] changed"));
    // The app's end is the end of what can be followed.
    local.succeed(&["app", "delete", "/a", "--wait"], &Value::Null);
    let ended = follow.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{ended:?}");

    let crash = json!({"id": "/crash", "cmd": "echo my last words; exit 3", "cpus": 0.1, "mem": 16,
        "backoffSeconds": 600, "maxLaunchDelaySeconds": 600});
    local.succeed(&["app", "create", "-"], &crash);
    let why = until("the failure", || {
        let why = local.json(&["why", "/crash"]);
        (why["cause"] == "LaunchDelay").then_some(why)
    });
    let failed = why["lastTaskFailure"]["taskId"].as_str().expect("a task");
    let words = local.tepui(&["why", "crash"]);
    for text in ["Command exited with status 3", "tepui queue reset /crash"] {
        assert!(words.out.contains(text), "{words:?}");
    }
    let last = local.tepui(&["app", "logs", "/crash"]);
    assert_eq!(last.out, "my last words\n", "{last:?}");
    assert!(last.err.contains(failed), "{last:?}");
    let shown = local.tepui(&["app", "show", "crash"]);
    assert!(shown.out.contains("last failure"), "{shown:?}");
    let queue = local.tepui(&["queue"]);
    assert!(queue.out.contains("/crash"), "{queue:?}");
    local.succeed(&["queue", "reset", "crash"], &Value::Null);
}

#[test]
fn deployments_that_cannot_end_are_explained_cancelled_and_undone() {
    let local = Local::start();
    let big = json!({"id": "/big", "cmd": "sleep 600", "cpus": 64, "mem": 16});
    local.succeed(&["app", "create", "-"], &big);
    let listed = local.json(&["deployment", "list"]);
    let id = listed[0]["id"].as_str().expect("a deployment");
    let shown = local.json(&["deployment", "show", id]);
    assert_eq!(shown, listed[0]);
    let late = local.tepui(&["deployment", "wait", id, "--timeout", "1"]);
    assert!(
        late.status == Some(1) && late.err.contains("within 1 s"),
        "{late:?}"
    );

    let why = until("unsuitable offers", || {
        let why = local.tepui(&["why", "/big"]);
        why.out.contains("InsufficientCpus").then_some(why)
    });
    assert!(why.out.contains("wanted 64 cpus, offered 2"), "{why:?}");
    assert!(why.out.contains("what would help:\n  - "), "{why:?}");

    let locked = local.tepui(&["app", "scale", "/big", "2"]);
    assert!(
        locked.status == Some(1) && locked.err.contains(id) && locked.err.contains("--force"),
        "{locked:?}"
    );

    // Whoever waits hears of the end, and that it is none to be glad of.
    let mut waiting = local
        .command(&["app", "scale", "/big", "2", "--force", "--wait"])
        .spawn()
        .expect("started");
    let mut out = BufReader::new(waiting.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    let id = line.trim().rsplit(' ').next().expect("an id");
    local.succeed(&["deployment", "cancel", id], &Value::Null);
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    let ended = waiting.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(
        (ended.status.code(), rest.as_str()),
        (Some(1), ""),
        "{said}"
    );
    assert!(
        said.contains(&format!("deployment {id} has failed")),
        "{said}"
    );

    // Undone is what the deployment wanted, not what was before it.
    local.succeed(&["app", "scale", "/big", "5"], &Value::Null);
    let listed = local.json(&["deployment", "list"]);
    let id = listed[0]["id"].as_str().expect("a deployment");
    let undone = local.json(&["deployment", "rollback", id]);
    assert!(undone["deploymentId"].is_string(), "{undone}");
    let shown = local.json(&["app", "show", "/big"]);
    assert_eq!(shown["app"]["instances"], 2);

    let apps = json!([app("/x", 0), app("/y", 0)]);
    let both = local.succeed(&["app", "create", "-", "--wait"], &apps);
    assert!(both.out.starts_with("2 apps are created"), "{both:?}");
    let listed = local.json(&["app", "list"]);
    assert_eq!(listed["apps"].as_array().map(Vec::len), Some(3));

    let group = json!({"id": "/g", "apps": [app("a", 1)], "groups": [{"id": "sub",
        "apps": [app("b", 1)]}]});
    local.succeed(&["app", "create", "-", "--wait"], &group);
    local.succeed(&["group", "scale", "/g", "2", "--wait"], &Value::Null);
    assert_eq!(
        (local.tasks("/g/a").len(), local.tasks("/g/sub/b").len()),
        (2, 2)
    );
    let groups = local.tepui(&["group", "list"]);
    assert!(groups.out.contains("/g/sub"), "{groups:?}");
    local.succeed(&["group", "delete", "/g", "--wait"], &Value::Null);
    let gone = local.tepui(&["group", "show", "/g"]);
    assert_eq!(
        gone.err,
        "tepui: refused (404): Group '/g' does not exist\n"
    );
}

#[test]
fn refusals_and_silence_have_their_words_and_exit_statuses() {
    let local = Local::start();
    let refused = |args: &[&str], input: &str, status, texts: &[&str]| {
        let done = local.tepui_with(args, input);
        assert_eq!(done.status, Some(status), "{args:?}: {done:?}");
        for text in texts {
            assert!(
                done.err.contains(text),
                "{args:?}: {text} is missing in {done:?}"
            );
        }
    };
    let create = ["app", "create", "-"];
    refused(
        &create,
        r#"{"id": "/a", "cpus": -1}"#,
        1,
        &["422", "\n  /cpus: "],
    );
    refused(&create, r#"{"id": "#, 2, &["standard input", "no JSON"]);
    refused(&create, "[]", 2, &["empty"]);
    refused(
        &["app", "create", "/nowhere/a.json"],
        "",
        2,
        &["/nowhere/a.json"],
    );
    refused(
        &["app", "scale", "/a", "2"],
        "",
        1,
        &["App '/a' does not exist"],
    );
    refused(&["app", "logs", "/a"], "", 1, &["App '/a' does not exist"]);
    refused(
        &["app", "list", "--label", "=="],
        "",
        1,
        &["label selector"],
    );
    refused(&["deployment", "cancel", "x"], "", 1, &["DeploymentPlan x"]);
    refused(&["app", "show", "/"], "", 2, &["/shop/cart"]);

    // Nobody reads what is printed; that is no failure.
    let mut unread = local.command(&["app", "list"]);
    let mut unread = unread.spawn().expect("started");
    drop(unread.stdout.take());
    assert!(unread.wait().expect("it ends").success());

    // A master is no app manager.
    let at_master = ["app", "list", "--marathon", &local.master];
    refused(&at_master, "", 1, &["404", "--marathon"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("an address").to_string();
    drop(free);
    let at_nobody = ["app", "list", "--marathon", &nobody];
    refused(
        &at_nobody,
        "",
        3,
        &["refused", "tepui local", "TEPUI_MARATHON"],
    );
    let secret = ["app", "list", "--marathon", "http://u:secret@h:x"];
    let done = local.tepui(&secret);
    assert!(
        done.status == Some(2) && !done.err.contains("secret"),
        "{done:?}"
    );
}

/// Plays a Marathon that knows none of our additions; gives what it was asked.
fn play_marathon(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serve = move || {
        let asked = listener.incoming().take(requests).map(|stream| {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut first = String::new();
            stream.read_line(&mut first).expect("a request");
            let path = first.split(' ').nth(1).unwrap_or_default();
            let id = path.trim_start_matches("/v2/apps");
            let body = json!({"message": format!("App '{id}' does not exist"), "details": []});
            let body = body.to_string();
            let head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n";
            let length = body.len();
            let answer = format!("{head}Content-Length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).expect("read");
            first.trim_end().to_owned()
        });
        asked.collect()
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn apaches_marathon_is_never_asked_for_what_it_would_do_for_good() {
    let (url, marathon) = play_marathon(2);
    let local = |args: &[&str]| {
        let mut command = Command::new(binary("tepui"));
        let output = command.args(args).args(["--marathon", &url]).output();
        let output = output.expect("tepui starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    };
    let dry = local(&["app", "scale", "/a", "2", "--dry-run"]);
    assert!(dry.contains("knows no dry runs"), "{dry}");
    let why = local(&["why", "/a"]);
    assert!(why.contains("tepui queue"), "{why}");
    let asked = marathon.join().expect("it has played");
    assert_eq!(
        asked,
        ["GET /v2/schemas HTTP/1.1", "GET /v2/apps/a/why HTTP/1.1"]
    );
}
