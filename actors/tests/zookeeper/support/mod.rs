//! Real ZooKeeper servers for tests, and a proxy that breaks connections to them.
//! Skips nothing: a missing component fails the test with the name of its package.

#![allow(dead_code, missing_docs)]

pub mod proxy;

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tepui_actors::election::session::{Connection, SessionState};
use tepui_actors::election::{Session, ZkUrl};
use tepui_protocol::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use zookeeper_client::Client;

pub const JAR: &str = "/usr/share/java/zookeeper.jar";

/// With it the server says why it does not start.
pub const CLASS_PATH: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar";

/// Longest wait for anything; only a failing test reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Session timeout of tests that wait for its end: no shorter than a busy machine may pause.
pub const SHORT: Duration = Duration::from_secs(6);

/// One ensemble on this machine; its servers end with it.
pub struct Ensemble {
    servers: Vec<Server>,
    _dir: tempfile::TempDir,
}

pub struct Server {
    dir: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Ensemble {
    /// Starts one server, or several that form a quorum, and waits until they serve.
    pub async fn start(count: usize) -> Ensemble {
        log_to_tests();
        assert!(
            Path::new(JAR).exists(),
            "{JAR} is missing; install the Debian package zookeeper"
        );
        let dir = tempfile::tempdir().expect("directory");
        let ports = free_ports(count * 3);
        let (clients, peers) = ports.split_at(count);
        let members: String = (0..count)
            .filter(|_| count > 1)
            .map(|at| {
                let (first, second) = (peers[2 * at], peers[2 * at + 1]);
                format!("server.{}=127.0.0.1:{first}:{second}\n", at + 1)
            })
            .collect();
        let mut servers = Vec::new();
        for (at, port) in clients.iter().enumerate() {
            let dir = dir.path().join(format!("server{at}"));
            std::fs::create_dir_all(dir.join("data")).expect("directory");
            std::fs::write(dir.join("data/myid"), (at + 1).to_string()).expect("myid");
            let config = format!(
                "tickTime=500\nmaxSessionTimeout=60000\ninitLimit=20\nsyncLimit=10\ndataDir={}\n\
                 clientPortAddress=127.0.0.1\nclientPort={port}\nadmin.enableServer=false\n\
                 4lw.commands.whitelist=*\n{members}",
                dir.join("data").display()
            );
            std::fs::write(dir.join("zoo.cfg"), config).expect("configuration");
            let mut server = Server {
                dir,
                port: *port,
                process: None,
            };
            server.spawn();
            servers.push(server);
        }
        let ensemble = Ensemble { servers, _dir: dir };
        for server in &ensemble.servers {
            server.serves().await;
        }
        ensemble
    }

    pub fn server(&mut self, at: usize) -> &mut Server {
        &mut self.servers[at]
    }

    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.servers.iter().map(Server::host).collect();
        hosts.join(",")
    }

    pub fn url(&self, path: &str) -> ZkUrl {
        url(&format!("zk://{}{path}", self.hosts()))
    }

    /// A client beside those under test.
    pub async fn client(&self) -> Client {
        let hosts = self.hosts();
        timeout(PATIENCE, Client::connect(&hosts))
            .await
            .expect("a connection in time")
            .expect("a connection")
    }
}

impl Server {
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn spawn(&mut self) {
        let log = File::create(self.dir.join("log")).expect("log");
        let process = Command::new("java")
            .args(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .args([
                "-cp",
                CLASS_PATH,
                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            ])
            .arg(self.dir.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("java must be there; install the Debian package default-jre-headless");
        self.process = Some(process);
    }

    /// Waits until this server answers clients.
    pub async fn serves(&self) {
        let serves = async {
            // A server says nothing when it begins to serve, so it has to be asked.
            while !self.status().await.contains("Mode:") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, serves).await.is_err() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            panic!("zookeeper does not start: {log}");
        }
    }

    /// What the server says about itself; nothing when it does not answer.
    pub async fn status(&self) -> String {
        self.ask(b"srvr").await
    }

    /// The sessions connected to the server.
    pub async fn connections(&self) -> String {
        self.ask(b"cons").await
    }

    async fn ask(&self, command: &[u8]) -> String {
        let mut answer = String::new();
        let asked = async {
            let mut stream = TcpStream::connect(self.host()).await?;
            stream.write_all(command).await?;
            stream.read_to_string(&mut answer).await
        };
        // Asked while it starts, a server may neither answer nor hang up.
        match timeout(Duration::from_secs(1), asked).await {
            Ok(Ok(_)) => answer,
            Ok(Err(_)) | Err(_) => String::new(),
        }
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("a running server");
        let pid = i32::try_from(process.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("killed");
            process.wait().expect("ended");
        }
    }

    pub async fn restart(&mut self) {
        self.kill();
        self.spawn();
        self.serves().await;
    }

    pub fn start_again(&mut self) {
        self.spawn();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports below those the system hands out by itself: while a server is down, a client that tries
/// to reach it at one of those may connect to itself.
fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut ports = Vec::new();
    while ports.len() < count {
        let next = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(16_384 + next % 16_000).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}

fn log_to_tests() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| "tepui_actors=debug".into());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
}

pub fn url(text: &str) -> ZkUrl {
    text.parse().expect("a url")
}

/// A session that no test outlives.
pub fn open(url: ZkUrl) -> Session {
    Session::open(url, PATIENCE)
}

/// A session that expires soon when the ensemble is out of reach.
pub fn open_short(url: ZkUrl) -> Session {
    Session::open(url, SHORT)
}

pub fn master(name: &str) -> v1::MasterInfo {
    v1::MasterInfo {
        id: format!("id-{name}"),
        ip: 16_777_343,
        port: 5050,
        pid: Some(format!("master@{name}:5050")),
        hostname: Some(name.to_owned()),
        ..v1::MasterInfo::default()
    }
}

/// Waits for a value that is as wanted, and returns it.
pub async fn until<T: Clone + std::fmt::Debug>(
    receiver: &mut watch::Receiver<T>,
    what: &str,
    wanted: impl FnMut(&T) -> bool,
) -> T {
    let found = timeout(PATIENCE, receiver.wait_for(wanted)).await;
    let found = found.map(|found| found.expect("a sender").clone());
    match found {
        Ok(found) => found,
        Err(_) => panic!(
            "not within {PATIENCE:?}: {what}; it is {:?}",
            *receiver.borrow()
        ),
    }
}

pub async fn connected(session: &Session) -> Connection {
    let connected = timeout(PATIENCE, session.connected()).await;
    connected.expect("connected in time").expect("connected")
}

pub async fn until_state(
    session: &Session,
    what: &str,
    wanted: impl FnMut(&SessionState) -> bool,
) -> SessionState {
    until(&mut session.watch(), what, wanted).await
}
