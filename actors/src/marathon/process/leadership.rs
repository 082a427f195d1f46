//! Who leads, as the HTTP workers of this instance know it.
//! Elects nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc;

use crate::marathon::http::{Abdication, Leadership};

/// Shared by all workers; copies are the same one.
#[derive(Debug, Clone)]
pub struct Leading(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_elected: AtomicBool,
    leader: ArcSwapOption<String>,
    abdicate: mpsc::Sender<Abdication>,
}

impl Leading {
    /// Nobody leads yet; whoever is to step down is told by `abdicate`.
    #[must_use]
    pub fn new(abdicate: mpsc::Sender<Abdication>) -> Leading {
        Leading(Arc::new(Inner {
            is_elected: AtomicBool::new(false),
            leader: ArcSwapOption::empty(),
            abdicate,
        }))
    }

    /// This instance leads and is ready, or no more.
    pub(super) fn elected(&self, is_elected: bool) {
        self.0.is_elected.store(is_elected, Ordering::Release);
    }

    /// Another one leads, by its host and port; or none.
    pub(super) fn follow(&self, leader: Option<String>) {
        self.0.leader.store(leader.map(Arc::new));
    }

    /// This process ends.
    pub(super) fn end(&self) {
        self.elected(false);
        self.follow(None);
    }
}

impl Leadership for Leading {
    fn is_elected(&self) -> bool {
        self.0.is_elected.load(Ordering::Acquire)
    }

    fn leader(&self) -> Option<String> {
        self.0.leader.load().as_deref().cloned()
    }

    fn abdicate(&self, wishes: Abdication) {
        // Full means that it steps down already.
        let _ = self.0.abdicate.try_send(wishes);
    }
}
