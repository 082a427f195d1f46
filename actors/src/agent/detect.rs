//! Finds out what resources this machine has where `--resources` says nothing of a kind.
//! Does not decide who gets them.

use std::path::Path;

use tepui_core::resources::{Format, Resources};
use tepui_protocol::v1;

/// Memory kept for the system when there is plenty, in MB.
const KEPT_MEM_MB: u64 = 1024;

/// Disk kept for the system when there is plenty, in MB.
const KEPT_DISK_MB: u64 = 5 * 1024;

/// Values when the system does not tell.
const DEFAULT_MEM_MB: u64 = 1024;
const DEFAULT_DISK_MB: u64 = 10 * 1024;

/// Ports offered when none are given.
const DEFAULT_PORTS: &str = "[31000-32000]";

/// The agent's resources: those given, and what the machine has of the other kinds.
///
/// # Errors
/// When the given text or JSON cannot be read.
pub(super) fn resources(
    given: Option<&str>,
    default_role: &str,
    work_dir: &Path,
) -> Result<Vec<v1::Resource>, String> {
    let read = |text: &str| {
        Resources::parse(text, default_role)
            .map(|resources| resources.to_v1(Format::PostRefinement))
            .map_err(|error| error.to_string())
    };
    let mut all = given.map(read).transpose()?.unwrap_or_default();
    let mut missing = Vec::new();
    let has = |name: &str| all.iter().any(|resource| resource.name == name);
    if !has("cpus") {
        missing.push(format!("cpus:{}", cpus()));
    }
    if !has("mem") {
        missing.push(format!(
            "mem:{}",
            usable(mem_total_mb(), KEPT_MEM_MB, DEFAULT_MEM_MB)
        ));
    }
    if !has("disk") {
        let total = disk_total_mb(work_dir);
        missing.push(format!(
            "disk:{}",
            usable(total, KEPT_DISK_MB, DEFAULT_DISK_MB)
        ));
    }
    if !has("ports") {
        missing.push(format!("ports:{DEFAULT_PORTS}"));
    }
    if !missing.is_empty() {
        all.extend(read(&missing.join(";"))?);
    }
    Ok(all)
}

/// What is left for tasks: all but what is kept, or half when that would be little.
fn usable(total_mb: Option<u64>, kept_mb: u64, default_mb: u64) -> u64 {
    match total_mb {
        None => default_mb,
        Some(total) if total >= 2 * kept_mb => total - kept_mb,
        Some(total) => total / 2,
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn mem_total_mb() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024)
}

fn disk_total_mb(directory: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(directory).ok()?;
    Some(stat.blocks().saturating_mul(stat.fragment_size()) / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_machine_keeps_a_fixed_part_and_a_small_one_half() {
        assert_eq!(usable(Some(8192), 1024, 1), 7168);
        assert_eq!(usable(Some(2048), 1024, 1), 1024);
        assert_eq!(usable(Some(1000), 1024, 1), 500);
        assert_eq!(usable(None, 1024, 7), 7);
    }

    #[test]
    fn given_kinds_win_and_the_rest_is_found() {
        let all = resources(Some("cpus:3;ports:[1-2]"), "*", Path::new("/")).unwrap();
        let names: Vec<&str> = all.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["cpus", "ports", "mem", "disk"]);
        assert_eq!(all[0].scalar.as_ref().unwrap().value, 3.0);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert!(resources(Some("cpus:-1"), "*", Path::new("/")).is_err());
    }
}
