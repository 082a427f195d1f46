//! Reads and lists files of sandboxes for `/files/*`; nothing outside of them can be reached.
//! Speaks no HTTP.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use serde::Serialize;
use tepui_core::agent::model::{Executor, Snapshot};

use super::launcher::owner_names;

/// Most bytes of a file given at once, as in Mesos: 16 pages.
pub(super) const MAX_READ_BYTES: u64 = 16 * 4096;

/// Entries of a directory listed at most.
pub(super) const MAX_LISTED: usize = 100_000;

/// A file or directory within a sandbox or a volume shown there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    sandbox: PathBuf,
    inner: PathBuf,
}

/// Why a file could not be had.
#[derive(Debug)]
pub(super) enum FileError {
    /// It does not exist, or is not in a sandbox.
    NotFound,
    /// It is a directory.
    Directory,
    /// The system says otherwise.
    Io(io::Error),
}

/// One entry of a listing, as Mesos writes it.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    gid: String,
    mode: String,
    mtime: f64,
    nlink: u64,
    path: String,
    size: u64,
    uid: String,
}

impl Place {
    /// Name of the file, for the one who saves it.
    pub(super) fn file_name(&self) -> String {
        let name = self.inner.file_name().or_else(|| self.sandbox.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

/// Finds the sandbox that `path` leads into: by its place in the work directory, or by
/// `/frameworks/<framework>/executors/<executor>/runs/<run or latest>`.
pub(super) fn find(snapshot: &Snapshot, work_dir: &Path, path: &str) -> Option<Place> {
    let path = Path::new(path);
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let inside = match path.strip_prefix(work_dir.join("slaves")) {
        Ok(below) => {
            let mut parts = below.components();
            parts.next()?;
            parts.as_path().to_owned()
        }
        Err(_) => path.strip_prefix("/").ok()?.to_owned(),
    };
    let mut parts = inside.components();
    let mut next = || match parts.next()? {
        Component::Normal(name) => name.to_str(),
        _ => None,
    };
    if next()? != "frameworks" {
        return None;
    }
    let framework = next()?;
    let executor = match next()? {
        "executors" => next()?,
        _ => return None,
    };
    let run = match next()? {
        "runs" => next()?,
        _ => return None,
    };
    let found = executor_run(snapshot, framework, executor, run)?;
    let inner = parts.as_path().to_owned();
    // A persistent volume is outside of the sandbox, but belongs to what is to be seen there.
    let volume = match parts.next() {
        Some(Component::Normal(name)) => name.to_str().and_then(|name| found.volumes.get(name)),
        _ => None,
    };
    Some(match volume {
        Some(path) => Place {
            sandbox: PathBuf::from(path),
            inner: parts.as_path().to_owned(),
        },
        None => Place {
            sandbox: PathBuf::from(&found.directory),
            inner,
        },
    })
}

/// The run of this name, or the newest for `latest`.
fn executor_run<'a>(
    snapshot: &'a Snapshot,
    framework: &str,
    executor: &str,
    run: &str,
) -> Option<&'a Executor> {
    let completed = || snapshot.completed_frameworks.iter().rev();
    let framework = snapshot
        .frameworks
        .get(framework)
        .or_else(|| completed().find(|known| known.id.as_str() == framework))?;
    let live = framework.executors.get(executor).into_iter();
    let ended = framework.completed_executors.iter().rev();
    live.chain(ended)
        .filter(|known| known.id.as_str() == executor)
        .find(|known| run == "latest" || known.container.as_str() == run)
        .map(|known| &**known)
}

/// Opens a place for reading; links that lead out of the sandbox are not followed.
fn open(place: &Place) -> Result<(File, Metadata), FileError> {
    let root = File::open(&place.sandbox).map_err(from_io)?;
    let inner = match place.inner.as_os_str().is_empty() {
        true => Path::new("."),
        false => &place.inner,
    };
    let file = open_beneath(&root, inner)?;
    let metadata = file.metadata().map_err(from_io)?;
    Ok((file, metadata))
}

fn open_beneath(root: &impl AsFd, inner: &Path) -> Result<File, FileError> {
    // Without O_NONBLOCK, opening a pipe that a task made would wait for a writer.
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let descriptor: OwnedFd = openat2(root, inner, how).map_err(|error| match error {
        // EXDEV: the path leads out of the sandbox.
        Errno::ENOENT | Errno::ENOTDIR | Errno::EXDEV | Errno::ELOOP | Errno::ENXIO => {
            FileError::NotFound
        }
        error => FileError::Io(error.into()),
    })?;
    Ok(File::from(descriptor))
}

/// A regular file for reading, and its size.
pub(super) fn open_file(place: &Place) -> Result<(File, u64), FileError> {
    let (file, metadata) = open(place)?;
    if metadata.is_dir() {
        return Err(FileError::Directory);
    }
    // Pipes, sockets and devices have no content of their own.
    if !metadata.is_file() {
        return Err(FileError::NotFound);
    }
    Ok((file, metadata.len()))
}

/// Size of the file, and at most `length` bytes of it from `offset` on.
pub(super) fn read(
    place: &Place,
    offset: u64,
    length: Option<u64>,
) -> Result<(u64, Vec<u8>), FileError> {
    let (mut file, size) = open_file(place)?;
    if offset >= size {
        return Ok((size, Vec::new()));
    }
    let wanted = length.unwrap_or(size - offset).min(MAX_READ_BYTES);
    file.seek(SeekFrom::Start(offset)).map_err(from_io)?;
    let mut data = Vec::new();
    file.take(wanted).read_to_end(&mut data).map_err(from_io)?;
    Ok((size, data))
}

/// The entries of a directory by name; nothing for a file, as in Mesos.
pub(super) fn browse(place: &Place, shown_as: &str) -> Result<Vec<Entry>, FileError> {
    let (directory, metadata) = open(place)?;
    if !metadata.is_dir() {
        return Ok(Vec::new());
    }
    // The path by descriptor cannot be swapped for another directory meanwhile.
    let by_descriptor = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let mut listed = Vec::new();
    for entry in std::fs::read_dir(by_descriptor)
        .map_err(from_io)?
        .flatten()
        .take(MAX_LISTED)
    {
        // It may have gone meanwhile; links are shown as such, not followed.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let name = entry.file_name();
        let (uid, gid) = owner_names(metadata.uid(), metadata.gid());
        listed.push(Entry {
            gid,
            mode: mode_text(metadata.mode()),
            mtime: metadata.mtime() as f64,
            nlink: metadata.nlink(),
            path: format!(
                "{}/{}",
                shown_as.trim_end_matches('/'),
                name.to_string_lossy()
            ),
            size: metadata.size(),
            uid,
        });
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listed)
}

/// Kind and permissions as `ls -l` shows them.
fn mode_text(mode: u32) -> String {
    use nix::sys::stat::SFlag;
    let kind = match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFDIR => 'd',
        SFlag::S_IFLNK => 'l',
        SFlag::S_IFIFO => 'p',
        SFlag::S_IFSOCK => 's',
        SFlag::S_IFBLK => 'b',
        SFlag::S_IFCHR => 'c',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (bit, letter) in [
        0o400, 0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001,
    ]
    .into_iter()
    .zip("rwxrwxrwx".chars())
    {
        text.push(if mode & bit == 0 { '-' } else { letter });
    }
    text
}

fn from_io(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NotFound,
        _ => FileError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(sandbox: &Path, inner: &str) -> Place {
        Place {
            sandbox: sandbox.to_owned(),
            inner: PathBuf::from(inner),
        }
    }

    fn sandbox() -> (tempfile::TempDir, PathBuf) {
        let work = tempfile::tempdir().unwrap();
        let sandbox = work.path().join("sandbox");
        fs::create_dir_all(sandbox.join("sub")).unwrap();
        fs::write(sandbox.join("stdout"), "hello sandbox\n").unwrap();
        fs::write(work.path().join("secret"), "secret").unwrap();
        (work, sandbox)
    }

    #[test]
    fn parts_of_a_file_are_read() {
        let (_work, sandbox) = sandbox();
        let stdout = place(&sandbox, "stdout");
        assert_eq!(read(&stdout, 0, Some(5)).unwrap(), (14, b"hello".to_vec()));
        assert_eq!(read(&stdout, 6, None).unwrap(), (14, b"sandbox\n".to_vec()));
        assert_eq!(read(&stdout, 99, None).unwrap(), (14, Vec::new()));
        assert!(matches!(
            read(&place(&sandbox, "sub"), 0, None),
            Err(FileError::Directory)
        ));
        assert!(matches!(
            read(&place(&sandbox, "no"), 0, None),
            Err(FileError::NotFound)
        ));
    }

    #[test]
    fn one_answer_is_bounded() {
        let (_work, sandbox) = sandbox();
        fs::write(sandbox.join("big"), vec![b'x'; 100_000]).unwrap();
        let (size, data) = read(&place(&sandbox, "big"), 0, None).unwrap();
        assert_eq!((size, data.len() as u64), (100_000, MAX_READ_BYTES));
    }

    #[test]
    fn links_out_of_the_sandbox_lead_nowhere() {
        let (work, sandbox) = sandbox();
        symlink(work.path().join("secret"), sandbox.join("absolute")).unwrap();
        symlink("../secret", sandbox.join("relative")).unwrap();
        symlink("..", sandbox.join("up")).unwrap();
        symlink("../stdout", sandbox.join("sub/inside")).unwrap();
        for inner in ["absolute", "relative", "up/secret", "../secret"] {
            let result = read(&place(&sandbox, inner), 0, None);
            assert!(
                matches!(result, Err(FileError::NotFound)),
                "{inner}: {result:?}"
            );
        }
        assert_eq!(
            read(&place(&sandbox, "sub/inside"), 0, Some(5)).unwrap().1,
            b"hello"
        );
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let (_work, sandbox) = sandbox();
        nix::unistd::mkfifo(&sandbox.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(
            read(&place(&sandbox, "pipe"), 0, None),
            Err(FileError::NotFound)
        ));
    }

    #[test]
    fn a_listing_shows_what_ls_shows() {
        let (_work, sandbox) = sandbox();
        let listed = browse(&place(&sandbox, ""), "/shown/").unwrap();
        let shown: Vec<_> = listed
            .iter()
            .map(|entry| (&*entry.path, entry.size))
            .collect();
        assert_eq!(shown[0], ("/shown/stdout", 14));
        assert_eq!(shown[1].0, "/shown/sub");
        assert!(listed[0].mode.starts_with("-rw") && listed[1].mode.starts_with("drwx"));
        assert!(
            browse(&place(&sandbox, "stdout"), "/shown")
                .unwrap()
                .is_empty()
        );
    }
}
