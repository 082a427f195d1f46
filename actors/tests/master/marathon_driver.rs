//! The app manager's driver at a real master, with an agent played by the test.
//! What goes wrong on the way is tested next to the driver, with a master that is played.

use std::time::Duration;

use tepui_actors::marathon::driver::{
    Driver, DriverEvent, DriverHandle, Limits, MasterUrl, Registration, Settings,
};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::agent::Agent;
use super::client::Master;

/// A driver at a master.
struct Driven {
    handle: DriverHandle,
    events: mpsc::Receiver<DriverEvent>,
    framework_id: v1::FrameworkId,
}

impl Driven {
    /// Starts a driver and waits until it is subscribed.
    async fn subscribe(master: &str, id: Option<v1::FrameworkId>) -> Driven {
        let framework_info = v1::FrameworkInfo {
            user: "root".to_owned(),
            name: "marathon".to_owned(),
            failover_timeout: Some(3600.0),
            id,
            ..Default::default()
        };
        let settings = Settings {
            master: MasterUrl::read(master).unwrap(),
            registration: Registration {
                framework_info,
                ..Default::default()
            },
            credentials: None,
            seed: [1; 32],
            limits: Limits {
                backoff_min: Duration::from_millis(1),
                ..Limits::default()
            },
        };
        let (sender, events) = mpsc::channel(16);
        let mut driven = Driven {
            handle: Driver::start(settings, sender),
            events,
            framework_id: v1::FrameworkId::default(),
        };
        assert!(driven.subscribed().await, "the first time");
        driven
    }

    async fn next(&mut self) -> DriverEvent {
        self.events.recv().await.expect("the driver must live")
    }

    /// Waits for a subscription; whether it is the driver's first.
    async fn subscribed(&mut self) -> bool {
        loop {
            if let DriverEvent::Subscribed {
                framework_id,
                master,
                first,
            } = self.next().await
            {
                assert!(master.is_some(), "a master tells who it is");
                self.framework_id = framework_id;
                return first;
            }
        }
    }

    async fn offers(&mut self) -> Vec<v1::Offer> {
        loop {
            if let DriverEvent::Offers(offers) = self.next().await {
                return offers;
            }
        }
    }

    async fn update(&mut self) -> v1::TaskStatus {
        loop {
            if let DriverEvent::Update(status) = self.next().await {
                return *status;
            }
        }
    }

    /// Waits until an offer is void.
    async fn rescinded(&mut self) -> v1::OfferId {
        loop {
            if let DriverEvent::Rescind(id) = self.next().await {
                return id;
            }
        }
    }

    /// Launches a task on an offer.
    fn launch(&self, offer: &v1::Offer, task: &str) {
        let scalar = |name: &str, value: f64| v1::Resource {
            name: name.to_owned(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value }),
            allocation_info: offer.allocation_info.clone(),
            ..Default::default()
        };
        let task = v1::TaskInfo {
            name: task.to_owned(),
            task_id: task_id(task),
            agent_id: offer.agent_id.clone(),
            resources: vec![scalar("cpus", 1.0), scalar("mem", 32.0)],
            command: Some(Box::new(v1::CommandInfo {
                value: Some("sleep 100".to_owned()),
                ..Default::default()
            })),
            ..Default::default()
        };
        let launch = v1::offer::operation::Launch {
            task_infos: vec![task],
        };
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch.into()),
            launch: Some(launch),
            ..Default::default()
        };
        let accepted = self
            .handle
            .accept(vec![offer.id.clone()], vec![operation], 0.0);
        accepted.unwrap();
    }
}

fn task_id(value: &str) -> v1::TaskId {
    v1::TaskId {
        value: value.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_launched_acknowledged_and_killed() {
    let master = Master::start();
    let mut driven = Driven::subscribe(&master.address.to_string(), None).await;
    let mut agent = Agent::register(&master, 5051);
    let offer = driven.offers().await.remove(0);
    assert_eq!(offer.agent_id.value, agent.id);
    driven.launch(&offer, "t1");
    // In order: the kill finds the task there.
    driven
        .handle
        .kill(task_id("t1"), Some(offer.agent_id.clone()), None)
        .unwrap();
    let framework_id = driven.framework_id.value.clone();
    let Some(MasterToAgent::RunTask(run)) = agent.receive() else {
        panic!("the task must be launched");
    };
    assert_eq!(run.task.task_id.value, "t1");
    let Some(MasterToAgent::KillTask {
        task_id: killed, ..
    }) = agent.receive()
    else {
        panic!("the task must be killed");
    };
    assert_eq!(killed, "t1");
    agent.update(&framework_id, "t1", v1::TaskState::TaskKilled, 1);
    let status = driven.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskKilled);
    driven.handle.acknowledge(&status).unwrap();
    let acknowledged = agent.receive();
    assert!(
        matches!(&acknowledged, Some(MasterToAgent::AcknowledgeStatus { task_id, .. }) if task_id == "t1"),
        "{acknowledged:?}"
    );
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!((counts.accepted, counts.refused), (3, 0), "{counts:?}");
    driven.handle.teardown().unwrap();
    master.state_when(|state| state["frameworks"] == serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_driver_of_the_framework_ends_the_first() {
    let master = Master::start();
    let address = master.address.to_string();
    let mut first = Driven::subscribe(&address, None).await;
    let second = Driven::subscribe(&address, Some(first.framework_id.clone())).await;
    assert_eq!(second.framework_id, first.framework_id);
    let text = loop {
        match first.next().await {
            DriverEvent::Error(text) => break text,
            DriverEvent::Disconnected { why } => panic!("must be final: {why}"),
            _ => {}
        }
    };
    assert!(text.contains("failed over"), "{text}");
    assert_eq!(first.events.recv().await, None);
}

/// Passes connections through to a master until it is told to cut them all.
async fn proxy(master: &str) -> (String, watch::Sender<u32>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let cut = watch::Sender::new(0);
    let (master, cuts) = (master.to_owned(), cut.subscribe());
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(&master).await.unwrap();
            let mut cuts = cuts.clone();
            cuts.borrow_and_update();
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (address, cut)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_leaves_framework_and_tasks_alone() {
    let master = Master::start();
    let (address, cut) = proxy(&master.address.to_string()).await;
    let mut driven = Driven::subscribe(&address, None).await;
    let framework_id = driven.framework_id.clone();
    let mut agent = Agent::register(&master, 5051);
    let offer = driven.offers().await.remove(0);
    driven.launch(&offer, "t1");
    assert!(matches!(agent.receive(), Some(MasterToAgent::RunTask(_))));
    for round in 1..=3 {
        cut.send_modify(|cuts| *cuts += 1);
        assert!(!driven.subscribed().await, "not the first time");
        assert_eq!(driven.framework_id, framework_id);
        assert_eq!(driven.handle.counts().subscriptions, round + 1);
    }
    // What the task left over is offered to the new subscription.
    let offer = driven.offers().await.remove(0);
    agent.update(&framework_id.value, "t1", v1::TaskState::TaskRunning, 1);
    let status = driven.update().await;
    assert_eq!(status.state(), v1::TaskState::TaskRunning);
    driven.handle.reconcile(vec![]).unwrap();
    let known = driven.update().await;
    assert_eq!(known.task_id, task_id("t1"));
    // With its agent an offer goes, too.
    drop(agent);
    assert_eq!(driven.rescinded().await, offer.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_calls_are_taken_without_a_refusal() {
    let master = Master::start();
    let driven = Driven::subscribe(&master.address.to_string(), None).await;
    let (handle, mut events) = (driven.handle, driven.events);
    // The master has a word on each.
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    for number in 0..10_000_u32 {
        let killed = handle.kill(task_id(&number.to_string()), None, None);
        killed.unwrap();
    }
    handle.settled().await;
    let counts = handle.counts();
    assert_eq!(counts.accepted, 10_000, "{counts:?}");
}
