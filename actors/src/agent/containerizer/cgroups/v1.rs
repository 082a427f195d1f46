//! Cgroups of version 1: each controller has a tree of its own.
//! Makes no mount: the system has done that.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{SysconfVar, sysconf};
use tokio::io::Interest;

use super::files::{self, kill_all, number, read, value, write};
use super::{
    CFS_PERIOD_US, Cgroups, Controller, CpuFigures, HardLimit, MemoryFigures, OutOfMemory, Quota,
    Wait, create, path_of,
};

/// How often the state of a freezing cgroup is looked at before what runs in it is killed as it is.
const MAX_LOOKS: usize = 10_000;

/// The trees below one directory, `/sys/fs/cgroup` as a rule.
#[derive(Debug)]
pub(in super::super) struct V1 {
    hierarchy: PathBuf,
    /// Name of the cgroup, in each tree, that holds those of the containers.
    root: String,
}

impl V1 {
    /// Makes the cgroups above those of the containers.
    pub(in super::super) fn open(
        hierarchy: &Path,
        root: &str,
        controllers: &[Controller],
    ) -> Result<Self, String> {
        for subsystem in controllers.iter().flat_map(|it| subsystems(*it)) {
            let tree = hierarchy.join(subsystem);
            if !tree.join("cgroup.procs").exists() {
                return Err(format!(
                    "the cgroup subsystem '{subsystem}' is not mounted at '{}' (see \
                     --cgroups_hierarchy)",
                    tree.display()
                ));
            }
            let parent = tree.join(root);
            fs::create_dir_all(&parent)
                .map_err(|error| format!("cannot make the cgroup {}: {error}", parent.display()))?;
        }
        Ok(V1 {
            hierarchy: hierarchy.to_owned(),
            root: root.to_owned(),
        })
    }

    fn directory(&self, subsystem: &str, id: &str) -> PathBuf {
        self.hierarchy
            .join(subsystem)
            .join(&self.root)
            .join(path_of(id))
    }

    fn set(&self, subsystem: &str, id: &str, file: &str, text: &str) -> Result<(), String> {
        write(&self.directory(subsystem, id).join(file), text)
    }
}

/// The trees that a controller needs.
pub(super) fn subsystems(controller: Controller) -> &'static [&'static str] {
    match controller {
        Controller::Processes => &["freezer"],
        Controller::Cpu => &["cpu", "cpuacct"],
        Controller::Memory => &["memory"],
        Controller::Pids => &["pids"],
    }
}

/// Whether all trees are there that a controller needs.
pub(super) fn has(hierarchy: &Path, controller: Controller) -> bool {
    let mut trees = subsystems(controller).iter();
    trees.all(|tree| hierarchy.join(tree).join("cgroup.procs").exists())
}

impl Cgroups for V1 {
    fn create(&self, controller: Controller, id: &str) -> io::Result<()> {
        let mut made: Vec<PathBuf> = Vec::new();
        for subsystem in subsystems(controller) {
            let directory = self.directory(subsystem, id);
            // Two trees may be one: then both names lead to the same directory.
            let is_same = |other: &PathBuf| match (other.canonicalize(), directory.canonicalize()) {
                (Ok(other), Ok(own)) => other == own,
                _ => false,
            };
            if made.iter().any(is_same) {
                continue;
            }
            create(&directory)?;
            made.push(directory);
        }
        Ok(())
    }

    fn remove(&self, controller: Controller, id: &str) -> io::Result<()> {
        subsystems(controller)
            .iter()
            .try_for_each(|subsystem| files::remove(&self.directory(subsystem, id)))
    }

    fn entrances(&self, controller: Controller, id: &str) -> Vec<PathBuf> {
        subsystems(controller)
            .iter()
            .map(|subsystem| self.directory(subsystem, id).join("cgroup.procs"))
            .collect()
    }

    fn processes(&self, id: &str) -> io::Result<Vec<u32>> {
        files::processes(&self.directory("freezer", id))
    }

    /// What is frozen starts nothing, so that all that there is gets killed before it goes on,
    /// however fast it multiplies.
    fn kill(&self, id: &str) -> io::Result<()> {
        let directory = self.directory("freezer", id);
        if !directory.exists() {
            return Ok(());
        }
        let state = directory.join("freezer.state");
        let freezes = write(&state, "FROZEN");
        if freezes.is_ok() {
            for _ in 0..MAX_LOOKS {
                if read(&state)?.trim() == "FROZEN" {
                    break;
                }
                std::thread::yield_now();
            }
        }
        let processes = files::processes(&directory);
        if let Ok(pids) = &processes {
            kill_all(pids);
        }
        // What is frozen does not die before it is thawed.
        let thaws = write(&state, "THAWED");
        processes?;
        freezes.and(thaws).map_err(io::Error::other)
    }

    fn set_cpu(&self, id: &str, shares: u64, quota: Quota) -> Result<(), String> {
        self.set("cpu", id, "cpu.shares", &shares.to_string())?;
        let quota = match quota {
            Quota::Unset => return Ok(()),
            Quota::Infinite => "-1".to_owned(),
            Quota::Micros(micros) => micros.to_string(),
        };
        self.set("cpu", id, "cpu.cfs_period_us", &CFS_PERIOD_US.to_string())?;
        self.set("cpu", id, "cpu.cfs_quota_us", &quota)
    }

    fn set_soft_limit(&self, id: &str, bytes: u64) -> Result<(), String> {
        self.set(
            "memory",
            id,
            "memory.soft_limit_in_bytes",
            &bytes.to_string(),
        )
    }

    /// The limit with swap may at no time be less than that without.
    fn set_hard_limit(&self, id: &str, limit: HardLimit, swap: bool) -> Result<(), String> {
        let text = limit.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let memory = || self.set("memory", id, "memory.limit_in_bytes", &text);
        if !swap {
            return memory();
        }
        let both = || self.set("memory", id, "memory.memsw.limit_in_bytes", &text);
        let before = self.hard_limit(id).map_err(|error| error.to_string())?;
        let falls = match (before, limit) {
            (None, Some(_)) => true,
            (Some(before), Some(limit)) => limit < before,
            (_, None) => false,
        };
        match falls {
            true => memory().and_then(|()| both()),
            false => both().and_then(|()| memory()),
        }
    }

    fn hard_limit(&self, id: &str) -> io::Result<HardLimit> {
        number(&self.directory("memory", id).join("memory.limit_in_bytes"))
    }

    fn cpu(&self, id: &str) -> io::Result<CpuFigures> {
        let used = read(&self.directory("cpuacct", id).join("cpuacct.stat"))?;
        let periods = read(&self.directory("cpu", id).join("cpu.stat"))?;
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let ticks_per_sec = ticks.filter(|ticks| *ticks > 0).unwrap_or(100) as f64;
        let secs = |key: &str| value(&used, key).unwrap_or(0) as f64 / ticks_per_sec;
        let count = |key: &str| value(&periods, key).unwrap_or(0);
        Ok(CpuFigures {
            user_secs: secs("user"),
            system_secs: secs("system"),
            periods: count("nr_periods"),
            throttled: count("nr_throttled"),
            throttled_secs: count("throttled_time") as f64 / 1e9,
        })
    }

    fn memory(&self, id: &str) -> io::Result<MemoryFigures> {
        let directory = self.directory("memory", id);
        let stat = read(&directory.join("memory.stat"))?;
        Ok(MemoryFigures {
            total: number(&directory.join("memory.usage_in_bytes"))?.unwrap_or(0),
            anonymous: value(&stat, "total_rss"),
            cache: value(&stat, "total_cache"),
            mapped: value(&stat, "total_mapped_file"),
            swap: value(&stat, "total_swap"),
            unevictable: value(&stat, "total_unevictable"),
        })
    }

    fn set_pids(&self, id: &str, limit: u64) -> Result<(), String> {
        self.set("pids", id, "pids.max", &limit.to_string())
    }

    fn threads(&self, id: &str) -> io::Result<u64> {
        let count = number(&self.directory("pids", id).join("pids.current"))?;
        Ok(count.unwrap_or(0))
    }

    fn refused(&self, id: &str) -> io::Result<u64> {
        let events = read(&self.directory("pids", id).join("pids.events"))?;
        Ok(value(&events, "max").unwrap_or(0))
    }

    fn out_of_memory(&self, id: &str) -> Wait<io::Result<OutOfMemory>> {
        let directory = self.directory("memory", id);
        Box::pin(async move {
            wait(&directory).await?;
            let figure = |file: &str| number(&directory.join(file)).ok().flatten();
            Ok(OutOfMemory {
                limit: figure("memory.limit_in_bytes"),
                most: figure("memory.max_usage_in_bytes"),
                statistics: read(&directory.join("memory.stat"))?,
            })
        })
    }
}

/// Waits for the kernel to say that the limit is met. It also says so when the cgroup is removed,
/// after which nothing can be read of it.
async fn wait(directory: &Path) -> io::Result<()> {
    let control = directory.join("memory.oom_control");
    let open = fs::File::open(&control)?;
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let order = format!("{} {}", event.as_raw_fd(), open.as_raw_fd());
    write(&directory.join("cgroup.event_control"), &order).map_err(io::Error::other)?;
    let waiter = files::waiter(event, Interest::READABLE)?;
    // It may have happened before anybody listened.
    if value(&read(&control)?, "oom_kill").unwrap_or(0) == 0 {
        waiter.readable().await?.retain_ready();
    }
    Ok(())
}
