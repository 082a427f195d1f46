//! What the manager's decisions depend on, as given at start.
//! Reads no flags; the skin does.

use std::time::Duration;

use crate::marathon::definition;
use crate::marathon::engine::EngineSettings;
use crate::marathon::matching::MatchSettings;
use crate::marathon::task::TaskSettings;

/// Settings of the manager; a field has the name of Marathon's flag.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagerSettings {
    /// Rules for definitions.
    pub definition: definition::Settings,
    /// Instances and deployments.
    pub engine: EngineSettings,
    /// Offers.
    pub matching: MatchSettings,
    /// Tasks.
    pub task: TaskSettings,
    /// Launches on one offer.
    pub max_instances_per_offer: u32,
    /// Time for which an offer that is of no use is declined.
    pub decline_offer_duration: Duration,
    /// Earlier root groups that are kept at least; up to twice as many may be. Definitions of apps
    /// are kept as long as one of these root groups has them. `--zk_max_versions`.
    pub max_versions: usize,
}

impl Default for ManagerSettings {
    /// The defaults of Marathon's flags.
    fn default() -> ManagerSettings {
        ManagerSettings {
            definition: definition::Settings::default(),
            engine: EngineSettings::default(),
            matching: MatchSettings::default(),
            task: TaskSettings::default(),
            max_instances_per_offer: 5,
            decline_offer_duration: Duration::from_secs(120),
            max_versions: 50,
        }
    }
}
