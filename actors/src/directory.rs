//! Who can be reached where: the addresses of live agent links and framework proxies.
//! Knows nothing of agents and frameworks themselves, nor of how their messages travel.

use std::sync::Arc;

use dashmap::DashMap;
use tepui_core::master::messages::{LinkId, StreamId};
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::v1::scheduler;

/// The way to one agent, whatever the transport.
pub trait AgentLink: Send + Sync {
    /// Queues a message; a link that is full or ended drops it, and ends itself.
    fn send(&self, message: Box<MasterToAgent>);
    /// Ends the link after what was queued before.
    fn close(&self);
}

/// The way to one framework, whatever the transport.
pub trait FrameworkProxy: Send + Sync {
    /// Queues an event; a stream that is full or ended drops it, and ends itself.
    fn send(&self, event: Box<scheduler::Event>);
    /// Says [`Input::StreamDrained`] to the master once what was queued before has left.
    ///
    /// [`Input::StreamDrained`]: tepui_core::master::messages::Input::StreamDrained
    fn notify_drained(&self);
    /// Ends the stream after what was queued before.
    fn close(&self);
}

/// All live links and streams. Only the master writes it; anyone may count.
#[derive(Default)]
pub struct Directory {
    links: DashMap<LinkId, Arc<dyn AgentLink>>,
    streams: DashMap<StreamId, Arc<dyn FrameworkProxy>>,
}

impl Directory {
    /// Makes a link known.
    pub fn add_link(&self, id: LinkId, link: Arc<dyn AgentLink>) {
        self.links.insert(id, link);
    }

    /// Sends on a link; a message for a link that is gone is dropped.
    pub fn send_link(&self, id: LinkId, message: Box<MasterToAgent>) {
        if let Some(link) = self.links.get(&id) {
            link.send(message);
        }
    }

    /// Forgets a link and closes it.
    pub fn close_link(&self, id: LinkId) {
        if let Some((_, link)) = self.links.remove(&id) {
            link.close();
        }
    }

    /// Makes a stream known.
    pub fn add_stream(&self, id: StreamId, stream: Arc<dyn FrameworkProxy>) {
        self.streams.insert(id, stream);
    }

    /// Sends on a stream; an event for a stream that is gone is dropped.
    pub fn send_stream(&self, id: &StreamId, event: Box<scheduler::Event>) {
        if let Some(stream) = self.streams.get(id) {
            stream.send(event);
        }
    }

    /// Has a stream say when what was sent on it has left; one that is gone says nothing.
    pub fn notify_drained(&self, id: &StreamId) {
        if let Some(stream) = self.streams.get(id) {
            stream.notify_drained();
        }
    }

    /// Forgets a stream and closes it.
    pub fn close_stream(&self, id: &StreamId) {
        if let Some((_, stream)) = self.streams.remove(id) {
            stream.close();
        }
    }

    /// Closes and forgets everything, when the master ends.
    pub fn close_all(&self) {
        self.links.retain(|_, link| {
            link.close();
            false
        });
        self.streams.retain(|_, stream| {
            stream.close();
            false
        });
    }

    /// How many agent links are open.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// How many framework streams are open.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }
}
