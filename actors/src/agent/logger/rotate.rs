//! The process that writes a container's output to files and rotates them; ends when nobody can
//! write to it any more. It is the agent's own program, started again; logs nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::OFlag;

use super::options::Rotation;

/// The first argument that makes the agent's program such a process.
pub(super) const ROTATE_ARG: &str = "--rotate_logs";

/// Bytes read at once: what a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// Stack in bytes of the second thread; it only reads and writes.
const STACK_BYTES: usize = 256 * 1024;

/// Does the work of such a process if this one was started as one, and gives the status to end
/// with. The agent's program calls this before all else.
pub(in super::super) fn run_as_rotator() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ROTATE_ARG) {
        return None;
    }
    let mut rotation = || Rotation::from_arguments(&arguments.next()?, &arguments.next()?);
    let Some((stdout, stderr)) = rotation().zip(rotation()) else {
        return Some(ExitCode::FAILURE);
    };
    Some(match work(stdout, stderr) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// The standard input is the container's standard output; this process's own standard output is
/// where it reads the container's standard error from.
fn work(stdout: Rotation, stderr: Rotation) -> io::Result<()> {
    let (first, second) = (input(io::stdin().as_fd())?, input(io::stdout().as_fd())?);
    let other = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || copy(second, Path::new("stderr"), stderr))?;
    copy(first, Path::new("stdout"), stdout)?;
    let joined = other.join();
    joined.unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
}

fn input(end: BorrowedFd<'_>) -> io::Result<File> {
    end.try_clone_to_owned().map(File::from)
}

/// Writes all that comes to the log. A log that cannot be written stops no task: what does not fit
/// on a disk is lost.
fn copy(mut from: impl Read, path: &Path, rotation: Rotation) -> io::Result<()> {
    let mut log = Log::open(path, rotation)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => log.write(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A log and its size.
struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    rotation: Rotation,
}

impl Log {
    fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Log {
            path: path.to_owned(),
            file,
            size,
            rotation,
        })
    }

    /// Writes all of it, to further files if need be. Files end with a whole line, unless a line is
    /// longer than what is left of its file.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.rotation.max_size.saturating_sub(self.size);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            if bytes.len() <= room {
                return self.put(bytes);
            }
            let fits = &bytes[..room];
            let end = fits.iter().rposition(|byte| *byte == b'\n');
            let cut = match end {
                Some(newline) => newline + 1,
                // Nothing of the line is in an older file, and no file holds all of it.
                None if self.size == 0 => room,
                None => 0,
            };
            self.put(&bytes[..cut]);
            bytes = &bytes[cut..];
            if self.rotate().is_err() {
                // Without a new file, the present one takes the rest of this.
                return self.put(bytes);
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        // What was written in part would be counted too low, and never too high.
        if self.file.write_all(bytes).is_ok() {
            self.size += bytes.len() as u64;
        }
    }

    /// Gives all files the next number, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let keep = self.rotation.keep;
        if keep == 0 {
            self.file.set_len(0)?;
            self.size = 0;
            return Ok(());
        }
        for number in (1..keep).rev() {
            rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        rename(&self.path, &self.numbered(1))?;
        self.file = append(&self.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// A file that is not there, as the container may have removed it, is no matter.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a log to write at its end. A link that the container has put there is not followed.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the files hold, the newest first.
    fn files(path: &Path) -> Vec<String> {
        let numbered = (1..).map(|number| path.with_file_name(format!("stdout.{number}")));
        std::iter::once(path.to_owned())
            .chain(numbered)
            .map_while(|path| fs::read_to_string(path).ok())
            .collect()
    }

    fn log(dir: &Path, max_size: u64, keep: usize) -> Log {
        Log::open(&dir.join("stdout"), Rotation { max_size, keep }).unwrap()
    }

    #[test]
    fn files_end_with_whole_lines_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 16, 100);
        let text: String = (0..40).map(|number| format!("line {number}\n")).collect();
        for chunk in text.as_bytes().chunks(7) {
            log.write(chunk);
        }
        let files = files(&log.path);
        assert!(files.len() > 10);
        assert!(files.iter().all(|file| file.len() <= 16), "{files:?}");
        let whole: String = files.into_iter().rev().collect();
        assert_eq!(whole, text);
    }

    #[test]
    fn what_comes_at_once_is_cut_between_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 16, 2);
        log.write(b"one\ntwo\nthree\nfour\nfive\nsix, and a part");
        assert_eq!(
            files(&log.path),
            ["six, and a part", "four\nfive\n", "one\ntwo\nthree\n"]
        );
        log.write(b" of it\n");
        // The oldest is gone.
        assert_eq!(files(&log.path).len(), 3);
        assert_eq!(files(&log.path)[2], "four\nfive\n");
    }

    #[test]
    fn a_line_longer_than_a_file_is_split() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 4, 10);
        log.write(b"a\n0123456789\n");
        let whole: String = files(&log.path).into_iter().rev().collect();
        assert_eq!(whole, "a\n0123456789\n");
        assert!(files(&log.path).iter().all(|file| file.len() <= 4));
    }

    #[test]
    fn without_older_files_the_log_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 8, 0);
        log.write(b"one\ntwo\nthree\n");
        assert_eq!(files(&log.path), ["three\n"]);
    }

    #[test]
    fn a_log_that_was_removed_or_is_a_link_harms_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 8, 2);
        log.write(b"one\n");
        fs::remove_file(&log.path).unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, &log.path).unwrap();
        log.write(b"two\nthree\n");
        log.write(b"four\nfive\n");
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert!(Log::open(&link, log.rotation).is_err());
    }
}
