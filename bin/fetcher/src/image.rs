//! Unpacks images: archives of `docker save`, OCI archives, and directories with an OCI layout.
//! Puts no layer above another: each becomes a directory of its own.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use tepui_protocol::fetch::{ImageForm, ImageSettings, Unpack, UnpackedImage};
use thiserror::Error;

use crate::budget::{Budget, Limits};
use crate::sandbox::Sandbox;

mod blobs;
mod digest;
mod docker;
mod documents;
mod layer;
mod oci;
mod tree;

#[cfg(test)]
mod tests;

use blobs::Blobs;
use digest::Digest;
use layer::LayerError;

/// Most layers of an image: the kernel puts no more on top of each other.
const MAX_LAYERS: usize = 500;

/// Directory of a layer's files, below the layer's own.
const ROOTFS: &str = "rootfs";

/// Why an image is not unpacked.
#[derive(Debug, Error)]
pub(crate) enum ImageError {
    #[error("Failed to read '{0}': {1}")]
    Unreadable(String, String),
    #[error("Failed to parse '{0}': {1}")]
    Malformed(String, serde_json::Error),
    #[error("'{0}' is not in it, though the image needs it")]
    Missing(String),
    #[error("'{0}' has {1} bytes, more than the {max} that such a document may have", max = documents::MAX_BYTES)]
    Long(String, u64),
    #[error("'{what}' has the digest {found}, expected {expected}: it is damaged or was replaced")]
    Damaged {
        what: String,
        found: Digest,
        expected: Digest,
    },
    #[error("layer '{0}': {1}")]
    Layer(String, LayerError),
    #[error("Failed to write layer '{0}': {1}")]
    Write(String, std::io::Error),
    #[error("{0}")]
    Wrong(String),
}

/// An image that was found in an archive.
#[derive(Debug)]
struct Found {
    layers: Vec<Layer>,
    settings: ImageSettings,
}

/// A layer of it.
#[derive(Debug)]
struct Layer {
    /// Name of its tar archive.
    file: String,
    /// The digest of that file, if it is known.
    digest: Option<Digest>,
    /// The digest of the archive without its compression, if it is known.
    diff_id: Option<Digest>,
}

/// Unpacks the layers of an image that are not known yet into the order's directory, and puts them
/// onto the disk for good.
///
/// # Errors
/// When there is no such image, or it is damaged or harmful; what is in the directory then is of no
/// use.
pub(crate) fn unpack(order: &Unpack, directory: &Sandbox) -> Result<UnpackedImage, ImageError> {
    let blobs = Blobs::open(&order.archive, directory)?;
    let found = find(order, &blobs)?;
    if found.layers.is_empty() || found.layers.len() > MAX_LAYERS {
        let count = found.layers.len();
        let why = format!("it has {count} layers, expected 1 to {MAX_LAYERS}");
        return Err(ImageError::Wrong(why));
    }
    let mut unpacker = Unpacker {
        order,
        blobs: &blobs,
        budget: budget(&found, &blobs, directory)?,
        done: HashSet::new(),
    };
    let names = found.layers.iter().enumerate();
    let names = names.map(|(number, layer)| unpacker.layer(number, layer));
    let layers = names.collect::<Result<Vec<String>, ImageError>>()?;
    directory
        .sync()
        .map_err(|error| ImageError::Write("all".to_owned(), error))?;
    Ok(UnpackedImage {
        layers,
        settings: found.settings,
    })
}

/// Finds the image in the archive, in whichever form that is.
fn find(order: &Unpack, blobs: &Blobs) -> Result<Found, ImageError> {
    let is_docker = blobs.has(docker::MANIFEST) || blobs.has(docker::REPOSITORIES);
    let is_oci = blobs.has(oci::INDEX);
    let allowed = |form| order.forms.contains(&form);
    let (docker, oci) = (allowed(ImageForm::Docker), allowed(ImageForm::Oci));
    // Digests that users know are in the OCI form only.
    let prefers_oci = order.digest.is_some() || !(is_docker && docker);
    if is_oci && oci && prefers_oci {
        return oci::find(order, blobs);
    }
    if is_docker && docker {
        return docker::find(order, blobs);
    }
    Err(ImageError::Wrong(match (is_docker, is_oci) {
        (false, false) => format!(
            "it is no image: expected '{}' or '{}' as 'docker save' writes them, or '{}' of an \
             OCI image",
            docker::MANIFEST,
            docker::REPOSITORIES,
            oci::INDEX
        ),
        (true, _) => "it is an archive of 'docker save', which is read when --image_providers \
                      names 'docker'"
            .to_owned(),
        (false, true) => {
            "it is an OCI image, which is read when --image_providers names 'oci'".to_owned()
        }
    }))
}

/// What the layers may become, all together.
fn budget(found: &Found, blobs: &Blobs, directory: &Sandbox) -> Result<Budget, ImageError> {
    let mut size: u64 = 0;
    for layer in &found.layers {
        size = size.saturating_add(blobs.open_file(&layer.file)?.size());
    }
    let free = directory.free_bytes();
    let free = free.map_err(|error| ImageError::Write("all".to_owned(), error))?;
    Ok(Budget::new(Limits::of(size, free)))
}

struct Unpacker<'a> {
    order: &'a Unpack,
    blobs: &'a Blobs,
    budget: Budget,
    /// Layers of this image that are there; an image may have the same one several times.
    done: HashSet<Digest>,
}

impl Unpacker<'_> {
    /// Unpacks one layer unless it is there already; its name.
    fn layer(&mut self, number: usize, layer: &Layer) -> Result<String, ImageError> {
        if let Some(id) = layer.diff_id.as_ref().filter(|id| self.is_there(id)) {
            return Ok(id.digits().to_owned());
        }
        let directory = Path::new(&self.order.directory);
        let made = directory.join(format!("layer-{number}"));
        let failed = |error| ImageError::Write(layer.file.clone(), error);
        let id = self.fill(layer, &made.join(ROOTFS))?;
        if !self.is_there(&id) {
            fs::rename(&made, directory.join(id.digits())).map_err(failed)?;
        }
        let name = id.digits().to_owned();
        self.done.insert(id);
        Ok(name)
    }

    fn is_there(&self, id: &Digest) -> bool {
        let known = [&self.order.known, id.digits(), ROOTFS];
        self.done.contains(id) || known.iter().collect::<PathBuf>().is_dir()
    }

    /// Unpacks a layer into a new directory, and checks its digests.
    fn fill(&mut self, layer: &Layer, rootfs: &Path) -> Result<Digest, ImageError> {
        let failed = |error| ImageError::Write(layer.file.clone(), error);
        fs::create_dir_all(rootfs).map_err(failed)?;
        let tree = tree::Tree::open(rootfs).map_err(failed)?;
        let blob = self.blobs.open_file(&layer.file)?;
        let digests = layer::unpack(blob, tree, &mut self.budget);
        let digests = digests.map_err(|error| ImageError::Layer(layer.file.clone(), error))?;
        let expect = |expected: &Option<Digest>, found: Digest, what: String| match expected {
            Some(expected) if *expected != found => Err(ImageError::Damaged {
                what,
                found,
                expected: expected.clone(),
            }),
            _ => Ok(found),
        };
        expect(&layer.digest, digests.file, layer.file.clone())?;
        let content = format!("{} (uncompressed)", layer.file);
        expect(&layer.diff_id, digests.content, content)
    }
}
