//! Makes one probe of one target.
//! Knows no schedule, and judges nothing beyond this one probe.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{HealthProbe, HttpGet, Outcome, ProbeKind, ProbeSpec, Scheme};
use crate::client::connection::{Connection, Security, without_brackets};
use crate::client::http1::{Body, Head, HttpError, Piece};

/// Longest head of an answer that is read.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Bytes of a readiness check's body that are kept; the rest is not read.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// The status under which Marathon keeps that a readiness check was not answered.
const NOT_ANSWERED_STATUS: u16 = 504;

/// The content type of a body whose server names none.
const UNKNOWN_CONTENT_TYPE: &str = "application/octet-stream";

/// Why a probe got no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the connection was closed before the answer was complete")]
    Closed,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("no answer within {0} ms")]
    Late(u128),
}

/// Probes a target within its timeout.
pub(super) async fn probe(spec: &ProbeSpec) -> Outcome {
    match &spec.kind {
        ProbeKind::Health(HealthProbe::Tcp) => {
            let connected = within(spec, open(spec, Security::Plain)).await;
            health(connected.map(drop))
        }
        ProbeKind::Health(HealthProbe::Http { get, ignore_1xx }) => {
            match within(spec, head_of(spec, get)).await {
                Ok((head, _, _)) => judge(&head, *ignore_1xx),
                Err(failure) => health(Err(failure)),
            }
        }
        ProbeKind::Readiness(get) => {
            let answered = within(spec, whole(spec, get)).await;
            answered.unwrap_or_else(|failure| Outcome::Readiness {
                answered: false,
                status: NOT_ANSWERED_STATUS,
                content_type: "text/plain".to_owned(),
                body: failure.to_string(),
            })
        }
    }
}

async fn within<T>(
    spec: &ProbeSpec,
    doing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = tokio::time::timeout(spec.timeout, doing).await;
    done.unwrap_or(Err(Failure::Late(spec.timeout.as_millis())))
}

fn health(done: Result<(), Failure>) -> Outcome {
    match done {
        Ok(()) => Outcome::Health {
            alive: true,
            cause: None,
        },
        Err(failure) => Outcome::Health {
            alive: false,
            cause: Some(failure.to_string()),
        },
    }
}

/// Marathon: 200 to 399 is healthy; 1xx says nothing where the check is to ignore it.
fn judge(head: &Head, ignore_1xx: bool) -> Outcome {
    match head.status {
        100..200 if ignore_1xx => Outcome::Ignored,
        200..400 => health(Ok(())),
        status => Outcome::Health {
            alive: false,
            cause: Some(format!("{status} {}", head.reason).trim_end().to_owned()),
        },
    }
}

async fn open(spec: &ProbeSpec, security: Security) -> Result<Connection, Failure> {
    let opened = Connection::open(&spec.host, spec.port, security).await;
    opened.map_err(Failure::Connect)
}

/// The head of the first answer, the connection and what else was read of it.
async fn head_of(spec: &ProbeSpec, get: &HttpGet) -> Result<(Head, Connection, BytesMut), Failure> {
    let security = match get.scheme {
        Scheme::Http => Security::Plain,
        Scheme::Https => Security::Unverified,
    };
    let mut connection = open(spec, security).await?;
    let request = request(spec, get);
    connection
        .write_all(request.as_bytes())
        .await
        .map_err(Failure::Broken)?;
    connection.flush().await.map_err(Failure::Broken)?;
    let mut buffer = BytesMut::new();
    loop {
        if let Some(head) = Head::take(&mut buffer, MAX_HEAD_BYTES)? {
            return Ok((head, connection, buffer));
        }
        if !read_more(&mut connection, &mut buffer).await? {
            return Err(Failure::Closed);
        }
    }
}

/// The answer with its body, which is cut at the limit.
async fn whole(spec: &ProbeSpec, get: &HttpGet) -> Result<Outcome, Failure> {
    let (head, mut connection, mut buffer) = head_of(spec, get).await?;
    let mut body = Body::of(&head);
    let mut kept = Vec::new();
    while kept.len() < MAX_BODY_BYTES {
        match body.take(&mut buffer)? {
            Piece::Data(data) => kept.extend_from_slice(&data),
            Piece::End => break,
            Piece::More => {
                if !read_more(&mut connection, &mut buffer).await? {
                    match body.may_end() {
                        true => break,
                        false => return Err(Failure::Closed),
                    }
                }
            }
        }
    }
    kept.truncate(MAX_BODY_BYTES);
    let content_type = head.header("Content-Type");
    Ok(Outcome::Readiness {
        answered: true,
        status: head.status,
        content_type: content_type.unwrap_or_else(|| UNKNOWN_CONTENT_TYPE.to_owned()),
        body: String::from_utf8_lossy(&kept).into_owned(),
    })
}

/// False when the connection has ended. A peer that closes TLS without saying so has ended it too.
async fn read_more(connection: &mut Connection, buffer: &mut BytesMut) -> Result<bool, Failure> {
    buffer.reserve(READ_BYTES);
    match connection.read_buf(buffer).await {
        Ok(length) => Ok(length > 0),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Failure::Broken(error)),
    }
}

fn request(spec: &ProbeSpec, get: &HttpGet) -> String {
    let host = without_brackets(&spec.host);
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let path = request_target(&get.path);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{}\r\nAccept: */*\r\nUser-Agent: tepui-marathon\r\n\
         Connection: close\r\n\r\n",
        spec.port
    )
}

/// A path as a request line takes it: it begins with a slash, and what would end the line is
/// written as an escape.
fn request_target(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'#' => target.push(char::from(byte)),
            other => target.push_str(&format!("%{other:02X}")),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn requests_name_host_and_path_as_http_wants_them() {
        let asked = |host: &str, path: &str| {
            let get = HttpGet {
                scheme: Scheme::Http,
                path: path.to_owned(),
            };
            let kind = ProbeKind::Readiness(get.clone());
            let spec = ProbeSpec {
                kind,
                host: host.to_owned(),
                port: 80,
                interval: Duration::ZERO,
                timeout: Duration::ZERO,
                first_after: Duration::ZERO,
            };
            let request = request(&spec, &get);
            let mut lines = request.lines().map(str::to_owned);
            (lines.next().unwrap(), lines.next().unwrap())
        };
        let expected = |line: &str, host: &str| (line.to_owned(), host.to_owned());
        assert_eq!(
            asked("h", "/a?b=c%20d"),
            expected("GET /a?b=c%20d HTTP/1.1", "Host: h:80")
        );
        for host in ["::1", "[::1]"] {
            assert_eq!(
                asked(host, ""),
                expected("GET / HTTP/1.1", "Host: [::1]:80")
            );
        }
        assert_eq!(
            asked("h", "a b\r\nX: y\u{fc}#z"),
            expected("GET /a%20b%0D%0AX:%20y%C3%BC%23z HTTP/1.1", "Host: h:80")
        );
    }
}
