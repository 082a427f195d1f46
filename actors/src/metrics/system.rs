//! Load, processors and memory of the machine.
//! Says nothing about this process.

/// Figures of the machine at one moment; what cannot be read is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct System {
    /// Average number of runnable processes over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Processors this process may use.
    pub cpus_total: Option<usize>,
    /// Memory of the machine in bytes.
    pub mem_total_bytes: Option<u64>,
    /// Memory that nothing uses, in bytes.
    pub mem_free_bytes: Option<u64>,
}

impl System {
    /// Reads the figures from the kernel.
    pub fn read() -> System {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let loadavg = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        System {
            load: parse_load(&loadavg),
            cpus_total: std::thread::available_parallelism().ok().map(usize::from),
            mem_total_bytes: parse_memory(&meminfo, "MemTotal:"),
            mem_free_bytes: parse_memory(&meminfo, "MemFree:"),
        }
    }
}

fn parse_load(loadavg: &str) -> Option<[f64; 3]> {
    let mut fields = loadavg.split_whitespace().map(|field| field.parse::<f64>());
    let mut next = || fields.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// The amount in a line such as `MemTotal:       16303412 kB`.
fn parse_memory(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_text() {
        assert_eq!(
            parse_load("0.52 1.58 2.59 1/597 12345\n"),
            Some([0.52, 1.58, 2.59])
        );
        assert_eq!(parse_load("0.52 x"), None);
        let meminfo = "MemTotal:       16303412 kB\nMemFree:         1024 kB\n";
        assert_eq!(parse_memory(meminfo, "MemFree:"), Some(1024 * 1024));
        assert_eq!(parse_memory(meminfo, "MemTotal:"), Some(16_303_412 * 1024));
        assert_eq!(parse_memory("", "MemTotal:"), None);
    }

    #[test]
    fn this_machine_has_memory_and_processors() {
        let system = System::read();
        assert!(system.mem_total_bytes > system.mem_free_bytes);
        assert!(system.cpus_total > Some(0));
        assert!(system.load.is_some());
    }
}
