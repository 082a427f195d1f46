//! Turns among the long answers that a thread sends: a few at a time, the others in line behind them.
//! Knows nothing of what they say, and holds up no short one.
//!
//! Many readers that are sent a piece each in turn would make whatever else comes to the thread
//! wait for a piece of each. It takes them no longer to be served one after the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Sleep;

/// Long answers of a thread that are sent at a time.
const AT_A_TIME: usize = 2;

/// Time in which nothing is sent of those whose turn it is, after which another takes the place of
/// the one that has had it longest: its reader does not take what it is sent.
const STALLED: Duration = Duration::from_millis(20);

thread_local! {
    static LINE: RefCell<Line> = RefCell::default();
}

/// Gives each answer a number; one may be dropped by another thread than its own.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The long answers of a thread.
#[derive(Debug, Default)]
struct Line {
    /// Those whose turn it is, for longest first.
    served: Vec<u64>,
    waiting: VecDeque<(u64, Waker)>,
    /// Pieces sent so far.
    sent: u64,
}

impl Line {
    fn serve(&mut self, id: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != id);
        self.served.push(id);
    }

    fn wait(&mut self, id: u64, waker: &Waker) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == id) {
            Some((_, known)) => known.clone_from(waker),
            None => self.waiting.push_back((id, waker.clone())),
        }
    }

    fn leave(&mut self, id: u64) {
        self.served.retain(|served| *served != id);
        self.waiting.retain(|(waiting, _)| *waiting != id);
        if self.served.len() < AT_A_TIME
            && let Some((_, waker)) = self.waiting.front()
        {
            waker.wake_by_ref();
        }
    }
}

/// An answer's place in the line of its thread; it is given up when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    id: u64,
    /// While it waits: when to look whether those before it are stalled, and what had been sent
    /// when it last looked.
    patience: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Turn {
    /// A place at the end of the line once it is polled.
    pub(super) fn new() -> Self {
        Turn {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            patience: None,
        }
    }

    /// Ready when a piece may be sent, which must be done then. Needs a runtime with timers.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        LINE.with_borrow_mut(|line| {
            if !line.served.contains(&self.id) {
                if line.served.len() >= AT_A_TIME {
                    line.wait(self.id, context.waker());
                    if self.is_patient(line.sent, context) {
                        return Poll::Pending;
                    }
                    line.served.remove(0);
                }
                line.serve(self.id);
                self.patience = None;
            }
            line.sent += 1;
            Poll::Ready(())
        })
    }

    /// Whether something was sent in the last while, or that is not yet known.
    fn is_patient(&mut self, sent: u64, context: &mut Context<'_>) -> bool {
        loop {
            let begin = || (Box::pin(tokio::time::sleep(STALLED)), sent);
            let (timer, before) = self.patience.get_or_insert_with(begin);
            if timer.as_mut().poll(context).is_pending() {
                return true;
            }
            if *before == sent {
                return false;
            }
            self.patience = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The thread may be ending.
        let _ = LINE.try_with(|line| line.borrow_mut().leave(self.id));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    fn may_send(turn: &mut Turn) -> bool {
        poll_fn(|context| turn.poll(context))
            .now_or_never()
            .is_some()
    }

    #[tokio::test]
    async fn a_few_are_served_at_a_time_and_the_next_follows_in_order() {
        let mut turns: Vec<Turn> = (0..AT_A_TIME + 2).map(|_| Turn::new()).collect();
        let served = |turns: &mut [Turn]| turns.iter_mut().map(may_send).collect::<Vec<_>>();
        assert_eq!(served(&mut turns), [true, true, false, false]);
        assert_eq!(served(&mut turns), [true, true, false, false]);
        drop(turns.remove(0));
        assert_eq!(served(&mut turns), [true, true, false]);
        // One that gives up waiting is passed over.
        let last = turns.pop().unwrap();
        turns.push(Turn::new());
        drop(last);
        drop(turns.remove(0));
        assert_eq!(served(&mut turns), [true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_readers_take_nothing_lose_their_turn() {
        let mut stalled: Vec<Turn> = (0..AT_A_TIME).map(|_| Turn::new()).collect();
        assert!(stalled.iter_mut().all(may_send));
        let mut next = Turn::new();
        poll_fn(|context| next.poll(context)).await;
        // What has lost it waits like any other.
        assert!(!may_send(&mut stalled[0]));
        assert!(may_send(&mut stalled[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_loses_a_turn_while_pieces_are_sent() {
        let mut served: Vec<Turn> = (0..AT_A_TIME).map(|_| Turn::new()).collect();
        assert!(served.iter_mut().all(may_send));
        let mut next = Turn::new();
        for _ in 0..10 {
            assert!(!may_send(&mut next));
            tokio::time::advance(STALLED / 2).await;
            assert!(may_send(&mut served[0]));
        }
        drop(served);
        assert!(may_send(&mut next));
    }
}
