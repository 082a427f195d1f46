//! Starts and ends a master: its actors, each on a thread of its own, and its HTTP server.
//! Reads no flags; whoever starts it passes the settings.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tepui_core::ids::IdSource;
use tepui_core::master::model::Snapshot;
use tepui_core::time::Wall;
use tepui_protocol::v1;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::actor::Parts;
use super::config::{MasterConfig, RegistryStore};
use super::cores::{self, Cores};
use super::server;
use super::standby::{Elected, Waiting};
use super::subscribers::{Subscribers, fan_out};
use super::whitelist::{Whitelist, WhitelistWatcher};
use super::{MasterActor, MasterMailbox, ToMaster};
use crate::advertise;
use crate::allocator::AllocatorActor;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::http::body::Memory;
use crate::http::master::{Face, MAX_CALLS_IN_FLIGHT, OperatorShared};
use crate::http::shared::SharedAnswers;
use crate::http::version::MESOS_VERSION;
use crate::metrics::master::MasterMetrics;
use crate::registrar::store::{File, InMemory, Store};
use crate::registrar::zk::{Limits, ZkStore};
use crate::registrar::{OpenError, Opened, Registrar};
use crate::signals;
use crate::{open_files, random};

/// Why a master did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The registry is kept in a file, but no directory was given.
    #[error("--registry=file needs --work_dir, the directory that holds the registry")]
    NoWorkDir,
    /// The registry is kept in ZooKeeper, but no masters meet there.
    #[error("--registry=zk needs --zk, where the masters meet")]
    NoZooKeeper,
    /// The registry cannot be read.
    #[error("cannot read the registry: {0}")]
    Registry(#[from] OpenError),
    /// The system gives no more threads or files.
    #[error("cannot start the master: {0}")]
    System(#[from] std::io::Error),
    /// Something without which the master cannot go on has failed.
    #[error("master ended: {0}")]
    Fatal(String),
}

/// Ends the whole master. The first reason counts.
#[derive(Clone)]
pub struct Ending(Arc<Mutex<Option<oneshot::Sender<String>>>>);

impl Ending {
    pub(super) fn new() -> (Ending, oneshot::Receiver<String>) {
        let (sender, receiver) = oneshot::channel();
        (Ending(Arc::new(Mutex::new(Some(sender)))), receiver)
    }

    /// Ends the master because of a failure.
    pub fn fatal(&self, reason: String) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        tracing::error!(reason, "master must end");
        if let Some(sender) = sender {
            // Fails only when the master is ending already.
            let _ = sender.send(reason);
        }
    }
}

/// A master that runs on threads of its own.
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// Where it listens; the real port when the settings said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits until it has ended.
    ///
    /// # Errors
    /// When it had failed before.
    pub fn stop(mut self) -> Result<(), RunError> {
        if let Some(stop) = self.stop.take() {
            // Fails only when it has ended by itself.
            let _ = stop.send(());
        }
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Why it ended.
    pub fn wait(self) -> Result<(), RunError> {
        // Kept alive while waiting: dropping it would end the master.
        let _stop = self.stop;
        join(self.thread)
    }
}

/// Starts a master on threads of its own, and returns once it listens.
///
/// # Errors
/// When it cannot start.
pub fn run(config: MasterConfig) -> Result<Running, RunError> {
    let (stop, stopped) = oneshot::channel();
    let (ready, started) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("master-main".to_owned())
        .spawn(move || {
            // An error means that the handle was dropped, which ends the master too.
            let stopped = async move { stopped.await.unwrap_or_default() };
            serve(config, stopped, move |address| {
                let _ = ready.send(address);
            })
        })?;
    match started.recv() {
        Ok(address) => Ok(Running {
            address,
            stop: Some(stop),
            thread,
        }),
        // It ended before it listened.
        Err(_) => match join(thread) {
            Ok(()) => Err(RunError::Fatal("master ended at start".to_owned())),
            Err(error) => Err(error),
        },
    }
}

fn join(thread: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    thread
        .join()
        .unwrap_or_else(|_| Err(RunError::Fatal("master panicked".to_owned())))
}

/// Runs a master on this thread until SIGTERM, SIGINT or a failure; `listening` is told where it
/// listens.
///
/// # Errors
/// When it cannot start or go on.
pub fn run_in_foreground(
    config: MasterConfig,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), RunError> {
    serve(config, signals::terminated(), listening)
}

fn serve(
    config: MasterConfig,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), RunError> {
    open_files::allow_many();
    let system = System::new();
    let result = system.block_on(serve_on_system(config, stop, listening));
    System::current().stop();
    system.run()?;
    result
}

async fn serve_on_system(
    config: MasterConfig,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), RunError> {
    let clock = Clock::start();
    let listener = server::bind(SocketAddr::new(config.ip, config.port))?;
    let address = listener.local_addr()?;
    let mut ids = IdSource::from_seed(random::seed());
    let told = advertise::address(address, &config.hostname);
    let process = Process {
        info: Arc::new(master_info(&config, told, &mut ids)),
        config: Arc::new(config),
        address,
        clock,
        started: clock.now().wall,
    };
    let mut listening = Some(listening);
    let mut stop = std::pin::pin!(stop);
    let elected = match &process.config.zk {
        None => None,
        Some(zk) => {
            say_listening(&mut listening, address);
            match process
                .waiting()
                .until_elected(zk, &listener, &mut stop)
                .await?
            {
                Some(elected) => Some(elected),
                None => return Ok(()),
            }
        }
    };
    let (ending, ended) = Ending::new();
    let (actors, face) = process.lead(elected.as_ref(), ids, ending).await?;
    let http = server::start(listener, face)?;
    say_listening(&mut listening, address);

    let result = tokio::select! {
        () = stop => Ok(()),
        reason = ended => Err(RunError::Fatal(reason.unwrap_or_default())),
        reason = deposed(elected.as_ref()) => Err(RunError::Fatal(reason)),
    };
    // Streams and links end first, so that the server need not wait for them.
    actors.master.send(ToMaster::Stop);
    // Whoever was deposed has nothing left to say.
    http.stop(result.is_ok()).await;
    actors.stop().await;
    if let (Ok(()), Some(elected)) = (&result, elected) {
        // Another one may lead at once.
        elected.election.withdraw().await;
    }
    result
}

/// What stays the same from the start to the end of a master, whether it leads or not.
struct Process {
    config: Arc<MasterConfig>,
    info: Arc<v1::MasterInfo>,
    address: SocketAddr,
    clock: Clock,
    started: Wall,
}

impl Process {
    fn waiting(&self) -> Waiting<'_> {
        Waiting {
            config: &self.config,
            info: &self.info,
            clock: self.clock,
            metrics: MasterMetrics::new(Duration::ZERO),
        }
    }

    /// Reads the registry and starts the actors; gives them, and what HTTP workers share.
    async fn lead(
        self,
        elected: Option<&Elected>,
        ids: IdSource,
        ending: Ending,
    ) -> Result<(Actors, Face), RunError> {
        let (config, clock) = (self.config, self.clock);
        let asked = clock.now().mono;
        let opened = open_registry(&config, elected).await?;
        let metrics = Arc::new(MasterMetrics::new(clock.now().mono.since(asked)));
        let info = v1::MasterInfo::clone(&self.info);
        let mut cores = cores::make(&config, info, random::seed(), self.started, clock.now());
        let mut whitelist = config.whitelist.clone().map(Whitelist::new);
        // Read before any agent can be offered.
        if let Some(command) = whitelist.as_mut().and_then(Whitelist::read) {
            cores.allocator.apply(clock.now(), command);
        }
        let snapshot = Arc::new(ArcSwap::from_pointee(cores.master.snapshot()));
        let limit = config.max_operator_event_stream_subscribers;
        let (subscribers, orders) = Subscribers::new(limit, metrics.subscribers.clone());
        // This thread has nothing else to do.
        actix_web::rt::spawn(fan_out(orders));
        let setup = Setup {
            config: config.clone(),
            clock,
            opened,
            cores,
            whitelist,
            subscribers,
            ending,
            metrics: metrics.clone(),
        };
        let actors = setup.start(snapshot.clone())?;
        let face = Face {
            config,
            info: self.info,
            address: self.address,
            snapshot,
            master: actors.master.clone(),
            allocator: actors.allocator.clone(),
            metrics,
            clock,
            ids: Mutex::new(ids),
            next_link: AtomicU64::new(1),
            memory: Memory::default(),
            calls: Arc::new(Semaphore::new(MAX_CALLS_IN_FLIGHT)),
            state: SharedAnswers::default(),
            summary: SharedAnswers::default(),
            slaves: SharedAnswers::default(),
            frameworks: SharedAnswers::default(),
            operator: OperatorShared::default(),
        };
        Ok((actors, face))
    }
}

/// Tells once where the master listens.
fn say_listening(listening: &mut Option<impl FnOnce(SocketAddr)>, address: SocketAddr) {
    if let Some(listening) = listening.take() {
        tracing::info!(%address, "master listening");
        listening(address);
    }
}

/// Waits until a master that was elected must lead no more; for ever where nobody is elected.
async fn deposed(elected: Option<&Elected>) -> String {
    match elected {
        Some(elected) => elected.deposed().await,
        None => std::future::pending().await,
    }
}

async fn open_registry(
    config: &MasterConfig,
    elected: Option<&Elected>,
) -> Result<Opened, RunError> {
    let store: Box<dyn Store> = match (&config.registry, &config.work_dir, elected) {
        (RegistryStore::InMemory, ..) => Box::new(InMemory),
        (RegistryStore::File, Some(work_dir), _) => open_file(work_dir)?,
        (RegistryStore::File, None, _) => return Err(RunError::NoWorkDir),
        (RegistryStore::ZooKeeper, _, Some(elected)) => Box::new(ZkStore::new(
            elected.session.clone(),
            Handle::current(),
            elected.epoch,
            Limits {
                load: config.registry_fetch_timeout,
                write: config.registry_store_timeout,
            },
        )),
        (RegistryStore::ZooKeeper, _, None) => return Err(RunError::NoZooKeeper),
    };
    // Reading may block, and the session needs this thread meanwhile.
    let opened = actix_web::rt::task::spawn_blocking(move || Opened::read(store));
    opened
        .await
        .map_err(|error| RunError::Fatal(error.to_string()))?
        .map_err(RunError::from)
}

fn open_file(work_dir: &Path) -> Result<Box<dyn Store>, RunError> {
    let file = File::open(work_dir).map_err(OpenError::Store)?;
    Ok(Box::new(file))
}

/// The master as it presents itself to agents, frameworks and readers.
fn master_info(config: &MasterConfig, address: SocketAddr, ids: &mut IdSource) -> v1::MasterInfo {
    use v1::master_info::capability::Type;
    let ip = match address.ip() {
        // The number Mesos writes is the address in network byte order, read as little endian.
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    };
    let port = u32::from(address.port());
    let capability = |kind: Type| v1::master_info::Capability {
        r#type: Some(kind.into()),
    };
    v1::MasterInfo {
        id: ids.uuid().to_string(),
        ip,
        port,
        pid: Some(format!("master@{address}")),
        hostname: Some(config.hostname.clone()),
        version: Some(MESOS_VERSION.to_owned()),
        address: Some(v1::Address {
            hostname: Some(config.hostname.clone()),
            ip: Some(address.ip().to_string()),
            port: i32::from(address.port()),
        }),
        domain: config.domain.clone(),
        capabilities: [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2]
            .map(capability)
            .into(),
    }
}

/// What the actors are made of.
struct Setup {
    config: Arc<MasterConfig>,
    clock: Clock,
    opened: Opened,
    cores: Cores,
    whitelist: Option<Whitelist>,
    subscribers: Subscribers,
    ending: Ending,
    metrics: Arc<MasterMetrics>,
}

/// The running actors.
struct Actors {
    master: MasterMailbox,
    allocator: Addr<AllocatorActor>,
    threads: [Arbiter; 3],
}

impl Setup {
    /// Starts the actors, each on its thread. The master's starts the two others, since each
    /// must know the other.
    fn start(self, snapshot: Arc<ArcSwap<Snapshot>>) -> Result<Actors, RunError> {
        let threads = [
            Arbiter::try_new()?,
            Arbiter::try_new()?,
            Arbiter::try_new()?,
        ];
        let [master_thread, allocator_thread, registrar_thread] =
            threads.each_ref().map(Arbiter::handle);
        let queue = self.metrics.queue.clone();
        let (started, allocator) = std::sync::mpsc::channel();
        let master = MasterActor::start_in_arbiter(&master_thread, move |ctx| {
            let Setup {
                config,
                clock,
                opened,
                cores,
                whitelist,
                subscribers,
                ending,
                metrics,
            } = self;
            let mailbox = MasterMailbox::new(ctx.address().recipient(), metrics.queue.clone());
            let to_master = mailbox.clone();
            let allocator_metrics = metrics.allocator.clone();
            let interval = config.allocation_interval;
            let allocator = AllocatorActor::start_in_arbiter(&allocator_thread, move |_| {
                AllocatorActor::new(
                    cores.allocator,
                    clock,
                    interval,
                    to_master,
                    allocator_metrics,
                )
            });
            if let Some(whitelist) = whitelist {
                let (told, metrics) = (allocator.clone().recipient(), metrics.allocator.clone());
                WhitelistWatcher::start_in_arbiter(&allocator_thread, move |_| {
                    WhitelistWatcher::new(whitelist, told, metrics)
                });
            }
            // Fails only when nobody waits for it any more.
            let _ = started.send(allocator.clone());
            let registrar_metrics = metrics.registrar.clone();
            let registrar = Registrar::start_in_arbiter(&registrar_thread, move |_| {
                Registrar::new(opened, mailbox, clock, registrar_metrics)
            });
            MasterActor::new(Parts {
                core: cores.master,
                clock,
                directory: Arc::new(Directory::default()),
                snapshot,
                queue: metrics.queue.clone(),
                allocator: allocator.recipient(),
                allocator_metrics: metrics.allocator.clone(),
                registrar: registrar.recipient(),
                subscribers,
                ending,
            })
        });
        let allocator = allocator
            .recv()
            .map_err(|_| RunError::Fatal("the master's thread did not start".to_owned()))?;
        Ok(Actors {
            master: MasterMailbox::new(master.recipient(), queue),
            allocator,
            threads,
        })
    }
}

impl Actors {
    /// Ends the threads; a write of the registry that has begun is finished first. This thread goes
    /// on meanwhile: to be finished, or given up, a write to ZooKeeper needs the session it keeps.
    async fn stop(self) {
        for thread in &self.threads {
            thread.stop();
        }
        let join = move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("an actor's thread panicked");
                }
            }
        };
        if let Err(error) = actix_web::rt::task::spawn_blocking(join).await {
            tracing::error!(%error, "cannot wait for the actors' threads");
        }
    }
}
