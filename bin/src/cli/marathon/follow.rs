//! Follows a deployment to its end: events tell how it ends, the list of deployments how far it is.
//! Changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Deserialize;
use tepui_actors::client::{EventStream, ServerEvent};
use tokio::time::MissedTickBehavior;

use super::manager::Manager;
use super::say;
use super::shapes::Deployment;
use super::trouble::Trouble;

/// Time between two looks at the list.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at a deployment that has gone from the list before its event is given up: events may be a
/// little late.
const LOOKS_AFTER_END: u32 = 3;

/// Looks that may fail in a row, as while the leader changes.
const MAX_FAILED_LOOKS: u32 = 60;

/// Looks after which it is said how to find out what it waits for.
const PATIENCE_LOOKS: u32 = 15;

/// The events that tell of ends.
const ENDS: [&str; 2] = ["deployment_success", "deployment_failed"];

/// How long to wait for a deployment.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(super) struct Wait {
    /// Wait until the deployment has ended, and fail when it was cancelled
    #[arg(long)]
    pub wait: bool,
    /// Time to wait at most, as 90, 90s, 10m or 1h; the deployment goes on after it
    #[arg(long, requires = "wait", value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
}

impl Wait {
    pub(super) fn limit(&self) -> Option<Duration> {
        self.timeout
    }
}

/// Reads a time.
pub(in super::super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("" | "s" | "secs") => Some(1),
        Some("m" | "min" | "mins") => Some(60),
        Some("h" | "hrs") => Some(3600),
        _ => None,
    };
    let seconds = digits.parse::<u64>().ok().zip(unit);
    let seconds = seconds.and_then(|(count, unit)| count.checked_mul(unit));
    let seconds = seconds.filter(|seconds| *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time, as 90, 90s, 10m or 1h".to_owned())
}

/// A stream of the events that tell of ends, or why there is none.
pub(super) struct Listening {
    stream: Result<EventStream, String>,
    /// The ends that were told of; none for success, else why it failed.
    ended: BTreeMap<String, Option<String>>,
}

/// Listens for ends from now on.
pub(super) async fn listen(manager: &Manager) -> Listening {
    let stream = manager.events(&ENDS).await;
    Listening {
        stream: stream.map_err(|error| error.to_string()),
        ended: BTreeMap::new(),
    }
}

impl Listening {
    /// Waits for the next event that counts; for ever when there is no stream.
    async fn next(&mut self) {
        let Ok(stream) = &mut self.stream else {
            return std::future::pending().await;
        };
        match stream.next().await {
            Ok(event) => self.ended.extend(end(&event)),
            Err(error) => self.stream = Err(error.to_string()),
        }
    }
}

/// Which deployment an event says to have ended, and why if it failed.
fn end(event: &ServerEvent) -> Option<(String, Option<String>)> {
    #[derive(Deserialize)]
    struct End {
        id: String,
        reason: Option<String>,
    }
    let end: End = serde_json::from_str(&event.data).ok()?;
    match event.name.as_str() {
        "deployment_success" => Some((end.id, None)),
        "deployment_failed" => {
            let reason = end.reason.unwrap_or_else(|| "it was cancelled".to_owned());
            Some((end.id, Some(reason)))
        }
        _ => None,
    }
}

/// A deployment of the list, if it is there.
pub(super) async fn find(manager: &Manager, id: &str) -> Result<Option<Deployment>, Trouble> {
    let all: Vec<Deployment> = manager.get_as("/v2/deployments", &[]).await?;
    Ok(all.into_iter().find(|deployment| deployment.id == id))
}

/// Waits for the end of a deployment, which `listening` must not have missed, and tells of its steps
/// meanwhile. That it failed or takes too long is an error.
pub(super) async fn to_end(
    manager: &Manager,
    listening: Listening,
    id: &str,
    limit: Option<Duration>,
) -> Result<(), Trouble> {
    let mut follower = Follower::new(manager, listening, id);
    let Some(limit) = limit else {
        return follower.run().await;
    };
    let followed = tokio::time::timeout(limit, follower.run()).await;
    followed.unwrap_or_else(|_| {
        Err(Trouble::Failed(format!(
            "deployment {id} has not ended within {} s; it goes on, see `tepui deployment show {id}`",
            limit.as_secs()
        )))
    })
}

struct Follower<'a> {
    manager: &'a Manager,
    listening: Listening,
    id: &'a str,
    /// What was last said of it.
    said: String,
    looks: u32,
    failed_looks: u32,
    looks_after_end: u32,
}

impl<'a> Follower<'a> {
    fn new(manager: &'a Manager, listening: Listening, id: &'a str) -> Self {
        Follower {
            manager,
            listening,
            id,
            said: String::new(),
            looks: 0,
            failed_looks: 0,
            looks_after_end: 0,
        }
    }

    async fn run(&mut self) -> Result<(), Trouble> {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.listening.ended.get(self.id) {
                Some(None) => return Ok(()),
                Some(Some(reason)) => {
                    let text = format!("deployment {} has failed: {reason}", self.id);
                    return Err(Trouble::Failed(text));
                }
                None => {}
            }
            tokio::select! {
                biased;
                () = self.listening.next() => {}
                _ = looks.tick() => self.look().await?,
            }
        }
    }

    /// Looks how far it is; the event's silence after the deployment has gone is an error.
    async fn look(&mut self) -> Result<(), Trouble> {
        if self.listening.stream.is_err() {
            // Before the look, so that what is under way then is told of when it ends.
            let again = listen(self.manager).await;
            self.listening.stream = again.stream;
        }
        let found = match find(self.manager, self.id).await {
            Ok(found) => found,
            Err(trouble) if trouble.may_pass() && self.failed_looks < MAX_FAILED_LOOKS => {
                self.failed_looks += 1;
                return Ok(());
            }
            Err(trouble) => return Err(trouble),
        };
        self.failed_looks = 0;
        if let Some(deployment) = found {
            self.tell(&deployment);
            return Ok(());
        }
        self.looks_after_end += 1;
        match (&self.listening.stream, self.looks_after_end) {
            (Ok(_), ..LOOKS_AFTER_END) => Ok(()),
            (stream, _) => {
                let why = stream.as_ref().err();
                let why = why.map_or_else(|| "no event told".to_owned(), Clone::clone);
                Err(Trouble::Failed(format!(
                    "deployment {} has ended, but whether well or not is not known ({why}); see \
                     `tepui app list`",
                    self.id
                )))
            }
        }
    }

    /// Says what is being done when that has changed.
    fn tell(&mut self, deployment: &Deployment) {
        self.looks += 1;
        let now = progress(deployment);
        if now != self.said {
            say(&now);
            self.said = now;
        }
        if self.looks == PATIENCE_LOOKS {
            let action = deployment.current_actions.first();
            if let Some(action) = action {
                let app = action.subject();
                say(&format!("still waiting; `tepui why {app}` tells what for"));
            }
        }
    }
}

/// How far a deployment is, in words.
fn progress(deployment: &Deployment) -> String {
    let actions = deployment.current_actions.iter();
    let actions: Vec<_> = actions
        .map(|action| format!("{} {}", action.action, action.subject()))
        .collect();
    format!(
        "step {} of {}: {}",
        deployment.current_step,
        deployment.total_steps,
        actions.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "0",
            "s",
            "-1",
            "1.5",
            "1d",
            "10 m",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn events_tell_which_deployment_ended_and_how() {
        let event = |name: &str, data: &str| ServerEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        };
        let told = |name, data| end(&event(name, data));
        let id = || "d".to_owned();
        assert_eq!(
            told("deployment_success", r#"{"id":"d","plan":{}}"#),
            Some((id(), None))
        );
        assert_eq!(
            told("deployment_failed", r#"{"id":"d","reason":"no"}"#),
            Some((id(), Some("no".to_owned())))
        );
        let (_, reason) = told("deployment_failed", r#"{"id":"d"}"#).expect("an end");
        assert!(reason.is_some_and(|reason| reason.contains("cancelled")));
        assert_eq!(told("deployment_info", r#"{"id":"d"}"#), None);
        assert_eq!(told("deployment_success", "no json"), None);
    }
}
