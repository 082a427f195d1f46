//! Several instances of the app manager that share a real ZooKeeper: who leads, how the others pass
//! requests on, what is left when the leader goes.
//! No master is there; apps without instances need none.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::support::{Ensemble, PATIENCE, SHORT};
use serde_json::{Value, json};
use tepui_actors::flags;
use tepui_actors::marathon::config::{MarathonConfig, StatePlace};
use tepui_actors::marathon::loggers;
use tepui_actors::marathon::process::{Failed, maintain, run};
use tokio::sync::oneshot;
use tokio::time::timeout;

const PATH: &str = "/marathon";

fn config(zk: &str) -> MarathonConfig {
    let session = format!("--zk_session_timeout={}", SHORT.as_millis());
    let zk = format!("--zk={zk}");
    let args = [
        "--master=127.0.0.1:1",
        "--http_port=0",
        "--hostname=127.0.0.1",
        &zk,
        &session,
    ];
    let args = args.map(OsString::from).into_iter();
    match flags::marathon(args, std::iter::empty()).expect("right flags") {
        flags::Parsed::Run((config, _)) => config,
        flags::Parsed::Print(text) => panic!("{text}"),
    }
}

struct Instance {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), Failed>>,
    client: reqwest::Client,
}

impl Instance {
    async fn start(zk: &str) -> Instance {
        let config = config(zk);
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = oneshot::channel();
        let ended = actix_web::rt::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            run(config, loggers::start(None), stopped, |address| {
                ready.send(address).expect("a listener")
            })
            .await
        });
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Instance {
            address: address.await.expect("an address"),
            stop,
            ended,
            client: client.build().expect("a client"),
        }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url)
    }

    async fn send(&self, method: &str, path: &str) -> reqwest::Response {
        self.request(method, path).send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path).await;
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    /// Waits until this one says that `leader` leads.
    async fn follows(&self, leader: &Instance) {
        let wanted = leader.address.to_string();
        let follows = async {
            loop {
                let answer = self.send("GET", "/v2/leader").await;
                let leads = answer.headers().contains_key("x-marathon-leader");
                let body = answer.bytes().await.expect("a body");
                let json: Value = serde_json::from_slice(&body).expect("JSON");
                if leads && json["leader"] == wanted {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, follows).await.expect("a leader in time");
    }

    async fn create(&self, id: &str) -> reqwest::Response {
        self.try_create(id).await.expect("an answer")
    }

    async fn try_create(&self, id: &str) -> reqwest::Result<reqwest::Response> {
        let app = json!({"id": id, "cmd": "sleep 1000", "instances": 0}).to_string();
        let request = self.request("POST", "/v2/apps").body(app);
        let request = request.header("Content-Type", "application/json");
        request.send().await
    }

    async fn apps(&self) -> Vec<String> {
        let apps = self.get("/v2/apps").await;
        let apps = apps["apps"].as_array().expect("apps").iter();
        apps.map(|app| app["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    async fn ended(self) -> Result<(), Failed> {
        let ended = timeout(PATIENCE, self.ended).await;
        ended.expect("ended in time").expect("no panic")
    }

    async fn stop(self) {
        self.stop.send(()).expect("running");
        let ended = timeout(PATIENCE, self.ended).await;
        ended
            .expect("ended in time")
            .expect("no panic")
            .expect("an orderly end");
    }
}

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .to_str()
        .expect("text")
}

#[actix_web::test]
async fn followers_pass_requests_on_and_take_over_with_all_that_was_stored() {
    let ensemble = Ensemble::start(1).await;
    let zk = ensemble.url(PATH).to_string();
    let first = Instance::start(&zk).await;
    first.follows(&first).await;
    let second = Instance::start(&zk).await;
    second.follows(&first).await;

    let created = second.create("/a").await;
    assert_eq!(created.status(), 201);
    let leader = format!("http://{}", first.address);
    assert_eq!(header(&created, "x-marathon-leader"), leader);
    assert_eq!(
        header(&created, "x-marathon-via"),
        format!("1.1 {}", second.address)
    );
    assert_eq!(header(&created, "location"), format!("{leader}/a"));
    assert_eq!(first.apps().await, ["/a"]);
    // Whoever leads answers for all.
    for path in ["/ping", "/metrics", "/v2/info"] {
        let answer = second.send("GET", path).await;
        assert_eq!(header(&answer, "x-marathon-leader"), leader, "{path}");
    }
    let refused = second.send("GET", "/v2/apps/nothing").await;
    assert_eq!(refused.status(), 404);
    let events = second.send("GET", "/v2/events?plan-format=light").await;
    assert_eq!(events.status(), 302);
    assert_eq!(
        header(&events, "location"),
        format!("{leader}/v2/events?plan-format=light")
    );
    let via = format!("1.1 elsewhere:80, 1.1 {}", second.address);
    let again = second
        .request("GET", "/v2/apps")
        .header("X-Marathon-Via", via);
    let again = again.send().await.expect("an answer");
    assert_eq!(again.status(), 502);
    assert!(
        again
            .text()
            .await
            .expect("a body")
            .contains("Detected proxying loop.")
    );

    // Asked of the one, done by the other.
    assert_eq!(second.send("DELETE", "/v2/leader").await.status(), 200);
    let failed = first.ended().await.expect_err("it gave up");
    assert_eq!(failed.exit_code(), 105, "{failed}");
    second.follows(&second).await;
    assert_eq!(second.apps().await, ["/a"]);
    let third = Instance::start(&zk).await;
    third.follows(&second).await;
    assert_eq!(third.create("/b").await.status(), 201);
    second.stop().await;
    third.follows(&third).await;
    assert_eq!(third.apps().await, ["/a", "/b"]);
    third.stop().await;
}

#[actix_web::test]
async fn a_backup_is_made_and_restored_where_several_share_the_state() {
    let ensemble = Ensemble::start(1).await;
    let zk = ensemble.url(PATH);
    let dir = tempfile::tempdir().expect("a directory");
    let backup = dir.path().join("backup.tar");
    let instance = Instance::start(&zk.to_string()).await;
    instance.follows(&instance).await;
    assert_eq!(instance.create("/a").await.status(), 201);
    let place = StatePlace::ZooKeeper {
        url: zk.clone(),
        session_timeout: SHORT,
    };
    let refused = maintain(&place, Some(backup.clone()), None).await;
    let refused = refused.expect_err("somebody leads").to_string();
    assert!(refused.contains(&instance.address.to_string()), "{refused}");
    let path = format!("/v2/leader?backup=file://{}", backup.display());
    assert_eq!(instance.send("DELETE", &path).await.status(), 200);
    assert_eq!(
        instance.ended().await.expect_err("it gave up").exit_code(),
        105
    );

    let instance = Instance::start(&zk.to_string()).await;
    instance.follows(&instance).await;
    assert_eq!(instance.create("/b").await.status(), 201);
    instance.stop().await;
    maintain(&place, None, Some(backup))
        .await
        .expect("restored");
    let instance = Instance::start(&zk.to_string()).await;
    instance.follows(&instance).await;
    assert_eq!(instance.apps().await, ["/a"]);
    instance.stop().await;
}

#[actix_web::test]
async fn without_zookeeper_a_leader_ends_and_the_next_one_goes_on() {
    let mut ensemble = Ensemble::start(1).await;
    let zk = ensemble.url(PATH).to_string();
    let first = Instance::start(&zk).await;
    first.follows(&first).await;
    assert_eq!(first.create("/a").await.status(), 201);
    ensemble.server(0).kill();
    // Nothing that cannot be stored is answered with success.
    let unstored = first.try_create("/b").await;
    let is_told = unstored
        .as_ref()
        .is_ok_and(|it| !it.status().is_server_error());
    assert!(!is_told, "{unstored:?}");
    let failed = first.ended().await.expect_err("it cannot lead");
    assert!([101, 103, 104].contains(&failed.exit_code()), "{failed}");
    // One that starts meanwhile waits, and says that nobody leads.
    let second = Instance::start(&zk).await;
    let answer = second.send("GET", "/v2/apps").await;
    assert_eq!(answer.status(), 502);
    assert!(
        answer
            .text()
            .await
            .expect("a body")
            .contains("current leader")
    );
    ensemble.server(0).start_again();
    ensemble.server(0).serves().await;
    second.follows(&second).await;
    // What was not answered may have been stored or not.
    assert_eq!(second.apps().await[0], "/a");
    second.stop().await;
}
