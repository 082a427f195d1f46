//! Levels of logging: what they let through, and that they come back.
//! Sets no logging of the whole process.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::{Dispatch, debug, info, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Lines that were logged.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("lines"));
        String::from_utf8(bytes).expect("text")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lines").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

fn start(level: Option<tracing::Level>) -> (MarathonLoggers, Dispatch, Lines) {
    let (loggers, filter) = MarathonLoggers::new(level);
    let lines = Lines::default();
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(lines.clone())
        .with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter).with(writer);
    (loggers, Dispatch::new(registry), lines)
}

fn change(logger: &str, level: &str, duration_seconds: Option<i64>) -> LoggerChange {
    LoggerChange {
        level: level.to_owned(),
        logger: logger.to_owned(),
        duration_seconds,
    }
}

fn levels(loggers: &MarathonLoggers) -> Vec<(String, String)> {
    loggers.levels().into_iter().collect()
}

fn pair(name: &str, level: &str) -> (String, String) {
    (name.to_owned(), level.to_owned())
}

#[test]
fn levels_let_through_what_they_say() {
    let (loggers, dispatch, lines) = start(Some(tracing::Level::INFO));
    let log = || {
        tracing::dispatcher::with_default(&dispatch, || {
            debug!(target: "one::two", "debug of one");
            info!(target: "one::two", "info of one");
            debug!(target: "other", "debug of other");
            warn!(target: "other", "warn of other");
        });
        let text = lines.take();
        let words = |line: &str| line.rsplit(": ").next().map(str::to_owned);
        text.lines().filter_map(words).collect::<Vec<_>>()
    };
    // What is let through is reckoned anew with who logs; in a process that is all of it.
    let set = |change| tracing::dispatcher::with_default(&dispatch, || loggers.change(change));
    assert_eq!(log(), ["info of one", "warn of other"]);
    set(change("one.two", "debug", None));
    assert_eq!(log(), ["debug of one", "info of one", "warn of other"]);
    assert_eq!(
        levels(&loggers),
        [pair("ROOT", "INFO"), pair("one.two", "DEBUG")]
    );
    set(change("one::two", "error", None));
    assert_eq!(log(), ["warn of other"], "both are names of one logger");
    assert_eq!(levels(&loggers).len(), 2);
    set(change("root", "trace", None));
    assert_eq!(log(), ["debug of other", "warn of other"]);
    set(change("other", "loud", None));
    assert_eq!(
        levels(&loggers),
        [pair("ROOT", "TRACE"), pair("one.two", "ERROR")]
    );
}

#[test]
fn who_is_quiet_can_be_made_to_speak() {
    let (loggers, dispatch, lines) = start(None);
    let log = || {
        tracing::dispatcher::with_default(&dispatch, || warn!("something"));
        !lines.take().is_empty()
    };
    // What is let through is reckoned anew with who logs; in a process that is all of it.
    let set = |change| tracing::dispatcher::with_default(&dispatch, || loggers.change(change));
    assert!(!log());
    assert_eq!(levels(&loggers), [pair("ROOT", "OFF")]);
    set(change("ROOT", "warn", None));
    assert!(log());
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_earlier_level_comes_back() {
    let (loggers, _dispatch, _lines) = start(Some(tracing::Level::INFO));
    let of = |name: &str| loggers.levels().get(name).cloned();
    loggers.change(change("ROOT", "debug", Some(10)));
    loggers.change(change("a", "trace", Some(20)));
    loggers.change(change("b", "warn", None));
    loggers.change(change("b", "error", Some(0)));
    pass(9).await;
    assert_eq!(of("ROOT").as_deref(), Some("DEBUG"));
    assert_eq!(of("b").as_deref(), Some("WARN"));
    pass(2).await;
    assert_eq!(of("ROOT").as_deref(), Some("INFO"));
    assert_eq!(of("a").as_deref(), Some("TRACE"));
    pass(10).await;
    assert_eq!(of("a"), None, "it had none of its own");
}

#[tokio::test(start_paused = true)]
async fn a_later_change_is_not_undone_by_the_end_of_an_earlier_one() {
    let (loggers, _dispatch, _lines) = start(Some(tracing::Level::INFO));
    let root = || loggers.levels().remove("ROOT");
    loggers.change(change("ROOT", "debug", Some(10)));
    pass(5).await;
    loggers.change(change("ROOT", "trace", Some(10)));
    pass(6).await;
    assert_eq!(root().as_deref(), Some("TRACE"));
    pass(5).await;
    assert_eq!(
        root().as_deref(),
        Some("INFO"),
        "not what was for some time"
    );
    loggers.change(change("ROOT", "debug", Some(10)));
    loggers.change(change("ROOT", "warn", None));
    pass(11).await;
    assert_eq!(root().as_deref(), Some("WARN"));
}

#[test]
fn loggers_are_limited() {
    let (loggers, _dispatch, _lines) = start(Some(tracing::Level::INFO));
    for at in 0..MAX_LOGGERS + 5 {
        loggers.change(change(&format!("a{at}"), "warn", None));
    }
    assert_eq!(levels(&loggers).len(), MAX_LOGGERS + 1);
    loggers.change(change("a1", "error", None));
    assert_eq!(loggers.levels()["a1"], "ERROR", "known ones still change");
}
