//! Cgroups of containers, of version 1 and 2, behind one trait.
//! Decides no limit: isolators do.

mod files;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

pub(super) use v1::V1;
pub(super) use v2::V2;

/// What a cgroup is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controller {
    /// To find all processes of a container and to kill them. Every container has one.
    Processes,
    /// To share CPUs, and to count the time they spend.
    Cpu,
    /// To limit memory, and to hear when the limit was met.
    Memory,
    /// To count processes.
    Pids,
}

impl Controller {
    /// All of them.
    pub(super) const ALL: [Controller; 4] = [
        Controller::Processes,
        Controller::Cpu,
        Controller::Memory,
        Controller::Pids,
    ];
}

/// How much of a CPU container may use (Mesos: `CFS quota`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quota {
    /// Nothing is said of it.
    Unset,
    /// As much as there is.
    Infinite,
    /// This many microseconds of each [`CFS_PERIOD_US`].
    Micros(u64),
}

/// Name of the cgroup, in that of a container, which holds those of the containers in it.
const INNER: &str = "mesos";

/// The period of CPU quotas in microseconds, as in Mesos.
pub(super) const CFS_PERIOD_US: u64 = 100_000;

/// How much memory a container may use; nothing stands for no limit.
pub(super) type HardLimit = Option<u64>;

/// CPU time that a container has used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct CpuFigures {
    /// In user mode, in seconds.
    pub(super) user_secs: f64,
    /// In the kernel, in seconds.
    pub(super) system_secs: f64,
    /// Periods of the quota.
    pub(super) periods: u64,
    /// Periods in which the quota was used up.
    pub(super) throttled: u64,
    /// Time it had to wait because of that, in seconds.
    pub(super) throttled_secs: f64,
}

/// Memory that a container uses, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct MemoryFigures {
    /// All that is accounted to it.
    pub(super) total: u64,
    /// Of that, what belongs to no file.
    pub(super) anonymous: Option<u64>,
    /// Of that, pages of files.
    pub(super) cache: Option<u64>,
    /// Of those, what is mapped.
    pub(super) mapped: Option<u64>,
    /// What was written to swap.
    pub(super) swap: Option<u64>,
    /// What cannot be taken from it.
    pub(super) unevictable: Option<u64>,
}

/// What is known of a container that has met its limit of memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OutOfMemory {
    /// The limit in bytes.
    pub(super) limit: Option<u64>,
    /// The most it has used, in bytes.
    pub(super) most: Option<u64>,
    /// The kernel's own figures as text.
    pub(super) statistics: String,
}

/// A wait that need not end.
pub(super) type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The cgroups of all containers of an agent; each container is known by its id. Calls may wait for
/// the kernel, but for no process.
pub(super) trait Cgroups: Debug + Send + Sync {
    /// Makes the container's cgroup for this.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    fn create(&self, controller: Controller, id: &str) -> io::Result<()>;

    /// Removes it with what its processes have made in it; one that is not there is removed.
    ///
    /// # Errors
    /// When there are processes in it.
    fn remove(&self, controller: Controller, id: &str) -> io::Result<()>;

    /// The files that a process which is to enter writes its id to.
    fn entrances(&self, controller: Controller, id: &str) -> Vec<PathBuf>;

    /// The processes of the container, those in cgroups within its own among them.
    ///
    /// # Errors
    /// When they cannot be listed. No cgroup means no processes.
    fn processes(&self, id: &str) -> io::Result<Vec<u32>>;

    /// Kills all processes that are there when it returns; none of them can start another one
    /// meanwhile. They have not all ended by then.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn kill(&self, id: &str) -> io::Result<()>;

    /// Sets the share of the CPUs when they are scarce, 1024 for each CPU, and the quota.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    fn set_cpu(&self, id: &str, shares: u64, quota: Quota) -> Result<(), String>;

    /// Sets the memory that a container keeps when there is little, in bytes.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    fn set_soft_limit(&self, id: &str, bytes: u64) -> Result<(), String>;

    /// Sets the memory that a container may use, and whether swap counts.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    fn set_hard_limit(&self, id: &str, limit: HardLimit, swap: bool) -> Result<(), String>;

    /// The memory that a container may use; nothing when it is not limited.
    ///
    /// # Errors
    /// When it cannot be read.
    fn hard_limit(&self, id: &str) -> io::Result<HardLimit>;

    /// CPU time used.
    ///
    /// # Errors
    /// When it cannot be read.
    fn cpu(&self, id: &str) -> io::Result<CpuFigures>;

    /// Memory used.
    ///
    /// # Errors
    /// When it cannot be read.
    fn memory(&self, id: &str) -> io::Result<MemoryFigures>;

    /// Limits processes and threads.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    fn set_pids(&self, id: &str, limit: u64) -> Result<(), String>;

    /// Processes and threads.
    ///
    /// # Errors
    /// When they cannot be counted.
    fn threads(&self, id: &str) -> io::Result<u64>;

    /// How often the container was refused a further process.
    ///
    /// # Errors
    /// When that was not counted.
    fn refused(&self, id: &str) -> io::Result<u64>;

    /// Ends when the container meets its limit of memory, or has met it before; or with an error
    /// when that cannot be known.
    fn out_of_memory(&self, id: &str) -> Wait<io::Result<OutOfMemory>>;
}

/// The path of a container's cgroup below that of all containers. One in another container is
/// below that one's, as in Mesos.
fn path_of(id: &str) -> PathBuf {
    let mut names = id.split('.');
    let mut path = PathBuf::from(names.next().unwrap_or_default());
    for name in names {
        path.push(INNER);
        path.push(name);
    }
    path
}

/// Makes the cgroup of a container.
fn create(directory: &Path) -> io::Result<()> {
    if let Some(between) = directory.parent().filter(|it| it.ends_with(INNER))
        && let Err(error) = std::fs::create_dir(between)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    std::fs::create_dir(directory)
}

/// Whether the kernel has what a controller needs there.
pub(super) fn offers(hierarchy: &Path, controller: Controller) -> bool {
    match std::fs::read_to_string(hierarchy.join("cgroup.controllers")) {
        Ok(offered) => v2::is_among(&offered, controller),
        Err(_) => v1::has(hierarchy, controller),
    }
}

/// The cgroups of this machine, with those above the containers' own made.
///
/// # Errors
/// When there are none of the kind that is needed.
pub(super) fn open(
    hierarchy: &Path,
    root: &str,
    controllers: &[Controller],
) -> Result<Arc<dyn Cgroups>, String> {
    if hierarchy.join("cgroup.controllers").exists() {
        return Ok(Arc::new(V2::open(hierarchy, root, controllers)?));
    }
    Ok(Arc::new(V1::open(hierarchy, root, controllers)?))
}
