//! Which processes lead the containers that have outlived the agent, and which belong to none.
//! Looks for no process itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::ContainerId;

/// A container that may still have a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// The container.
    pub container: ContainerId,
    /// Its sandbox, which its processes name in their environment.
    pub directory: String,
    /// The process it had, if that was recorded.
    pub pid: Option<u32>,
    /// Whether it is of type DOCKER.
    pub is_docker: bool,
}

/// A process whose environment names a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// When it was started, in whatever unit.
    pub started: u64,
    /// The sandbox, which no two containers share.
    pub sandbox: String,
}

/// What became of the containers that were running.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Those that run, and the leader of each.
    pub running: BTreeMap<ContainerId, u32>,
    /// Those that have ended.
    pub ended: Vec<ContainerId>,
    /// Process groups that belong to no container that runs.
    pub orphans: BTreeSet<u32>,
}

/// Tells containers that run from those that have ended, and both from what nobody needs;
/// `processes` are all that name a sandbox of this agent.
pub fn sort(processes: &[Process], expected: &[Survivor]) -> Found {
    let mut by_sandbox: BTreeMap<&str, Vec<&Process>> = BTreeMap::new();
    for process in processes {
        let own = by_sandbox.entry(&process.sandbox).or_default();
        own.push(process);
    }
    let mut found = Found::default();
    // One in another one is told from what is its own in that other one.
    let mut expected: Vec<&Survivor> = expected.iter().collect();
    expected.sort_by_key(|survivor| std::cmp::Reverse(survivor.container.depth()));
    for survivor in expected {
        let directory = survivor.directory.as_str();
        let own = by_sandbox.get(directory).map_or(&[][..], Vec::as_slice);
        match leader(own, survivor.pid) {
            Some(pid) => {
                for sandbox in within(&by_sandbox, directory) {
                    by_sandbox.remove(sandbox);
                }
                found.running.insert(survivor.container.clone(), pid);
            }
            None => found.ended.push(survivor.container.clone()),
        }
    }
    let orphans = by_sandbox.into_values().flatten();
    found.orphans = orphans.map(|process| process.group).collect();
    found
}

/// A container's own sandbox, and those its executor has made in it for the tasks of a group.
fn within<'a, T>(by_sandbox: &BTreeMap<&'a str, T>, directory: &'a str) -> Vec<&'a str> {
    let from_there = by_sandbox.range(directory..).map(|(sandbox, _)| *sandbox);
    let rests = from_there.map_while(|sandbox| Some((sandbox, sandbox.strip_prefix(directory)?)));
    let own = rests.filter(|(_, rest)| rest.is_empty() || rest.starts_with('/'));
    own.map(|(sandbox, _)| sandbox).collect()
}

/// The one among a container's processes that leads it: the one that was recorded, or, when the
/// agent ended before it could record one, the first that no other of them has started.
fn leader(own: &[&Process], recorded: Option<u32>) -> Option<u32> {
    let mut leaders = own.iter().filter(|process| process.group == process.pid);
    let found = match recorded {
        Some(pid) => leaders.find(|process| process.pid == pid),
        None => {
            let pids: BTreeSet<u32> = own.iter().map(|process| process.pid).collect();
            let roots = leaders.filter(|process| !pids.contains(&process.parent));
            roots.min_by_key(|process| process.started)
        }
    };
    found.map(|process| process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survivor(name: &str, pid: Option<u32>) -> Survivor {
        Survivor {
            container: ContainerId::from(name),
            directory: format!("/w/{name}"),
            pid,
            is_docker: false,
        }
    }

    fn process(pid: u32, parent: u32, name: &str) -> Process {
        Process {
            pid,
            parent,
            group: pid,
            started: u64::from(pid),
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
    fn tasks_of_a_group_belong_to_their_executor() {
        let processes = [
            process(10, 1, "a"),
            process(11, 10, "a/containers/1"),
            process(12, 10, "a/containers/2"),
            // One whose executor has ended.
            process(21, 1, "b/containers/1"),
            process(31, 1, "a-b/containers/1"),
        ];
        let expected = [survivor("a", Some(10)), survivor("b", Some(20))];
        let found = sort(&processes, &expected);
        assert_eq!(found.running, [(ContainerId::from("a"), 10)].into());
        assert_eq!(found.orphans, [21, 31].into());
    }

    #[test]
    fn a_container_in_another_one_is_told_from_it() {
        let within = |id: &str, directory: &str, pid| Survivor {
            container: ContainerId::from(id),
            directory: format!("/w/a/{directory}"),
            pid: Some(pid),
            is_docker: false,
        };
        let processes = [
            process(10, 1, "a"),
            process(11, 1, "a/containers/x"),
            process(12, 1, "a/containers/x/containers/z"),
            process(13, 10, "a/containers/group"),
        ];
        let expected = [
            survivor("a", Some(10)),
            within("a.x", "containers/x", 11),
            within("a.x.z", "containers/x/containers/z", 12),
            within("a.y", "containers/y", 20),
        ];
        let found = sort(&processes, &expected);
        let running = [("a", 10), ("a.x", 11), ("a.x.z", 12)];
        let running = running.map(|(id, pid)| (ContainerId::from(id), pid));
        assert_eq!(found.running, running.into());
        assert_eq!(found.ended, [ContainerId::from("a.y")]);
        assert!(found.orphans.is_empty());
    }

    #[test]
    fn a_leader_leads_its_group_whatever_the_order_of_processes() {
        let in_group = |pid, parent, group| Process {
            group,
            ..process(pid, parent, "a")
        };
        // A shell, what it runs in its own group, and a job it has put into another one.
        let mut processes = [
            in_group(7, 1, 7),
            in_group(3, 7, 7),
            in_group(5, 3, 5),
            in_group(9, 5, 9),
            // One that went into the background.
            in_group(4, 1, 4),
        ];
        for (process, started) in processes.iter_mut().zip(100..) {
            process.started = started;
        }
        for _ in 0..processes.len() {
            processes.rotate_left(1);
            for pid in [None, Some(7)] {
                let found = sort(&processes, &[survivor("a", pid)]);
                assert_eq!(found.running[&ContainerId::from("a")], 7);
                assert_eq!(found.orphans, [].into());
            }
            // The recorded one has ended, and its number belongs to another process of the task.
            let found = sort(&processes, &[survivor("a", Some(3))]);
            assert_eq!(found.ended.len(), 1);
            assert_eq!(found.orphans, [4, 5, 7, 9].into());
        }
    }

    #[test]
    fn where_there_are_no_processes_all_have_ended() {
        let expected = [survivor("a", Some(10)), survivor("b", None)];
        let found = sort(&[], &expected);
        assert_eq!(found.ended.len(), 2);
        assert!(found.running.is_empty() && found.orphans.is_empty());
    }
}
