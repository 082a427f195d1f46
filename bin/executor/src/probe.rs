//! One connection that looks at a task: an HTTP request, or just whether it can be opened.
//! Judges no status code and keeps no time; every read is bounded.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use crate::connection::{is_connected, open_stream};
use crate::http::{Piece, ResponseReader};
use crate::machine::{Finding, Found};

/// Bytes read at once; what is kept of them is bounded by the reader.
const READ_BYTES: usize = 16 * 1024;

/// Bytes of a body that are read and dropped, so that the server may finish its answer; the status
/// of a longer one counts without the rest.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The address on the loopback interface of a port.
///
/// # Errors
/// When it is no port.
pub fn loopback(ipv6: bool, port: u32) -> Result<SocketAddr, String> {
    let ip = match ipv6 {
        false => IpAddr::V4(Ipv4Addr::LOCALHOST),
        true => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(SocketAddr::new(ip, port)),
        Ok(_) | Err(_) => Err(format!(
            "{port} is not a port, expected one from 1 to 65535"
        )),
    }
}

/// The path as it goes into a request: without fragment, `/` when empty.
///
/// # Errors
/// When it cannot be part of a request.
pub fn path(text: &str) -> Result<&str, String> {
    let path = text.split('#').next().unwrap_or_default();
    if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(format!(
            "The path {text:?} contains spaces or control characters"
        ));
    }
    match path {
        "" => Ok("/"),
        path => Ok(path),
    }
}

/// An answer that is being read.
#[derive(Debug, Default)]
struct Answer {
    reader: ResponseReader,
    status: Option<u16>,
    body: usize,
}

/// A connection that looks at a task.
#[derive(Debug)]
pub struct Probe {
    address: SocketAddr,
    stream: TcpStream,
    connecting: bool,
    unsent: Vec<u8>,
    /// The answer to an HTTP request; `None` when only the connection matters.
    answer: Option<Answer>,
}

impl Probe {
    /// Begins to see whether a connection can be opened.
    ///
    /// # Errors
    /// What was found at once.
    pub fn tcp(address: SocketAddr, network: Option<&File>) -> Result<Self, Found> {
        match open_stream(address, network) {
            Ok((stream, connecting)) => Ok(Probe {
                address,
                stream,
                connecting,
                unsent: Vec::new(),
                answer: None,
            }),
            Err(_) => Err(Ok(Finding::Connected(false))),
        }
    }

    /// Begins to ask for a page; `path` comes from [`path`].
    ///
    /// # Errors
    /// What was found at once.
    pub fn http(address: SocketAddr, path: &str, network: Option<&File>) -> Result<Self, Found> {
        let agent = concat!("tepui-executor/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        );
        match open_stream(address, network) {
            Ok((stream, connecting)) => Ok(Probe {
                address,
                stream,
                connecting,
                unsent: request.into_bytes(),
                answer: Some(Answer::default()),
            }),
            Err(error) => Err(Err(format!("Failed to connect to {address}: {error}"))),
        }
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFlags {
        match self.connecting || !self.unsent.is_empty() || self.answer.is_none() {
            true => PollFlags::POLLOUT,
            false => PollFlags::POLLIN,
        }
    }

    /// Does what the socket is ready for; tells what was found once that is clear.
    pub fn progress(&mut self) -> Option<Found> {
        if self.connecting {
            match is_connected(&self.stream) {
                Ok(true) => self.connecting = false,
                Ok(false) => return None,
                Err(error) => return Some(self.not_connected(&error)),
            }
        }
        // A connection from a port to itself opens without anyone listening there.
        if self
            .stream
            .local_addr()
            .is_ok_and(|own| own == self.address)
        {
            return Some(self.not_connected(&io::ErrorKind::ConnectionRefused.into()));
        }
        let Some(answer) = &mut self.answer else {
            return Some(Ok(Finding::Connected(true)));
        };
        let step = match send(&mut self.stream, &mut self.unsent) {
            Ok(true) => answer.read(&mut self.stream),
            Ok(false) => return None,
            Err(error) => Err(error.to_string()),
        };
        let address = self.address;
        step.map_err(|why| format!("HTTP request to {address} failed: {why}"))
            .map(|status| status.map(Finding::StatusCode))
            .transpose()
    }

    fn not_connected(&self, error: &io::Error) -> Found {
        match self.answer {
            None => Ok(Finding::Connected(false)),
            Some(_) => Err(format!("Failed to connect to {}: {error}", self.address)),
        }
    }
}

impl AsFd for Probe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Answer {
    /// Reads once; the status when the answer is complete, or its body too long to wait for.
    fn read(&mut self, stream: &mut TcpStream) -> Result<Option<u16>, String> {
        let mut bytes = [0; READ_BYTES];
        let count = match stream.read(&mut bytes) {
            Ok(0) => return self.closed().map(Some),
            Ok(count) => count,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Ok(None),
                _ => return Err(error.to_string()),
            },
        };
        self.reader.feed(bytes.get(..count).unwrap_or_default());
        while let Some(piece) = self.reader.next().map_err(|error| error.to_string())? {
            match piece {
                Piece::Head { status, .. } => self.status = Some(status),
                Piece::Body(part) => self.body += part.len(),
                Piece::End => return Ok(self.status),
            }
            if self.body > MAX_BODY_BYTES {
                return Ok(self.status);
            }
        }
        Ok(None)
    }

    /// What the end of the connection means.
    fn closed(&self) -> Result<u16, String> {
        match self.status {
            None => Err("the connection was closed before the head of the answer was complete"),
            Some(status) if self.reader.ends_with_connection() => Ok(status),
            Some(_) => Err("the connection was closed before the answer was complete"),
        }
        .map_err(str::to_owned)
    }
}

/// Sends what is left to send, as far as possible at once; true when nothing is left.
fn send(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<bool> {
    while !unsent.is_empty() {
        match stream.write(unsent) {
            Ok(count) => drop(unsent.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_would_break_the_request_is_refused() {
        assert_eq!(path(""), Ok("/"));
        assert_eq!(path("/a?b=c#d"), Ok("/a?b=c"));
        assert_eq!(path("/é"), Ok("/é"));
        for text in ["/a b", "/a\r\nX: y", "/\u{7f}"] {
            let error = path(text).unwrap_err();
            assert!(
                error.ends_with("contains spaces or control characters"),
                "{error}"
            );
        }
    }

    #[test]
    fn ports_are_those_of_the_loopback_interface() {
        assert_eq!(loopback(false, 80), Ok("127.0.0.1:80".parse().unwrap()));
        assert_eq!(loopback(true, 65_535), Ok("[::1]:65535".parse().unwrap()));
        for port in [0, 65_536] {
            let error = loopback(false, port).unwrap_err();
            assert_eq!(
                error,
                format!("{port} is not a port, expected one from 1 to 65535")
            );
        }
    }
}
