//! Finds an image in an OCI layout: the index, the manifest for this machine, the configuration.
//! Unpacks nothing.

use tepui_protocol::fetch::Unpack;

use super::blobs::Blobs;
use super::digest::Digest;
use super::docker::{layers, none_of, normal, not_a_digest};
use super::documents::{Config, Descriptor, Index, Manifest, Platform};
use super::{Found, ImageError, Layer};

/// Lists the images of a layout.
pub(super) const INDEX: &str = "index.json";

/// Annotations that name an image: with its tag alone or in full; the second is containerd's.
const NAMES: [&str; 2] = [
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
];

/// Types of indices.
const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Types of configurations of images; of what else a layout may hold no container can be made.
const CONFIG_TYPES: [&str; 3] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "",
];

/// Platform of what is no image, such as a statement of how one was built.
const UNKNOWN: &str = "unknown";

/// How deep indices are in one another.
const MAX_DEPTH: usize = 4;

/// Finds the image.
pub(super) fn find(order: &Unpack, blobs: &Blobs) -> Result<Found, ImageError> {
    let (index, _) = blobs.document::<Index>(INDEX)?;
    let candidates = match &order.digest {
        Some(digest) => with_digest(digest, index.manifests, blobs)?,
        None => with_name(&order.name, index.manifests)?,
    };
    let manifest = manifest(candidates, blobs)?;
    let kind = &manifest.config.media_type;
    if !CONFIG_TYPES.contains(&kind.as_str()) {
        let why = format!("it is no image of a container, but holds '{kind}'");
        return Err(ImageError::Wrong(why));
    }
    let config = blob::<Config>(&manifest.config, blobs)?;
    let files = manifest.layers.iter().map(|layer| {
        let digest = Digest::parse(&layer.digest);
        digest
            .map(|digest| path(&digest))
            .ok_or_else(|| not_a_digest(&layer.digest))
    });
    let files = files.collect::<Result<Vec<String>, ImageError>>()?;
    let layers: Vec<Layer> = layers(files.iter().map(String::as_str), &config.rootfs.diff_ids)?;
    Ok(Found {
        layers,
        settings: config.config.unwrap_or_default().settings(),
    })
}

/// Where the content of a digest is.
fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.digits())
}

/// Reads a document by its digest, which it must have.
fn blob<T: serde::de::DeserializeOwned>(
    descriptor: &Descriptor,
    blobs: &Blobs,
) -> Result<T, ImageError> {
    let expected = Digest::parse(&descriptor.digest);
    let expected = expected.ok_or_else(|| not_a_digest(&descriptor.digest))?;
    let what = path(&expected);
    let bytes = blobs.bytes(&what)?;
    let found = Digest::of(&bytes);
    if found != expected {
        return Err(ImageError::Damaged {
            what,
            found,
            expected,
        });
    }
    serde_json::from_slice(&bytes).map_err(|error| ImageError::Malformed(what, error))
}

/// The image that has a digest, on top or in one of the indices.
fn with_digest(
    digest: &str,
    listed: Vec<Descriptor>,
    blobs: &Blobs,
) -> Result<Vec<Descriptor>, ImageError> {
    let mut all = Vec::new();
    let mut level = listed;
    for _ in 0..MAX_DEPTH {
        if let Some(found) = level.iter().find(|it| it.digest == digest) {
            return Ok(vec![Descriptor {
                // Who names it by its digest wants it, whatever it is for.
                platform: None,
                ..found.clone()
            }]);
        }
        let mut next = Vec::new();
        for descriptor in &level {
            all.push(descriptor.digest.clone());
            if is_index(descriptor) {
                next.extend(blob::<Index>(descriptor, blobs)?.manifests);
            }
        }
        level = next;
    }
    Err(none_of(digest, &all))
}

/// The images that have a name, which may be the same one for several platforms. Where there is but
/// one it need have no name, as the archive has it.
fn with_name(wanted: &str, listed: Vec<Descriptor>) -> Result<Vec<Descriptor>, ImageError> {
    let images: Vec<Descriptor> = listed.into_iter().filter(is_image).collect();
    let names = |image: &Descriptor| {
        let names = NAMES.iter().filter_map(|name| image.annotations.get(*name));
        names.cloned().collect::<Vec<String>>()
    };
    let wanted_name = normal(wanted);
    let tag = wanted_name.rsplit(':').next().unwrap_or_default();
    let is_wanted = |name: &String| normal(name) == wanted_name || name == tag;
    let named = images.iter().filter(|it| names(it).iter().any(is_wanted));
    let named: Vec<Descriptor> = named.cloned().collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let of_platforms = images
        .iter()
        .all(|it| it.platform.is_some() && names(it).is_empty());
    if images.len() == 1 || (of_platforms && !images.is_empty()) {
        return Ok(images);
    }
    let all: Vec<String> = images.iter().flat_map(names).collect();
    Err(none_of(wanted, &all))
}

/// The manifest for this machine, out of several or of an index.
fn manifest(mut candidates: Vec<Descriptor>, blobs: &Blobs) -> Result<Manifest, ImageError> {
    for _ in 0..MAX_DEPTH {
        let chosen = for_this_machine(candidates)?;
        if !is_index(&chosen) {
            return blob(&chosen, blobs);
        }
        let index = blob::<Index>(&chosen, blobs)?;
        candidates = index.manifests.into_iter().filter(is_image).collect();
    }
    let why = format!("its indices are in one another more than {MAX_DEPTH} deep");
    Err(ImageError::Wrong(why))
}

fn for_this_machine(candidates: Vec<Descriptor>) -> Result<Descriptor, ImageError> {
    let here = ("linux", architecture());
    let shown = |platform: &Platform| format!("{}/{}", platform.os, platform.architecture);
    let fits = |platform: &Platform| (platform.os.as_str(), platform.architecture.as_str()) == here;
    let platforms = candidates.iter().filter_map(|it| it.platform.as_ref());
    let platforms: Vec<String> = platforms.map(shown).collect();
    let found = candidates
        .into_iter()
        .find(|it| it.platform.as_ref().is_none_or(fits));
    found.ok_or_else(|| {
        ImageError::Wrong(match platforms.is_empty() {
            true => "it holds no image".to_owned(),
            false => format!(
                "it is for {}, and this machine is {}/{}",
                platforms.join(", "),
                here.0,
                here.1
            ),
        })
    })
}

fn is_index(descriptor: &Descriptor) -> bool {
    INDEX_TYPES.contains(&descriptor.media_type.as_str())
}

fn is_image(descriptor: &Descriptor) -> bool {
    let platform = descriptor.platform.as_ref();
    platform.is_none_or(|platform| platform.os != UNKNOWN)
}

/// This machine in the words of images.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}
