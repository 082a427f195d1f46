//! Memory and CPU time of processes, from `/proc`.
//! Measures no process of its own accord.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::framework::Error;

/// Clock ticks per second in `/proc/PID/stat`: `USER_HZ`, which is 100 on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident, in KiB.
    pub rss_kib: u64,
    /// Resident, shared pages divided among those who share them, in KiB.
    pub pss_kib: u64,
}

/// Memory of a process.
///
/// # Errors
/// When there is no such process or it may not be looked at.
pub fn memory(pid: u32) -> Result<Memory, Error> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    parse_memory(&text).ok_or_else(|| format!("{path} has no Rss and Pss").into())
}

/// CPU time of a process and of its children that have ended.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Result<Duration, Error> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    parse_cpu(&text).ok_or_else(|| format!("{path} has no times").into())
}

/// Time that a process's first thread has run, more exact than [`cpu`].
///
/// # Errors
/// When there is no such process.
pub fn run_time(pid: u32) -> Result<Duration, Error> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let nanos = text.split_ascii_whitespace().next();
    let nanos = nanos.and_then(|nanos| nanos.parse().ok());
    let nanos = nanos.ok_or_else(|| format!("{path} has no times"))?;
    Ok(Duration::from_nanos(nanos))
}

/// A process, told from an earlier one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot.
    started: u64,
}

/// All processes whose sandbox is below an agent's work directory, by their environment.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn below(work_dir: &Path) -> Result<BTreeSet<Process>, Error> {
    let mut found = BTreeSet::new();
    let sandbox = [b"\0MESOS_SANDBOX=", work_dir.as_os_str().as_bytes(), b"/"].concat();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let (Some(pid), Ok(environment)) = (pid, fs::read(entry.path().join("environ"))) else {
            continue;
        };
        let environment = [b"\0", &environment[..]].concat();
        let is_below = environment
            .windows(sandbox.len())
            .any(|window| window == sandbox);
        // One that has ended meanwhile is not there.
        if is_below && let Ok(stat) = fs::read_to_string(entry.path().join("stat")) {
            found.extend(parse_start(&stat).map(|started| Process { pid, started }));
        }
    }
    Ok(found)
}

/// Resident memory of a process in KiB; far cheaper to ask for than [`memory`].
///
/// # Errors
/// When there is no such process.
pub fn rss_kib(pid: u32) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    let kib = number.and_then(|number| number.parse().ok());
    kib.ok_or_else(|| format!("{path} has no VmRSS").into())
}

/// Files a process has open, sockets included.
///
/// # Errors
/// When there is no such process or it may not be looked at.
pub fn open_files(pid: u32) -> Result<usize, Error> {
    let path = format!("/proc/{pid}/fd");
    let failed = |error: io::Error| format!("{path}: {error}");
    // To list thousands takes so long that it disturbs what is measured. Kernels older than 6.2 say 0.
    let told = fs::metadata(&path).map_err(failed)?.len();
    match usize::try_from(told)? {
        0 => Ok(fs::read_dir(&path).map_err(failed)?.count()),
        told => Ok(told),
    }
}

fn parse_memory(text: &str) -> Option<Memory> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Some(Memory {
        rss_kib: value("Rss:")?,
        pss_kib: value("Pss:")?,
    })
}

/// User and system time of the process and of its waited-for children: fields 14 to 17.
fn parse_cpu(text: &str) -> Option<Duration> {
    // The name in brackets may hold anything, so counting starts after it, at field 3.
    let (_, rest) = text.rsplit_once(')')?;
    let times = rest.split_ascii_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = times.map(str::parse).collect::<Result<_, _>>().ok()?;
    (ticks.len() == 4)
        .then(|| Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / TICKS_PER_SECOND))
}

/// When a process was started: field 22.
fn parse_start(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn reads_memory_and_times() {
        let text = "5-7 ---p 0 0 0 [rollup]\nRss:     2496 kB\nPss:      561 kB\nPss_Anon: 3 kB\n";
        assert_eq!(
            parse_memory(text),
            Some(Memory {
                rss_kib: 2496,
                pss_kib: 561
            })
        );
        assert_eq!(parse_memory("Rss: 1 kB\n"), None);
        let text = "7 (a) b) S 1 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0 1";
        assert_eq!(parse_cpu(text), Some(Duration::from_millis(1000)));
        assert_eq!(parse_cpu("7 (a) S 1 7 7"), None);
        let text = "7 (a b) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23";
        assert_eq!(parse_start(text), Some(22));
    }

    #[test]
    fn finds_processes_by_their_sandbox() {
        let directory = tempfile::tempdir().unwrap();
        assert!(below(directory.path()).unwrap().is_empty());
        let mut child = Command::new("sh")
            .args(["-c", "echo ready; read _"])
            .env("MESOS_SANDBOX", directory.path().join("sandbox"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Before a new program runs, the kernel need not show its environment.
        let mut said = [0; 5];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .unwrap();
        let found = below(directory.path()).unwrap();
        let pids: Vec<u32> = found.iter().map(|process| process.pid).collect();
        assert_eq!(pids, [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(below(directory.path()).unwrap().is_empty());
    }

    #[test]
    fn reads_this_process() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.rss_kib >= own.pss_kib && own.pss_kib > 0);
        assert!(cpu(std::process::id()).is_ok());
        assert!(run_time(std::process::id()).unwrap() > Duration::ZERO);
        assert!(rss_kib(std::process::id()).unwrap() > 0);
        let files: Vec<fs::File> = (0..50)
            .map(|_| fs::File::open("/proc/self/stat").unwrap())
            .collect();
        assert!(open_files(std::process::id()).unwrap() >= files.len() + 3);
        assert!(memory(u32::MAX).is_err());
    }
}
