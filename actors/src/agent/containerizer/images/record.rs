//! Which images are unpacked, written down so that a restart need not unpack them again.
//! Knows no directory of layers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tepui_protocol::fetch::UnpackedImage;

use super::archive::Archive;

/// Name of the file.
const NAME: &str = "images.json";

/// Name of the file that will take its place.
const NEW: &str = "images.json.new";

/// Most bytes of it that are read.
const MAX_BYTES: u64 = 64 << 20;

/// An image that is unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// What it was unpacked from.
    pub(super) archive: Archive,
    /// What was found there.
    pub(super) image: UnpackedImage,
}

/// Images by their names.
pub(super) type Images = BTreeMap<String, Known>;

/// Reads the file below the store's directory; none that is there is no image.
///
/// # Errors
/// When it cannot be read, or means nothing.
pub(super) fn read(store: &Path) -> io::Result<Images> {
    let path = store.join(NAME);
    match fs::metadata(&path) {
        Ok(found) if found.len() > MAX_BYTES => return Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Images::new()),
        Err(error) => return Err(error),
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Writes the file; at no time is there half of one.
///
/// # Errors
/// When the disk fails; then the old one is there.
pub(super) fn write(store: &Path, images: &Images) -> io::Result<()> {
    let new = store.join(NEW);
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(images)?)?;
    file.sync_all()?;
    fs::rename(&new, store.join(NAME))?;
    File::open(store)?.sync_all()
}
