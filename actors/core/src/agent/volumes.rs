//! Persistent volumes: their directories, and the links that show them in sandboxes.
//! Makes and removes nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tepui_protocol::v1;
use tepui_protocol::v1::resource::disk_info::source::Type as SourceType;
use tepui_protocol::v1::{TaskState, task_status::Reason};

use super::messages::Effect;
use super::model::{Executor, ExecutorState, Queued, Termination};
use super::{Agent, executor_info, paths};
use crate::ids::{ContainerId, ExecutorId, FrameworkId};
use crate::resources::{Entry, Resources};
use crate::validation::container::is_docker;

/// Why a task is not launched whose volume its container cannot get any more.
pub(super) const TOO_LATE: &str = "Persistent volumes cannot be added to a container of the Docker \
                                   Engine that is there already: its executor or first task must \
                                   have them";

/// What is at a volume's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VolumeKind {
    /// A directory of the volume's own, which is made and removed with it.
    Directory,
    /// A mount point, which stays when the volume's data is removed.
    Mount,
}

/// Where a persistent volume's data is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// The persistence id, for messages.
    pub id: String,
    /// Absolute path.
    pub path: String,
    /// What is there.
    pub kind: VolumeKind,
}

/// A volume that is to be seen in a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeLink {
    /// Where it is seen, as a path below the sandbox.
    pub name: String,
    /// The volume.
    pub volume: Volume,
    /// Whether the sandbox's owner is to own the volume; not so while others use it too.
    pub chown: bool,
    /// Whether the container may only read it, where it sees it by a mount.
    pub read_only: bool,
}

/// How a volume is to be seen.
struct Wanted {
    volume: Volume,
    is_shared: bool,
    read_only: bool,
}

/// Links to make and to remove in the sandbox of a container that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumesUpdate {
    /// The container.
    pub container: ContainerId,
    /// Its sandbox.
    pub directory: String,
    /// Links to make.
    pub add: Vec<VolumeLink>,
    /// Links to remove: name in the sandbox, and the path it leads to.
    pub remove: Vec<(String, String)>,
}

/// The volumes among these resources, by path, each with its resource.
///
/// # Errors
/// When one of them has no path, or two have the same.
pub fn by_path(
    work_dir: &str,
    resources: &Resources,
) -> Result<BTreeMap<String, (Volume, Entry)>, String> {
    let mut found = BTreeMap::new();
    for entry in resources
        .iter()
        .filter(|entry| entry.is_persistent_volume())
    {
        let volume = volume(work_dir, entry)?;
        let (id, path) = (volume.id.clone(), volume.path.clone());
        if found
            .insert(path.clone(), (volume, entry.clone()))
            .is_some()
        {
            return Err(format!(
                "two persistent volumes '{id}' would have the same directory '{path}'"
            ));
        }
    }
    Ok(found)
}

fn volume(work_dir: &str, entry: &Entry) -> Result<Volume, String> {
    let path = paths::persistent_volume(work_dir, entry)?;
    let disk = entry.disk();
    let source = disk.and_then(|disk| disk.source.as_ref());
    let mount = source.is_some_and(|source| source.r#type == SourceType::Mount as i32);
    let persistence = disk.and_then(|disk| disk.persistence.as_ref());
    Ok(Volume {
        id: persistence.map_or_else(String::new, |persistence| persistence.id.clone()),
        path,
        kind: match mount {
            true => VolumeKind::Mount,
            false => VolumeKind::Directory,
        },
    })
}

/// The links that show these resources' volumes, by name.
fn links(work_dir: &str, resources: &[v1::Resource]) -> Result<BTreeMap<String, Wanted>, String> {
    let mut found: BTreeMap<String, Wanted> = BTreeMap::new();
    for resource in resources {
        let Some(shown) = resource.disk.as_ref().and_then(|disk| disk.volume.as_ref()) else {
            continue;
        };
        let bag = Resources::from_v1(std::slice::from_ref(resource))
            .map_err(|error| error.to_string())?;
        let Some(entry) = bag.iter().find(|entry| entry.is_persistent_volume()) else {
            continue;
        };
        let volume = volume(work_dir, entry)?;
        let name = &shown.container_path;
        if !paths::is_safe_path(name) {
            return Err(format!(
                "The container path {name:?} of persistent volume '{}' is not supported: it must \
                 be a path below the sandbox, such as 'data' or 'data/db'",
                volume.id
            ));
        }
        let read_only = shown.mode() == v1::volume::Mode::Ro;
        let wanted = Wanted {
            volume,
            is_shared: entry.is_shared(),
            read_only,
        };
        let Some(other) = found.get_mut(name) else {
            found.insert(name.clone(), wanted);
            continue;
        };
        if other.volume != wanted.volume {
            return Err(format!(
                "The existing symlink '{name}' points to '{}' and the new target is '{}'",
                other.volume.path, wanted.volume.path
            ));
        }
        // Who writes to it can see what others only read.
        other.read_only &= wanted.read_only;
    }
    Ok(found)
}

impl Agent {
    /// The links an executor needs from its start, for its own resources and those of its first
    /// tasks.
    ///
    /// # Errors
    /// When a volume cannot be shown where it is wanted.
    pub(super) fn first_links(
        &self,
        info: &v1::ExecutorInfo,
        work: &Queued,
    ) -> Result<Vec<VolumeLink>, String> {
        let tasks = work.tasks().iter().flat_map(|task| &task.resources);
        let all: Vec<v1::Resource> = info.resources.iter().chain(tasks).cloned().collect();
        let wanted = links(&self.settings.work_dir, &all)?;
        Ok(self.to_make(wanted, None))
    }

    /// The links that a container in that of an executor shows for what it was given: volumes that
    /// the executor has, whose owner has been chosen with that.
    ///
    /// # Errors
    /// When a volume cannot be shown where it is wanted, or is none of the executor's.
    pub(super) fn inner_links(
        &self,
        root: &ContainerId,
        resources: &[v1::Resource],
    ) -> Result<Vec<VolumeLink>, String> {
        let wanted = links(&self.settings.work_dir, resources)?;
        let owner = self.containers.get(root);
        let executor = owner.and_then(|(framework, executor)| self.executor(framework, executor));
        let has = |volume: &Volume| {
            executor.is_some_and(|known| known.volumes.values().any(|path| *path == volume.path))
        };
        let links = wanted.into_iter().map(|(name, wanted)| {
            let Wanted {
                volume, read_only, ..
            } = wanted;
            if !has(&volume) {
                return Err(format!(
                    "Persistent volume '{}' is none of the executor's in whose container this one \
                     is to be",
                    volume.id
                ));
            }
            Ok(VolumeLink {
                name,
                volume,
                chown: false,
                read_only,
            })
        });
        links.collect()
    }

    /// Whether tasks need a volume that the executor's container does not have and cannot get any
    /// more: the Docker Engine adds none to one that it has made. (Mesos launches them without it.)
    pub(super) fn brings_volume_too_late(&self, executor: &Executor, work: &Queued) -> bool {
        let in_docker = executor.info.container.as_deref().is_some_and(is_docker);
        let may_join = match executor.state {
            ExecutorState::Registering | ExecutorState::Running(_) => in_docker,
            // Nothing comes of such tasks anyway.
            ExecutorState::Terminating(_) | ExecutorState::Terminated => false,
        };
        let resources = work.tasks().iter().flat_map(|task| &task.resources);
        let resources: Vec<v1::Resource> = resources.cloned().collect();
        let wanted = match links(&self.settings.work_dir, &resources) {
            Ok(wanted) if may_join => wanted,
            // What is wrong with them is said when they are to be shown.
            _ => return false,
        };
        let has = |(name, wanted): (&String, &Wanted)| {
            executor.volumes.get(name) == Some(&wanted.volume.path)
        };
        !wanted.iter().all(has)
    }

    /// Orders the links of tasks that were just queued for an executor that exists; delivery
    /// waits for them.
    pub(super) fn add_links(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let Some(executor) = self.executor(framework, id).cloned() else {
            return;
        };
        let container = executor.container.clone();
        let wanted = match links(&self.settings.work_dir, &used_by(&executor)) {
            Ok(wanted) => wanted,
            Err(why) => return self.links_failed(framework, id, &why, out),
        };
        let in_image = executor_info::has_image(executor.info.container.as_deref());
        let is_known = |name: &String| executor.volumes.contains_key(name);
        if in_image && !wanted.keys().all(is_known) {
            let why = "persistent volumes cannot be added yet to containers with an image that run";
            return self.links_failed(framework, id, why, out);
        }
        for (name, shown) in &wanted {
            let (before, path) = (executor.volumes.get(name), &shown.volume.path);
            if let Some(other) = before.filter(|before| *before != path) {
                let why = format!(
                    "The existing symlink '{}' points to '{other}' and the new target is '{path}'",
                    paths::join(&executor.directory, name)
                );
                return self.links_failed(framework, id, &why, out);
            }
        }
        let new = wanted
            .into_iter()
            .filter(|(name, _)| !executor.volumes.contains_key(name));
        let add = self.to_make(new.collect(), Some(&container));
        if add.is_empty() {
            return;
        }
        if let Some(known) = self.executor_mut(framework, id) {
            known.linking += 1;
            let made = add
                .iter()
                .map(|link| (link.name.clone(), link.volume.path.clone()));
            known.volumes.extend(made);
        }
        out.push(Effect::UpdateVolumes(Box::new(VolumesUpdate {
            container,
            directory: executor.directory.clone(),
            add,
            remove: Vec::new(),
        })));
    }

    /// Orders the removal of links that no task of the executor uses any more.
    pub(super) fn remove_links(
        &mut self,
        framework: &FrameworkId,
        id: &ExecutorId,
        out: &mut Vec<Effect>,
    ) {
        let Some(executor) = self.executor(framework, id) else {
            return;
        };
        if executor.volumes.is_empty() {
            return;
        }
        // What cannot be shown was refused before, so that it holds no link.
        let wanted = links(&self.settings.work_dir, &used_by(executor)).unwrap_or_default();
        let remove: Vec<(String, String)> = executor
            .volumes
            .iter()
            .filter(|(name, _)| !wanted.contains_key(*name))
            .map(|(name, path)| (name.clone(), path.clone()))
            .collect();
        if remove.is_empty() {
            return;
        }
        let (container, directory) = (executor.container.clone(), executor.directory.clone());
        if let Some(known) = self.executor_mut(framework, id) {
            for (name, _) in &remove {
                known.volumes.remove(name);
            }
            known.linking += 1;
        }
        out.push(Effect::UpdateVolumes(Box::new(VolumesUpdate {
            container,
            directory,
            add: Vec::new(),
            remove,
        })));
    }

    /// Links were made or removed, or could not be.
    pub(super) fn volumes_updated(
        &mut self,
        container: &ContainerId,
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some((framework, id)) = self.containers.get(container).cloned() else {
            return;
        };
        let Some(executor) = self.executor_mut(&framework, &id) else {
            return;
        };
        executor.linking = executor.linking.saturating_sub(1);
        match result {
            Ok(()) => self.deliver(&framework, &id, out),
            Err(why) => self.links_failed(&framework, &id, &why, out),
        }
    }

    /// A volume cannot be shown: as in Mesos, the whole container ends.
    fn links_failed(
        &mut self,
        framework_id: &FrameworkId,
        id: &ExecutorId,
        why: &str,
        out: &mut Vec<Effect>,
    ) {
        let state = match self.frameworks.get(framework_id) {
            Some(framework) if framework.is_partition_aware() => TaskState::TaskGone,
            _ => TaskState::TaskLost,
        };
        let Some(executor) = self.executor_mut(framework_id, id) else {
            return;
        };
        match executor.state {
            ExecutorState::Registering => executor.state = ExecutorState::Terminating(None),
            ExecutorState::Running(connection) => {
                executor.state = ExecutorState::Terminating(connection);
            }
            ExecutorState::Terminating(_) | ExecutorState::Terminated => return,
        }
        executor.termination.get_or_insert_with(|| Termination {
            limited: Vec::new(),
            state,
            reason: Reason::ContainerUpdateFailed,
            message: format!("Failed to update resources for container: {why}"),
        });
        out.push(Effect::Kill(executor.container.clone()));
    }

    /// Fills in whether each volume is to change hands; `own` is the container it is for.
    fn to_make(
        &self,
        wanted: BTreeMap<String, Wanted>,
        own: Option<&ContainerId>,
    ) -> Vec<VolumeLink> {
        let make = wanted.into_iter().map(|(name, wanted)| VolumeLink {
            name,
            chown: !wanted.is_shared || !self.is_used_elsewhere(&wanted.volume.path, own),
            read_only: wanted.read_only,
            volume: wanted.volume,
        });
        make.collect()
    }

    fn is_used_elsewhere(&self, path: &str, own: Option<&ContainerId>) -> bool {
        let executors = self
            .frameworks
            .values()
            .flat_map(|framework| framework.executors.values());
        executors
            .filter(|executor| executor.state != ExecutorState::Terminated)
            .filter(|executor| Some(&executor.container) != own)
            .any(|executor: &Arc<Executor>| executor.volumes.values().any(|used| used == path))
    }
}

/// What an executor and its tasks that have not ended use.
fn used_by(executor: &Executor) -> Vec<v1::Resource> {
    let queued = executor.queued.iter().flat_map(|queued| queued.tasks());
    let queued = queued.flat_map(|task| &task.resources);
    let launched = executor.launched.values().flat_map(|task| &task.resources);
    let own = executor.info.resources.iter();
    own.chain(queued).chain(launched).cloned().collect()
}
