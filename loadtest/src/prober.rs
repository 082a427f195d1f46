//! Reads URLs of a master again and again, and measures how long the answers take.
//! Looks into no answer but its status and length.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::framework::Error;
use crate::histogram;

/// Time one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// How often a URL is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// At this interval, whether or not answers are late; a late one counts from when it was due.
    Every(Duration),
    /// Again as soon as the answer is there.
    Continuous,
}

/// What a prober found.
#[derive(Debug)]
pub struct Found {
    /// How long answers took, in microseconds.
    pub times: Histogram<u64>,
    /// Bytes of the largest answer.
    pub largest: usize,
    /// Answers that were none, and the last reason.
    pub failures: (u64, String),
}

/// Readers of one URL; they end when dropped.
pub struct Prober {
    found: Arc<Mutex<Found>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Prober {
    /// Starts so many readers of a URL.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn start(clock: Clock, url: &str, pace: Pace, readers: usize) -> Result<Self, Error> {
        let found = Arc::new(Mutex::new(Found {
            times: histogram(),
            largest: 0,
            failures: (0, String::new()),
        }));
        let mut tasks = Vec::new();
        for _ in 0..readers {
            let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
            let (found, url) = (found.clone(), url.to_owned());
            tasks.push(tokio::spawn(async move {
                read_on(clock, &client, &url, pace, &found).await;
            }));
        }
        Ok(Prober { found, tasks })
    }

    /// Ends the readers and tells what they found.
    pub fn finish(self) -> Found {
        for task in &self.tasks {
            task.abort();
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = Found {
            times: histogram(),
            largest: 0,
            failures: (0, String::new()),
        };
        std::mem::replace(&mut *found, empty)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn read_on(
    clock: Clock,
    client: &reqwest::Client,
    url: &str,
    pace: Pace,
    found: &Mutex<Found>,
) {
    let mut due = clock.now();
    loop {
        let read = async {
            let answer = client.get(url).send().await?.error_for_status()?;
            answer.bytes().await
        };
        let result = read.await;
        let now = clock.now();
        {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(bytes) => {
                    crate::record(&mut found.times, now.saturating_sub(due));
                    found.largest = found.largest.max(bytes.len());
                }
                Err(error) => found.failures = (found.failures.0 + 1, error.to_string()),
            }
        }
        match pace {
            Pace::Every(interval) => {
                // Those that became due meanwhile are read one after the other, each counted from
                // when it was due: a stall shows as what callers at that rate would have felt.
                due += interval;
                tokio::time::sleep_until(clock.instant(due)).await;
            }
            Pace::Continuous => {
                tokio::task::yield_now().await;
                due = clock.now();
            }
        }
    }
}
