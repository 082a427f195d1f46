//! The Docker containerizer: has the Docker Engine make containers of type DOCKER, and takes back what
//! it has made. Stays beside no container: `tepui-executor` does, one process for each.
//!
//! That process is outside of the container, as Mesos's docker executor is: it goes on when the agent
//! does not, copies what the container writes, checks it and says how it ended. So the agent finds a
//! container again by that process, whether the Engine is there or not, and a container whose process
//! is gone is nobody's.

mod create;
mod dns;
mod engine;
mod host;
mod logins;
mod orphans;
mod parameters;
#[cfg(test)]
mod tests;
mod updates;
mod usage;
mod values;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::duration_text;
use tepui_core::agent::messages::{Launch, Limitation};
use tepui_core::agent::survivors::{Process, Survivor};
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;
use tokio::process::Command;

use self::create::{Common, name};
pub use self::dns::ContainerDns;
use self::engine::Engine;
pub use self::logins::Logins;
use self::updates::Updates;
use super::cgroups::Wait;
use super::config::{ContainerizerConfig, ContainerizerKind};
use super::containerizers::Containerizer;
use super::isolator::Container;
use super::start::Started;
use crate::agent::process_tree;
use crate::agent::sandbox::{Output, Owner};
use crate::clock::Clock;
use crate::metrics::system::System;

/// Time that the process beside a container has to copy the last output once that was killed.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// Time between two attempts to reach an Engine that is gone.
const AGAIN: Duration = Duration::from_secs(5);

/// Longest time for which a container that is to be changed may not have been made yet.
const MAKE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Time the Engine has to tell what a container uses or has used.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an Engine that has not told in time is not asked again, in microseconds.
const SILENCE_US: u64 = 10_000_000;

/// Settings of the Docker containerizer; each field's flag has the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// Where the Docker Engine listens.
    pub docker_socket: PathBuf,
    /// Time between a container's stop signal and SIGKILL when nobody says.
    pub docker_stop_timeout: Duration,
    /// Time that containers are kept once they have ended.
    pub docker_remove_delay: Duration,
    /// Whether containers of this agent that it does not know are ended when it starts.
    pub docker_kill_orphans: bool,
    /// Where the sandbox is seen in containers.
    pub sandbox_directory: String,
    /// Logins of registries, for tasks that bring none.
    pub docker_config: Option<Logins>,
    /// Who tells containers the addresses of names.
    pub default_container_dns: ContainerDns,
}

impl Default for DockerConfig {
    /// What the flags say where nothing is given.
    fn default() -> Self {
        DockerConfig {
            docker_socket: "/var/run/docker.sock".into(),
            docker_stop_timeout: Duration::ZERO,
            docker_remove_delay: Duration::from_secs(6 * 60 * 60),
            docker_kill_orphans: true,
            sandbox_directory: "/mnt/mesos/sandbox".to_owned(),
            docker_config: None,
            default_container_dns: ContainerDns::default(),
        }
    }
}

/// The containers that the Docker Engine runs for this agent.
pub(super) struct DockerContainerizer {
    engine: Engine,
    config: DockerConfig,
    common: Common,
    /// Directories of which something may be shown; none stands for all.
    prefixes: Option<Vec<PathBuf>>,
    /// Those that are not orphans.
    known: Mutex<HashSet<ContainerId>>,
    /// Changes of containers' resources.
    updates: Arc<Updates>,
    clock: Clock,
    /// Until when the Engine is not asked what containers use, in microseconds of the clock.
    silent_until: AtomicU64,
}

/// How an image is pulled.
struct Pull<'a> {
    /// Whether it is pulled even if the Engine has it.
    is_forced: bool,
    /// Where the task may have logins of its own.
    sandbox: &'a Path,
}

impl DockerContainerizer {
    /// Whether the Engine is there shows when it is needed: the agent's other containers do not
    /// depend on it.
    ///
    /// # Errors
    /// When there can be no client.
    pub(super) fn open(config: &ContainerizerConfig, work_dir: &Path) -> Result<Self, String> {
        let docker = config.docker.clone();
        let engine = Engine::at(&docker.docker_socket);
        Ok(DockerContainerizer {
            engine: engine.map_err(|why| format!("cannot use the Docker Engine: {why}"))?,
            common: Common {
                work_dir: work_dir.to_string_lossy().into_owned(),
                sandbox_directory: docker.sandbox_directory.clone(),
                enable_cfs: config.cgroups_enable_cfs,
                dns: docker.default_container_dns.clone(),
                mem_total_bytes: System::read().mem_total_bytes,
            },
            config: docker,
            prefixes: config.host_path_volume_prefixes.clone(),
            known: Mutex::default(),
            updates: Arc::default(),
            clock: Clock::start(),
            silent_until: AtomicU64::new(0),
        })
    }

    fn know(&self, id: &ContainerId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(id.clone());
    }

    /// Whether it is one; afterwards it is not.
    fn forget(&self, id: &ContainerId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(id)
    }

    fn knows(&self, name: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let id = name.strip_prefix("mesos-");
        id.is_some_and(|id| known.contains(&ContainerId::from(id)))
    }

    async fn make(
        &self,
        id: &ContainerId,
        image: &str,
        order: &Value,
        pull: Pull<'_>,
    ) -> Result<(), String> {
        let name = &name(id.as_str());
        let failed = |error: engine::EngineError| error.to_string();
        if pull.is_forced || !self.engine.has_image(image).await.map_err(failed)? {
            tracing::info!(container = %id, image, "pulling an image");
            let logins = Logins::of_sandbox(pull.sandbox)?;
            let logins = logins.as_ref().or(self.config.docker_config.as_ref());
            let login = logins.and_then(|logins| logins.header(image));
            let pulled = self.engine.pull(image, login.as_deref()).await;
            pulled.map_err(|why| format!("Failed to pull image '{image}': {why}"))?;
        }
        // There is something to take back from here on.
        self.know(id);
        let made = self.engine.create(name, order).await;
        made.map_err(|why| format!("Failed to create the container: {why}"))
    }

    /// The process that stays beside a container.
    fn spawn(&self, launch: &Launch, output: Output, is_executor: bool) -> io::Result<Started> {
        let mut command = Command::new(&launch.program);
        if let Some((name, arguments)) = launch.arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        let grace = duration_text(self.config.docker_stop_timeout);
        let container = name(launch.container.as_str());
        let socket = self.config.docker_socket.display();
        command
            .arg(format!("--docker_container={container}"))
            .arg(format!("--docker_socket={socket}"))
            .arg(format!("--docker_stop_timeout={grace}"))
            .arg(format!("--docker_executor={is_executor}"))
            .env_clear()
            .envs(&launch.environment)
            .current_dir(&launch.directory)
            .stdin(Stdio::null())
            .stdout(output.stdout)
            .stderr(output.stderr)
            .process_group(0);
        let mut report = None;
        if is_executor {
            let (own, its) = UnixStream::pair()?;
            command.stdin(Stdio::from(OwnedFd::from(its)));
            report = Some(own);
        }
        Started::of(command.spawn()?, report)
    }
}

impl Containerizer for DockerContainerizer {
    fn kind(&self) -> ContainerizerKind {
        ContainerizerKind::Docker
    }

    fn provision(
        self: Arc<Self>,
        launch: &Launch,
    ) -> Option<BoxFuture<'static, Result<(), String>>> {
        let order = create::order(launch, &self.common);
        let docker = launch.info.as_ref().and_then(|info| info.docker.as_ref());
        let is_forced = docker.is_some_and(|docker| docker.force_pull_image());
        let (id, sandbox) = (launch.container.clone(), launch.directory.clone());
        let volumes = launch.volumes.iter().map(|it| it.volume.path.as_str());
        let volumes: Vec<PathBuf> = volumes.map(PathBuf::from).collect();
        Some(Box::pin(async move {
            let (image, order) = order?;
            let sandbox = Path::new(&sandbox);
            host::check(&order, sandbox, &volumes, self.prefixes.as_deref())?;
            let pull = Pull { is_forced, sandbox };
            self.make(&id, &image, &order, pull).await
        }))
    }

    fn start(
        &self,
        launch: &Launch,
        _owner: Option<Owner>,
        output: Output,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Started, String> {
        let is_executor = launch.docker.as_ref().is_some_and(|it| it.is_executor);
        let started = match is_killed() {
            true => Err("it was killed before it was started".to_owned()),
            false => self
                .spawn(launch, output, is_executor)
                .map_err(|error| format!("Failed to execute '{}': {error}", launch.program)),
        };
        if started.is_err() {
            self.forget(&launch.container);
            let (engine, name) = (self.engine.clone(), name(launch.container.as_str()));
            tokio::spawn(async move {
                orphans::end(&engine, &name, Duration::ZERO).await;
            });
        }
        started
    }

    fn recover(&self, container: &Container) {
        self.know(&container.id);
    }

    fn watches(&self, _container: &Container) -> Vec<Wait<Limitation>> {
        Vec::new()
    }

    fn update(&self, id: &ContainerId, resources: &ContainerResources) {
        if !self.updates.add(id, resources) {
            return;
        }
        let (engine, updates, id) = (self.engine.clone(), self.updates.clone(), id.clone());
        let enable_cfs = self.common.enable_cfs;
        tokio::spawn(async move {
            while let Some(resources) = updates.next(&id) {
                change(&engine, &updates, &id, &resources, enable_cfs).await;
            }
        });
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        let name = name(id.as_str());
        let now = self.clock.now().mono.0;
        let mut said = Value::Null;
        if self.silent_until.load(Ordering::Relaxed) <= now {
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.engine.stats(&name));
            match tokio::runtime::Handle::current().block_on(asked) {
                Ok(answer) => said = answer.unwrap_or_default(),
                // Its other containers need not be waited for.
                Err(_) => self.silent_until.store(now + SILENCE_US, Ordering::Relaxed),
            }
        }
        usage::add(&said, self.common.enable_cfs, statistics);
    }

    fn kill(&self, id: &ContainerId, leader: u32) {
        let (engine, name) = (self.engine.clone(), name(id.as_str()));
        tokio::spawn(async move {
            if let Err(error) = engine.kill(&name).await {
                tracing::warn!(container = name, %error, "cannot kill a container");
            }
            tokio::select! {
                _ = process_tree::ended(leader) => {}
                () = tokio::time::sleep(KILL_GRACE) => process_tree::kill(leader),
            }
        });
    }

    /// The process beside a container that is an executor ends as that does, and cannot say more.
    fn last_limitation(
        self: Arc<Self>,
        id: &ContainerId,
    ) -> Option<BoxFuture<'static, Option<Limitation>>> {
        let name = name(id.as_str());
        Some(Box::pin(async move {
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.engine.was_out_of_memory(&name));
            let was_too_much = matches!(asked.await, Ok(Ok(true)));
            was_too_much.then(|| Limitation {
                reason: v1::task_status::Reason::ContainerLimitationMemory,
                message: "Memory limit exceeded: the container used more memory than it may"
                    .to_owned(),
                resources: Vec::new(),
            })
        }))
    }

    fn destroy(self: Arc<Self>, id: ContainerId, leader: Option<u32>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(leader) = leader {
                process_tree::kill_group(leader);
            }
            self.updates.forget(&id);
            if !self.forget(&id) {
                return;
            }
            let name = name(id.as_str());
            let delay = match leader {
                Some(_) => self.config.docker_remove_delay,
                // It was never started: there is nothing to look at.
                None => Duration::ZERO,
            };
            if let Err(error) = self.engine.kill(&name).await {
                tracing::warn!(container = name, %error, "cannot end a container yet");
            }
            let engine = self.engine.clone();
            tokio::spawn(async move { orphans::end(&engine, &name, delay).await });
        })
    }

    fn processes(&self, _expected: &[Survivor]) -> Vec<Process> {
        Vec::new()
    }

    fn destroy_others(self: Arc<Self>, running: BTreeSet<ContainerId>) -> BoxFuture<'static, ()> {
        running.iter().for_each(|id| self.know(id));
        Box::pin(async move {
            tokio::spawn(async move { self.end_others().await });
        })
    }
}

/// Gives a container other resources, as soon as the Engine and the container are there, unless it
/// ends or is to have others by then.
async fn change(
    engine: &Engine,
    updates: &Updates,
    id: &ContainerId,
    resources: &ContainerResources,
    enable_cfs: bool,
) {
    let name = &name(id.as_str());
    let mut waits = MAKE_TIMEOUT;
    loop {
        let changed = async {
            let present = engine.inspect(name).await?;
            let present = present.get("HostConfig").unwrap_or(&Value::Null);
            let order = updates::order(resources, enable_cfs, present);
            engine.update(name, &order).await
        };
        let error = match changed.await {
            Ok(()) => return,
            Err(error) => error,
        };
        let may_come = error.is_gone() || (error.is_unknown() && !waits.is_zero());
        if !may_come || !updates.is_last(id) {
            tracing::warn!(container = name, %error, "cannot change a container's resources");
            return;
        }
        tokio::time::sleep(AGAIN).await;
        if error.is_unknown() {
            waits = waits.saturating_sub(AGAIN);
        }
        if !updates.is_last(id) {
            return;
        }
    }
}
