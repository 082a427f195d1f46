//! What a containerizer is, and those of one agent: a container goes to the first that takes it.
//! Starts nothing itself, and knows no container but by whom it belongs to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tepui_core::agent::Isolation;
use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::{Launch, Limitation};
use tepui_core::agent::survivors::{self, Found, Process, Survivor};
use tepui_core::ids::ContainerId;
use tepui_core::validation::container::is_docker;
use tepui_protocol::v1;

use super::MesosContainerizer;
use super::cgroups::Wait;
use super::config::{ContainerizerConfig, ContainerizerKind};
use super::docker::DockerContainerizer;
use super::isolator::Container;
use super::isolators::volumes::look_up;
use super::start::Started;
use super::statuses::Statuses;
use crate::agent::processes;
use crate::agent::sandbox::{Output, Owner};
use crate::metrics::timer::Timer;

/// Takes containers from their sandbox to their last trace (Mesos: `Containerizer`).
pub(in super::super) trait Containerizer: Send + Sync {
    /// Its name in `--containerizers`.
    fn kind(&self) -> ContainerizerKind;

    /// Makes ready what may take long, as an image does; other launches go on meanwhile. None where
    /// there is nothing of the kind. What was made is taken back by `destroy`.
    fn provision(
        self: Arc<Self>,
        _launch: &Launch,
    ) -> Option<BoxFuture<'static, Result<(), String>>> {
        None
    }

    /// Starts a container's first process. `is_killed` is asked between the steps. Waits for the
    /// kernel and the disk.
    ///
    /// # Errors
    /// Why there is no process; then nothing is left of the container.
    fn start(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Started, String>;

    /// Takes up a container that an earlier run has started.
    fn recover(&self, container: &Container);

    /// What may end a container that runs.
    fn watches(&self, container: &Container) -> Vec<Wait<Limitation>>;

    /// Gives a container other resources. Waits for the kernel.
    fn update(&self, id: &ContainerId, resources: &ContainerResources);

    /// Adds what is known of a container's use of resources. Waits for the kernel.
    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics);

    /// Kills all processes of a container, of which `leader` is the first; does not wait for their
    /// end.
    fn kill(&self, id: &ContainerId, leader: u32);

    /// Whether a container has ended for what it used, where only its end shows that. None where
    /// nobody need be asked.
    fn last_limitation(
        self: Arc<Self>,
        _id: &ContainerId,
    ) -> Option<BoxFuture<'static, Option<Limitation>>> {
        None
    }

    /// Ends what is left of a container whose first process, `leader`, has ended or is to end.
    fn destroy(self: Arc<Self>, id: ContainerId, leader: Option<u32>) -> BoxFuture<'static, ()>;

    /// Processes of these containers that their environment does not give away. Waits for the
    /// kernel.
    fn processes(&self, expected: &[Survivor]) -> Vec<Process>;

    /// Removes images that no container uses, but for those excluded. Blocks.
    ///
    /// # Errors
    /// Why they stay.
    fn prune_images(&self, _excluded: &[v1::Image]) -> Result<(), String> {
        Ok(())
    }

    /// Whether there is so little room left that images are to go.
    fn wants_prune(&self) -> bool {
        false
    }

    /// How long it took to unpack images, if it does that.
    fn image_pulls(&self) -> Option<&Timer> {
        None
    }

    /// Destroys what an earlier run has left, but for the containers that go on.
    fn destroy_others(self: Arc<Self>, running: BTreeSet<ContainerId>) -> BoxFuture<'static, ()>;
}

/// The containerizers of one agent.
pub(in super::super) struct Containerizers {
    all: Vec<Arc<dyn Containerizer>>,
    abilities: Isolation,
    /// How containers that were launched by calls have ended.
    statuses: Statuses,
    /// Whose the containers are that have not been destroyed.
    owners: Mutex<HashMap<ContainerId, Arc<dyn Containerizer>>>,
}

impl Containerizers {
    /// # Errors
    /// When one of them does not fit to its settings, or to this machine.
    pub(in super::super) fn open(
        config: &ContainerizerConfig,
        work_dir: &Path,
        fetcher_program: &Path,
    ) -> Result<Self, String> {
        let mut all: Vec<Arc<dyn Containerizer>> = Vec::new();
        let mut abilities = Isolation {
            mesos: false,
            ..Isolation::default()
        };
        for kind in &config.containerizers {
            match kind {
                ContainerizerKind::Mesos => {
                    let mesos =
                        MesosContainerizer::open(config, work_dir, fetcher_program.to_owned())?;
                    abilities = Isolation {
                        docker: abilities.docker,
                        limits: abilities.limits || mesos.abilities().limits,
                        ..mesos.abilities()
                    };
                    all.push(Arc::new(mesos));
                }
                ContainerizerKind::Docker => {
                    abilities.docker = true;
                    // What tasks are given is what their container may use.
                    abilities.limits = true;
                    all.push(Arc::new(DockerContainerizer::open(config, work_dir)?));
                }
            }
        }
        let statuses = Statuses::open(work_dir)
            .map_err(|error| format!("cannot keep how containers end: {error}"))?;
        Ok(Containerizers {
            all,
            abilities,
            statuses,
            owners: Mutex::default(),
        })
    }

    /// How containers that were launched by calls have ended.
    pub(in super::super) fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    /// What containers can ask for.
    pub(in super::super) fn abilities(&self) -> Isolation {
        self.abilities
    }

    /// Who takes a container that is asked for so. The core has refused what nobody takes.
    fn taker(&self, info: Option<&v1::ContainerInfo>) -> Option<&Arc<dyn Containerizer>> {
        let wanted = match info.is_some_and(is_docker) {
            true => ContainerizerKind::Docker,
            false => ContainerizerKind::Mesos,
        };
        self.all.iter().find(|it| it.kind() == wanted)
    }

    /// Whose a container is; anybody's if nobody has taken it, as there is nothing of it then.
    fn owner(&self, id: &ContainerId) -> Option<Arc<dyn Containerizer>> {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.get(id).or(self.all.first()).cloned()
    }

    fn give(&self, id: &ContainerId, to: &Arc<dyn Containerizer>) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.insert(id.clone(), to.clone());
    }

    /// See [`Containerizer::provision`].
    pub(in super::super) fn provision(
        &self,
        launch: &Launch,
    ) -> Option<BoxFuture<'static, Result<(), String>>> {
        let taker = self.taker(launch.info.as_deref())?;
        let provision = taker.clone().provision(launch)?;
        self.give(&launch.container, taker);
        Some(provision)
    }

    /// See [`Containerizer::start`].
    ///
    /// # Errors
    /// Why there is no process; then nothing is left of the container.
    pub(in super::super) fn start(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Started, String> {
        let taker = self
            .taker(launch.info.as_deref())
            .ok_or("no containerizer takes the container")?;
        self.give(&launch.container, taker);
        taker.start(launch, owner, output, is_killed)
    }

    /// See [`Containerizer::recover`].
    pub(in super::super) fn recover(&self, container: &Container) {
        if let Some(taker) = self.taker(container.info.as_ref()) {
            self.give(&container.id, taker);
            taker.recover(container);
        }
    }

    /// See [`Containerizer::watches`].
    pub(in super::super) fn watches(&self, container: &Container) -> Vec<Wait<Limitation>> {
        let owner = self.owner(&container.id);
        owner.map_or_else(Vec::new, |owner| owner.watches(container))
    }

    /// See [`Containerizer::update`].
    pub(in super::super) fn update(&self, id: &ContainerId, resources: &ContainerResources) {
        if let Some(owner) = self.owner(id) {
            owner.update(id, resources);
        }
    }

    /// See [`Containerizer::usage`].
    pub(in super::super) fn usage(
        &self,
        id: &ContainerId,
        statistics: &mut v1::ResourceStatistics,
    ) {
        if let Some(owner) = self.owner(id) {
            owner.usage(id, statistics);
        }
    }

    /// See [`Containerizer::kill`].
    pub(in super::super) fn kill(&self, id: &ContainerId, leader: u32) {
        if let Some(owner) = self.owner(id) {
            owner.kill(id, leader);
        }
    }

    /// See [`Containerizer::last_limitation`].
    pub(in super::super) async fn last_limitation(&self, id: &ContainerId) -> Option<Limitation> {
        self.owner(id)?.last_limitation(id)?.await
    }

    /// See [`Containerizer::destroy`].
    pub(in super::super) async fn destroy(&self, id: &ContainerId, leader: Option<u32>) {
        if let Some(owner) = self.owner(id) {
            owner.destroy(id.clone(), leader).await;
        }
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.remove(id);
    }

    /// Looks for what an earlier run has left: by the environment of processes, and by what the
    /// containerizers know besides.
    pub(in super::super) fn find(&self, work_dir: &Path, expected: &[Survivor]) -> Found {
        let mut by_pid: BTreeMap<u32, Process> = BTreeMap::new();
        let scanned = processes::all(work_dir).into_iter();
        let known = self.all.iter().flat_map(|it| it.processes(expected));
        by_pid.extend(scanned.chain(known).map(|process| (process.pid, process)));
        let all: Vec<Process> = by_pid.into_values().collect();
        survivors::sort(&all, expected)
    }

    /// See [`Containerizer::prune_images`].
    ///
    /// # Errors
    /// Why they stay.
    pub(in super::super) fn prune_images(&self, excluded: &[v1::Image]) -> Result<(), String> {
        self.all.iter().try_for_each(|it| it.prune_images(excluded))
    }

    /// See [`Containerizer::wants_prune`].
    pub(in super::super) fn wants_prune(&self) -> bool {
        self.all.iter().any(|it| it.wants_prune())
    }

    /// See [`Containerizer::image_pulls`].
    pub(in super::super) fn image_pulls(&self) -> Option<&Timer> {
        self.all.iter().find_map(|it| it.image_pulls())
    }

    /// See [`Containerizer::destroy_others`].
    pub(in super::super) async fn destroy_others(&self, running: &BTreeSet<ContainerId>) {
        for containerizer in &self.all {
            containerizer.clone().destroy_others(running.clone()).await;
        }
    }
}

impl Containerizer for MesosContainerizer {
    fn kind(&self) -> ContainerizerKind {
        ContainerizerKind::Mesos
    }

    fn provision(
        self: Arc<Self>,
        launch: &Launch,
    ) -> Option<BoxFuture<'static, Result<(), String>>> {
        let looking = look_up(launch.info.as_deref());
        let images = self.provisioner.provision(launch);
        if looking.is_none() && images.is_none() {
            return None;
        }
        Some(Box::pin(async move {
            if let Some(looking) = looking {
                looking.await;
            }
            match images {
                Some(images) => images.await,
                None => Ok(()),
            }
        }))
    }

    fn prune_images(&self, excluded: &[v1::Image]) -> Result<(), String> {
        self.provisioner.prune(excluded)
    }

    fn wants_prune(&self) -> bool {
        self.provisioner.wants_prune()
    }

    fn image_pulls(&self) -> Option<&Timer> {
        self.provisioner.image_pulls()
    }

    fn start(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Started, String> {
        self.start(launch, owner, output, is_killed)
    }

    fn recover(&self, container: &Container) {
        self.recover(container);
    }

    fn watches(&self, container: &Container) -> Vec<Wait<Limitation>> {
        self.watches(container)
    }

    fn update(&self, id: &ContainerId, resources: &ContainerResources) {
        self.update(id, resources);
    }

    fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        self.usage(id, statistics);
    }

    fn kill(&self, id: &ContainerId, leader: u32) {
        self.kill(id, leader);
    }

    fn destroy(self: Arc<Self>, id: ContainerId, leader: Option<u32>) -> BoxFuture<'static, ()> {
        Box::pin(async move { MesosContainerizer::destroy(&self, &id, leader).await })
    }

    fn processes(&self, expected: &[Survivor]) -> Vec<Process> {
        self.processes(expected)
    }

    fn destroy_others(self: Arc<Self>, running: BTreeSet<ContainerId>) -> BoxFuture<'static, ()> {
        Box::pin(async move { MesosContainerizer::destroy_others(&self, &running).await })
    }
}
