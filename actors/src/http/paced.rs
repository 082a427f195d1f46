//! Hands a connection's requests to the HTTP server one by one, however they arrive.
//! Reads of a request no more than its length; the HTTP server reads the rest.
//!
//! Clients may send a request before the one before it is answered, as Mesos's scheduler and
//! executor libraries do. The HTTP server closes a connection when it answers one request while it
//! has begun to read the body of the next. Here the next one waits until something was written.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes read at a time while a head is looked for.
const READ_BYTES: usize = 2 * 1024;

/// Longest head that is looked at; the HTTP server refuses a longer one.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// Bytes of later requests that are kept; beyond that the connection is not read.
const MAX_AHEAD_BYTES: usize = 64 * 1024;

/// Bytes of answers that are kept to be written together.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Most headers that are looked at.
const MAX_HEADERS: usize = 100;

/// What a head says of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// The request has so many bytes, head and body.
    Length(usize),
    /// It is no such request, has a body of chunks, or is followed by what is not HTTP.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The head of the next request is looked for.
    Head,
    /// The next request is gathered whole, so many bytes.
    Gathering(usize),
    /// So many bytes of the present request are still to be handed on.
    Passing(usize),
    /// The request was handed on; nothing follows until something is written.
    Answering,
    /// Everything passes.
    Open,
}

/// A connection whose requests are handed on one by one.
pub struct Paced<S> {
    io: S,
    state: State,
    /// Read and not yet handed on.
    ahead: BytesMut,
    /// Written by the HTTP server and not yet sent: answers to requests that came together leave
    /// together.
    answers: BytesMut,
    ended: bool,
    /// No request was handed on yet: nothing can be answered while its body comes.
    is_first: bool,
    waits: Option<Waker>,
    /// Time a request may take to come, from its first byte until it is handed on.
    limit: Duration,
    /// When that time is over, while a part of a request is here.
    late: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    /// Paces a new connection.
    pub fn new(io: S, limit: Duration) -> Self {
        Paced {
            io,
            state: State::Head,
            ahead: BytesMut::new(),
            answers: BytesMut::new(),
            ended: false,
            is_first: true,
            waits: None,
            limit,
            late: None,
        }
    }

    /// The connection itself, and what was read of it and not handed on.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.ahead)
    }

    /// From now on everything passes, beginning with what was read.
    fn open(&mut self) {
        self.state = State::Open;
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    /// Whether the first request is one that `fits` says: it is told the head as far as it has
    /// come, and answers as soon as it can. What ends before is no such request.
    ///
    /// # Errors
    /// When the connection breaks, or the request has begun and does not come.
    pub async fn begins_with(&mut self, fits: impl Fn(&[u8]) -> Option<bool>) -> io::Result<bool> {
        loop {
            if let Some(answer) = fits(&self.ahead) {
                self.late = None;
                return Ok(answer);
            }
            std::future::poll_fn(|cx| self.poll_rest(cx)).await?;
            if self.ended || self.ahead.len() >= MAX_HEAD_BYTES {
                return Ok(false);
            }
        }
    }

    /// Reads ahead, or finds the end of the connection.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        self.ended = read.filled().is_empty();
        self.ahead.extend_from_slice(read.filled());
        Poll::Ready(Ok(()))
    }

    /// As [`Self::poll_more`], for what is missing of a request: not for ever.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let limit = self.limit;
            let late = self.late.get_or_insert_with(|| Box::pin(sleep(limit)));
            if late.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        self.poll_more(cx)
    }

    /// Moves from one state to the next as far as what was read allows; ready when something, or
    /// the end, can be handed on.
    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.state {
                State::Passing(_) | State::Open => {
                    self.late = None;
                    return Poll::Ready(Ok(()));
                }
                State::Head => match framing(&self.ahead) {
                    Some(framing) => self.state = self.next_state(framing),
                    // The HTTP server has the right answers to what is no request.
                    None if self.ended || self.ahead.len() >= MAX_HEAD_BYTES => self.open(),
                    None => ready!(self.poll_rest(cx))?,
                },
                State::Gathering(length) if self.ahead.len() >= length || self.ended => {
                    self.state = State::Passing(length);
                }
                State::Gathering(_) => ready!(self.poll_rest(cx))?,
                State::Answering => {
                    let is_full = self.ahead.len() >= MAX_AHEAD_BYTES;
                    if self.ended && self.ahead.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    self.waits = Some(cx.waker().clone());
                    if is_full || self.ended {
                        return Poll::Pending;
                    }
                    ready!(self.poll_more(cx))?;
                }
            }
        }
    }

    fn next_state(&mut self, framing: Framing) -> State {
        let is_first = std::mem::replace(&mut self.is_first, false);
        match framing {
            Framing::Unknown => State::Open,
            // A short request is handed on whole: while its body comes, the answer to the one
            // before may still be under way.
            Framing::Length(length) if !is_first && length <= MAX_AHEAD_BYTES => {
                State::Gathering(length)
            }
            Framing::Length(length) => State::Passing(length),
        }
    }

    /// Notes that an answer is being written: the next request may follow.
    fn written(&mut self) {
        if self.state == State::Answering {
            self.state = State::Head;
            if let Some(reader) = self.waits.take()
                && (!self.ahead.is_empty() || self.ended)
            {
                reader.wake();
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_state(cx))?;
        let limit = match this.state {
            State::Passing(left) => left.min(buf.remaining()),
            State::Open => buf.remaining(),
            // The connection has ended.
            State::Head | State::Gathering(_) | State::Answering => return Poll::Ready(Ok(())),
        };
        let before = buf.filled().len();
        if !this.ahead.is_empty() {
            let count = this.ahead.len().min(limit);
            buf.put_slice(this.ahead.get(..count).unwrap_or_default());
            this.ahead.advance(count);
        } else if this.state == State::Open {
            // An idle connection keeps no memory for what may come.
            this.ahead = BytesMut::new();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        } else {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(limit));
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
            let count = part.filled().len();
            this.ended |= count == 0;
            buf.advance(count);
        }
        let count = buf.filled().len() - before;
        if let State::Passing(left) = &mut this.state {
            *left = left.saturating_sub(count);
            if *left == 0 {
                this.state = State::Answering;
                if this.ahead.is_empty() {
                    this.ahead = BytesMut::new();
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Paced<S> {
    /// Whether the whole next request is here already: its answer is about to follow.
    fn has_next(&self) -> bool {
        match self.state {
            State::Head => match framing(&self.ahead) {
                Some(Framing::Length(length)) => self.ahead.len() >= length,
                Some(Framing::Unknown) | None => false,
            },
            State::Gathering(length) => self.ahead.len() >= length,
            State::Passing(_) | State::Answering | State::Open => false,
        }
    }

    /// Sends the answers that were kept.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.answers.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.answers))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.answers.advance(count);
        }
        if self.answers.capacity() > 0 {
            self.answers = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written();
        if this.answers.len() + bytes.len() <= MAX_ANSWER_BYTES && this.has_next() {
            this.answers.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        if !this.answers.is_empty() && this.answers.len() + bytes.len() <= MAX_ANSWER_BYTES {
            // One write for all that was kept and what closes it.
            this.answers.extend_from_slice(bytes);
            return match this.poll_answers(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                // What is left goes with the next flush.
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
            };
        }
        ready!(this.poll_answers(cx))?;
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.answers.is_empty() || !this.has_next() {
            ready!(this.poll_answers(cx))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_answers(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// What the head at the beginning says of its request, once all of it is there.
fn framing(bytes: &[u8]) -> Option<Framing> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Partial) => None,
        Ok(Status::Complete(head)) if request.method != Some("CONNECT") => {
            let body = body_length(request.headers);
            let length = body.and_then(|body| head.checked_add(body));
            Some(length.map_or(Framing::Unknown, Framing::Length))
        }
        Ok(Status::Complete(_)) | Err(_) => Some(Framing::Unknown),
    }
}

/// The length of a body that comes after these headers without further ado.
fn body_length(headers: &[Header<'_>]) -> Option<usize> {
    const OTHERWISE: [&str; 3] = ["transfer-encoding", "upgrade", "expect"];
    let mut length = None;
    for header in headers {
        if OTHERWISE
            .iter()
            .any(|name| header.name.eq_ignore_ascii_case(name))
        {
            return None;
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).ok()?.trim();
            // A sign is not for a length, though numbers may have one; two lengths are none.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number || length.is_some() {
                return None;
            }
            length = Some(text.parse().ok()?);
        }
    }
    Some(length.unwrap_or(0))
}

#[cfg(test)]
mod tests;
