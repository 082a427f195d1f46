//! Extracts archives into a sandbox: names that lead out of it, links, devices and bombs do no harm.
//! Fetches nothing.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use tepui_protocol::fetch::Archive;
use thiserror::Error;

use crate::budget::{Budget, Exceeded, Limits};
use crate::copy::CHUNK_BYTES;
use crate::sandbox::{Sandbox, relative};

mod tar;
mod zip;

#[cfg(test)]
mod tests;

/// Memory an xz archive may need, in KiB; the format's highest preset needs 65 MiB.
const MAX_XZ_MEMORY_KIB: u32 = 256 << 10;

/// How a compressed file begins.
const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The most of these bytes.
pub(crate) const MAGIC_BYTES: usize = 6;

/// Why an archive is not extracted.
#[derive(Debug, Error)]
pub(crate) enum ExtractError {
    #[error("entry '{0}' leads out of the sandbox")]
    Outside(String),
    #[error("entry '{0}' is a device, a pipe, or of another kind that no archive may bring")]
    Special(String),
    #[error("entry '{0}': {1}")]
    Entry(String, io::Error),
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// Extracts an archive into a sandbox.
///
/// # Errors
/// When it is broken, harmful, or too large; what was extracted until then stays.
pub(crate) fn extract(
    archive: &Archive,
    file: File,
    sandbox: &Sandbox,
) -> Result<(), ExtractError> {
    let size = file.metadata().map_err(unreadable)?.len();
    let free = sandbox.free_bytes().map_err(unreadable)?;
    let mut target = Target {
        sandbox,
        budget: Budget::new(Limits::of(size, free)),
        directories: Vec::new(),
    };
    match archive {
        Archive::Tar => tar::extract(decompressed(file)?, &mut target)?,
        Archive::Zip => zip::extract(BufReader::new(file), &mut target)?,
        Archive::Gzip(name) => {
            let file = BufReader::with_capacity(CHUNK_BYTES, file);
            let mut content = flate2::bufread::MultiGzDecoder::new(file);
            target.file(name, Path::new(name), 0o644, &mut content)?;
        }
    }
    target.finish()
}

/// Where an archive goes.
struct Target<'a> {
    sandbox: &'a Sandbox,
    budget: Budget,
    /// Directories that their owner may not write to when all is there.
    directories: Vec<(PathBuf, u32)>,
}

impl Target<'_> {
    /// Where an entry goes; none for the sandbox itself, which is there.
    fn place(&mut self, name: &[u8]) -> Result<Option<PathBuf>, ExtractError> {
        self.budget.entry()?;
        let shown = || String::from_utf8_lossy(name).into_owned();
        let path = relative(name).ok_or_else(|| ExtractError::Outside(shown()))?;
        Ok((!path.as_os_str().is_empty()).then_some(path))
    }

    fn file(
        &mut self,
        name: &str,
        path: &Path,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<File, ExtractError> {
        let failed = |error| ExtractError::Entry(name.to_owned(), error);
        let mut file = self.sandbox.create(path, mode).map_err(failed)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => return Ok(file),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            self.budget.bytes(count)?;
            file.write_all(&buffer[..count]).map_err(failed)?;
        }
    }

    fn directory(&mut self, name: &str, path: PathBuf, mode: u32) -> Result<(), ExtractError> {
        let made = self.sandbox.make_directory(&path, mode);
        made.map_err(|error| ExtractError::Entry(name.to_owned(), error))?;
        if mode & 0o700 != 0o700 {
            self.directories.push((path, mode));
        }
        Ok(())
    }

    fn link(&self, name: &str, path: &Path, target: &[u8]) -> Result<(), ExtractError> {
        use std::os::unix::ffi::OsStrExt;
        let target = std::ffi::OsStr::from_bytes(target);
        let made = self.sandbox.link(path, target);
        made.map_err(|error| ExtractError::Entry(name.to_owned(), error))
    }

    fn hard_link(&self, name: &str, path: &Path, target: &[u8]) -> Result<(), ExtractError> {
        let existing = relative(target).ok_or_else(|| ExtractError::Outside(name.to_owned()))?;
        let made = self.sandbox.hard_link(path, &existing);
        made.map_err(|error| ExtractError::Entry(name.to_owned(), error))
    }

    /// Takes the last rights away, inner directories first.
    fn finish(self) -> Result<(), ExtractError> {
        for (path, mode) in self.directories.iter().rev() {
            let restricted = self.sandbox.restrict(path, *mode);
            let name = || path.to_string_lossy().into_owned();
            restricted.map_err(|error| ExtractError::Entry(name(), error))?;
        }
        Ok(())
    }
}

/// Whether something that begins so is compressed.
pub(crate) fn is_compressed(head: &[u8]) -> bool {
    let known = [GZIP, BZIP2, XZ, ZSTD];
    known.iter().any(|magic| head.starts_with(magic))
}

/// Content that may be compressed, which its first bytes tell; its name need not be right, as in
/// Mesos.
pub(crate) fn decompressed(
    mut content: impl Read + 'static,
) -> Result<Box<dyn Read>, ExtractError> {
    let mut head = Vec::new();
    let mut begin = (&mut content).take(MAGIC_BYTES as u64);
    begin.read_to_end(&mut head).map_err(unreadable)?;
    let magic = |magic: &[u8]| head.starts_with(magic);
    let kind = [GZIP, BZIP2, XZ, ZSTD].map(magic);
    let whole = io::Cursor::new(head).chain(content);
    let whole = BufReader::with_capacity(CHUNK_BYTES, whole);
    Ok(match kind {
        [true, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        [_, true, ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        [_, _, true, _] => {
            let several = true;
            let reader = lzma_rust2::XzReader::new_mem_limit(whole, several, MAX_XZ_MEMORY_KIB);
            Box::new(BufReader::with_capacity(CHUNK_BYTES, reader))
        }
        [_, _, _, true] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(whole);
            Box::new(decoder.map_err(unreadable)?)
        }
        [false, false, false, false] => Box::new(whole),
    })
}

fn unreadable(error: io::Error) -> ExtractError {
    ExtractError::Unreadable(error.to_string())
}
