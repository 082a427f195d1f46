//! Tests of the driver against a master that is played step by step over real sockets.
//! Nothing here depends on how long something takes; the real master is driven in actors/tests.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tepui_protocol::{recordio, v1, wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use v1::scheduler::{Call, Event, call, event};

use super::*;

mod calls;
mod streams;

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(120);

/// A master that does only what its test says.
struct Played {
    listener: TcpListener,
}

/// One connection to it.
struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
}

/// A request with its call.
struct Request {
    head: String,
    call: Call,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Played {
    async fn start() -> Played {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Played { listener }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let buffer = BytesMut::new();
        Peer { stream, buffer }
    }

    /// Takes a SUBSCRIBE and grants it, with heartbeats promised as often as given.
    async fn grant(&self, heartbeats: Option<f64>) -> (Peer, Request) {
        let mut peer = self.accept().await;
        let request = peer.request().await.unwrap();
        assert_eq!(request.call.r#type(), call::Type::Subscribe);
        assert_eq!(request.header("Mesos-Stream-Id"), None);
        peer.grant().await;
        peer.event(&subscribed(heartbeats)).await;
        (peer, request)
    }

    fn settings(&self) -> Settings {
        settings_for(&self.address())
    }
}

impl Peer {
    /// The next request; none when the connection has ended.
    async fn request(&mut self) -> Option<Request> {
        loop {
            if let Some(request) = self.take_request() {
                return Some(request);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    fn take_request(&mut self) -> Option<Request> {
        let end = self.buffer.windows(4).position(|end| end == b"\r\n\r\n")?;
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if self.buffer.len() < end + 4 + length {
            return None;
        }
        self.buffer.advance(end + 4);
        let body = self.buffer.split_to(length);
        let call = wire::decode(&body).unwrap();
        Some(Request { head, call })
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Answers with a status, a header and a text.
    async fn answer(&mut self, status: u16, header: &str, text: &str) {
        let length = text.len();
        let answer =
            format!("HTTP/1.1 {status} X\r\n{header}Content-Length: {length}\r\n\r\n{text}");
        self.send(answer.as_bytes()).await;
    }

    /// Takes so many calls and says yes to each.
    async fn take_calls(&mut self, count: usize) -> Vec<Call> {
        let mut calls = Vec::new();
        for _ in 0..count {
            calls.push(self.request().await.unwrap().call);
            self.answer(202, "", "").await;
        }
        calls
    }

    /// Begins an event stream.
    async fn grant(&mut self) {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: S-1\r\n\r\n";
        self.send(head.as_bytes()).await;
    }

    async fn chunk(&mut self, bytes: &[u8]) {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk).await;
    }

    async fn event(&mut self, event: &Event) {
        self.chunk(&recordio::encode(&wire::encode(event))).await;
    }

    /// Waits for the end of the connection.
    async fn ended(mut self) {
        assert!(self.request().await.is_none(), "nothing more may be sent");
    }
}

fn settings_for(master: &str) -> Settings {
    Settings {
        master: MasterUrl::read(master).unwrap(),
        registration: Registration {
            framework_info: v1::FrameworkInfo {
                user: "u".to_owned(),
                name: "n".to_owned(),
                ..Default::default()
            },
            ..Default::default()
        },
        credentials: None,
        seed: [7; 32],
        limits: Limits {
            connect: LONG,
            subscribe: LONG,
            answer: LONG,
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(10),
            ..Limits::default()
        },
    }
}

/// A driver and what it tells.
struct Driven {
    handle: DriverHandle,
    events: mpsc::Receiver<DriverEvent>,
}

impl Driven {
    fn start(settings: Settings) -> Driven {
        let (sender, events) = mpsc::channel(1);
        let handle = Driver::start(settings, sender);
        Driven { handle, events }
    }

    async fn next(&mut self) -> DriverEvent {
        self.events.recv().await.expect("the driver must live")
    }

    async fn subscribed(&mut self) -> bool {
        match self.next().await {
            DriverEvent::Subscribed {
                framework_id,
                first,
                ..
            } => {
                assert_eq!(framework_id.value, "F-1");
                first
            }
            other => panic!("not SUBSCRIBED: {other:?}"),
        }
    }

    async fn disconnected(&mut self) -> String {
        match self.next().await {
            DriverEvent::Disconnected { why } => why,
            other => panic!("not disconnected: {other:?}"),
        }
    }

    /// The driver's last word.
    async fn error(&mut self) -> String {
        let text = match self.next().await {
            DriverEvent::Error(text) => text,
            other => panic!("no error: {other:?}"),
        };
        assert_eq!(self.events.recv().await, None, "nothing follows");
        assert_eq!(self.handle.revive(vec![]), Err(CallError::Ended));
        text
    }
}

fn subscribed(heartbeats: Option<f64>) -> Event {
    let framework_id = v1::FrameworkId {
        value: "F-1".to_owned(),
    };
    Event {
        subscribed: Some(event::Subscribed {
            framework_id,
            heartbeat_interval_seconds: heartbeats,
            ..Default::default()
        }),
        ..typed(event::Type::Subscribed)
    }
}

fn typed(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind.into()),
        ..Default::default()
    }
}

fn rescind(id: &str) -> Event {
    Event {
        rescind: Some(event::Rescind {
            offer_id: offer_id(id),
        }),
        ..typed(event::Type::Rescind)
    }
}

fn error(text: &str) -> Event {
    let message = text.to_owned();
    Event {
        error: Some(event::Error { message }),
        ..typed(event::Type::Error)
    }
}

fn status(task: &str) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task_id(task),
        state: v1::TaskState::TaskRunning.into(),
        agent_id: Some(v1::AgentId {
            value: "S".to_owned(),
        }),
        uuid: Some(vec![1; 16]),
        ..Default::default()
    }
}

fn update(status: v1::TaskStatus) -> Event {
    Event {
        update: Some(event::Update { status }),
        ..typed(event::Type::Update)
    }
}

fn offer_id(id: &str) -> v1::OfferId {
    v1::OfferId {
        value: id.to_owned(),
    }
}

fn task_id(id: &str) -> v1::TaskId {
    v1::TaskId {
        value: id.to_owned(),
    }
}

/// The tasks of KILL calls, the types of others.
fn names(calls: &[Call]) -> Vec<String> {
    let name = |call: &Call| match &call.kill {
        Some(kill) => kill.task_id.value.clone(),
        None => call.r#type().as_str_name().to_owned(),
    };
    calls.iter().map(name).collect()
}
