//! The cgroups of an agent's containers as the kernel shows them, in version 1 or 2.
//! Makes none.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::until;

/// Where the kernel shows cgroups.
const HIERARCHY: &str = "/sys/fs/cgroup";

/// The trees of version 1 that isolated containers are in.
const TREES: &[&str] = &["freezer", "cpu", "cpuacct", "memory", "pids"];

/// What is read of a container's cgroup.
#[derive(Debug, Clone, Copy)]
pub enum Figure {
    /// Memory it may use, in bytes.
    MemoryLimit,
    /// Its share of the CPUs, in the kernel's unit; see [`shares`].
    CpuShares,
    /// Time it may run in each period, in microseconds.
    CpuQuota,
    /// Memory it keeps when there is little, in bytes.
    MemoryKept,
}

/// Whether this machine has cgroups of version 2 alone.
pub fn is_v2() -> bool {
    Path::new(HIERARCHY).join("cgroup.controllers").exists()
}

/// The cgroup of a container that a process is in, in a tree of version 1.
pub fn cgroup_of(pid: i32, tree: &str) -> String {
    let path = format!("/proc/{pid}/cgroup");
    let all = std::fs::read_to_string(path).expect("cgroups of a process");
    let mark = if is_v2() { "0::" } else { &format!(":{tree}:") };
    let line = all.lines().find(|line| line.contains(mark));
    let (_, path) = line.expect("a tree").rsplit_once(':').expect("a path");
    path.strip_suffix("/leaf").unwrap_or(path).to_owned()
}

/// Fails where a test could only fail, and says what it needs.
pub fn need_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes cgroups, namespaces and mounts: run it as root"
    );
}

/// A share of the CPUs as this kernel shows it, given in version 1's unit.
pub fn shares(shares: u64) -> String {
    // One CPU has a weight of 100, or 1024 shares.
    let shown = if is_v2() { shares * 100 / 1024 } else { shares };
    shown.to_string()
}

/// Whether a figure stands for no limit.
pub fn is_unlimited(figure: &str) -> bool {
    // Version 1 shows the largest number of whole pages, and -1 for CPUs.
    figure == "max" || figure == "-1" || figure.parse().is_ok_and(|it: u64| it > 1 << 62)
}

/// The cgroups below an agent's root.
pub struct Cgroups {
    pub root: String,
}

impl Cgroups {
    /// The directories that hold those of containers.
    fn parents(&self) -> Vec<PathBuf> {
        let hierarchy = Path::new(HIERARCHY);
        match is_v2() {
            true => vec![hierarchy.join(&self.root)],
            false => TREES
                .iter()
                .map(|tree| hierarchy.join(tree).join(&self.root))
                .collect(),
        }
    }

    /// All cgroups of containers.
    fn all(&self) -> Vec<PathBuf> {
        let inner = |parent: &PathBuf| {
            let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
            let paths = entries.map(|entry| entry.path());
            paths.filter(|path| path.is_dir()).collect::<Vec<_>>()
        };
        self.parents().iter().flat_map(inner).collect()
    }

    /// The ids of all containers that have a cgroup.
    pub fn containers(&self) -> std::collections::BTreeSet<String> {
        let all = self.all().into_iter();
        all.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect()
    }

    /// Fails unless a process is in all cgroups of a container.
    pub fn assert_holds(&self, pid: i64, container: &str) {
        let path = format!("/proc/{pid}/cgroup");
        let cgroups = std::fs::read_to_string(&path).expect("cgroups of a process");
        let leaf = if is_v2() { "/leaf" } else { "" };
        let own = format!("/{}/{container}{leaf}", self.root);
        let marks: Vec<String> = match is_v2() {
            true => vec!["0::".to_owned()],
            false => TREES.iter().map(|tree| format!(":{tree}:")).collect(),
        };
        for mark in marks {
            let line = cgroups.lines().find(|line| line.contains(&mark));
            assert!(line.expect("a line").ends_with(&own), "{mark}: {cgroups}");
        }
    }

    /// A figure of a container's cgroup.
    pub fn figure(&self, container: &str, figure: Figure) -> String {
        let (tree, old, new) = match figure {
            Figure::MemoryLimit => ("memory", "memory.limit_in_bytes", "memory.max"),
            Figure::CpuShares => ("cpu", "cpu.shares", "cpu.weight"),
            Figure::CpuQuota => ("cpu", "cpu.cfs_quota_us", "cpu.max"),
            Figure::MemoryKept => ("memory", "memory.soft_limit_in_bytes", "memory.low"),
        };
        let text = self.text(container, tree, old, new);
        // The second word of `cpu.max` is the period.
        text.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// A file of a container's cgroup: where it is in version 1, and its name there and in version 2.
    fn text(&self, container: &str, tree: &str, old: &str, new: &str) -> String {
        let hierarchy = Path::new(HIERARCHY);
        let path = match is_v2() {
            true => hierarchy.join(&self.root).join(container).join(new),
            false => {
                let own = hierarchy.join(tree).join(&self.root).join(container);
                own.join(old)
            }
        };
        let text = std::fs::read_to_string(&path);
        text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Fails unless swap does not help a container to get more memory than this.
    pub fn assert_no_swap(&self, container: &str, bytes: u64) {
        let (old, new) = ("memory.memsw.limit_in_bytes", "memory.swap.max");
        let text = self.text(container, "memory", old, new);
        let expected = if is_v2() { 0 } else { bytes };
        assert_eq!(text.trim(), expected.to_string());
    }

    /// In how many periods a container has used up its time.
    pub fn throttled(&self, container: &str) -> u64 {
        let text = self.text(container, "cpu", "cpu.stat", "cpu.stat");
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("nr_throttled "));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// How many processes all containers have.
    pub fn processes(&self) -> usize {
        let leaves = self.all().into_iter().map(|path| path.join("leaf"));
        let all = leaves.chain(self.all());
        let lists = all.filter_map(|it| std::fs::read_to_string(it.join("cgroup.procs")).ok());
        lists.map(|list| list.lines().count()).sum()
    }

    /// How often the kernel has refused a container further processes.
    pub fn refused_forks(&self, container: &str) -> u64 {
        let hierarchy = Path::new(HIERARCHY);
        let own = match is_v2() {
            true => hierarchy.join(&self.root),
            false => hierarchy.join("pids").join(&self.root),
        };
        let events = std::fs::read_to_string(own.join(container).join("pids.events"));
        let events = events.unwrap_or_default();
        let mut words = events.split_whitespace().skip_while(|word| *word != "max");
        words
            .nth(1)
            .and_then(|count| count.parse().ok())
            .unwrap_or(0)
    }

    /// Kills all processes and removes all cgroups, as far as there are some.
    pub fn remove(&self) {
        let leaves = self.all().into_iter().map(|path| path.join("leaf"));
        let leaves = leaves.filter(|path| path.is_dir());
        let all: Vec<PathBuf> = leaves.chain(self.all()).collect();
        for inner in &all {
            let processes = std::fs::read_to_string(inner.join("cgroup.procs"));
            for pid in processes.unwrap_or_default().lines().flat_map(str::parse) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        for inner in &all {
            until("the end of what is left", || {
                let left = std::fs::read_to_string(inner.join("cgroup.procs"));
                left.map_or(true, |left| left.is_empty()).then_some(())
            });
            let _ = std::fs::remove_dir(inner);
        }
        for parent in self.parents() {
            let _ = std::fs::remove_dir(parent);
        }
    }
}
