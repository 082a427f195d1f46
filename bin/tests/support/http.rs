//! A plain blocking HTTP/1.1 client that shows chunks as they come.
//! Knows nothing of Mesos but RecordIO.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::PATIENCE;

/// An answer read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("answer is not JSON ({error}): {}", self.text()))
    }
}

/// A streamed answer: one item per HTTP chunk; ends when the server ends it.
pub struct Stream {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub chunks: Receiver<Vec<u8>>,
    socket: TcpStream,
}

impl Stream {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Ends the reading thread as well as the connection.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Sends one request and reads the whole answer.
pub fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    try_request(to, method, path, headers, body)
        .unwrap_or_else(|error| panic!("{method} {path} at {to}: {error}"))
}

/// As [`request`], but a failing connection is an error.
pub fn try_request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    request_within(PATIENCE, to, method, path, headers, body)
}

/// As [`try_request`], but gives up when a part of the answer takes longer than `patience`.
pub fn request_within(
    patience: Duration,
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    let mut all = headers.to_vec();
    all.push(("Connection", "close"));
    let socket = send_within(patience, to, method, path, &all, body)?;
    let mut reader = BufReader::new(socket);
    let (status, headers) = read_head(&mut reader)?;
    let body = read_body(&mut reader, &headers)?;
    Ok(Response {
        status,
        headers,
        body,
    })
}

/// Sends one request; a chunked 200 is handed out chunk by chunk.
pub fn open(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Stream, Response> {
    open_within(PATIENCE, to, path, headers, body).expect("an answer")
}

/// As [`open`], but a failing connection, or one that is silent for longer than `patience` before
/// the answer begins, is an error.
pub fn open_within(
    patience: Duration,
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Result<Stream, Response>> {
    let socket = send_within(patience, to, "POST", path, headers, body)?;
    let mut reader = BufReader::new(socket.try_clone()?);
    let (status, headers) = read_head(&mut reader)?;
    if status != 200 {
        let body = read_body(&mut reader, &headers)?;
        return Ok(Err(Response {
            status,
            headers,
            body,
        }));
    }
    socket.set_read_timeout(None)?;
    let (sender, chunks) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok(Some(chunk)) = read_chunk(&mut reader) {
            if sender.send(chunk).is_err() {
                return;
            }
        }
    });
    Ok(Ok(Stream {
        status,
        headers,
        chunks,
        socket,
    }))
}

/// Connects and sends a request as given.
pub fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<TcpStream> {
    send_within(PATIENCE, to, method, path, headers, body)
}

fn send_within(
    patience: Duration,
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect_timeout(&to, patience.min(Duration::from_secs(5)))?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_nodelay(true)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut message = head.into_bytes();
    message.extend_from_slice(body);
    // A server may answer and close before it has read a body it refuses.
    let _ = socket.write_all(&message);
    Ok(socket)
}

fn read_head(reader: &mut impl BufRead) -> std::io::Result<(u16, Vec<(String, String)>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("no status in {line:?}"),
            )
        })?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok((status, headers))
}

fn read_body(reader: &mut impl BufRead, headers: &[(String, String)]) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        while let Some(chunk) = read_chunk(reader)? {
            body.extend_from_slice(&chunk);
        }
    } else if let Some(length) = header(headers, "content-length") {
        let length: usize = length
            .parse()
            .map_err(|_| std::io::ErrorKind::InvalidData)?;
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

fn read_chunk(reader: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let length = usize::from_str_radix(line.trim(), 16)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, line.clone()))?;
    let mut chunk = vec![0; length + 2];
    reader.read_exact(&mut chunk)?;
    chunk.truncate(length);
    Ok((length > 0).then_some(chunk))
}
