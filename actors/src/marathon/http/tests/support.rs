//! A manager that is played to by a task: its store is immediate, its master is the test.
//! Knows no expectations.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::test::TestRequest;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use serde_json::value::RawValue;
use tepui_core::ids::IdSource;
use tepui_core::marathon::manager::{
    Answer, Effect, Input, Manager, ManagerSettings, Snapshot, Stored, Token,
};
use tepui_core::marathon::matching::MatchSettings;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::super::{
    Abdication, Face, Guard, InfoSource, Leadership, LoggerChange, Loggers, MAX_STREAMS, ToLeader,
    respond,
};
use crate::clock::Clock;
use crate::http::body::Memory;
use crate::marathon::config::MetricsSettings;
use crate::marathon::events::EventHub;
use crate::marathon::handle::{Asked, Handle};
use crate::metrics::marathon::{MarathonMetrics, MetricsPage};

/// What the process around the face has and does.
#[derive(Default)]
pub struct Process {
    /// Whether another instance leads.
    pub is_follower: AtomicBool,
    /// Whether no leader is known.
    pub is_leaderless: AtomicBool,
    /// What was wished for when it stepped down.
    pub abdicated: Mutex<Option<Abdication>>,
    levels: Mutex<BTreeMap<String, String>>,
}

struct Of(Arc<Process>);

impl Leadership for Of {
    fn is_elected(&self) -> bool {
        !self.0.is_follower.load(Ordering::SeqCst)
    }

    fn leader(&self) -> Option<String> {
        let is_known = !self.0.is_leaderless.load(Ordering::SeqCst);
        is_known.then(|| "leader.example:8080".to_owned())
    }

    fn abdicate(&self, wishes: Abdication) {
        *self.0.abdicated.lock().expect("a lock") = Some(wishes);
    }
}

impl Loggers for Of {
    fn levels(&self) -> BTreeMap<String, String> {
        let mut levels = self.0.levels.lock().expect("a lock").clone();
        levels.insert("ROOT".to_owned(), "info".to_owned());
        levels
    }

    fn change(&self, change: LoggerChange) {
        let mut levels = self.0.levels.lock().expect("a lock");
        levels.insert(change.logger, change.level);
    }
}

impl ToLeader for Of {
    fn answer(&self, request: HttpRequest, _: Payload) -> LocalBoxFuture<'static, HttpResponse> {
        let path = request.path().to_owned();
        Box::pin(async move { HttpResponse::Ok().body(format!("the leader says: {path}")) })
    }
}

/// A face with all that is behind it.
pub struct Played {
    pub face: Data<Face>,
    pub process: Arc<Process>,
    pub hub: EventHub,
    inputs: mpsc::UnboundedSender<(Input, oneshot::Sender<Vec<Effect>>)>,
}

/// An answer that has been read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Played {
    /// Starts with nothing stored.
    pub fn start() -> Played {
        Played::with(|_| {})
    }

    /// The same, after `change` has changed what the face tells of itself.
    pub fn with(change: impl FnOnce(&mut InfoSource)) -> Played {
        let clock = Clock::start();
        let mut out = Vec::new();
        let random = IdSource::from_seed([7; 32]);
        let settings = ManagerSettings::default();
        let now = clock.now();
        let manager = Manager::restore(settings, Stored::default(), random, now, &mut out);
        let manager = manager.expect("an empty manager");
        let snapshot = Arc::new(ArcSwap::from_pointee(manager.snapshot(now)));
        let (requests, asked) = mpsc::channel(1024);
        let (inputs, told) = mpsc::unbounded_channel();
        let hub = EventHub::default();
        let world = World {
            manager,
            clock,
            snapshot: snapshot.clone(),
            hub: hub.clone(),
            next: 0,
            replies: HashMap::new(),
        };
        actix_web::rt::spawn(world.run(asked, told));
        let process = Arc::new(Process::default());
        let metrics = Arc::new(MarathonMetrics::new(&MetricsSettings::default(), now.mono));
        let settings = MetricsSettings::default();
        let page = MetricsPage::new(metrics.clone(), snapshot.clone(), clock, settings);
        let mut info = info(&process, page);
        change(&mut info);
        let face = Face {
            handle: Handle::new(snapshot, requests, hub.clone()),
            info: Arc::new(info),
            metrics,
            clock,
            memory: Memory::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            to_leader: Arc::new(Of(process.clone())),
            guard: Guard::default(),
        };
        Played {
            face: Data::new(face),
            process,
            hub,
            inputs,
        }
    }

    /// Tells the manager something; what it wants done comes back.
    pub async fn tell(&self, input: Input) -> Vec<Effect> {
        let (reply, done) = oneshot::channel();
        self.inputs.send((input, reply)).expect("a manager");
        done.await.expect("an answer")
    }

    /// Sends a request whose answer is not read yet.
    pub async fn open(&self, request: TestRequest) -> HttpResponse {
        let (request, payload) = request.to_http_parts();
        respond(request, payload, &self.face).await
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: TestRequest) -> Reply {
        read(self.open(request).await).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(TestRequest::get().uri(path)).await
    }

    /// A request with a JSON body.
    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        let method = actix_web::http::Method::from_bytes(method.as_bytes()).expect("a method");
        let request = TestRequest::with_uri(path).method(method);
        self.send(request.set_json(body)).await
    }

    /// Makes an app that must be accepted.
    pub async fn create(&self, app: Value) -> Reply {
        let reply = self.json("POST", "/v2/apps", &app).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply
    }
}

/// Reads an answer to its end.
pub async fn read(answer: HttpResponse) -> Reply {
    Reply {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: actix_web::body::to_bytes(answer.into_body())
            .await
            .expect("a body"),
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn info(process: &Arc<Process>, metrics: MetricsPage) -> InfoSource {
    InfoSource {
        scheme: "http",
        address: "marathon.example:8080".to_owned(),
        marathon_config: raw(
            r#"{"master":"zk://h/mesos","features":[],"local_port_min":10000,"webui_url":null}"#,
        ),
        zookeeper_config: raw(r#"{"zk":"zk://h/marathon"}"#),
        http_config: raw(r#"{"http_port":8080,"https_port":null}"#),
        access_control_allow_origin: Vec::new(),
        compresses: true,
        text_plain_tasks: false,
        matching: MatchSettings::default(),
        leadership: Box::new(Of(process.clone())),
        metrics: Box::new(metrics),
        loggers: Box::new(Of(process.clone())),
    }
}

/// The task that plays store and master.
struct World {
    manager: Manager,
    clock: Clock,
    snapshot: Arc<ArcSwap<Snapshot>>,
    hub: EventHub,
    next: u64,
    replies: HashMap<Token, oneshot::Sender<Answer>>,
}

impl World {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<Asked>,
        mut told: mpsc::UnboundedReceiver<(Input, oneshot::Sender<Vec<Effect>>)>,
    ) {
        loop {
            let deadline = self.manager.next_deadline();
            let now = self.clock.now().mono;
            let due = deadline.map_or(Duration::ZERO, |at| at.since(now));
            tokio::select! {
                Some(asked) = asked.recv() => {
                    self.next += 1;
                    let token = Token(self.next);
                    self.replies.insert(token, asked.reply);
                    self.take(Input::Request(token, asked.request));
                }
                Some((input, reply)) = told.recv() => {
                    let effects = self.take(input);
                    // A test that has ended does not want it.
                    let _ = reply.send(effects);
                }
                () = tokio::time::sleep(due), if deadline.is_some() => {
                    self.take(Input::Timer);
                }
                else => return,
            }
        }
    }

    /// Everything is stored at once; what was asked is answered once it can be read.
    fn take(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        let now = self.clock.now();
        self.manager.input(now, input, &mut out);
        self.snapshot.store(Arc::new(self.manager.snapshot(now)));
        for effect in &out {
            match effect {
                Effect::Event(event) => {
                    let text = serde_json::to_string(event).expect("json");
                    self.hub.publish(event.name(), text);
                }
                Effect::Reply(token, answer) => {
                    if let Some(reply) = self.replies.remove(token) {
                        // Clients may go away before they are answered.
                        let _ = reply.send(answer.clone());
                    }
                }
                _ => {}
            }
        }
        self.manager.sanity_check().expect("a sane manager");
        out
    }
}
