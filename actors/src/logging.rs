//! Levels of logging that can be changed while the process runs, for good or for some time.
//! Writes no log itself; what a level lets through goes to stderr.
//!
//! The app manager has a level for each logger, as Marathon has. Master and agent have one number
//! for all, as Mesos has: 0 is what the process was started with, 1 tells more, 2 everything.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix::System;
use futures_util::future::{AbortHandle, abortable};
use tracing::warn;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

/// Name of the logger that all others inherit from. Marathon.
const ROOT: &str = "ROOT";

/// The loggers of this process.
static PROCESS: OnceLock<Loggers> = OnceLock::new();

/// Loggers besides ROOT that may have a level of their own; changes of further ones are dropped.
pub const MAX_LOGGERS: usize = 1000;

/// Levels of logging; copies change the same ones.
#[derive(Debug, Clone)]
pub struct Loggers(Arc<Shared>);

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
    /// The last number that was set for all loggers, and the change that did so.
    verbosity: (u32, u64),
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
pub fn start(level: Option<tracing::Level>) -> Loggers {
    let (loggers, filter) = Loggers::new(level);
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // A disk that is full must not end the process: telling of it would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let set = tracing_subscriber::registry()
        .with(filter)
        .with(writer)
        .try_init();
    if let Err(error) = set {
        eprintln!("logging was started before: {error}");
    }
    PROCESS.get_or_init(|| loggers.clone());
    loggers
}

/// The loggers of this process. Where logging was not started, as in tests, their levels are kept
/// but let nothing through.
pub fn process() -> &'static Loggers {
    PROCESS.get_or_init(|| Loggers::new(None).0)
}

impl Loggers {
    /// Loggers with this level of ROOT, and the layer that they change.
    pub(crate) fn new(
        level: Option<tracing::Level>,
    ) -> (Loggers, reload::Layer<Targets, Registry>) {
        let level = LevelFilter::from(level);
        let (layer, filter) = reload::Layer::new(Targets::new().with_default(level));
        let state = State {
            root: Logger::new(ROOT, level, Some(level)),
            others: BTreeMap::new(),
            changes: 0,
            verbosity: (0, 0),
        };
        let state = Mutex::new(state);
        (Loggers(Arc::new(Shared { filter, state })), layer)
    }

    /// Levels by name of the logger; `ROOT` is among them.
    pub fn all(&self) -> BTreeMap<String, LevelFilter> {
        let state = self.0.state();
        let loggers = state.others.values().chain([&state.root]);
        loggers
            .map(|logger| (logger.name.clone(), logger.level))
            .collect()
    }

    /// Changes the level of one logger, for some time or for good.
    ///
    /// What is for some time needs a runtime: that of the process, or else the one this is called
    /// on.
    pub fn set(&self, name: &str, level: LevelFilter, time: Option<Duration>) {
        let target = target(name);
        let mut state = self.0.state();
        let Some((logger, number)) = state.change(target.as_deref(), name) else {
            drop(state);
            warn!(
                logger = name,
                "{MAX_LOGGERS} loggers have levels of their own; the level of one more is not set"
            );
            return;
        };
        logger.level = level;
        match time {
            None => logger.lasting = Some(level),
            Some(time) => {
                let loggers = self.clone();
                let (returning, handle) = abortable(async move {
                    tokio::time::sleep(time).await;
                    loggers.bring_back(target.as_deref(), number);
                });
                logger.returning = Some(handle);
                // The threads that serve HTTP may end earlier than the process.
                let returning = async move {
                    // Aborted when another change was made meanwhile.
                    let _ = returning.await;
                };
                match System::try_current() {
                    Some(system) => {
                        system.arbiter().spawn(returning);
                    }
                    None => {
                        tokio::spawn(returning);
                    }
                }
            }
        }
        self.0.apply(&state);
    }

    /// How much is logged: 0 is what the process was started with. Mesos: `FLAGS_v`.
    pub fn verbosity(&self) -> u32 {
        let state = self.0.state();
        let (level, change) = state.verbosity;
        let is_in_force = state.root.change == change && state.root.returning.is_some();
        if is_in_force { level } else { 0 }
    }

    /// Logs more, for some time.
    ///
    /// No number is refused, as in Mesos: those above 2 let through no more than 2 does, and those
    /// that a negative one becomes no more than 0 does. Mesos: `Logging::set_level`.
    pub fn set_verbosity(&self, level: u32, time: Duration) {
        let filter = match level.cast_signed() {
            0 => return self.return_root(),
            1 => LevelFilter::DEBUG,
            2.. => LevelFilter::TRACE,
            ..0 => self.lasting(),
        };
        self.set(ROOT, filter, Some(time));
        let mut state = self.0.state();
        state.verbosity = (level, state.root.change);
    }

    /// The level of ROOT but for changes for some time.
    fn lasting(&self) -> LevelFilter {
        let state = self.0.state();
        state.root.lasting.unwrap_or(state.root.level)
    }

    /// Ends what was set for all loggers for some time.
    fn return_root(&self) {
        let mut state = self.0.state();
        if let Some((root, _)) = state.change(None, ROOT)
            && let Some(level) = root.lasting
        {
            root.level = level;
        }
        self.0.apply(&state);
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
