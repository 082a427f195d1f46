//! Requests to the Docker Engine over its Unix socket, each on a connection of its own; every one waits.
//! Knows nothing of tasks.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::first::First;
use crate::http::{Piece, ResponseReader};

/// Longest answer that is kept, in bytes.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Time the Engine has to take a request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time between two looks at the container that an answer is about.
const LOOK: Duration = Duration::from_secs(4);

/// Looks after which an Engine that says nothing of a container's end is given up.
const MOST_SILENT_LOOKS: u32 = 3;

/// How long the Engine may be silent.
#[derive(Debug, Clone)]
pub enum Patience {
    /// No longer than this.
    Within(Duration),
    /// As long as this process runs, and a little longer.
    WhileRuns(First),
}

impl Patience {
    fn timeout(&self) -> Duration {
        match self {
            Patience::Within(time) => *time,
            Patience::WhileRuns(_) => LOOK,
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub enum EngineError {
    /// The Engine cannot be reached, or went away in the middle.
    Gone(String),
    /// It refused, with these words.
    Refused(String),
}

impl EngineError {
    /// Its words.
    pub fn into_text(self) -> String {
        match self {
            EngineError::Gone(why) => format!("The Docker Engine cannot be reached: {why}"),
            EngineError::Refused(why) => why,
        }
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        EngineError::Gone(error.to_string())
    }
}

/// Where the Engine listens.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

/// The body of an answer that goes on.
#[derive(Debug)]
pub struct Stream {
    connection: UnixStream,
    reader: ResponseReader,
    patience: Patience,
    silent_looks: u32,
}

impl Engine {
    /// An Engine that listens there.
    pub fn at(socket: PathBuf) -> Self {
        Engine { socket }
    }

    /// Asks and waits for all of the answer.
    ///
    /// # Errors
    /// When the Engine is gone or refuses.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        patience: Patience,
    ) -> Result<Value, EngineError> {
        let mut stream = self.open(method, path, body, patience)?;
        let bytes = stream.rest()?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Asks for an answer that goes on.
    ///
    /// # Errors
    /// When the Engine is gone or refuses.
    pub fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        patience: Patience,
    ) -> Result<Stream, EngineError> {
        let mut connection = UnixStream::connect(&self.socket)
            .map_err(|error| EngineError::Gone(format!("{}: {error}", self.socket.display())))?;
        connection.set_write_timeout(Some(WRITE_TIMEOUT))?;
        connection.set_read_timeout(Some(patience.timeout()))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes())?;
        let mut stream = Stream {
            connection,
            reader: ResponseReader::default(),
            patience,
            silent_looks: 0,
        };
        let status = loop {
            match stream.piece()? {
                Some(Piece::Head { status, .. }) => break status,
                Some(_) => {}
                None => return Err(EngineError::Gone("it closed the connection".into())),
            }
        };
        // 304 says that it is so already.
        if status < 400 {
            return Ok(stream);
        }
        let answer = stream.rest().unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&answer).unwrap_or_default();
        let words = said.get("message").and_then(Value::as_str);
        Err(EngineError::Refused(words.map_or_else(
            || format!("The Docker Engine answered with status {status}"),
            str::to_owned,
        )))
    }
}

impl Stream {
    /// The same with another patience from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn with(mut self, patience: Patience) -> Result<Self, EngineError> {
        let timeout = Some(patience.timeout());
        self.connection.set_read_timeout(timeout)?;
        self.patience = patience;
        Ok(self)
    }

    /// Whether nothing is to be expected any more, after one more look without a byte.
    fn is_given_up(&mut self) -> bool {
        self.silent_looks += 1;
        match &self.patience {
            Patience::Within(_) => true,
            Patience::WhileRuns(first) if first.runs() => {
                self.silent_looks = 0;
                false
            }
            Patience::WhileRuns(first) => {
                first.is_killed() || self.silent_looks >= MOST_SILENT_LOOKS
            }
        }
    }

    /// The next bytes of the body; none when it has ended.
    ///
    /// # Errors
    /// When the Engine is gone.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        loop {
            match self.piece()? {
                Some(Piece::Body(bytes)) => return Ok(Some(bytes)),
                Some(Piece::Head { .. }) => {}
                Some(Piece::End) | None => return Ok(None),
            }
        }
    }

    fn rest(&mut self) -> Result<Vec<u8>, EngineError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next()? {
            all.extend(bytes);
            if all.len() > MAX_ANSWER_BYTES {
                return Err(EngineError::Gone("its answer is too long".into()));
            }
        }
        Ok(all)
    }

    /// The next part of the answer; none when the connection has ended.
    fn piece(&mut self) -> Result<Option<Piece>, EngineError> {
        loop {
            let next = self.reader.next();
            match next.map_err(|malformed| EngineError::Gone(malformed.to_string()))? {
                Some(piece) => return Ok(Some(piece)),
                None => {
                    let mut bytes = [0; READ_BYTES];
                    let count = match self.connection.read(&mut bytes) {
                        Ok(0) if self.reader.ends_with_connection() => return Ok(None),
                        Ok(0) => {
                            return Err(EngineError::Gone("it closed the connection".into()));
                        }
                        Ok(count) => count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        // So the kernel says that the time is over.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            if self.is_given_up() {
                                let why = "it does not answer in time";
                                return Err(EngineError::Gone(why.into()));
                            }
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    };
                    self.reader.feed(bytes.get(..count).unwrap_or_default());
                }
            }
        }
    }
}
