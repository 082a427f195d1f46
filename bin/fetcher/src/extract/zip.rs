//! Reads zip archives, entry by entry.
//! Does not know whether a place is safe.

use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::{ExtractError, Target, unreadable};

/// Which bits of a mode tell the kind of a file, and the kinds that are extracted.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// Longest path that a link leads to, in bytes; the system takes no longer one.
const MAX_LINK_BYTES: u64 = 4096;

/// Extracts all entries.
pub(super) fn extract(
    content: impl Read + Seek,
    target: &mut Target<'_>,
) -> Result<(), ExtractError> {
    let mut archive = ZipArchive::new(content).map_err(broken)?;
    for index in 0..archive.len() {
        one(archive.by_index(index).map_err(broken)?, target)?;
    }
    Ok(())
}

fn one(mut entry: ZipFile<'_, impl Read>, target: &mut Target<'_>) -> Result<(), ExtractError> {
    let name = entry.name().map_err(broken)?.into_owned();
    let Some(path) = target.place(name.as_bytes())? else {
        return Ok(());
    };
    let mode = entry.unix_mode();
    match mode.map_or(0, |mode| mode & KIND) {
        _ if entry.is_dir() => target.directory(&name, path, mode.unwrap_or(0o755)),
        LINK => {
            let mut to = Vec::new();
            let mut content = (&mut entry).take(MAX_LINK_BYTES);
            content.read_to_end(&mut to).map_err(unreadable)?;
            target.link(&name, &path, &to)
        }
        0 | REGULAR | DIRECTORY => {
            // Archives made elsewhere tell no rights.
            let mode = mode.filter(|mode| mode & 0o777 != 0).unwrap_or(0o644);
            target.file(&name, &path, mode, &mut entry).map(drop)
        }
        _ => Err(ExtractError::Special(name)),
    }
}

fn broken(error: ZipError) -> ExtractError {
    ExtractError::Unreadable(error.to_string())
}
