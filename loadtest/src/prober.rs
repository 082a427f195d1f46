//! Reads URLs of a master, or makes a call that reads, again and again, and measures how long the answers take.
//! Looks into no answer but its status and length.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::join_all;
use hdrhistogram::Histogram;
use tokio::sync::oneshot;

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

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where.
    pub url: String,
    /// What is posted there, and of which type it and the answer are; none to get the URL.
    pub post: Option<(String, Vec<u8>)>,
}

impl Question {
    /// Gets a URL.
    pub fn get(url: impl Into<String>) -> Question {
        Question {
            url: url.into(),
            post: None,
        }
    }

    /// The request that asks it.
    pub fn request(&self, client: &reqwest::Client) -> reqwest::RequestBuilder {
        match &self.post {
            None => client.get(&self.url),
            Some((media, body)) => client
                .post(&self.url)
                .header("Content-Type", media)
                .header("Accept", media)
                .body(body.clone()),
        }
    }
}

/// What a prober found.
#[derive(Debug)]
pub struct Found {
    /// How long answers took, in microseconds.
    pub times: Histogram<u64>,
    /// Bytes of the largest answer.
    pub largest: usize,
    /// Bytes of all answers.
    pub bytes: u64,
    /// Reads that were due for longer than an interval at the end and had no answer; each counts in
    /// `times` with the time it had waited until then.
    pub unanswered: u64,
    /// Answers that were none, and the last reason.
    pub failures: (u64, String),
}

impl Found {
    fn none() -> Self {
        Found {
            times: histogram(),
            largest: 0,
            bytes: 0,
            unanswered: 0,
            failures: (0, String::new()),
        }
    }
}

/// What readers share.
struct Shared {
    found: Found,
    /// When the present or next read of each reader was due.
    due: Vec<Duration>,
}

/// Readers of one answer; they end when dropped. They have a thread of their own, so that what is
/// measured beside them does not wait for them, nor they for it.
pub struct Prober {
    clock: Clock,
    pace: Pace,
    shared: Arc<Mutex<Shared>>,
    /// Ends the readers by being dropped.
    goes_on: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Starts so many readers of an answer; those that read at an interval begin one after the other
    /// within the first.
    ///
    /// # Errors
    /// When no client or no thread can be made.
    pub fn start(
        clock: Clock,
        question: &Question,
        pace: Pace,
        readers: usize,
    ) -> Result<Self, Error> {
        let begun = clock.now();
        let due = |index: usize| match pace {
            Pace::Every(interval) => begun + interval.mul_f64(index as f64 / readers as f64),
            Pace::Continuous => begun,
        };
        let shared = Arc::new(Mutex::new(Shared {
            found: Found::none(),
            due: (0..readers).map(due).collect(),
        }));
        let mut all = Vec::new();
        for index in 0..readers {
            let reader = Reader {
                clock,
                client: reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?,
                question: question.clone(),
                pace,
                index,
                shared: shared.clone(),
            };
            all.push(reader.read_on(due(index)));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (goes_on, ends) = oneshot::channel::<()>();
        let work = async move {
            tokio::select! {
                _ = ends => {}
                _ = join_all(all) => {}
            }
        };
        let thread = std::thread::Builder::new().name("readers".into());
        let thread = thread.spawn(move || runtime.block_on(work))?;
        Ok(Prober {
            clock,
            pace,
            shared,
            goes_on: Some(goes_on),
            thread: Some(thread),
        })
    }

    /// Ends the readers, and waits for that.
    fn end(&mut self) {
        self.goes_on = None;
        if let Some(thread) = self.thread.take() {
            // One that has panicked has found nothing more.
            let _ = thread.join();
        }
    }

    /// Ends the readers and tells what they found. What an answer is still missing to counts with
    /// the time it has waited: a stall that lasts to the end would not be seen otherwise.
    pub fn finish(mut self) -> Found {
        self.end();
        let now = self.clock.now();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = std::mem::replace(&mut shared.found, Found::none());
        if let Pace::Every(interval) = self.pace {
            for due in &shared.due {
                count_overdue(&mut found, now, *due, interval);
            }
        }
        found
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.end();
    }
}

/// Counts all reads from `due` on that had to be done more than an interval ago.
fn count_overdue(found: &mut Found, now: Duration, mut due: Duration, interval: Duration) {
    while !interval.is_zero() && due + interval < now {
        crate::record(&mut found.times, now - due);
        found.unanswered += 1;
        due += interval;
    }
}

/// One reader.
struct Reader {
    clock: Clock,
    client: reqwest::Client,
    question: Question,
    pace: Pace,
    index: usize,
    shared: Arc<Mutex<Shared>>,
}

impl Reader {
    async fn read_on(self, mut due: Duration) {
        tokio::time::sleep_until(self.clock.instant(due)).await;
        loop {
            let result = self.read().await;
            let now = self.clock.now();
            let began = due;
            // Those that became due meanwhile are read one after the other, each counted from
            // when it was due: a stall shows as what callers at that rate would have felt.
            due = match self.pace {
                Pace::Every(interval) => due + interval,
                Pace::Continuous => now,
            };
            self.note(result, now.saturating_sub(began), due);
            match self.pace {
                Pace::Every(_) => tokio::time::sleep_until(self.clock.instant(due)).await,
                Pace::Continuous => {
                    tokio::task::yield_now().await;
                    due = self.clock.now();
                }
            }
        }
    }

    /// Reads once; gives the bytes of the answer, which is not kept.
    async fn read(&self) -> Result<usize, reqwest::Error> {
        let answer = self.question.request(&self.client).send().await?;
        let mut answer = answer.error_for_status()?;
        let mut length = 0;
        while let Some(piece) = answer.chunk().await? {
            length += piece.len();
        }
        Ok(length)
    }

    fn note(&self, result: Result<usize, reqwest::Error>, took: Duration, next: Duration) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = shared.due.get_mut(self.index) {
            *due = next;
        }
        let found = &mut shared.found;
        match result {
            Ok(length) => {
                crate::record(&mut found.times, took);
                found.largest = found.largest.max(length);
                found.bytes += length as u64;
            }
            Err(error) => found.failures = (found.failures.0 + 1, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_long_ago_counts_with_the_time_it_waited() {
        let ms = Duration::from_millis;
        let mut found = Found::none();
        count_overdue(&mut found, ms(100), ms(95), ms(10));
        assert_eq!(found.unanswered, 0, "it may still come in time");
        count_overdue(&mut found, ms(100), ms(60), ms(10));
        assert_eq!((found.unanswered, found.times.len()), (3, 3));
        assert!(found.times.equivalent(found.times.max(), 40_000));
        assert!(found.times.equivalent(found.times.min(), 20_000) || found.times.min() == 20_000);
        count_overdue(&mut found, ms(100), ms(0), Duration::ZERO);
        assert_eq!(found.unanswered, 3);
    }
}
