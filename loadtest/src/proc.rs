//! Memory and CPU time of processes, from `/proc`.
//! Measures no process of its own accord.

use std::fs;
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
    let entries = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(entries.count())
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

#[cfg(test)]
mod tests {
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
    }

    #[test]
    fn reads_this_process() {
        let own = memory(std::process::id()).unwrap();
        assert!(own.rss_kib >= own.pss_kib && own.pss_kib > 0);
        assert!(cpu(std::process::id()).is_ok());
        assert!(rss_kib(std::process::id()).unwrap() > 0);
        assert!(open_files(std::process::id()).unwrap() >= 3);
        assert!(memory(u32::MAX).is_err());
    }
}
