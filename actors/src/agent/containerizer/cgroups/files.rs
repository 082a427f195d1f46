//! Reads and writes the small files of cgroups, and removes trees of them.
//! Knows no controller.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Cgroups that the processes of a container may have made within their own; beyond that number
/// its removal fails.
const MAX_INNER: usize = 100_000;

/// Writes a value to a control file.
pub(super) fn write(file: &Path, value: &str) -> Result<(), String> {
    let written = File::options()
        .write(true)
        .open(file)
        .and_then(|mut open| open.write_all(value.as_bytes()));
    written.map_err(|error| format!("Failed to write '{value}' to '{}': {error}", file.display()))
}

/// The one number of a control file; `max` and numbers too large to mean anything are none.
pub(super) fn number(file: &Path) -> io::Result<Option<u64>> {
    /// Version 1 says "no limit" with the largest number of whole pages.
    const UNLIMITED: u64 = 1 << 62;
    let text = read(file)?;
    let text = text.trim();
    if text == "max" {
        return Ok(None);
    }
    let number = text.parse::<u64>().map_err(|_| {
        let why = format!("{} is no number: '{text}'", file.display());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })?;
    Ok(Some(number).filter(|number| *number < UNLIMITED))
}

/// The value of a key in a file of lines of keys and values.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(known, value)| (known == key).then(|| value.trim().parse().ok())?)
}

/// The whole text of a file, with its name in the error.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)
        .and_then(|mut open| open.read_to_string(&mut text))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    Ok(text)
}

/// The processes of a cgroup and of those within it; none when it is not there.
pub(super) fn processes(directory: &Path) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for cgroup in tree(directory)? {
        match fs::read_to_string(cgroup.join("cgroup.procs")) {
            Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            // One that its processes have removed meanwhile.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Removes a cgroup and those within it, if they are there.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    for cgroup in tree(directory)?.into_iter().rev() {
        match fs::remove_dir(&cgroup) {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Kills processes, as far as they have not ended.
pub(super) fn kill_all(pids: &[u32]) {
    for pid in pids {
        // 0 stands for a process that this one cannot see, which it could not kill either.
        let Some(pid) = i32::try_from(*pid).ok().filter(|pid| *pid > 1) else {
            continue;
        };
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(pid, %error, "cannot kill a process of a container"),
        }
    }
}

/// Waits until a file has something to tell of the given kind.
#[allow(
    deprecated,
    reason = "the descriptor is owned and never replaced, which is all its unsafe successor asks for"
)]
pub(super) fn waiter<T: std::os::fd::AsRawFd>(
    file: T,
    interest: Interest,
) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(file, interest)
}

/// Waits until the text of a file whose changes the kernel tells of is as wanted.
pub(super) async fn changed(file: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    if is_wanted(&read(file)?) {
        return Ok(());
    }
    let waiter = waiter(File::open(file)?, Interest::PRIORITY)?;
    loop {
        // Reading it is what makes the kernel tell of the next change.
        if is_wanted(&read_open(waiter.get_ref())?) {
            return Ok(());
        }
        waiter.ready(Interest::PRIORITY).await?.clear_ready();
    }
}

fn read_open(mut file: &File) -> io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// A directory and all below it, parents first; nothing when it is not there.
fn tree(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
        found.push(next);
        if found.len() > MAX_INNER {
            return Err(io::Error::other(
                "too many cgroups within that of a container",
            ));
        }
    }
    Ok(found)
}

/// Whether a cgroup was removed: reading one that is being removed fails with ENODEV.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}
