//! Threads and memory of this process, which stand for what Marathon tells of its virtual machine.
//! Says nothing of what only a virtual machine has: collectors, pools, states of threads.

/// Figures of this process at one moment; what cannot be read is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Process {
    /// Threads.
    pub threads: Option<u64>,
    /// Memory in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// The part of it that no file is behind, in bytes: heap and stacks.
    pub anonymous_bytes: Option<u64>,
}

impl Process {
    /// Reads the figures from the kernel.
    pub fn read() -> Process {
        parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }
}

/// Processor time that this process has used, in seconds; none if it cannot be read.
pub fn cpu_seconds() -> Option<f64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn parse(status: &str) -> Process {
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let bytes = |name: &str| {
        let kilobytes: u64 = line(name)?.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Process {
        threads: line("Threads:").and_then(|count| count.trim().parse().ok()),
        resident_bytes: bytes("VmRSS:"),
        anonymous_bytes: bytes("RssAnon:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_text() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nThreads:\t7\n";
        let process = Process {
            threads: Some(7),
            resident_bytes: Some(2048 * 1024),
            anonymous_bytes: Some(512 * 1024),
        };
        assert_eq!(parse(status), process);
        assert_eq!(parse("VmRSS: many"), Process::default());
    }

    #[test]
    fn this_process_has_used_some_time() {
        let before = cpu_seconds();
        let mut sum = 0u64;
        while cpu_seconds() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(before > Some(0.0));
    }

    #[test]
    fn this_process_has_threads_and_memory() {
        let process = Process::read();
        assert!(process.threads > Some(0));
        assert!(process.resident_bytes > process.anonymous_bytes);
        assert!(process.anonymous_bytes > Some(0));
    }
}
