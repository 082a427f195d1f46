//! Learns from the event stream when deployments end, and asks only where the stream has gaps.
//! Begins none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Api;
use super::stream::{Event, Reader};
use crate::clock::Clock;
use crate::framework::Error;

/// Events that tell the end of a deployment. A gap is told with any filter.
const NAMES: [&str; 2] = ["deployment_success", "deployment_failed"];

/// The event that tells of lost ones.
const GAP: &str = "event_stream_gap";

/// Silence after which the list of deployments is read.
const SILENCE: Duration = Duration::from_secs(5);

/// Looks at the list that may show a deployment as over before an event must have told so: the list
/// is that of the app manager's memory, and events wait until what they tell is stored.
const MAX_UNTOLD: u32 = 6;

/// The end of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    /// When it was, on the load test's clock.
    at: Duration,
    /// Why it failed, or was cancelled.
    failure: Option<String>,
}

/// What is known of ends.
#[derive(Debug, Default)]
struct Known {
    ended: HashMap<String, End>,
    /// Events that were lost.
    lost: u64,
    /// Why there will be no more.
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    changed: Notify,
}

/// A listener for ends of deployments; it ends when dropped.
pub struct Deployments {
    api: Api,
    clock: Clock,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Ended {
    id: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Gap {
    lost: u64,
}

impl Deployments {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the app manager gives no stream.
    pub async fn listen(api: Api, clock: Clock) -> Result<Self, Error> {
        let stream = api.events(&NAMES).await?;
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let task = tokio::spawn(async move {
            let error = read(stream, clock, &own).await;
            own.know().failure.get_or_insert(error);
            own.changed.notify_waiters();
        });
        Ok(Deployments {
            api,
            clock,
            shared,
            task,
        })
    }

    /// Waits until all of these deployments have ended well; gives when each did, in their order.
    ///
    /// # Errors
    /// When one fails, the stream ends, or the end of one is never told.
    pub async fn over(&self, ids: &[String]) -> Result<Vec<Duration>, Error> {
        let mut left: Vec<&String> = ids.iter().collect();
        let mut untold = 0;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // What comes between the look and the wait is not missed.
            changed.as_mut().enable();
            {
                let known = self.shared.know();
                if let Some(failure) = &known.failure {
                    return Err(failure.clone().into());
                }
                while left.last().is_some_and(|id| known.ended.contains_key(*id)) {
                    left.pop();
                }
                if left.is_empty() {
                    let ends = ids.iter().filter_map(|id| known.ended.get(id));
                    return ends.map(End::well).collect();
                }
            }
            if timeout(SILENCE, changed).await.is_err() {
                untold = self.ask(&left, untold).await?;
            }
        }
    }

    /// Events that the app manager says were lost.
    pub fn lost(&self) -> u64 {
        self.shared.know().lost
    }

    /// Reads which deployments are under way. Those that are not have ended: with a gap in the
    /// stream that is enough, without one their ends must be told after some looks. Gives the looks
    /// in a row that found such ones.
    async fn ask(&self, ids: &[&String], untold: u32) -> Result<u32, Error> {
        let under_way = self.api.deployments().await?;
        let mut known = self.shared.know();
        let gone = ids.iter().filter(|id| {
            let id: &String = id;
            !known.ended.contains_key(id) && !under_way.contains(id)
        });
        let gone: Vec<String> = gone.map(|id| (*id).clone()).collect();
        if known.lost > 0 {
            let at = self.clock.now();
            let end = |id| (id, End { at, failure: None });
            known.ended.extend(gone.into_iter().map(end));
            self.shared.changed.notify_waiters();
            return Ok(0);
        }
        let Some(id) = gone.first() else {
            return Ok(0);
        };
        if untold >= MAX_UNTOLD {
            return Err(format!(
                "{} deployments are over and no event told so, the first of them {id}",
                gone.len()
            )
            .into());
        }
        Ok(untold + 1)
    }
}

impl Drop for Deployments {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl End {
    /// When it was, if it was a good one.
    fn well(&self) -> Result<Duration, Error> {
        match &self.failure {
            None => Ok(self.at),
            Some(failure) => Err(failure.clone().into()),
        }
    }
}

impl Shared {
    fn know(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the stream to its end; says why it ended.
async fn read(mut stream: Response, clock: Clock, shared: &Shared) -> String {
    let mut reader = Reader::default();
    loop {
        match stream.chunk().await {
            Ok(Some(bytes)) => reader.take(&bytes),
            Ok(None) => return "the app manager ended the event stream".into(),
            Err(error) => return format!("events cannot be read: {error}"),
        }
        let mut is_new = false;
        let now = clock.now();
        while let Some(event) = reader.next() {
            note(&mut shared.know(), now, &event);
            is_new = true;
        }
        if is_new {
            shared.changed.notify_waiters();
        }
    }
}

fn note(known: &mut Known, now: Duration, event: &Event) {
    let noted = match event.name.as_str() {
        GAP => serde_json::from_str(&event.data).map(|Gap { lost }| known.lost += lost),
        name => serde_json::from_str(&event.data).map(|Ended { id, reason }| {
            let failed = || {
                let reason = reason.as_deref().unwrap_or("no reason was given");
                format!("deployment {id} failed: {reason}")
            };
            let failure = (name == "deployment_failed").then(failed);
            known.ended.insert(id, End { at: now, failure });
        }),
    };
    if let Err(error) = noted {
        let text = format!("the event {} is not as it should be: {error}", event.name);
        known.failure.get_or_insert(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.into(),
            data: data.into(),
        }
    }

    #[test]
    fn ends_gaps_and_failures_are_told_apart() {
        let mut known = Known::default();
        let now = Duration::from_secs(3);
        let success = event("deployment_success", r#"{"id":"a","plan":{"steps":[]}}"#);
        note(&mut known, now, &success);
        note(&mut known, now, &event(GAP, r#"{"lost":7}"#));
        assert_eq!(known.ended["a"].well().unwrap(), now);
        let failed = event("deployment_failed", r#"{"id":"b","reason":"cancelled"}"#);
        note(&mut known, now, &failed);
        let error = known.ended["b"].well().unwrap_err().to_string();
        assert_eq!(error, "deployment b failed: cancelled");
        assert_eq!((known.lost, &known.failure), (7, &None));
        note(&mut known, now, &event("deployment_success", "{}"));
        let failure = known.failure.unwrap();
        assert!(failure.contains("deployment_success"), "{failure}");
    }
}
