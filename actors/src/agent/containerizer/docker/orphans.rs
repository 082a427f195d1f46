//! The end of containers that nobody stays beside: those of this run, once they are over, and those
//! of earlier ones. Starts none.

use std::time::Duration;

use serde_json::Value;
use tepui_core::time::Wall;

use super::DockerContainerizer;
use super::create::LABEL;
use super::engine::{Engine, EngineError, Listed};
use crate::clock::Clock;

/// Time between two attempts when the Engine is gone or cannot do it yet.
const AGAIN: Duration = Duration::from_secs(5);

/// Attempts to remove a container whose removal the Engine refuses.
const MOST_REFUSALS: u32 = 60;

/// Ends a container, and removes it when that is due; tries until the Engine is there and does it.
pub(super) async fn end(engine: &Engine, name: &str, delay: Duration) {
    let mut is_known = false;
    while let Err(error) = engine.kill(name).await {
        if !std::mem::replace(&mut is_known, true) {
            tracing::warn!(container = name, %error, "cannot end a container yet");
        }
        tokio::time::sleep(AGAIN).await;
    }
    tokio::time::sleep(delay).await;
    remove(engine, name).await;
}

async fn remove(engine: &Engine, name: &str) {
    let mut refusals = 0;
    while let Err(error) = engine.remove(name).await {
        if let EngineError::Refused(..) = error {
            refusals += 1;
        }
        if refusals == MOST_REFUSALS {
            tracing::warn!(container = name, %error, "cannot remove a container");
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl DockerContainerizer {
    /// Takes back what earlier runs have left; one container does not wait for another. Those that
    /// have ended go when their time is over, as they would have without a restart.
    pub(super) async fn end_others(&self) {
        let all = loop {
            match self.engine.list(LABEL, &self.common.work_dir).await {
                Ok(all) => break all,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for containers of an earlier run yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        for listed in all.into_iter().filter(|listed| !self.knows(&listed.name)) {
            let (engine, delay) = (self.engine.clone(), self.config.docker_remove_delay);
            let Listed { name, state } = listed;
            match state.as_str() {
                "exited" | "dead" => {
                    tokio::spawn(async move {
                        let rest = match engine.inspect(&name).await {
                            Ok(said) => delay.saturating_sub(ended_since(&said, now())),
                            Err(_) => delay,
                        };
                        tokio::time::sleep(rest).await;
                        remove(&engine, &name).await;
                    });
                }
                // It was never started: there is nothing to look at.
                "created" => {
                    tokio::spawn(async move { remove(&engine, &name).await });
                }
                _ if self.config.docker_kill_orphans => {
                    tracing::warn!(container = name, "ending a container of an earlier run");
                    tokio::spawn(async move { end(&engine, &name, Duration::ZERO).await });
                }
                _ => tracing::warn!(
                    container = name,
                    "a container of an earlier run goes on (see --docker_kill_orphans)"
                ),
            }
        }
    }
}

fn now() -> Wall {
    Clock::start().now().wall
}

/// How long ago a container has ended; no time at all where the Engine does not say.
fn ended_since(said: &Value, now: Wall) -> Duration {
    let at = said.pointer("/State/FinishedAt").and_then(Value::as_str);
    let at = at.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let at = at.and_then(|at| u64::try_from(at.as_microsecond()).ok());
    at.map_or(Duration::ZERO, |at| {
        Duration::from_micros(now.0.saturating_sub(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_time_since_an_end_is_read() {
        let now = Wall(1_000_000_000_000_000);
        let since = |text: &str| ended_since(&json!({"State": {"FinishedAt": text}}), now);
        let minute = Duration::from_secs(60);
        assert_eq!(since("2001-09-09T01:45:40Z"), minute);
        assert_eq!(
            since("2001-09-09T01:45:40.5Z"),
            Duration::from_millis(59_500)
        );
        assert_eq!(since("2001-09-09T02:45:40+01:00"), minute);
        // Clocks of machines jump.
        assert_eq!(since("2030-01-01T00:00:00Z"), Duration::ZERO);
        assert_eq!(since("nonsense"), Duration::ZERO);
        assert_eq!(ended_since(&Value::Null, now), Duration::ZERO);
    }
}
