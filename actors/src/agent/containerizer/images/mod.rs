//! The store of images of the Mesos containerizer: from an image that a container asks for to
//! directories with its layers, and its settings (Mesos: `slave::docker::Store`).
//! Mounts nothing, and downloads nothing: images are archives or OCI layouts in a directory of this
//! machine.

mod archive;
mod disk;
mod program;
mod pulls;
mod record;
mod reference;
mod settings;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::unistd::Uid;
pub(in crate::agent) use tepui_protocol::fetch::ImageSettings as Settings;
use tepui_protocol::fetch::{ImageForm, Unpack, UnpackedImage};
use tepui_protocol::v1;

use crate::clock::Clock;
use crate::metrics::agent::IMAGE_PULL_WINDOW;
use crate::metrics::timer::Timer;
use archive::Archive;
use disk::Disk;
use pulls::Pulls;
use record::{Images, Known};
use reference::Reference;
use settings::reference;
pub use settings::{ImageGc, ImageProvider, ImagesConfig};

/// An image that is unpacked. Its layers stay at least as long as somebody holds this.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::agent) struct Unpacked {
    /// Directories, the lowest first. What a layer hides of those below is there in the form of
    /// overlayfs: a character device 0:0 stands for a name that is gone, and a directory with the
    /// attribute `trusted.overlay.opaque` of `y` shows nothing of those below. Layers that one above
    /// them hides altogether are left out.
    pub(in crate::agent) layers: Vec<PathBuf>,
    /// What the image says of the programs that run in it.
    pub(in crate::agent) settings: Settings,
}

/// The store.
pub(in crate::agent) struct Store {
    shelf: Arc<Shelf>,
    pulls: Pulls,
    registry: PathBuf,
    gc: Option<ImageGc>,
}

impl Store {
    /// Opens or makes the store.
    ///
    /// # Errors
    /// When its settings are wrong, or another agent uses it.
    pub(in crate::agent) fn open(
        config: &ImagesConfig,
        fetcher_program: PathBuf,
    ) -> Result<Self, String> {
        check(config)?;
        let disk = Disk::open(&config.docker_store_dir)?;
        let images = record::read(disk.path()).unwrap_or_else(|error| {
            tracing::error!(%error, "which images are unpacked is not known: they are read anew");
            Images::new()
        });
        let forms = config.providers.iter().map(|provider| match provider {
            ImageProvider::Docker => ImageForm::Docker,
            ImageProvider::Oci => ImageForm::Oci,
        });
        let shelf = Arc::new(Shelf {
            disk,
            program: fetcher_program,
            forms: forms.collect(),
            books: Mutex::new(Books {
                images,
                ..Books::default()
            }),
            timer: Timer::new(IMAGE_PULL_WINDOW),
            clock: Clock::start(),
        });
        Ok(Store {
            pulls: Pulls::default(),
            shelf,
            registry: config.docker_registry.clone(),
            gc: config.gc.clone(),
        })
    }

    /// The image's layers and settings, which are unpacked if that is not done yet; many callers
    /// share one unpacking. Blocks. `is_killed` is asked now and then.
    ///
    /// # Errors
    /// Why there is no such image, in words for whoever asked for it.
    pub(in crate::agent) fn get(
        &self,
        image: &v1::Image,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<Arc<Unpacked>, String> {
        let reference = reference(image)?;
        let archive = archive::find(&self.registry, &reference)?;
        let is_wanted_anew = image.cached == Some(false);
        if !is_wanted_anew && let Some(unpacked) = self.shelf.known(&reference, &archive) {
            return Ok(unpacked);
        }
        let key = (reference.key(), archive.clone());
        let shelf = self.shelf.clone();
        let work = move |handle: &pulls::Handle| shelf.unpack(&reference, archive, handle);
        self.pulls.get(key, work, is_killed)
    }

    /// Removes images and layers that nobody needs: neither `excluded` nor with a layer `in_use`
    /// (Mesos: `Store::prune`). Blocks.
    ///
    /// # Errors
    /// When an excluded image has no valid name, an image is being unpacked, or the disk fails.
    pub(in crate::agent) fn prune(
        &self,
        excluded: &[v1::Image],
        in_use: &BTreeSet<PathBuf>,
    ) -> Result<(), String> {
        let configured = self.gc.iter().flat_map(|gc| &gc.excluded);
        let excluded = excluded.iter().chain(configured);
        let excluded = excluded.map(|image| Ok(reference(image)?.key()));
        let excluded = excluded.collect::<Result<BTreeSet<String>, String>>()?;
        let moved = self
            .pulls
            .meanwhile_none(|| self.shelf.prune(&excluded, in_use))??;
        for path in moved {
            self.shelf.disk.delete(path)?;
        }
        Ok(())
    }

    /// Whether the disk is fuller than `--image_gc_config` wants it to be. (Mesos:
    /// `Slave::_checkImageDiskUsage`.)
    pub(in crate::agent) fn wants_prune(&self) -> bool {
        let Some(gc) = &self.gc else { return false };
        match self.shelf.disk.used() {
            Ok(used) => used + gc.headroom > 1.0,
            Err(error) => {
                tracing::error!(%error, "cannot tell how full the disk of the image store is");
                false
            }
        }
    }

    /// How long it took to unpack images.
    pub(in crate::agent) fn timer(&self) -> &Timer {
        &self.shelf.timer
    }
}

fn check(config: &ImagesConfig) -> Result<(), String> {
    let registry = config.docker_registry.display();
    if !config.docker_registry.is_absolute() {
        return Err(format!(
            "--docker_registry={registry} is not supported: images are not fetched from servers, \
             expected the absolute path of a directory with archives of 'docker save' or OCI images"
        ));
    }
    if config.providers.is_empty() {
        return Err("--image_providers names none, expected 'docker', 'oci' or both".to_owned());
    }
    if !Uid::effective().is_root() {
        let why = "--image_providers needs an agent that runs as root: files of images have owners";
        return Err(why.to_owned());
    }
    Ok(())
}

/// Images that are unpacked, and where they are.
struct Shelf {
    disk: Disk,
    program: PathBuf,
    forms: Vec<ImageForm>,
    books: Mutex<Books>,
    timer: Timer,
    clock: Clock,
}

#[derive(Default)]
struct Books {
    images: Images,
    /// What callers may still hold, with the names of its layers.
    handed_out: Vec<(Weak<Unpacked>, Vec<String>)>,
}

impl Shelf {
    /// An image that is unpacked, if it is from this archive and whole.
    fn known(&self, reference: &Reference, archive: &Archive) -> Option<Arc<Unpacked>> {
        let mut books = self.books();
        let known = books.images.get(&reference.key())?;
        let is_whole = || known.image.layers.iter().all(|layer| self.disk.has(layer));
        if known.archive != *archive || !is_whole() {
            return None;
        }
        let image = known.image.clone();
        Some(self.hand_out(&mut books, image))
    }

    /// Unpacks an image and writes down that it is.
    fn unpack(
        &self,
        reference: &Reference,
        archive: Archive,
        handle: &pulls::Handle,
    ) -> Result<Arc<Unpacked>, String> {
        let begun = self.clock.now().mono;
        let path = archive.path.display().to_string();
        let failed =
            |why: String| format!("Failed to unpack image '{reference}' from '{path}': {why}");
        let staged = self.disk.stage();
        let staged = staged.map_err(|error| {
            failed(format!(
                "cannot make a directory in --docker_store_dir: {error}"
            ))
        })?;
        let done = self.unpack_into(&staged, reference, archive, handle);
        self.disk.unstage(&staged);
        let done = done.map_err(failed)?;
        let now = self.clock.now().mono;
        self.timer.record(now, now.since(begun));
        tracing::info!(image = %reference, archive = path, "unpacked an image");
        Ok(done)
    }

    fn unpack_into(
        &self,
        staged: &Path,
        reference: &Reference,
        archive: Archive,
        handle: &pulls::Handle,
    ) -> Result<Arc<Unpacked>, String> {
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| format!("the path '{}' is not in UTF-8", path.display()))
        };
        let order = Unpack {
            image: reference.to_string(),
            archive: text(&archive.path)?,
            name: reference.tagged(),
            digest: reference.digest().map(str::to_owned),
            forms: self.forms.clone(),
            directory: text(staged)?,
            known: text(&self.disk.layers_path())?,
        };
        let image = program::run(&self.program, order, |input| handle.keep(input))?;
        let known = Known {
            archive,
            image: image.clone(),
        };
        // Another image may bring the same layers at the same time.
        let mut books = self.books();
        let adopted = self.disk.adopt(staged, &known.image.layers);
        adopted.map_err(|error| format!("cannot keep its layers: {error}"))?;
        books.images.insert(reference.key(), known);
        let written = record::write(self.disk.path(), &books.images);
        written.map_err(|error| format!("cannot record it: {error}"))?;
        Ok(self.hand_out(&mut books, image))
    }

    fn hand_out(&self, books: &mut Books, image: UnpackedImage) -> Arc<Unpacked> {
        let mut layers = Vec::new();
        for layer in &image.layers {
            if self.disk.is_opaque(layer) {
                layers.clear();
            }
            layers.push(self.disk.rootfs(layer));
        }
        let settings = image.settings;
        let unpacked = Arc::new(Unpacked { layers, settings });
        books.handed_out.retain(|(held, _)| held.strong_count() > 0);
        let held = (Arc::downgrade(&unpacked), image.layers);
        books.handed_out.push(held);
        unpacked
    }

    /// Forgets images and moves layers away; they are to be deleted.
    fn prune(
        &self,
        excluded: &BTreeSet<String>,
        in_use: &BTreeSet<PathBuf>,
    ) -> Result<Vec<PathBuf>, String> {
        let mut books = self.books();
        let used = in_use.iter().filter_map(|path| self.disk.layer_of(path));
        let mut kept: BTreeSet<String> = used.collect();
        books.handed_out.retain(|(held, _)| held.strong_count() > 0);
        kept.extend(
            books
                .handed_out
                .iter()
                .flat_map(|(_, layers)| layers.clone()),
        );
        let is_used = |known: &Known| known.image.layers.iter().all(|layer| kept.contains(layer));
        let stays = |(name, known): &(&String, &Known)| excluded.contains(*name) || is_used(known);
        let images = books.images.iter().filter(stays);
        let images: BTreeMap<String, Known> = images
            .map(|(name, known)| (name.clone(), known.clone()))
            .collect();
        // Forgotten first: an image that is known has all its layers.
        let written = record::write(self.disk.path(), &images);
        written.map_err(|error| format!("cannot record which images stay: {error}"))?;
        kept.extend(images.values().flat_map(|known| known.image.layers.clone()));
        books.images = images;
        let all = self.disk.layers();
        let all = all.map_err(|error| format!("cannot list layers: {error}"))?;
        let mut moved = Vec::new();
        for layer in all.iter().filter(|layer| !kept.contains(*layer)) {
            let path = self.disk.remove(layer);
            moved.push(path.map_err(|error| format!("cannot remove layer '{layer}': {error}"))?);
            tracing::info!(layer, "removing a layer that no image needs");
        }
        Ok(moved)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
