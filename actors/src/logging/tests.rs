//! The number of how much is logged: what it means, and that it comes back.
//! Levels of single loggers are tested with the app manager's API.

use super::*;

/// Loggers as a process is started with, and what their filter hangs on.
fn start() -> (Loggers, reload::Layer<Targets, Registry>) {
    Loggers::new(Some(tracing::Level::INFO))
}

fn root(loggers: &Loggers) -> LevelFilter {
    loggers.all()[ROOT]
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn more_is_logged_for_some_time() {
    let (loggers, _layer) = start();
    assert_eq!(
        (loggers.verbosity(), root(&loggers)),
        (0, LevelFilter::INFO)
    );
    loggers.set_verbosity(1, Duration::from_secs(10));
    assert_eq!(
        (loggers.verbosity(), root(&loggers)),
        (1, LevelFilter::DEBUG)
    );
    pass(9).await;
    loggers.set_verbosity(77, Duration::from_secs(10));
    pass(9).await;
    assert_eq!(
        (loggers.verbosity(), root(&loggers)),
        (77, LevelFilter::TRACE)
    );
    pass(2).await;
    assert_eq!(
        (loggers.verbosity(), root(&loggers)),
        (0, LevelFilter::INFO)
    );
}

#[tokio::test(start_paused = true)]
async fn zero_ends_it_at_once() {
    let (loggers, _layer) = start();
    loggers.set_verbosity(u32::MAX, Duration::from_secs(10));
    assert_eq!(loggers.verbosity(), u32::MAX, "-1 as a call has it");
    assert_eq!(root(&loggers), LevelFilter::INFO);
    loggers.set_verbosity(2, Duration::from_secs(10));
    loggers.set_verbosity(0, Duration::from_secs(1000));
    assert_eq!(
        (loggers.verbosity(), root(&loggers)),
        (0, LevelFilter::INFO)
    );
    loggers.set_verbosity(1, Duration::ZERO);
    pass(1).await;
    assert_eq!(
        (loggers.verbosity(), root(&loggers)),
        (0, LevelFilter::INFO)
    );
}

#[tokio::test(start_paused = true)]
async fn very_long_times_do_no_harm() {
    let (loggers, _layer) = start();
    loggers.set_verbosity(1, Duration::from_nanos(i64::MAX as u64));
    pass(1000).await;
    assert_eq!(loggers.verbosity(), 1);
}

#[test]
fn a_process_has_loggers_even_without_logging() {
    assert_eq!(process().verbosity(), 0);
    assert!(process().all().contains_key(ROOT));
}
