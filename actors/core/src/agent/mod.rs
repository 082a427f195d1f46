//! The agent's decisions: registration, executors, tasks, status-update streams.
//! Starts nothing itself: it returns effects.

mod calls;
pub mod container_resources;
mod counters;
mod drain;
mod executor_info;
mod executors;
pub mod fetcher;
pub mod garbage;
pub mod journal;
mod kill;
mod launch;
pub mod messages;
pub mod model;
pub mod nested;
mod operation_state;
mod operations;
pub mod paths;
pub mod recovery;
mod registration;
mod restored;
mod status_updates;
pub mod survivors;
mod timers;
mod updates;
pub mod volumes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use tepui_protocol::journal::Record;
use tepui_protocol::link::{AgentToMaster, Frame};
use tepui_protocol::v1;

pub use counters::Counters;
pub use executor_info::{EXECUTOR_PROGRAM, duration_text};
pub use operations::{MAX_DEFERRED, MAX_REMEMBERED_OPERATIONS, MAX_UNACKNOWLEDGED_OPERATIONS};
pub use status_updates::{MAX_PENDING, RETRY_MAX, RETRY_MIN};

use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId, IdSource};
use crate::time::{Mono, Now, Wall};
use garbage::{Garbage, GarbageSettings};
use journal::{Frameworks, Journal, Restored};
use messages::{ConnectionId, Effect, Input, LinkNumber};
use model::{Drain, Executor, ExecutorState, Framework, Snapshot};
use operation_state::{OperationUuid, Operations};
use recovery::Recovered;
use registration::Link;
use status_updates::{Key, Streams};
use timers::Timers;

/// What an agent is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The agent's description, without an id.
    pub info: v1::AgentInfo,
    /// Id of the host's present boot; none where it cannot be known.
    pub boot_id: Option<String>,
    /// `ip:port` at which executors reach the agent.
    pub address: String,
    /// Address told in the status of containers.
    pub ip: String,
    /// Version of Mesos's interfaces spoken, e.g. `1.12.0`.
    pub version: String,
    /// Directory of sandboxes; absolute.
    pub work_dir: String,
    /// Directory that holds Tepui's executor; absolute.
    pub launcher_dir: String,
    /// Environment given to executors beside Mesos's own variables.
    pub executor_environment: BTreeMap<String, String>,
    /// `LIBPROCESS_IP` of the agent's own environment, handed on to executors.
    pub libprocess_ip: Option<String>,
    /// Whether executors run as their command's or framework's user.
    pub switch_user: bool,
    /// What containers can be asked for.
    pub isolation: Isolation,
    /// Base of the random delay before attempts to reach or register with the master.
    pub registration_backoff_factor: Duration,
    /// Time a launched executor has to subscribe.
    pub executor_registration_timeout: Duration,
    /// Time an executor has to end when told to.
    pub executor_shutdown_grace_period: Duration,
    /// Time executors wait for an agent that is gone.
    pub recovery_timeout: Duration,
    /// Time executors have to come back after a restart of the agent.
    pub executor_reregistration_timeout: Duration,
    /// Finished executors remembered per framework.
    pub max_completed_executors_per_framework: usize,
    /// How long sandboxes are kept; none where there are none on a disk.
    pub garbage: Option<GarbageSettings>,
}

/// What the isolators of an agent can do. What none of them can do is refused rather than ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isolation {
    /// Whether there is the Mesos containerizer, for all that is not of type DOCKER.
    pub mesos: bool,
    /// Whether there is the Docker containerizer, for what is.
    pub docker: bool,
    /// Whether what a container may use is limited, and must follow what its tasks are given.
    pub limits: bool,
    /// Whether `ContainerInfo.rlimit_info` is obeyed.
    pub rlimits: bool,
    /// Whether capabilities in `ContainerInfo.linux_info` are obeyed.
    pub capabilities: bool,
    /// Whether `ipc_mode` and `shm_size` in `ContainerInfo.linux_info` are obeyed.
    pub ipc: bool,
    /// Whether `ContainerInfo.volumes` with a `host_path` are mounted.
    pub host_paths: bool,
    /// Whether `ContainerInfo.volumes` with a source of type `SANDBOX_PATH` are mounted.
    pub sandbox_paths: bool,
    /// Whether `ContainerInfo.mesos.image` is made the root file system.
    pub images: bool,
    /// Whether `ContainerInfo.volumes` with an `image` are mounted.
    pub image_volumes: bool,
}

impl Default for Isolation {
    /// The Mesos containerizer without any isolator.
    fn default() -> Self {
        Isolation {
            mesos: true,
            docker: false,
            limits: false,
            rlimits: false,
            capabilities: false,
            ipc: false,
            host_paths: false,
            sandbox_paths: false,
            images: false,
            image_volumes: false,
        }
    }
}

/// Names of the capabilities an agent announces.
pub const CAPABILITIES: &[&str] = &[
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
];

/// Time between two HEARTBEAT events to an executor.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Life cycle of the agent itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It serves.
    Active,
    /// It ends its executors, passing on their last updates, and then exits.
    Stopping,
    /// It leaves the cluster: frameworks are shut down, and then it exits.
    Leaving,
    /// It has asked to be ended.
    Ended,
}

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Connect,
    Register,
    Silence,
    Resend(Key),
    ResendOperation(OperationUuid),
    Subscribe(ContainerId),
    Shutdown(ContainerId),
    Heartbeat(ConnectionId),
}

/// The agent's state; see [`Agent::handle`].
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    ids: IdSource,
    life: Life,
    link: Link,
    next_link: u64,
    /// Upper bound of the next random delay.
    backoff: Duration,
    ping_timeout: Duration,
    last_heard: Mono,
    agent_id: Option<AgentId>,
    info: Arc<v1::AgentInfo>,
    master: Option<Arc<v1::MasterInfo>>,
    resource_version: Vec<u8>,
    frameworks: OrdMap<FrameworkId, Arc<Framework>>,
    completed_frameworks: Vector<Arc<Framework>>,
    containers: BTreeMap<ContainerId, (FrameworkId, ExecutorId)>,
    connections: BTreeMap<ConnectionId, (FrameworkId, ExecutorId)>,
    streams: Streams<Key, v1::TaskStatus>,
    operations: Operations,
    nested: nested::Nested,
    drain: Option<Drain>,
    timers: Timers<Timer>,
    journal: Journal,
    garbage: Garbage,
    counters: Counters,
    start_time: Wall,
}

impl Agent {
    /// An agent that will try to reach its master after a random delay; `recovered` is what
    /// [`recovery::recover`] made of its checkpoint.
    pub fn new(settings: Settings, mut recovered: Recovered, seed: [u8; 32], now: Now) -> Self {
        let restored = std::mem::take(&mut recovered.restored);
        let mut ids = IdSource::from_seed(seed);
        let resource_version = ids.uuid().as_bytes().to_vec();
        let journal = Journal::new(settings.boot_id.clone());
        let mut agent = Agent {
            info: Arc::new(settings.info.clone()),
            backoff: settings.registration_backoff_factor,
            garbage: Garbage::new(settings.garbage),
            settings,
            ids,
            life: Life::Active,
            link: Link::Down,
            next_link: 0,
            ping_timeout: registration::DEFAULT_PING_TIMEOUT,
            last_heard: now.mono,
            agent_id: None,
            master: None,
            resource_version,
            frameworks: OrdMap::new(),
            completed_frameworks: Vector::new(),
            containers: BTreeMap::new(),
            connections: BTreeMap::new(),
            streams: Streams::default(),
            operations: Operations::new(recovered),
            nested: nested::Nested::default(),
            drain: None,
            timers: Timers::new(),
            journal,
            counters: Counters::default(),
            start_time: now.wall,
        };
        agent.restore(now, restored);
        agent.schedule_connect(now);
        agent
    }

    /// Takes one input and adds what is to be done to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        let before = out.len();
        match input {
            Input::LinkClosed { link } => self.link_closed(now, link),
            Input::FromMaster { link, message } => self.master_said(now, link, *message, out),
            Input::Call {
                call,
                connection,
                reply,
            } => {
                self.executor_call(now, *call, connection, reply, out);
            }
            Input::ContainerCall {
                call,
                connection,
                reply,
            } => self.container_call(*call, connection, reply, out),
            Input::ContainerRemoved { container, result } => {
                self.nested_removed(&container, result, out);
            }
            Input::ConnectionClosed { connection } => {
                self.nested.caller_left(connection, out);
                self.connection_closed(connection);
            }
            Input::Launched { container, result } => match self.nested.get(&container) {
                Some(_) => self.nested_launched(&container, result, out),
                None => self.container_launched(now, &container, result, out),
            },
            Input::Limited {
                container,
                limitation,
            } => match self.nested.get(&container) {
                Some(_) => self.nested_limited(&container, limitation, out),
                None => self.container_limited(&container, limitation, out),
            },
            Input::Exited { container, status } => match self.nested.get(&container) {
                Some(_) => self.nested_exited(&container, status, out),
                None => self.container_exited(now, &container, status, out),
            },
            Input::Checkpointed { result } => self.checkpointed(now, result, out),
            Input::VolumesUpdated { container, result } => {
                self.volumes_updated(&container, result, out);
            }
            Input::SandboxesFound { found } => self.sandboxes_found(now, found),
            Input::SandboxesRemoved { removals } => self.sandboxes_removed(removals),
            Input::DiskUsed { share } => self.disk_is_used(share),
            Input::MasterChanged => self.master_changed(now, out),
            Input::Stop => self.stop(now, out),
            Input::Leave => self.leave(now, "told to leave the cluster", out),
            Input::Tick => {}
        }
        while let Some(timer) = self.timers.pop_due(now.mono) {
            self.fire(now, timer, out);
        }
        self.collect_garbage(now, out);
        self.exit_when_done(out);
        self.end_drain_when_done();
        let admitted = self.agent_id.is_some().then_some(&self.info);
        let frameworks = self.known_frameworks();
        let containers = self.nested.changes();
        let changes = self
            .journal
            .changes(admitted, self.drain, frameworks, containers);
        if !changes.is_empty() {
            // All that follows from this input may be seen only when it is not forgotten.
            out.insert(before, Effect::Record(changes));
        }
    }

    /// Everything that a journal must hold, to replace one that has become long.
    pub fn records(&self) -> Vec<Record> {
        if self.journal.is_closed() {
            return Vec::new();
        }
        let admitted = self.agent_id.is_some().then_some(&self.info);
        let boot_id = self.settings.boot_id.clone();
        let frameworks = self.known_frameworks();
        let containers = self.nested.records();
        journal::all(
            boot_id,
            admitted,
            self.drain,
            frameworks,
            containers,
            &self.streams,
        )
    }

    fn known_frameworks(&self) -> Frameworks {
        Frameworks {
            live: self.frameworks.clone(),
            completed: self.completed_frameworks.clone(),
        }
    }

    /// Takes up what an earlier process was doing; its executors have a while to come back.
    fn restore(&mut self, now: Now, mut restored: Restored) {
        let Some(id) = restored.info.take().and_then(|info| info.id) else {
            return;
        };
        restored.forget_executors(self.settings.max_completed_executors_per_framework);
        for (id, framework) in restored.completed {
            let (framework, _) = framework.into_framework(id);
            self.completed_frameworks.push_back(Arc::new(framework));
        }
        self.agent_id = Some(AgentId::from(&id));
        self.drain = restored.drain;
        Arc::make_mut(&mut self.info).id = Some(id);
        let limit = now.mono + self.settings.executor_reregistration_timeout;
        for (id, framework) in restored.frameworks {
            let (framework, streams) = framework.into_framework(id.clone());
            for (task, stream) in streams {
                self.streams.restore(&(id.clone(), task), stream);
            }
            let executors: Vec<_> = framework.executors.values().cloned().collect();
            self.frameworks.insert(id.clone(), Arc::new(framework));
            for executor in executors {
                if executor.state == ExecutorState::Terminated {
                    if !executor.has_incomplete_tasks() {
                        self.remove_executor(&id, &executor.id);
                    }
                    continue;
                }
                let container = executor.container.clone();
                let timer = Timer::Subscribe(container.clone());
                self.timers.set(timer, limit);
                let key = (id.clone(), executor.id.clone());
                self.containers.insert(container, key);
            }
            self.remove_framework_when_idle(&id);
        }
        let is_there = |id: &ContainerId| {
            let root = id.root();
            id.depth() == 0
                || self.containers.contains_key(&root)
                || restored.containers.contains_key(&root)
        };
        let there = restored.containers.iter().filter(|(id, _)| is_there(id));
        let there = there
            .map(|(id, record)| (id.clone(), record.clone()))
            .collect();
        self.nested.restore(there);
        self.garbage.leave_to_the_disk();
        // The journal that was read is replaced by one of what there is now.
        let frameworks = self.known_frameworks();
        self.journal
            .changes(Some(&self.info), self.drain, frameworks, Vec::new());
    }

    /// When `Tick` is due, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers
            .next()
            .into_iter()
            .chain(self.garbage.next())
            .min()
    }

    /// A consistent view that shares memory with the live state.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            info: self.info.clone(),
            agent_id: self.agent_id.clone(),
            total: self.operations.total().clone(),
            operations: self.operations.ended.clone(),
            start_time: self.start_time,
            master: self.master.clone(),
            drain: self.drain,
            registered: matches!(self.link, Link::Registered { .. }),
            frameworks: self.frameworks.clone(),
            completed_frameworks: self.completed_frameworks.clone(),
            containers: self.nested.all().clone(),
            counters: self.counters.clone(),
            garbage: self.garbage.figures(),
        }
    }

    fn fire(&mut self, now: Now, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Connect => self.connect(now, out),
            Timer::Register => self.register(now, out),
            Timer::Silence => self.silence(now, out),
            Timer::Resend(key) => self.forward(now, &key, out),
            Timer::ResendOperation(uuid) => self.forward_operation(now, uuid, out),
            Timer::Subscribe(container) => self.subscribe_overdue(&container, out),
            Timer::Shutdown(container) => out.push(Effect::Kill(container)),
            Timer::Heartbeat(connection) => self.heartbeat(now, connection, out),
        }
    }

    /// Sends on the link if the master knows this agent by now, else drops the message.
    fn tell_master(&self, message: AgentToMaster, out: &mut Vec<Effect>) {
        if let Link::Registered { link, epoch } = self.link {
            out.push(Effect::ToMaster(
                link,
                Box::new(Frame {
                    epoch,
                    body: message,
                }),
            ));
        }
    }

    fn framework_mut(&mut self, id: &FrameworkId) -> Option<&mut Framework> {
        self.frameworks.get_mut(id).map(Arc::make_mut)
    }

    fn executor_mut(&mut self, id: &FrameworkId, executor: &ExecutorId) -> Option<&mut Executor> {
        self.framework_mut(id)?
            .executors
            .get_mut(executor)
            .map(Arc::make_mut)
    }

    fn executor(&self, id: &FrameworkId, executor: &ExecutorId) -> Option<&Arc<Executor>> {
        self.frameworks.get(id)?.executors.get(executor)
    }

    /// Whether every container outlives the agent.
    fn all_can_stay(&self) -> bool {
        let mut owners = self.containers.values();
        owners.all(|(framework, _)| self.is_recorded(framework))
    }

    fn exit_when_done(&mut self, out: &mut Vec<Effect>) {
        let reason = match self.life {
            Life::Active | Life::Ended => return,
            Life::Stopping if self.all_can_stay() => "stopped",
            Life::Leaving if self.containers.is_empty() && !self.nested.any_runs() => {
                "left the cluster"
            }
            Life::Stopping | Life::Leaving => return,
        };
        self.life = Life::Ended;
        out.push(Effect::Exit(reason.to_owned()));
    }
}

/// The number of a link, for the next attempt.
fn next_link(counter: &mut u64) -> LinkNumber {
    *counter += 1;
    LinkNumber(*counter)
}
