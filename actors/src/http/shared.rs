//! One large answer for all who ask at about the same time.
//! Keeps none: an answer lives as long as somebody sends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Mutex;

use super::background;
use super::compress::{Coding, Packed};
use super::pieces::PieceWriter;
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
    /// How it is compressed, unless it is short.
    coding: Option<Coding>,
}

/// An answer that is written once as it is and once in each compressed form, for whoever wants
/// which.
#[derive(Debug)]
pub struct SharedAnswers {
    plain: SharedAnswer,
    gzip: SharedAnswer,
    zstd: SharedAnswer,
}

impl Default for SharedAnswers {
    fn default() -> Self {
        SharedAnswers::counted(&Arc::default())
    }
}

impl SharedAnswers {
    /// None yet; requests that got what was being written for others are counted.
    pub fn counted(hits: &Arc<Counter>) -> SharedAnswers {
        let of = |coding| SharedAnswer {
            hits: hits.clone(),
            coding,
            ..SharedAnswer::default()
        };
        SharedAnswers {
            plain: of(None),
            gzip: of(Some(Coding::Gzip)),
            zstd: of(Some(Coding::Zstd)),
        }
    }

    /// The answer in the form that is wanted.
    pub fn of(&self, wanted: Option<Coding>) -> &SharedAnswer {
        match wanted {
            None => &self.plain,
            Some(Coding::Gzip) => &self.gzip,
            Some(Coding::Zstd) => &self.zstd,
        }
    }
}

/// The last answer.
#[derive(Debug, Default)]
struct Last {
    begun: u64,
    /// Kept only while somebody waits who may have it.
    packed: Option<Packed>,
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
    /// The answer that `write` writes, or one that was begun since this was called.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn get(
        &self,
        write: impl FnOnce(&mut PieceWriter) -> Result<(), serde_json::Error> + Send + 'static,
    ) -> Result<Packed, SharedError> {
        let arrived = self.step();
        let waiting = Waiting::new(&self.waiting);
        let mut last = self.last.lock().await;
        drop(waiting);
        if last.begun > arrived
            && let Some(packed) = self.of(&mut last)
        {
            self.hits.add(1);
            return Ok(packed);
        }
        last.begun = self.step();
        last.packed = None;
        let packed = written(self.coding, write).await?;
        last.packed = Some(packed.clone());
        self.of(&mut last);
        Ok(packed)
    }

    /// The last answer, which is forgotten when nobody waits for it any more.
    fn of(&self, last: &mut Last) -> Option<Packed> {
        match self.waiting.load(Ordering::Relaxed) {
            0 => last.packed.take(),
            _ => last.packed.clone(),
        }
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What `write` writes, in the form that is wanted; both are done off the thread that serves.
///
/// # Errors
/// When it cannot be written.
pub async fn written(
    wanted: Option<Coding>,
    write: impl FnOnce(&mut PieceWriter) -> Result<(), serde_json::Error> + Send + 'static,
) -> Result<Packed, SharedError> {
    let written = background::spawn(move || {
        let mut body = PieceWriter::default();
        write(&mut body).map(|()| Packed::new(body.finish(), wanted))
    });
    Ok(written.await??)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicUsize;

    use futures_util::FutureExt;
    use tokio::sync::Barrier;

    use super::*;

    fn bytes(packed: &Packed) -> Vec<u8> {
        packed.pieces.iter().flatten().copied().collect()
    }

    #[actix::test]
    async fn whoever_asks_while_one_is_written_shares_the_next() {
        let hits = Arc::new(Counter::default());
        let answer = Arc::new(SharedAnswer {
            hits: hits.clone(),
            ..SharedAnswer::default()
        });
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
        assert!(answer.last.lock().await.packed.is_none(), "nothing is kept");
    }

    #[actix::test]
    async fn each_form_is_written_for_those_who_want_it() {
        let answers = SharedAnswers::default();
        for wanted in [None, Some(Coding::Gzip), Some(Coding::Zstd)] {
            for (length, form) in [(100, None), (5000, wanted)] {
                let write = move |body: &mut PieceWriter| {
                    let _ = body.write_all(&vec![b'x'; length]);
                    Ok(())
                };
                let packed = answers.of(wanted).get(write).await.unwrap();
                assert_eq!(packed.coding, form);
                assert_eq!(packed.pieces.len() < length, form.is_some());
            }
        }
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
