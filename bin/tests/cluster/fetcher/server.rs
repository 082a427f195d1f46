//! A small HTTP server whose answers tests choose, also wrong ones.
//! Knows nothing of agents.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a path is answered with.
#[derive(Debug, Clone)]
pub enum Serve {
    /// This content.
    Content(Vec<u8>),
    /// Only the head and the first bytes of what was announced, then the end.
    CutAfter(usize, Vec<u8>),
    /// Only the head and the first bytes; then silence.
    Silent(Vec<u8>),
    /// Go there.
    Redirect(String),
    /// This status and nothing else.
    Status(u16),
}

type Requests = Arc<Mutex<Vec<String>>>;

/// A running server; its thread ends with the test's process.
pub struct Server {
    address: SocketAddr,
    /// Methods and paths as they came.
    requests: Requests,
}

impl Server {
    pub fn start(paths: impl IntoIterator<Item = (&'static str, Serve)>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
        let address = listener.local_addr().expect("address");
        let paths: BTreeMap<_, _> = paths.into_iter().collect();
        let paths = Arc::new(paths);
        let requests = Requests::default();
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (paths, seen) = (paths.clone(), seen.clone());
                std::thread::spawn(move || answer(stream, &paths, &seen));
            }
        });
        Server { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often something was asked for in this way.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let wanted = format!("{method} {path}");
        let requests = self.requests.lock().expect("requests");
        requests.iter().filter(|seen| **seen == wanted).count()
    }
}

fn answer(mut stream: TcpStream, paths: &BTreeMap<&'static str, Serve>, seen: &Requests) {
    let mut lines = BufReader::new(stream.try_clone().expect("stream")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let _head: Vec<_> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let mut words = first.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    seen.lock()
        .expect("requests")
        .push(format!("{method} {path}"));
    let head = |status: &str, more: String| {
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n")
    };
    let length = |size: usize| format!("Content-Length: {size}\r\n");
    let (head, body) = match paths.get(path) {
        Some(Serve::Content(body)) => (head("200 OK", length(body.len())), body.as_slice()),
        Some(Serve::CutAfter(count, body)) => (head("200 OK", length(body.len())), &body[..*count]),
        Some(Serve::Silent(begin)) => (head("200 OK", length(1 << 20)), begin.as_slice()),
        Some(Serve::Redirect(to)) => (head("302 Found", format!("Location: {to}\r\n")), &[][..]),
        Some(Serve::Status(code)) => (head(&format!("{code} X"), length(0)), &[][..]),
        None => (head("404 Not Found", length(0)), &[][..]),
    };
    // Whoever hangs up while it is answered is counted all the same.
    let _ = stream.write_all(head.as_bytes());
    if method == "HEAD" {
        return;
    }
    let _ = stream.write_all(body);
    if matches!(paths.get(path), Some(Serve::Silent(_))) {
        // Until the other side has had enough.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
}
