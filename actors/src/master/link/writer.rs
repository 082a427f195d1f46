//! The sending half of an agent link: encodes frames and writes them in order.
//! Reads nothing.

use std::sync::Arc;

use actix_ws::{CloseCode, CloseReason, Session};
use tepui_protocol::link::{self, Frame, MasterToAgent};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Order;
use crate::master::load::Load;

pub(super) struct Writer {
    pub(super) epoch: u64,
    pub(super) session: Session,
    pub(super) load: Arc<Load>,
}

impl Writer {
    /// Writes until told to close, the agent is too slow, or the socket is gone.
    pub(super) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        // Until the agent is registered on this link, the master does not count it as connected.
        let mut registered = false;
        while let Some(order) = orders.recv().await {
            if self.load.is_overflown() {
                tracing::warn!(link = self.epoch, "agent is too slow; its link is closed");
                break;
            }
            let message = match order {
                Order::Send(message) => *message,
                Order::Ping => {
                    self.load.add_message();
                    MasterToAgent::Ping {
                        connected: registered,
                    }
                }
                Order::Close => break,
            };
            registered |= matches!(
                message,
                MasterToAgent::Registered { .. } | MasterToAgent::Reregistered { .. }
            );
            if !self.write(message).await {
                break;
            }
        }
        let reason = CloseReason::from(CloseCode::Normal);
        // Fails only when the socket is gone already.
        let _ = self.session.close(Some(reason)).await;
    }

    /// Writes one message; false when the link cannot go on.
    async fn write(&mut self, message: MasterToAgent) -> bool {
        let frame = match link::encode(&Frame {
            epoch: self.epoch,
            body: message,
        }) {
            Ok(frame) => frame,
            Err(error) => {
                // Nothing the master says may get lost in silence: the agent registers anew.
                tracing::error!(link = self.epoch, %error, "message for agent cannot be sent");
                return false;
            }
        };
        let bytes = frame.len();
        self.load.add_bytes(bytes);
        let written = self.session.binary(frame).await.is_ok();
        self.load.sent(bytes);
        written
    }
}
