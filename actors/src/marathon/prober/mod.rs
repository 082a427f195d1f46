//! Marathon-side health checks and readiness checks: probes tasks by HTTP, HTTPS and TCP.
//! Counts no failures and kills nothing: whoever gets the results decides.

mod probe;
mod wheel;

#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use wheel::{Probe, Watch, Wheel};

/// Probes that run at once unless settings say otherwise (Marathon:
/// `max_concurrent_marathon_health_checks`).
pub const MAX_CONCURRENT_PROBES: usize = 256;

/// The longest time before the first probe of a health check (Marathon).
const MAX_FIRST_HEALTH_DELAY: Duration = Duration::from_secs(5);

/// How a probe reaches an HTTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS; certificates are not verified (Marathon).
    Https,
}

/// What is asked of an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Path, perhaps with a query; a missing slash at its front is added.
    pub path: String,
}

/// How it is found out whether a task is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// By an answer with a status from 200 to 399; redirects are not followed (Marathon).
    Http {
        /// What is asked.
        get: HttpGet,
        /// A status below 200 says nothing; otherwise it is a failure.
        ignore_1xx: bool,
    },
    /// By a connection that can be opened.
    Tcp,
}

/// What is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// Whether a task is healthy.
    Health(HealthProbe),
    /// What a task answers while a deployment waits for it.
    Readiness(HttpGet),
}

/// Whom to probe, how, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSpec {
    /// What is found out.
    pub kind: ProbeKind,
    /// Name or address; an IPv6 address with or without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Time from one probe to the next; not below a tenth of a second.
    pub interval: Duration,
    /// Time for a whole probe, from the connection to the end of the answer.
    pub timeout: Duration,
    /// Time until the first probe.
    pub first_after: Duration,
}

impl ProbeSpec {
    /// A health check: the first probe comes after the interval, but at most 5 s (Marathon).
    #[must_use]
    pub fn health(
        probe: HealthProbe,
        (host, port): (&str, u16),
        interval: Duration,
        timeout: Duration,
    ) -> ProbeSpec {
        ProbeSpec {
            kind: ProbeKind::Health(probe),
            host: host.to_owned(),
            port,
            interval,
            timeout,
            first_after: interval.min(MAX_FIRST_HEALTH_DELAY),
        }
    }

    /// A readiness check: the first probe comes at once (Marathon).
    #[must_use]
    pub fn readiness(
        get: HttpGet,
        (host, port): (&str, u16),
        interval: Duration,
        timeout: Duration,
    ) -> ProbeSpec {
        ProbeSpec {
            kind: ProbeKind::Readiness(get),
            host: host.to_owned(),
            port,
            interval,
            timeout,
            first_after: Duration::ZERO,
        }
    }
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A task is healthy or not.
    Health {
        /// Whether it is.
        alive: bool,
        /// Why not: the answer's status, or why there was no answer.
        cause: Option<String>,
    },
    /// A status that says neither.
    Ignored,
    /// What a readiness check was answered.
    Readiness {
        /// Whether there was an answer at all; without one the task is not ready, whatever statuses
        /// would make it so, and the rest is what Marathon keeps then: 504 and the reason.
        answered: bool,
        /// HTTP status.
        status: u16,
        /// Value of `Content-Type`.
        content_type: String,
        /// The first 16 KiB; bytes that are no UTF-8 are replaced.
        body: String,
    },
}

/// What a probe of a watched target found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult<K> {
    /// The target.
    pub key: K,
    /// What was found.
    pub outcome: Outcome,
}

/// The bounds of a prober.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProberSettings {
    /// Probes that run at once; at least one does.
    pub max_concurrent: usize,
}

impl Default for ProberSettings {
    fn default() -> Self {
        ProberSettings {
            max_concurrent: MAX_CONCURRENT_PROBES,
        }
    }
}

/// Starts probers.
#[derive(Debug)]
pub struct Prober;

impl Prober {
    /// Starts one with default bounds on the tokio runtime this is called in. While results are not
    /// taken, probing stops. It ends with its last handle or with the receiver of results.
    #[must_use]
    pub fn start<K>(results: mpsc::Sender<ProbeResult<K>>) -> ProberHandle<K>
    where
        K: Clone + Eq + Hash + Send + 'static,
    {
        Prober::start_with(ProberSettings::default(), results)
    }

    /// As [`Prober::start`], with other bounds.
    #[must_use]
    pub fn start_with<K>(
        settings: ProberSettings,
        results: mpsc::Sender<ProbeResult<K>>,
    ) -> ProberHandle<K>
    where
        K: Clone + Eq + Hash + Send + 'static,
    {
        let shared = Arc::new(Shared {
            wheel: Mutex::new(Wheel::new(settings.max_concurrent)),
            changed: Notify::new(),
            clock: Clock::start(),
        });
        let task = tokio::spawn(turn(shared.clone(), results)).abort_handle();
        ProberHandle {
            shared,
            _task: Arc::new(AbortOnDrop(task)),
        }
    }
}

/// Says whom to probe. Copies steer the same prober.
#[derive(Debug)]
pub struct ProberHandle<K> {
    shared: Arc<Shared<K>>,
    _task: Arc<AbortOnDrop>,
}

impl<K> Clone for ProberHandle<K> {
    fn clone(&self) -> Self {
        ProberHandle {
            shared: self.shared.clone(),
            _task: self._task.clone(),
        }
    }
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Shared<K> {
    wheel: Mutex<Wheel<K>>,
    changed: Notify,
    clock: Clock,
}

impl<K> Shared<K> {
    fn wheel(&self) -> MutexGuard<'_, Wheel<K>> {
        self.wheel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> ProberHandle<K> {
    /// Probes a target until it is unwatched; one of the same key is replaced, and results of its
    /// probes do not come any more.
    pub fn watch(&self, key: K, spec: ProbeSpec) {
        let now = self.shared.clock.now().mono;
        self.shared.wheel().watch(now, key, spec);
        self.shared.changed.notify_one();
    }

    /// Probes a target no longer; false when it was not watched. Only results that are in the
    /// channel already still come.
    pub fn unwatch(&self, key: &K) -> bool {
        let was = self.shared.wheel().unwatch(key);
        self.shared.changed.notify_one();
        was
    }

    /// Number of targets.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.shared.wheel().len()
    }
}

/// Drives all probes: one timer, whatever the number of targets.
async fn turn<K>(shared: Arc<Shared<K>>, results: mpsc::Sender<ProbeResult<K>>)
where
    K: Clone + Eq + Hash + Send + 'static,
{
    let mut running: JoinSet<(K, Watch, Option<Outcome>)> = JoinSet::new();
    loop {
        let now = shared.clock.now().mono;
        let (probes, due) = {
            let mut wheel = shared.wheel();
            (wheel.take_due(now), wheel.next_due())
        };
        for probe in probes {
            running.spawn(make(probe));
        }
        let due = due.map(|due| shared.clock.instant(due));
        tokio::select! {
            Some(ended) = running.join_next(), if !running.is_empty() => {
                // A probe neither panics nor is it aborted while its prober lives.
                let Ok((key, watch, outcome)) = ended else { continue };
                shared.wheel().finished(shared.clock.now().mono, watch);
                if let Some(outcome) = outcome
                    && !deliver(&shared, &results, watch, ProbeResult { key, outcome }).await
                {
                    return;
                }
            }
            () = at(due) => {}
            () = shared.changed.notified() => {}
            () = results.closed() => return,
        }
    }
}

/// Until an instant; for ever without one.
async fn at(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Makes a probe; no outcome when its target is unwatched meanwhile.
async fn make<K>(mut probe: Probe<K>) -> (K, Watch, Option<Outcome>) {
    let outcome = tokio::select! {
        biased;
        _ = &mut probe.cancelled => None,
        outcome = probe::probe(&probe.spec) => Some(outcome),
    };
    (probe.key, probe.watch, outcome)
}

/// Hands a result over, unless its target is unwatched by then; false when nobody wants results.
async fn deliver<K: Clone + Eq + Hash>(
    shared: &Shared<K>,
    results: &mpsc::Sender<ProbeResult<K>>,
    watch: Watch,
    result: ProbeResult<K>,
) -> bool {
    let Ok(place) = results.reserve().await else {
        return false;
    };
    // Under the lock, so that nothing comes after an unwatch has returned.
    let wheel = shared.wheel();
    if wheel.is_watched(watch) {
        place.send(result);
    }
    true
}
