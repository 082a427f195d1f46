//! Cgroups of version 2: one tree, in which a container has one cgroup for all. Its processes are in
//! a leaf of that, since the kernel controls nothing below a cgroup that has processes of its own:
//! so containers in it can have limits, too. (Mesos: `cgroups2::container`.)
//! Makes no mount: the system has done that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, kill_all, number, read, value, write};
use super::{
    CFS_PERIOD_US, Cgroups, Controller, CpuFigures, HardLimit, MemoryFigures, OutOfMemory, Quota,
    Wait, create, path_of,
};

/// Weight of one CPU; shares of version 1 count 1024 for it. (Mesos: `cgroups2::cpu::weight`.)
const WEIGHT_PER_CPU: u64 = 100;

/// Shares of one CPU in version 1.
const SHARES_PER_CPU: u64 = 1024;

/// The largest weight that the kernel knows.
const MAX_WEIGHT: u64 = 10_000;

/// How often the state of a freezing cgroup is looked at before what runs in it is killed as it is.
const MAX_LOOKS: usize = 10_000;

/// Name of the cgroup, in that of a container, which its processes are in.
const LEAF: &str = "leaf";

/// The tree, `/sys/fs/cgroup` as a rule.
#[derive(Debug)]
pub(in super::super) struct V2 {
    /// The cgroup that holds those of the containers, and no process.
    parent: PathBuf,
    /// What is written to have the kernel control what is needed; nothing if nothing is.
    wanted: String,
}

impl V2 {
    /// Makes the cgroup above those of the containers, and has the kernel control what is needed
    /// in them.
    pub(in super::super) fn open(
        hierarchy: &Path,
        root: &str,
        controllers: &[Controller],
    ) -> Result<Self, String> {
        let wanted: Vec<String> = controllers
            .iter()
            .filter_map(|controller| name(*controller))
            .map(|name| format!("+{name}"))
            .collect();
        V2::with_controllers(hierarchy, root, &wanted.join(" "))
    }

    /// The same with the kernel's own names, as they are written.
    pub(super) fn with_controllers(
        hierarchy: &Path,
        root: &str,
        wanted: &str,
    ) -> Result<Self, String> {
        let parent = hierarchy.join(root);
        fs::create_dir_all(&parent)
            .map_err(|error| format!("cannot make the cgroup {}: {error}", parent.display()))?;
        let cgroups = V2 {
            parent,
            wanted: wanted.to_owned(),
        };
        let mut level = hierarchy.to_owned();
        cgroups.control_below(&level)?;
        for part in Path::new(root).components() {
            level.push(part);
            cgroups.control_below(&level)?;
        }
        Ok(cgroups)
    }

    fn directory(&self, id: &str) -> PathBuf {
        self.parent.join(path_of(id))
    }

    fn file(&self, id: &str, name: &str) -> PathBuf {
        self.directory(id).join(name)
    }

    /// Has the kernel control what is needed in the cgroups right below this one.
    fn control_below(&self, directory: &Path) -> Result<(), String> {
        match self.wanted.is_empty() {
            true => Ok(()),
            false => write(&directory.join("cgroup.subtree_control"), &self.wanted),
        }
    }

    /// The same for a container in others: in every cgroup from the outermost one's to its own.
    fn control(&self, id: &str) -> Result<(), String> {
        let path = path_of(id);
        let above = path.parent().unwrap_or(Path::new(""));
        let mut level = self.parent.clone();
        above.components().try_for_each(|part| {
            level.push(part);
            self.control_below(&level)
        })
    }
}

/// What the kernel calls a controller; processes can be found and killed without one.
fn name(controller: Controller) -> Option<&'static str> {
    match controller {
        Controller::Processes => None,
        Controller::Cpu => Some("cpu"),
        Controller::Memory => Some("memory"),
        Controller::Pids => Some("pids"),
    }
}

/// Whether a controller is among those that the kernel offers.
pub(super) fn is_among(offered: &str, controller: Controller) -> bool {
    name(controller).is_none_or(|name| offered.split_whitespace().any(|it| it == name))
}

impl Cgroups for V2 {
    fn create(&self, controller: Controller, id: &str) -> io::Result<()> {
        match controller {
            Controller::Processes => {
                let directory = self.directory(id);
                create(&directory)?;
                fs::create_dir(directory.join(LEAF))
            }
            // It is the same, and was made before.
            Controller::Cpu | Controller::Memory | Controller::Pids => {
                self.control(id).map_err(io::Error::other)
            }
        }
    }

    fn remove(&self, controller: Controller, id: &str) -> io::Result<()> {
        match controller {
            Controller::Processes => files::remove(&self.directory(id)),
            Controller::Cpu | Controller::Memory | Controller::Pids => Ok(()),
        }
    }

    fn entrances(&self, controller: Controller, id: &str) -> Vec<PathBuf> {
        match controller {
            Controller::Processes => vec![self.directory(id).join(LEAF).join("cgroup.procs")],
            Controller::Cpu | Controller::Memory | Controller::Pids => Vec::new(),
        }
    }

    fn processes(&self, id: &str) -> io::Result<Vec<u32>> {
        files::processes(&self.directory(id))
    }

    fn kill(&self, id: &str) -> io::Result<()> {
        let directory = self.directory(id);
        if !directory.exists() {
            return Ok(());
        }
        let at_once = directory.join("cgroup.kill");
        if at_once.exists() {
            return write(&at_once, "1").map_err(io::Error::other);
        }
        // Kernels before 5.14: what is frozen starts nothing, and can be killed as it is.
        let freeze = directory.join("cgroup.freeze");
        let freezes = write(&freeze, "1");
        if freezes.is_ok() {
            for _ in 0..MAX_LOOKS {
                if value(&read(&directory.join("cgroup.events"))?, "frozen") == Some(1) {
                    break;
                }
                std::thread::yield_now();
            }
        }
        let processes = files::processes(&directory);
        if let Ok(pids) = &processes {
            kill_all(pids);
        }
        let thaws = write(&freeze, "0");
        processes?;
        freezes.and(thaws).map_err(io::Error::other)
    }

    fn set_cpu(&self, id: &str, shares: u64, quota: Quota) -> Result<(), String> {
        let weight = (shares * WEIGHT_PER_CPU / SHARES_PER_CPU).clamp(1, MAX_WEIGHT);
        write(&self.file(id, "cpu.weight"), &weight.to_string())?;
        let quota = match quota {
            Quota::Unset => return Ok(()),
            Quota::Infinite => "max".to_owned(),
            Quota::Micros(micros) => micros.to_string(),
        };
        let text = format!("{quota} {CFS_PERIOD_US}");
        write(&self.file(id, "cpu.max"), &text)
    }

    fn set_soft_limit(&self, id: &str, bytes: u64) -> Result<(), String> {
        write(&self.file(id, "memory.low"), &bytes.to_string())
    }

    /// Swap is counted by itself here: none at all has the effect of a common limit.
    fn set_hard_limit(&self, id: &str, limit: HardLimit, swap: bool) -> Result<(), String> {
        let text = limit.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        write(&self.file(id, "memory.max"), &text)?;
        if !swap {
            return Ok(());
        }
        let swap = if limit.is_some() { "0" } else { "max" };
        write(&self.file(id, "memory.swap.max"), swap)
    }

    fn hard_limit(&self, id: &str) -> io::Result<HardLimit> {
        number(&self.file(id, "memory.max"))
    }

    fn cpu(&self, id: &str) -> io::Result<CpuFigures> {
        let stat = read(&self.file(id, "cpu.stat"))?;
        let count = |key: &str| value(&stat, key).unwrap_or(0);
        let secs = |key: &str| count(key) as f64 / 1e6;
        Ok(CpuFigures {
            user_secs: secs("user_usec"),
            system_secs: secs("system_usec"),
            periods: count("nr_periods"),
            throttled: count("nr_throttled"),
            throttled_secs: secs("throttled_usec"),
        })
    }

    fn memory(&self, id: &str) -> io::Result<MemoryFigures> {
        let stat = read(&self.file(id, "memory.stat"))?;
        // There is no such file where the kernel has no swap.
        let swap = number(&self.file(id, "memory.swap.current")).ok().flatten();
        Ok(MemoryFigures {
            total: number(&self.file(id, "memory.current"))?.unwrap_or(0),
            anonymous: value(&stat, "anon"),
            cache: value(&stat, "file"),
            mapped: value(&stat, "file_mapped"),
            swap,
            unevictable: value(&stat, "unevictable"),
        })
    }

    fn set_pids(&self, id: &str, limit: u64) -> Result<(), String> {
        write(&self.file(id, "pids.max"), &limit.to_string())
    }

    fn threads(&self, id: &str) -> io::Result<u64> {
        Ok(number(&self.file(id, "pids.current"))?.unwrap_or(0))
    }

    fn refused(&self, id: &str) -> io::Result<u64> {
        let events = read(&self.file(id, "pids.events"))?;
        Ok(value(&events, "max").unwrap_or(0))
    }

    fn out_of_memory(&self, id: &str) -> Wait<io::Result<OutOfMemory>> {
        let directory = self.directory(id);
        Box::pin(async move {
            // The other file also tells of limits of containers in this one; kernels before 5.2
            // have only that.
            let local = directory.join("memory.events.local");
            let events = match local.exists() {
                true => local,
                false => directory.join("memory.events"),
            };
            files::changed(&events, |text| {
                value(text, "oom").unwrap_or(0) > 0 || value(text, "oom_kill").unwrap_or(0) > 0
            })
            .await?;
            let figure = |file: &str| number(&directory.join(file)).ok().flatten();
            Ok(OutOfMemory {
                limit: figure("memory.max"),
                // Kernels before 5.19 do not tell the most.
                most: figure("memory.peak").or_else(|| figure("memory.current")),
                statistics: read(&directory.join("memory.stat"))?,
            })
        })
    }
}
