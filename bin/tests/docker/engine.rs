//! The Docker Engine of this machine, and images made for tests: no registry is asked for any.
//! Knows nothing of clusters.
//!
//! Where no Engine answers at its usual socket, `dockerd` is started in a session of its own, with
//! its log in `/var/log/tepui-dockerd.log`; it stays for the next test.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::cluster::until;

/// Where the Engine listens.
pub const SOCKET: &str = "/var/run/docker.sock";

/// The image of all tests.
pub const IMAGE: &str = "tepui-test/busybox:1";

/// What the image's files are made of.
const BUSYBOX: &str = "/bin/busybox";

/// The programs that the image has.
const APPLETS: &[&str] = &[
    "sh", "cat", "echo", "env", "false", "head", "hostname", "httpd", "id", "nc", "sleep", "tail",
    "true", "ulimit", "wget",
];

/// Sees to it that there are an Engine and the image.
pub fn ready() {
    if !answers() {
        start();
        until("the Docker Engine", || answers().then_some(()));
    }
    let (status, _) = ask("GET", &format!("/images/{IMAGE}/json"), "", b"");
    if status != 200 {
        make_image(SOCKET);
    }
}

/// An Engine of one test, which can be ended without harm to others. It has no networks but that of
/// the host.
pub struct Own {
    dir: tempfile::TempDir,
    dockerd: Child,
    /// Whether it takes up containers that have outlived it; else it ends them.
    restores: bool,
}

impl Own {
    pub fn start() -> Own {
        Own::with(false)
    }

    /// One that takes up containers that have outlived it.
    pub fn that_restores() -> Own {
        Own::with(true)
    }

    fn with(restores: bool) -> Own {
        let dir = tempfile::tempdir().expect("a directory");
        let dockerd = Own::run(&dir, restores);
        let own = Own {
            dir,
            dockerd,
            restores,
        };
        own.wait();
        make_image(&own.socket());
        own
    }

    pub fn socket(&self) -> String {
        self.dir.path().join("docker.sock").display().to_string()
    }

    fn run(dir: &tempfile::TempDir, restores: bool) -> Child {
        let path = |name: &str| dir.path().join(name).display().to_string();
        let log = std::fs::File::create(path("log")).expect("a log");
        // In a network of its own: one without a bridge takes the machine's bridge away.
        let started = Command::new("unshare")
            .args(["--net", "dockerd"])
            .arg(format!("--host=unix://{}", path("docker.sock")))
            .arg(format!("--data-root={}", path("data")))
            .arg(format!("--exec-root={}", path("exec")))
            .arg(format!("--pidfile={}", path("pid")))
            .arg(format!("--live-restore={restores}"))
            .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn();
        started.expect("dockerd must be installed: on Debian, 'apt-get install docker.io'")
    }

    fn wait(&self) {
        let socket = self.socket();
        until("the test's own Docker Engine", || {
            let answer = try_ask(&socket, "GET", "/_ping", "", b"");
            answer.is_ok_and(|(status, _)| status == 200).then_some(())
        });
    }

    /// Ends it as a crash would, with the containerd that it has started, which would not get far
    /// without it; its containers go on.
    pub fn crash(&mut self) {
        self.dockerd.kill().expect("signal");
        self.dockerd.wait().expect("its end");
        let file = self.dir.path().join("exec/containerd/containerd.pid");
        let pid = std::fs::read_to_string(file).expect("the pid of containerd");
        let pid = Pid::from_raw(pid.trim().parse().expect("a pid"));
        until("the end of containerd", || {
            kill(pid, Signal::SIGKILL).is_err().then_some(())
        });
    }

    /// Stops it in the middle of whatever it does: it takes connections, and does not answer.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Has it go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.dockerd.id()).expect("pid");
        kill(Pid::from_raw(pid), signal).expect("signal");
    }

    pub fn start_again(&mut self) {
        self.dockerd = Own::run(&self.dir, self.restores);
        self.wait();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if matches!(self.dockerd.try_wait(), Ok(Some(_))) {
            // Only dockerd ends what it has started.
            self.dockerd = Own::run(&self.dir, self.restores);
            let socket = self.socket();
            let answers = || try_ask(&socket, "GET", "/_ping", "", b"").is_ok();
            until("the test's own Docker Engine", || answers().then_some(()));
        }
        self.thaw();
        self.signal(Signal::SIGTERM);
        let _ = self.dockerd.wait();
        // It leaves these mounted; without them the directory can go.
        for place in ["exec/netns/default", "data"] {
            let _ = umount2(&self.dir.path().join(place), MntFlags::MNT_DETACH);
        }
    }
}

/// A network of the Engine, which is gone with it.
pub struct Network(pub String);

impl Network {
    pub fn make() -> Network {
        let name = format!("tepui-test-{}", std::process::id());
        let asked = json!({"Name": name, "Driver": "bridge"}).to_string();
        let body = asked.as_bytes();
        let (status, said) = ask("POST", "/networks/create", "application/json", body);
        assert_eq!(status, 201, "{said}");
        Network(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ask("DELETE", &format!("/networks/{}", self.0), "", b"");
    }
}

fn answers() -> bool {
    try_ask(SOCKET, "GET", "/_ping", "", b"").is_ok_and(|(status, _)| status == 200)
}

fn start() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "no Docker Engine answers at {SOCKET}, and only root can start one: run this test as root"
    );
    let log = std::fs::File::create("/var/log/tepui-dockerd.log").expect("a log of dockerd");
    // Several tests may start one at once: all but the first end by themselves. As the leader of a
    // group setsid ends at once.
    let started = Command::new("setsid")
        .arg("dockerd")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log)
        .process_group(0)
        .status();
    started.expect("dockerd must be installed: on Debian, 'apt-get install docker.io'");
}

/// An image with nothing but a static busybox, whose own command says that it is the image's.
fn make_image(socket: &str) {
    let busybox = std::fs::read(BUSYBOX)
        .expect("busybox must be installed: on Debian, 'apt-get install busybox-static'");
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = tar::Header::new_gnu();
    file.set_mode(0o755);
    file.set_size(busybox.len() as u64);
    let add =
        |archive: &mut tar::Builder<Vec<u8>>, mut header: tar::Header, path: &str, data: &[u8]| {
            header.set_size(data.len() as u64);
            archive
                .append_data(&mut header, path, data)
                .expect("an entry");
        };
    add(&mut archive, file.clone(), "bin/busybox", &busybox);
    add(&mut archive, file, "marker", b"inside\n");
    for name in APPLETS {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        let path = format!("bin/{name}");
        archive
            .append_link(&mut link, path, "/bin/busybox")
            .expect("a link");
    }
    let archive = archive.into_inner().expect("an archive");
    let (repository, tag) = IMAGE.rsplit_once(':').expect("a tag");
    let path = format!(
        "/images/create?fromSrc=-&repo={repository}&tag={tag}\
         &changes=CMD%20%5B%22%2Fbin%2Fecho%22%2C%22of%20the%20image%22%5D"
    );
    let answer = try_ask(socket, "POST", &path, "application/x-tar", &archive);
    let (status, said) = answer.expect("an answer");
    assert_eq!(status, 200, "{said}");
}

/// Asks the Engine.
pub fn ask(method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    try_ask(SOCKET, method, path, kind, body).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn try_ask(
    socket: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &[u8],
) -> std::io::Result<(u16, String)> {
    let (status, body) = try_ask_bytes(socket, method, path, kind, body)?;
    let text = String::from_utf8(body).map_err(|_| std::io::ErrorKind::InvalidData)?;
    Ok((status, text))
}

fn try_ask_bytes(
    socket: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &[u8],
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut connection = UnixStream::connect(socket)?;
    // An answer of this version of HTTP ends with its connection, and is not cut into chunks.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(body)?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.map_or(answer.len(), |end| end + 4));
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, body.to_vec()))
}

/// Makes an image of what a script does in a container of the image of all tests, and gives what
/// `docker save` would write of it.
pub fn save_changed(name: &str, tag: &str, script: &str) -> Vec<u8> {
    let ask = |method: &str, path: &str, body: Option<Value>| {
        // A body that the Engine does not want may cost its answer.
        let body = body.map_or_else(String::new, |body| body.to_string());
        let (status, said) = ask(method, path, "application/json", body.as_bytes());
        assert!(status < 300, "{path}: {said}");
        serde_json::from_str::<Value>(&said).unwrap_or_default()
    };
    let asked = json!({"Image": IMAGE, "Cmd": ["/bin/sh", "-c", script], "NetworkDisabled": true});
    let container = ask("POST", "/containers/create", Some(asked));
    let id = container["Id"].as_str().expect("an id");
    ask("POST", &format!("/containers/{id}/start"), None);
    let ended = ask("POST", &format!("/containers/{id}/wait"), None);
    assert_eq!(ended["StatusCode"], 0, "{ended}");
    let settings = json!({
        "Cmd": ["/bin/sh", "-c", "cat /added > $MESOS_SANDBOX/added; echo $SAVED > $MESOS_SANDBOX/env"],
        "Env": ["PATH=/bin", "SAVED=by the Engine"],
    });
    let path = format!("/commit?container={id}&repo={name}&tag={tag}");
    ask("POST", &path, Some(settings));
    remove(id);
    let path = format!("/images/{name}:{tag}/get");
    let answer = try_ask_bytes(SOCKET, "GET", &path, "", b"");
    let (status, archive) = answer.expect("an archive");
    assert_eq!(status, 200);
    ask("DELETE", &format!("/images/{name}:{tag}"), None);
    archive
}

/// What the Engine says of a container, if it knows it.
pub fn inspect(name: &str) -> Option<Value> {
    let (status, said) = ask("GET", &format!("/containers/{name}/json"), "", b"");
    (status == 200).then(|| serde_json::from_str(&said).expect("JSON"))
}

/// The names of all containers of an agent with this work directory.
pub fn containers(work_dir: &str) -> Vec<String> {
    let filters = format!("{{\"label\":[\"tepui.agent.work_dir={work_dir}\"]}}");
    let filters: String = filters.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("/containers/json?all=1&filters={filters}");
    let (status, said) = ask("GET", &path, "", b"");
    assert_eq!(status, 200, "{said}");
    let all: Value = serde_json::from_str(&said).expect("JSON");
    let all = all.as_array().expect("a list").iter();
    all.map(|it| {
        let name = it["Names"][0].as_str().expect("a name");
        name.trim_start_matches('/').to_owned()
    })
    .collect()
}

/// Removes a container, whatever it does.
pub fn remove(name: &str) {
    ask(
        "DELETE",
        &format!("/containers/{name}?force=1&v=1"),
        "",
        b"",
    );
}
