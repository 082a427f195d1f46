//! Calls of the agent's operator API: one connection, one request and one answer each.
//! Gives no meaning to answers, and tries nothing twice.

use std::net::SocketAddr;

use tepui_protocol::prost::Message;
use tepui_protocol::v1::agent::Call;

use crate::connection::Connection;
use crate::http::{self, Piece};

/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Who is called.
#[derive(Debug, Clone)]
pub struct Agent {
    address: SocketAddr,
    host: String,
    token: Option<String>,
}

impl Agent {
    /// The agent at this address, which is told its own name and, if there is one, a token.
    pub fn new(address: SocketAddr, host: String, token: Option<String>) -> Self {
        Agent {
            address,
            host,
            token,
        }
    }

    /// Sends a call; nothing if no connection can be attempted.
    pub fn call(&self, call: &Call) -> Option<Exchange> {
        let body = call.encode_to_vec();
        let request = http::request_to(http::AGENT_PATH, &self.host, self.token.as_deref(), &body);
        let mut connection = Connection::open(self.address).ok()?;
        connection.send(&request).ok()?;
        Some(Exchange {
            connection,
            status: None,
            body: Vec::new(),
        })
    }
}

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    connection: Connection,
    status: Option<u16>,
    body: Vec<u8>,
}

impl Exchange {
    /// Goes on as far as it can; the answer once it is complete.
    ///
    /// # Errors
    /// Why there will be no answer.
    pub fn progress(&mut self) -> Result<Option<(u16, Vec<u8>)>, String> {
        let open = self
            .connection
            .progress()
            .map_err(|error| error.to_string())?;
        while let Some(piece) = self.connection.reader.next().map_err(|it| it.to_string())? {
            match piece {
                Piece::Head { status, .. } => self.status = Some(status),
                Piece::Body(bytes) => self.body.extend_from_slice(&bytes),
                Piece::End => {
                    let status = self.status.take().unwrap_or_default();
                    return Ok(Some((status, std::mem::take(&mut self.body))));
                }
            }
            if self.body.len() > MAX_ANSWER_BYTES {
                return Err("the answer is too long".to_owned());
            }
        }
        match open {
            true => Ok(None),
            false => Err("it closed the connection".to_owned()),
        }
    }

    /// Its connection, to wait for.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Whether an answer asks to come again later.
pub fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 429 | 503)
}
