//! A master under test, and an HTTP client that sees every byte and every chunk.
//! Checks nothing itself.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tepui_actors::flags::{self, Parsed};
use tepui_actors::master::{Running, run};

/// An answer that takes longer will never come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A master that ends with its test.
pub struct Master {
    running: Option<Running>,
    pub address: SocketAddr,
}

impl Master {
    /// Starts one on a free port, ready to serve.
    pub fn start() -> Master {
        Master::with(&[])
    }

    /// Starts one with these flags besides.
    pub fn with(extra: &[&str]) -> Master {
        let mut args = vec!["--ip=127.0.0.1", "--hostname=localhost", "--port=0"];
        args.extend(extra);
        if !extra.contains(&"--registry=file") {
            args.push("--registry=in_memory");
        }
        let args = args.into_iter().map(OsString::from);
        let Ok(Parsed::Run(config)) = flags::master(args, std::iter::empty()) else {
            panic!("flags must be right");
        };
        let running = run(config).unwrap();
        let master = Master {
            address: running.address(),
            running: Some(running),
        };
        // Until the registry was read, calls are answered 503.
        let framework = json!({"type": "TEARDOWN", "framework_id": {"value": "none"}});
        while master.call(&framework, None).status == 503 {}
        master
    }

    /// Opens a connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Sends one request on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut connection = self.connect();
        connection.send(&request(method, path, headers, body));
        connection.response()
    }

    /// GETs a path.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// Makes a scheduler call in JSON.
    pub fn call(&self, call: &Value, stream: Option<&str>) -> Response {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(stream.map(|stream| ("Mesos-Stream-Id", stream)));
        self.request(
            "POST",
            "/api/v1/scheduler",
            &headers,
            call.to_string().as_bytes(),
        )
    }

    /// Subscribes a framework in JSON.
    pub fn subscribe(&self, call: &Value) -> Subscription {
        Subscription::open(self, call)
    }

    /// The state, once it is as wanted: while the master is busy, readers see it a little late.
    pub fn state_when(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let tries = 10_000;
        let mut states = (0..tries).map(|_| self.get("/state").json());
        states
            .find(wanted)
            .expect("the state must become as wanted")
    }

    /// Ends the master.
    pub fn stop(mut self) {
        self.running.take().unwrap().stop().unwrap();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop();
        }
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: master\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let chunked = headers.iter().any(|(name, _)| *name == "Transfer-Encoding");
    let counted = headers.iter().any(|(name, _)| *name == "Content-Length");
    let empty = method == "GET" && body.is_empty();
    if !(chunked || counted || empty) {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection, read byte by byte.
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Connection { stream, reader }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes to a server that may have closed the connection already.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads the head of an answer; its body is empty yet.
    pub fn head(&mut self) -> Response {
        let status_line = self.line();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in '{status_line}'"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Response {
                    status,
                    headers,
                    body: Vec::new(),
                };
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads a whole answer.
    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        if response.header("Transfer-Encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                response.body.extend(chunk);
            }
        } else {
            let length = response
                .header("Content-Length")
                .map_or(0, |text| text.parse().unwrap());
            response.body = vec![0; length];
            self.reader.read_exact(&mut response.body).unwrap();
        }
        response
    }

    /// Reads one chunk; none at the end of the answer.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut chunk = vec![0; length];
        self.reader.read_exact(&mut chunk).unwrap();
        assert_eq!(self.line(), "");
        (length > 0).then_some(chunk)
    }

    /// Reads until the server closes the connection.
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "connection ended within '{line}'");
        line.trim_end().to_owned()
    }
}

/// A framework's event stream in JSON.
pub struct Subscription {
    pub connection: Connection,
    pub head: Response,
    pub stream: String,
    pub framework_id: String,
}

impl Subscription {
    fn open(master: &Master, call: &Value) -> Subscription {
        let mut connection = master.connect();
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        ];
        let body = call.to_string();
        connection.send(&request(
            "POST",
            "/api/v1/scheduler",
            &headers,
            body.as_bytes(),
        ));
        let head = connection.head();
        assert_eq!(head.status, 200, "{head:?}");
        let stream = head.header("Mesos-Stream-Id").unwrap().to_owned();
        let mut subscription = Subscription {
            connection,
            head,
            stream,
            framework_id: String::new(),
        };
        let event = subscription.any_event().expect("an event must come");
        let id = &event["subscribed"]["framework_id"]["value"];
        subscription.framework_id = id.as_str().unwrap_or_else(|| panic!("{event}")).to_owned();
        subscription
    }

    /// The next event, heartbeats included; none when the stream has ended.
    pub fn any_event(&mut self) -> Option<Value> {
        let chunk = self.connection.chunk()?;
        let border = chunk.iter().position(|byte| *byte == b'\n').unwrap();
        let (length, record) = chunk.split_at(border);
        let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
        let record = &record[1..];
        assert_eq!(
            record.len(),
            length,
            "one chunk must hold exactly one record"
        );
        Some(serde_json::from_slice(record).unwrap())
    }

    /// The next event of this type; other ones are skipped.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self
                .any_event()
                .unwrap_or_else(|| panic!("stream ended before {kind}"));
            if event["type"] == kind {
                return event;
            }
        }
    }
}

/// A SUBSCRIBE call of a new framework.
pub fn new_framework(name: &str) -> Value {
    json!({
        "type": "SUBSCRIBE",
        "subscribe": {"framework_info": {"user": "root", "name": name}}
    })
}
