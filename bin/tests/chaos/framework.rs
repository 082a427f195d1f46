//! A framework under load: follows the leader, launches, kills, acknowledges and reconciles.
//! What it hears goes into its ledger, which judges it.
//!
//! It runs on a host and in a thread of its own. A call that is not answered ends the subscription:
//! the next one has another stream id, so that what may still be on its way is refused.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::Random;
use crate::ledger::{Answer, Ledger, Plan, text};
use crate::load;
use crate::network::Host;
use crate::nodes::MASTER_PORT;
use crate::support::framework::{Encoding, decode, encode};
use crate::support::http;

/// Time a call or an answer may take before the framework looks for the leader anew.
const PATIENCE: Duration = Duration::from_secs(4);

/// Time without any event after which it does too: one heartbeat and a bit.
const SILENCE: Duration = Duration::from_secs(18);

/// Time between two reconciliations.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(6);

/// Time between two attempts to kill what is to be killed.
const KILL_INTERVAL: Duration = Duration::from_secs(3);

/// What a framework is to do at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Launch and kill without end.
    Load,
    /// Launch nothing, and wait for the end of all that ends.
    Settle,
    /// Kill all the rest.
    KillAll,
    /// Leave.
    TearDown,
}

/// The orders of all frameworks.
#[derive(Debug)]
pub struct Orders(AtomicU8);

impl Orders {
    pub fn new() -> Orders {
        Orders(AtomicU8::new(Phase::Load as u8))
    }

    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::SeqCst);
    }

    fn at_least(&self, phase: Phase) -> bool {
        self.0.load(Ordering::SeqCst) >= phase as u8
    }
}

/// What a framework is.
pub struct Setup {
    pub name: &'static str,
    pub encoding: Encoding,
    pub capabilities: &'static [&'static str],
    pub host: Host,
    pub masters: Vec<SocketAddr>,
    pub seed: u64,
}

struct Framework {
    setup: Setup,
    orders: Arc<Orders>,
    ledger: Arc<Mutex<Ledger>>,
    random: Random,
    session: Option<Session>,
    next_master: usize,
    next_number: u64,
    reconciled: Instant,
    asks_for_all: bool,
    killed: Instant,
    is_suppressed: bool,
}

struct Session {
    master: SocketAddr,
    stream: http::Stream,
    heard: Instant,
}

/// What became of a call.
enum Called {
    Accepted,
    Refused(String),
    Lost(String),
}

/// Starts a framework, which runs until it is told to tear down.
pub fn start(setup: Setup, orders: Arc<Orders>, ledger: Arc<Mutex<Ledger>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        setup.host.enter();
        let now = Instant::now();
        let mut framework = Framework {
            random: Random::new(setup.seed),
            setup,
            orders,
            ledger,
            session: None,
            next_master: 0,
            next_number: 0,
            reconciled: now,
            asks_for_all: true,
            killed: now,
            is_suppressed: false,
        };
        while !framework.ledger().is_torn_down {
            framework.turn();
        }
    })
}

impl Framework {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("a ledger")
    }

    fn turn(&mut self) {
        if self.session.is_none() && !self.subscribe() {
            std::thread::sleep(Duration::from_millis(200));
            return;
        }
        self.read();
        if self.session.is_some() {
            self.do_chores();
        }
    }

    /// Tries the next master; one that does not lead shows the way.
    fn subscribe(&mut self) -> bool {
        let masters = &self.setup.masters;
        let mut master = masters[self.next_master % masters.len()];
        self.next_master += 1;
        for _ in 0..2 {
            match self.subscribe_with(master) {
                Some(location) => master = location,
                None => break,
            }
        }
        self.session.is_some()
    }

    /// Gives the address of another master if this one names it.
    fn subscribe_with(&mut self, master: SocketAddr) -> Option<SocketAddr> {
        let mut call =
            json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": load::info(&self.setup)}});
        if let Some(id) = &self.ledger().framework_id {
            call["framework_id"] = json!({"value": id});
            call["subscribe"]["framework_info"]["id"] = json!({"value": id});
        }
        let kind = self.setup.encoding.content_type();
        let headers = [("Content-Type", kind), ("Accept", kind)];
        let body = encode(self.setup.encoding, &call);
        let opened = http::open_within(PATIENCE, master, "/api/v1/scheduler", &headers, &body);
        match opened.ok()? {
            Err(refused) => {
                let location = refused
                    .header("location")
                    .filter(|_| refused.status == 307)?;
                let host = location.strip_prefix("//")?.split(':').next()?;
                Some(SocketAddr::new(host.parse().ok()?, MASTER_PORT))
            }
            Ok(stream) => {
                let first = stream.chunks.recv_timeout(PATIENCE).ok()?;
                let event = decode(self.setup.encoding, &first);
                if event["type"] != "SUBSCRIBED" {
                    let error = format!("{}: subscription refused: {event}", self.setup.name);
                    self.ledger().violations.push(error);
                    return None;
                }
                let subscribed = &event["subscribed"];
                self.ledger().subscribed(
                    &text(&subscribed["framework_id"]["value"]),
                    &text(&subscribed["master_info"]["id"]),
                    master,
                );
                self.session = Some(Session {
                    master,
                    stream,
                    heard: Instant::now(),
                });
                self.is_suppressed = false;
                None
            }
        }
    }

    fn end_session(&mut self) {
        self.session = None;
        self.ledger().is_subscribed = false;
    }

    /// Takes what has come, or waits a moment for it.
    fn read(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        match session
            .stream
            .chunks
            .recv_timeout(Duration::from_millis(50))
        {
            Ok(chunk) => {
                session.heard = Instant::now();
                let event = decode(self.setup.encoding, &chunk);
                self.take(event);
            }
            Err(RecvTimeoutError::Timeout) if session.heard.elapsed() < SILENCE => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.end_session(),
        }
    }

    fn take(&mut self, mut event: Value) {
        match event["type"].as_str().unwrap_or_default() {
            "OFFERS" => {
                let offers = event["offers"]["offers"].take();
                for offer in offers.as_array().expect("offers") {
                    self.answer(offer);
                }
            }
            "UPDATE" => {
                let status = &event["update"]["status"];
                self.ledger().heard(status, Instant::now());
                if status["uuid"].is_string() {
                    self.acknowledge(status);
                }
            }
            "ERROR" => {
                let message = text(&event["error"]["message"]);
                if message != "Framework failed over" {
                    let error = format!("{}: {message}", self.setup.name);
                    self.ledger().violations.push(error);
                }
                self.end_session();
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, status: &Value) {
        let called = self.call(json!({"type": "ACKNOWLEDGE", "acknowledge": {
            "agent_id": status["agent_id"],
            "task_id": status["task_id"],
            "uuid": status["uuid"],
        }}));
        if matches!(called, Called::Accepted) {
            let (task, uuid) = (text(&status["task_id"]["value"]), text(&status["uuid"]));
            self.ledger().acknowledged(&task, &uuid);
        }
    }

    /// Launches something on an offer, or declines it.
    fn answer(&mut self, offer: &Value) {
        let launch = match self.orders.at_least(Phase::Settle) {
            true => None,
            false => {
                let (ledger, number) = (self.ledger.clone(), self.next_number);
                let ledger = ledger.lock().expect("a ledger");
                load::choose(&ledger, offer, number, &mut self.random)
            }
        };
        let Some(launch) = launch else {
            let filters = json!({"refuse_seconds": 1.0});
            self.call(json!({"type": "DECLINE", "decline": {
                "offer_ids": [offer["id"]], "filters": filters}}));
            return;
        };
        self.next_number += 1;
        let agent = text(&offer["agent_id"]["value"]);
        for task in &launch.tasks {
            let (id, plan) = (&task.id, task.plan);
            self.ledger()
                .launching(id, plan, &task.executor, &agent, Instant::now());
        }
        let called = self.call(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": [launch.operation],
            "filters": {"refuse_seconds": 0.1},
        }}));
        let (answer, why) = match called {
            Called::Accepted => (Answer::Accepted, String::new()),
            Called::Refused(why) => (Answer::Refused, why),
            Called::Lost(why) => (Answer::Lost, why),
        };
        for task in &launch.tasks {
            self.ledger()
                .answered(&task.id, answer, Instant::now(), &why);
        }
    }

    /// What is to be done from time to time.
    fn do_chores(&mut self) {
        let now = Instant::now();
        if self.orders.at_least(Phase::TearDown) {
            if let Called::Accepted = self.call(json!({"type": "TEARDOWN"})) {
                self.ledger().is_torn_down = true;
            }
            return;
        }
        if self.orders.at_least(Phase::Settle) && !self.is_suppressed {
            self.is_suppressed = matches!(
                self.call(json!({"type": "SUPPRESS", "suppress": {}})),
                Called::Accepted
            );
        }
        if now.duration_since(self.killed) >= KILL_INTERVAL {
            self.killed = now;
            self.kill();
        }
        if now.duration_since(self.reconciled) >= RECONCILE_INTERVAL {
            self.reconciled = now;
            self.reconcile();
        }
    }

    fn kill(&mut self) {
        let (all, now) = (self.orders.at_least(Phase::KillAll), Instant::now());
        let due: Vec<(String, String)> = {
            let ledger = self.ledger();
            let open = ledger.tasks.iter().filter(|(_, task)| !task.is_over());
            let due = open.filter(|(_, task)| match task.plan {
                Plan::Kill(at) => at <= now,
                Plan::Finish | Plan::Fail | Plan::Keep => all,
            });
            due.map(|(id, task)| (id.clone(), task.agent.clone()))
                .collect()
        };
        for (id, agent) in due {
            self.ledger().killed(&id, Instant::now());
            self.call(json!({"type": "KILL", "kill": {
                "task_id": {"value": id}, "agent_id": {"value": agent}}}));
            if self.session.is_none() {
                return;
            }
        }
    }

    /// Asks for all that the master knows, or for each task by name, in turn.
    fn reconcile(&mut self) {
        self.asks_for_all = !self.asks_for_all;
        let open = match self.asks_for_all {
            true => Vec::new(),
            false => self.ledger().open(),
        };
        if open.is_empty() && !self.asks_for_all {
            return;
        }
        let tasks: Vec<Value> = open
            .iter()
            .map(|(id, agent)| json!({"task_id": {"value": id}, "agent_id": {"value": agent}}))
            .collect();
        self.call(json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}}));
    }

    /// Calls the master; without its consent the subscription is over.
    fn call(&mut self, mut call: Value) -> Called {
        let Some(session) = &self.session else {
            return Called::Refused("not subscribed".to_owned());
        };
        call["framework_id"] = json!({"value": self.ledger().framework_id});
        let stream = session.stream.header("mesos-stream-id").unwrap_or_default();
        let headers = [
            ("Content-Type", self.setup.encoding.content_type()),
            ("Mesos-Stream-Id", stream),
        ];
        let body = encode(self.setup.encoding, &call);
        let path = "/api/v1/scheduler";
        let answer = http::request_within(PATIENCE, session.master, "POST", path, &headers, &body);
        match answer {
            Ok(answer) if answer.status == 202 => Called::Accepted,
            Ok(answer) => {
                self.end_session();
                Called::Refused(format!("{} {}", answer.status, answer.text()))
            }
            Err(error) => {
                self.end_session();
                Called::Lost(error.to_string())
            }
        }
    }
}
