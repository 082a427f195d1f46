//! One HTTP connection on which calls follow each other without waiting for their answers.
//! Knows nothing of what the calls mean; answers are told in the order of the calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::framework::Error;
use crate::histogram;

/// Most calls without an answer; further ones wait.
const MAX_IN_FLIGHT: usize = 1_024;

/// Calls that are written at once.
const MAX_BATCH: usize = 256;

/// Largest head of an answer; a larger one is no answer of a master.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Most headers of an answer.
const MAX_HEADERS: usize = 64;

/// Most bytes of a refusal's text that are shown.
const MAX_REFUSAL_BYTES: usize = 300;

/// Time an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A call on its way.
struct Sent {
    kind: &'static str,
    at: Duration,
}

/// What writer, reader and owner share.
struct Shared {
    clock: Clock,
    permits: Semaphore,
    sent: Mutex<VecDeque<Sent>>,
    times: Mutex<Histogram<u64>>,
}

/// A connection for calls.
pub struct Calls {
    shared: Arc<Shared>,
    requests: UnboundedSender<(&'static str, Vec<u8>)>,
    failures: UnboundedReceiver<Error>,
    tasks: [JoinHandle<()>; 2],
}

impl Calls {
    /// Connects to a master, `host:port`.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn connect(master: &str, clock: Clock) -> Result<Self, Error> {
        let stream = TcpStream::connect(master)
            .await
            .map_err(|error| format!("cannot connect to {master}: {error}"))?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared {
            clock,
            permits: Semaphore::new(MAX_IN_FLIGHT),
            sent: Mutex::new(VecDeque::new()),
            times: Mutex::new(histogram()),
        });
        let (requests, receiver) = unbounded_channel();
        let (failed, failures) = unbounded_channel();
        let writer = tokio::spawn(write_all(write, receiver, shared.clone(), failed.clone()));
        let reader = tokio::spawn(read_all(read, shared.clone(), failed));
        Ok(Calls {
            shared,
            requests,
            failures,
            tasks: [writer, reader],
        })
    }

    /// Sends a whole HTTP request once there is room for it.
    ///
    /// # Errors
    /// When the connection has ended, or an answer takes too long.
    pub async fn send(&self, kind: &'static str, request: Vec<u8>) -> Result<(), Error> {
        let permit = self.shared.permits.acquire();
        match tokio::time::timeout(ANSWER_LIMIT, permit).await {
            Ok(permit) => permit?.forget(),
            Err(_) => return Err(format!("no answer for {ANSWER_LIMIT:?}").into()),
        }
        self.requests
            .send((kind, request))
            .map_err(|_| "the connection for calls has ended".into())
    }

    /// Waits until a call is refused or the connection fails. May be dropped and called again.
    pub async fn failure(&mut self) -> Error {
        match self.failures.recv().await {
            Some(failure) => failure,
            None => "the connection for calls has ended".into(),
        }
    }

    /// Waits until all calls have their answers.
    ///
    /// # Errors
    /// When one was refused, or that takes too long.
    pub async fn settle(&mut self) -> Result<(), Error> {
        let all = u32::try_from(MAX_IN_FLIGHT)?;
        let shared = self.shared.clone();
        let idle = tokio::time::timeout(ANSWER_LIMIT, shared.permits.acquire_many(all));
        tokio::select! {
            biased;
            failure = self.failure() => Err(failure),
            idle = idle => match idle {
                Ok(permits) => permits.map(drop).map_err(Error::from),
                Err(_) => Err(format!("no answer for {ANSWER_LIMIT:?}").into()),
            },
        }
    }

    /// Takes how long calls took to be answered so far, in microseconds.
    pub fn take_times(&self) -> Histogram<u64> {
        let mut times = self
            .shared
            .times
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *times, histogram())
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn write_all(
    mut write: OwnedWriteHalf,
    mut requests: UnboundedReceiver<(&'static str, Vec<u8>)>,
    shared: Arc<Shared>,
    failed: UnboundedSender<Error>,
) {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    while requests.recv_many(&mut batch, MAX_BATCH).await > 0 {
        bytes.clear();
        {
            let at = shared.clock.now();
            let mut sent = shared.sent.lock().unwrap_or_else(PoisonError::into_inner);
            for (kind, request) in batch.drain(..) {
                sent.push_back(Sent { kind, at });
                bytes.extend_from_slice(&request);
            }
        }
        if let Err(error) = write.write_all(&bytes).await {
            // The owner may be gone, and then needs no word.
            let _ = failed.send(format!("calls cannot be sent: {error}").into());
            return;
        }
    }
}

async fn read_all(mut read: OwnedReadHalf, shared: Arc<Shared>, failed: UnboundedSender<Error>) {
    let mut buffer = BytesMut::new();
    loop {
        match take_answer(&mut buffer) {
            Ok(Some((status, text))) => {
                if let Some(error) = shared.answered(status, &text) {
                    let _ = failed.send(error);
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                let _ = failed.send(error);
                return;
            }
        }
        match read.read_buf(&mut buffer).await {
            Ok(0) => {
                let _ = failed.send("the master closed the connection for calls".into());
                return;
            }
            Ok(_) => {}
            Err(error) => {
                let _ = failed.send(format!("answers cannot be read: {error}").into());
                return;
            }
        }
    }
}

impl Shared {
    /// Notes an answer; one that is not 202 is a failure.
    fn answered(&self, status: u16, text: &[u8]) -> Option<Error> {
        let sent = self
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        self.permits.add_permits(1);
        let Some(sent) = sent else {
            return Some("the master answered a call that was not made".into());
        };
        let took = self.clock.now().saturating_sub(sent.at);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        crate::record(&mut times, took);
        drop(times);
        if status == 202 {
            return None;
        }
        let text = String::from_utf8_lossy(text.get(..MAX_REFUSAL_BYTES).unwrap_or(text));
        Some(format!("the master answered {} with {status}: {text}", sent.kind).into())
    }
}

/// Takes a whole answer out of the buffer: its status and body.
fn take_answer(buffer: &mut BytesMut) -> Result<Option<(u16, Vec<u8>)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(buffer)? else {
        if buffer.len() > MAX_HEAD_BYTES {
            return Err("the master's answer has too large a head".into());
        }
        return Ok(None);
    };
    let status = answer.code.unwrap_or(0);
    let mut length = 0;
    for header in answer.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value)?.trim().parse::<usize>()?;
        }
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(format!("the master answered a call with {status} and a stream").into());
        }
    }
    let whole = head.checked_add(length).ok_or("the answer is too long")?;
    if buffer.len() < whole {
        return Ok(None);
    }
    buffer.advance(head);
    Ok(Some((status, buffer.split_to(length).to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_one_by_one_from_any_pieces() {
        let text = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n\
                    HTTP/1.1 403 Forbidden\r\nX: y\r\ncontent-length: 5\r\n\r\nno ok\
                    HTTP/1.1 202 Accepted\r\n\r\n";
        for piece in [1, 7, 50, 500] {
            let mut buffer = BytesMut::new();
            let mut found = Vec::new();
            for bytes in text.as_bytes().chunks(piece) {
                buffer.extend_from_slice(bytes);
                while let Some((status, body)) = take_answer(&mut buffer).unwrap() {
                    found.push((status, String::from_utf8(body).unwrap()));
                }
            }
            let expected = [(202, ""), (403, "no ok"), (202, "")];
            assert_eq!(
                found,
                expected.map(|(status, body)| (status, body.to_owned()))
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for text in [
            "hello\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ] {
            assert!(take_answer(&mut BytesMut::from(text)).is_err(), "{text}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
        assert!(take_answer(&mut BytesMut::from(&*long)).is_err());
    }
}
