//! What a driver and its handles share: where calls go now, and the count of all.
//! Sends nothing itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tepui_protocol::{v1, wire};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use v1::scheduler::Call;

use super::queue::{QueuedCall, Tally};

/// Where calls go.
#[derive(Debug)]
pub(super) enum Line {
    /// Nowhere: there is no subscription.
    Down,
    /// To the subscription that there is.
    Up {
        calls: UnboundedSender<QueuedCall>,
        framework_id: v1::FrameworkId,
    },
    /// Nowhere any more.
    Ended,
}

/// Why a call is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too many are on their way.
    #[error("{0} calls are waiting already; try again when some are answered")]
    Full(usize),
    /// There is no subscription now; what it would have been about may be settled by the next one.
    #[error("the framework is not subscribed now")]
    NotSubscribed,
    /// The driver has ended.
    #[error("the driver has ended")]
    Ended,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tally: Arc<Tally>,
    pub(super) places: Arc<Semaphore>,
    pub(super) max_calls: usize,
    line: Mutex<Line>,
}

impl Shared {
    pub(super) fn new(max_calls: usize) -> Shared {
        let max_calls = max_calls.clamp(1, u32::MAX as usize);
        Shared {
            tally: Arc::default(),
            places: Arc::new(Semaphore::new(max_calls)),
            max_calls,
            line: Mutex::new(Line::Down),
        }
    }

    /// Changes where calls go. Nothing follows an end.
    pub(super) fn set(&self, next: Line) {
        let mut line = self.line();
        if !matches!(*line, Line::Ended) {
            *line = next;
        }
    }

    /// Queues a call for the present subscription.
    pub(super) fn call(&self, mut call: Call) -> Result<(), CallError> {
        let line = self.line();
        let (calls, framework_id) = match &*line {
            Line::Down => {
                self.tally.note_dropped();
                return Err(CallError::NotSubscribed);
            }
            Line::Ended => return Err(CallError::Ended),
            Line::Up {
                calls,
                framework_id,
            } => (calls, framework_id),
        };
        let full = |_| CallError::Full(self.max_calls);
        let place = self.places.clone().try_acquire_owned().map_err(full)?;
        call.framework_id = Some(framework_id.clone());
        let body = wire::encode(&call).into();
        let call = QueuedCall::new(call.r#type(), body, self.tally.clone(), place);
        // One that comes too late for its subscription counts as dropped.
        calls.send(call).map_err(|_| CallError::NotSubscribed)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
