//! GET /metrics: reads all that is measured when somebody asks for it.
//! Measures nothing itself.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use tepui_core::marathon::manager::Snapshot;

use super::names::{self, Published};
use super::process::Process;
use super::{MarathonMetrics, text};
use crate::clock::Clock;
use crate::marathon::config::MetricsSettings;
use crate::marathon::http::Metrics;

/// What is measured, for who asks by HTTP.
#[derive(Debug)]
pub struct MetricsPage {
    metrics: Arc<MarathonMetrics>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    clock: Clock,
    settings: MetricsSettings,
}

impl MetricsPage {
    /// A page of these metrics and of the state that the manager publishes to `snapshot`.
    pub fn new(
        metrics: Arc<MarathonMetrics>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        clock: Clock,
        settings: MetricsSettings,
    ) -> MetricsPage {
        MetricsPage {
            metrics,
            snapshot,
            clock,
            settings,
        }
    }

    fn read(&self) -> Published {
        names::publish(
            &self.metrics,
            &self.snapshot.load_full(),
            Process::read(),
            &self.settings.metrics_name_prefix,
            self.clock.now().mono,
        )
    }
}

impl Metrics for MetricsPage {
    fn json(&self) -> Value {
        text::json(&self.read())
    }

    fn prometheus(&self) -> Option<String> {
        self.settings
            .metrics_prometheus
            .then(|| text::prometheus(&self.read()))
    }
}
