//! An engine with a root group, a store made of its effects, and its effects as short lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use tepui_protocol::marathon::*;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::task_status::Reason;
use uuid::Uuid;

use super::super::*;
use crate::marathon::deployment::{DeployError, StoredDeployment};
use crate::marathon::instance::{Instance, config_version};
use crate::marathon::place::Place;
use crate::time::Wall;

/// Where the clock begins: 2021-07-01T10:00:00Z, in milliseconds.
pub(super) const START_MS: u64 = 1_625_133_600_000;

pub(super) type Root = OrdMap<PathId, Arc<App>>;

pub(super) fn path(text: &str) -> PathId {
    PathId::new(text)
}

/// A small app with the defaults of Marathon.
pub(super) fn app(id: &str, instances: u32) -> App {
    let text = format!(
        r#"{{"id":"{id}","backoffFactor":1.15,"backoffSeconds":1,"cpus":1.0,"disk":0.0,"executor":"","instances":{instances},"maxLaunchDelaySeconds":300,"mem":64.0,"gpus":0,"requirePorts":false,"upgradeStrategy":{{"maximumOverCapacity":1.0,"minimumHealthCapacity":1.0}},"version":"2021-07-01T10:00:00.000Z","killSelection":"YOUNGEST_FIRST","unreachableStrategy":{{"inactiveAfterSeconds":0,"expungeAfterSeconds":0}},"role":"*"}}"#
    );
    serde_json::from_str(&text).expect("an app")
}

/// A health check that Marathon carries out.
pub(super) fn check() -> HealthCheck {
    let text = r#"{"gracePeriodSeconds":10,"intervalSeconds":60,"maxConsecutiveFailures":3,"path":"/","portIndex":0,"protocol":"HTTP","timeoutSeconds":20,"delaySeconds":15}"#;
    serde_json::from_str(text).expect("a check")
}

pub(super) fn readiness() -> ReadinessCheck {
    let text = r#"{"name":"ready","protocol":"HTTP","path":"/","portName":"http","intervalSeconds":30,"timeoutSeconds":10,"httpStatusCodesForReady":[200],"preserveLastResponse":false}"#;
    serde_json::from_str(text).expect("a check")
}

pub(super) struct Fixture {
    pub(super) engine: Engine,
    pub(super) settings: EngineSettings,
    pub(super) now: Now,
    pub(super) out: Vec<Effect>,
    /// What the skin has written.
    pub(super) store: BTreeMap<InstanceId, Instance>,
    pub(super) deployments: Vec<StoredDeployment>,
    pub(super) definitions: Vec<Arc<App>>,
    pub(super) root: Root,
    /// How many of the effects have been performed.
    performed: usize,
    made: u128,
    plans: u32,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        Fixture::with(EngineSettings::default())
    }

    /// A connected engine that holds nothing.
    pub(super) fn with(settings: EngineSettings) -> Fixture {
        let now = Now {
            mono: Mono(0),
            wall: Wall(START_MS * 1000),
        };
        let mut out = Vec::new();
        let engine = Engine::restore(settings.clone(), Restored::default(), now, &mut out);
        assert_eq!(out, []);
        let mut fixture = Fixture {
            engine,
            settings,
            now,
            out,
            store: BTreeMap::new(),
            deployments: Vec::new(),
            definitions: Vec::new(),
            root: Root::new(),
            performed: 0,
            made: 0,
            plans: 0,
        };
        fixture.connect();
        assert_eq!(fixture.lines(), ["reconcile 0"]);
        fixture
    }

    pub(super) fn connect(&mut self) {
        self.engine.scheduler_connected(self.now, &mut self.out);
        self.settle();
    }

    /// The engine ends and another one starts from the store.
    pub(super) fn restart(&mut self) {
        self.settle();
        let restored = Restored {
            apps: self.root.values().cloned().collect(),
            definitions: self.definitions.clone(),
            instances: self.store.values().cloned().collect(),
            deployments: self.deployments.clone(),
        };
        let settings = self.settings.clone();
        self.engine = Engine::restore(settings, restored, self.now, &mut self.out);
        self.settle();
    }

    /// Performs stores, and checks that effects and state agree.
    fn settle(&mut self) {
        for effect in &self.out[self.performed..] {
            match effect {
                Effect::Store(instance) => {
                    let instance = Instance::clone(instance);
                    self.store.insert(instance.id.clone(), instance);
                }
                Effect::Forget(id) => {
                    self.store.remove(id);
                }
                Effect::DeploymentStored(stored) => {
                    let known = |other: &StoredDeployment| other.plan.id == stored.plan.id;
                    if !self.deployments.iter().any(known) {
                        self.deployments.push(StoredDeployment::clone(stored));
                    }
                }
                Effect::DeploymentEnded { id, .. } => {
                    self.deployments.retain(|other| other.plan.id != *id);
                }
                _ => {}
            }
        }
        self.performed = self.out.len();
    }

    /// The store rebuilds what the engine holds, and what is derived is right.
    pub(super) fn check(&self) {
        for (path, app) in &self.engine.apps {
            app.sanity_check(path);
        }
        let stored: Vec<String> = self.store.values().map(json).collect();
        let held: Vec<String> = self.engine.instances().map(|i| json(i)).collect();
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts
        };
        assert_eq!(sorted(stored), sorted(held));
    }

    /// The effects since the last look.
    pub(super) fn take(&mut self) -> Vec<Effect> {
        self.settle();
        self.performed = 0;
        if self.store.len() < 100 {
            self.check();
        }
        std::mem::take(&mut self.out)
    }

    /// The same as short lines.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.take().iter().map(line).collect()
    }

    /// The lines that begin with one of `words`; the others are not looked at.
    pub(super) fn some(&mut self, words: &[&str]) -> Vec<String> {
        let lines = self.lines().into_iter();
        let wanted = |line: &String| words.iter().any(|word| line.starts_with(word));
        lines.filter(wanted).collect()
    }

    /// Drops what came so far.
    pub(super) fn skip(&mut self) {
        self.take();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall.0 += u64::try_from(time.as_micros()).expect("a short time");
    }

    /// Lets time pass, doing what is due at its time.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.pass(at.since(self.now.mono));
            self.engine.timer(self.now, &mut self.out);
            self.settle();
        }
        self.pass(end.since(self.now.mono));
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    /// A new definition of an app: a change of configuration.
    pub(super) fn stamp(&self, mut app: App) -> App {
        let version = stamp(self.now);
        app.version = version;
        app.version_info = Some(VersionInfo {
            last_scaling_at: version,
            last_config_change_at: version,
        });
        app
    }

    /// The present definition with another number of instances.
    pub(super) fn scaled(&self, id: &str, instances: u32) -> App {
        let mut app = App::clone(&self.root[&path(id)]);
        app.version = stamp(self.now);
        let info = app.version_info.as_mut().expect("versions");
        info.last_scaling_at = app.version;
        app.instances = instances;
        app
    }

    /// A plan in Marathon's order of steps, without dependencies.
    pub(super) fn plan(&mut self, target: &Root) -> DeploymentPlan {
        self.plans += 1;
        let of = |action, path: &PathId| DeploymentAction {
            action,
            app: Some(path.clone()),
            pod: None,
        };
        let (mut stop, mut start, mut change) = (Vec::new(), Vec::new(), Vec::new());
        for path in self.root.keys().filter(|path| !target.contains_key(*path)) {
            stop.push(of(ActionKind::StopApplication, path));
        }
        for (path, app) in target {
            match self.root.get(path) {
                None => {
                    start.push(of(ActionKind::StartApplication, path));
                    change.push(of(ActionKind::ScaleApplication, path));
                }
                Some(old) if config_version(old) != config_version(app) => {
                    change.push(of(ActionKind::RestartApplication, path));
                }
                Some(old) if old.instances != app.instances => {
                    change.push(of(ActionKind::ScaleApplication, path));
                }
                Some(_) => {}
            }
        }
        let steps = [stop, start, change].into_iter();
        let steps = steps.filter(|actions| !actions.is_empty());
        DeploymentPlan {
            id: format!("plan-{}", self.plans),
            steps: steps.map(|actions| DeploymentStep { actions }).collect(),
            version: stamp(self.now),
        }
    }

    pub(super) fn deploy_root(
        &mut self,
        target: Root,
        kill: BTreeMap<PathId, Vec<InstanceId>>,
        force: bool,
    ) -> Result<String, DeployError> {
        self.pass(Duration::from_millis(1));
        let plan = self.plan(&target);
        let id = plan.id.clone();
        let (now, out) = (self.now, &mut self.out);
        let original = self.root.clone();
        self.engine
            .deploy(plan, &original, &target, kill, force, now, out)?;
        self.definitions.extend(target.values().cloned());
        self.root = target;
        self.settle();
        Ok(id)
    }

    /// Puts an app into the root group, or another definition of it.
    pub(super) fn deploy(&mut self, app: App) -> String {
        self.try_deploy(app, false).expect("no conflict")
    }

    pub(super) fn try_deploy(&mut self, app: App, force: bool) -> Result<String, DeployError> {
        let target = self.root.update(app.id.clone(), Arc::new(app));
        self.deploy_root(target, BTreeMap::new(), force)
    }

    pub(super) fn remove(&mut self, id: &str) -> String {
        let target = self.root.without(&path(id));
        let done = self.deploy_root(target, BTreeMap::new(), false);
        done.expect("no conflict")
    }

    /// An app with all its instances running.
    pub(super) fn running(&mut self, app: App) -> Vec<InstanceId> {
        let app = self.stamp(app);
        let id = app.id.clone();
        self.deploy(app);
        let ids = self.launch_all(id.as_str());
        for instance in &ids {
            self.pass(Duration::from_secs(1));
            self.status(instance, TaskState::TaskRunning);
        }
        self.skip();
        ids
    }

    /// Launches whatever an app may launch now, each on an agent of its own.
    pub(super) fn launch_all(&mut self, id: &str) -> Vec<InstanceId> {
        let mut ids = Vec::new();
        loop {
            let waiting = self.engine.waiting(self.now);
            let item = waiting.iter().find(|item| item.app.id == path(id));
            let Some(item) = item.filter(|item| item.delay.is_none()) else {
                return ids;
            };
            let instance = match item.relaunch.first() {
                Some(instance) => instance.clone(),
                None if item.launch > 0 => self.new_id(id),
                None => return ids,
            };
            let version = item.version;
            if self.launch(id, version, &instance).is_err() {
                return ids;
            }
            ids.push(instance);
        }
    }

    pub(super) fn new_id(&mut self, id: &str) -> InstanceId {
        self.made += 1;
        InstanceId::new(&path(id), Uuid::from_u128(self.made))
    }

    pub(super) fn launch(
        &mut self,
        id: &str,
        version: Timestamp,
        instance: &InstanceId,
    ) -> Result<(), LaunchRefused> {
        let launch = Launch {
            app: path(id),
            version,
            instance: instance.clone(),
            place: Place {
                agent_id: format!("agent-{}", self.made),
                host: format!("host-{}", self.made),
                ..Place::default()
            },
            host_ports: vec![31000],
        };
        let done = self.engine.launched(launch, self.now, &mut self.out);
        self.settle();
        done.map(|_| ())
    }

    pub(super) fn update(&self, instance: &InstanceId, state: TaskState) -> StatusUpdate {
        let held = self.engine.instance(instance).expect("a known instance");
        StatusUpdate {
            task: held.task().expect("a task"),
            agent: Some(AgentId::new(held.place.agent_id.as_str())),
            state,
            reason: None,
            message: String::new(),
            healthy: None,
            ip_addresses: Vec::new(),
            uuid: Some(vec![1]),
        }
    }

    pub(super) fn send(&mut self, update: &StatusUpdate) {
        self.engine.status_update(update, self.now, &mut self.out);
        self.settle();
    }

    pub(super) fn status(&mut self, instance: &InstanceId, state: TaskState) {
        let update = self.update(instance, state);
        self.send(&update);
    }

    pub(super) fn status_why(&mut self, instance: &InstanceId, state: TaskState, why: Reason) {
        let mut update = self.update(instance, state);
        update.reason = Some(why);
        self.send(&update);
    }

    pub(super) fn healthy(&mut self, instance: &InstanceId, alive: bool) {
        let verdict = match alive {
            true => HealthVerdict::Alive,
            false => HealthVerdict::Failed("no answer".to_owned()),
        };
        let (now, out) = (self.now, &mut self.out);
        self.engine.health_result(instance, 0, &verdict, now, out);
        self.settle();
    }

    pub(super) fn kill(&mut self, ids: &[InstanceId], wipe: bool) {
        self.engine.kill(ids, wipe, self.now, &mut self.out);
        self.settle();
    }

    /// Instances of an app by condition, with how many there are.
    pub(super) fn conditions(&self, id: &str) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        let app = path(id);
        for instance in self.engine.instances_of(&app) {
            let text = format!("{:?} {:?}", instance.condition, instance.goal);
            *found.entry(text).or_default() += 1;
        }
        found
    }

    /// The kills asked for since the last look, confirmed.
    pub(super) fn confirm_kills(&mut self) -> usize {
        let effects = self.take();
        let killed: Vec<InstanceId> = effects.iter().filter_map(killed).collect();
        for id in &killed {
            // A kill that was repeated is confirmed once.
            if self.engine.instance(id).is_some() {
                self.status(id, TaskState::TaskKilled);
            }
        }
        killed.len()
    }
}

/// The instance a kill is for.
pub(super) fn killed(effect: &Effect) -> Option<InstanceId> {
    match effect {
        Effect::Kill { task, .. } => crate::marathon::ids::instance_of(task),
        _ => None,
    }
}

fn json(instance: &Instance) -> String {
    serde_json::to_string(instance).expect("text")
}

/// `a.instance-00000000-0000-0000-0000-000000000001` is `a#1`; so is a task of it.
pub(super) fn short(id: &str) -> String {
    let Some((app, rest)) = id.split_once(".instance-") else {
        return id.to_owned();
    };
    let (uuid, run) = rest.split_once("._app.").unwrap_or((rest, ""));
    let number = Uuid::parse_str(uuid).map_or(0, |uuid| uuid.as_u128());
    match run {
        "" | "1" => format!("{app}#{number}"),
        run => format!("{app}#{number}.{run}"),
    }
}

/// An effect in a few words.
pub(super) fn line(effect: &Effect) -> String {
    match effect {
        Effect::Store(i) => {
            let id = short(i.id.as_str());
            format!("store {id} {:?} {:?}", i.condition, i.goal)
        }
        Effect::Forget(id) => format!("forget {}", short(id.as_str())),
        Effect::Kill { task, .. } => format!("kill {}", short(task.as_str())),
        Effect::Acknowledge { task, .. } => format!("ack {}", short(task.as_str())),
        Effect::Revive(role) => format!("revive {role}"),
        Effect::Suppress(role) => format!("suppress {role}"),
        Effect::Reconcile(tasks) => format!("reconcile {}", tasks.len()),
        Effect::Event(event) => event_line(event),
        Effect::StartProbing { instance, .. } => format!("probe {}", short(instance.id.as_str())),
        Effect::StopProbing(id) => format!("unprobe {}", short(id.as_str())),
        Effect::StartReadiness { instance, .. } => {
            format!("readiness {}", short(instance.id.as_str()))
        }
        Effect::StopReadiness(id) => format!("unreadiness {}", short(id.as_str())),
        Effect::DeploymentStored(stored) => format!("plan {}", stored.plan.id),
        Effect::DeploymentEnded { id, outcome } => format!("end {id} {outcome:?}"),
        Effect::TaskFailure(failure) => {
            format!("failure {} {}", short(&failure.task_id), failure.state)
        }
    }
}

fn event_line(event: &Event) -> String {
    let json = serde_json::to_value(event).expect("json");
    assert!(json["timestamp"].is_string());
    let text = |name: &str| json[name].as_str().map(short).unwrap_or_default();
    let kind = text("eventType").replace("_event", "");
    let words: Vec<String> = match &json["currentStep"]["actions"] {
        serde_json::Value::Array(actions) => actions
            .iter()
            .map(|action| format!("{}:{}", action["action"], action["app"]).replace('"', ""))
            .collect(),
        _ => [
            "id",
            "instanceId",
            "taskId",
            "condition",
            "taskStatus",
            "appId",
        ]
        .iter()
        .map(|name| text(name))
        .filter(|text| !text.is_empty())
        .take(2)
        .collect(),
    };
    format!("{kind} {}", words.join(" "))
}
