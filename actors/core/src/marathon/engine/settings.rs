//! What the engine's decisions depend on, as given at start.
//! Reads no flags; the skin does.

use std::time::Duration;

/// Settings of the engine; a field has the name of Marathon's flag unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Launches per refill.
    pub launch_tokens: u32,
    /// Time between refills.
    pub launch_token_refresh_interval: Duration,
    /// Kills in flight.
    pub kill_chunk_size: usize,
    /// Time after which an unconfirmed kill is repeated.
    pub kill_retry_timeout: Duration,
    /// Time a launched task has to be staged.
    pub task_launch_confirm_timeout: Duration,
    /// Time a staged task has to run.
    pub task_launch_timeout: Duration,
    /// Time a reservation has to show up in an offer.
    pub task_reservation_timeout: Duration,
    /// Launches are not given up earlier than this after the start. Marathon has no flag for it.
    pub overdue_initial_delay: Duration,
    /// Unreachable instances found at the start are not given up earlier than this after it.
    pub task_lost_expunge_initial_delay: Duration,
    /// First reconciliation after the start.
    pub reconciliation_initial_delay: Duration,
    /// Time between reconciliations.
    pub reconciliation_interval: Duration,
    /// First scale check after the start.
    pub scale_apps_initial_delay: Duration,
    /// Time between scale checks.
    pub scale_apps_interval: Duration,
    /// Time between looks for launch delays that are over for good. Marathon has no flag for it.
    pub backoff_sweep_interval: Duration,
    /// Shortest time between two revivals of a role.
    pub min_revive_offers_interval: Duration,
    /// Whether offers are suppressed while nothing waits.
    pub suppress_offers: bool,
    /// Deployments at once.
    pub max_running_deployments: usize,
    /// Time after which a step is reported as overdue; it goes on all the same. Not in Marathon.
    pub deployment_step_timeout: Option<Duration>,
}

impl Default for EngineSettings {
    /// The defaults of Marathon's flags.
    fn default() -> EngineSettings {
        let seconds = Duration::from_secs;
        EngineSettings {
            launch_tokens: 100,
            launch_token_refresh_interval: seconds(30),
            kill_chunk_size: 100,
            kill_retry_timeout: seconds(30),
            task_launch_confirm_timeout: seconds(300),
            task_launch_timeout: seconds(300),
            task_reservation_timeout: seconds(20),
            overdue_initial_delay: seconds(30),
            task_lost_expunge_initial_delay: seconds(300),
            reconciliation_initial_delay: seconds(15),
            reconciliation_interval: seconds(600),
            scale_apps_initial_delay: seconds(15),
            scale_apps_interval: seconds(300),
            backoff_sweep_interval: seconds(10),
            min_revive_offers_interval: seconds(5),
            suppress_offers: true,
            max_running_deployments: 100,
            deployment_step_timeout: None,
        }
    }
}
