//! Tests of the agent's skin: a real agent, real processes, real sockets, a master of a few lines.
//! This file holds the fixture only.

mod checkpoint;
mod durability;
mod executor_api;
mod operations;
mod processes;
mod reads;
mod recovery;
mod volumes;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tepui_protocol::link::{
    self, AgentToMaster, Frame, MasterToAgent, Register, RunTask, StatusUpdate,
};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::config::{AgentConfig, BOOT_ID, ContainerLogger, ContainerizerConfig, Recover};
use super::{AgentHandle, run};
use crate::election::Masters;
use tepui_core::agent::garbage::GarbageSettings;
use tepui_core::agent::recovery::ReconfigurationPolicy;

pub(super) const AGENT: &str = "agent-S0";
pub(super) const FRAMEWORK: &str = "fw";
const EPOCH: u64 = 5;

/// A registered agent and the master it talks to.
pub(super) struct Fixture {
    pub(super) agent: AgentHandle,
    pub(super) work: tempfile::TempDir,
    master: WebSocketStream<TcpStream>,
    pub(super) client: reqwest::Client,
    /// What the agent said when it registered.
    pub(super) registration: Option<Box<Register>>,
}

pub(super) fn config(master: String, work_dir: PathBuf) -> AgentConfig {
    AgentConfig {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        hostname: "localhost".into(),
        master: Masters::At(master),
        zk_session_timeout: Duration::from_secs(10),
        fetcher_cache_dir: work_dir.join("fetch"),
        work_dir,
        boot_id_file: BOOT_ID.into(),
        resources: Some("cpus:4;mem:2048;disk:4096;ports:[31000-31100]".into()),
        attributes: Some("rack:r1;level:1".into()),
        domain: None,
        default_role: "*".into(),
        launcher_dir: "/nonexistent".into(),
        frameworks_home: String::new(),
        fetcher_cache_size: 2 << 30,
        fetcher_stall_timeout: Duration::from_secs(60),
        executor_registration_timeout: Duration::from_secs(60),
        executor_shutdown_grace_period: Duration::from_millis(200),
        executor_environment_variables: None,
        switch_user: false,
        container_logger: ContainerLogger::Sandbox,
        no_new_privs: true,
        containerizer: ContainerizerConfig::default(),
        recover: Recover::Reconnect,
        reconfiguration_policy: ReconfigurationPolicy::Equal,
        recovery_timeout: Duration::from_secs(900),
        executor_reregistration_timeout: Duration::from_secs(2),
        registration_backoff_factor: Duration::from_millis(1),
        max_completed_executors_per_framework: 150,
        garbage: GarbageSettings {
            delay: Duration::from_secs(7 * 24 * 3600),
            disk_headroom: 0.1,
            containers: false,
        },
        disk_watch_interval: Duration::from_secs(60),
        flags: BTreeMap::from([("port".to_owned(), "0".to_owned())]),
    }
}

impl Fixture {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut AgentConfig)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    /// An agent in a work directory that an earlier one may have used.
    pub(super) async fn start_in(
        work: tempfile::TempDir,
        change: impl FnOnce(&mut AgentConfig),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut config = config(address, work.path().to_owned());
        change(&mut config);
        let agent = run(config).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let master = accept_async(socket).await.unwrap();
        let client = reqwest::Client::new();
        let mut fixture = Fixture {
            agent,
            work,
            master,
            client,
            registration: None,
        };
        fixture.admit().await;
        fixture
    }

    async fn admit(&mut self) {
        let master = Pb(v1::MasterInfo {
            id: "m".into(),
            ..Default::default()
        });
        self.send(MasterToAgent::Hello {
            epoch: EPOCH,
            master,
        })
        .await;
        let message = self.master.next().await.expect("the link has ended");
        let frame = link::decode::<AgentToMaster>(&message.unwrap().into_data()).unwrap();
        let (register, answer) = match frame.body {
            AgentToMaster::Register(register) => {
                let answer = MasterToAgent::Registered {
                    agent_id: AGENT.into(),
                    ping_timeout_ms: 75_000,
                };
                (register, answer)
            }
            // One that was there before.
            AgentToMaster::Reregister(report) => {
                let answer = MasterToAgent::Reregistered {
                    agent_id: AGENT.into(),
                    ping_timeout_ms: 75_000,
                    reconcile: Vec::new(),
                };
                (Box::new(report.register), answer)
            }
            other => panic!("no registration: {other:?}"),
        };
        assert_eq!(
            register.info.port,
            Some(i32::from(self.agent.address().port()))
        );
        self.registration = Some(register);
        self.send(answer).await;
    }

    pub(super) async fn send(&mut self, body: MasterToAgent) {
        let bytes = link::encode(&Frame { epoch: EPOCH, body }).unwrap();
        self.master
            .send(Message::Binary(bytes.into()))
            .await
            .unwrap();
    }

    pub(super) async fn receive(&mut self) -> AgentToMaster {
        loop {
            let message = self
                .master
                .next()
                .await
                .expect("the link has ended")
                .unwrap();
            if let Message::Binary(bytes) = message {
                let body = link::decode::<AgentToMaster>(&bytes).unwrap().body;
                return body;
            }
        }
    }

    /// Waits until the agent has handled all that was sent: its answer to a ping comes after.
    pub(super) async fn settle(&mut self) {
        self.send(MasterToAgent::Ping { connected: true }).await;
        assert_eq!(self.receive().await, AgentToMaster::Pong);
    }

    pub(super) async fn acknowledge(&mut self, update: &StatusUpdate) {
        let acknowledge = MasterToAgent::AcknowledgeStatus {
            framework_id: update.framework_id.clone(),
            task_id: update.status.task_id.value.clone(),
            uuid: update.status.uuid.clone().unwrap(),
        };
        self.send(acknowledge).await;
    }

    pub(super) async fn update(&mut self) -> StatusUpdate {
        match self.receive().await {
            AgentToMaster::StatusUpdate(update) => *update,
            other => panic!("no status update: {other:?}"),
        }
    }

    /// Runs task `t1` on a custom executor `ex` whose command is `script`.
    pub(super) async fn run_script(&mut self, script: &str) {
        let command = v1::CommandInfo {
            value: Some(script.into()),
            ..Default::default()
        };
        self.run_command(command).await;
    }

    pub(super) async fn run_command(&mut self, command: v1::CommandInfo) {
        self.run_using(command, Vec::new()).await;
    }

    /// Runs task `t1`, which uses these resources, on an executor of this command.
    pub(super) async fn run_using(
        &mut self,
        command: v1::CommandInfo,
        resources: Vec<v1::Resource>,
    ) {
        self.run_task("t1", command, resources, true).await;
    }

    /// Runs one more task on the executor that is there.
    pub(super) async fn run_another(&mut self, task: &str, resources: Vec<v1::Resource>) {
        self.run_task(task, v1::CommandInfo::default(), resources, false)
            .await;
    }

    async fn run_task(
        &mut self,
        task: &str,
        command: v1::CommandInfo,
        resources: Vec<v1::Resource>,
        launch_executor: bool,
    ) {
        let executor = v1::ExecutorInfo {
            r#type: Some(v1::executor_info::Type::Custom as i32),
            executor_id: v1::ExecutorId { value: "ex".into() },
            command: Some(Box::new(command)),
            ..Default::default()
        };
        let task = v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: task.into() },
            agent_id: v1::AgentId {
                value: AGENT.into(),
            },
            executor: Some(Box::new(executor)),
            resources,
            ..Default::default()
        };
        let framework = v1::FrameworkInfo {
            id: Some(v1::FrameworkId {
                value: FRAMEWORK.into(),
            }),
            user: "no-such-user".into(),
            name: "test".into(),
            ..Default::default()
        };
        self.send(MasterToAgent::RunTask(Box::new(RunTask {
            framework: Pb(framework),
            task: Pb(task),
            launch_executor,
        })))
        .await;
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.agent.address())
    }

    /// Posts JSON to the executor API.
    pub(super) async fn post(&self, body: serde_json::Value) -> reqwest::Response {
        self.client
            .post(self.url("/api/v1/executor"))
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap()
    }

    pub(super) async fn call(&self, mut body: serde_json::Value) -> reqwest::Response {
        body["framework_id"] = serde_json::json!({ "value": FRAMEWORK });
        body["executor_id"] = serde_json::json!({ "value": "ex" });
        self.post(body).await
    }

    /// Subscribes as executor `ex`, which has nothing to tell of earlier connections.
    pub(super) async fn subscribe(&self) -> Events {
        self.subscribe_with(serde_json::json!({})).await
    }

    /// Subscribes as executor `ex`, with what it has to tell of earlier connections.
    pub(super) async fn subscribe_with(&self, subscribe: serde_json::Value) -> Events {
        let answer = self
            .call(serde_json::json!({ "type": "SUBSCRIBE", "subscribe": subscribe }))
            .await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        Events {
            answer,
            reader: tepui_protocol::recordio::Decoder::new(1 << 20),
        }
    }

    /// The sandbox of the only run of `ex`.
    pub(super) fn sandbox(&self) -> PathBuf {
        let runs = self.work.path().canonicalize().unwrap().join(format!(
            "slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/ex/runs"
        ));
        std::fs::read_link(runs.join("latest")).unwrap()
    }

    /// What the executor writes into a pipe it makes; waits until it has.
    pub(super) async fn read_pipe(&self, name: &str) -> String {
        let runs = format!("slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/ex/runs");
        let pipe = self.work.path().join(runs).join("latest").join(name);
        let read = actix_web::web::block(move || {
            while !pipe.exists() {
                std::thread::yield_now();
            }
            // Opening a pipe waits for the one who writes.
            std::fs::read_to_string(pipe)
        });
        read.await.unwrap().unwrap().trim().to_owned()
    }

    /// Gets a JSON document.
    pub(super) async fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    pub(super) async fn stop(mut self) {
        self.agent.stop();
        self.agent.ended().await.unwrap();
    }

    /// Ends the agent and leaves its work directory.
    pub(super) async fn end(mut self) -> tempfile::TempDir {
        self.agent.stop();
        self.agent.ended().await.unwrap();
        self.work
    }
}

/// An executor's stream of events.
pub(super) struct Events {
    answer: reqwest::Response,
    reader: tepui_protocol::recordio::Decoder,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            if let Some(record) = self.reader.next_record().unwrap() {
                return Some(serde_json::from_slice(&record).unwrap());
            }
            self.reader.push(&self.answer.chunk().await.ok()??);
        }
    }

    pub(super) async fn expect(&mut self, kind: &str) -> serde_json::Value {
        let event = self.next().await.expect("the stream has ended");
        assert_eq!(event["type"], kind, "{event}");
        event
    }
}
