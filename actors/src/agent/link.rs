//! The agent's end of the agent link: one WebSocket to the master.
//! Knows nothing of what the messages mean.

use std::time::Duration;

use actix::Addr;
use futures_util::{SinkExt, StreamExt};
use tepui_core::agent::messages::{Input, LinkNumber};
use tepui_protocol::link::{self, AgentToMaster, Frame, MAX_FRAME_BYTES, MasterToAgent};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::actor::{AgentActor, Tell};

/// Messages that may wait to be sent; a master slower than that is given up and found again.
const MAX_QUEUED: usize = 10_000;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A link, open or being opened.
pub(super) struct LinkHandle {
    sender: mpsc::Sender<Box<Frame<AgentToMaster>>>,
    task: JoinHandle<()>,
}

/// The queue of a link is full, or the link has ended.
#[derive(Debug)]
pub(super) struct NotSent;

impl LinkHandle {
    pub(super) fn send(&self, frame: Box<Frame<AgentToMaster>>) -> Result<(), NotSent> {
        self.sender.try_send(frame).map_err(|_| NotSent)
    }

    /// Ends the link at once.
    pub(super) fn abort(&self) {
        self.task.abort();
    }

    /// Ends the link once everything queued is sent, but waits no longer than `limit`.
    pub(super) async fn finish(self, limit: Duration) {
        drop(self.sender);
        let mut task = self.task;
        if tokio::time::timeout(limit, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Starts to open a link to this master, if any is known; its end, also a failure to open it, is told to the actor.
pub(super) fn open(
    master: Option<String>,
    number: LinkNumber,
    actor: Addr<AgentActor>,
) -> LinkHandle {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED);
    let task = actix::spawn(async move {
        match master {
            None => tracing::debug!("no master leads"),
            Some(master) => {
                let url = format!("ws://{master}{}", link::PATH);
                if let Err(error) = serve(&url, number, &actor, receiver).await {
                    tracing::warn!(url, %error, "link to the master lost");
                }
            }
        }
        actor.do_send(Tell(Input::LinkClosed { link: number }));
    });
    LinkHandle { sender, task }
}

async fn serve(
    url: &str,
    number: LinkNumber,
    actor: &Addr<AgentActor>,
    mut queue: mpsc::Receiver<Box<Frame<AgentToMaster>>>,
) -> Result<(), LinkError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let (mut socket, _) = connect_async_with_config(url, Some(config), true).await?;
    loop {
        tokio::select! {
            arrived = socket.next() => match arrived {
                Some(message) => receive(message?, number, actor)?,
                None => return Ok(()),
            },
            frame = queue.recv() => match frame {
                Some(frame) => send(&mut socket, &frame, &mut queue).await?,
                None => return Ok(socket.close(None).await?),
            },
        }
    }
}

fn receive(
    message: Message,
    number: LinkNumber,
    actor: &Addr<AgentActor>,
) -> Result<(), LinkError> {
    let Message::Binary(bytes) = message else {
        return Ok(());
    };
    let frame: Frame<MasterToAgent> = link::decode(&bytes)?;
    let message = Box::new(frame.body);
    actor.do_send(Tell(Input::FromMaster {
        link: number,
        message,
    }));
    Ok(())
}

/// Sends a frame and all that have queued up meanwhile, with one flush.
async fn send(
    socket: &mut Socket,
    first: &Frame<AgentToMaster>,
    queue: &mut mpsc::Receiver<Box<Frame<AgentToMaster>>>,
) -> Result<(), LinkError> {
    socket
        .feed(Message::Binary(Bytes::from(link::encode(first)?)))
        .await?;
    while let Ok(frame) = queue.try_recv() {
        socket
            .feed(Message::Binary(Bytes::from(link::encode(&frame)?)))
            .await?;
    }
    Ok(socket.flush().await?)
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Socket(#[from] tungstenite::Error),
    #[error(transparent)]
    Frame(#[from] link::FrameError),
}
