//! The processes of this machine at one moment, and what those of a container use together.
//! Knows no container: a leader's process id comes in.

use std::collections::{HashMap, HashSet};
use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// Processes looked at; a machine with more shows less of them.
const MAX_PROCESSES: usize = 100_000;

/// One line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    /// Whether it has ended and only waits to be noticed.
    is_zombie: bool,
    /// CPU time in ticks, its own and that of children it has waited for.
    user: u64,
    system: u64,
    threads: u64,
    rss_pages: u64,
}

/// What the processes of a container use together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// CPU time in user mode, in seconds, with that of processes that have ended.
    pub user_secs: f64,
    /// CPU time in the kernel, in seconds, likewise.
    pub system_secs: f64,
    /// Resident memory in bytes; what processes share counts for each of them, as in Mesos.
    pub rss_bytes: u64,
    /// Processes that have not ended.
    pub processes: u32,
    /// Threads of these.
    pub threads: u32,
}

/// All processes, by what they are looked for by.
#[derive(Debug, Default)]
pub(super) struct Processes {
    all: HashMap<u32, Process>,
    children: HashMap<u32, Vec<u32>>,
    groups: HashMap<u32, Vec<u32>>,
    /// The group of the agent itself, which belongs to no container.
    own_group: u32,
    ticks_per_second: f64,
    page_bytes: u64,
}

impl Processes {
    /// Reads them from the kernel, once for all containers. May wait for the kernel, but for no
    /// process.
    pub(super) fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let own_group = u32::try_from(nix::unistd::getpgrp().as_raw()).unwrap_or(0);
        let read = pids.take(MAX_PROCESSES).filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            parse(pid, &stat)
        });
        Processes {
            ticks_per_second: setting(SysconfVar::CLK_TCK, 100) as f64,
            page_bytes: setting(SysconfVar::PAGE_SIZE, 4096),
            ..Processes::of(read, own_group)
        }
    }

    fn of(processes: impl Iterator<Item = Process>, own_group: u32) -> Self {
        let mut known = Processes {
            own_group,
            ticks_per_second: 100.0,
            page_bytes: 4096,
            ..Processes::default()
        };
        for process in processes {
            known
                .children
                .entry(process.parent)
                .or_default()
                .push(process.pid);
            known
                .groups
                .entry(process.group)
                .or_default()
                .push(process.pid);
            known.all.insert(process.pid, process);
        }
        known
    }

    /// Whether a process of this id was there.
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.all.contains_key(&pid)
    }

    /// What a container uses: its leader, the leader's group and descendants, and the groups that
    /// these have made, as far as the kernel still knows who started whom. Nothing when none of
    /// them is left.
    pub(super) fn figures(&self, leader: u32) -> Option<Figures> {
        let members = self.members(leader);
        if members.is_empty() {
            return None;
        }
        let mut sum = Figures::default();
        let (mut user, mut system) = (0_u64, 0_u64);
        for process in members {
            user = user.saturating_add(process.user);
            system = system.saturating_add(process.system);
            if process.is_zombie {
                continue;
            }
            let rss_bytes = process.rss_pages.saturating_mul(self.page_bytes);
            sum.rss_bytes = sum.rss_bytes.saturating_add(rss_bytes);
            sum.processes += 1;
            let threads = u32::try_from(process.threads).unwrap_or(u32::MAX);
            sum.threads = sum.threads.saturating_add(threads);
        }
        sum.user_secs = user as f64 / self.ticks_per_second;
        sum.system_secs = system as f64 / self.ticks_per_second;
        Some(sum)
    }

    fn members(&self, leader: u32) -> Vec<&Process> {
        let mut seen = HashSet::new();
        let mut groups = HashSet::from([0, self.own_group]);
        let mut found = Vec::new();
        let mut open = vec![leader];
        if groups.insert(leader) {
            open.extend(self.groups.get(&leader).into_iter().flatten());
        }
        while let Some(pid) = open.pop() {
            if !seen.insert(pid) {
                continue;
            }
            open.extend(self.children.get(&pid).into_iter().flatten());
            let Some(process) = self.all.get(&pid) else {
                continue;
            };
            found.push(process);
            if groups.insert(process.group) {
                open.extend(self.groups.get(&process.group).into_iter().flatten());
            }
        }
        found
    }
}

fn setting(name: SysconfVar, otherwise: u64) -> u64 {
    let value = sysconf(name).ok().flatten();
    value
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value > 0)
        .unwrap_or(otherwise)
}

/// What a line of `/proc/<pid>/stat` says. The program's name in parentheses may hold anything.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The kernel's manual numbers the fields from 1; the third is the first after the name.
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at)?.parse::<u64>().ok();
    // CPU times of children are signed.
    let of_children = |at: usize| Some(field(at)?.parse::<i64>().ok()?.max(0).unsigned_abs());
    Some(Process {
        pid,
        is_zombie: matches!(field(3)?, "Z" | "X"),
        parent: field(4)?.parse().ok()?,
        // A process of another namespace shows -1.
        group: field(5)?.parse().unwrap_or(0),
        user: number(14)?.saturating_add(of_children(16)?),
        system: number(15)?.saturating_add(of_children(17)?),
        threads: number(20)?,
        rss_pages: of_children(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, group: u32) -> Process {
        Process {
            pid,
            parent,
            group,
            is_zombie: false,
            user: 100,
            system: 50,
            threads: 2,
            rss_pages: 1,
        }
    }

    #[test]
    fn a_line_is_read_whatever_the_program_is_called() {
        let rest = "S 1 5 5 0 -1 64 9 9 9 9 30 20 3 2 20 0 4 0 777 8888 25 18446744073709551615";
        let expected = Process {
            pid: 7,
            parent: 1,
            group: 5,
            is_zombie: false,
            user: 33,
            system: 22,
            threads: 4,
            rss_pages: 25,
        };
        assert_eq!(parse(7, &format!("7 (a) R b) {rest}")), Some(expected));
        assert_eq!(parse(7, "7 (a) S 1 5"), None);
        assert_eq!(parse(7, "nonsense"), None);
    }

    #[test]
    fn a_container_is_its_tree_and_the_groups_in_it() {
        let mut ended = process(15, 10, 10);
        ended.is_zombie = true;
        let processes = [
            // The agent and a process of its own.
            process(2, 1, 2),
            process(3, 2, 2),
            // A container: its leader, a child, a session made by that, and what both have left
            // behind in their groups.
            process(10, 2, 10),
            process(11, 10, 10),
            process(12, 11, 12),
            process(13, 1, 10),
            process(14, 1, 12),
            ended,
            // Another container.
            process(20, 2, 20),
        ];
        let known = Processes::of(processes.into_iter(), 2);
        let figures = known.figures(10).unwrap();
        assert_eq!((figures.processes, figures.threads), (5, 10));
        assert_eq!((figures.user_secs, figures.system_secs), (6.0, 3.0));
        assert_eq!(figures.rss_bytes, 5 * 4096);
        assert_eq!(known.figures(20).unwrap().processes, 1);
        assert_eq!(known.figures(30), None);
        assert!(known.knows(20) && !known.knows(30));
    }

    #[test]
    fn what_a_leader_left_behind_is_found() {
        let known = Processes::of([process(13, 1, 10)].into_iter(), 2);
        assert_eq!(known.figures(10).unwrap().processes, 1);
    }

    #[test]
    fn real_processes_are_counted() {
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 1000 & wait"])
            .process_group(0)
            .spawn()
            .unwrap();
        let figures = || Processes::read().figures(child.id());
        while figures().is_none_or(|figures| figures.processes < 2) {
            std::thread::yield_now();
        }
        let figures = figures().unwrap();
        assert!(figures.rss_bytes > 0 && figures.threads >= 2, "{figures:?}");
        super::super::super::process_tree::kill(child.id());
        child.wait().unwrap();
    }
}
