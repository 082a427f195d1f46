//! A manager with a store and a Mesos that are played, and that can crash at any moment.
//! Asserts nothing by itself but what must always hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tepui_protocol::marathon::{App, PathId, Timestamp};
use tepui_protocol::v1;

use crate::ids::{IdSource, Role, TaskId};
use crate::marathon::deployment::StoredDeployment;
use crate::marathon::engine::TaskFailure;
use crate::marathon::ids::{InstanceId, instance_of};
use crate::marathon::instance::Instance;
use crate::marathon::manager::{
    Answer, Caller, Change, Effect, Event, Input, Manager, ManagerSettings, Request, RootBase,
    RootStep, Snapshot, Stored, Token,
};
use crate::resources::{Format, Resources};
use crate::time::{Mono, Now, Wall};

/// 2021-07-01T10:00:00Z in microseconds.
const START: u64 = 1_625_133_600_000_000;

/// What is durable.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub framework_id: Option<String>,
    pub base: Option<RootBase>,
    pub steps: BTreeMap<Timestamp, RootStep>,
    pub apps: BTreeMap<(PathId, Timestamp), Arc<App>>,
    pub instances: BTreeMap<InstanceId, Instance>,
    pub deployments: Vec<StoredDeployment>,
    pub failures: BTreeMap<PathId, TaskFailure>,
}

impl Disk {
    fn write(&mut self, change: &Change) {
        match change.clone() {
            Change::FrameworkId(id) => self.framework_id = Some(id),
            Change::RootBase(base) => self.base = Some((*base).clone()),
            Change::RootStep(step) => {
                assert!(self.steps.insert(step.version, (*step).clone()).is_none());
            }
            Change::ForgetRootStep(version) => {
                assert!(self.steps.remove(&version).is_some());
            }
            Change::App(app) => {
                let key = (app.id.clone(), app.version);
                assert!(self.apps.insert(key, app).is_none());
            }
            Change::ForgetApp(id, version) => {
                assert!(self.apps.remove(&(id, version)).is_some());
            }
            Change::Instance(instance) => {
                // What is not stored is lost.
                let text = serde_json::to_string(&*instance).expect("json");
                let read = serde_json::from_str(&text).expect("an instance");
                self.instances.insert(instance.id.clone(), read);
            }
            Change::ForgetInstance(id) => {
                assert!(self.instances.remove(&id).is_some(), "{id}");
            }
            Change::Deployment(deployment) => {
                let id = &deployment.plan.id;
                self.deployments.retain(|old| old.plan.id != *id);
                self.deployments.push((*deployment).clone());
            }
            Change::ForgetDeployment(id) => self.deployments.retain(|old| old.plan.id != id),
            Change::TaskFailure(failure) => {
                self.failures
                    .insert(failure.app_id.clone(), (*failure).clone());
            }
            Change::ForgetTaskFailure(id) => {
                self.failures.remove(&id);
            }
        }
    }

    pub fn stored(&self) -> Stored {
        Stored {
            framework_id: self.framework_id.clone(),
            base: self.base.clone(),
            steps: self.steps.clone(),
            apps: self.apps.values().cloned().collect(),
            instances: self.instances.values().cloned().collect(),
            deployments: self.deployments.clone(),
            failures: self.failures.values().cloned().collect(),
        }
    }
}

/// A manager and what is around it.
pub struct Fixture {
    pub settings: ManagerSettings,
    pub manager: Manager,
    pub now: Now,
    pub disk: Disk,
    /// Tasks that run, with their agents.
    pub running: BTreeMap<String, String>,
    /// Tasks that were launched and have not been answered.
    pub launched: Vec<v1::TaskInfo>,
    pub events: Vec<Event>,
    pub declined: Vec<(String, f64)>,
    pub roles: Vec<Vec<String>>,
    /// Roles in the order in which they were revived, and suppressed with a `-` before them.
    pub asked: Vec<String>,
    answers: BTreeMap<Token, Answer>,
    next_token: u64,
    next_offer: u64,
    seed: u8,
    /// Whether what is launched runs at once and what is killed ends at once.
    pub is_obliging: bool,
    news: Vec<v1::TaskStatus>,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::with(ManagerSettings::default())
    }

    pub fn with(settings: ManagerSettings) -> Fixture {
        let now = Now {
            mono: Mono(0),
            wall: Wall(START),
        };
        let mut out = Vec::new();
        let random = IdSource::from_seed([1; 32]);
        let manager = Manager::restore(settings.clone(), Stored::default(), random, now, &mut out);
        let mut test = Fixture {
            settings,
            manager: manager.expect("an empty manager"),
            now,
            disk: Disk::default(),
            running: BTreeMap::new(),
            launched: Vec::new(),
            events: Vec::new(),
            declined: Vec::new(),
            roles: Vec::new(),
            asked: Vec::new(),
            answers: BTreeMap::new(),
            next_token: 0,
            next_offer: 0,
            seed: 1,
            is_obliging: true,
            news: Vec::new(),
        };
        test.perform(out);
        test.connect();
        test
    }

    pub fn connect(&mut self) {
        self.input(Input::Connected {
            framework_id: "f".into(),
            region: None,
            master: "m".into(),
        });
    }

    /// The process dies and another one starts from what is durable.
    pub fn restart(&mut self) {
        self.seed += 1;
        let mut out = Vec::new();
        let random = IdSource::from_seed([self.seed; 32]);
        let stored = self.disk.stored();
        let manager = Manager::restore(self.settings.clone(), stored, random, self.now, &mut out);
        self.manager = manager.expect("what was stored is whole");
        self.news.clear();
        self.perform(out);
        self.connect();
    }

    pub fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.manager.input(self.now, input, &mut out);
        self.perform(out);
        self.hear_news();
        self.manager.sanity_check().expect("sound state");
    }

    fn hear_news(&mut self) {
        while !self.news.is_empty() {
            for status in std::mem::take(&mut self.news) {
                let mut out = Vec::new();
                let input = Input::Update(Box::new(status));
                self.manager.input(self.now, input, &mut out);
                self.perform(out);
            }
        }
    }

    fn perform(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Store(changes) => changes.iter().for_each(|it| self.disk.write(it)),
                Effect::Reply(token, answer) => {
                    assert!(self.answers.insert(token, answer).is_none());
                }
                Effect::Launch { offer: _, tasks } => {
                    tasks.into_iter().for_each(|it| self.start(it))
                }
                Effect::Decline(offers, seconds) => {
                    let offers = offers.into_iter();
                    self.declined
                        .extend(offers.map(|offer| (offer.to_string(), seconds)));
                }
                Effect::Kill { task, agent: _ } => self.end(&task, v1::TaskState::TaskKilled),
                Effect::Reconcile(tasks) => self.reconcile(&tasks),
                Effect::Event(event) => self.events.push(event),
                Effect::Roles(roles) => {
                    let roles = roles.iter().map(ToString::to_string);
                    self.roles.push(roles.collect());
                }
                Effect::Revive(role) => self.asked.push(role.to_string()),
                Effect::Suppress(role) => self.asked.push(format!("-{role}")),
                Effect::Acknowledge { .. }
                | Effect::StartProbing { .. }
                | Effect::StopProbing(_)
                | Effect::StartReadiness { .. }
                | Effect::StopReadiness(_) => {}
            }
        }
    }

    fn start(&mut self, task: v1::TaskInfo) {
        let id = TaskId::from(&task.task_id);
        let stored = instance_of(&id).and_then(|instance| self.disk.instances.get(&instance));
        assert!(stored.is_some(), "{id} is launched, but not stored");
        self.launched.push(task.clone());
        if self.is_obliging {
            let agent = task.agent_id.value.clone();
            self.running.insert(id.to_string(), agent);
            self.news.push(status(&id, v1::TaskState::TaskRunning));
        }
    }

    fn end(&mut self, id: &TaskId, state: v1::TaskState) {
        if self.is_obliging && self.running.remove(id.as_str()).is_some() {
            self.news.push(status(id, state));
        }
    }

    fn reconcile(&mut self, tasks: &[(TaskId, Option<crate::ids::AgentId>)]) {
        if !self.is_obliging {
            return;
        }
        for (id, _) in tasks {
            if !self.running.contains_key(id.as_str()) {
                self.news.push(status(id, v1::TaskState::TaskGone));
            }
        }
        let all = self.running.keys();
        let all: Vec<TaskId> = all.map(|id| TaskId::new(id.as_str())).collect();
        for id in all {
            self.news.push(status(&id, v1::TaskState::TaskRunning));
        }
    }

    /// A task ends by itself.
    pub fn fails(&mut self, id: &str) {
        self.running.remove(id).expect("a task that runs");
        let id = TaskId::new(id);
        let status = status(&id, v1::TaskState::TaskFailed);
        self.input(Input::Update(Box::new(status)));
    }

    pub fn ask(&mut self, request: Request) -> Answer {
        let token = self.send(request);
        self.answered(token).expect("an answer")
    }

    /// Asks something that may be answered later.
    pub fn send(&mut self, request: Request) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.input(Input::Request(token, request));
        token
    }

    pub fn answered(&mut self, token: Token) -> Option<Answer> {
        self.answers.remove(&token)
    }

    pub fn create(&mut self, body: Value) -> Answer {
        let (force, caller) = (false, Caller::default());
        self.ask(Request::CreateApp {
            body,
            force,
            caller,
        })
    }

    pub fn change(&mut self, id: &str, body: Value) -> Answer {
        self.ask(Request::ChangeApp {
            id: PathId::new(id),
            body,
            partial: true,
            may_create: true,
            force: false,
            caller: Caller::default(),
        })
    }

    /// An offer of an agent with plenty of everything.
    pub fn offer(&mut self, agent: &str) {
        self.offer_of(agent, "cpus:100;mem:100000;ports:[31000-32000]");
    }

    pub fn offer_of(&mut self, agent: &str, resources: &str) {
        self.next_offer += 1;
        let mut resources = Resources::parse(resources, "*").expect("resources");
        resources.allocate(&Role::from("*"));
        let offer = v1::Offer {
            id: v1::OfferId {
                value: format!("o{}", self.next_offer),
            },
            framework_id: v1::FrameworkId { value: "f".into() },
            agent_id: v1::AgentId {
                value: agent.into(),
            },
            hostname: format!("host-{agent}"),
            resources: resources.to_v1(Format::PreRefinement),
            allocation_info: Some(v1::resource::AllocationInfo {
                role: Some("*".into()),
            }),
            ..v1::Offer::default()
        };
        self.input(Input::Offers(vec![offer]));
    }

    /// Lets time pass, with what is due on the way and offers of two agents each second.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.tick(Duration::from_secs(1));
            self.offer("a1");
            self.offer("a2");
        }
    }

    /// Lets time pass with nothing but what is due on the way.
    pub fn tick(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while let Some(at) = self.manager.next_deadline().filter(|at| *at <= until) {
            self.advance(at);
            self.input(Input::Timer);
        }
        self.advance(until);
    }

    fn advance(&mut self, to: Mono) {
        let passed = to.0.saturating_sub(self.now.mono.0);
        self.now.mono = Mono(self.now.mono.0 + passed);
        self.now.wall = Wall(self.now.wall.0 + passed);
    }

    pub fn view(&self) -> Snapshot {
        self.manager.snapshot(self.now)
    }

    /// Tasks of an app that run.
    pub fn running_of(&self, app: &str) -> Vec<String> {
        let app = PathId::new(app);
        let of = |id: &&String| {
            instance_of(&TaskId::new(id.as_str())).is_some_and(|instance| instance.app() == app)
        };
        self.running.keys().filter(of).cloned().collect()
    }

    pub fn event_names(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.events)
            .iter()
            .map(Event::name)
            .collect()
    }
}

pub fn status(task: &TaskId, state: v1::TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task.to_v1(),
        state: state as i32,
        agent_id: Some(v1::AgentId { value: "a".into() }),
        uuid: Some(vec![1; 16]),
        ..v1::TaskStatus::default()
    }
}

/// The id of the deployment that an answer tells of.
pub fn deployment(answer: &Answer) -> String {
    match answer {
        Answer::Created { deployment, .. } => deployment.clone(),
        Answer::Deployment { id, .. } => id.clone(),
        other => panic!("expected a deployment, got {other:?}"),
    }
}

pub fn refusal(answer: &Answer) -> (u16, String) {
    match answer {
        Answer::Refused(rejection) => (rejection.status, rejection.message.clone()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}
