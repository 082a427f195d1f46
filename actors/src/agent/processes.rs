//! Finds the processes of this agent's containers: their environment names their sandbox.
//! Which of them leads a container is the core's decision; kills nothing itself.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tepui_core::agent::survivors::Process;

/// The variable that names the sandbox.
const SANDBOX: &[u8] = b"MESOS_SANDBOX=";

/// Numbers of fields in `/proc/<pid>/stat`.
const GROUP: usize = 5;
const STARTED: usize = 22;

/// All processes with a sandbox below the work directory. Those that end meanwhile, and those of
/// users whose environment may not be read, are not seen.
pub(super) fn all(work_dir: &Path) -> Vec<Process> {
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
    named(pid, String::from_utf8(sandbox.to_vec()).ok()?)
}

/// A process that is known to belong to a sandbox, if it has not ended.
pub(super) fn named(pid: u32, sandbox: String) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &stat, sandbox)
}

/// What a line of `/proc/<pid>/stat` says. The program's name in parentheses may hold anything. A
/// zombie has ended.
fn parse(pid: u32, stat: &str, sandbox: String) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let started = fields.nth(STARTED - GROUP - 1)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        group,
        started,
        sandbox,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use tepui_core::agent::survivors::{Found, Survivor, sort};
    use tepui_core::ids::ContainerId;

    use super::*;

    #[test]
    fn a_process_is_described_whatever_its_program_is_called() {
        let rest = "1 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23";
        let parse = |stat: &str| parse(7, stat, "/s".to_owned());
        let expected = Process {
            pid: 7,
            parent: 1,
            group: 5,
            started: 22,
            sandbox: "/s".to_owned(),
        };
        assert_eq!(parse(&format!("7 (a) b) S {rest}")), Some(expected));
        assert_eq!(parse(&format!("7 (a) Z {rest}")), None);
        assert_eq!(parse("7 (a) S 1 7"), None);
        assert_eq!(parse("nonsense"), None);
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
            is_docker: false,
        };
        let found = sort(&all(dir.path()), std::slice::from_ref(&survivor));
        assert_eq!(found.running[&survivor.container], child.id());
        // A directory whose name only begins like it is another one.
        let other = dir.path().join("slav");
        assert_eq!(sort(&all(&other), &[]), Found::default());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(sort(&all(dir.path()), &[survivor]).ended.len(), 1);
    }
}
