//! The agent's skin: processes, sandboxes, sockets and timers around `tepui_core::agent`.
//! Takes no decision of its own.

mod actor;
mod checkpoint;
pub mod config;
mod detect;
mod files;
mod http;
mod launcher;
mod link;
mod process_tree;
mod sandbox;
mod state;
mod volumes;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix::{Actor, Addr};
use actix_web::dev::ServerHandle;
use tepui_core::agent::{Agent, Settings, messages::Input};
use tepui_protocol::v1;
use tokio::sync::oneshot;

use tepui_core::resources::attributes::parse_attributes;

use crate::advertise;
use crate::clock::Clock;
use crate::http::body::Memory;
use crate::http::version::MESOS_VERSION;
use actor::{AgentActor, Tell};
pub use checkpoint::RecoverError;
use config::AgentConfig;

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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
    /// Reservations and volumes of an earlier run cannot be taken over.
    #[error(transparent)]
    Checkpoint(#[from] RecoverError),
    /// The operating system refused something else.
    #[error("cannot start the agent: {0}")]
    System(#[from] std::io::Error),
}

/// A running agent.
pub struct AgentHandle {
    address: SocketAddr,
    actor: Addr<AgentActor>,
    server: ServerHandle,
    ended: oneshot::Receiver<String>,
}

impl AgentHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends its executors within their grace periods, and then the agent.
    pub fn stop(&self) {
        self.actor.do_send(Tell(Input::Stop));
    }

    /// Leaves the cluster for good, ending every executor, and then the agent.
    pub fn leave(&self) {
        self.actor.do_send(Tell(Input::Leave));
    }

    /// Waits until the agent has ended, and says why it did.
    pub async fn ended(&mut self) -> String {
        let reason = (&mut self.ended).await;
        self.server.stop(false).await;
        reason.unwrap_or_else(|_| "the agent's actor has died".to_owned())
    }

    /// Serves until the agent ends; SIGTERM and SIGINT stop it, SIGUSR1 makes it leave.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub async fn run_until_signal(mut self) -> std::io::Result<String> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut leave = signal(SignalKind::user_defined1())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => self.stop(),
                _ = interrupt.recv() => self.stop(),
                _ = leave.recv() => self.leave(),
                reason = &mut self.ended => {
                    self.server.stop(false).await;
                    return Ok(reason.unwrap_or_else(|_| "the agent's actor has died".to_owned()));
                }
            }
        }
    }
}

/// Runs an agent until it ends, on a new actix system; see [`AgentHandle::run_until_signal`].
/// `announce` is told where it listens.
///
/// # Errors
/// As [`run`].
pub fn run_in_foreground(
    config: AgentConfig,
    announce: impl FnOnce(SocketAddr),
) -> Result<String, StartError> {
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
pub async fn run(config: AgentConfig) -> Result<AgentHandle, StartError> {
    let work_dir = directory(&config.work_dir)?;
    let listen = SocketAddr::new(config.ip, config.port);
    let listener =
        std::net::TcpListener::bind(listen).map_err(|error| StartError::Listen(listen, error))?;
    let address = listener.local_addr()?;
    let told = advertise::address(address, &config.hostname);
    let settings = settings(&config, &work_dir, told)?;
    let recovered = checkpoint::recover(&work_dir, &settings.info.resources)?;
    tracing::info!(%address, resources = %shown(&settings.info), "agent started");

    let clock = Clock::start();
    let (ended, has_ended) = oneshot::channel();
    let core = Agent::new(settings, recovered, seed()?, clock.now());
    let actor = AgentActor::new(core, clock, &config.master, &work_dir, ended)?.start();
    let server = http::serve(
        listener,
        http::Shared {
            actor: actor.clone(),
            next: Arc::default(),
            flags: Arc::new(config.flags.clone()),
            address,
            work_dir: Arc::from(work_dir.as_path()),
            clock,
            memory: Memory::default(),
        },
    )?;
    let handle = server.handle();
    actix::spawn(server);
    Ok(AgentHandle {
        address,
        actor,
        server: handle,
        ended: has_ended,
    })
}

fn settings(
    config: &AgentConfig,
    work_dir: &Path,
    address: SocketAddr,
) -> Result<Settings, StartError> {
    let resources = detect::resources(config.resources.as_deref(), &config.default_role, work_dir)
        .map_err(StartError::Resources)?;
    let attributes = parse_attributes(config.attributes.as_deref().unwrap_or_default())
        .map_err(|error| StartError::Attributes(error.to_string()))?;
    // A default directory need not exist until a command or a group is launched.
    let launcher_dir = match std::path::absolute(&config.launcher_dir) {
        Ok(path) => path,
        Err(error) => return Err(StartError::Directory(config.launcher_dir.clone(), error)),
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
        registration_backoff_factor: config.registration_backoff_factor,
        executor_registration_timeout: config.executor_registration_timeout,
        executor_shutdown_grace_period: config.executor_shutdown_grace_period,
        max_completed_executors_per_framework: config.max_completed_executors_per_framework,
    })
}

/// Makes a directory if need be, and gives its real path.
fn directory(path: &Path) -> Result<PathBuf, StartError> {
    std::fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|error| StartError::Directory(path.to_owned(), error))
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
