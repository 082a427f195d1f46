//! The machine a load test runs on: what it is, and how many files a process may open.
//! Measures no load.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::{fs, io};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::clock::Clock;
use crate::framework::Error;
use crate::report::Machine;

/// Files a load test of 200,000 agents opens, and some more.
const WANTED_FILES: u64 = 262_144;

/// Files that are open beside the connections of agents.
const OTHER_FILES: u64 = 256;

/// Tells how many connections the kernel tracks.
const TRACKED: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// Connections that are opened to see whether they are tracked.
const PROBES: usize = 32;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Raises the number of files this process and the programs it starts may open, as far as allowed.
pub fn allow_many_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let wanted = WANTED_FILES.max(hard);
    // Only a privileged process may raise the hard limit; without privilege the soft one must do.
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_err() && soft < hard {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Says so when a number of agents needs more open files than master and load test may have each.
///
/// # Errors
/// When it does, with what would help.
pub fn enough_files(agents: u64) -> Result<(), Error> {
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    match agents.saturating_add(OTHER_FILES) > allowed {
        true => Err(format!(
            "{agents} agents need as many connections, but only {allowed} files may be open in a \
             process: raise the limit (ulimit -Hn) or take fewer agents"
        )
        .into()),
        false => Ok(()),
    }
}

/// The most agents for which master and load test may open enough files.
///
/// # Errors
/// When the system does not tell the limit.
pub fn most_agents() -> Result<u64, Error> {
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(allowed.saturating_sub(OTHER_FILES))
}

/// What figures of this machine depend on.
pub fn describe(clock: Clock) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kib = memory.split_ascii_whitespace().next();
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name"),
        cores: u32::try_from(cores).unwrap_or(0),
        memory_mib: kib / 1024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        connection_tracking: connection_tracking().unwrap_or_default(),
        tepui: env!("CARGO_PKG_VERSION").to_owned(),
        date: date(clock.wall().as_secs()),
        note: String::new(),
    }
}

/// Whether connections on this machine are tracked, `on` or `off`; none when that cannot be told.
fn connection_tracking() -> Option<String> {
    let tracked = || match fs::read_to_string(TRACKED) {
        Ok(count) => count.trim().parse::<usize>().ok(),
        // A kernel without the module tracks none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0),
        Err(_) => None,
    };
    let before = tracked()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let address = listener.local_addr().ok()?;
    let connections = (0..PROBES).map(|_| TcpStream::connect(address));
    let connections: Vec<TcpStream> = connections.collect::<io::Result<_>>().ok()?;
    let more = tracked()?.saturating_sub(before);
    drop(connections);
    // Others may have come or gone meanwhile, but not so many.
    let is_on = more > PROBES / 2;
    Some(if is_on { "on" } else { "off" }.to_owned())
}

/// The day of a time since the Unix epoch, as YYYY-MM-DD.
fn date(seconds: u64) -> String {
    // Days are counted from 1 March of year 0, so that a leap day ends its year; 719,468 days lie
    // between that and the epoch, and 400 years have 146,097.
    let days = i64::try_from(seconds).unwrap_or(0) / DAY + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_761_599, "2026-12-31"),
            (1_798_761_600, "2027-01-01"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn more_agents_than_files_are_refused() {
        assert!(enough_files(1).is_ok());
        let error = enough_files(u64::MAX).unwrap_err().to_string();
        assert!(error.contains("raise the limit"), "{error}");
        assert!(enough_files(most_agents().unwrap()).is_ok());
    }

    #[test]
    fn this_machine_is_described() {
        let machine = describe(Clock::start());
        assert!(machine.cores > 0 && machine.memory_mib > 0);
        assert!(!machine.kernel.is_empty());
        assert!(["on", "off"].contains(&machine.connection_tracking.as_str()));
        assert_eq!(machine.date.len(), 10);
    }
}
