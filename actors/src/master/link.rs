//! The link of an agent that speaks Tepui's own protocol: a WebSocket on the ordinary port.
//! Decides nothing about agents; it decodes, encodes, pings and bounds what is in flight.

mod outbox;
mod reader;
mod socket;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tepui_core::master::messages::{Input, LinkId};
use tepui_protocol::link::{self, Frame, MasterToAgent};
use tepui_protocol::v1;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{self, Request};
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{MasterMailbox, ToMaster};
use crate::directory::AgentLink;
use outbox::{Order, Outbox};
use reader::Reader;
use socket::{Messages, Sink};
use writer::Writer;

/// Messages of one agent that may wait for the master; beyond that its link is not read.
pub const INBOUND_PERMITS: usize = 64;

/// How a link finds out whether the agent at its other end is alive.
#[derive(Debug, Clone, Copy)]
pub struct Pinging {
    /// Time between two pings.
    pub interval: Duration,
    /// Pings in a row that may go unanswered.
    pub max_unanswered: u32,
}

/// The master's end of a link.
pub struct WebSocketLink(Arc<Outbox>);

impl AgentLink for WebSocketLink {
    fn send(&self, message: Box<MasterToAgent>) {
        self.0.send(message);
    }

    fn close(&self) {
        self.0.order(Order::Close);
    }
}

/// Why a link could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The request asks for no WebSocket, or for one of another version.
    #[error(transparent)]
    Request(#[from] tungstenite::Error),
    /// The greeting cannot be sent.
    #[error(transparent)]
    Greeting(#[from] link::FrameError),
    /// The connection broke.
    #[error(transparent)]
    Connection(#[from] io::Error),
}

/// A connection that has become a WebSocket.
pub struct Opened<S> {
    connection: S,
    /// What was read of it beyond the request.
    read: Vec<u8>,
}

/// Turns a connection into the WebSocket that its first request asks for, and says hello on it.
/// The request is in `read`, with whatever followed it.
///
/// # Errors
/// When the request is no WebSocket's, which the peer is told, or the connection breaks.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: S,
    read: &[u8],
    id: LinkId,
    master: v1::MasterInfo,
) -> Result<Opened<S>, OpenError> {
    let (length, answer) = match answer(read) {
        Ok(answer) => answer,
        Err(error) => {
            let text = format!("This is no request for a WebSocket: {error}");
            let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            connection.write_all(answer.as_bytes()).await?;
            return Err(error.into());
        }
    };
    // What opens the WebSocket and the first message on it go out together: when all agents come
    // at once, each packet counts.
    let mut opening = answer;
    let hello = MasterToAgent::Hello {
        epoch: id.0,
        master: master.into(),
    };
    let hello = link::encode(&Frame {
        epoch: id.0,
        body: hello,
    })?;
    WebSocketFrame::message(hello, OpCode::Data(Data::Binary), true).format(&mut opening)?;
    connection.write_all(&opening).await?;
    connection.flush().await?;
    let read = read.get(length..).unwrap_or_default().to_vec();
    Ok(Opened { connection, read })
}

/// The length of a request, and what is answered to it before its connection is a WebSocket.
fn answer(read: &[u8]) -> Result<(usize, Vec<u8>), tungstenite::Error> {
    let incomplete = tungstenite::error::ProtocolError::HandshakeIncomplete;
    let (length, request) = Request::try_parse(read)?.ok_or(incomplete)?;
    let mut answer = Vec::new();
    server::write_response(&mut answer, &server::create_response(&request)?)?;
    Ok((length, answer))
}

/// Serves one link until it ends: tells the master of it, then reads and writes.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    id: LinkId,
    peer_ip: String,
    opened: Opened<S>,
    pinging: Pinging,
    master: MasterMailbox,
) {
    tracing::debug!(link = id.0, peer = peer_ip, "agent link opened");
    let outbox = Arc::new(Outbox::default());
    master.send(ToMaster::OpenLink {
        link: id,
        peer_ip,
        address: Arc::new(WebSocketLink(outbox.clone())),
    });
    let agent = Arc::new(OnceLock::new());
    let connection = RefCell::new(opened.connection);
    let mut messages = Messages::new(&connection, opened.read);
    let mut writer = Writer {
        epoch: id.0,
        agent: agent.clone(),
        sink: Sink::new(&connection),
        outbox: outbox.clone(),
    };
    let reader = Reader {
        link: id,
        agent: agent.clone(),
        master: master.clone(),
        permits: Arc::new(Semaphore::new(INBOUND_PERMITS)),
        pinging,
        outbox,
    };
    // Both in one task, since there are as many as agents.
    tokio::select! {
        () = writer.run() => {}
        () = reader.run(&mut messages) => {}
    }
    tracing::info!(link = id.0, agent = agent.get(), "agent link closed");
    master.input(Input::LinkClosed { link: id });
    writer.close().await;
}
