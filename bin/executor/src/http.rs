//! Reads HTTP/1.1 responses from bytes as they arrive, and writes requests.
//! Touches no socket; every buffer has a limit.

use std::fmt;

/// Longest accepted head of a response, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Most header fields of a response.
const MAX_HEADERS: usize = 64;

/// Longest line that announces a chunk, in bytes.
const MAX_CHUNK_LINE_BYTES: usize = 1024;

/// Why bytes are no HTTP answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A part of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Its head.
    Head {
        /// The status code.
        status: u16,
        /// Whether the connection may carry another request afterwards.
        keep_alive: bool,
    },
    /// Some bytes of its body.
    Body(Vec<u8>),
    /// It is complete.
    End,
}

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
    End,
}

/// Reads one response after the other from one connection.
#[derive(Debug)]
pub struct ResponseReader {
    buffer: Vec<u8>,
    state: State,
}

impl Default for ResponseReader {
    fn default() -> Self {
        ResponseReader {
            buffer: Vec::new(),
            state: State::Head,
        }
    }
}

impl ResponseReader {
    /// Takes bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// When the bytes are no HTTP response or exceed a limit.
    pub fn next(&mut self) -> Result<Option<Piece>, Malformed> {
        loop {
            match self.state {
                State::Head => return self.head(),
                State::Length(0) => self.state = State::End,
                State::Length(left) => {
                    return Ok(self.body(left).map(|(piece, left)| {
                        self.state = State::Length(left);
                        piece
                    }));
                }
                State::ChunkLine => match self.line()? {
                    Some(line) => self.state = chunk_state(&line)?,
                    None => return Ok(None),
                },
                State::Chunk(left) => {
                    return Ok(self.body(left).map(|(piece, left)| {
                        self.state = if left == 0 {
                            State::ChunkEnd
                        } else {
                            State::Chunk(left)
                        };
                        piece
                    }));
                }
                State::ChunkEnd => match self.line()? {
                    Some(line) if line.is_empty() => self.state = State::ChunkLine,
                    Some(_) => return Err(Malformed("a chunk is longer than announced")),
                    None => return Ok(None),
                },
                State::Trailer => match self.line()? {
                    Some(line) if line.is_empty() => self.state = State::End,
                    Some(_) => {}
                    None => return Ok(None),
                },
                State::UntilClose => {
                    return Ok(self.body(u64::MAX).map(|(piece, _)| piece));
                }
                State::End => {
                    self.state = State::Head;
                    return Ok(Some(Piece::End));
                }
            }
        }
    }

    /// Whether the body that is being read ends with the connection.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// The next head that is not an interim one.
    fn head(&mut self) -> Result<Option<Piece>, Malformed> {
        loop {
            match self.any_head()? {
                Some(Piece::Head { status, .. }) if (100..200).contains(&status) => {
                    self.state = State::Head;
                }
                other => return Ok(other),
            }
        }
    }

    fn any_head(&mut self) -> Result<Option<Piece>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.buffer);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if self.buffer.len() <= MAX_HEAD_BYTES => {
                return Ok(None);
            }
            Ok(httparse::Status::Partial) => {
                return Err(Malformed("the head of the response is too long"));
            }
            Err(_) => return Err(Malformed("the answer is not HTTP/1.1")),
        };
        let status = response.code.unwrap_or_default();
        let mut keep_alive = response.version == Some(1);
        let mut body = State::UntilClose;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("the response has an unknown transfer encoding"));
                }
                body = State::ChunkLine;
            } else if header.name.eq_ignore_ascii_case("content-length") && body != State::ChunkLine
            {
                let text = std::str::from_utf8(header.value).unwrap_or_default();
                let length = text.trim().parse();
                body = State::Length(
                    length.map_err(|_| Malformed("the response has no valid length"))?,
                );
            } else if header.name.eq_ignore_ascii_case("connection") {
                keep_alive = !header.value.eq_ignore_ascii_case(b"close");
            }
        }
        self.buffer.drain(..length);
        if status == 204 || status == 304 {
            body = State::Length(0);
        }
        self.state = body;
        keep_alive &= body != State::UntilClose;
        Ok(Some(Piece::Head { status, keep_alive }))
    }

    /// Takes at most `left` bytes of a body, and says how many are left then.
    fn body(&mut self, left: u64) -> Option<(Piece, u64)> {
        if self.buffer.is_empty() {
            return None;
        }
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        let bytes: Vec<u8> = self.buffer.drain(..wanted).collect();
        Some((Piece::Body(bytes), left.saturating_sub(wanted as u64)))
    }

    /// Takes a line, without its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            if self.buffer.len() > MAX_CHUNK_LINE_BYTES {
                return Err(Malformed("a line between chunks is too long"));
            }
            return Ok(None);
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

fn chunk_state(line: &[u8]) -> Result<State, Malformed> {
    const WRONG: Malformed = Malformed("a chunk has no valid length");
    let text = std::str::from_utf8(line).map_err(|_| WRONG)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    match u64::from_str_radix(digits, 16).map_err(|_| WRONG)? {
        0 => Ok(State::Trailer),
        length => Ok(State::Chunk(length)),
    }
}

/// Path of the executor API on an agent.
pub const PATH: &str = "/api/v1/executor";

/// Media type of all messages.
pub const MEDIA_TYPE: &str = "application/x-protobuf";

/// Path of the operator API on an agent.
pub const AGENT_PATH: &str = "/api/v1";

/// The bytes of a request to the executor API.
pub fn request(host: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    request_to(PATH, host, token, body)
}

/// The bytes of a request to one of the agent's APIs.
pub fn request_to(path: &str, host: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let authorization = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {MEDIA_TYPE}\r\n\
         Content-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\n{authorization}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status and keep-alive of each response, all their bodies, and how many were complete.
    type Responses = (Vec<(u16, bool)>, Vec<u8>, usize);

    /// Feeds `bytes` in pieces of `size` and collects what comes out.
    fn read(bytes: &[u8], size: usize) -> Result<Responses, Malformed> {
        let mut reader = ResponseReader::default();
        let (mut heads, mut body, mut ends) = (Vec::new(), Vec::new(), 0);
        for part in bytes.chunks(size) {
            reader.feed(part);
            while let Some(piece) = reader.next()? {
                match piece {
                    Piece::Head { status, keep_alive } => heads.push((status, keep_alive)),
                    Piece::Body(part) => body.extend(part),
                    Piece::End => ends += 1,
                }
            }
        }
        Ok((heads, body, ends))
    }

    #[test]
    fn reads_every_kind_of_body_in_pieces_of_any_size() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n";
        let empty = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        let refused =
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\ncontent-length: 3\r\n\r\nno!";
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        let all = [&chunked[..], empty, refused, interim].concat();
        for size in 1..all.len() {
            let (heads, body, ends) = read(&all, size).unwrap();
            assert_eq!(
                heads,
                [(200, true), (202, true), (400, false), (204, true)],
                "{size}"
            );
            assert_eq!(body, b"hello worldno!");
            assert_eq!(ends, 4);
        }
    }

    #[test]
    fn a_body_without_length_lasts_until_the_connection_ends() {
        let mut reader = ResponseReader::default();
        reader.feed(b"HTTP/1.1 200 OK\r\n\r\nabc");
        let head = reader.next().unwrap();
        assert_eq!(
            head,
            Some(Piece::Head {
                status: 200,
                keep_alive: false
            })
        );
        assert_eq!(reader.next().unwrap(), Some(Piece::Body(b"abc".to_vec())));
        assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn refuses_what_is_not_http() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (bytes, error) in [
            (
                "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
                "the answer is not HTTP/1.1",
            ),
            (
                format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEAD_BYTES)),
                "the head of the response is too long",
            ),
            (format!("{head}zz\r\n"), "a chunk has no valid length"),
            (format!("{head}-1\r\n"), "a chunk has no valid length"),
            (
                format!("{head}2\r\nabc\r\n"),
                "a chunk is longer than announced",
            ),
            (
                format!("{head}{}", "0".repeat(2000)),
                "a line between chunks is too long",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n".to_owned(),
                "the response has no valid length",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
                "the response has an unknown transfer encoding",
            ),
        ] {
            assert_eq!(read(bytes.as_bytes(), bytes.len()).unwrap_err().0, error);
        }
    }

    #[test]
    fn requests_carry_length_and_token() {
        let text = String::from_utf8(request("h:1", Some("t"), b"body")).unwrap();
        assert!(text.starts_with("POST /api/v1/executor HTTP/1.1\r\nHost: h:1\r\n"));
        assert!(text.contains("\r\nContent-Length: 4\r\nAuthorization: Bearer t\r\n\r\nbody"));
        let text = String::from_utf8(request("h:1", None, b"")).unwrap();
        assert!(!text.contains("Authorization"));
    }
}
