//! Reads a layer's tar archive and makes what it says below the layer's directory.
//! Does not know where layers go, nor whether a place is safe: `tree` does.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tar::{Entry, EntryType};
use thiserror::Error;

use super::blobs::Blob;
use super::digest::{Digest, Digesting};
use super::tree::{Attributes, Tree};
use crate::budget::{Budget, Exceeded};
use crate::extract::decompressed;
use crate::sandbox::relative;

/// How a name begins that says that another is gone (OCI: whiteout).
const GONE: &[u8] = b".wh.";

/// A name that says that its directory shows nothing of the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How names begin that a file system which Docker once used wanted for itself.
const INTERNAL: &[u8] = b".wh..wh.";

/// How the key of an extended attribute begins in an entry's header.
const ATTRIBUTE_KEY: &str = "SCHILY.xattr.";

/// How keys begin that tell that a file was archived without its holes.
const SPARSE_KEY: &str = "GNU.sparse.";

/// Extended attributes that are the file's own. Others belong to the machine that it was made on,
/// or would tell overlayfs what the image must not.
const KEPT_ATTRIBUTES: [&str; 3] = [
    "security.capability",
    "system.posix_acl_access",
    "system.posix_acl_default",
];
const KEPT_NAMESPACE: &str = "user.";
const OVERLAY_NAMESPACE: &str = "user.overlay.";

/// Why a layer is not unpacked.
#[derive(Debug, Error)]
pub(crate) enum LayerError {
    #[error("entry '{0}' leads out of the image")]
    Outside(String),
    #[error("entry '{0}': {1}")]
    Entry(String, io::Error),
    #[error("entry '{0}': {1}")]
    Unsupported(String, &'static str),
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// What a layer's digests turned out to be.
pub(super) struct Digests {
    /// Of the file.
    pub(super) file: Digest,
    /// Of its content without compression.
    pub(super) content: Digest,
}

/// Unpacks a layer, however it is compressed.
///
/// # Errors
/// When it is broken, harmful or too large; what was made until then stays.
pub(super) fn unpack(
    blob: Blob,
    mut tree: Tree,
    budget: &mut Budget,
) -> Result<Digests, LayerError> {
    let file = Digesting::new(blob);
    let content = decompressed(file.clone()).map_err(unreadable)?;
    let content = Digesting::new(content);
    let mut archive = tar::Archive::new(content.clone());
    for entry in archive.entries().map_err(unreadable)? {
        one(entry.map_err(unreadable)?, &mut tree, budget)?;
    }
    tree.finish()
        .map_err(|(path, error)| LayerError::Entry(path.to_string_lossy().into_owned(), error))?;
    // What follows the archive's end counts, too; first what was not decompressed yet.
    let content = content.finish().map_err(unreadable)?;
    let file = file.finish().map_err(unreadable)?;
    Ok(Digests { file, content })
}

fn one(
    mut entry: Entry<'_, impl Read>,
    tree: &mut Tree,
    budget: &mut Budget,
) -> Result<(), LayerError> {
    let kind = entry.header().entry_type();
    // It describes other entries.
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    budget.entry()?;
    let bytes = entry.path_bytes().into_owned();
    let name = String::from_utf8_lossy(&bytes).into_owned();
    let path = within(&bytes).ok_or_else(|| LayerError::Outside(name.clone()))?;
    let failed = |error| LayerError::Entry(name.clone(), error);
    if let Some(hides) = whiteout(&path) {
        return match hides {
            Hides::Nothing => Ok(()),
            Hides::All(directory) => tree.hide_all(directory).map_err(failed),
            // Nothing has such a name, and it would lead out.
            Hides::One(_, gone) if gone == "." || gone == ".." => Err(LayerError::Outside(name)),
            Hides::One(directory, gone) => tree.hide(&directory.join(gone)).map_err(failed),
        };
    }
    let attributes = attributes(&mut entry, &name)?;
    let is_root = path.as_os_str().is_empty();
    let is_directory = match kind {
        EntryType::Directory => true,
        // Old archives name directories so.
        EntryType::Regular => bytes.ends_with(b"/"),
        _ => false,
    };
    if is_directory {
        return tree.directory(path, attributes).map_err(failed);
    }
    if is_root {
        let why = "it has the place of the image's root, which must be a directory";
        return Err(LayerError::Unsupported(name, why));
    }
    let linked = entry.link_name_bytes().map(|it| it.into_owned());
    match (kind, linked) {
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
            let mut content = Bounded {
                content: &mut entry,
                budget,
                exceeded: None,
            };
            let made = tree.file(&path, &attributes, &mut content);
            match content.exceeded {
                Some(exceeded) => Err(exceeded.into()),
                None => made.map_err(failed),
            }
        }
        (EntryType::Symlink, Some(to)) => tree.link(&path, &to, &attributes).map_err(failed),
        (EntryType::Link, Some(to)) => {
            let to = within(&to).ok_or_else(|| LayerError::Outside(name.clone()))?;
            tree.hard_link(&path, &to).map_err(failed)
        }
        (EntryType::Fifo, _) => tree.pipe(&path, &attributes).map_err(failed),
        // A container gets its devices from the agent, and never from an image.
        (EntryType::Char | EntryType::Block, _) => Ok(()),
        _ => {
            let why = "it is of a kind that no image may bring";
            Err(LayerError::Unsupported(name, why))
        }
    }
}

/// What an entry hides that says so.
enum Hides<'a> {
    /// An older file system's own.
    Nothing,
    /// Everything in a directory.
    All(&'a Path),
    /// A name in a directory.
    One(&'a Path, &'a OsStr),
}

/// What an entry hides; none for one that brings something.
fn whiteout(path: &Path) -> Option<Hides<'_>> {
    let name = path.file_name()?.as_bytes();
    let gone = name.strip_prefix(GONE)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    Some(match name {
        OPAQUE => Hides::All(directory),
        _ if gone.is_empty() || name.starts_with(INTERNAL) => Hides::Nothing,
        _ => Hides::One(directory, OsStr::from_bytes(gone)),
    })
}

/// A path below the root; names that begin with a slash mean the image's. None when it leads out.
fn within(name: &[u8]) -> Option<PathBuf> {
    let start = name.iter().position(|byte| *byte != b'/');
    relative(&name[start.unwrap_or(name.len())..])
}

fn attributes(entry: &mut Entry<'_, impl Read>, name: &str) -> Result<Attributes, LayerError> {
    let header = entry.header();
    let old = header.as_old();
    let id = |field: &[u8], id: io::Result<u64>| {
        let id = u32::try_from(unless_blank(field, id)?).ok();
        // The last one means none.
        id.filter(|id| *id != u32::MAX).ok_or_else(|| {
            LayerError::Unsupported(name.to_owned(), "its owner has an id that is too large")
        })
    };
    let mut attributes = Attributes {
        mode: unless_blank(&old.mode, header.mode())?,
        uid: id(&old.uid, header.uid())?,
        gid: id(&old.gid, header.gid())?,
        modified: i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0),
        extended: Vec::new(),
    };
    let Some(extensions) = entry.pax_extensions().map_err(unreadable)? else {
        return Ok(attributes);
    };
    for extension in extensions {
        let extension = extension.map_err(|_| {
            let why = "its extended attributes cannot be read; one has a line break in its value";
            LayerError::Unsupported(name.to_owned(), why)
        })?;
        let Ok(key) = extension.key() else { continue };
        if key.starts_with(SPARSE_KEY) {
            let why = "it was archived without its holes in a form that is not read";
            return Err(LayerError::Unsupported(name.to_owned(), why));
        }
        if let Some(attribute) = key.strip_prefix(ATTRIBUTE_KEY)
            && is_kept(attribute)
        {
            let value = extension.value_bytes().to_owned();
            attributes.extended.push((attribute.to_owned(), value));
        }
    }
    Ok(attributes)
}

/// A number of a header; a field that was left blank is 0, as for every other reader of archives.
fn unless_blank<T: Default>(field: &[u8], number: io::Result<T>) -> Result<T, LayerError> {
    let is_blank = field.iter().all(|byte| matches!(byte, 0 | b' '));
    match number {
        Err(_) if is_blank => Ok(T::default()),
        number => number.map_err(unreadable),
    }
}

fn is_kept(attribute: &str) -> bool {
    KEPT_ATTRIBUTES.contains(&attribute)
        || (attribute.starts_with(KEPT_NAMESPACE) && !attribute.starts_with(OVERLAY_NAMESPACE))
}

/// Content that ends with an error when it is more than the budget allows.
struct Bounded<'a, R> {
    content: R,
    budget: &'a mut Budget,
    exceeded: Option<Exceeded>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        match self.budget.bytes(count) {
            Ok(()) => Ok(count),
            Err(exceeded) => {
                self.exceeded = Some(exceeded);
                Err(io::Error::other(exceeded))
            }
        }
    }
}

fn unreadable(error: impl ToString) -> LayerError {
    LayerError::Unreadable(error.to_string())
}
