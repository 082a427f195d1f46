//! Streams of the operator API's events that are read for as long as they are open.
//! Understands none of the events; counts what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinHandle;

use crate::framework::Error;
use crate::prober::Question;
use crate::report::Run;

/// What has come on all streams.
#[derive(Debug, Default)]
struct Came {
    chunks: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicU64,
}

/// Open streams; they are closed when dropped.
#[derive(Debug)]
pub struct Subscribers {
    came: Arc<Came>,
    streams: Vec<JoinHandle<()>>,
}

impl Subscribers {
    /// Opens so many streams, one after the other, and reads on.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn open(question: &Question, count: u64) -> Result<Subscribers, Error> {
        let mut subscribers = Subscribers {
            came: Arc::default(),
            streams: Vec::new(),
        };
        for _ in 0..count {
            // Each has a connection of its own, as if they were on different machines.
            let client = reqwest::Client::builder().build()?;
            let answer = question.request(&client).send().await?;
            let answer = answer.error_for_status()?;
            let reading = read(answer, subscribers.came.clone());
            subscribers.streams.push(tokio::spawn(reading));
        }
        Ok(subscribers)
    }

    /// Closes the streams and tells what has come.
    ///
    /// # Errors
    /// When the master has ended one.
    pub fn tell(self, run: &mut Run) -> Result<(), Error> {
        if self.streams.is_empty() {
            return Ok(());
        }
        let ended = self.came.ended.load(Ordering::Relaxed);
        if ended > 0 {
            return Err(format!("the master has ended {ended} streams of events").into());
        }
        let chunks = self.came.chunks.load(Ordering::Relaxed);
        let bytes = self.came.bytes.load(Ordering::Relaxed);
        run.measure("chunks on all streams", chunks as f64, "chunks");
        run.measure("sent on all streams", bytes as f64 / 1e6, "MB");
        Ok(())
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        for stream in &self.streams {
            stream.abort();
        }
    }
}

async fn read(mut answer: reqwest::Response, came: Arc<Came>) {
    while let Ok(Some(chunk)) = answer.chunk().await {
        came.chunks.fetch_add(1, Ordering::Relaxed);
        came.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
    came.ended.fetch_add(1, Ordering::Relaxed);
}
