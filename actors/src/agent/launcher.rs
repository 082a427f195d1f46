//! Starts containers, waits for them and reports their end: keeps the list of those that run.
//! Does not know what runs in them, nor how they are isolated: `containerizer` does.

mod begin;
mod within;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use actix::{Addr, Message};
use nix::unistd::{Uid, User};
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::garbage::Place;
use tepui_core::agent::messages::{Input, Launch, Sandbox};
use tepui_core::agent::volumes::VolumesUpdate;
use tepui_core::ids::{AgentId, ContainerId};
use tepui_core::time::Wall;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::actor::{AgentActor, Tell};
use super::config::{AgentConfig, ContainerLogger};
use super::containerizer::isolator::Container as Isolated;
use super::containerizer::start::Started;
use super::containerizer::{self, Containerizers};
use super::fetcher::Fetcher;
use super::garbage::{self, Sweeper};
use super::inner_sandbox;
use super::process_tree;
use super::sandbox::{self, Owner};
use super::volumes;
use begin::{finish, get, start, tell};

/// Stack of the launcher's thread in bytes; it only makes directories and starts processes.
const STACK_BYTES: usize = 256 * 1024;

/// A container was started, or could not be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Spawned {
    pub(super) container: ContainerId,
    result: Result<Box<(Started, Isolated)>, String>,
}

enum Job {
    Launch(Box<Launch>, Fetching, Addr<AgentActor>),
    /// Its sandbox has all that was to be fetched.
    Start(Box<Launch>, Prepared, Addr<AgentActor>),
    Update(ContainerId, Box<ContainerResources>),
    Volumes(Box<VolumesUpdate>, Addr<AgentActor>),
    RemoveContainer(ContainerId, Box<Sandbox>, Addr<AgentActor>),
    LinkLatest(AgentId),
    Look(Wall, Addr<AgentActor>),
    Remove(Vec<Place>, Addr<AgentActor>),
    /// The sandbox's container has ended.
    Ended(PathBuf),
}

/// How a launch goes on after fetching.
struct Fetching {
    /// Takes the job that follows.
    then: mpsc::Sender<Job>,
    /// True once the container is to be killed.
    killed: watch::Receiver<bool>,
}

/// A sandbox that is ready for its container.
struct Prepared {
    owner: Option<Owner>,
    output: sandbox::Output,
    /// True once the container is to be killed.
    killed: watch::Receiver<bool>,
}

/// What is known of a container that has not ended.
enum Container {
    /// Ordered; its program does not run yet.
    Starting {
        /// Told true once it is to be killed: what is made ready for it then ends.
        killed: watch::Sender<bool>,
    },
    /// It has processes.
    Running {
        /// The first one, the leader of its group.
        pid: u32,
        /// What may end it; aborted with it.
        watches: Vec<JoinHandle<()>>,
    },
    /// Its first process has ended, but something of it may be left.
    Ending,
}

/// Starts, kills and waits for containers; directories and processes are made on its own thread,
/// so that a slow disk delays no status update.
pub(super) struct Launcher {
    jobs: mpsc::Sender<Job>,
    containerizer: Arc<Containerizers>,
    containers: Rc<RefCell<BTreeMap<ContainerId, Container>>>,
    /// Told when nothing is left of a container.
    gone: Rc<Notify>,
}

impl Launcher {
    /// Starts the thread; must be called within the runtime that is to wait for the processes.
    pub(super) fn start(
        config: &AgentConfig,
        work_dir: &Path,
        fetcher: Fetcher,
        containerizer: Arc<Containerizers>,
    ) -> std::io::Result<Self> {
        let (jobs, orders) = mpsc::channel();
        let sweeper = Sweeper::start(work_dir)?;
        let runtime = tokio::runtime::Handle::current();
        let work_dir = work_dir.to_owned();
        let its = containerizer.clone();
        let (logger, no_new_privs) = (config.container_logger, config.no_new_privs);
        std::thread::Builder::new()
            .name("launcher".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _entered = runtime.enter();
                if no_new_privs {
                    renounce_privileges();
                }
                work(&orders, &work_dir, &fetcher, &its, logger, &sweeper);
            })?;
        Ok(Launcher {
            jobs,
            containerizer,
            containers: Rc::default(),
            gone: Rc::default(),
        })
    }

    pub(super) fn launch(&self, launch: Launch, actor: Addr<AgentActor>) {
        if let Err(why) = self.parent_runs(&launch) {
            return tell(&launch, Err(why), &actor);
        }
        let (kill, killed) = watch::channel(false);
        let starting = Container::Starting { killed: kill };
        let container = launch.container.clone();
        self.containers
            .borrow_mut()
            .insert(container.clone(), starting);
        let then = self.jobs.clone();
        let fetching = Fetching { then, killed };
        let job = Job::Launch(Box::new(launch), fetching, actor.clone());
        if self.jobs.send(job).is_err() {
            let result = Err("the launcher's thread has ended".to_owned());
            actor.do_send(Spawned { container, result });
        }
    }

    /// # Errors
    /// When the container that another one is to be in ends now.
    fn parent_runs(&self, launch: &Launch) -> Result<(), String> {
        let called = launch.called.as_ref();
        let Some(parent) = called.and_then(|called| called.parent.as_ref()) else {
            return Ok(());
        };
        let id = &parent.container;
        match self.containers.borrow().get(id) {
            Some(Container::Running { .. }) => Ok(()),
            _ => Err(format!("Parent container {id} is in 'DESTROYING' state")),
        }
    }

    /// Sends a signal to the first process of a container.
    pub(super) fn signal(&self, container: &ContainerId, signal: i32) {
        if let Some(Container::Running { pid, .. }) = self.containers.borrow().get(container)
            && let Err(error) = process_tree::signal_one(*pid, signal)
        {
            tracing::warn!(%container, signal, %error, "cannot signal a container");
        }
    }

    /// Forgets how a container has ended, and removes its sandbox if one is named.
    pub(super) fn remove_container(
        &self,
        container: ContainerId,
        sandbox: Option<Box<Sandbox>>,
        actor: Addr<AgentActor>,
    ) {
        self.containerizer.statuses().forget(&container);
        let Some(sandbox) = sandbox else { return };
        let job = Job::RemoveContainer(container.clone(), sandbox, actor.clone());
        if self.jobs.send(job).is_err() {
            let result = Err("the launcher's thread has ended".to_owned());
            actor.do_send(Tell(Input::ContainerRemoved { container, result }));
        }
    }

    /// Changes what a container may use, after all that was ordered before.
    pub(super) fn update(&self, container: ContainerId, resources: Box<ContainerResources>) {
        if self.jobs.send(Job::Update(container, resources)).is_err() {
            tracing::error!("the launcher's thread has ended");
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

    /// Has the actor told which directories of sandboxes there are.
    pub(super) fn look(&self, now: Wall, actor: Addr<AgentActor>) {
        if self.jobs.send(Job::Look(now, actor)).is_err() {
            tracing::error!("the launcher's thread has ended");
        }
    }

    /// Removes directories of sandboxes, after all that was ordered before.
    pub(super) fn remove(&self, places: Vec<Place>, actor: Addr<AgentActor>) {
        if self.jobs.send(Job::Remove(places, actor)).is_err() {
            tracing::error!("the launcher's thread has ended");
        }
    }

    /// Kills a container, with whatever its processes have started.
    pub(super) fn kill(&self, container: &ContainerId) {
        match self.containers.borrow_mut().get_mut(container) {
            Some(Container::Starting { killed }) => {
                killed.send_replace(true);
            }
            Some(Container::Running { pid, .. }) => self.containerizer.kill(container, *pid),
            Some(Container::Ending) | None => {}
        }
    }

    /// Takes over a process that an earlier run of the agent has started: its end will be told to
    /// the actor, though not how it ended, as only its parent hears of that.
    pub(super) fn take_back(
        &self,
        container: ContainerId,
        directory: &str,
        is_docker: bool,
        pid: u32,
        actor: Addr<AgentActor>,
    ) {
        let isolated = containerizer::recovered(container.clone(), directory, is_docker);
        self.containerizer.recover(&isolated);
        let watches = self.watch(&isolated, &actor);
        let running = Container::Running { pid, watches };
        self.containers
            .borrow_mut()
            .insert(container.clone(), running);
        let end = self.end(&isolated, pid, actor);
        actix::spawn(async move {
            if let Err(error) = process_tree::ended(pid).await {
                tracing::error!(%container, %error, "cannot wait for a container");
            }
            end(None).await;
        });
    }

    /// Takes over a started process: its end will be told to the actor.
    pub(super) fn adopt(&self, spawned: Spawned, actor: Addr<AgentActor>) -> Result<u32, String> {
        let container = spawned.container;
        let (started, isolated) = match spawned.result {
            Ok(started) => *started,
            Err(why) => {
                self.containers.borrow_mut().remove(&container);
                self.gone.notify_waiters();
                return Err(why);
            }
        };
        let Started { pid, mut child, .. } = started;
        let watches = self.watch(&isolated, &actor);
        let running = Container::Running { pid, watches };
        let before = self
            .containers
            .borrow_mut()
            .insert(container.clone(), running);
        if let Some(Container::Starting { killed }) = before
            && *killed.borrow()
        {
            self.containerizer.kill(&container, pid);
        }
        let end = self.end(&isolated, pid, actor);
        actix::spawn(async move {
            let status = match child.wait().await {
                Ok(status) => Some(status.into_raw()),
                Err(error) => {
                    tracing::error!(%container, %error, "cannot wait for a container");
                    None
                }
            };
            end(status).await;
        });
        Ok(pid)
    }

    /// Tells the actor when a container uses more than it may.
    fn watch(&self, isolated: &Isolated, actor: &Addr<AgentActor>) -> Vec<JoinHandle<()>> {
        let watches = self.containerizer.watches(isolated).into_iter();
        let spawned = watches.map(|watch| {
            let (container, actor) = (isolated.id.clone(), actor.clone());
            actix::spawn(async move {
                let limitation = watch.await;
                actor.do_send(Tell(Input::Limited {
                    container,
                    limitation,
                }));
            })
        });
        spawned.collect()
    }

    /// What is to be done once a container's first process has ended: nothing of it is left when
    /// the actor hears of it.
    fn end(
        &self,
        isolated: &Isolated,
        pid: u32,
        actor: Addr<AgentActor>,
    ) -> impl AsyncFnOnce(Option<i32>) + 'static {
        let (containers, containerizer) = (self.containers.clone(), self.containerizer.clone());
        let gone = self.gone.clone();
        let (container, isolated) = (isolated.id.clone(), isolated.clone());
        let jobs = self.jobs.clone();
        async move |status| {
            // The process id may belong to another process from now on.
            let ended = containers
                .borrow_mut()
                .insert(container.clone(), Container::Ending);
            let mut is_told = false;
            if let Some(Container::Running { watches, .. }) = ended {
                is_told = watches.iter().any(JoinHandle::is_finished);
                watches.iter().for_each(JoinHandle::abort);
            }
            within::end(&container, &containers, &containerizer, &gone).await;
            let status = containerizer.statuses().read(&container).or(status);
            if !is_told {
                within::say_last_limitation(&isolated, &containerizer, &actor);
            }
            if status != Some(0)
                && let Some(limitation) = containerizer.last_limitation(&container).await
            {
                let container = container.clone();
                actor.do_send(Tell(Input::Limited {
                    container,
                    limitation,
                }));
            }
            containerizer.destroy(&container, Some(pid)).await;
            containers.borrow_mut().remove(&container);
            if container.depth() == 0 {
                // Only the age of what is left depends on it.
                let _ = jobs.send(Job::Ended(isolated.directory));
            }
            actor.do_send(Tell(Input::Exited { container, status }));
            gone.notify_waiters();
        }
    }
}

/// The launcher's thread: jobs in the order they came, until the actor is gone.
fn work(
    orders: &mpsc::Receiver<Job>,
    work_dir: &Path,
    fetcher: &Fetcher,
    containerizer: &Arc<Containerizers>,
    logger: ContainerLogger,
    sweeper: &Sweeper,
) {
    for job in orders {
        match job {
            Job::Launch(launch, fetching, actor) => match prepare(&launch, &fetching, logger) {
                Ok(prepared) => match containerizer.provision(&launch) {
                    None if launch.uris.is_empty() => {
                        start(&launch, prepared, containerizer, actor);
                    }
                    provision => {
                        let getting = get(fetcher, &launch, &prepared, provision);
                        let containerizer = containerizer.clone();
                        let after =
                            finish(getting, containerizer, launch, prepared, fetching, actor);
                        fetcher.spawn(after);
                    }
                },
                Err(why) => tell(&launch, Err(why), &actor),
            },
            Job::Start(launch, prepared, actor) => start(&launch, prepared, containerizer, actor),
            Job::Update(container, resources) => containerizer.update(&container, &resources),
            Job::Volumes(order, actor) => {
                let result = volumes::update(&order);
                let container = order.container;
                actor.do_send(Tell(Input::VolumesUpdated { container, result }));
            }
            Job::RemoveContainer(container, sandbox, actor) => {
                let (root, directory) = (&sandbox.root_directory, &sandbox.directory);
                let result = inner_sandbox::remove(root.as_ref(), directory.as_ref())
                    .map_err(|error| error.to_string());
                actor.do_send(Tell(Input::ContainerRemoved { container, result }));
            }
            Job::Look(now, actor) => sweeper.look(now, actor),
            Job::Remove(places, actor) => sweeper.remove(&places, actor),
            Job::Ended(sandbox) => garbage::mark_ended(&sandbox),
            Job::LinkLatest(agent) => {
                if let Err(error) = sandbox::link_latest(work_dir, &agent) {
                    tracing::error!(%agent, %error, "cannot make the agent's directory");
                }
            }
        }
    }
}

/// What this thread starts from now on, and all that it starts, gets no rights from the owner or
/// the mode of a program. Nothing need be done at each launch.
fn renounce_privileges() {
    if let Err(error) = nix::sys::prctl::set_no_new_privs() {
        tracing::error!(%error, "containers may get more rights than their users have");
    }
}

/// Makes the sandbox, and shows volumes in it.
fn prepare(
    launch: &Launch,
    fetching: &Fetching,
    logger: ContainerLogger,
) -> Result<Prepared, String> {
    let owner = launch.user.as_deref().map(switch_to).transpose()?.flatten();
    let directory = PathBuf::from(&launch.directory);
    let called = launch.called.as_ref().map(|called| {
        let parent = called.parent.as_ref();
        let root = parent.map(|it| Path::new(&it.root_directory));
        // One that stands alone has a directory of its own below the work directory.
        root.or_else(|| directory.parent()?.parent())
            .unwrap_or(&directory)
    });
    let output = match called {
        Some(root) => inner_sandbox::make(root, &directory, owner),
        None => sandbox::make(&directory, owner),
    };
    let output = output
        .map_err(|error| format!("Failed to make sandbox '{}': {error}", launch.directory))?;
    for link in &launch.volumes {
        match launch.docker {
            Some(_) => volumes::prepare_mount(&directory, link)?,
            None => volumes::show(&directory, link)?,
        }
    }
    let output = match launch.looks_at() {
        // Its own sandbox is removed soon. (In Mesos, too, the executor's output has it.)
        Some(seen) => {
            let outermost = Path::new(&seen.root_directory);
            inner_sandbox::to_stderr_of(outermost).unwrap_or(output)
        }
        None => logger.attach(launch, owner, output)?,
    };
    Ok(Prepared {
        owner,
        output,
        killed: fetching.killed.clone(),
    })
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
