//! Sends the calls of one subscription, in order and without waiting for answers one by one.
//! Knows nothing of what the calls mean but which may be sent twice.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Sleep, sleep, timeout};

use super::backoff::Backoff;
use super::masters::Address;
use super::queue::{Fate, QueuedCall};
use crate::client::connection::Connection;
use crate::client::http1::{Body, Framing, Head, Piece};

/// Most calls on a connection without an answer. When it breaks, the launches among them are in
/// doubt, so that more would not be better.
const MAX_IN_FLIGHT: usize = 256;

/// Bytes beyond which no further call is prepared for sending.
const MAX_UNSENT_BYTES: usize = 256 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Longest head of an answer.
pub(super) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Bytes of a refusal's text that are logged.
const MAX_TEXT_BYTES: usize = 1000;

/// How often one call is sent before it is given up.
const MAX_TRIES: u32 = 5;

/// A connection on which nothing happens is closed after this time, before something on the way
/// loses it in silence: a launch sent into it would be in doubt.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// Where the calls of a subscription go.
pub(super) struct Route {
    pub(super) address: Address,
    /// Request line and headers, up to the value of `Content-Length`.
    pub(super) head: String,
    /// Time to open a connection.
    pub(super) connect: Duration,
    /// Time without any progress after which a connection counts as broken.
    pub(super) answer: Duration,
    /// Waits before another attempt.
    pub(super) backoff: Backoff,
}

/// Why a connection is not used any more.
enum End {
    /// Nothing was to be sent on it.
    Idle,
    /// The other side closed it, or it broke.
    Broken(String),
    /// This master does not lead any more.
    NotLeading,
}

/// A call of which at least a part may have been sent.
struct Sent {
    call: QueuedCall,
    /// Where it begins among all bytes of this connection.
    begin: u64,
}

/// Sends calls until this master does not lead any more; for that the reason is given back. Ends
/// otherwise only by being dropped, with the calls that are left.
pub(super) async fn carry(mut route: Route, calls: UnboundedReceiver<QueuedCall>) -> String {
    let mut pipe = Pipe {
        calls,
        closed: false,
        waiting: VecDeque::new(),
        sent: VecDeque::new(),
        busy: VecDeque::new(),
    };
    loop {
        pipe.wait_for_work().await;
        let address = &route.address;
        let opening = Connection::open(&address.host, address.port, address.security);
        let why = match timeout(route.connect, opening).await {
            Ok(Ok(connection)) => {
                match Exchange::new(&mut pipe, connection, &mut route).run().await {
                    End::Idle => continue,
                    End::NotLeading => {
                        return format!("the master at {} leads no longer", route.address);
                    }
                    End::Broken(why) => why,
                }
            }
            Ok(Err(error)) => format!("cannot connect: {error}"),
            Err(_) => "cannot connect in time".to_owned(),
        };
        tracing::warn!(master = %route.address, why, "the connection for calls is lost");
        pipe.recover();
        sleep(route.backoff.next()).await;
    }
}

/// The calls of a subscription, whatever connections come and go.
struct Pipe {
    calls: UnboundedReceiver<QueuedCall>,
    /// No further calls come.
    closed: bool,
    /// To be sent.
    waiting: VecDeque<QueuedCall>,
    /// To be answered, in this order.
    sent: VecDeque<Sent>,
    /// Answered that the master is busy; to be sent again after a while.
    busy: VecDeque<QueuedCall>,
}

impl Pipe {
    async fn wait_for_work(&mut self) {
        self.waiting.extend(self.busy.drain(..));
        if !self.waiting.is_empty() {
            return;
        }
        match self.calls.recv().await {
            Some(call) => self.waiting.push_back(call),
            None => std::future::pending().await,
        }
    }

    /// After a connection has broken: what was not sent, or may be sent twice, is sent again.
    fn recover(&mut self) {
        let mut suspect = true;
        let mut again = VecDeque::new();
        for Sent { mut call, .. } in self.sent.drain(..) {
            if !call.begun {
                again.push_back(call);
                continue;
            }
            // Answers come in order, so that what broke the connection is most likely the first.
            if std::mem::take(&mut suspect) {
                call.tries += 1;
            }
            if !call.is_repeatable() || call.tries >= MAX_TRIES {
                let kind = call.kind.as_str_name();
                tracing::warn!(kind, "it is not known whether the master heard a call");
                call.settle(Fate::Unconfirmed);
                continue;
            }
            call.note_repeated();
            again.push_back(call);
        }
        again.append(&mut self.waiting);
        self.waiting = again;
    }
}

/// An answer that is being read.
struct Reading {
    head: Head,
    body: Body,
    /// The beginning of its text.
    text: Vec<u8>,
}

/// One connection's life.
struct Exchange<'a> {
    pipe: &'a mut Pipe,
    route: &'a mut Route,
    read: ReadHalf<Connection>,
    write: WriteHalf<Connection>,
    input: BytesMut,
    reading: Option<Reading>,
    output: BytesMut,
    /// Bytes prepared, and bytes handed to the connection, since its beginning.
    prepared: u64,
    written: u64,
    /// How many of the calls without an answer are begun.
    begun: usize,
    unflushed: bool,
    /// Ends when calls for which the master was too busy are sent again.
    rest: Option<Pin<Box<Sleep>>>,
}

/// What happened on a connection.
enum Step {
    Received,
    Written(std::io::Result<usize>),
    Flushed(std::io::Result<()>),
    Read(std::io::Result<usize>),
    Stalled,
    Rested,
    Idle,
}

impl<'a> Exchange<'a> {
    fn new(pipe: &'a mut Pipe, connection: Connection, route: &'a mut Route) -> Self {
        let (read, write) = tokio::io::split(connection);
        Exchange {
            pipe,
            route,
            read,
            write,
            input: BytesMut::new(),
            reading: None,
            output: BytesMut::new(),
            prepared: 0,
            written: 0,
            begun: 0,
            unflushed: false,
            rest: None,
        }
    }

    async fn run(mut self) -> End {
        loop {
            self.prepare();
            let ended = match self.step().await {
                Step::Received => None,
                Step::Written(Ok(0)) => Some(closed()),
                Step::Written(Ok(length)) => {
                    self.note_written(length);
                    None
                }
                Step::Flushed(Ok(())) => {
                    self.unflushed = false;
                    None
                }
                Step::Read(Ok(0)) if self.pipe.sent.is_empty() => Some(End::Idle),
                Step::Read(Ok(0)) => Some(closed()),
                Step::Read(Ok(_)) => self.take_answers(),
                Step::Written(Err(error)) | Step::Flushed(Err(error)) | Step::Read(Err(error)) => {
                    Some(End::Broken(error.to_string()))
                }
                Step::Stalled => Some(End::Broken("calls are not answered in time".to_owned())),
                Step::Rested => {
                    self.rest = None;
                    self.pipe.waiting.extend(self.pipe.busy.drain(..));
                    None
                }
                Step::Idle => Some(End::Idle),
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// Waits for whatever comes first; nothing is lost when the other branches are dropped.
    async fn step(&mut self) -> Step {
        let idle = self.pipe.sent.is_empty();
        let resting = self.rest.is_some();
        let has_room = !self.pipe.closed && self.pipe.waiting.is_empty();
        let unsent = self.unflushed || !self.output.is_empty();
        self.input.reserve(READ_BYTES);
        tokio::select! {
            call = self.pipe.calls.recv(), if has_room => {
                match call {
                    Some(call) => self.pipe.waiting.push_back(call),
                    None => self.pipe.closed = true,
                }
                self.receive_more();
                Step::Received
            }
            step = push_out(&mut self.write, &mut self.output), if unsent => step,
            read = self.read.read_buf(&mut self.input) => Step::Read(read),
            () = sleep(self.route.answer), if !idle => Step::Stalled,
            () = until(&mut self.rest), if resting => Step::Rested,
            () = sleep(IDLE_LIMIT), if idle && !resting => Step::Idle,
        }
    }

    /// Takes what is in the queue already, so that many calls are written at once.
    fn receive_more(&mut self) {
        while self.pipe.waiting.len() < MAX_IN_FLIGHT
            && let Ok(call) = self.pipe.calls.try_recv()
        {
            self.pipe.waiting.push_back(call);
        }
    }

    fn prepare(&mut self) {
        while self.output.len() < MAX_UNSENT_BYTES
            && self.pipe.sent.len() < MAX_IN_FLIGHT
            && let Some(call) = self.pipe.waiting.pop_front()
        {
            let before = self.output.len();
            let length = call.body.len().to_string();
            for part in [
                self.route.head.as_bytes(),
                length.as_bytes(),
                b"\r\n\r\n",
                &call.body,
            ] {
                self.output.extend_from_slice(part);
            }
            let begin = self.prepared;
            self.prepared += (self.output.len() - before) as u64;
            self.pipe.sent.push_back(Sent { call, begin });
        }
    }

    fn note_written(&mut self, length: usize) {
        self.written += length as u64;
        self.unflushed = true;
        while let Some(sent) = self.pipe.sent.get_mut(self.begun)
            && sent.begin < self.written
        {
            sent.call.begun = true;
            self.begun += 1;
        }
    }

    fn take_answers(&mut self) -> Option<End> {
        loop {
            let Some(reading) = &mut self.reading else {
                match Head::take(&mut self.input, MAX_HEAD_BYTES) {
                    // Its text would end with the connection, which is not waited for.
                    Ok(Some(head)) if head.framing == Framing::UntilClosed => {
                        return self.answered(&head, b"");
                    }
                    Ok(Some(head)) => {
                        let body = Body::of(&head);
                        let text = Vec::new();
                        self.reading = Some(Reading { head, body, text });
                        continue;
                    }
                    Ok(None) => return None,
                    Err(error) => return Some(End::Broken(error.to_string())),
                }
            };
            match reading.body.take(&mut self.input) {
                Ok(Piece::Data(data)) => {
                    let room = MAX_TEXT_BYTES.saturating_sub(reading.text.len());
                    reading.text.extend(data.iter().take(room));
                }
                Ok(Piece::More) => return None,
                Ok(Piece::End) => {
                    let Reading { head, text, .. } = self.reading.take()?;
                    // An interim answer is followed by the real one.
                    let ended = match head.status {
                        100..200 => None,
                        _ => self.answered(&head, &text),
                    };
                    if ended.is_some() {
                        return ended;
                    }
                }
                Err(error) => return Some(End::Broken(error.to_string())),
            }
        }
    }

    fn answered(&mut self, head: &Head, text: &[u8]) -> Option<End> {
        let answered = self.pipe.sent.pop_front().filter(|sent| sent.call.begun);
        let Some(Sent { mut call, .. }) = answered else {
            let why = "the master answered a call that was not made";
            return Some(End::Broken(why.to_owned()));
        };
        self.begun -= 1;
        let kind = call.kind.as_str_name();
        match head.status {
            200..300 => {
                self.route.backoff.reset();
                call.settle(Fate::Accepted);
            }
            307 => {
                call.settle(Fate::Refused);
                return Some(End::NotLeading);
            }
            503 if call.is_repeatable() && call.tries + 1 < MAX_TRIES => {
                tracing::debug!(kind, "the master is busy; the call is sent again");
                call.tries += 1;
                call.note_repeated();
                self.pipe.busy.push_back(call);
                let wait = self.route.backoff.next();
                self.rest.get_or_insert_with(|| Box::pin(sleep(wait)));
            }
            status => {
                let text = String::from_utf8_lossy(text);
                tracing::warn!(
                    kind,
                    status,
                    text = text.trim(),
                    "the master refused a call"
                );
                call.settle(Fate::Refused);
            }
        }
        match head.close {
            false => None,
            true if self.pipe.sent.is_empty() => Some(End::Idle),
            true => Some(closed()),
        }
    }
}

async fn push_out(write: &mut WriteHalf<Connection>, output: &mut BytesMut) -> Step {
    match output.is_empty() {
        true => Step::Flushed(write.flush().await),
        false => Step::Written(write.write_buf(output).await),
    }
}

async fn until(rest: &mut Option<Pin<Box<Sleep>>>) {
    match rest {
        Some(rest) => rest.await,
        None => std::future::pending().await,
    }
}

fn closed() -> End {
    End::Broken("the master closed it".to_owned())
}
