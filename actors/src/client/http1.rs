//! Takes HTTP/1.1 answers apart, byte by byte and within limits: head, and body however it is framed.
//! Reads from no connection and sends nothing.

use bytes::{Buf, BytesMut};
use thiserror::Error;

/// Most headers of an answer.
const MAX_HEADERS: usize = 100;

/// Most bytes of the line that announces a chunk, its extensions included.
const MAX_CHUNK_LINE_BYTES: usize = 1024;

/// Most bytes of trailers after the last chunk.
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Why bytes are no answer, or none that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum HttpError {
    /// Not HTTP.
    #[error("the answer is not HTTP: {0}")]
    Malformed(String),
    /// The head has more bytes than the reader takes.
    #[error("the answer's head is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// Length and framing contradict each other or cannot be read.
    #[error("the answer's length cannot be read")]
    Length,
    /// A chunk is announced wrongly.
    #[error("the answer's chunks cannot be read")]
    Chunk,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; none is a length too.
    Length(u64),
    /// In chunks.
    Chunked,
    /// It ends with the connection.
    UntilClosed,
}

/// The head of an answer, as far as it is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// HTTP status.
    pub status: u16,
    /// The text behind the status; may be empty.
    pub reason: String,
    /// How the body ends.
    pub framing: Framing,
    /// The server closes the connection after this answer.
    pub close: bool,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Takes a head from the front of the buffer; none while it is incomplete.
    ///
    /// # Errors
    /// When it is not HTTP or longer than `limit` bytes.
    pub(crate) fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<Head>, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer
            .parse(buffer)
            .map_err(|error| HttpError::Malformed(error.to_string()))?;
        let length = match parsed {
            httparse::Status::Complete(length) if length <= limit => length,
            httparse::Status::Partial if buffer.len() < limit => return Ok(None),
            _ => return Err(HttpError::HeadTooLarge(limit)),
        };
        let status = answer.code.unwrap_or_default();
        let version = answer.version.unwrap_or_default();
        let reason = answer.reason.unwrap_or_default().to_owned();
        let owned = |header: &httparse::Header| (header.name.to_owned(), header.value.to_vec());
        let headers: Vec<_> = answer.headers.iter().map(owned).collect();
        let mut head = Head {
            status,
            reason,
            framing: Framing::UntilClosed,
            close: false,
            headers,
        };
        head.framing = head.find_framing()?;
        let connection = head.header("Connection").unwrap_or_default();
        head.close = match version {
            0 => !has_token(&connection, "keep-alive"),
            _ => has_token(&connection, "close"),
        };
        head.close |= head.framing == Framing::UntilClosed;
        buffer.advance(length);
        Ok(Some(head))
    }

    /// A header's value; bytes that are no text are replaced.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut found = self.headers.iter();
        let found = found.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned())
    }

    fn find_framing(&self) -> Result<Framing, HttpError> {
        if (100..200).contains(&self.status) || matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if let Some(coding) = self.header("Transfer-Encoding") {
            return match has_token(&coding, "chunked") {
                true => Ok(Framing::Chunked),
                false => Err(HttpError::Length),
            };
        }
        match self.header("Content-Length") {
            Some(text) => text
                .parse()
                .map(Framing::Length)
                .map_err(|_| HttpError::Length),
            None => Ok(Framing::UntilClosed),
        }
    }
}

fn has_token(list: &str, token: &str) -> bool {
    list.split(',')
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    /// In the line that announces a chunk.
    Size,
    /// In a chunk of which so many bytes are missing.
    Data(u64),
    /// In the line end after a chunk.
    DataEnd,
    /// In the trailers, of which so many bytes were read.
    Trailers(usize),
}

/// Where in a body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Counted(u64),
    Chunked(Chunks),
    UntilClosed,
    Ended,
}

/// Takes a body from a buffer in pieces of any size.
#[derive(Debug)]
pub(crate) struct Body(Place);

/// What a buffer holds of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Some bytes of it.
    Data(BytesMut),
    /// More must be read first.
    More,
    /// It is complete; the buffer goes on with what follows.
    End,
}

impl Body {
    /// The body of an answer with this head.
    pub(crate) fn of(head: &Head) -> Body {
        Body(match head.framing {
            Framing::Length(0) => Place::Ended,
            Framing::Length(length) => Place::Counted(length),
            Framing::Chunked => Place::Chunked(Chunks::Size),
            Framing::UntilClosed => Place::UntilClosed,
        })
    }

    /// Whether the body is whole when the connection ends now.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.0, Place::Ended | Place::UntilClosed)
    }

    /// Takes the next piece from the front of the buffer.
    ///
    /// # Errors
    /// When chunks are framed wrongly.
    pub(crate) fn take(&mut self, buffer: &mut BytesMut) -> Result<Piece, HttpError> {
        loop {
            match self.0 {
                Place::Ended => return Ok(Piece::End),
                _ if buffer.is_empty() => return Ok(Piece::More),
                Place::UntilClosed => return Ok(Piece::Data(buffer.split())),
                Place::Counted(left) => {
                    let (data, left) = split(buffer, left);
                    self.0 = match left {
                        0 => Place::Ended,
                        left => Place::Counted(left),
                    };
                    return Ok(Piece::Data(data));
                }
                Place::Chunked(Chunks::Data(left)) => {
                    let (data, left) = split(buffer, left);
                    self.0 = Place::Chunked(match left {
                        0 => Chunks::DataEnd,
                        left => Chunks::Data(left),
                    });
                    return Ok(Piece::Data(data));
                }
                Place::Chunked(chunks) => {
                    let Some(line) = take_line(buffer)? else {
                        return Ok(Piece::More);
                    };
                    self.0 = after_line(chunks, &line)?;
                }
            }
        }
    }
}

/// Where a body goes on after a line between its chunks.
fn after_line(chunks: Chunks, line: &[u8]) -> Result<Place, HttpError> {
    let next = match chunks {
        Chunks::Size => match chunk_size(line)? {
            0 => Chunks::Trailers(0),
            size => Chunks::Data(size),
        },
        Chunks::DataEnd if line.is_empty() => Chunks::Size,
        Chunks::Trailers(_) if line.is_empty() => return Ok(Place::Ended),
        Chunks::Trailers(read) if read + line.len() <= MAX_TRAILER_BYTES => {
            Chunks::Trailers(read + line.len())
        }
        Chunks::Data(_) | Chunks::DataEnd | Chunks::Trailers(_) => return Err(HttpError::Chunk),
    };
    Ok(Place::Chunked(next))
}

/// As many of `left` bytes as are there, and how many are missing then.
fn split(buffer: &mut BytesMut, left: u64) -> (BytesMut, u64) {
    let length = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    let data = buffer.split_to(length);
    (data, left - length as u64)
}

/// A whole line without its end.
fn take_line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, HttpError> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
        return match buffer.len() {
            length if length > MAX_CHUNK_LINE_BYTES => Err(HttpError::Chunk),
            _ => Ok(None),
        };
    };
    if end > MAX_CHUNK_LINE_BYTES {
        return Err(HttpError::Chunk);
    }
    let mut line = buffer.split_to(end + 1);
    line.truncate(end);
    if line.last() == Some(&b'\r') {
        line.truncate(end - 1);
    }
    Ok(Some(line))
}

fn chunk_size(line: &[u8]) -> Result<u64, HttpError> {
    let text = std::str::from_utf8(line).map_err(|_| HttpError::Chunk)?;
    let size = text.split(';').next().unwrap_or_default().trim();
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(HttpError::Chunk);
    }
    u64::from_str_radix(size, 16).map_err(|_| HttpError::Chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024;

    /// Reads answers that come in pieces of this size: statuses and bodies.
    fn read(text: &str, piece: usize) -> Result<Vec<(u16, String)>, HttpError> {
        let mut buffer = BytesMut::new();
        let mut found: Vec<(u16, String)> = Vec::new();
        let mut body: Option<Body> = None;
        for bytes in text.as_bytes().chunks(piece) {
            buffer.extend_from_slice(bytes);
            loop {
                let Some(reading) = &mut body else {
                    let Some(head) = Head::take(&mut buffer, LIMIT)? else {
                        break;
                    };
                    body = Some(Body::of(&head));
                    found.push((head.status, String::new()));
                    continue;
                };
                match reading.take(&mut buffer)? {
                    Piece::Data(data) => {
                        let text = String::from_utf8(data.to_vec()).unwrap();
                        found.last_mut().unwrap().1.push_str(&text);
                    }
                    Piece::More => break,
                    Piece::End => body = None,
                }
                if buffer.is_empty() && body.is_some() {
                    break;
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn answers_are_read_from_pieces_of_any_size() {
        let text = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n\
                    HTTP/1.1 403 Forbidden\r\ncontent-length: 5\r\n\r\nno ok\
                    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n\
                    HTTP/1.1 204 No Content\r\n\r\n\
                    HTTP/1.1 500 Oh\r\n\r\nuntil the end";
        for piece in [1, 2, 7, 50, 5000] {
            let expected = [
                (202, ""),
                (403, "no ok"),
                (200, "abc0123456789"),
                (204, ""),
                (500, "until the end"),
            ];
            let expected = expected.map(|(status, body)| (status, body.to_owned()));
            assert_eq!(read(text, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        ] {
            assert!(read(text, 9).is_err(), "{text}");
        }
        for text in [
            format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(LIMIT)),
            format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(LIMIT)),
        ] {
            assert_eq!(read(&text, 5000), Err(HttpError::HeadTooLarge(LIMIT)));
            assert_eq!(read(&text, 10), Err(HttpError::HeadTooLarge(LIMIT)));
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let long = format!("{chunked}{}", "1".repeat(MAX_CHUNK_LINE_BYTES + 1));
        assert_eq!(read(&long, 5000), Err(HttpError::Chunk));
        let trailers = format!("{chunked}0\r\n{}", "A: b\r\n".repeat(MAX_TRAILER_BYTES));
        assert_eq!(read(&trailers, 5000), Err(HttpError::Chunk));
    }

    #[test]
    fn a_head_tells_whether_the_connection_ends() {
        let close = |text: &str| {
            Head::take(&mut BytesMut::from(text), LIMIT)
                .unwrap()
                .unwrap()
                .close
        };
        assert!(!close("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"));
        assert!(close(
            "HTTP/1.1 202 Accepted\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"
        ));
        assert!(close("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(close("HTTP/1.1 200 OK\r\n\r\n"));
    }
}
