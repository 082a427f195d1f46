//! How links, streams, HTTP workers, allocator and registrar reach the master's actor.
//! Counts what waits there; limits nothing itself, as permits travel in the messages.

use std::sync::Arc;

use actix::Recipient;
use tepui_core::master::messages::Input;

use super::ToMaster;
use crate::metrics::MasterQueue;

/// The way to the master's actor. Messages of one sender arrive in the order they were sent.
#[derive(Clone)]
pub struct MasterMailbox {
    master: Recipient<ToMaster>,
    queue: Arc<MasterQueue>,
}

impl MasterMailbox {
    /// A way to this actor.
    pub fn new(master: Recipient<ToMaster>, queue: Arc<MasterQueue>) -> Self {
        MasterMailbox { master, queue }
    }

    /// Sends a message; it is lost when the master has ended, and so is whoever sent it soon.
    pub fn send(&self, message: ToMaster) {
        match &message {
            ToMaster::OpenLink { .. } | ToMaster::FromAgent { .. } => self.queue.messages.add(),
            ToMaster::OpenStream { .. }
            | ToMaster::Call { .. }
            | ToMaster::Operate { .. }
            | ToMaster::Subscribe { .. }
            | ToMaster::Unsubscribe(_) => self.queue.http_requests.add(),
            ToMaster::Input(_) => self.queue.dispatches.add(),
            ToMaster::Fatal(_) | ToMaster::Stop => {}
        }
        self.master.do_send(message);
    }

    /// Sends an input that needs nothing of the skin.
    pub fn input(&self, input: Input) {
        self.send(ToMaster::Input(input));
    }
}
