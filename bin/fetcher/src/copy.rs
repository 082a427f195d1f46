//! Copies a local file or a resource of a server into a file, and tells its size.
//! Chooses no place: the order does.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::fcntl::OFlag;
use tepui_protocol::fetch::Source;

use crate::http::Client;

/// Bytes copied at a time.
pub(crate) const CHUNK_BYTES: usize = 128 << 10;

/// Access to a file of which only its content is known, before the umask.
const FILE_MODE: u32 = 0o644;

/// Why something was not copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CopyError {
    /// It has more bytes than it may have.
    TooLarge,
    /// Anything else.
    Failed(String),
}

/// Something open for reading.
pub(crate) struct Opened {
    /// Its content.
    pub(crate) content: Box<dyn Read>,
    /// Access to a copy, before the umask.
    pub(crate) mode: u32,
}

/// Opens a source.
///
/// # Errors
/// When it is not there, or this user may not read it, or it is no file.
pub(crate) fn open(source: &Source, client: &Client) -> Result<Opened, String> {
    Ok(match source {
        Source::Http(url) => Opened {
            content: Box::new(client.get(url)?),
            mode: FILE_MODE,
        },
        Source::File(path) => {
            let file = open_file(path)?;
            let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
            Opened {
                mode: metadata.mode(),
                content: Box::new(file),
            }
        }
    })
}

/// Opens a regular file: a pipe would be waited for, and a device may never end.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_file(path: &str) -> Result<File, String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| cannot_read(path, &error))?;
    let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
    match metadata.is_file() {
        true => Ok(file),
        false if metadata.is_dir() => Err(format!("'{path}' is a directory, expected a file")),
        false => Err(format!("'{path}' is not a regular file")),
    }
}

/// How large something is.
///
/// # Errors
/// When that cannot be found out.
pub(crate) fn size(source: &Source, client: &Client) -> Result<u64, String> {
    match source {
        Source::Http(url) => client.size(url),
        Source::File(path) => {
            let metadata = open_file(path)?.metadata();
            let metadata = metadata.map_err(|error| cannot_read(path, &error))?;
            Ok(metadata.len())
        }
    }
}

/// Copies everything, and says how much it was.
///
/// # Errors
/// When it is more than `limit` bytes, or cannot be read or written.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write, limit: u64) -> Result<u64, CopyError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut copied = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Failed(error.to_string())),
        };
        copied += count as u64;
        if copied > limit {
            return Err(CopyError::TooLarge);
        }
        to.write_all(&buffer[..count])
            .map_err(|error| CopyError::Failed(format!("Failed to write its content: {error}")))?;
    }
}

fn cannot_read(path: &str, error: &io::Error) -> String {
    format!("Failed to read '{path}': {error}")
}
