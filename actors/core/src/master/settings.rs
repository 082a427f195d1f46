//! What the master's decisions depend on, as given at start.
//! Reads no flags; the skin does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Settings of a master's core; a field has the name of its flag unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct MasterSettings {
    /// Time after which an unanswered offer is rescinded; `None` lets offers live forever.
    pub offer_timeout: Option<Duration>,
    /// Time between two pings of an agent.
    pub agent_ping_timeout: Duration,
    /// Pings in a row that may go unanswered.
    pub max_agent_ping_timeouts: u32,
    /// Time a disconnected or recovered agent has to come back.
    pub agent_reregister_timeout: Duration,
    /// Share of the agents found in the registry at start, in percent, that may be given up because
    /// they did not come back; when there are more, the master ends instead.
    pub recovery_agent_removal_limit: f64,
    /// Time between two agents being marked unreachable; `None` for no limit.
    pub agent_removal_rate_limit: Option<Duration>,
    /// Share of the agents, or of the tasks, in percent, that may be given up within ten minutes;
    /// beyond it an operator must say so. 100 gives up all. Not in Mesos.
    pub mass_removal_limit: f64,
    /// How often agents that have been unreachable or gone for too long are forgotten.
    pub registry_gc_interval: Duration,
    /// For how long unreachable and gone agents are remembered.
    pub registry_max_agent_age: Duration,
    /// How many unreachable agents are remembered, and how many gone ones.
    pub registry_max_agent_count: usize,
    /// Completed frameworks remembered.
    pub max_completed_frameworks: usize,
    /// Completed tasks remembered per framework.
    pub max_completed_tasks_per_framework: usize,
    /// Tasks on unreachable agents remembered per framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// The only roles frameworks may use; `None` admits every role.
    pub roles: Option<BTreeSet<String>>,
    /// Weights of roles while the registry holds none.
    pub weights: BTreeMap<String, f64>,
    /// Whether agents without a fault domain are ignored.
    pub require_agent_domain: bool,
    /// Whether user root may run frameworks.
    pub root_submissions: bool,
    /// Memory a constraint's regular expression may take, in bytes.
    pub offer_constraints_re2_max_mem: u64,
    /// Size a constraint's compiled regular expression may have, in instructions.
    pub offer_constraints_re2_max_program_size: u64,
}

impl Default for MasterSettings {
    /// The defaults of Mesos's flags.
    fn default() -> Self {
        MasterSettings {
            offer_timeout: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            recovery_agent_removal_limit: 100.0,
            agent_removal_rate_limit: None,
            mass_removal_limit: 50.0,
            registry_gc_interval: Duration::from_secs(15 * 60),
            registry_max_agent_age: Duration::from_secs(14 * 24 * 3600),
            registry_max_agent_count: 102_400,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            roles: None,
            weights: BTreeMap::new(),
            require_agent_domain: false,
            root_submissions: true,
            offer_constraints_re2_max_mem: 4096,
            offer_constraints_re2_max_program_size: 100,
        }
    }
}

impl MasterSettings {
    /// Silence after which master and agent give each other up.
    pub fn total_ping_timeout(&self) -> Duration {
        self.agent_ping_timeout
            .saturating_mul(self.max_agent_ping_timeouts)
    }

    /// Time that an agent has to come back when its link is down. Mesos goes on to ping it by new
    /// connections, which nobody answers, and waits no longer than for a reregistration.
    pub fn time_to_come_back(&self) -> Duration {
        self.total_ping_timeout().min(self.agent_reregister_timeout)
    }
}

/// A duration as Mesos writes it in messages, e.g. `10mins` or `1.5secs`.
pub(super) fn duration_text(duration: Duration) -> String {
    const UNITS: [(u128, &str); 8] = [
        (7 * 24 * 3_600_000_000_000, "weeks"),
        (24 * 3_600_000_000_000, "days"),
        (3_600_000_000_000, "hrs"),
        (60_000_000_000, "mins"),
        (1_000_000_000, "secs"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let nanos = duration.as_nanos();
    let unit = UNITS.iter().find(|(size, _)| nanos >= *size);
    match unit {
        None => "0ns".to_string(),
        Some((size, name)) if nanos.is_multiple_of(*size) => format!("{}{name}", nanos / size),
        Some((size, name)) => format!("{}{name}", nanos as f64 / *size as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_the_largest_unit_they_reach() {
        assert_eq!(duration_text(Duration::from_secs(600)), "10mins");
        assert_eq!(duration_text(Duration::from_secs(90)), "1.5mins");
        assert_eq!(duration_text(Duration::from_millis(250)), "250ms");
        assert_eq!(duration_text(Duration::ZERO), "0ns");
    }
}
