//! A stand-in for the master's actor that hands out what it is told.
//! Only for tests of what talks to the master.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{MasterMailbox, ToMaster};
use crate::metrics::MasterQueue;

struct Collector(UnboundedSender<ToMaster>);

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<ToMaster> for Collector {
    type Result = ();

    fn handle(&mut self, message: ToMaster, _ctx: &mut Context<Self>) {
        // A test that has seen enough may be gone.
        let _ = self.0.send(message);
    }
}

/// A mailbox, and what is put into it.
pub(crate) fn mailbox() -> (MasterMailbox, UnboundedReceiver<ToMaster>) {
    let (sender, receiver) = unbounded_channel();
    let master = Collector(sender).start();
    (
        MasterMailbox::new(master.recipient(), Arc::new(MasterQueue::default())),
        receiver,
    )
}
