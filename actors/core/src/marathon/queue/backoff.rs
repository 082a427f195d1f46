//! Launch delays per app and config version.
//! Not stored: after a restart everything may be launched at once, as with Marathon.

use std::collections::BTreeMap;
use std::time::Duration;

use tepui_protocol::marathon::{App, PathId, Timestamp};

use crate::marathon::instance::config_version;
use crate::time::Mono;

/// One delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delay {
    /// When the clock was started last.
    reference: Mono,
    /// Launches wait so long after it.
    current: Duration,
    /// The delay is forgotten when the clock was started longer ago than this.
    max: Duration,
}

/// The launch delays of all apps.
#[derive(Debug, Clone, Default)]
pub struct Backoffs {
    delays: BTreeMap<(PathId, Timestamp), Delay>,
}

impl Backoffs {
    /// An instance of `app` failed: the first failure sets `backoffSeconds`, each further one
    /// multiplies by `backoffFactor`, never above `maxLaunchDelaySeconds`.
    pub fn failed(&mut self, app: &App, now: Mono) {
        let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(0));
        let max = seconds(app.max_launch_delay_seconds);
        let first = seconds(app.backoff_seconds).min(max);
        let key = (app.id.clone(), config_version(app));
        let current = match self.delays.get(&key) {
            None => first,
            Some(delay) => {
                let longer = delay.current.as_secs_f64() * app.backoff_factor;
                Duration::try_from_secs_f64(longer).map_or(max, |longer| longer.min(max))
            }
        };
        let delay = Delay {
            reference: now,
            current,
            max,
        };
        self.delays.insert(key, delay);
    }

    /// Restarts the clock of an existing delay without changing its length.
    pub fn advance(&mut self, app: &PathId, version: Timestamp, now: Mono) {
        if let Some(delay) = self.delays.get_mut(&(app.clone(), version)) {
            delay.reference = now;
        }
    }

    /// Forgets the delays of all versions of an app; tells whether there were any.
    pub fn reset(&mut self, app: &PathId) -> bool {
        let first = (app.clone(), Timestamp::from_millis(i64::MIN));
        let last = (app.clone(), Timestamp::from_millis(i64::MAX));
        let found = self.delays.range(first..=last);
        let keys: Vec<_> = found.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.delays.remove(key);
        }
        !keys.is_empty()
    }

    /// When launches are allowed again; none when they are allowed now.
    pub fn until(&self, app: &PathId, version: Timestamp, now: Mono) -> Option<Mono> {
        let delay = self.delays.get(&(app.clone(), version))?;
        let until = delay.reference + delay.current;
        (until > now).then_some(until)
    }

    /// Forgets delays that nothing added to for longer than their greatest length. This is how a
    /// stable app loses its delay.
    pub fn sweep(&mut self, now: Mono) {
        self.delays
            .retain(|_, delay| now.since(delay.reference) <= delay.max);
    }

    /// Whether there is nothing to sweep.
    pub fn is_empty(&self) -> bool {
        self.delays.is_empty()
    }
}
