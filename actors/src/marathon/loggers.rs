//! Levels of logging that can be changed while the process runs: GET and POST /logging.
//! Writes no log itself; what a level lets through goes to stderr.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tracing::warn;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use super::http::{LoggerChange, Loggers};

/// Name of the logger that all others inherit from. Marathon.
const ROOT: &str = "ROOT";

/// Loggers besides ROOT that may have a level of their own; changes of further ones are dropped.
pub const MAX_LOGGERS: usize = 1000;

/// Levels of logging; copies change the same ones.
#[derive(Debug, Clone)]
pub struct MarathonLoggers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    filter: reload::Handle<Targets, Registry>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    root: Logger,
    /// By target.
    others: BTreeMap<String, Logger>,
    /// Counts changes.
    changes: u64,
}

/// The level of one logger.
#[derive(Debug)]
struct Logger {
    /// What it was called.
    name: String,
    level: LevelFilter,
    /// What comes back after a change for some time; none means what ROOT has.
    lasting: Option<LevelFilter>,
    /// Which change was the last one.
    change: u64,
    /// Who brings the lasting level back.
    returning: Option<AbortHandle>,
}

/// Starts logging to stderr at this level, or at none, for the whole process.
pub fn start(level: Option<tracing::Level>) -> MarathonLoggers {
    let (loggers, filter) = MarathonLoggers::new(level);
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let set = tracing_subscriber::registry()
        .with(filter)
        .with(writer)
        .try_init();
    if let Err(error) = set {
        eprintln!("logging was started before: {error}");
    }
    loggers
}

impl MarathonLoggers {
    /// Loggers with this level of ROOT, and the layer that they change.
    pub(super) fn new(
        level: Option<tracing::Level>,
    ) -> (MarathonLoggers, reload::Layer<Targets, Registry>) {
        let level = LevelFilter::from(level);
        let (layer, filter) = reload::Layer::new(Targets::new().with_default(level));
        let state = State {
            root: Logger::new(ROOT, level, Some(level)),
            others: BTreeMap::new(),
            changes: 0,
        };
        let state = Mutex::new(state);
        (MarathonLoggers(Arc::new(Shared { filter, state })), layer)
    }

    /// A change for some time has come to its end, unless another one was made meanwhile.
    fn bring_back(&self, target: Option<&str>, change: u64) {
        let mut state = self.0.state();
        let Some(logger) = state.logger(target) else {
            return;
        };
        if logger.change != change {
            return;
        }
        logger.returning = None;
        match (logger.lasting, target) {
            (Some(level), _) => logger.level = level,
            (None, Some(target)) => {
                state.others.remove(target);
            }
            (None, None) => {}
        }
        self.0.apply(&state);
    }
}

impl Loggers for MarathonLoggers {
    fn levels(&self) -> BTreeMap<String, String> {
        let state = self.0.state();
        let loggers = state.others.values().chain([&state.root]);
        let shown = |logger: &Logger| {
            let level = logger.level.to_string().to_ascii_uppercase();
            (logger.name.clone(), level)
        };
        loggers.map(shown).collect()
    }

    /// What is for some time needs the runtime that this is called on.
    fn change(&self, change: LoggerChange) {
        // Whoever asks by HTTP has been told of other levels already.
        let Ok(level) = change.level.parse::<LevelFilter>() else {
            return;
        };
        let mut state = self.0.state();
        let target = target(&change.logger);
        let Some((logger, number)) = state.change(target.as_deref(), &change.logger) else {
            drop(state);
            warn!(
                logger = change.logger,
                "{MAX_LOGGERS} loggers have levels of their own; the level of one more is not set"
            );
            return;
        };
        logger.level = level;
        match change.duration_seconds {
            None => logger.lasting = Some(level),
            Some(seconds) => {
                let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                let loggers = self.clone();
                let returning = tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    loggers.bring_back(target.as_deref(), number);
                });
                logger.returning = Some(returning.abort_handle());
            }
        }
        self.0.apply(&state);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets through what the levels say from now on.
    fn apply(&self, state: &State) {
        let others = state.others.iter();
        let filter = Targets::new()
            .with_default(state.root.level)
            .with_targets(others.map(|(target, logger)| (target.clone(), logger.level)));
        // It is gone when the process logs elsewhere; then there is nothing to change.
        let _ = self.filter.reload(filter);
    }
}

impl State {
    fn logger(&mut self, target: Option<&str>) -> Option<&mut Logger> {
        match target {
            None => Some(&mut self.root),
            Some(target) => self.others.get_mut(target),
        }
    }

    /// A logger that is being changed, with the number of the change; none when there are too many.
    fn change(&mut self, target: Option<&str>, name: &str) -> Option<(&mut Logger, u64)> {
        self.changes += 1;
        let number = self.changes;
        if let Some(target) = target
            && !self.others.contains_key(target)
        {
            if self.others.len() >= MAX_LOGGERS {
                return None;
            }
            let logger = Logger::new(name, LevelFilter::OFF, None);
            self.others.insert(target.to_owned(), logger);
        }
        let logger = self.logger(target)?;
        logger.change = number;
        if let Some(returning) = logger.returning.take() {
            returning.abort();
        }
        Some((logger, number))
    }
}

impl Logger {
    fn new(name: &str, level: LevelFilter, lasting: Option<LevelFilter>) -> Logger {
        Logger {
            name: name.to_owned(),
            level,
            lasting,
            change: 0,
            returning: None,
        }
    }
}

/// The target that a name stands for, packages being separated as in Java or as in Rust; none for
/// ROOT.
fn target(name: &str) -> Option<String> {
    (!name.eq_ignore_ascii_case(ROOT)).then(|| name.replace('.', "::"))
}

#[cfg(test)]
mod tests;
