//! The root file systems and volumes that are made of images, one directory for each container
//! (Mesos: `Provisioner`). Mounts nothing where the host could see it: the container's helper does,
//! so that nothing but directories is left when a container has ended, however that came about.
//!
//! What a container has is found by its id alone: `provisioner/containers/<id>/` below the work
//! directory, with the file `layers`, which names the layers it uses, and `rootfses/<name>/`.

mod backend;
mod copy;
pub(super) mod runtime;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tepui_core::agent::messages::Launch;
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

pub use backend::Backend;

use super::images::{ImagesConfig, Settings, Store, Unpacked};
use super::isolator::Tree;
use crate::agent::garbage::Moved;
use crate::metrics::timer::Timer;

/// Below the work directory.
const DIRECTORY: &str = "provisioner/containers";

/// Beside it: directories that are being deleted.
const REMOVED: &str = "removed";

/// Where the kernel makes what is changed, which is seen as the root of the file system.
const ROOT_MODE: u32 = 0o755;

/// Only root needs to look at what containers have made.
const PRIVATE_MODE: u32 = 0o700;

/// Which layers a container uses (Mesos: `ContainerLayers`).
#[derive(Debug, Serialize, Deserialize)]
struct Layers {
    paths: Vec<PathBuf>,
}

/// What was made for a container that is being started.
#[derive(Debug, Default)]
struct Made {
    root: Option<(Tree, Arc<Unpacked>)>,
    volumes: Vec<Tree>,
}

/// Where images are taken from, and what is made of them.
struct Source {
    store: Store,
    backend: Backend,
}

/// Makes file systems of images, and removes them.
pub(in crate::agent) struct Provisioner {
    directory: PathBuf,
    /// None where there are no images, so that what an earlier run has made can still be removed.
    source: Option<Source>,
    /// Held while layers are chosen that nothing on the disk says are used.
    choosing: RwLock<()>,
    made: Mutex<HashMap<ContainerId, Made>>,
    /// For whom something is being made now.
    making: Mutex<HashSet<ContainerId>>,
    /// Made when it is first needed.
    removed: OnceLock<Moved>,
}

impl Provisioner {
    /// # Errors
    /// When images cannot be made file systems of on this machine.
    pub(super) fn open(
        images: Option<&ImagesConfig>,
        backend: Option<Backend>,
        work_dir: &Path,
        fetcher_program: PathBuf,
    ) -> Result<Self, String> {
        let directory = work_dir.join(DIRECTORY);
        let source = match images {
            None => None,
            Some(images) => {
                make_directory(&directory, PRIVATE_MODE)
                    .map_err(|error| format!("cannot make '{}': {error}", directory.display()))?;
                Some(Source {
                    store: Store::open(images, fetcher_program)?,
                    backend: backend::choose(backend, &directory)?,
                })
            }
        };
        let provisioner = Provisioner {
            directory,
            source,
            choosing: RwLock::default(),
            made: Mutex::default(),
            making: Mutex::default(),
            removed: OnceLock::new(),
        };
        if provisioner.directory.exists() {
            let removed = provisioner.removed();
            let removed = removed.map_err(|error| format!("cannot remove containers: {error}"))?;
            // What an earlier run has not deleted.
            removed.delete_all();
        }
        Ok(provisioner)
    }

    /// Makes what a container needs of images; none if it needs nothing. Ends early when it is
    /// dropped.
    pub(super) fn provision(
        self: &Arc<Self>,
        launch: &Launch,
    ) -> Option<BoxFuture<'static, Result<(), String>>> {
        let wanted = Wanted::by(launch);
        let work = self.clone().work(launch.container.clone(), wanted);
        work.map(|work| -> BoxFuture<'static, _> { Box::pin(work) })
    }

    fn work(
        self: Arc<Self>,
        id: ContainerId,
        wanted: Wanted,
    ) -> Option<impl Future<Output = Result<(), String>>> {
        if wanted.is_empty() {
            return None;
        }
        Some(async move {
            let dropped = Dropped::default();
            let is_killed = dropped.0.clone();
            // Nothing is being made before somebody waits for it: what came before may have failed.
            let making = Making::begin(self, id);
            let work = move || {
                let is_killed = || is_killed.load(Ordering::Relaxed);
                making.of.make(&making.id, &wanted, &is_killed)
            };
            let worked = tokio::task::spawn_blocking(work).await;
            worked.unwrap_or_else(|error| Err(format!("Failed to provision the image: {error}")))
        })
    }

    fn make(
        &self,
        id: &ContainerId,
        wanted: &Wanted,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        let source = self.source.as_ref().ok_or("this agent has no images")?;
        let directory = self.of(id);
        let failed = |error: io::Error| format!("Failed to provision the image: {error}");
        let choosing = self.choosing.read().unwrap_or_else(PoisonError::into_inner);
        let get = |image: &v1::Image| source.store.get(image, is_killed);
        let root = wanted.root.as_ref().map(get).transpose()?;
        let volumes: Vec<Arc<Unpacked>> =
            wanted.volumes.iter().map(get).collect::<Result<_, _>>()?;
        make_directory(&directory, PRIVATE_MODE).map_err(failed)?;
        let all = root.iter().chain(&volumes);
        let paths = all.flat_map(|image| image.layers.clone()).collect();
        record(&directory, &Layers { paths }).map_err(failed)?;
        drop(choosing);
        let tree = |name: &str, image: &Unpacked| {
            let tree = directory.join("rootfses").join(name);
            source.backend.make(&tree, &image.layers, is_killed)
        };
        let mut made = Made::default();
        if let Some(image) = root {
            made.root = Some((tree("root", &image)?, image));
        }
        for (at, image) in volumes.iter().enumerate() {
            made.volumes.push(tree(&format!("volume-{at}"), image)?);
        }
        self.made().insert(id.clone(), made);
        Ok(())
    }

    /// The root file system of a container that is being started, and what its image says.
    pub(super) fn root(&self, id: &ContainerId) -> Option<(Tree, Settings)> {
        let made = self.made();
        let (tree, image) = made.get(id)?.root.as_ref()?;
        Some((tree.clone(), image.settings.clone()))
    }

    /// The volumes of a container that is being started, in the order in which it asks for them.
    pub(super) fn volumes(&self, id: &ContainerId) -> Vec<Tree> {
        let made = self.made();
        made.get(id)
            .map_or_else(Vec::new, |made| made.volumes.clone())
    }

    /// Whether a container that has not been removed has a root file system of its own.
    pub(super) fn has_root(&self, id: &ContainerId) -> bool {
        self.of(id).join("rootfses/root").exists()
    }

    /// Removes all that was made for a container, none of whose processes is left.
    ///
    /// # Errors
    /// What cannot be removed, or that it is being made; it may be tried again.
    pub(super) fn remove(&self, id: &ContainerId) -> Result<(), String> {
        if self.making().contains(id) {
            return Err("its root file system is being made".to_owned());
        }
        self.made().remove(id);
        let directory = self.of(id);
        if !directory.exists() {
            return Ok(());
        }
        let failed = |why: String| {
            let directory = directory.display();
            format!("cannot remove its root file system '{directory}': {why}")
        };
        let told = |error: io::Error| failed(error.to_string());
        let removed = self.removed().map_err(told)?;
        let moved = removed.take(&directory).map_err(told)?;
        removed.delete(moved).map_err(failed)
    }

    /// All containers that something was made for.
    pub(super) fn all(&self) -> Vec<ContainerId> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        names.map(ContainerId::new).collect()
    }

    /// Removes images that no container uses, but for those excluded. Blocks.
    ///
    /// # Errors
    /// Why they stay.
    pub(super) fn prune(&self, excluded: &[v1::Image]) -> Result<(), String> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let _none_chooses = self.choosing.try_write().map_err(|_| {
            "images are being unpacked for containers at the moment; try again later".to_owned()
        })?;
        let mut in_use = BTreeSet::new();
        for id in self.all() {
            let layers = recorded(&self.of(&id));
            let layers = layers.map_err(|error| {
                format!("cannot tell which layers the container {id} uses: {error}")
            })?;
            in_use.extend(layers.into_iter().flat_map(|layers| layers.paths));
        }
        source.store.prune(excluded, &in_use)
    }

    /// Whether there is so little room left that images are to go.
    pub(super) fn wants_prune(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.store.wants_prune())
    }

    /// How long it took to unpack images.
    pub(super) fn image_pulls(&self) -> Option<&Timer> {
        self.source.as_ref().map(|source| source.store.timer())
    }

    /// Where directories wait to be deleted. A container may have made them deeper than a walk
    /// through them could bear.
    fn removed(&self) -> io::Result<&Moved> {
        if let Some(removed) = self.removed.get() {
            return Ok(removed);
        }
        let opened = Moved::open(self.directory.with_file_name(REMOVED))?;
        Ok(self.removed.get_or_init(|| opened))
    }

    fn of(&self, id: &ContainerId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    fn made(&self) -> MutexGuard<'_, HashMap<ContainerId, Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn making(&self) -> MutexGuard<'_, HashSet<ContainerId>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which images a container asks for.
#[derive(Debug)]
struct Wanted {
    root: Option<v1::Image>,
    volumes: Vec<v1::Image>,
}

impl Wanted {
    fn by(launch: &Launch) -> Self {
        let info = launch.info.as_deref();
        let mesos = info.and_then(|info| info.mesos.as_ref());
        let root = mesos.filter(|_| launch.image.is_some());
        let volumes = info.into_iter().flat_map(|info| &info.volumes);
        Wanted {
            root: root.and_then(|mesos| mesos.image.clone()),
            volumes: volumes.filter_map(|volume| volume.image.clone()).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.root.is_none() && self.volumes.is_empty()
    }
}

/// Says that something is being made for a container.
struct Making {
    of: Arc<Provisioner>,
    id: ContainerId,
}

impl Making {
    fn begin(of: Arc<Provisioner>, id: ContainerId) -> Self {
        of.making().insert(id.clone());
        Making { of, id }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.of.making().remove(&self.id);
    }
}

/// Says that nobody waits any more.
#[derive(Default)]
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Written before anything else of a container's, so that no layer goes that it may use.
fn record(directory: &Path, layers: &Layers) -> io::Result<()> {
    let text = serde_json::to_vec(layers)?;
    let draft = directory.join("layers.tmp");
    fs::write(&draft, text)?;
    fs::rename(draft, directory.join("layers"))
}

fn recorded(directory: &Path) -> io::Result<Option<Layers>> {
    match fs::read(directory.join("layers")) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        // Nothing was made of any layer yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The directory of a tree whose layers are to be mounted over each other.
fn make_layered(directory: &Path, layers: &[PathBuf]) -> io::Result<Tree> {
    make_directory(directory, PRIVATE_MODE)?;
    for name in ["upper", "work", "rootfs"] {
        make_directory(&directory.join(name), ROOT_MODE)?;
    }
    for (at, layer) in layers.iter().enumerate() {
        symlink(layer, directory.join(at.to_string()))?;
    }
    Ok(Tree {
        directory: directory.to_owned(),
        layers: layers.len(),
    })
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{OFlag, openat};
    use nix::sys::stat::{Mode, mkdirat};

    use super::*;

    #[tokio::test]
    async fn what_is_being_made_is_not_removed_and_what_is_not_is() {
        let dir = tempfile::tempdir().unwrap();
        let provisioner = Provisioner::open(None, None, dir.path(), "/nonexistent".into()).unwrap();
        let provisioner = Arc::new(provisioner);
        let id = ContainerId::from("c");
        let work = |root| {
            let volumes = Vec::new();
            provisioner
                .clone()
                .work(id.clone(), Wanted { root, volumes })
        };
        assert!(work(None).is_none());
        // One that nobody waits for, as its URIs could not be fetched.
        drop(work(Some(v1::Image::default())).unwrap());
        provisioner.remove(&id).unwrap();
        let refused = work(Some(v1::Image::default())).unwrap().await;
        assert_eq!(refused, Err("this agent has no images".to_owned()));
        provisioner.remove(&id).unwrap();
        let making = Making::begin(provisioner.clone(), id.clone());
        assert!(provisioner.remove(&id).is_err());
        drop(making);
        provisioner.remove(&id).unwrap();
    }

    /// Deeper than paths are long, and than a thread's stack is.
    const DEPTH: usize = 20_000;

    #[test]
    fn a_container_is_removed_however_deep_its_directories_are() {
        let dir = tempfile::tempdir().unwrap();
        let provisioner = Provisioner::open(None, None, dir.path(), "/nonexistent".into()).unwrap();
        let id = ContainerId::from("c");
        provisioner.remove(&id).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let top = provisioner.of(&id).join("rootfses/root/upper");
        fs::create_dir_all(&top).unwrap();
        let mut deepest = std::os::fd::OwnedFd::from(fs::File::open(top).unwrap());
        for _ in 0..DEPTH {
            mkdirat(&deepest, "d", Mode::S_IRWXU).unwrap();
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
            deepest = openat(&deepest, "d", flags, Mode::empty()).unwrap();
        }
        provisioner.remove(&id).unwrap();
        assert!(provisioner.all().is_empty());
        let removed = dir.path().join("provisioner/removed");
        assert_eq!(fs::read_dir(removed).unwrap().count(), 0);
    }
}
