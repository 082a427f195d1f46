//! Removes directories of sandboxes, says which there are, and how full their disk is.
//! Chooses none of them: the core does.
//!
//! A directory is moved away first, by the thread that makes sandboxes: from then on its path is
//! free, however long it takes to delete what was in it. Deleting moves inner directories beside
//! their parents, so that neither their number nor their depth matters, and never follows a link
//! or leaves the file system: neither can be moved so.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use actix::Addr;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use tepui_core::agent::garbage::{Place, Removals};
use tepui_core::agent::messages::Input;
use tepui_core::time::Wall;

use super::actor::{AgentActor, Tell};

/// Stack of the thread in bytes; it only lists and removes.
const STACK_BYTES: usize = 256 * 1024;

/// Where directories wait to be deleted, below `slaves`: on the file system that they are on.
const MOVED: &str = ".removed";

/// Access to it: nobody but the agent may change what is deleted next.
const MOVED_MODE: u32 = 0o700;

/// Shortest time between two looks at the disk.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

enum Job {
    /// Tell what there is, and delete what an earlier run has not.
    Look(Wall, Addr<AgentActor>),
    /// Delete what was moved away, and tell of it.
    Delete(Vec<PathBuf>, Removals, Addr<AgentActor>),
}

/// Moves directories away, and deletes them on a thread of its own.
pub(super) struct Sweeper {
    jobs: mpsc::Sender<Job>,
    moved: Arc<Moved>,
    work_dir: String,
}

impl Sweeper {
    /// Starts the thread.
    pub(super) fn start(work_dir: &Path) -> io::Result<Self> {
        let slaves = work_dir.join("slaves");
        let moved = Arc::new(Moved::open(slaves.join(MOVED))?);
        let (jobs, queue) = mpsc::channel();
        let its = moved.clone();
        std::thread::Builder::new()
            .name("sweeper".into())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&queue, &slaves, &its))?;
        Ok(Sweeper {
            jobs,
            moved,
            work_dir: work_dir.to_string_lossy().into_owned(),
        })
    }

    /// Has the actor told what directories there are.
    pub(super) fn look(&self, now: Wall, actor: Addr<AgentActor>) {
        self.order(Job::Look(now, actor));
    }

    /// Moves directories away at once; they are deleted later, and the actor is told.
    pub(super) fn remove(&self, places: &[Place], actor: Addr<AgentActor>) {
        let (mut moved, mut removals) = (Vec::new(), Removals::default());
        for place in places {
            let path = place.path(&self.work_dir);
            match self.moved.take(Path::new(&path)) {
                Ok(to) => {
                    tracing::info!(path, "removing a directory of sandboxes");
                    moved.push(to);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => removals.missing += 1,
                Err(error) => {
                    tracing::warn!(path, %error, "a directory of sandboxes cannot be removed");
                    removals.failed += 1;
                }
            }
        }
        self.order(Job::Delete(moved, removals, actor));
    }

    fn order(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            tracing::error!("the sweeper's thread has ended");
        }
    }
}

fn work(jobs: &mpsc::Receiver<Job>, slaves: &Path, moved: &Moved) {
    for job in jobs {
        match job {
            Job::Look(now, actor) => {
                let found = look(slaves, now);
                actor.do_send(Tell(Input::SandboxesFound { found }));
                moved.delete_all();
            }
            Job::Delete(paths, mut removals, actor) => {
                for path in paths {
                    match moved.delete(path) {
                        Ok(()) => removals.succeeded += 1,
                        Err(why) => {
                            tracing::warn!(why, "something of a sandbox cannot be removed");
                            removals.failed += 1;
                        }
                    }
                }
                actor.do_send(Tell(Input::SandboxesRemoved { removals }));
            }
        }
    }
}

/// The directory of those that are to be deleted; their names are numbers.
pub(super) struct Moved {
    path: PathBuf,
    next: AtomicU64,
}

impl Moved {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match builder.mode(MOVED_MODE).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let left = fs::read_dir(&path)?.flatten();
        let numbers = left.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
        let next = numbers.max().map_or(0, |last| last + 1);
        Ok(Moved {
            path,
            next: AtomicU64::new(next),
        })
    }

    /// Moves something here, and gives its new path.
    pub(super) fn take(&self, from: &Path) -> io::Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let to = self.path.join(number.to_string());
        match fs::rename(from, &to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Who is not root may move only a directory that can be written to.
                open_up(from)?;
                fs::rename(from, &to)?;
            }
            other => other?,
        }
        Ok(to)
    }

    /// Deletes everything that is here.
    pub(super) fn delete_all(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if let Err(why) = self.delete(path) {
                tracing::warn!(why, "something that was moved away cannot be removed");
            }
        }
    }

    /// Deletes one of those that are here, with all that is in it.
    ///
    /// # Errors
    /// What is left, and why; the rest has gone.
    pub(super) fn delete(&self, path: PathBuf) -> Result<(), String> {
        let mut left = None;
        let mut waiting = vec![path];
        while let Some(path) = waiting.pop() {
            // Nobody else can change what is directly here.
            let deleted = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => self.empty(&path, &mut waiting),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match deleted {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    left = Some(format!("{}: {error}", path.display()));
                }
                _ => {}
            }
        }
        left.map_or(Ok(()), Err)
    }

    /// Removes a directory; those within it are moved here and added to `waiting`.
    fn empty(&self, path: &Path, waiting: &mut Vec<PathBuf>) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_up(path)?;
                fs::read_dir(path)?
            }
            other => other?,
        };
        let mut failed = Ok(());
        for entry in entries {
            let entry = entry?;
            let inner = entry.path();
            let removed = match entry.file_type()?.is_dir() {
                true => self.take(&inner).map(|to| waiting.push(to)),
                false => fs::remove_file(&inner),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => failed = Err(error),
                _ => {}
            }
        }
        failed.and_then(|()| fs::remove_dir(path))
    }
}

/// Lets the owner do everything with a directory.
fn open_up(directory: &Path) -> io::Result<()> {
    match fs::symlink_metadata(directory)?.is_dir() {
        true => fs::set_permissions(directory, Permissions::from_mode(0o700)),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// All directories with sandboxes, and how long ago something was made in each or in one within it.
fn look(slaves: &Path, now: Wall) -> Vec<(Place, Duration)> {
    let mut found = Vec::new();
    for (agent, path) in directories(slaves, now) {
        let mut agent_age = path.1;
        for (framework, path) in directories(&path.0.join("frameworks"), now) {
            let mut framework_age = path.1;
            for (executor, path) in directories(&path.0.join("executors"), now) {
                let mut executor_age = path.1;
                for (run, (_, age)) in directories(&path.0.join("runs"), now) {
                    executor_age = executor_age.min(age);
                    let names = (agent.as_str(), framework.as_str());
                    let names = (names.0, names.1, executor.as_str(), run.as_str());
                    let place = Place::Run(
                        names.0.into(),
                        names.1.into(),
                        names.2.into(),
                        names.3.into(),
                    );
                    found.push((place, age));
                }
                framework_age = framework_age.min(executor_age);
                let (agent, framework) = (agent.as_str().into(), framework.as_str().into());
                let place = Place::Executor(agent, framework, executor.as_str().into());
                found.push((place, executor_age));
            }
            agent_age = agent_age.min(framework_age);
            let place = Place::Framework(agent.as_str().into(), framework.as_str().into());
            found.push((place, framework_age));
        }
        found.push((Place::Agent(agent.as_str().into()), agent_age));
    }
    found
}

/// The directories within a directory, their names and ages; links are none.
fn directories(parent: &Path, now: Wall) -> Vec<(String, (PathBuf, Duration))> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let named = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
        let name = entry.file_name().into_string().ok()?;
        let changed = u64::try_from(metadata.mtime()).unwrap_or(0) * 1_000_000;
        let age = Duration::from_micros(now.0.saturating_sub(changed));
        (name != MOVED).then(|| (name, (entry.path(), age)))
    });
    named.collect()
}

/// A sandbox has ended now, whenever something was last made in it.
pub(super) fn mark_ended(sandbox: &Path) {
    let (accessed, changed) = (TimeSpec::UTIME_OMIT, TimeSpec::UTIME_NOW);
    let flag = UtimensatFlags::NoFollowSymlink;
    if let Err(error) = utimensat(AT_FDCWD, sandbox, &accessed, &changed, flag) {
        tracing::debug!(sandbox = %sandbox.display(), %error, "a sandbox's end is not marked");
    }
}

/// Tells the actor again and again how much of the disk is used.
pub(super) async fn watch_disk(work_dir: PathBuf, interval: Duration, actor: Addr<AgentActor>) {
    let mut ticks = tokio::time::interval(interval.max(MIN_INTERVAL));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while actor.connected() {
        ticks.tick().await;
        let directory = work_dir.clone();
        let used = tokio::task::spawn_blocking(move || used(&directory)).await;
        match used {
            Ok(Ok(share)) => actor.do_send(Tell(Input::DiskUsed { share })),
            Ok(Err(error)) => tracing::error!(%error, "cannot tell how full the disk is"),
            Err(error) => tracing::error!(%error, "cannot tell how full the disk is"),
        }
    }
}

/// The share of a file system that is used. (Mesos: `fs::usage`.)
pub(super) fn used(directory: &Path) -> nix::Result<f64> {
    let stat = statvfs(directory)?;
    let (all, free) = (stat.blocks() as f64, stat.blocks_free() as f64);
    Ok(if all > 0.0 { (all - free) / all } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn moved(dir: &Path) -> Moved {
        Moved::open(dir.join(MOVED)).unwrap()
    }

    fn is_empty(dir: &Path) -> bool {
        fs::read_dir(dir).unwrap().next().is_none()
    }

    #[test]
    fn links_are_removed_and_not_what_they_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, sandbox) = (dir.path().join("volume"), dir.path().join("sandbox"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("data"), "kept").unwrap();
        fs::create_dir_all(sandbox.join("a/b")).unwrap();
        symlink(&outside, sandbox.join("volume")).unwrap();
        symlink("..", sandbox.join("a/b/up")).unwrap();
        symlink("/no/such", sandbox.join("a/dangling")).unwrap();
        fs::hard_link(outside.join("data"), sandbox.join("hard")).unwrap();
        let moved = moved(dir.path());
        let there = moved.take(&sandbox).unwrap();
        assert!(!sandbox.exists());
        moved.delete(there).unwrap();
        assert!(is_empty(&moved.path));
        assert_eq!(fs::read_to_string(outside.join("data")).unwrap(), "kept");
        // A link in the place of a sandbox goes alone, too.
        symlink(&outside, &sandbox).unwrap();
        moved.delete(moved.take(&sandbox).unwrap()).unwrap();
        assert!(outside.join("data").exists() && is_empty(&moved.path));
    }

    #[test]
    fn depth_and_locked_directories_do_not_stop_it() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = dir.path().join("sandbox");
        let mut deep = sandbox.clone();
        for _ in 0..1000 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        let locked = sandbox.join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("file"), "").unwrap();
        fs::set_permissions(&locked, Permissions::from_mode(0o0)).unwrap();
        let moved = moved(dir.path());
        moved.delete(moved.take(&sandbox).unwrap()).unwrap();
        assert!(is_empty(&moved.path));
    }

    #[test]
    fn what_a_crash_has_left_is_deleted_and_no_name_is_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sandbox")).unwrap();
        moved(dir.path()).take(&dir.path().join("sandbox")).unwrap();
        let again = moved(dir.path());
        fs::create_dir(dir.path().join("sandbox")).unwrap();
        let second = again.take(&dir.path().join("sandbox")).unwrap();
        assert!(second.ends_with("1"));
        again.delete_all();
        assert!(is_empty(&again.path));
    }

    #[test]
    fn a_directory_is_as_old_as_the_newest_within_it() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("S/frameworks/f/executors/e/runs/r");
        fs::create_dir_all(&run).unwrap();
        fs::create_dir(dir.path().join(MOVED)).unwrap();
        symlink(&run, run.with_file_name("latest")).unwrap();
        let hour = |hours: u64| std::time::UNIX_EPOCH + Duration::from_secs(3600 * hours);
        let set = |path: &Path, hours| {
            let directory = fs::File::open(path).unwrap();
            directory.set_modified(hour(hours)).unwrap();
        };
        for (at, path) in run.ancestors().take(8).enumerate() {
            set(path, 100 - at as u64);
        }
        let now = Wall(3600 * 110 * 1_000_000);
        let hours = |age: Duration| age.as_secs() / 3600;
        let found = look(dir.path(), now).into_iter();
        let found: Vec<(String, u64)> = found
            .map(|(place, age)| (place.path("/w"), hours(age)))
            .collect();
        let path = |rest: &str| format!("/w/slaves/S{rest}");
        let expected = [
            (path("/frameworks/f/executors/e/runs/r"), 10),
            (path("/frameworks/f/executors/e"), 10),
            (path("/frameworks/f"), 10),
            (path(""), 10),
        ];
        assert_eq!(found, expected);
        mark_ended(&run);
        assert!(fs::metadata(&run).unwrap().modified().unwrap() > hour(24 * 365));
    }

    #[test]
    fn a_disk_is_used_in_part() {
        let dir = tempfile::tempdir().unwrap();
        let share = used(dir.path()).unwrap();
        assert!((0.0..=1.0).contains(&share), "{share}");
        assert!(used(&dir.path().join("nothing")).is_err());
    }
}
