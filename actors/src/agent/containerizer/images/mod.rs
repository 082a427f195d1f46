//! The store of images of the Mesos containerizer: from an image that a container asks for to
//! directories with its layers, and its settings (Mesos: `slave::docker::Store`).
//! Mounts nothing, and downloads nothing: images are archives or OCI layouts in a directory of this
//! machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::agent) use tepui_protocol::fetch::ImageSettings as Settings;
use tepui_protocol::v1;

/// Kinds of archives that images are taken from (`--image_providers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageProvider {
    /// Those that `docker save` writes.
    Docker,
    /// OCI archives, and directories with an OCI layout.
    Oci,
}

/// When images that nobody uses are removed without being asked to (`--image_gc_config`).
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGc {
    /// Share of the disk that is to stay free.
    pub headroom: f64,
    /// Time between two looks at the disk.
    pub interval: Duration,
    /// Images that stay.
    pub excluded: Vec<v1::Image>,
}

/// Settings of the store; each field's flag has the same name, but for `providers`
/// (`--image_providers`) and `gc` (`--image_gc_config`).
#[derive(Debug, Clone, PartialEq)]
pub struct ImagesConfig {
    /// Archives of which kinds are taken.
    pub providers: Vec<ImageProvider>,
    /// The directory with the archives.
    pub docker_registry: PathBuf,
    /// The directory that the store keeps its own files in.
    pub docker_store_dir: PathBuf,
    /// When images are removed without being asked to.
    pub gc: Option<ImageGc>,
}

/// An image that is unpacked. Its layers stay at least as long as somebody holds this.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::agent) struct Unpacked {
    /// Directories, the lowest first. What a layer hides of those below is there in the form of
    /// overlayfs: a character device 0:0 stands for a name that is gone, and a directory with the
    /// attribute `trusted.overlay.opaque` of `y` shows nothing of those below.
    pub(in crate::agent) layers: Vec<PathBuf>,
    /// What the image says of the programs that run in it.
    pub(in crate::agent) settings: Settings,
}

/// The store.
pub(in crate::agent) struct Store {}

impl Store {
    /// Opens or makes the store.
    ///
    /// # Errors
    /// When its settings are wrong, or another agent uses it.
    pub(in crate::agent) fn open(
        _config: &ImagesConfig,
        _fetcher_program: PathBuf,
    ) -> Result<Self, String> {
        Ok(Store {})
    }

    /// The image's layers and settings, which are unpacked if that is not done yet; many callers
    /// share one unpacking. Blocks. `is_killed` is asked now and then.
    ///
    /// # Errors
    /// Why there is no such image, in words for whoever asked for it.
    pub(in crate::agent) fn get(
        &self,
        _image: &v1::Image,
        _is_killed: &dyn Fn() -> bool,
    ) -> Result<Arc<Unpacked>, String> {
        Err("the store is being written".to_owned())
    }

    /// Removes images and layers that nobody needs: neither `excluded` nor with a layer `in_use`
    /// (Mesos: `Store::prune`). Blocks.
    ///
    /// # Errors
    /// When an excluded image has no valid name, an image is being unpacked, or the disk fails.
    pub(in crate::agent) fn prune(
        &self,
        _excluded: &[v1::Image],
        _in_use: &BTreeSet<PathBuf>,
    ) -> Result<(), String> {
        Ok(())
    }

    /// Whether the disk is fuller than `--image_gc_config` wants it to be.
    pub(in crate::agent) fn wants_prune(&self) -> bool {
        false
    }
}

impl ImageGc {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        Err(text.to_owned())
    }
}
