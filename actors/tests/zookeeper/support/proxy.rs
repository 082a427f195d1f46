//! A proxy between a client and a server that breaks the connection around a chosen request.
//! Knows of the protocol only where a request has its kind and its path.

use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::PATIENCE;

/// Kind of the request that sets data.
pub const SET_DATA: i32 = 5;

/// Kind of the request that creates a node, in its oldest form.
pub const CREATE: i32 = 1;

/// Kind of the request that reads data.
pub const GET_DATA: i32 = 4;

/// Kind of the request that lists children.
pub const GET_CHILDREN: i32 = 8;

/// When to break the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The server never gets the request.
    Before,
    /// The server carries the request out; its answer never arrives.
    After,
}

#[derive(Debug, Clone)]
struct Trap {
    kind: i32,
    path: String,
    when: Break,
    shut: bool,
}

/// Ends with the runtime of its test.
pub struct Proxy {
    port: u16,
    trap: Arc<Mutex<Option<Trap>>>,
    /// While it is false, new connections have to wait.
    open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub async fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let trap: Arc<Mutex<Option<Trap>>> = Arc::default();
        let open = Arc::new(watch::Sender::new(true));
        let (traps, gate) = (trap.clone(), open.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                let (traps, gate) = (traps.clone(), gate.clone());
                tokio::spawn(async move {
                    let opened = gate.subscribe().wait_for(|open| *open).await.map(|_| ());
                    opened.expect("a gate");
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                        relay(client, server, &traps, &gate).await;
                    }
                });
            }
        });
        Proxy { port, trap, open }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Breaks the connection around the next request of this kind to a path that starts so.
    pub fn arm(&self, kind: i32, path: &str, when: Break) {
        self.set(kind, path, when, false);
    }

    /// The same, and lets nobody connect again until [`Proxy::reopen`].
    pub fn arm_and_shut(&self, kind: i32, path: &str, when: Break) {
        self.set(kind, path, when, true);
    }

    fn set(&self, kind: i32, path: &str, when: Break, shut: bool) {
        let path = path.to_owned();
        *self.trap.lock().expect("a trap") = Some(Trap {
            kind,
            path,
            when,
            shut,
        });
    }

    /// Waits until the trap has gone off and the connection is about to break.
    pub async fn shut(&self) {
        let mut open = self.open.subscribe();
        let shut = timeout(PATIENCE, open.wait_for(|open| !*open)).await;
        shut.expect("shut in time").expect("a gate");
    }

    pub fn reopen(&self) {
        self.open.send_replace(true);
    }

    /// True when the trap has gone off, or there was none.
    pub fn sprung(&self) -> bool {
        self.trap.lock().expect("a trap").is_none()
    }
}

/// Relays until either side ends or the trap goes off; then both connections end.
async fn relay(
    client: TcpStream,
    server: TcpStream,
    trap: &Mutex<Option<Trap>>,
    gate: &watch::Sender<bool>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The answer that must not arrive.
    let swallowed: Mutex<Option<i32>> = Mutex::new(None);
    let shut = Mutex::new(false);
    let requests = async {
        let mut connected = false;
        while let Some(frame) = read_frame(&mut from_client).await {
            // The first frame of a connection has no kind.
            let sprung = connected.then(|| spring(&frame, trap)).flatten();
            connected = true;
            if let Some(trap) = sprung {
                *shut.lock().expect("a flag") = trap.shut;
                match trap.when {
                    Break::Before => return,
                    Break::After => *swallowed.lock().expect("a number") = Some(xid(&frame)),
                }
            }
            if to_server.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut connected = false;
        while let Some(frame) = read_frame(&mut from_server).await {
            let swallowed = *swallowed.lock().expect("a number");
            if connected && swallowed == Some(xid(&frame)) {
                return;
            }
            connected = true;
            if to_client.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
    if shut.into_inner().expect("a flag") {
        gate.send_replace(false);
    }
}

/// A message with the four bytes of its length in front.
async fn read_frame(from: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let length = from.read_i32().await.ok()?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + usize::try_from(length).ok()?, 0);
    from.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}

fn number(frame: &[u8], at: usize) -> i32 {
    let bytes = frame
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, i32::from_be_bytes)
}

fn xid(frame: &[u8]) -> i32 {
    number(frame, 4)
}

fn spring(frame: &[u8], trap: &Mutex<Option<Trap>>) -> Option<Trap> {
    let mut trap = trap.lock().expect("a trap");
    // Length, number, kind, then the path with its length in front.
    let sprung = trap.as_ref().is_some_and(|trap| {
        let path = frame.get(16..).unwrap_or_default();
        number(frame, 8) == trap.kind && path.starts_with(trap.path.as_bytes())
    });
    sprung.then(|| trap.take()).flatten()
}
