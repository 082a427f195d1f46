//! One large answer for all who ask at about the same time.
//! Keeps none: an answer lives as long as somebody sends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Mutex;

use super::background;
use super::pieces::{PieceWriter, Pieces};
use crate::metrics::Counter;

/// Why an answer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The value cannot be written.
    #[error(transparent)]
    Write(#[from] serde_json::Error),
    /// The thread that wrote it has failed.
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
}

/// An answer that takes long to write. While it is written, those who ask wait, and share the
/// next one: what somebody gets was begun after they asked, and is never older than that.
#[derive(Debug, Default)]
pub struct SharedAnswer {
    /// Numbers arrivals and beginnings.
    steps: AtomicU64,
    waiting: AtomicUsize,
    last: Mutex<Last>,
    /// Those who shared an answer.
    hits: Arc<Counter>,
}

/// An answer that is written once as it is and once in gzip's form, for whoever wants which.
#[derive(Debug, Default)]
pub struct SharedAnswers {
    /// As it is.
    pub plain: SharedAnswer,
    /// In gzip's form.
    pub gzip: SharedAnswer,
}

impl SharedAnswers {
    /// None yet; requests that got what was being written for others are counted.
    pub fn counted(hits: &Arc<Counter>) -> SharedAnswers {
        SharedAnswers {
            plain: SharedAnswer::counted(hits.clone()),
            gzip: SharedAnswer::counted(hits.clone()),
        }
    }
}

/// The last answer.
#[derive(Debug, Default)]
struct Last {
    begun: u64,
    /// Kept only while somebody waits who may have it.
    pieces: Option<Pieces>,
}

/// Counts one who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharedAnswer {
    /// One that counts, in `hits`, those who share an answer.
    pub fn counted(hits: Arc<Counter>) -> SharedAnswer {
        SharedAnswer {
            hits,
            ..SharedAnswer::default()
        }
    }

    /// The answer that `write` writes, or one that was begun since this was called.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn get(
        &self,
        write: impl FnOnce(&mut PieceWriter) -> Result<(), serde_json::Error> + Send + 'static,
    ) -> Result<Pieces, SharedError> {
        let arrived = self.step();
        let waiting = Waiting::new(&self.waiting);
        let mut last = self.last.lock().await;
        drop(waiting);
        if last.begun > arrived
            && let Some(pieces) = self.of(&mut last)
        {
            self.hits.add(1);
            return Ok(pieces);
        }
        last.begun = self.step();
        last.pieces = None;
        let written = background::spawn(move || {
            let mut body = PieceWriter::default();
            write(&mut body).map(|()| body.finish())
        });
        let pieces = written.await??;
        last.pieces = Some(pieces.clone());
        self.of(&mut last);
        Ok(pieces)
    }

    /// The last answer, which is forgotten when nobody waits for it any more.
    fn of(&self, last: &mut Last) -> Option<Pieces> {
        match self.waiting.load(Ordering::Relaxed) {
            0 => last.pieces.take(),
            _ => last.pieces.clone(),
        }
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicUsize;

    use futures_util::FutureExt;
    use tokio::sync::Barrier;

    use super::*;

    fn bytes(pieces: &Pieces) -> Vec<u8> {
        pieces.iter().flatten().copied().collect()
    }

    #[actix::test]
    async fn whoever_asks_while_one_is_written_shares_the_next() {
        let hits = Arc::new(Counter::default());
        let answer = Arc::new(SharedAnswer::counted(hits.clone()));
        let count = Arc::new(AtomicUsize::new(0));
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = {
            let (answer, count) = (answer.clone(), count.clone());
            actix::spawn(async move {
                let write = move |body: &mut PieceWriter| {
                    let _ = begun.send(());
                    let _ = gone.recv();
                    let _ = body.write_all(&[count.fetch_add(1, Ordering::Relaxed) as u8]);
                    Ok(())
                };
                answer.get(write).await.unwrap()
            })
        };
        has_begun.await.unwrap();
        let ready = Arc::new(Barrier::new(6));
        let others: Vec<_> = (0..5)
            .map(|_| {
                let (answer, count, ready) = (answer.clone(), count.clone(), ready.clone());
                actix::spawn(async move {
                    ready.wait().await;
                    let write = move |body: &mut PieceWriter| {
                        let _ = body.write_all(&[count.fetch_add(1, Ordering::Relaxed) as u8]);
                        Ok(())
                    };
                    answer.get(write).await.unwrap()
                })
            })
            .collect();
        ready.wait().await;
        while answer.waiting.load(Ordering::Relaxed) < 5 {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        assert_eq!(bytes(&first.await.unwrap()), [0]);
        for other in others {
            assert_eq!(bytes(&other.await.unwrap()), [1], "begun after they asked");
        }
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(hits.get(), 4, "one of them wrote it");
        assert!(answer.last.lock().await.pieces.is_none(), "nothing is kept");
    }

    #[actix::test]
    async fn a_reader_that_goes_away_and_one_that_fails_hold_nobody_up() {
        let answer = SharedAnswer::default();
        let held = answer.last.lock().await;
        assert!(answer.get(|_| Ok(())).now_or_never().is_none());
        drop(held);
        assert_eq!(answer.waiting.load(Ordering::Relaxed), 0);
        let fails = |_: &mut PieceWriter| Err(serde::ser::Error::custom("no"));
        assert!(answer.get(fails).await.is_err());
        let works = |body: &mut PieceWriter| {
            let _ = body.write_all(&[1]);
            Ok(())
        };
        assert_eq!(bytes(&answer.get(works).await.unwrap()), [1]);
    }
}
