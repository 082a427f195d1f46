//! The executor's two connections to its agent: the event stream and the calls.
//! Retries nothing but a call whose idle connection was closed; the state machine does the rest.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tepui_protocol::prost::Message;
use tepui_protocol::prost::bytes::Buf;
use tepui_protocol::recordio;
use tepui_protocol::v1::executor::{Call, Event};

use crate::connection::Connection;
use crate::http::{self, Malformed, Piece};
use crate::machine::Input;

/// Most calls waiting to be sent; an agent that takes none of them is treated as lost.
const MAX_QUEUED_CALLS: usize = 16 * 1024;

/// Largest accepted event, in bytes.
const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes kept of an error's text.
const MAX_ERROR_BYTES: usize = 512;

/// The event stream.
#[derive(Debug)]
struct Stream {
    connection: Connection,
    records: recordio::Decoder,
    status: Option<u16>,
    error: Vec<u8>,
}

/// The connection for calls; they are sent one after the other.
#[derive(Debug, Default)]
struct Calls {
    connection: Option<Connection>,
    queue: VecDeque<Vec<u8>>,
    /// Whether the first of the queue was sent and waits for its answer.
    in_flight: bool,
    /// Whether the connection has answered any call; only then a failure may mean it was idle.
    proven: bool,
    status: Option<(u16, bool)>,
    error: Vec<u8>,
}

/// Both connections.
#[derive(Debug)]
pub struct Link {
    agent: SocketAddr,
    host: String,
    token: Option<String>,
    stream: Option<Stream>,
    calls: Calls,
}

impl Link {
    /// A link without connections.
    pub fn new(agent: SocketAddr, host: String, token: Option<String>) -> Self {
        Link {
            agent,
            host,
            token,
            stream: None,
            calls: Calls::default(),
        }
    }

    /// The open connections: stream first, then calls.
    pub fn connections(&self) -> (Option<&Connection>, Option<&Connection>) {
        (
            self.stream.as_ref().map(|it| &it.connection),
            self.calls.connection.as_ref(),
        )
    }

    /// Opens a new stream; earlier connections and unsent calls are dropped.
    pub fn subscribe(&mut self, call: &Call) -> Option<Input> {
        self.drop_all();
        let bytes = self.request(call);
        let opened = Connection::open(self.agent).and_then(|mut connection| {
            connection.send(&bytes)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => {
                let records = recordio::Decoder::new(MAX_RECORD_BYTES);
                self.stream = Some(Stream {
                    connection,
                    records,
                    status: None,
                    error: Vec::new(),
                });
                None
            }
            Err(error) => self.lost(error.to_string()),
        }
    }

    /// Sends a call when those before it are answered.
    pub fn send(&mut self, call: &Call) -> Option<Input> {
        // Without a stream nobody listens; the next SUBSCRIBE carries what is lost here.
        self.stream.as_ref()?;
        if self.calls.queue.len() >= MAX_QUEUED_CALLS {
            return self.lost(format!("it left {MAX_QUEUED_CALLS} calls unanswered"));
        }
        let bytes = self.request(call);
        self.calls.queue.push_back(bytes);
        self.send_next()
    }

    /// Reads events after the stream became ready.
    pub fn on_stream(&mut self, out: &mut Vec<Input>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let open = match stream.connection.progress() {
            Ok(open) => open,
            Err(error) => {
                out.extend(self.lost(error.to_string()));
                return;
            }
        };
        match stream.read(out) {
            Err(error) => {
                self.drop_all();
                out.push(Input::Garbage(error.to_string()));
            }
            Ok(true) if open => {}
            Ok(_) => {
                let input = stream.closed();
                self.drop_all();
                out.push(input);
            }
        }
    }

    /// Reads answers after the calls' connection became ready.
    pub fn on_calls(&mut self, out: &mut Vec<Input>) {
        let Some(connection) = &mut self.calls.connection else {
            return;
        };
        let open = match connection.progress() {
            Ok(open) => open,
            Err(error) => {
                out.extend(self.calls_broken(&error.to_string()));
                return;
            }
        };
        if let Err(error) = self.read_answers(out) {
            self.drop_all();
            out.push(Input::Garbage(error.to_string()));
            return;
        }
        if !open && self.calls.connection.is_some() {
            out.extend(self.calls_broken("it closed the connection"));
        }
    }

    fn read_answers(&mut self, out: &mut Vec<Input>) -> Result<(), Malformed> {
        while let Some(connection) = &mut self.calls.connection {
            let Some(piece) = connection.reader.next()? else {
                return Ok(());
            };
            match piece {
                Piece::Head { status, keep_alive } => {
                    self.calls.status = Some((status, keep_alive));
                }
                Piece::Body(bytes) => keep_some(&mut self.calls.error, &bytes),
                Piece::End => out.extend(self.answered()),
            }
        }
        Ok(())
    }

    /// The first call of the queue was answered.
    fn answered(&mut self) -> Option<Input> {
        let (status, keep_alive) = self.calls.status.take().unwrap_or((0, false));
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.calls.error)).into_owned();
        self.calls.in_flight = false;
        self.calls.proven = true;
        if !keep_alive {
            self.calls.connection = None;
        }
        match status {
            200..300 => {}
            // The agent knows the executor but is not ready: subscribing again repeats the call.
            403 | 500.. => return self.lost(format!("it answered a call with {status}: {text}")),
            408 | 429 => {
                self.drop_all();
                return Some(Input::Busy(format!("{status} {text}")));
            }
            _ => {
                self.drop_all();
                let text = format!("it refused a call with {status}: {text}");
                return Some(Input::Garbage(text));
            }
        }
        self.calls.queue.pop_front();
        self.send_next()
    }

    /// The calls' connection failed: an idle one is opened again, any other means a lost agent.
    fn calls_broken(&mut self, why: &str) -> Option<Input> {
        self.calls.connection = None;
        self.calls.in_flight = false;
        self.calls.status = None;
        if self.calls.queue.is_empty() {
            return None;
        }
        if !std::mem::take(&mut self.calls.proven) {
            return self.lost(why.to_owned());
        }
        self.send_next()
    }

    fn send_next(&mut self) -> Option<Input> {
        let (false, Some(bytes)) = (self.calls.in_flight, self.calls.queue.front()) else {
            return None;
        };
        let sent = match &mut self.calls.connection {
            Some(connection) => connection.send(bytes),
            None => Connection::open(self.agent).and_then(|connection| {
                self.calls.proven = false;
                self.calls.connection.insert(connection).send(bytes)
            }),
        };
        match sent {
            Ok(()) => {
                self.calls.in_flight = true;
                None
            }
            Err(error) => self.calls_broken(&error.to_string()),
        }
    }

    fn request(&self, call: &Call) -> Vec<u8> {
        http::request(&self.host, self.token.as_deref(), &call.encode_to_vec())
    }

    fn lost(&mut self, why: String) -> Option<Input> {
        self.drop_all();
        Some(Input::Lost(why))
    }

    fn drop_all(&mut self) {
        self.stream = None;
        self.calls = Calls::default();
    }
}

impl Stream {
    /// Reads what arrived; false when the response is complete.
    fn read(&mut self, out: &mut Vec<Input>) -> Result<bool, Malformed> {
        while let Some(piece) = self.connection.reader.next()? {
            match piece {
                Piece::Head { status, .. } => self.status = Some(status),
                Piece::Body(bytes) if self.status == Some(200) => {
                    self.records.push(&bytes);
                    while let Some(record) = self.next_record()? {
                        let event = Event::decode(record)
                            .map_err(|_| Malformed("a record is not an event"))?;
                        out.push(Input::Event(Box::new(event)));
                    }
                }
                Piece::Body(bytes) => keep_some(&mut self.error, &bytes),
                Piece::End => return Ok(false),
            }
        }
        Ok(true)
    }

    fn next_record(&mut self) -> Result<Option<impl Buf + use<>>, Malformed> {
        self.records
            .next_record()
            .map_err(|_| Malformed("the stream is not RecordIO of acceptable length"))
    }

    /// What the end of the stream means.
    fn closed(&self) -> Input {
        let text = String::from_utf8_lossy(&self.error);
        match self.status {
            None | Some(200) => Input::Lost("it closed the connection".into()),
            // An agent that was stopped for a while finds that the request has come too slowly.
            Some(status @ (408 | 429 | 503)) => Input::Busy(format!("{status} {text}")),
            Some(status) => {
                Input::Garbage(format!("it refused the subscription with {status}: {text}"))
            }
        }
    }
}

/// Keeps the beginning of an error's text.
fn keep_some(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX_ERROR_BYTES.saturating_sub(kept.len()).min(bytes.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
}
