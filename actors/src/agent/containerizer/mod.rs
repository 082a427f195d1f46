//! The Mesos containerizer: takes a container from its sandbox to its last trace, through the
//! isolators that the flags name. Decides nothing about tasks, and keeps no list of containers:
//! `crate::agent::launcher` does.
//!
//! What is left of a container is found by its id alone, so that an agent that starts again can
//! destroy what it does not know. There are no steps between the process and its limits: it enters
//! its cgroups itself, before anything of the container runs.

mod cgroups;
mod choice;
pub mod config;
mod containerizers;
mod docker;
pub(super) mod helper;
pub mod images;
pub(super) mod isolator;
mod isolators;
mod join;
mod ladder;
mod mounts;
mod provisioner;
mod records;
mod rlimits;
mod root;
pub(super) mod start;
mod statuses;
mod stay;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tepui_core::agent::Isolation;
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::{Launch, Limitation};
use tepui_core::agent::survivors::{Process, Survivor};
use tepui_core::agent::volumes::Volume;
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use super::sandbox::{Output, Owner};
use super::{process_tree, processes};
use cgroups::{Cgroups, Controller, Wait};
use choice::Choice;
use config::{ContainerizerConfig, LauncherKind};
pub(super) use containerizers::Containerizers;
pub use helper::ExecutorMain;
use isolator::{Container, Mount, Plan};
use ladder::Ladder;
use provisioner::{Provisioner, runtime};
use records::Records;
use start::{Helper, InRoot, Started};
use statuses::Statuses;

/// Delays before it is looked again whether killed processes have ended.
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LAST_DELAY: Duration = Duration::from_millis(100);

/// How many containers of an earlier run are destroyed at once.
const AT_ONCE: usize = 64;

/// The linux launcher's part: containers are found and killed by their cgroups.
struct Linux {
    cgroups: Arc<dyn Cgroups>,
    records: Records,
    /// Whether new containers get cgroups; else only those of an earlier run have some.
    is_chosen: bool,
}

impl Linux {
    fn open(
        config: &ContainerizerConfig,
        work_dir: &Path,
        controllers: &[Controller],
        is_chosen: bool,
    ) -> Result<Self, String> {
        let records = Records::open(work_dir)
            .map_err(|error| format!("cannot keep records of containers: {error}"))?;
        let (hierarchy, root) = (&config.cgroups_hierarchy, &config.cgroups_root);
        Ok(Linux {
            cgroups: cgroups::open(hierarchy, root, controllers)?,
            records,
            is_chosen,
        })
    }

    /// With the posix launcher: what is needed for containers that a run with the other one has
    /// left, if there are any.
    fn earlier(config: &ContainerizerConfig, work_dir: &Path) -> Option<Self> {
        if records::is_empty(work_dir) {
            return None;
        }
        let all = Linux::open(config, work_dir, &Controller::ALL, false);
        let all = all.or_else(|_| Linux::open(config, work_dir, &[Controller::Processes], false));
        all.inspect_err(|why| {
            tracing::error!(
                why,
                "cgroups of an earlier run with the linux launcher stay"
            );
        })
        .ok()
    }
}

/// The containerizer of Mesos itself.
pub(super) struct MesosContainerizer {
    ladder: Ladder,
    /// What containers can ask for.
    abilities: Isolation,
    /// None with the posix launcher, unless the other one has left something.
    linux: Option<Linux>,
    /// How containers that were launched by calls have ended.
    statuses: Statuses,
    provisioner: Arc<Provisioner>,
    /// Whether what images say of their programs counts for nothing.
    ignores_runtime: bool,
    /// Where sandboxes are seen in the root file systems of images.
    sandbox_directory: PathBuf,
    /// Made when it is first needed, where nothing is to be done to the process of an executor
    /// before it runs its program.
    helper: OnceLock<Helper>,
    destroy_timeout: Duration,
}

impl MesosContainerizer {
    /// # Errors
    /// When the isolators do not fit to each other, or to this machine.
    pub(super) fn open(
        config: &ContainerizerConfig,
        work_dir: &Path,
        fetcher_program: PathBuf,
    ) -> Result<Self, String> {
        let choice = Choice::read(config)?;
        let linux = match config.launcher {
            LauncherKind::Posix => Linux::earlier(config, work_dir),
            LauncherKind::Linux => {
                let controllers = choice.controllers();
                Some(Linux::open(config, work_dir, &controllers, true)?)
            }
        };
        let (images, backend) = (config.images.as_ref(), config.image_provisioner_backend);
        let provisioner = Provisioner::open(images, backend, work_dir, fetcher_program)?;
        let provisioner = Arc::new(provisioner);
        let cgroups = linux.as_ref().map(|linux| &linux.cgroups);
        let isolators = choice.isolators(config, work_dir, cgroups, &provisioner)?;
        let statuses = Statuses::open(work_dir)
            .map_err(|error| format!("cannot keep how containers end: {error}"))?;
        let needs_helper = config.launcher == LauncherKind::Linux || !isolators.is_empty();
        let containerizer = MesosContainerizer {
            ladder: Ladder::new(isolators),
            abilities: choice.abilities(config.images.is_some()),
            linux,
            statuses,
            provisioner,
            ignores_runtime: config.docker_ignore_runtime || !choice.reads_runtime(),
            sandbox_directory: config.sandbox_directory.clone(),
            helper: OnceLock::new(),
            destroy_timeout: config.cgroups_destroy_timeout,
        };
        if needs_helper {
            containerizer.helper()?;
        }
        Ok(containerizer)
    }

    fn helper(&self) -> Result<&Helper, String> {
        if let Some(helper) = self.helper.get() {
            return Ok(helper);
        }
        let made = Helper::open()
            .map_err(|error| format!("cannot copy this program for containers: {error}"))?;
        Ok(self.helper.get_or_init(|| made))
    }

    /// What containers can ask for.
    pub(super) fn abilities(&self) -> Isolation {
        self.abilities
    }

    /// Prepares a container whose sandbox is there, and starts its process. `is_killed` is asked
    /// between the steps. Waits for the kernel and the disk.
    ///
    /// # Errors
    /// Why there is no process; then nothing is left of the container.
    pub(super) fn start(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Started, String> {
        let mut plan = Plan::default();
        let container = container(launch, owner);
        let id = &container.id;
        if let Some(called) = &launch.called {
            self.statuses.forget(id);
            plan.status = Some(self.statuses.path(id));
            plan.leader = called.parent.as_ref().map(|parent| parent.pid);
            plan.joins_directory = called.is_debug;
        }
        let started = self
            .begin(id, &mut plan)
            .and_then(|()| self.ladder.prepare(&container, &mut plan, is_killed))
            .and_then(|()| self.complete(launch, owner, &mut plan))
            .and_then(|in_root| self.run(launch, owner, output, plan, in_root));
        if started.is_err()
            && let Err(why) = self.take_back(id)
        {
            // What is recorded is destroyed when the agent starts again.
            tracing::error!(container = %id, why, "something of a container is left over");
        }
        started
    }

    fn begin(&self, id: &ContainerId, plan: &mut Plan) -> Result<(), String> {
        let Some(linux) = self.linux.as_ref().filter(|linux| linux.is_chosen) else {
            return Ok(());
        };
        // What is in a container that a run with the posix launcher has started is like that one.
        if id.parent().is_some_and(|outer| !linux.records.has(&outer)) {
            return Ok(());
        }
        linux
            .records
            .add(id)
            .map_err(|error| format!("Failed to record the container: {error}"))?;
        linux
            .cgroups
            .create(Controller::Processes, id.as_str())
            .map_err(|error| format!("Failed to create the container's cgroup: {error}"))?;
        plan.cgroups = linux.cgroups.entrances(Controller::Processes, id.as_str());
        Ok(())
    }

    /// What runs in the root file system of an image, if the container has one.
    fn complete(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        plan: &mut Plan,
    ) -> Result<Option<InRoot>, String> {
        let parent = launch.called.as_ref().and_then(|it| it.parent.as_ref());
        let (Some(image), Some(root)) = (&launch.image, &mut plan.root) else {
            if plan.mount_namespace {
                // Where the links in the sandbox lead to, for this container alone.
                let read_only = launch.volumes.iter().filter(|link| link.read_only);
                for link in read_only {
                    let source = real(&link.volume)?;
                    let target = source.clone();
                    plan.mounts.push(Mount::Bind {
                        source,
                        target,
                        read_only: true,
                        in_root: false,
                    });
                }
            }
            let parent = parent.filter(|_| plan.joins_mounts);
            let parent = parent.filter(|it| self.provisioner.has_root(&it.container));
            return Ok(parent.map(|it| runtime::within(launch, it, &self.sandbox_directory)));
        };
        // It has mounts of its own, whatever else it shares.
        plan.joins_mounts = false;
        let said = self.provisioner.root(&launch.container);
        let said = said.filter(|_| !self.ignores_runtime);
        let said = said.map(|(_, said)| said).unwrap_or_default();
        let runs_as_root = owner.is_none();
        let completed = runtime::complete(launch, image, &said, runs_as_root, root)?;
        // The link to a volume in the sandbox leads to the same path within the root.
        for link in &launch.volumes {
            plan.mounts.push(Mount::Bind {
                source: real(&link.volume)?,
                target: PathBuf::from(&link.volume.path),
                read_only: link.read_only,
                in_root: true,
            });
        }
        Ok(Some(completed))
    }

    /// A helper is needed only where there is something to do before the program runs. To become
    /// another user is one: that user's other groups count, too.
    fn run(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
        plan: Plan,
        in_root: Option<InRoot>,
    ) -> Result<Started, String> {
        match plan == Plan::default() && owner.is_none() {
            true => start::directly(launch, output),
            false => self.helper()?.start(launch, owner, output, plan, in_root),
        }
    }

    /// What may end a container that runs.
    pub(super) fn watches(&self, container: &Container) -> Vec<Wait<Limitation>> {
        self.ladder.watches(container)
    }

    /// Gives a container other resources.
    pub(super) fn update(&self, id: &ContainerId, resources: &ContainerResources) {
        self.ladder.update(id, resources);
    }

    /// Adds what is known of a container's use of resources.
    pub(super) fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        self.ladder.usage(id, statistics);
    }

    /// Kills all processes of a container, of which `leader` is the first; does not wait for their
    /// end.
    pub(super) fn kill(&self, id: &ContainerId, leader: u32) {
        let Some(linux) = self.linux_of(id) else {
            return process_tree::kill(leader);
        };
        let (cgroups, id) = (linux.cgroups.clone(), id.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = cgroups.kill(id.as_str()) {
                tracing::error!(container = %id, %error, "cannot kill a container");
            }
        });
    }

    /// Ends what is left of a container whose first process, `leader`, has ended or is to end, and
    /// takes back what was prepared for it. What does not end in time is tried again later, and
    /// nobody waits for it.
    pub(super) async fn destroy(self: &Arc<Self>, id: &ContainerId, leader: Option<u32>) {
        if self.linux_of(id).is_none()
            && let Some(leader) = leader
        {
            process_tree::kill_group(leader);
        }
        let Err(why) = self.destroy_in_time(id).await else {
            return;
        };
        tracing::error!(container = %id, why, "something of a container is left over");
        let (own, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(own.destroy_timeout.max(LAST_DELAY)).await;
                if own.destroy_in_time(&id).await.is_ok() {
                    tracing::info!(container = %id, "nothing of the container is left any more");
                    return;
                }
            }
        });
    }

    /// Attempts until the time is up.
    async fn destroy_in_time(self: &Arc<Self>, id: &ContainerId) -> Result<(), String> {
        let mut delay = FIRST_DELAY;
        let mut waited = Duration::ZERO;
        loop {
            let (own, its) = (self.clone(), id.clone());
            let step = tokio::task::spawn_blocking(move || own.take_back(&its)).await;
            let Err(why) = step.unwrap_or_else(|error| Err(error.to_string())) else {
                return Ok(());
            };
            if waited >= self.destroy_timeout {
                return Err(why);
            }
            tokio::time::sleep(delay).await;
            waited += delay;
            delay = (delay * 2).min(LAST_DELAY);
        }
    }

    /// One attempt.
    fn take_back(&self, id: &ContainerId) -> Result<(), String> {
        if let Some(linux) = self.linux_of(id) {
            let left = linux.cgroups.processes(id.as_str());
            let left = left.map_err(|error| format!("cannot list its processes: {error}"))?;
            if !left.is_empty() {
                let killed = linux.cgroups.kill(id.as_str());
                killed.map_err(|error| format!("cannot kill its processes: {error}"))?;
                return Err(format!("{} of its processes have not ended", left.len()));
            }
        }
        self.ladder.cleanup(id)?;
        self.provisioner.remove(id)?;
        self.forget(id)
    }

    /// The linux launcher's part, if the container is one of its own, whichever launcher is chosen
    /// now.
    fn linux_of(&self, id: &ContainerId) -> Option<&Linux> {
        self.linux.as_ref().filter(|linux| linux.records.has(id))
    }

    /// The last step: nobody can find the container after it.
    fn forget(&self, id: &ContainerId) -> Result<(), String> {
        let Some(linux) = self.linux_of(id) else {
            return Ok(());
        };
        let mut removed = Ok(());
        if !linux.is_chosen {
            // No isolator has done it.
            for controller in Controller::ALL {
                removed = removed.and(linux.cgroups.remove(controller, id.as_str()));
            }
        }
        removed
            .and_then(|()| linux.cgroups.remove(Controller::Processes, id.as_str()))
            .and_then(|()| linux.records.remove(id))
            .map_err(|error| format!("cannot remove its cgroup: {error}"))
    }

    /// The processes in the cgroups of containers that an earlier run may have left.
    fn processes(&self, expected: &[Survivor]) -> Vec<Process> {
        let Some(linux) = &self.linux else {
            return Vec::new();
        };
        // What is in a container belongs to the innermost one, which comes last.
        let mut outer_first: Vec<&Survivor> = expected.iter().collect();
        outer_first.sort_by_key(|survivor| survivor.container.depth());
        let of_one = |survivor: &Survivor| {
            let pids = linux.cgroups.processes(survivor.container.as_str());
            let directory = survivor.directory.clone();
            let pids = pids.unwrap_or_default().into_iter();
            pids.filter_map(move |pid| processes::named(pid, directory.clone()))
        };
        outer_first.into_iter().flat_map(of_one).collect()
    }

    /// Destroys all containers that an earlier run of this agent has begun, but for those that
    /// go on.
    pub(super) async fn destroy_others(self: &Arc<Self>, running: &BTreeSet<ContainerId>) {
        let recorded = self.linux.as_ref().map(|linux| linux.records.all());
        let mut all = recorded.unwrap_or(Ok(Vec::new())).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot tell which containers an earlier run has left");
            Vec::new()
        });
        // Its image was being made ready when the agent ended.
        all.extend(self.provisioner.all());
        all.retain(|id| !running.contains(id));
        // The inner ones first, and those side by side that are not in each other: one that does
        // not end keeps nobody else.
        all.sort_by(|a, b| b.depth().cmp(&a.depth()).then_with(|| a.cmp(b)));
        all.dedup();
        for level in all.chunk_by(|a, b| a.depth() == b.depth()) {
            let destroyed = stream::iter(level).for_each_concurrent(AT_ONCE, |id| {
                tracing::warn!(container = %id, "destroying a container of an earlier run");
                self.destroy(id, None)
            });
            destroyed.await;
        }
    }

    /// Takes up a container that goes on.
    pub(super) fn recover(&self, container: &Container) {
        self.ladder.recover(container);
    }
}

/// A container as it is launched.
pub(super) fn container(launch: &Launch, owner: Option<Owner>) -> Container {
    Container {
        id: launch.container.clone(),
        directory: launch.directory.as_str().into(),
        owner: owner.map(|Owner { uid, gid }| (uid, gid)),
        resources: launch.resources.clone(),
        info: launch.info.as_deref().cloned(),
        called: launch.called.clone(),
        has_image: launch.image.is_some(),
    }
}

/// Where a persistent volume is, whatever links lead there.
fn real(volume: &Volume) -> Result<PathBuf, String> {
    let path = Path::new(&volume.path).canonicalize();
    path.map_err(|error| {
        let (id, path) = (&volume.id, &volume.path);
        format!("Failed to find the persistent volume '{id}' at '{path}': {error}")
    })
}

/// A container that an earlier run of the agent has started; what it is given will be told.
pub(super) fn recovered(id: ContainerId, directory: &str, is_docker: bool) -> Container {
    let kind = v1::container_info::Type::Docker;
    let info = v1::ContainerInfo {
        r#type: kind as i32,
        ..v1::ContainerInfo::default()
    };
    Container {
        id,
        directory: directory.into(),
        owner: None,
        resources: ContainerResources::default(),
        info: is_docker.then_some(info),
        called: None,
        has_image: false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A containerizer of the linux launcher on a tree of ordinary files.
    fn containerizer(dir: &Path) -> Arc<MesosContainerizer> {
        let trees = dir.join("cgroup");
        fs::create_dir_all(trees.join("freezer")).unwrap();
        fs::write(trees.join("freezer/cgroup.procs"), "").unwrap();
        let config = ContainerizerConfig {
            launcher: LauncherKind::Linux,
            cgroups_hierarchy: trees,
            cgroups_destroy_timeout: Duration::from_secs(10),
            ..ContainerizerConfig::default()
        };
        let opened = MesosContainerizer::open(&config, dir, "/nonexistent".into());
        Arc::new(opened.unwrap())
    }

    /// The cgroup of a container of an earlier run, with a process that does not end.
    fn leave(dir: &Path, id: &str) -> PathBuf {
        Records::open(dir).unwrap().add(&id.into()).unwrap();
        let cgroup = dir.join("cgroup/freezer/mesos").join(id);
        fs::create_dir_all(&cgroup).unwrap();
        fs::write(cgroup.join("freezer.state"), "THAWED").unwrap();
        // No process of this number: the kernel has fewer.
        fs::write(cgroup.join("cgroup.procs"), "1999999999\n").unwrap();
        cgroup
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_do_not_end_cost_no_more_time_than_one_and_are_tried_again() {
        assert!(
            nix::unistd::geteuid().is_root(),
            "the linux launcher needs root"
        );
        let dir = tempfile::tempdir().unwrap();
        let containerizer = containerizer(dir.path());
        let ids = ["a", "b", "c", "d"];
        let cgroups = ids.map(|id| leave(dir.path(), id));
        let waited = Duration::from_secs(15);
        let nobody = BTreeSet::new();
        let destroyed = containerizer.destroy_others(&nobody);
        tokio::time::timeout(waited, destroyed).await.unwrap();
        let linux = containerizer.linux.as_ref().unwrap();
        assert_eq!(linux.records.all().unwrap().len(), ids.len());
        // On a real tree, these files are not in the way.
        for cgroup in &cgroups {
            fs::remove_file(cgroup.join("cgroup.procs")).unwrap();
            fs::remove_file(cgroup.join("freezer.state")).unwrap();
        }
        tokio::time::sleep(waited).await;
        assert!(linux.records.all().unwrap().is_empty());
        assert!(cgroups.iter().all(|cgroup| !cgroup.exists()));
    }
}
