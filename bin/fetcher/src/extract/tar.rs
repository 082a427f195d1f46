//! Reads tar archives, entry by entry.
//! Does not know how they are compressed, nor whether a place is safe.

use std::fs::{File, FileTimes};
use std::io::Read;
use std::time::{Duration, SystemTime};

use tar::{Entry, EntryType};

use super::{ExtractError, Target, unreadable};

/// Extracts all entries.
pub(super) fn extract(content: impl Read, target: &mut Target<'_>) -> Result<(), ExtractError> {
    let mut archive = tar::Archive::new(content);
    for entry in archive.entries().map_err(unreadable)? {
        one(entry.map_err(unreadable)?, target)?;
    }
    Ok(())
}

fn one(mut entry: Entry<'_, impl Read>, target: &mut Target<'_>) -> Result<(), ExtractError> {
    let kind = entry.header().entry_type();
    // It describes other entries.
    if kind == EntryType::XGlobalHeader {
        return Ok(());
    }
    let bytes = entry.path_bytes().into_owned();
    let name = String::from_utf8_lossy(&bytes).into_owned();
    let mode = entry.header().mode().map_err(unreadable)?;
    let Some(path) = target.place(&bytes)? else {
        return Ok(());
    };
    let linked = entry.link_name_bytes().map(|it| it.into_owned());
    match (kind, linked) {
        // Old archives name directories so.
        (EntryType::Regular, _) if bytes.ends_with(b"/") => target.directory(&name, path, mode),
        (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
            let modified = entry.header().mtime().unwrap_or_default();
            let file = target.file(&name, &path, mode, &mut entry)?;
            set_time(&file, modified);
            Ok(())
        }
        (EntryType::Directory, _) => target.directory(&name, path, mode),
        (EntryType::Symlink, Some(to)) => target.link(&name, &path, &to),
        (EntryType::Link, Some(to)) => target.hard_link(&name, &path, &to),
        _ => Err(ExtractError::Special(name)),
    }
}

/// A file's time tells builds and caches something, but nothing depends on it.
fn set_time(file: &File, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    if let Some(time) = time {
        // A disk that cannot keep it has the file all the same.
        let _ = file.set_times(FileTimes::new().set_modified(time));
    }
}
