//! Requests of any method to an HTTP server that may want a password, as the app manager's API is used.
//! Does not judge answers: a refusal is an answer too.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{Connection, Security, without_brackets};
use super::http1::{Body, Head, Piece};
use super::{CONNECT_TIMEOUT, ClientError, MAX_ANSWER_BYTES, REQUEST_TIMEOUT};

/// Longest head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// How often a request is sent on to where an answer says before giving up.
const MAX_REDIRECTS: usize = 5;

/// A server's URL, perhaps with user and password, and with a path in front of all paths.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    security: Security,
    host: String,
    port: u16,
    base: String,
    authorization: Option<String>,
}

/// What a request is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Make or do something.
    Post,
    /// Put something in its place.
    Put,
    /// Change something in part.
    Patch,
    /// Remove something.
    Delete,
}

/// A request; its path is percent-encoded and begins with `/`, its body is JSON.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: String,
    accept: &'static str,
    body: Option<Vec<u8>>,
    is_sent_on: bool,
}

/// An answer that has been read to its end, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    head: Head,
}

/// An answer whose body is still being read.
pub(super) struct Reading {
    pub(super) head: Head,
    body: Body,
    buffer: BytesMut,
    connection: Connection,
}

impl Request {
    /// A request without a body, which asks for JSON.
    pub fn new(method: Method, path: impl Into<String>) -> Request {
        Request {
            method,
            path: path.into(),
            accept: "application/json",
            body: None,
            is_sent_on: false,
        }
    }

    /// With a body of JSON.
    #[must_use]
    pub fn with_body(self, body: Vec<u8>) -> Request {
        let body = Some(body);
        Request { body, ..self }
    }

    /// Sent on to where a redirect leads even if it changes something. Masters on standby, which do
    /// nothing themselves, answer so.
    #[must_use]
    pub fn sent_on(self) -> Request {
        Request {
            is_sent_on: true,
            ..self
        }
    }

    /// With another wish for the type of the answer.
    pub(super) fn accepting(self, accept: &'static str) -> Request {
        Request { accept, ..self }
    }
}

impl Answer {
    /// Whether the request was obeyed.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.header(name)
    }
}

impl Server {
    /// The same server with this user and password, unless it has some already.
    #[must_use]
    pub fn or_credentials(mut self, user_and_password: &str) -> Server {
        self.authorization
            .get_or_insert_with(|| basic(user_and_password));
        self
    }

    /// Sends a request and reads its answer. One that only reads, or may be sent on, is sent on to
    /// where a redirect leads, with the password, but never from TLS to none.
    ///
    /// # Errors
    /// When the server cannot be reached or its answer cannot be read, is too long or too late.
    pub async fn send(&self, request: &Request) -> Result<Answer, ClientError> {
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, self.whole(request)).await;
        answered.unwrap_or_else(|_| Err(self.late(REQUEST_TIMEOUT)))
    }

    async fn whole(&self, request: &Request) -> Result<Answer, ClientError> {
        let mut reading = self.open(request).await?;
        let mut body = Vec::new();
        while let Some(data) = reading.next().await? {
            if body.len() + data.len() > MAX_ANSWER_BYTES {
                let text = format!("it is longer than {MAX_ANSWER_BYTES} bytes");
                return Err(ClientError::Answer(text));
            }
            body.extend_from_slice(&data);
        }
        Ok(Answer {
            status: reading.head.status,
            body,
            head: reading.head,
        })
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn open(&self, request: &Request) -> Result<Reading, ClientError> {
        let mut reading = self.open_here(request).await?;
        for _ in 0..MAX_REDIRECTS {
            let is_redirect = match request.method {
                Method::Get => matches!(reading.head.status, 301 | 302 | 303 | 307 | 308),
                // The others would make a GET of it.
                _ => request.is_sent_on && matches!(reading.head.status, 307 | 308),
            };
            if !is_redirect {
                return Ok(reading);
            }
            let location = reading.head.header("Location").unwrap_or_default();
            let Some((server, path)) = self.redirected(&location) else {
                return Ok(reading);
            };
            let path = path.to_owned();
            let request = Request {
                path,
                ..request.clone()
            };
            reading = server.open_here(&request).await?;
        }
        Ok(reading)
    }

    async fn open_here(&self, request: &Request) -> Result<Reading, ClientError> {
        let opening = Connection::open(&self.host, self.port, self.security);
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
        let opened = opened.map_err(|_| self.late(CONNECT_TIMEOUT))?;
        let mut connection = opened.map_err(|error| self.unreachable(&error.to_string()))?;
        let sent = self.write(request, &mut connection).await;
        let mut buffer = BytesMut::new();
        loop {
            let head = Head::take(&mut buffer, MAX_HEAD_BYTES);
            match head.map_err(|error| ClientError::Answer(error.to_string()))? {
                Some(head) if (100..200).contains(&head.status) => {}
                Some(head) => {
                    let body = Body::of(&head);
                    return Ok(Reading {
                        head,
                        body,
                        buffer,
                        connection,
                    });
                }
                // A server that refuses a long body may answer before it has read it.
                None if !read_more(&mut connection, &mut buffer).await? => {
                    sent.map_err(|error| self.unreachable(&error.to_string()))?;
                    return Err(self.unreachable("the connection was closed without an answer"));
                }
                None => {}
            }
        }
    }

    async fn write(&self, request: &Request, to: &mut Connection) -> std::io::Result<()> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        };
        let (base, path, accept) = (&self.base, &request.path, request.accept);
        let authority = self.authority();
        let mut head = format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: {authority}\r\nAccept: {accept}\r\n\
             Connection: close\r\nUser-Agent: tepui\r\n"
        );
        if let Some(authorization) = &self.authorization {
            head.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        let body = request.body.as_deref();
        if body.is_some() {
            head.push_str("Content-Type: application/json\r\n");
        }
        if body.is_some() || request.method != Method::Get {
            head.push_str(&format!(
                "Content-Length: {}\r\n",
                body.map_or(0, <[u8]>::len)
            ));
        }
        head.push_str("\r\n");
        to.write_all(head.as_bytes()).await?;
        to.write_all(body.unwrap_or_default()).await?;
        to.flush().await
    }

    /// The server and the path that a redirect leads to; none where it is not to be followed.
    fn redirected<'a>(&self, location: &'a str) -> Option<(Server, &'a str)> {
        if location.starts_with('/') && !location.starts_with("//") {
            let server = Server {
                base: String::new(),
                ..self.clone()
            };
            return Some((server, location));
        }
        let (scheme, rest) = location.split_once("//")?;
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let authority = rest.split(['/', '?', '#']).next()?;
        let scheme = match (scheme, self.security) {
            ("", Security::Plain) => "http:",
            ("", Security::Verified | Security::Unverified) => "https:",
            (scheme, _) => scheme,
        };
        let server: Server = format!("{scheme}//{authority}").parse().ok()?;
        let is_downgrade = self.security != Security::Plain && server.security == Security::Plain;
        let server = Server {
            authorization: self.authorization.clone(),
            ..server
        };
        (!is_downgrade).then_some((server, path))
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    fn unreachable(&self, why: &str) -> ClientError {
        ClientError::Unreachable {
            url: self.to_string(),
            why: why.to_owned(),
        }
    }

    fn late(&self, limit: Duration) -> ClientError {
        self.unreachable(&format!("no answer within {} s", limit.as_secs()))
    }
}

impl Reading {
    /// The next bytes of the body; none when it is complete.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>, ClientError> {
        loop {
            let piece = self.body.take(&mut self.buffer);
            match piece.map_err(|error| ClientError::Answer(error.to_string()))? {
                Piece::Data(data) => return Ok(Some(data)),
                Piece::End => return Ok(None),
                Piece::More => {
                    if !read_more(&mut self.connection, &mut self.buffer).await? {
                        return match self.body.may_end() {
                            true => Ok(None),
                            false => Err(ClientError::Answer("it ends too early".to_owned())),
                        };
                    }
                }
            }
        }
    }
}

/// Whether there was more to read.
async fn read_more(from: &mut Connection, buffer: &mut BytesMut) -> Result<bool, ClientError> {
    buffer.reserve(READ_BYTES);
    match from.read_buf(buffer).await {
        Ok(length) => Ok(length > 0),
        // Many servers end a TLS connection without saying so.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(ClientError::Answer(error.to_string())),
    }
}

fn basic(user_and_password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(user_and_password);
    format!("Basic {text}")
}

impl FromStr for Server {
    type Err = ClientError;

    /// Reads `http://user:password@host:port/path`; all but the host may be left out, the port only
    /// behind a scheme. User and password may be percent-encoded.
    fn from_str(text: &str) -> Result<Server, ClientError> {
        // The text is not repeated where it may hold a password.
        let wrong = || {
            let shown = text.rsplit('@').next().unwrap_or_default();
            ClientError::ServerUrl(shown.to_owned())
        };
        let trimmed = text.trim();
        let (security, port, rest) = match trimmed.split_once("://") {
            Some(("http", rest)) => (Security::Plain, Some(80), rest),
            Some(("https", rest)) => (Security::Verified, Some(443), rest),
            Some(_) => return Err(wrong()),
            None => (Security::Plain, None, trimmed),
        };
        let (authority, base) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().ok()),
            _ => (place, port),
        };
        let port = port.filter(|port: &u16| *port > 0).ok_or_else(wrong)?;
        let inner = without_brackets(host);
        let is_right = match inner.len() < host.len() {
            true => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            false => {
                let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                !host.is_empty() && host.chars().all(of_a_name)
            }
        };
        let base = base.trim_end_matches('/');
        let of_a_path = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
        if !is_right || !base.chars().all(of_a_path) {
            return Err(wrong());
        }
        let authorization = match credentials {
            Some(credentials) => Some(basic(&percent_decode(credentials).ok_or_else(wrong)?)),
            None => None,
        };
        Ok(Server {
            security,
            host: inner.to_owned(),
            port,
            base: base.to_owned(),
            authorization,
        })
    }
}

/// Undoes percent-encoding; none when it is broken.
fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(out).ok()
}

impl fmt::Display for Server {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "http",
            Security::Verified | Security::Unverified => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}
