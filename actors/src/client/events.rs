//! A stream of server-sent events, such as `/v2/events` of the app manager.
//! Does not connect again: what was missed meanwhile only its reader can find out.

use std::time::Duration;

use bytes::{Buf, BytesMut};

use super::server::{Method, Reading, Request, Server};
use super::{CONNECT_TIMEOUT, ClientError, MAX_ERROR_TEXT_BYTES};

/// Time a stream may be silent; Marathon gives a sign of life every 10 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Longest event.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEvent {
    /// Its name.
    pub name: String,
    /// What it says; lines are joined.
    pub data: String,
}

/// A stream of events.
pub struct EventStream {
    reading: Reading,
    buffer: BytesMut,
}

impl EventStream {
    /// Opens a stream, at the server itself or where it redirects to. What happens from now on is in
    /// it.
    ///
    /// # Errors
    /// When the server cannot be reached or answers anything but a stream.
    pub async fn open(server: &Server, path: &str) -> Result<EventStream, ClientError> {
        let request = Request::new(Method::Get, path).accepting("text/event-stream");
        let opening = tokio::time::timeout(CONNECT_TIMEOUT * 2, server.open(&request));
        let mut reading = opening.await.unwrap_or_else(|_| {
            Err(ClientError::Unreachable {
                url: server.to_string(),
                why: "no answer in time".to_owned(),
            })
        })?;
        if reading.head.status != 200 {
            let mut text = Vec::new();
            while let Some(data) = reading.next().await? {
                text.extend_from_slice(&data);
                text.truncate(MAX_ERROR_TEXT_BYTES);
            }
            return Err(ClientError::Refused {
                status: reading.head.status,
                text: String::from_utf8_lossy(&text).trim().to_owned(),
            });
        }
        Ok(EventStream {
            reading,
            buffer: BytesMut::new(),
        })
    }

    /// The next event. May be cancelled without losing one.
    ///
    /// # Errors
    /// When the stream has ended, is silent for too long, or is no stream of events.
    pub async fn next(&mut self) -> Result<ServerEvent, ClientError> {
        loop {
            if let Some(event) = take(&mut self.buffer) {
                return Ok(event);
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                let text = format!("an event is longer than {MAX_EVENT_BYTES} bytes");
                return Err(ClientError::Answer(text));
            }
            let read = tokio::time::timeout(SILENCE_LIMIT, self.reading.next()).await;
            let read = read.map_err(|_| ClientError::Silent(SILENCE_LIMIT.as_secs()))?;
            match read? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None => return Err(ClientError::Closed),
            }
        }
    }
}

/// Takes a whole event from the front of the buffer, if one is there. Comments, signs of life, and
/// events without data say nothing.
fn take(buffer: &mut BytesMut) -> Option<ServerEvent> {
    let mut event = ServerEvent::default();
    let mut has_data = false;
    let mut from = 0;
    while let Some(length) = buffer[from..].iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&buffer[from..from + length]).into_owned();
        let line = line.trim_end_matches('\r');
        from += length + 1;
        if line.is_empty() {
            buffer.advance(from);
            from = 0;
            if has_data {
                return Some(event);
            }
            event = ServerEvent::default();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.name = value.to_owned(),
            "data" => {
                if has_data {
                    event.data.push('\n');
                }
                event.data.push_str(value);
                has_data = true;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_from_pieces_of_any_size() {
        let text = "\r\nevent: a\r\ndata: {\"x\": 1}\r\nid: 7\r\n\r\n: comment\n\nevent: empty\n\n\
                    data: one\ndata:two\n\nevent: cut\ndata: off\n";
        for size in [1, 3, 1000] {
            let (mut buffer, mut events) = (BytesMut::new(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                buffer.extend_from_slice(piece);
                events.extend(std::iter::from_fn(|| take(&mut buffer)));
            }
            let event = |name: &str, data: &str| ServerEvent {
                name: name.to_owned(),
                data: data.to_owned(),
            };
            assert_eq!(events, [event("a", "{\"x\": 1}"), event("", "one\ntwo")]);
            assert_eq!(&buffer[..], b"event: cut\ndata: off\n");
        }
    }
}
