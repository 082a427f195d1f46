//! The files of an image by their names: in a tar archive, compressed or not, or in a directory.
//! Does not know what they mean.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::ImageError;
use super::digest::Digest;
use super::documents::MAX_BYTES;
use crate::budget::{Budget, Limits};
use crate::copy::{self, CHUNK_BYTES};
use crate::extract::{MAGIC_BYTES, decompressed, is_compressed};
use crate::sandbox::{Sandbox, relative};

/// Most files in an archive of an image; those of its layers are not meant.
const MAX_FILES: usize = 100_000;

/// How many links to links are followed.
const MAX_LINKS: usize = 8;

/// Name of the archive without its compression, while it is read.
const UNCOMPRESSED: &str = "uncompressed";

/// Where a file is in an archive.
pub(super) enum Place {
    Data { start: u64, bytes: u64 },
    Link(PathBuf),
}

/// The files of an image.
pub(super) enum Blobs {
    Archive {
        file: Rc<File>,
        places: HashMap<PathBuf, Place>,
    },
    Directory(Sandbox),
}

/// A file of an image, open for reading.
pub(super) struct Blob {
    file: Rc<File>,
    next: u64,
    left: u64,
}

impl Blob {
    /// Bytes of it that have not been read.
    pub(super) fn size(&self) -> u64 {
        self.left
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(most);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.next)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.next += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Blobs {
    /// Opens an archive or a directory. What has to be written meanwhile goes to `scratch`.
    pub(super) fn open(path: &str, scratch: &Sandbox) -> Result<Self, ImageError> {
        let failed = |error: io::Error| unreadable(path, error);
        let real = fs::canonicalize(path).map_err(failed)?;
        if real.is_dir() {
            return Ok(Blobs::Directory(Sandbox::open(&real).map_err(failed)?));
        }
        let file = copy::open_file(path).map_err(ImageError::Wrong)?;
        let mut head = [0; MAGIC_BYTES];
        let count = file.read_at(&mut head, 0).map_err(failed)?;
        let file = match is_compressed(&head[..count]) {
            true => uncompressed(path, file, scratch)?,
            false => file,
        };
        let places = index(&file).map_err(failed)?;
        Ok(Blobs::Archive {
            file: Rc::new(file),
            places,
        })
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self.find(name), Ok(Some(_)))
    }

    /// Opens a file.
    pub(super) fn open_file(&self, name: &str) -> Result<Blob, ImageError> {
        let found = self.find(name)?;
        found.ok_or_else(|| ImageError::Missing(name.to_owned()))
    }

    /// Reads a document.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut blob = self.open_file(name)?;
        if blob.size() > MAX_BYTES {
            return Err(ImageError::Long(name.to_owned(), blob.size()));
        }
        let mut bytes = Vec::new();
        let read = blob.read_to_end(&mut bytes);
        read.map_err(|error| unreadable(name, error))?;
        Ok(bytes)
    }

    /// Reads a document of JSON, and tells its digest.
    pub(super) fn document<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<(T, Digest), ImageError> {
        let bytes = self.bytes(name)?;
        let parsed = serde_json::from_slice(&bytes);
        let parsed = parsed.map_err(|error| ImageError::Malformed(name.to_owned(), error))?;
        Ok((parsed, Digest::of(&bytes)))
    }

    fn find(&self, name: &str) -> Result<Option<Blob>, ImageError> {
        let path = relative(name.as_bytes()).filter(|path| path.file_name().is_some());
        let path = path.ok_or_else(|| {
            ImageError::Wrong(format!("'{name}' is no name of a file within an image"))
        })?;
        match self {
            Blobs::Archive { file, places } => Ok(in_archive(file, places, path)),
            Blobs::Directory(directory) => match directory.read(&path) {
                Ok(file) => of_file(file)
                    .map(Some)
                    .map_err(|error| unreadable(name, error)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(unreadable(name, error)),
            },
        }
    }
}

fn of_file(file: File) -> io::Result<Blob> {
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok(Blob {
            file: Rc::new(file),
            next: 0,
            left: metadata.len(),
        }),
        false => Err(io::Error::other("it is no regular file")),
    }
}

fn in_archive(
    file: &Rc<File>,
    places: &HashMap<PathBuf, Place>,
    mut path: PathBuf,
) -> Option<Blob> {
    for _ in 0..MAX_LINKS {
        match places.get(&path)? {
            Place::Link(to) => path = to.clone(),
            Place::Data { start, bytes } => {
                return Some(Blob {
                    file: file.clone(),
                    next: *start,
                    left: *bytes,
                });
            }
        }
    }
    None
}

/// Finds out where the files of an archive are.
fn index(file: &File) -> io::Result<HashMap<PathBuf, Place>> {
    let whole = file.metadata()?.len();
    let mut places = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let Some(name) = relative(&entry.path_bytes()) else {
            continue;
        };
        let (start, bytes) = (entry.raw_file_position(), entry.size());
        if start.saturating_add(bytes) > whole {
            let text = format!(
                "it is cut off: '{}' should end at byte {} of {whole}",
                name.display(),
                start.saturating_add(bytes)
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        let kind = entry.header().entry_type();
        let place = if kind.is_file() || kind.is_contiguous() {
            Place::Data { start, bytes }
        } else if kind.is_symlink() || kind.is_hard_link() {
            // Links of `docker save` lead to the same layer under another name.
            let target = entry.link_name_bytes().unwrap_or_default();
            let from = name.parent().filter(|_| kind.is_symlink());
            match beside(from.unwrap_or(Path::new("")), &target) {
                Some(to) => Place::Link(to),
                None => continue,
            }
        } else {
            continue;
        };
        if places.len() >= MAX_FILES {
            let text = format!("it holds more than {MAX_FILES} files");
            return Err(io::Error::other(text));
        }
        places.insert(name, place);
    }
    Ok(places)
}

/// The path of what a link leads to, which lies in this directory; none when that is outside.
fn beside(directory: &Path, target: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let target = Path::new(std::ffi::OsStr::from_bytes(target));
    let mut path = directory.to_owned();
    for part in target.components() {
        match part {
            std::path::Component::Normal(name) => path.push(name),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(path)
}

/// A copy of the archive without its compression, which has no name any more: files within it are
/// read in any order.
fn uncompressed(path: &str, file: File, scratch: &Sandbox) -> Result<File, ImageError> {
    let failed = |error: io::Error| unreadable(path, error);
    let size = file.metadata().map_err(failed)?.len();
    let free = scratch.free_bytes().map_err(failed)?;
    let mut budget = Budget::new(Limits::of(size, free));
    let content = decompressed(file);
    let mut content = content.map_err(|error| unreadable(path, error))?;
    let name = Path::new(UNCOMPRESSED);
    let mut copy = scratch.create(name, 0o600).map_err(failed)?;
    let reader = scratch.read(name).map_err(failed)?;
    scratch.remove(name).map_err(failed)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = content.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            return Ok(reader);
        }
        let within = budget.bytes(count);
        within.map_err(|error| unreadable(path, error))?;
        io::Write::write_all(&mut copy, &buffer[..count]).map_err(failed)?;
    }
}

fn unreadable(name: &str, error: impl ToString) -> ImageError {
    ImageError::Unreadable(name.to_owned(), error.to_string())
}
