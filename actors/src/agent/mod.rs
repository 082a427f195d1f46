//! The agent's skin: processes, sandboxes, sockets and timers around `tepui_core::agent`.
//! Takes no decision of its own.

mod actor;
mod checkpoint;
pub mod config;
mod containerizer;
mod detect;
mod fetcher;
mod files;
mod garbage;
mod http;
mod images;
mod inner_sandbox;
mod journal;
mod launcher;
mod link;
mod logger;
mod no_links;
mod process_tree;
mod processes;
mod sandbox;
mod state;
mod usage;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use actix::{Actor, Addr};
use actix_web::dev::ServerHandle;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tepui_core::agent::journal::Restored;
use tepui_core::agent::recovery::{Resumed, resume};
use tepui_core::agent::survivors::{self, Found};
use tepui_core::agent::{Agent, Isolation, Settings, messages::Input};
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;
use tokio::sync::{oneshot, watch};

use tepui_core::resources::attributes::parse_attributes;

use crate::advertise;
use crate::clock::Clock;
use crate::election::{Finder, Leader};
use crate::http::body::Memory;
use crate::http::serve;
use crate::http::version::MESOS_VERSION;
use actor::{AgentActor, Survived, Tell};
pub use checkpoint::RecoverError;
use config::{AgentConfig, Recover};
use containerizer::Containerizers;
pub use containerizer::ExecutorMain;
use containerizer::config::ImageGc;
use fetcher::Fetcher;
use journal::Journal;
use launcher::Launcher;
use usage::Usage;

/// Does the work of a helper if this process was started as one, and gives the status to end with:
/// the agent starts its own program again to isolate a container, or to rotate its logs. The
/// agent's program calls this before all else.
///
/// In the root file system of an image, a helper becomes the agent's own `executor`.
pub fn run_as_helper(executor: ExecutorMain) -> Option<ExitCode> {
    containerizer::helper::run_as_helper(executor).or_else(logger::rotate::run_as_rotator)
}

/// The file, below the work directory, that is locked while an agent uses it.
const LOCK: &str = "meta/agent.lock";

/// Why an agent could not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A directory could not be made or found.
    #[error("cannot use {0}: {1}")]
    Directory(PathBuf, std::io::Error),
    /// The address could not be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// `--resources` cannot be read.
    #[error("cannot read --resources: {0}")]
    Resources(String),
    /// `--attributes` cannot be read.
    #[error("cannot read --attributes: {0}")]
    Attributes(String),
    /// `--isolation`, `--launcher` or what they need is not right.
    #[error("cannot isolate containers: {0}")]
    Isolation(String),
    /// Another agent uses the work directory.
    #[error("another agent uses the work directory {0} ({1}); give each agent one of its own")]
    InUse(PathBuf, Errno),
    /// The journal can neither be read nor written.
    #[error("cannot use the journal {0}: {1}")]
    Journal(PathBuf, std::io::Error),
    /// The agent is not what it was.
    #[error(
        "this agent has run before with other settings, and may not go on with these ({why}): give \
         it the settings it had, or --reconfiguration_policy=additive if it has more of something \
         now, or end what it left with --recover=cleanup, or remove {journal} to start as a new \
         agent, which ends all that is left"
    )]
    Incompatible {
        /// What differs.
        why: String,
        /// The journal.
        journal: PathBuf,
    },
    /// Reservations and volumes of an earlier run cannot be taken over.
    #[error(transparent)]
    Checkpoint(#[from] RecoverError),
    /// The cache of the fetcher cannot be emptied.
    #[error("cannot use --fetcher_cache_dir: {0}")]
    Fetcher(std::io::Error),
    /// It had to end.
    #[error("{0}")]
    Fatal(String),
    /// The operating system refused something else.
    #[error("cannot start the agent: {0}")]
    System(#[from] std::io::Error),
}

/// A running agent.
pub struct AgentHandle {
    address: SocketAddr,
    actor: Addr<AgentActor>,
    server: ServerHandle,
    ended: oneshot::Receiver<Result<String, String>>,
    /// Held as long as the agent lives.
    _lock: Flock<File>,
}

impl AgentHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the agent, after those executors that cannot outlive it; what belongs to frameworks
    /// that ask for checkpoints goes on, and the next run takes it up.
    pub fn stop(&self) {
        self.actor.do_send(Tell(Input::Stop));
    }

    /// Leaves the cluster for good, ending every executor, and then the agent.
    pub fn leave(&self) {
        self.actor.do_send(Tell(Input::Leave));
    }

    /// Waits until the agent has ended, and says why it did.
    ///
    /// # Errors
    /// When it could not go on.
    pub async fn ended(&mut self) -> Result<String, RunError> {
        let reason = (&mut self.ended).await;
        self.close(reason).await
    }

    async fn close(
        &self,
        reason: Result<Result<String, String>, oneshot::error::RecvError>,
    ) -> Result<String, RunError> {
        self.server.stop(false).await;
        reason
            .unwrap_or_else(|_| Err("the agent's actor has died".to_owned()))
            .map_err(RunError::Fatal)
    }

    /// Serves until the agent ends; SIGTERM and SIGINT stop it, SIGUSR1 makes it leave.
    ///
    /// # Errors
    /// When signals cannot be listened for, and as [`Self::ended`].
    pub async fn run_until_signal(mut self) -> Result<String, RunError> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut leave = signal(SignalKind::user_defined1())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => self.stop(),
                _ = interrupt.recv() => self.stop(),
                _ = leave.recv() => self.leave(),
                reason = &mut self.ended => return self.close(reason).await,
            }
        }
    }
}

/// Runs an agent until it ends, on a new actix system; see [`AgentHandle::run_until_signal`].
/// `announce` is told where it listens.
///
/// # Errors
/// As [`run`] and [`AgentHandle::run_until_signal`].
pub fn run_in_foreground(
    config: AgentConfig,
    announce: impl FnOnce(SocketAddr),
) -> Result<String, RunError> {
    actix::System::new().block_on(async {
        let agent = run(config).await?;
        announce(agent.address());
        let reason = agent.run_until_signal().await?;
        tracing::info!(reason, "agent ended");
        Ok(reason)
    })
}

/// Starts an agent; must be called within an actix system.
///
/// # Errors
/// When the work directory, the address, the resources, the attributes or the checkpoint of an
/// earlier run cannot be used.
pub async fn run(config: AgentConfig) -> Result<AgentHandle, RunError> {
    let clock = Clock::start();
    let begun = clock.now().mono;
    let work_dir = directory(&config.work_dir)?;
    let lock = lock(&work_dir)?;
    let journal_failed = |error| RunError::Journal(journal::path(&work_dir), error);
    let restored = journal::recover(&work_dir).map_err(journal_failed)?;
    let listener = listen(&config, &restored)?;
    let address = listener.local_addr()?;
    let told = advertise::address(address, &config.hostname);
    let fetching = config.fetcher(&work_dir);
    let containerizer = Containerizers::open(&config.containerizer, &work_dir, &fetching.program);
    let containerizer = Arc::new(containerizer.map_err(RunError::Isolation)?);
    let mut settings = settings(&config, &work_dir, told)?;
    settings.isolation = containerizer.abilities();
    let recovered = checkpoint::recover(&work_dir, &settings.info.resources)?;
    let (restored, left) = take_over(&config, &settings, restored, &work_dir, &containerizer)?;
    say_what_is_left(&restored, &left);
    left.orphans
        .iter()
        .for_each(|leader| process_tree::kill_group(*leader));
    let exits = exits(&restored, &left, &containerizer);
    let running = left.running.keys().cloned().collect();
    containerizer.destroy_others(&running).await;
    let directories = directories(&restored);
    tracing::info!(%address, resources = %shown(&settings.info), "agent started");

    let (ended, has_ended) = oneshot::channel();
    let core = Agent::new(settings, recovered.with(restored), seed()?, clock.now());
    let journal = Journal::start(&work_dir, &core.records()).map_err(journal_failed)?;
    let finder = Finder::start(&config.master, config.zk_session_timeout);
    let leader = finder.leader();
    let fetcher = Fetcher::start(fetching).map_err(RunError::Fetcher)?;
    let fetches = fetcher.figures();
    let launcher = Launcher::start(&config, &work_dir, fetcher, containerizer.clone())?;
    let agent = AgentActor::new(core, clock, finder, &work_dir, journal, launcher, ended)?;
    let snapshot = agent.published();
    let actor = agent.start();
    take_up(&actor, left.running, exits, &directories, config.recover);
    let recovery = clock.now().mono.since(begun);
    attend(&config, &work_dir, leader, &actor, &containerizer);
    let server = http::serve(
        listener,
        http::Shared {
            actor: actor.clone(),
            snapshot,
            usage: Arc::new(Usage::of(containerizer.clone())),
            containerizer,
            images: image_gc(&config),
            next: Arc::default(),
            flags: Arc::new(config.flags.clone()),
            address,
            work_dir: Arc::from(work_dir.as_path()),
            clock,
            memory: Memory::default(),
            fetches,
            recovery,
        },
    )?;
    let handle = server.handle();
    actix::spawn(server);
    Ok(AgentHandle {
        address,
        actor,
        server: handle,
        ended: has_ended,
        _lock: lock,
    })
}

/// Has the agent told what it must hear of by itself, and its disk looked after.
fn attend(
    config: &AgentConfig,
    work_dir: &Path,
    leader: Option<watch::Receiver<Option<Leader>>>,
    actor: &Addr<AgentActor>,
    containerizer: &Arc<Containerizers>,
) {
    if let Some(gc) = image_gc(config) {
        actix::spawn(images::watch(gc, containerizer.clone()));
    }
    let (work_dir, interval) = (work_dir.to_owned(), config.disk_watch_interval);
    actix::spawn(garbage::watch_disk(work_dir, interval, actor.clone()));
    if let Some(leader) = leader {
        actix::spawn(follow(leader, actor.clone()));
    }
}

/// When images go, and which stay.
fn image_gc(config: &AgentConfig) -> Option<ImageGc> {
    config.containerizer.images.as_ref()?.gc.clone()
}

/// Takes the address. Where any free port will do, an agent that was there before takes the one it
/// had: executors look for it there.
fn listen(config: &AgentConfig, restored: &Restored) -> Result<TcpListener, RunError> {
    let before = restored.info().and_then(|info| info.port);
    let before = before.and_then(|port| u16::try_from(port).ok());
    let port = match (config.port, before) {
        (0, Some(before)) => before,
        (port, _) => port,
    };
    let address = SocketAddr::new(config.ip, port);
    serve::bind(address).map_err(|error| RunError::Listen(address, error))
}

/// Sees to it that no other agent uses the work directory: it would end this one's tasks as
/// nobody's.
fn lock(work_dir: &Path) -> Result<Flock<File>, RunError> {
    let path = work_dir.join(LOCK);
    let open = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
    };
    let file = open().map_err(|error| RunError::Directory(path.clone(), error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| RunError::InUse(work_dir.to_owned(), error))
}

/// Finds out what is left of an earlier run, which this agent goes on with if it may.
fn take_over(
    config: &AgentConfig,
    settings: &Settings,
    restored: Restored,
    work_dir: &Path,
    containerizer: &Containerizers,
) -> Result<(Restored, Found), RunError> {
    let policy = match config.recover {
        Recover::Reconnect => Some(config.reconfiguration_policy),
        Recover::Cleanup => None,
    };
    let refused = |why| RunError::Incompatible {
        why,
        journal: journal::path(work_dir),
    };
    Ok(match resume(restored, settings, policy).map_err(refused)? {
        Resumed::GoesOn(restored) => {
            let left = containerizer.find(work_dir, &restored.survivors());
            (restored, left)
        }
        Resumed::AfterReboot(restored) => {
            tracing::info!("the host was started anew since the agent ran last");
            let left = survivors::sort(&[], &restored.survivors());
            (restored, left)
        }
        Resumed::Dropped(why) => {
            tracing::warn!(
                why,
                "the host was started anew, and the agent is not what it was: it drops its id and \
                 registers as a new agent"
            );
            (Restored::default(), Found::default())
        }
    })
}

/// The id of the host's present boot.
fn boot_id(file: &Path) -> Option<String> {
    let read = std::fs::read_to_string(file).and_then(|text| match text.trim() {
        "" => Err(std::io::ErrorKind::InvalidData.into()),
        id => Ok(id.to_owned()),
    });
    let told = read.inspect_err(|error| {
        tracing::warn!(
            file = %file.display(), %error,
            "cannot read the boot id: a new start of the host will not be noticed"
        );
    });
    told.ok()
}

fn say_what_is_left(restored: &Restored, left: &Found) {
    if let Some(id) = restored.info().and_then(|info| info.id.as_ref()) {
        tracing::info!(
            agent = id.value,
            tasks = restored.tasks(),
            executors = left.running.len(),
            ended = left.ended.len(),
            "recovered what an earlier run has left"
        );
    }
    if !left.orphans.is_empty() {
        let groups = left.orphans.len();
        tracing::warn!(groups, "killing processes that belong to no task");
    }
}

/// What has ended meanwhile, and how, where that was written down.
fn exits(
    restored: &Restored,
    left: &Found,
    containerizer: &Containerizers,
) -> Vec<(ContainerId, Option<i32>)> {
    let statuses = containerizer.statuses();
    statuses.keep(&restored.called().cloned().collect());
    let ended = left.ended.iter();
    ended.map(|id| (id.clone(), statuses.read(id))).collect()
}

/// The sandboxes of containers that may have outlived an earlier run, and whether they are of type
/// DOCKER.
fn directories(restored: &Restored) -> BTreeMap<ContainerId, (String, bool)> {
    let known = restored.survivors().into_iter();
    known
        .map(|it| (it.container, (it.directory, it.is_docker)))
        .collect()
}

/// Tells the agent which containers have outlived its earlier run, before anybody else can.
fn take_up(
    actor: &Addr<AgentActor>,
    running: BTreeMap<ContainerId, u32>,
    ended: Vec<(ContainerId, Option<i32>)>,
    directories: &BTreeMap<ContainerId, (String, bool)>,
    recover: Recover,
) {
    for (container, pid) in running {
        let known = directories.get(&container).cloned();
        let (directory, is_docker) = known.unwrap_or_default();
        actor.do_send(Survived {
            container,
            directory,
            is_docker,
            pid,
        });
    }
    for (container, status) in ended {
        actor.do_send(Tell(Input::Exited { container, status }));
    }
    if recover == Recover::Cleanup {
        actor.do_send(Tell(Input::Leave));
    }
}

/// Tells the agent of every master that begins to lead, until the detector ends with the agent.
async fn follow(mut leader: watch::Receiver<Option<Leader>>, actor: Addr<AgentActor>) {
    let mut known = None;
    while leader.changed().await.is_ok() {
        let sequence = leader.borrow_and_update().as_ref().map(|it| it.sequence);
        // While nobody leads, a link that still holds is of no harm.
        if sequence.is_some() && sequence != known {
            known = sequence;
            actor.do_send(Tell(Input::MasterChanged));
        }
    }
}

fn settings(
    config: &AgentConfig,
    work_dir: &Path,
    address: SocketAddr,
) -> Result<Settings, RunError> {
    let resources = detect::resources(config.resources.as_deref(), &config.default_role, work_dir)
        .map_err(RunError::Resources)?;
    let attributes = parse_attributes(config.attributes.as_deref().unwrap_or_default())
        .map_err(|error| RunError::Attributes(error.to_string()))?;
    // A default directory need not exist until a command or a group is launched.
    let launcher_dir = match std::path::absolute(&config.launcher_dir) {
        Ok(path) => path,
        Err(error) => return Err(RunError::Directory(config.launcher_dir.clone(), error)),
    };
    Ok(Settings {
        info: v1::AgentInfo {
            hostname: config.hostname.clone(),
            resources,
            attributes,
            port: Some(i32::from(address.port())),
            domain: config.domain.clone(),
            ..v1::AgentInfo::default()
        },
        boot_id: boot_id(&config.boot_id_file),
        address: address.to_string(),
        ip: address.ip().to_string(),
        version: MESOS_VERSION.to_owned(),
        work_dir: work_dir.to_string_lossy().into_owned(),
        launcher_dir: launcher_dir.to_string_lossy().into_owned(),
        executor_environment: config
            .executor_environment_variables
            .clone()
            .unwrap_or_default(),
        libprocess_ip: std::env::var("LIBPROCESS_IP").ok(),
        switch_user: config.switch_user,
        isolation: Isolation::default(),
        registration_backoff_factor: config.registration_backoff_factor,
        executor_registration_timeout: config.executor_registration_timeout,
        executor_shutdown_grace_period: config.executor_shutdown_grace_period,
        recovery_timeout: config.recovery_timeout,
        executor_reregistration_timeout: config.executor_reregistration_timeout,
        max_completed_executors_per_framework: config.max_completed_executors_per_framework,
        garbage: Some(config.garbage),
    })
}

/// Makes a directory if need be, and gives its real path.
fn directory(path: &Path) -> Result<PathBuf, RunError> {
    std::fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|error| RunError::Directory(path.to_owned(), error))
}

/// A seed for random ids, from the operating system.
fn seed() -> std::io::Result<[u8; 32]> {
    use std::io::Read;
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

fn shown(info: &v1::AgentInfo) -> String {
    tepui_core::resources::Resources::from_v1(&info.resources)
        .map_or_else(|error| error.to_string(), |resources| resources.to_string())
}
