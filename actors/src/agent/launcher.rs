//! The posix launcher: starts containers as process groups of their own and reports their end.
//! Does not know what runs in them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::mpsc;

use actix::{Addr, Message};
use nix::unistd::{Uid, User};
use tepui_core::agent::messages::{Input, Launch};
use tepui_core::agent::volumes::VolumesUpdate;
use tepui_core::ids::{AgentId, ContainerId};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::actor::{AgentActor, Tell};
use super::fetcher::{Fetcher, Wanted};
use super::process_tree;
use super::sandbox::{self, Owner};
use super::volumes;

/// Stack of the launcher's thread in bytes; it only makes directories and starts processes.
const STACK_BYTES: usize = 256 * 1024;

/// A container was started, or could not be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Spawned {
    pub(super) container: ContainerId,
    result: Result<(u32, Child), String>,
}

enum Job {
    Launch(Box<Launch>, Fetching, Addr<AgentActor>),
    /// Its sandbox has all that was to be fetched.
    Start(Box<Launch>, Prepared, Addr<AgentActor>),
    Volumes(Box<VolumesUpdate>, Addr<AgentActor>),
    LinkLatest(AgentId),
}

/// How a launch goes on after fetching.
struct Fetching {
    /// Ends the fetching when the other end is dropped.
    stop: oneshot::Receiver<()>,
    /// Takes the job that follows.
    then: mpsc::Sender<Job>,
}

/// A sandbox that is ready for its container.
struct Prepared {
    owner: Option<Owner>,
    output: sandbox::Output,
}

/// What is known of a container that has not ended.
enum Container {
    /// Ordered; no process yet. What is fetched for it is dropped with `fetching`.
    Starting {
        killed: bool,
        fetching: Option<oneshot::Sender<()>>,
    },
    /// Its process, the leader of its group.
    Running(u32),
}

/// Starts, kills and waits for containers; directories and processes are made on its own thread,
/// so that a slow disk delays no status update.
pub(super) struct Launcher {
    jobs: mpsc::Sender<Job>,
    containers: Rc<RefCell<HashMap<ContainerId, Container>>>,
}

impl Launcher {
    /// Starts the thread; must be called within the runtime that is to wait for the processes.
    pub(super) fn start(work_dir: &Path, fetcher: Fetcher) -> std::io::Result<Self> {
        let (jobs, orders) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let work_dir = work_dir.to_owned();
        std::thread::Builder::new()
            .name("launcher".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _entered = runtime.enter();
                work(&orders, &work_dir, &fetcher);
            })?;
        Ok(Launcher {
            jobs,
            containers: Rc::default(),
        })
    }

    pub(super) fn launch(&self, launch: Launch, actor: Addr<AgentActor>) {
        let (fetching, stop) = oneshot::channel();
        let then = self.jobs.clone();
        let starting = Container::Starting {
            killed: false,
            fetching: Some(fetching),
        };
        self.containers
            .borrow_mut()
            .insert(launch.container.clone(), starting);
        let container = launch.container.clone();
        let job = Job::Launch(Box::new(launch), Fetching { stop, then }, actor.clone());
        if self.jobs.send(job).is_err() {
            let result = Err("the launcher's thread has ended".to_owned());
            actor.do_send(Spawned { container, result });
        }
    }

    /// Changes the links to volumes in a sandbox, after all that was ordered before.
    pub(super) fn update_volumes(&self, order: Box<VolumesUpdate>, actor: Addr<AgentActor>) {
        let container = order.container.clone();
        if self.jobs.send(Job::Volumes(order, actor.clone())).is_err() {
            let result = Err("the launcher's thread has ended".to_owned());
            actor.do_send(Tell(Input::VolumesUpdated { container, result }));
        }
    }

    pub(super) fn link_latest(&self, agent: AgentId) {
        if self.jobs.send(Job::LinkLatest(agent)).is_err() {
            tracing::error!("the launcher's thread has ended");
        }
    }

    /// Kills a container: its group, and whatever its processes have started.
    pub(super) fn kill(&self, container: &ContainerId) {
        match self.containers.borrow_mut().get_mut(container) {
            Some(Container::Starting { killed, fetching }) => {
                *killed = true;
                fetching.take();
            }
            Some(Container::Running(pid)) => process_tree::kill(*pid),
            None => {}
        }
    }

    /// Takes over a process that an earlier run of the agent has started: its end will be told to
    /// the actor, though not how it ended, as only its parent hears of that.
    pub(super) fn take_back(&self, container: ContainerId, pid: u32, actor: Addr<AgentActor>) {
        let running = Container::Running(pid);
        self.containers
            .borrow_mut()
            .insert(container.clone(), running);
        let containers = self.containers.clone();
        actix::spawn(async move {
            if let Err(error) = process_tree::ended(pid).await {
                tracing::error!(%container, %error, "cannot wait for a container");
            }
            containers.borrow_mut().remove(&container);
            process_tree::kill_group(pid);
            let status = None;
            actor.do_send(Tell(Input::Exited { container, status }));
        });
    }

    /// Takes over a started process: its end will be told to the actor.
    pub(super) fn adopt(&self, spawned: Spawned, actor: Addr<AgentActor>) -> Result<u32, String> {
        let container = spawned.container;
        let (pid, mut child) = match spawned.result {
            Ok(started) => started,
            Err(why) => {
                self.containers.borrow_mut().remove(&container);
                return Err(why);
            }
        };
        let before = self
            .containers
            .borrow_mut()
            .insert(container.clone(), Container::Running(pid));
        if matches!(before, Some(Container::Starting { killed: true, .. })) {
            process_tree::kill(pid);
        }
        let containers = self.containers.clone();
        actix::spawn(async move {
            let status = child.wait().await;
            // The process id may belong to another process from now on.
            containers.borrow_mut().remove(&container);
            process_tree::kill_group(pid);
            let status = match status {
                Ok(status) => Some(status.into_raw()),
                Err(error) => {
                    tracing::error!(%container, %error, "cannot wait for a container");
                    None
                }
            };
            actor.do_send(Tell(Input::Exited { container, status }));
        });
        Ok(pid)
    }
}

/// The launcher's thread: jobs in the order they came, until the actor is gone.
fn work(orders: &mpsc::Receiver<Job>, work_dir: &Path, fetcher: &Fetcher) {
    for job in orders {
        match job {
            Job::Launch(launch, fetching, actor) => match prepare(&launch) {
                Ok(prepared) if launch.uris.is_empty() => start(&launch, prepared, &actor),
                Ok(prepared) => fetch(fetcher, launch, prepared, fetching, actor),
                Err(why) => report(&launch, Err(why), &actor),
            },
            Job::Start(launch, prepared, actor) => start(&launch, prepared, &actor),
            Job::Volumes(order, actor) => {
                let result = volumes::update(&order);
                let container = order.container;
                actor.do_send(Tell(Input::VolumesUpdated { container, result }));
            }
            Job::LinkLatest(agent) => {
                if let Err(error) = sandbox::link_latest(work_dir, &agent) {
                    tracing::error!(%agent, %error, "cannot make the agent's directory");
                }
            }
        }
    }
}

/// Makes the sandbox, and shows volumes in it.
fn prepare(launch: &Launch) -> Result<Prepared, String> {
    let owner = launch.user.as_deref().map(switch_to).transpose()?.flatten();
    let directory = PathBuf::from(&launch.directory);
    let output = sandbox::make(&directory, owner)
        .map_err(|error| format!("Failed to make sandbox '{}': {error}", launch.directory))?;
    for link in &launch.volumes {
        volumes::show(&directory, link)?;
    }
    Ok(Prepared { owner, output })
}

/// Fetches what the container needs, which may take long; other launches go on meanwhile.
fn fetch(
    fetcher: &Fetcher,
    launch: Box<Launch>,
    prepared: Prepared,
    Fetching { stop, then }: Fetching,
    actor: Addr<AgentActor>,
) {
    let wanted = Wanted {
        uris: launch.uris.clone(),
        sandbox: launch.directory.clone(),
        user: launch.user.clone(),
        switch: prepared.owner.is_some(),
    };
    let own = fetcher.clone();
    fetcher.spawn(async move {
        let fetched = tokio::select! {
            fetched = own.fetch(wanted) => fetched,
            _ = stop => Err("it was killed while its URIs were fetched".to_owned()),
        };
        if let Err(why) = fetched {
            return report(&launch, Err(why), &actor);
        }
        if let Err(mpsc::SendError(job)) = then.send(Job::Start(launch, prepared, actor))
            && let Job::Start(launch, _, actor) = job
        {
            let why = "the launcher's thread has ended".to_owned();
            report(&launch, Err(why), &actor);
        }
    });
}

fn start(launch: &Launch, prepared: Prepared, actor: &Addr<AgentActor>) {
    report(launch, spawn(launch, prepared), actor);
}

/// Tells the actor what became of a launch.
fn report(launch: &Launch, result: Result<(u32, Child), String>, actor: &Addr<AgentActor>) {
    let container = launch.container.clone();
    if let Err(error) = &result {
        tracing::warn!(%container, executor = %launch.executor, error, "not launched");
    }
    actor.do_send(Spawned { container, result });
}

fn spawn(launch: &Launch, prepared: Prepared) -> Result<(u32, Child), String> {
    let Prepared { owner, output } = prepared;
    let mut command = Command::new(&launch.program);
    // The first argument is the program's own name.
    if let Some((name, arguments)) = launch.arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .env_clear()
        .envs(&launch.environment)
        .current_dir(&launch.directory)
        .stdin(Stdio::null())
        .stdout(output.stdout)
        .stderr(output.stderr)
        .process_group(0);
    if let Some(Owner { uid, gid }) = owner {
        command.uid(uid).gid(gid);
    }
    let child = command
        .spawn()
        .map_err(|error| format!("Failed to execute '{}': {error}", launch.program))?;
    let pid = child.id().ok_or("Failed to read the process id")?;
    Ok((pid, child))
}

/// Ids of a user to switch to; `None` when the agent runs as that user already.
fn switch_to(name: &str) -> Result<Option<Owner>, String> {
    let user = User::from_name(name)
        .map_err(|error| format!("Failed to look up user '{name}': {error}"))?
        .ok_or_else(|| format!("Failed to get user information for '{name}': no such user"))?;
    if user.uid == Uid::effective() {
        return Ok(None);
    }
    if !Uid::effective().is_root() {
        let own = User::from_uid(Uid::effective()).ok().flatten();
        let own = own.map_or_else(|| Uid::effective().to_string(), |user| user.name);
        return Err(format!(
            "Failed to switch to user '{name}': the agent runs as '{own}', \
             only root may switch users (see --switch_user)"
        ));
    }
    Ok(Some(Owner {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    }))
}
