//! Finds the processes of containers that have outlived the agent, and those that should not have.
//! Knows them by their environment, which names their sandbox; kills nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tepui_core::agent::journal::Survivor;
use tepui_core::ids::ContainerId;

/// The variable that names the sandbox, which no two containers share.
const SANDBOX: &[u8] = b"MESOS_SANDBOX=";

/// A process below some sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    sandbox: String,
}

/// What became of the containers that were running.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Those that run, and the leader of each.
    pub(super) running: BTreeMap<ContainerId, u32>,
    /// Those that have ended.
    pub(super) ended: Vec<ContainerId>,
    /// Process groups that belong to no container that runs.
    pub(super) orphans: BTreeSet<u32>,
}

/// Looks for the processes of all containers of this work directory.
pub(super) fn find(work_dir: &Path, expected: &[Survivor]) -> Found {
    sort(&processes(work_dir), expected)
}

/// What is found where nothing can have outlived the earlier run.
pub(super) fn none_of(expected: &[Survivor]) -> Found {
    sort(&[], expected)
}

fn sort(processes: &[Process], expected: &[Survivor]) -> Found {
    let mut found = Found::default();
    let mut alive = BTreeSet::new();
    for survivor in expected {
        match leader(processes, survivor) {
            Some(pid) => {
                alive.insert(survivor.directory.as_str());
                found.running.insert(survivor.container.clone(), pid);
            }
            None => found.ended.push(survivor.container.clone()),
        }
    }
    let orphans = processes
        .iter()
        .filter(|process| !alive.contains(process.sandbox.as_str()));
    found.orphans = orphans.map(|process| process.group).collect();
    found
}

/// The process that leads a container: the one that was recorded, or, when the agent ended before
/// it could record one, the one that no other of them has started.
fn leader(processes: &[Process], survivor: &Survivor) -> Option<u32> {
    let own: Vec<&Process> = processes
        .iter()
        .filter(|process| process.sandbox == survivor.directory && process.group == process.pid)
        .collect();
    match survivor.pid {
        Some(pid) => own.iter().find(|process| process.pid == pid).map(|p| p.pid),
        None => {
            let pids: BTreeSet<u32> = own.iter().map(|process| process.pid).collect();
            let mut first = own.iter().filter(|process| !pids.contains(&process.parent));
            first.next().map(|process| process.pid)
        }
    }
}

/// All processes with a sandbox below the work directory. Those that end meanwhile, and those of
/// users whose environment may not be read, are not seen.
fn processes(work_dir: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let own = std::process::id();
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| process(pid, work_dir))
        .collect()
}

fn process(pid: u32, work_dir: &Path) -> Option<Process> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let sandbox = variables.find_map(|variable| variable.strip_prefix(SANDBOX))?;
    let below = sandbox.strip_prefix(work_dir.as_os_str().as_bytes())?;
    if !below.starts_with(b"/") {
        return None;
    }
    let (parent, group) = relations(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Some(Process {
        pid,
        parent,
        group,
        sandbox: String::from_utf8(sandbox.to_vec()).ok()?,
    })
}

/// Parent and process group in a line of `/proc/<pid>/stat`. The program's name in parentheses may
/// hold anything. A zombie has ended.
fn relations(stat: &str) -> Option<(u32, u32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some((parent, group))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn survivor(name: &str, pid: Option<u32>) -> Survivor {
        Survivor {
            container: ContainerId::from(name),
            directory: format!("/w/{name}"),
            pid,
        }
    }

    fn process(pid: u32, parent: u32, name: &str) -> Process {
        Process {
            pid,
            parent,
            group: pid,
            sandbox: format!("/w/{name}"),
        }
    }

    #[test]
    fn containers_are_told_from_their_tasks_and_from_orphans() {
        let processes = [
            // An executor with a task, in a session of its own.
            process(10, 1, "a"),
            process(11, 10, "a"),
            // An executor that ended and left its task behind.
            process(21, 1, "b"),
            // One that was started just before the agent ended.
            process(30, 1, "c"),
            process(31, 30, "c"),
            // One that nobody knows of.
            process(40, 1, "d"),
        ];
        let expected = [
            survivor("a", Some(10)),
            survivor("b", Some(20)),
            survivor("c", None),
            survivor("e", None),
        ];
        let found = sort(&processes, &expected);
        let running = [("a", 10), ("c", 30)].map(|(name, pid)| (ContainerId::from(name), pid));
        assert_eq!(found.running, running.into());
        assert_eq!(found.ended, ["b", "e"].map(ContainerId::from));
        assert_eq!(found.orphans, [21, 40].into());
    }

    #[test]
    fn relations_are_read_whatever_a_program_is_called() {
        assert_eq!(relations("7 (a) b) S 1 7 7 0"), Some((1, 7)));
        assert_eq!(relations("7 (a) Z 1 7 7 0"), None);
        assert_eq!(relations("nonsense"), None);
    }

    #[test]
    fn a_real_process_is_found_by_its_sandbox() {
        use std::os::unix::process::CommandExt;
        let dir = tempfile::tempdir().unwrap();
        let sandbox = dir.path().join("slaves/S/run");
        let mut child = Command::new("sleep")
            .arg("1000")
            .env("MESOS_SANDBOX", &sandbox)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let survivor = Survivor {
            container: ContainerId::from("c"),
            directory: sandbox.to_str().unwrap().to_owned(),
            pid: None,
        };
        let found = find(dir.path(), std::slice::from_ref(&survivor));
        assert_eq!(found.running[&survivor.container], child.id());
        // A directory whose name only begins like it is another one.
        let other = dir.path().join("slav");
        assert_eq!(find(&other, &[]), Found::default());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(find(dir.path(), &[survivor]).ended.len(), 1);
    }
}
