//! A fleet of simulated agents on real links: agent cores with played executors, many per process.
//! Runs no task and starts no master.

mod agent;
mod count;
mod link;
mod players;

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;
use tepui_core::agent::recovery::recover;
use tepui_core::agent::{Isolation, Settings};
use tepui_core::resources::Resources;
use tepui_core::time::Mono;
use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::link::{AgentToMaster, Frame, StatusUpdate};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::{AgentInfo, TaskId, TaskState, TaskStatus};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::framework::Error;
use crate::histogram;
use agent::{Parts, SimulatedAgent};
use link::Opener;

pub use count::TaskCount;
pub use link::Network;
pub use players::Behaviour;

/// Version of Mesos's interfaces the agents say they speak.
const MESOS_VERSION: &str = "1.12.0";

/// Links a fleet opens at a time; a master's queue of new connections is about this long.
const MAX_OPENING: usize = 1_000;

/// Failures that are kept to be shown.
const MAX_FAILURES: usize = 10;

/// Time between two looks at the number of registered agents.
const LOOK: Duration = Duration::from_millis(2);

/// Finished executors each agent remembers; fewer than a real agent, whose memory is its own.
const REMEMBERED_EXECUTORS: usize = 2;

/// What a fleet is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The master.
    pub master: SocketAddr,
    /// Number of agents.
    pub agents: usize,
    /// Threads they share.
    pub threads: usize,
    /// Resources of each, in Mesos's text form.
    pub resources: String,
    /// Base of the random delay before an agent connects, also after a lost link.
    pub backoff: Duration,
    /// How the network is disturbed.
    pub network: Network,
    /// How tasks behave.
    pub behaviour: Behaviour,
}

/// An order to one simulated agent.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// Break the link; the agent comes back by itself.
    Cut,
    /// Leave the cluster for good.
    Leave,
    /// Send so many useless messages at once.
    Flood(usize),
    /// End all running tasks now.
    Finish,
}

/// What the agents of a fleet share.
pub struct Fleet {
    clock: Clock,
    options: Options,
    figures: Figures,
}

/// What happened in a fleet so far.
pub struct Figures {
    registered: AtomicUsize,
    running: AtomicUsize,
    links_lost: AtomicU64,
    floods: AtomicU64,
    tasks: Arc<TaskCount>,
    /// Microseconds from the clock's start to the last registration.
    last_registered: AtomicU64,
    register_times: Mutex<Histogram<u64>>,
    failures: Mutex<Vec<String>>,
}

/// A running fleet; it ends when dropped.
pub struct FleetHandle {
    fleet: Arc<Fleet>,
    orders: Vec<UnboundedSender<Order>>,
    threads: Vec<JoinHandle<()>>,
    begun: Duration,
}

impl FleetHandle {
    /// Starts the agents; they connect at once, each after its core's random delay.
    ///
    /// # Errors
    /// When the resources are wrong or threads cannot be started.
    pub fn start(clock: Clock, options: Options) -> Result<Self, Error> {
        let settings = settings(&options)?;
        let threads = options.threads.clamp(1, options.agents.max(1));
        let fleet = Arc::new(Fleet {
            clock,
            figures: Figures::new(options.agents),
            options,
        });
        let opener = Opener {
            master: fleet.options.master,
            permits: Arc::new(Semaphore::new(MAX_OPENING)),
        };
        let (mut orders, mut receivers) = (Vec::new(), Vec::new());
        for _ in 0..fleet.options.agents {
            let (sender, receiver) = unbounded_channel();
            orders.push(sender);
            receivers.push(receiver);
        }
        let ready = Arc::new(Barrier::new(threads + 1));
        let mut handles = Vec::new();
        let per_thread = fleet.options.agents.div_ceil(threads);
        let mut first = 0;
        for _ in 0..threads {
            let rest = receivers.split_off(per_thread.min(receivers.len()));
            let share = Share {
                first,
                receivers: std::mem::replace(&mut receivers, rest),
                settings: settings.clone(),
                opener: opener.clone(),
                fleet: fleet.clone(),
                ready: ready.clone(),
            };
            first += share.receivers.len();
            let thread = std::thread::Builder::new().name("fleet".into());
            handles.push(thread.spawn(move || share.run())?);
        }
        ready.wait();
        Ok(FleetHandle {
            begun: clock.now(),
            fleet,
            orders,
            threads: handles,
        })
    }

    /// What happened so far.
    pub fn figures(&self) -> &Figures {
        &self.fleet.figures
    }

    /// Time from the start to the last registration.
    pub fn last_registered(&self) -> Duration {
        self.figures().last_registered().saturating_sub(self.begun)
    }

    /// Tells agents something; those that have ended hear nothing.
    pub fn order(&self, agents: Range<usize>, order: Order) {
        for sender in self.orders.get(agents).unwrap_or_default() {
            let _ = sender.send(order);
        }
    }

    /// Waits until so many agents are registered.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn wait_for(&self, agents: usize, limit: Duration) -> Result<(), Error> {
        let wait = async {
            while self.figures().registered() < agents {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(limit, wait).await.map_err(|_| {
            let registered = self.figures().registered();
            let failures = self.figures().failures().join("; ");
            Error::from(format!(
                "only {registered} of {agents} agents are registered after {limit:?}: {failures}"
            ))
        })
    }
}

impl Drop for FleetHandle {
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Figures {
    fn new(agents: usize) -> Self {
        Figures {
            registered: AtomicUsize::new(0),
            running: AtomicUsize::new(agents),
            links_lost: AtomicU64::new(0),
            floods: AtomicU64::new(0),
            tasks: Arc::default(),
            last_registered: AtomicU64::new(0),
            register_times: Mutex::new(histogram()),
            failures: Mutex::new(Vec::new()),
        }
    }

    /// Agents that are registered now.
    pub fn registered(&self) -> usize {
        self.registered.load(Ordering::Relaxed)
    }

    /// Agents that have not ended.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Links that could not be opened, or ended.
    pub fn links_lost(&self) -> u64 {
        self.links_lost.load(Ordering::Relaxed)
    }

    /// Floods that the master has taken in, or cut off.
    pub fn floods(&self) -> u64 {
        self.floods.load(Ordering::Relaxed)
    }

    /// Tasks that exist on all agents.
    pub fn tasks(&self) -> &Arc<TaskCount> {
        &self.tasks
    }

    /// When the last agent registered, on the load test's clock.
    pub fn last_registered(&self) -> Duration {
        Duration::from_micros(self.last_registered.load(Ordering::Relaxed))
    }

    /// Takes how long registrations took, in microseconds, since this was last asked.
    pub fn take_register_times(&self) -> Histogram<u64> {
        let mut times = self
            .register_times
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *times, histogram())
    }

    /// The first things that went wrong.
    pub fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn registered_after(&self, now: Mono, time: Duration) {
        self.last_registered.fetch_max(now.0, Ordering::Relaxed);
        let mut times = self
            .register_times
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        crate::record(&mut times, time);
    }

    fn count_registered(&self, registered: bool) {
        match registered {
            true => self.registered.fetch_add(1, Ordering::Relaxed),
            false => self.registered.fetch_sub(1, Ordering::Relaxed),
        };
    }

    fn failed(&self, why: &dyn Display) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_FAILURES {
            failures.push(why.to_string());
        }
    }
}

/// The agents of one thread.
struct Share {
    first: usize,
    receivers: Vec<UnboundedReceiver<Order>>,
    settings: Settings,
    opener: Opener,
    fleet: Arc<Fleet>,
    ready: Arc<Barrier>,
}

impl Share {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let agents = self.agents();
        self.ready.wait();
        match runtime {
            Ok(runtime) => {
                let mut tasks = JoinSet::new();
                for (agent, orders) in agents.into_iter().zip(self.receivers) {
                    tasks.spawn_on(agent.run(orders), runtime.handle());
                }
                runtime.block_on(async { while tasks.join_next().await.is_some() {} });
            }
            Err(error) => self.fleet.figures.failed(&error),
        }
    }

    fn agents(&self) -> Vec<SimulatedAgent> {
        let mut agents = Vec::with_capacity(self.receivers.len());
        for index in (self.first..).take(self.receivers.len()) {
            let settings = settings_of(&self.settings, index);
            let stored = ResourcesAndOperations::default();
            let recovered = recover(&settings.work_dir, &settings.info.resources, stored);
            match recovered {
                Ok(recovered) => agents.push(SimulatedAgent::new(Parts {
                    index,
                    settings,
                    recovered,
                    seed: seed(index),
                    opener: self.opener.clone(),
                    fleet: self.fleet.clone(),
                })),
                Err(error) => self.fleet.figures.failed(&error),
            }
        }
        agents
    }
}

/// What all agents have in common.
fn settings(options: &Options) -> Result<Settings, Error> {
    let resources = Resources::parse(&options.resources, "*")
        .map_err(|error| format!("--resources: {error}"))?;
    Ok(Settings {
        info: AgentInfo {
            hostname: "localhost".into(),
            resources: resources.to_v1(tepui_core::resources::Format::PostRefinement),
            port: Some(5051),
            ..AgentInfo::default()
        },
        boot_id: None,
        address: "127.0.0.1:5051".into(),
        ip: "127.0.0.1".into(),
        version: MESOS_VERSION.into(),
        work_dir: "/var/lib/tepui-loadtest".into(),
        launcher_dir: "/usr/libexec/tepui".into(),
        executor_environment: Default::default(),
        libprocess_ip: None,
        switch_user: false,
        isolation: Isolation::default(),
        registration_backoff_factor: options.backoff,
        executor_registration_timeout: Duration::from_secs(60),
        executor_shutdown_grace_period: Duration::from_secs(5),
        recovery_timeout: Duration::from_secs(900),
        executor_reregistration_timeout: Duration::from_secs(2),
        max_completed_executors_per_framework: REMEMBERED_EXECUTORS,
        garbage: None,
    })
}

/// The settings of one agent: it looks like a machine of its own.
fn settings_of(common: &Settings, index: usize) -> Settings {
    let mut settings = common.clone();
    settings.info.hostname = format!("agent-{index}.loadtest");
    // Addresses are only shown; each agent has one that no other has.
    let port = 1024 + index % 60_000;
    settings.info.port = i32::try_from(port).ok();
    settings.address = format!("127.0.{}.1:{port}", index / 60_000);
    settings
}

/// A seed of its own for every agent, the same in every run.
fn seed(index: usize) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    let (number, _) = seed.split_at_mut(8);
    number.copy_from_slice(&(index as u64).to_le_bytes());
    seed
}

/// A well-formed message of no use to anyone.
fn flood_frame(epoch: u64) -> Frame<AgentToMaster> {
    let status = TaskStatus {
        task_id: TaskId {
            value: "flood".into(),
        },
        state: TaskState::TaskRunning as i32,
        uuid: Some(vec![0; 16]),
        ..TaskStatus::default()
    };
    let update = StatusUpdate {
        framework_id: "nobody".into(),
        executor_id: None,
        status: Pb(status),
        latest_state: TaskState::TaskRunning as i32,
    };
    Frame {
        epoch,
        body: AgentToMaster::StatusUpdate(Box::new(update)),
    }
}
