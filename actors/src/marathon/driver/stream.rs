//! Opens a subscription and reads its events.
//! Does not open it again, and gives events no meaning but that of their absence.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tepui_protocol::media::MediaType;
use tepui_protocol::recordio::Decoder;
use tepui_protocol::v1::scheduler::Event;
use tepui_protocol::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::masters::Address;
use super::pipe::MAX_HEAD_BYTES;
use super::settings::{Credentials, Limits};
use crate::client::connection::Connection;
use crate::client::http1::{Body, Head, Piece};

/// Where calls go.
const SCHEDULER_PATH: &str = "/api/v1/scheduler";

/// The header that ties calls to a subscription.
const STREAM_ID: &str = "Mesos-Stream-Id";

/// How often a SUBSCRIBE is sent on to another master before it is tried later.
const MAX_REDIRECTS: usize = 5;

/// Bytes of a refusal's text that are kept.
const MAX_TEXT_BYTES: usize = 2000;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Why there is no subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// It may be had later.
    Later(String),
    /// The master will never give it.
    Refused(String),
}

/// An open subscription.
#[derive(Debug)]
pub(super) struct Opened {
    /// The master that was subscribed at, after redirects.
    pub(super) address: Address,
    /// The value of `Mesos-Stream-Id`.
    pub(super) stream_id: String,
    pub(super) events: EventStream,
}

/// What is heard of a master.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Event(Box<Event>),
    /// Nothing, that many times in a row.
    Silence(u32),
}

/// The events of a subscription.
#[derive(Debug)]
pub(super) struct EventStream {
    connection: Connection,
    input: BytesMut,
    body: Body,
    records: Decoder,
    silences: u32,
}

/// Request line and headers, up to the value of `Content-Length`.
pub(super) fn request_head(
    address: &Address,
    credentials: Option<&Credentials>,
    stream_id: Option<&str>,
) -> String {
    let media = MediaType::Protobuf.name();
    let mut head = format!(
        "POST {SCHEDULER_PATH} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media}\r\nAccept: {media}\r\n",
        address.authority()
    );
    if let Some(credentials) = credentials {
        head.push_str(&format!("Authorization: {}\r\n", credentials.header()));
    }
    if let Some(stream_id) = stream_id {
        head.push_str(&format!("{STREAM_ID}: {stream_id}\r\n"));
    }
    head.push_str("Content-Length: ");
    head
}

/// Sends a SUBSCRIBE and follows a master that does not lead to the one that does.
pub(super) async fn open(
    first: Address,
    subscribe: &[u8],
    credentials: Option<&Credentials>,
    limits: &Limits,
) -> Result<Opened, OpenError> {
    let mut address = first;
    for _ in 0..=MAX_REDIRECTS {
        let asking = ask(&address, subscribe, credentials, limits);
        let asked = timeout(limits.connect + limits.subscribe, asking).await;
        let (head, mut events) = match asked {
            Ok(asked) => asked.map_err(|why| later(&address, &why))?,
            Err(_) => return Err(later(&address, "no answer in time")),
        };
        if head.status == 307 {
            let location = head.header("Location").unwrap_or_default();
            let next = address.redirected(&location);
            address = next.ok_or_else(|| {
                later(
                    &address,
                    &format!("it redirects to '{location}', which cannot be followed"),
                )
            })?;
            continue;
        }
        if head.status != 200 {
            let text = timeout(limits.subscribe, events.text()).await;
            return Err(refusal(&address, &head, &text.unwrap_or_default()));
        }
        let stream_id = head.header(STREAM_ID);
        let stream_id = stream_id.filter(|id| !id.is_empty() && id.is_ascii());
        let missing = || later(&address, &format!("the header {STREAM_ID} is missing"));
        return Ok(Opened {
            stream_id: stream_id.ok_or_else(missing)?,
            address,
            events,
        });
    }
    let why = format!("more than {MAX_REDIRECTS} redirects to other masters");
    Err(later(&address, &why))
}

async fn ask(
    address: &Address,
    subscribe: &[u8],
    credentials: Option<&Credentials>,
    limits: &Limits,
) -> Result<(Head, EventStream), String> {
    let opening = Connection::open(&address.host, address.port, address.security);
    let mut connection = match timeout(limits.connect, opening).await {
        Ok(opened) => opened.map_err(|error| format!("cannot connect: {error}"))?,
        Err(_) => return Err("cannot connect in time".to_owned()),
    };
    let mut request = request_head(address, credentials, None).into_bytes();
    request.extend_from_slice(format!("{}\r\n\r\n", subscribe.len()).as_bytes());
    request.extend_from_slice(subscribe);
    let broken = |error: io::Error| format!("the connection broke: {error}");
    connection.write_all(&request).await.map_err(broken)?;
    connection.flush().await.map_err(broken)?;
    let mut input = BytesMut::new();
    loop {
        let head = Head::take(&mut input, MAX_HEAD_BYTES).map_err(|error| error.to_string())?;
        if let Some(head) = head.filter(|head| head.status >= 200) {
            let events = EventStream {
                connection,
                input,
                body: Body::of(&head),
                records: Decoder::new(limits.max_event_bytes),
                silences: 0,
            };
            return Ok((head, events));
        }
        input.reserve(READ_BYTES);
        if connection.read_buf(&mut input).await.map_err(broken)? == 0 {
            return Err("the connection was closed before the answer".to_owned());
        }
    }
}

fn later(address: &Address, why: &str) -> OpenError {
    OpenError::Later(format!("{address}: {why}"))
}

/// What the request itself is wrong about stays wrong; everything else may pass, as does the 503 of
/// a master that has not recovered yet.
fn refusal(address: &Address, head: &Head, text: &str) -> OpenError {
    let text = format!("refused with status {}: {}", head.status, text.trim());
    match head.status {
        400 | 401 | 403 | 406 | 415 => OpenError::Refused(format!("{address}: {text}")),
        _ => later(address, &text),
    }
}

impl EventStream {
    /// Waits for the next event, heartbeats included, or tells that nothing has come for
    /// `patience`. May be dropped and called again.
    ///
    /// # Errors
    /// When the stream has ended or cannot be read. It is over then.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Heard, String> {
        loop {
            let record = self.records.next_record();
            if let Some(record) = record.map_err(|error| error.to_string())? {
                let event = wire::decode(&record).map_err(|error| error.to_string())?;
                return Ok(Heard::Event(Box::new(event)));
            }
            match self
                .body
                .take(&mut self.input)
                .map_err(|error| error.to_string())?
            {
                Piece::Data(data) => self.records.push(&data),
                Piece::End => return Err("the master ended the subscription".to_owned()),
                Piece::More => {
                    self.input.reserve(READ_BYTES);
                    match timeout(patience, self.connection.read_buf(&mut self.input)).await {
                        Ok(Ok(0)) => return Err("the event stream was closed".to_owned()),
                        Ok(Ok(_)) => self.silences = 0,
                        Ok(Err(error)) => return Err(format!("the event stream broke: {error}")),
                        Err(_) => {
                            self.silences = self.silences.saturating_add(1);
                            return Ok(Heard::Silence(self.silences));
                        }
                    }
                }
            }
        }
    }

    /// The beginning of a refusal's text.
    async fn text(&mut self) -> String {
        let mut text = Vec::new();
        while text.len() < MAX_TEXT_BYTES {
            match self.body.take(&mut self.input) {
                Ok(Piece::Data(data)) => text.extend_from_slice(&data),
                Ok(Piece::End) | Err(_) => break,
                Ok(Piece::More) => match self.connection.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                },
            }
        }
        text.truncate(MAX_TEXT_BYTES);
        String::from_utf8_lossy(&text).into_owned()
    }
}
