//! What a container uses, as the Engine tells it.
//! Reads no file of the kernel.

use serde_json::Value;
use tepui_protocol::v1;

/// Puts figures of the container in place of those of the process beside it; `said` is nothing
/// where the Engine does not tell. As in Mesos, its processes are not counted.
pub(super) fn add(said: &Value, enable_cfs: bool, statistics: &mut v1::ResourceStatistics) {
    let number = |place: &str| said.pointer(place).and_then(Value::as_u64);
    let seconds = |place: &str| number(place).map(|nanos| nanos as f64 / 1e9);
    let count = |place: &str| number(place).map(|it| u32::try_from(it).unwrap_or(u32::MAX));
    let cpu = "/cpu_stats/cpu_usage";
    statistics.cpus_user_time_secs = seconds(&format!("{cpu}/usage_in_usermode"));
    statistics.cpus_system_time_secs = seconds(&format!("{cpu}/usage_in_kernelmode"));
    let total = number("/memory_stats/usage");
    let (v1_rss, v2_rss) = ("/memory_stats/stats/rss", "/memory_stats/stats/anon");
    statistics.mem_total_bytes = total;
    statistics.mem_rss_bytes = number(v1_rss).or_else(|| number(v2_rss)).or(total);
    // The kernel counts threads there.
    statistics.threads = count("/pids_stats/current");
    statistics.processes = None;
    if enable_cfs {
        let throttling = "/cpu_stats/throttling_data";
        statistics.cpus_limit = statistics.cpus_limit.or(statistics.cpus_soft_limit);
        statistics.cpus_nr_periods = count(&format!("{throttling}/periods"));
        statistics.cpus_nr_throttled = count(&format!("{throttling}/throttled_periods"));
        statistics.cpus_throttled_time_secs = seconds(&format!("{throttling}/throttled_time"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of_the_process_beside() -> v1::ResourceStatistics {
        v1::ResourceStatistics {
            cpus_soft_limit: Some(0.5),
            cpus_user_time_secs: Some(77.0),
            mem_rss_bytes: Some(77),
            processes: Some(1),
            threads: Some(7),
            ..v1::ResourceStatistics::default()
        }
    }

    #[test]
    fn figures_are_those_of_the_container() {
        let said = json!({
            "cpu_stats": {
                "cpu_usage": {"usage_in_usermode": 1_500_000_000, "usage_in_kernelmode": 500_000_000},
                "throttling_data": {"periods": 9, "throttled_periods": 2, "throttled_time": 250_000_000},
            },
            "memory_stats": {"usage": 4096, "stats": {"rss": 1024}},
            "pids_stats": {"current": 3},
        });
        let mut seen = of_the_process_beside();
        add(&said, true, &mut seen);
        let expected = v1::ResourceStatistics {
            cpus_soft_limit: Some(0.5),
            cpus_limit: Some(0.5),
            cpus_user_time_secs: Some(1.5),
            cpus_system_time_secs: Some(0.5),
            cpus_nr_periods: Some(9),
            cpus_nr_throttled: Some(2),
            cpus_throttled_time_secs: Some(0.25),
            mem_total_bytes: Some(4096),
            mem_rss_bytes: Some(1024),
            threads: Some(3),
            ..v1::ResourceStatistics::default()
        };
        assert_eq!(seen, expected);
        add(&said, false, &mut seen);
        assert_eq!(seen.cpus_limit, Some(0.5), "what is known stays");
    }

    #[test]
    fn an_engine_that_says_nothing_does_not_make_it_the_process_beside() {
        let mut seen = of_the_process_beside();
        add(&Value::Null, false, &mut seen);
        let expected = v1::ResourceStatistics {
            cpus_soft_limit: Some(0.5),
            ..v1::ResourceStatistics::default()
        };
        assert_eq!(seen, expected);
    }
}
