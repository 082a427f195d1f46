//! One instance that leads at once: what it serves, how it ends, what it leaves.
//! Several instances are tested with real ZooKeeper servers, tasks with real agents.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::flags;
use crate::marathon::loggers;

/// Settings of these flags, at a port of its own and without a master.
fn config(flags: &[String]) -> MarathonConfig {
    // Nobody listens there.
    let mut args = vec![
        "--master=127.0.0.1:1".to_owned(),
        "--http_port=0".to_owned(),
    ];
    args.push("--hostname=127.0.0.1".to_owned());
    args.extend_from_slice(flags);
    let args = args.into_iter().map(OsString::from);
    match flags::marathon(args, std::iter::empty()).expect("right flags") {
        flags::Parsed::Run((config, _)) => config,
        flags::Parsed::Print(text) => panic!("{text}"),
    }
}

/// A running instance.
struct Instance {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), Failed>>,
    client: reqwest::Client,
}

impl Instance {
    async fn start(flags: &[String]) -> Instance {
        let config = config(flags);
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = oneshot::channel();
        let ended = actix_web::rt::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            run(config, loggers::start(None), stopped, |address| {
                ready.send(address).expect("a listener")
            })
            .await
        });
        let instance = Instance {
            address: address.await.expect("an address"),
            stop,
            ended,
            client: reqwest::Client::new(),
        };
        // Before it leads it looks for somebody to ask.
        assert_eq!(instance.get("/v2/info").await["elected"], true);
        instance
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Value {
        loop {
            let answer = self
                .client
                .get(self.url(path))
                .send()
                .await
                .expect("an answer");
            if answer.status() == 502 {
                tokio::task::yield_now().await;
                continue;
            }
            assert_eq!(answer.status(), 200, "{path}");
            return serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        }
    }

    async fn create(&self, id: &str) {
        let app = json!({"id": id, "cmd": "sleep 1000", "instances": 0}).to_string();
        let request = self.client.post(self.url("/v2/apps")).body(app);
        let request = request.header("Content-Type", "application/json");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    }

    async fn apps(&self) -> Vec<String> {
        let apps = self.get("/v2/apps").await;
        let apps = apps["apps"].as_array().expect("apps");
        apps.iter()
            .map(|app| app["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    async fn step_down(self, query: &str) -> Failed {
        let path = format!("/v2/leader{query}");
        let answer = self
            .client
            .delete(self.url(&path))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        self.ended.await.expect("no panic").expect_err("it gave up")
    }

    async fn stop(self) {
        self.stop.send(()).expect("running");
        self.ended.await.expect("no panic").expect("an orderly end");
    }
}

fn in_dir(dir: &Path) -> Vec<String> {
    vec![format!("--work_dir={}", dir.display())]
}

#[actix_web::test]
async fn what_was_stored_is_there_after_a_new_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let flags = in_dir(dir.path());
    let instance = Instance::start(&flags).await;
    instance.create("/a").await;
    // A stream that stays open holds up no end.
    let stream = instance.client.get(instance.url("/v2/events"));
    let stream = stream
        .header("Accept", "text/event-stream")
        .send()
        .await
        .expect("a stream");
    assert_eq!(stream.status(), 200);
    let leader = instance.get("/v2/leader").await;
    assert_eq!(leader["leader"], instance.address.to_string());
    instance.stop().await;

    let instance = Instance::start(&flags).await;
    assert_eq!(instance.apps().await, ["/a"]);
    instance.stop().await;
}

#[actix_web::test]
async fn stepping_down_ends_it_and_can_back_up_and_restore() {
    let dir = tempfile::tempdir().expect("a directory");
    let (flags, backup) = (in_dir(dir.path()), dir.path().join("backup.tar.gz"));
    let instance = Instance::start(&flags).await;
    instance.create("/a").await;
    let failed = instance
        .step_down(&format!("?backup=file://{}", backup.display()))
        .await;
    assert_eq!(failed.exit_code(), 105, "{failed}");

    let instance = Instance::start(&flags).await;
    instance.create("/b").await;
    assert_eq!(instance.apps().await, ["/a", "/b"]);
    let failed = instance
        .step_down(&format!("?restore=file://{}", backup.display()))
        .await;
    assert_eq!(failed.exit_code(), 105, "{failed}");

    let instance = Instance::start(&flags).await;
    assert_eq!(instance.apps().await, ["/a"]);
    // What is no backup changes nothing.
    std::fs::write(&backup, "nothing").expect("written");
    let failed = instance
        .step_down(&format!("?restore=file://{}", backup.display()))
        .await;
    assert_eq!(failed.exit_code(), 104);
    assert!(failed.to_string().contains("backup"), "{failed}");
    let instance = Instance::start(&flags).await;
    assert_eq!(instance.apps().await, ["/a"]);
    instance.stop().await;
}

#[actix_web::test]
async fn state_is_backed_up_and_restored_while_nobody_leads() {
    let dir = tempfile::tempdir().expect("a directory");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let backup = dir.path().join("backup.tar");
    let nothing = maintain(&StatePlace::File(from.clone()), Some(backup.clone()), None).await;
    assert!(nothing.is_err() && !from.exists());

    let instance = Instance::start(&in_dir(&from)).await;
    instance.create("/a").await;
    let in_use = maintain(&StatePlace::File(from.clone()), Some(backup.clone()), None).await;
    assert!(in_use.expect_err("in use").to_string().contains("in use"));
    instance.stop().await;
    let place = StatePlace::File(from);
    maintain(&place, Some(backup.clone()), None)
        .await
        .expect("a backup");
    let place = StatePlace::File(to.clone());
    maintain(&place, None, Some(backup))
        .await
        .expect("restored");
    let instance = Instance::start(&in_dir(&to)).await;
    assert_eq!(instance.apps().await, ["/a"]);
    instance.stop().await;
}

#[actix_web::test]
async fn what_cannot_start_says_why_with_marathons_exit_codes() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let mut wrong = config(&["--internal_store_backend=mem".to_owned()]);
    wrong.http_port = port;
    let failed = run(wrong, loggers::start(None), std::future::pending(), |_| {})
        .await
        .expect_err("taken");
    assert_eq!(failed.exit_code(), 111, "{failed}");

    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(FILE_NAME), "no database").expect("written");
    let wrong = config(&in_dir(dir.path()));
    let failed = run(wrong, loggers::start(None), std::future::pending(), |_| {})
        .await
        .expect_err("damaged");
    assert_eq!(failed.exit_code(), 104, "{failed}");
}

#[actix_web::test]
async fn credentials_are_asked_for_everywhere() {
    let flags = [
        "--internal_store_backend=mem".to_owned(),
        "--http_credentials=user:word".to_owned(),
    ];
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, address) = oneshot::channel();
    let config = config(&flags);
    let ended = actix_web::rt::spawn(async move {
        let stopped = async { stopped.await.unwrap_or_default() };
        run(config, loggers::start(None), stopped, |address| {
            ready.send(address).expect("a listener")
        })
        .await
    });
    let address = address.await.expect("an address");
    let client = reqwest::Client::new();
    for path in ["/ping", "/v2/apps", "/nothing", "/ui/", "/ui/face.json"] {
        let url = format!("http://{address}{path}");
        let refused = client.get(&url).send().await.expect("an answer");
        assert_eq!(refused.status(), 401, "{path}");
        let challenge = refused
            .headers()
            .get("www-authenticate")
            .expect("a challenge");
        assert_eq!(challenge, "Basic realm=\"Mesosphere\"");
        let answer = client
            .get(&url)
            .basic_auth("user", Some("word"))
            .send()
            .await;
        assert_ne!(answer.expect("an answer").status(), 401, "{path}");
    }
    stop.send(()).expect("running");
    ended.await.expect("no panic").expect("an orderly end");
}
