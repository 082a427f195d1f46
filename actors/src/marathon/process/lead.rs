//! What it takes to lead: the stored state, the manager, its connections.
//! Decides nothing about who leads.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tepui_core::ids::IdSource;
use tepui_core::marathon::definition::Feature;
use tepui_core::marathon::manager::{Effect, Manager, Snapshot, Stored};
use tepui_protocol::v1;
use tokio::sync::{mpsc, oneshot};
use v1::framework_info::capability::Type as Capability;

use super::Failed;
use crate::clock::Clock;
use crate::marathon::config::{MarathonConfig, MetricsSettings};
use crate::marathon::driver::{Driver, Registration, Settings as DriverSettings};
use crate::marathon::events::EventHub;
use crate::marathon::handle::{Asked, Handle};
use crate::marathon::http::Abdication;
use crate::marathon::prober::{Prober, ProberSettings};
use crate::marathon::records;
use crate::marathon::run::{Connections, Run};
use crate::marathon::store::{Batch, Owner, Place, Settings, Store, StoreError};
use crate::metrics::marathon::{MarathonMetrics, MetricsPage};

use crate::random;

/// Events of the driver that may wait for the manager.
const MAX_DRIVER_EVENTS: usize = 1024;

/// Results of probes that may wait for the manager.
const MAX_PROBE_RESULTS: usize = 1024;

/// Requests that may wait for the manager; more are answered 503.
const MAX_REQUESTS: usize = 1024;

/// What the master says when it will not have a framework any more.
const REMOVED: &str = "Framework has been removed";

/// Whether the master ended a framework for good.
pub(super) fn is_removed(why: &str) -> bool {
    why.contains(REMOVED)
}

/// Both ends of what connects HTTP workers and manager. The ends of workers are there from the
/// start, as an instance serves before it leads.
pub(super) struct Channels {
    pub(super) handle: Handle,
    snapshot: Arc<ArcSwap<Snapshot>>,
    requests: mpsc::Receiver<Asked>,
    events: EventHub,
    metrics: Arc<MarathonMetrics>,
}

impl Channels {
    /// With the state of a manager that has nothing.
    pub(super) fn new(
        config: &MarathonConfig,
        clock: Clock,
        metrics: Arc<MarathonMetrics>,
    ) -> Result<Channels, Failed> {
        let now = clock.now();
        let random = IdSource::from_seed([0; 32]);
        let settings = config.manager.clone();
        let nothing = Manager::restore(settings, Stored::default(), random, now, &mut Vec::new())?;
        let snapshot = Arc::new(ArcSwap::from_pointee(nothing.snapshot(now)));
        let (send, requests) = mpsc::channel(MAX_REQUESTS);
        let events = EventHub::default();
        Ok(Channels {
            handle: Handle::new(snapshot.clone(), send, events.clone()),
            snapshot,
            requests,
            events,
            metrics,
        })
    }

    /// What is measured, for those who ask.
    pub(super) fn page(&self, settings: &MetricsSettings, clock: Clock) -> MetricsPage {
        let (metrics, snapshot) = (self.metrics.clone(), self.snapshot.clone());
        MetricsPage::new(metrics, snapshot, clock, settings.clone())
    }
}

/// Hands on the first failure of a store.
pub(super) struct StoreWatch(Mutex<Option<oneshot::Sender<String>>>);

impl StoreWatch {
    pub(super) fn new() -> (StoreWatch, oneshot::Receiver<String>) {
        let (send, failed) = oneshot::channel();
        (StoreWatch(Mutex::new(Some(send))), failed)
    }
}

impl Owner for StoreWatch {
    fn failed(&self, error: StoreError) {
        let send = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(send) = send {
            // The manager may be ending for another reason.
            let _ = send.send(error.to_string());
        }
    }
}

/// A manager with its state, which has not begun.
pub(super) struct Prepared {
    manager: Manager,
    first: Vec<Effect>,
    store: Store,
    driver: DriverSettings,
    registration: Registration,
    clock: Clock,
    max_probes: usize,
}

/// Reads the state.
pub(super) async fn prepare(
    config: &MarathonConfig,
    told: &str,
    clock: Clock,
    place: &Place,
    watch: StoreWatch,
) -> Result<Prepared, Failed> {
    let settings = Settings::new(place.clone());
    let opened = blocking(move || Store::open(settings, watch)).await?;
    let (store, records) = opened?;
    let stored = records::stored(records)?;
    let mut first = Vec::new();
    let random = IdSource::from_seed(random::seed());
    let settings = config.manager.clone();
    let manager = Manager::restore(settings, stored, random, clock.now(), &mut first)?;
    let registration = registration(config, told, &manager);
    let driver = DriverSettings {
        master: config.master.clone(),
        registration: registration.clone(),
        credentials: config.credentials.clone(),
        seed: random::seed(),
        limits: config.driver.clone(),
    };
    Ok(Prepared {
        manager,
        first,
        store,
        driver,
        registration,
        clock,
        max_probes: config.max_concurrent_marathon_health_checks,
    })
}

/// A manager that works, as soon as it is run.
pub(super) struct Led(Run);

impl Led {
    /// Works until it cannot go on, or is told to end; gives the store back.
    pub(super) async fn run(self) -> (crate::marathon::run::Ended, Store) {
        self.0.run().await
    }
}

impl Prepared {
    /// Connects it; the sender ends it.
    pub(super) fn start(
        self,
        channels: Channels,
        store_failed: oneshot::Receiver<String>,
    ) -> Result<(Led, oneshot::Sender<()>), Failed> {
        let (events, driver_events) = mpsc::channel(MAX_DRIVER_EVENTS);
        let (results, probe_results) = mpsc::channel(MAX_PROBE_RESULTS);
        let (end, told) = oneshot::channel();
        let max_concurrent = self.max_probes;
        let with = Connections {
            requests: channels.requests,
            driver_events,
            probe_results,
            driver: Driver::start(self.driver, events),
            registration: self.registration,
            prober: Prober::start_with(ProberSettings { max_concurrent }, results),
            store: self.store,
            store_failed,
            told,
            snapshot: channels.snapshot,
            events: channels.events,
            metrics: channels.metrics,
            clock: self.clock,
        };
        let run = Run::new(self.manager, with, self.first);
        let run = run.map_err(|ended| Failed::Store(ended.to_string()))?;
        Ok((Led(run), end))
    }
}

/// What the framework says of itself.
fn registration(config: &MarathonConfig, told: &str, manager: &Manager) -> Registration {
    let settings = &config.framework;
    let mut capabilities = vec![
        Capability::PartitionAware,
        Capability::RegionAware,
        Capability::MultiRole,
    ];
    if config.has(Feature::TaskKilling) {
        capabilities.push(Capability::TaskKillingState);
    }
    if config.has(Feature::GpuResources) {
        capabilities.push(Capability::GpuResources);
    }
    let capabilities = capabilities
        .into_iter()
        .map(|kind| v1::framework_info::Capability {
            r#type: Some(kind.into()),
        });
    let own_page = || format!("http://{told}");
    let id = manager.framework_id().map(|id| v1::FrameworkId {
        value: id.to_owned(),
    });
    let framework_info = v1::FrameworkInfo {
        user: settings.mesos_user.clone(),
        name: settings.framework_name.clone(),
        id,
        failover_timeout: Some(settings.failover_timeout.as_secs_f64()),
        checkpoint: Some(settings.checkpoint),
        hostname: Some(config.hostname.clone()),
        principal: config.framework.principal.clone(),
        webui_url: Some(settings.webui_url.clone().unwrap_or_else(own_page)),
        capabilities: capabilities.collect(),
        roles: manager
            .roles()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        ..Default::default()
    };
    Registration {
        framework_info,
        ..Registration::default()
    }
}

/// Stores what waits and closes.
pub(super) async fn close(store: Store) {
    let closed = blocking(move || store.close()).await;
    match closed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "not everything could be stored"),
        Err(error) => tracing::warn!(%error, "the store was not closed"),
    }
}

/// Nobody who could be told of a failure.
struct Nobody;

impl Owner for Nobody {
    fn failed(&self, error: StoreError) {
        tracing::error!(%error, "the store has failed");
    }
}

/// Opens a store, with what its settings ask for, and closes it.
pub(super) async fn once(settings: Settings) -> Result<(), StoreError> {
    let done = blocking(move || {
        let (store, _) = Store::open(settings, Nobody)?;
        store.close()
    });
    done.await.unwrap_or_else(|error| {
        Err(StoreError::Thread {
            reason: error.to_string(),
        })
    })
}

/// Has the next start register a new framework.
pub(super) async fn forget_framework(place: Place) -> Result<(), StoreError> {
    // What is in memory ends with the process.
    if matches!(place, Place::Memory(_)) {
        return Ok(());
    }
    let done = blocking(move || {
        let (store, _) = Store::open(Settings::new(place), Nobody)?;
        let mut batch = Batch::new();
        records::forget_framework(&mut batch);
        // Refused only when the store has ended, which closing it tells, too.
        let _ = store.apply(batch, Box::new(|| {}));
        store.close()
    });
    done.await.unwrap_or_else(|error| {
        Err(StoreError::Thread {
            reason: error.to_string(),
        })
    })
}

/// Writes a backup and restores another one, as asked by DELETE /v2/leader.
pub(super) async fn fulfil(place: Place, wishes: Abdication) -> Result<(), String> {
    let file = |uri: Option<String>| match uri {
        None => Ok(None),
        Some(uri) => match path_of(&uri) {
            Some(path) => Ok(Some(path)),
            None => Err(format!(
                "'{uri}' is no file of this machine; expected file:///path"
            )),
        },
    };
    let (backup, restore) = (file(wishes.backup)?, file(wishes.restore)?);
    if backup.is_none() && restore.is_none() {
        return Ok(());
    }
    let settings = Settings {
        place,
        backup,
        restore,
    };
    once(settings).await.map_err(|error| error.to_string())
}

/// The path of a `file:` URI of this machine.
pub(crate) fn path_of(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    path.starts_with('/').then(|| PathBuf::from(path))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_this_machine_are_places() {
        assert_eq!(path_of("file:///a/b"), Some(PathBuf::from("/a/b")));
        assert_eq!(path_of("file:/a"), Some(PathBuf::from("/a")));
        for wrong in ["file://host/a", "file:a", "s3://bucket/a", "/a"] {
            assert_eq!(path_of(wrong), None, "{wrong}");
        }
    }
}
