//! WebSocket messages of an agent link, the server's side of RFC 6455: what comes, and what goes.
//! Opens no WebSocket, and knows nothing of what messages hold.
//!
//! tungstenite, which reads and writes the headers of frames here, would keep a buffer as large as
//! the largest message of each link for as long as that lives; for agents that came back with their
//! tasks that was more than all else that a link takes. Here the links of a thread share one buffer,
//! and a link has one of its own only while a message is there in part.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tepui_protocol::link::MAX_FRAME_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Bytes that wait to be written, from which on they are, whatever else is to follow.
pub(super) const WRITE_BYTES: usize = 64 * 1024;

/// Largest payload of a frame that is not data (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

thread_local! {
    /// What is read goes here first.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Binary(Vec<u8>),
    Text,
    /// To be answered with the same bytes.
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// Why no more messages can come.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error("the connection ended without a Close frame")]
    Ended,
    #[error("{0}")]
    Header(tungstenite::Error),
    #[error("a message of {0} bytes exceeds the limit of {MAX_FRAME_BYTES}")]
    TooLarge(u64),
    #[error("{0}, against RFC 6455")]
    Protocol(&'static str),
}

/// The messages that come on a connection. What was read with the request is their beginning.
pub(super) struct Messages<'a, S> {
    connection: &'a RefCell<S>,
    /// What was read and not looked at; all of it is one message in part, or waits to be asked for.
    rest: Vec<u8>,
    /// Bytes of `rest` that were looked at.
    begin: usize,
    /// The beginning of a message that comes in several frames.
    part: Option<Part>,
    is_over: bool,
}

struct Part {
    is_text: bool,
    bytes: Vec<u8>,
}

impl<'a, S: AsyncRead + Unpin> Messages<'a, S> {
    pub(super) fn new(connection: &'a RefCell<S>, read: Vec<u8>) -> Self {
        Messages {
            connection,
            rest: read,
            begin: 0,
            part: None,
            is_over: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, SocketError>> {
        loop {
            if let Some(message) = self.from_rest()? {
                return Poll::Ready(Ok(message));
            }
            let message = READ.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let mut connection = self.connection.borrow_mut();
                ready!(Pin::new(&mut *connection).poll_read(cx, &mut buffer))?;
                match buffer.filled() {
                    [] => Poll::Ready(Err(SocketError::Ended)),
                    read => Poll::Ready(self.from_read(read)),
                }
            });
            if let Some(message) = ready!(message)? {
                return Poll::Ready(Ok(message));
            }
        }
    }

    /// The next message of what was read before.
    fn from_rest(&mut self) -> Result<Option<Message>, SocketError> {
        while self.begin < self.rest.len() {
            let rest = self.rest.get(self.begin..).unwrap_or_default();
            let Some((length, message)) = next(rest, &mut self.part)? else {
                self.rest.drain(..std::mem::take(&mut self.begin));
                return Ok(None);
            };
            self.begin += length;
            if message.is_some() {
                return Ok(message);
            }
        }
        (self.rest, self.begin) = (Vec::new(), 0);
        Ok(None)
    }

    /// The next message of what was just read, the rest of which is kept.
    fn from_read(&mut self, mut read: &[u8]) -> Result<Option<Message>, SocketError> {
        let mut message = None;
        while self.rest.is_empty() && !read.is_empty() && message.is_none() {
            let Some((length, whole)) = next(read, &mut self.part)? else {
                break;
            };
            message = whole;
            read = read.get(length..).unwrap_or_default();
        }
        self.rest.extend_from_slice(read);
        Ok(message)
    }
}

impl<S: AsyncRead + Unpin> Stream for Messages<'_, S> {
    type Item = Result<Message, SocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let message = ready!(self.poll(cx));
        self.is_over = matches!(message, Ok(Message::Close) | Err(_));
        Poll::Ready(Some(message))
    }
}

/// The length of the first frame, and the message that ends with it; nothing while it is not whole.
fn next(
    read: &[u8],
    part: &mut Option<Part>,
) -> Result<Option<(usize, Option<Message>)>, SocketError> {
    let mut cursor = Cursor::new(read);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(SocketError::Header)?
    else {
        return Ok(None);
    };
    let mask = check(&header, length, part.as_ref())?;
    let body = read.get(cursor.position() as usize..).unwrap_or_default();
    // It is at most MAX_FRAME_BYTES.
    let Some(payload) = body.get(..length as usize) else {
        return Ok(None);
    };
    let frame = read.len() - body.len() + payload.len();
    let mut payload = payload.to_vec();
    unmask(&mut payload, mask);
    let message = match header.opcode {
        OpCode::Control(Control::Ping) => Some(Message::Ping(payload)),
        OpCode::Control(Control::Pong) => Some(Message::Pong),
        OpCode::Control(_) => Some(Message::Close),
        OpCode::Data(kind) => data(kind, payload, header.is_final, part),
    };
    Ok(Some((frame, message)))
}

/// The mask of a frame that may come.
fn check(header: &FrameHeader, length: u64, part: Option<&Part>) -> Result<[u8; 4], SocketError> {
    let so_far = part.map_or(0, |part| part.bytes.len() as u64);
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(SocketError::Protocol("a frame has reserved bits"));
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final || length > MAX_CONTROL_BYTES => {
            return Err(SocketError::Protocol("a control frame is in parts or long"));
        }
        OpCode::Control(_) => {}
        OpCode::Data(_) if length.saturating_add(so_far) > MAX_FRAME_BYTES as u64 => {
            return Err(SocketError::TooLarge(length.saturating_add(so_far)));
        }
        OpCode::Data(Data::Continue) if part.is_none() => {
            return Err(SocketError::Protocol("a frame continues no message"));
        }
        OpCode::Data(Data::Continue) => {}
        OpCode::Data(_) if part.is_some() => {
            return Err(SocketError::Protocol("a message begins within another"));
        }
        OpCode::Data(_) => {}
    }
    header
        .mask
        .ok_or(SocketError::Protocol("a client's frame has no mask"))
}

/// The message that ends with this frame of data, or none, if it goes on.
fn data(kind: Data, payload: Vec<u8>, is_final: bool, part: &mut Option<Part>) -> Option<Message> {
    let whole = match part.take() {
        Some(mut part) => {
            part.bytes.extend_from_slice(&payload);
            part
        }
        None => Part {
            is_text: kind == Data::Text,
            bytes: payload,
        },
    };
    match (is_final, whole.is_text) {
        (false, _) => {
            *part = Some(whole);
            None
        }
        (true, true) => Some(Message::Text),
        (true, false) => Some(Message::Binary(whole.bytes)),
    }
}

/// Takes the mask off (RFC 6455, section 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = payload.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// What is to be written on a connection.
pub(super) struct Sink<'a, S> {
    connection: &'a RefCell<S>,
    waiting: Vec<u8>,
    /// Bytes of it that are written.
    written: usize,
}

impl<'a, S: AsyncWrite + Unpin> Sink<'a, S> {
    pub(super) fn new(connection: &'a RefCell<S>) -> Self {
        Sink {
            connection,
            waiting: Vec::new(),
            written: 0,
        }
    }

    /// Has a frame wait to be written, and tells how many bytes do.
    pub(super) fn add(&mut self, frame: Frame) -> usize {
        // The header's length is known, and writing to memory cannot fail.
        let _ = frame.format(&mut self.waiting);
        self.waiting.len()
    }

    /// Writes what waits. It goes on where it was if this is given up in between.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while self.written < self.waiting.len() {
            let waiting = self.waiting.get(self.written..).unwrap_or_default();
            let written = poll_fn(|cx| {
                let mut connection = self.connection.borrow_mut();
                Pin::new(&mut *connection).poll_write(cx, waiting)
            });
            match written.await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        // Nothing is kept for the next time: there are as many of these as agents.
        (self.waiting, self.written) = (Vec::new(), 0);
        poll_fn(|cx| Pin::new(&mut *self.connection.borrow_mut()).poll_flush(cx)).await
    }

    /// Writes what waits and a Close frame, and ends the connection.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.add(Frame::close(None));
        self.flush().await?;
        poll_fn(|cx| Pin::new(&mut *self.connection.borrow_mut()).poll_shutdown(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message as ClientMessage;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    const MASK: [u8; 4] = [0x11, 0x80, 0, 0xff];

    /// A client's frame with a first byte of its own.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ ..126 => bytes.push(0x80 | length as u8),
            length @ ..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    /// Two ends of a connection that holds so many bytes.
    fn pair(capacity: usize) -> (RefCell<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(capacity);
        (RefCell::new(server), client)
    }

    /// All that comes of these bytes, after which the client is gone.
    async fn all(read: &[u8], then: Vec<u8>) -> Vec<Result<Message, String>> {
        let (server, mut client) = pair(1_000);
        actix::spawn(async move {
            let _ = client.write_all(&then).await;
        });
        let messages = Messages::new(&server, read.to_vec());
        let text = |message: Result<Message, SocketError>| message.map_err(|e| e.to_string());
        messages.map(text).collect().await
    }

    #[actix::test]
    async fn messages_are_the_same_however_they_are_cut() {
        let long = payload(70_000);
        let frames = [
            frame(0x82, b"one"),
            frame(0x82, b""),
            frame(0x82, &payload(200)),
            frame(0x89, b"ping"),
            frame(0x8a, b""),
            // One message in three frames, with a ping between them.
            frame(0x02, &payload(9)),
            frame(0x00, b"mid"),
            frame(0x89, b""),
            frame(0x80, b"end"),
            frame(0x01, b"te"),
            frame(0x80, b"xt"),
            frame(0x82, &long),
            frame(0x88, &[3, 232]),
            frame(0x82, b"after the end"),
        ]
        .concat();
        let expected = [
            Message::Binary(b"one".to_vec()),
            Message::Binary(Vec::new()),
            Message::Binary(payload(200)),
            Message::Ping(b"ping".to_vec()),
            Message::Pong,
            Message::Ping(Vec::new()),
            Message::Binary([&payload(9)[..], b"midend"].concat()),
            Message::Text,
            Message::Binary(long),
            Message::Close,
        ]
        .map(Ok);
        for cut in (0..600).chain([50_000, frames.len()]) {
            let (read, then) = frames.split_at(cut);
            assert_eq!(all(read, then.to_vec()).await, expected, "cut at {cut}");
        }
        let (server, mut client) = pair(1);
        let writing = actix::spawn(async move {
            let _ = client.write_all(&frames).await;
        });
        let messages = Messages::new(&server, Vec::new());
        let messages: Vec<_> = messages
            .map(|message| message.map_err(drop))
            .collect()
            .await;
        writing.abort();
        assert_eq!(messages, expected.map(|message| message.map_err(drop)));
    }

    #[actix::test]
    async fn what_breaks_the_protocol_ends_the_messages() {
        let unmasked = vec![0x82, 1, b'a'];
        let too_large = |first: u8, length: usize| {
            let mut bytes = vec![first, 0x80 | 127];
            bytes.extend((length as u64).to_be_bytes());
            [bytes, MASK.to_vec()].concat()
        };
        let limit = MAX_FRAME_BYTES;
        let parts = [frame(0x02, b"1"), too_large(0x80, limit)].concat();
        let cases = [
            (unmasked, "a client's frame has no mask"),
            (frame(0xc2, b""), "a frame has reserved bits"),
            (frame(0x83, b""), "opcode"),
            (frame(0x8b, b""), "opcode"),
            (frame(0x09, b""), "a control frame is in parts"),
            (frame(0x89, &payload(126)), "a control frame is in parts"),
            (frame(0x80, b""), "a frame continues no message"),
            (
                [frame(0x02, b""), frame(0x82, b"")].concat(),
                "a message begins within another",
            ),
            (too_large(0x82, limit + 1), "exceeds the limit"),
            (too_large(0x82, usize::MAX), "exceeds the limit"),
            (parts, "exceeds the limit"),
            (frame(0x82, b"abc")[..5].to_vec(), "without a Close frame"),
            (Vec::new(), "without a Close frame"),
        ];
        for (bytes, expected) in cases {
            let told = all(b"", bytes.clone()).await;
            let [Err(error)] = &told[..] else {
                panic!("{bytes:?}: {told:?}");
            };
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }

    #[actix::test]
    async fn nothing_is_kept_of_what_came_and_went() {
        let (server, mut client) = pair(1 << 20);
        let mut messages = Messages::new(&server, Vec::new());
        let mut sink = Sink::new(&server);
        let large = frame(0x82, &payload(300_000));
        client.write_all(&large).await.unwrap();
        client.write_all(&large[..100_000]).await.unwrap();
        messages.next().await.unwrap().unwrap();
        client.write_all(&large[100_000..]).await.unwrap();
        messages.next().await.unwrap().unwrap();
        assert!(futures_util::poll!(messages.next()).is_pending());
        assert_eq!(messages.rest.capacity(), 0);
        let kind = OpCode::Data(Data::Binary);
        assert!(sink.add(Frame::message(payload(300_000), kind, true)) > 300_000);
        sink.flush().await.unwrap();
        assert_eq!(sink.waiting.capacity(), 0);
    }

    #[actix::test]
    async fn a_client_is_understood_and_understands() {
        let (server, client) = pair(100);
        let echo = async {
            let mut messages = Messages::new(&server, Vec::new());
            let mut sink = Sink::new(&server);
            while let Some(message) = messages.next().await {
                sink.add(match message.unwrap() {
                    Message::Binary(bytes) => {
                        Frame::message(bytes, OpCode::Data(Data::Binary), true)
                    }
                    Message::Ping(bytes) => Frame::pong(bytes),
                    Message::Close => return sink.close().await.unwrap(),
                    other => panic!("{other:?}"),
                });
                sink.flush().await.unwrap();
            }
        };
        let talk = async {
            let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
            for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
                let sent = ClientMessage::Binary(payload(length).into());
                client.send(sent.clone()).await.unwrap();
                assert_eq!(client.next().await.unwrap().unwrap(), sent);
            }
            let ping = ClientMessage::Ping("there?".into());
            client.send(ping).await.unwrap();
            let pong = ClientMessage::Pong("there?".into());
            assert_eq!(client.next().await.unwrap().unwrap(), pong);
            client.close(None).await.unwrap();
            let end = client.next().await.unwrap().unwrap();
            assert_eq!(end, ClientMessage::Close(None));
            assert!(client.next().await.is_none());
        };
        tokio::join!(echo, talk);
    }

    #[actix::test]
    async fn a_flush_that_was_given_up_goes_on_where_it_was() {
        let (server, client) = pair(10);
        let mut sink = Sink::new(&server);
        sink.add(Frame::message(
            payload(100),
            OpCode::Data(Data::Binary),
            true,
        ));
        assert!(futures_util::poll!(Box::pin(sink.flush())).is_pending());
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let (closed, first) = tokio::join!(sink.close(), client.next());
        let first = first.unwrap().unwrap();
        assert_eq!(first, ClientMessage::Binary(payload(100).into()));
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            ClientMessage::Close(None)
        );
        closed.unwrap();
    }
}
