//! The app manager's core, store and driver together, at a real master with an agent played by the
//! test. Its HTTP faces have tests of their own.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::json;
use tepui_actors::clock::Clock;
use tepui_actors::marathon::config::MetricsSettings;
use tepui_actors::marathon::driver::{Driver, Limits, MasterUrl, Registration, Settings};
use tepui_actors::marathon::events::{EventHub, Next};
use tepui_actors::marathon::handle::{Handle, Unavailable};
use tepui_actors::marathon::http::Metrics as _;
use tepui_actors::marathon::prober::Prober;
use tepui_actors::marathon::records;
use tepui_actors::marathon::run::{Connections, Ended, Run};
use tepui_actors::marathon::store::{self, Memory, Owner, Place, Store, StoreError};
use tepui_actors::metrics::marathon::{MarathonMetrics, MetricsPage};
use tepui_core::ids::IdSource;
use tepui_core::marathon::manager::{Answer, Caller, Manager, ManagerSettings, Request, Snapshot};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::marathon::PathId;
use tepui_protocol::v1;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::agent::Agent;
use super::client::Master;

/// What comes later will never come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells the manager when its store fails.
struct Watchdog(std::sync::Mutex<Option<oneshot::Sender<String>>>);

impl Owner for Watchdog {
    fn failed(&self, error: StoreError) {
        if let Some(tell) = self.0.lock().unwrap().take() {
            let _ = tell.send(error.to_string());
        }
    }
}

/// A running app manager.
struct Marathon {
    handle: Handle,
    task: JoinHandle<(Ended, Store)>,
    /// Ends it, also when it is dropped.
    _end: oneshot::Sender<()>,
    metrics: MetricsPage,
}

impl Marathon {
    async fn start(master: &Master, memory: &Memory) -> Marathon {
        let clock = Clock::start();
        let settings = store::Settings::new(Place::Memory(memory.clone()));
        let (tell_failed, store_failed) = oneshot::channel();
        let owner = Watchdog(std::sync::Mutex::new(Some(tell_failed)));
        let opened = tokio::task::spawn_blocking(move || Store::open(settings, owner));
        let (store, loaded) = opened.await.unwrap().unwrap();
        let stored = records::stored(loaded).unwrap();
        let (mut first, random) = (Vec::new(), IdSource::from_seed([7; 32]));
        let now = clock.now();
        let manager =
            Manager::restore(ManagerSettings::default(), stored, random, now, &mut first).unwrap();

        let id = manager.framework_id().map(|id| v1::FrameworkId {
            value: id.to_owned(),
        });
        let registration = Registration {
            framework_info: v1::FrameworkInfo {
                user: "root".to_owned(),
                name: "marathon".to_owned(),
                failover_timeout: Some(3600.0),
                checkpoint: Some(true),
                roles: manager.roles().map(ToString::to_string).collect(),
                capabilities: vec![v1::framework_info::Capability {
                    r#type: Some(v1::framework_info::capability::Type::MultiRole.into()),
                }],
                id,
                ..Default::default()
            },
            ..Registration::default()
        };
        let (events, driver_events) = mpsc::channel(64);
        let driver = Driver::start(
            Settings {
                master: MasterUrl::read(&master.address.to_string()).unwrap(),
                registration: registration.clone(),
                credentials: None,
                seed: [1; 32],
                limits: Limits::default(),
            },
            events,
        );
        let (results, probe_results) = mpsc::channel(64);
        let (requests, asked) = mpsc::channel(64);
        let snapshot: Arc<ArcSwap<Snapshot>> =
            Arc::new(ArcSwap::from_pointee(manager.snapshot(now)));
        let hub = EventHub::default();
        let handle = Handle::new(snapshot.clone(), requests, hub.clone());
        let (end, told) = oneshot::channel();
        let metrics = Arc::new(MarathonMetrics::new(&MetricsSettings::default(), now.mono));
        let page = MetricsPage::new(
            metrics.clone(),
            snapshot.clone(),
            clock,
            MetricsSettings::default(),
        );
        let with = Connections {
            requests: asked,
            driver_events,
            probe_results,
            driver,
            registration,
            prober: Prober::start(results),
            store,
            store_failed,
            told,
            snapshot,
            events: hub,
            clock,
            metrics,
        };
        let run = Run::new(manager, with, first).unwrap();
        Marathon {
            handle,
            metrics: page,
            task: tokio::spawn(run.run()),
            _end: end,
        }
    }

    /// The process dies; what was acknowledged is kept.
    async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&Snapshot) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = look(&self.handle.snapshot()) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("waited too long for {what}"))
    }

    /// What is shown under a name.
    fn measured(&self, kind: &str, name: &str) -> serde_json::Value {
        self.metrics.json()[kind][format!("marathon.{name}")].clone()
    }

    fn count(&self, kind: &str, name: &str) -> u64 {
        let shown = self.measured(kind, name);
        shown["count"]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {shown}"))
    }

    async fn change(&self, id: &str, body: serde_json::Value) -> Answer {
        let request = Request::ChangeApp {
            id: PathId::new(id),
            body,
            partial: true,
            may_create: true,
            force: false,
            caller: Caller::default(),
        };
        self.handle.ask(request).await.unwrap()
    }
}

fn launched(agent: &mut Agent) -> Vec<(String, String)> {
    loop {
        match agent.receive() {
            Some(MasterToAgent::RunTask(run)) => {
                let framework = run.framework.id.clone().unwrap_or_default();
                return vec![(framework.value, run.task.task_id.value.clone())];
            }
            Some(_) => {}
            None => panic!("the link has ended"),
        }
    }
}

fn running(snapshot: &Snapshot, app: &str) -> u32 {
    snapshot.view(&PathId::new(app)).counts.tasks_running
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_run_are_scaled_and_survive_the_manager() {
    let (master, memory) = (Master::start(), Memory::default());
    let mut agent = Agent::register(&master, 5051);
    let marathon = Marathon::start(&master, &memory).await;
    let mut events = marathon.handle.events().subscribe(None);
    let answer = marathon
        .change(
            "/a",
            json!({"cmd": "run", "cpus": 0.1, "mem": 16, "instances": 2, "portDefinitions": []}),
        )
        .await;
    assert!(matches!(answer, Answer::Deployment { .. }), "{answer:?}");
    let mut tasks = Vec::new();
    while tasks.len() < 2 {
        for (framework, task) in launched(&mut agent) {
            agent.update(&framework, &task, v1::TaskState::TaskRunning, 1);
            tasks.push((framework, task));
        }
    }
    marathon
        .until("two running tasks", |it| {
            (running(it, "/a") == 2).then_some(())
        })
        .await;
    marathon
        .until("the deployment's end", |it| {
            it.deployments.is_empty().then_some(())
        })
        .await;
    loop {
        match events.next().await {
            Some(Next::Event(sent)) if sent.name == "deployment_success" => {
                let json: serde_json::Value = serde_json::from_str(&sent.json).unwrap();
                assert_eq!(json["eventType"], "deployment_success");
                break;
            }
            Some(Next::Event(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    two_launches_are_measured(&marathon);
    let framework = marathon.handle.snapshot().framework_id.clone();
    marathon.crash().await;

    // Another one goes on with the same framework and the same tasks.
    let marathon = Marathon::start(&master, &memory).await;
    marathon
        .until("two running tasks", |it| {
            (running(it, "/a") == 2).then_some(())
        })
        .await;
    assert_eq!(marathon.handle.snapshot().framework_id, framework);
    let answer = marathon.change("/a", json!({"instances": 0})).await;
    assert!(matches!(answer, Answer::Deployment { .. }), "{answer:?}");
    let mut killed = Vec::new();
    while killed.len() < 2 {
        match agent.receive() {
            Some(MasterToAgent::KillTask { task_id, .. }) => {
                let (framework, _) = tasks.iter().find(|(_, id)| *id == task_id).unwrap();
                agent.update(framework, &task_id, v1::TaskState::TaskKilled, 2);
                killed.push(task_id);
            }
            Some(MasterToAgent::RunTask(run)) => panic!("one too many: {run:?}"),
            Some(_) => {}
            None => panic!("the link has ended"),
        }
    }
    marathon
        .until("no instances", |it| {
            let view = it.view(&PathId::new("/a"));
            (view.instances.is_empty() && it.deployments.is_empty()).then_some(())
        })
        .await;
}

/// After two tasks of one app were launched, which run.
fn two_launches_are_measured(marathon: &Marathon) {
    let counter = |name: &str| marathon.count("counters", name);
    let timer = |name: &str| marathon.count("timers", name);
    assert_eq!(counter("tasks.launched.counter"), 2);
    assert!(counter("mesos.task-updates.task-running.counter") >= 2);
    let used = counter("mesos.offers.used.counter");
    assert!((1..=2).contains(&used), "{used}");
    assert_eq!(counter("mesos.offer-operations.launch.counter"), used);
    assert_eq!(counter("mesos.offer-operations.reserve.counter"), 0);
    let declined = counter("mesos.offers.declined.counter");
    let incoming = counter("mesos.offers.incoming.counter");
    assert!(used + declined <= incoming, "{used} {declined} {incoming}");
    assert!(counter("mesos.calls.revive.counter") >= 1);
    assert!(counter("mesos.calls.suppress.counter") >= 1);
    assert!(timer("debug.mesos.offers.matching-duration.timer.seconds") >= used);
    let saving = timer("debug.mesos.offers.saving-tasks-duration.timer.seconds");
    assert_eq!(saving, used);
    assert!(timer("debug.publishing-task-status-update-duration.timer.seconds") >= 2);
    assert!(timer("debug.persistence.operations.store.duration.timer.seconds") >= 3);
    assert_eq!(counter("deployments.counter"), 1);
    let leading = marathon.measured("gauges", "leadership.duration.gauge.seconds");
    assert!(leading["value"].as_f64() > Some(0.0), "{leading}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_change_nothing_and_a_manager_that_was_replaced_ends() {
    let (master, memory) = (Master::start(), Memory::default());
    let marathon = Marathon::start(&master, &memory).await;
    let answer = marathon
        .change("/a", json!({"cmd": "run", "instances": -1}))
        .await;
    assert!(
        matches!(answer, Answer::Refused(ref it) if it.status == 422),
        "{answer:?}"
    );
    assert_eq!(marathon.handle.snapshot().root.app_count(), 0);
    marathon
        .until("a subscription", |it| it.framework_id.clone())
        .await;
    // What is answered is stored, and all that was before it: the framework's id, too.
    let answer = marathon
        .change("/stored", json!({"cmd": "run", "instances": 0}))
        .await;
    assert!(matches!(answer, Answer::Deployment { .. }), "{answer:?}");
    // Another one subscribes as the same framework.
    let other = Marathon::start(&master, &memory).await;
    let ended = tokio::time::timeout(PATIENCE, marathon.task).await;
    let (ended, _store) = ended.unwrap().unwrap();
    assert!(matches!(ended, Ended::Refused(_)), "{ended}");
    let shown = marathon.metrics.json();
    let leading = &shown["gauges"]["marathon.leadership.duration.gauge.seconds"];
    assert_eq!(leading["value"], 0.0, "it leads no longer");
    assert!(
        marathon
            .handle
            .ask(Request::ResetDelay {
                id: PathId::new("/a")
            })
            .await
            .is_err()
    );
    let answer = other
        .change("/a", json!({"cmd": "run", "instances": 0}))
        .await;
    assert!(matches!(answer, Answer::Deployment { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_answered_and_ends_the_manager() {
    let (master, memory) = (Master::start(), Memory::default());
    let marathon = Marathon::start(&master, &memory).await;
    let too_long = "x".repeat(store::MAX_VALUE_BYTES);
    let request = Request::ChangeApp {
        id: PathId::new("/a"),
        body: json!({"cmd": "run", "env": {"LONG": too_long}}),
        partial: true,
        may_create: true,
        force: false,
        caller: Caller::default(),
    };
    let answer = marathon.handle.ask(request).await;
    assert!(matches!(answer, Err(Unavailable::Ending)), "{answer:?}");
    let ended = tokio::time::timeout(PATIENCE, marathon.task).await;
    let (ended, _store) = ended.unwrap().unwrap();
    assert!(
        matches!(ended, Ended::Store(ref why) if why.contains("apps")),
        "{ended}"
    );
    // Nothing of it is left.
    let marathon = Marathon::start(&master, &memory).await;
    assert_eq!(marathon.handle.snapshot().root.app_count(), 0);
}
