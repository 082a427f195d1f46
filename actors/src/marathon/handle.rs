//! How HTTP workers reach the app manager: a published snapshot to read, a queue for requests.
//! Reads never wait for writes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tepui_core::marathon::manager::{Answer, Request, Snapshot};
use tokio::sync::{mpsc, oneshot};

use super::events::EventHub;

/// A request on its way to the manager, with where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// The manager is no longer there, or has more requests waiting than it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It ends.
    #[error("this instance is ending; ask again")]
    Ending,
    /// Its queue is full.
    #[error("too many requests are waiting; ask again later")]
    Busy,
}

/// A way to the manager; copies lead to the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    snapshot: Arc<ArcSwap<Snapshot>>,
    requests: mpsc::Sender<Asked>,
    events: EventHub,
}

impl Handle {
    /// A way to a manager that publishes to `snapshot` and `events`, and reads `requests`.
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        requests: mpsc::Sender<Asked>,
        events: EventHub,
    ) -> Handle {
        Handle {
            snapshot,
            requests,
            events,
        }
    }

    /// The state as it was published last.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The event stream.
    pub fn events(&self) -> &EventHub {
        &self.events
    }

    /// Asks the manager, and waits until what it answers is durable.
    ///
    /// # Errors
    /// When the manager cannot take the request; nothing was changed then.
    pub async fn ask(&self, request: Request) -> Result<Answer, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { request, reply };
        self.requests.try_send(asked).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Ending,
        })?;
        answer.await.map_err(|_| Unavailable::Ending)
    }
}
