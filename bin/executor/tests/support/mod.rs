//! A tiny agent that speaks the executor API to the real program.
//! Decides nothing: each test says what the agent answers.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only sees in #[test]"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tepui_protocol::prost::Message;
use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::framework_info::{Capability, capability};
use tepui_protocol::v1::{
    CommandInfo, ContainerId, FrameworkInfo, KillPolicy, TaskGroupInfo, TaskId, TaskInfo,
    TaskState, TaskStatus,
};

/// A test that waits longer than this hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection to the fake agent brought.
enum Arrived {
    Subscribe(Call, TcpStream),
    Call(Call),
}

/// The program under test, its sandbox and the agent it talks to.
pub struct Run {
    pub sandbox: TempDir,
    pid: i32,
    exited: Receiver<Option<i32>>,
    arrived: Receiver<Arrived>,
    stream: Option<TcpStream>,
    address: SocketAddr,
}

impl Run {
    /// Starts the executor with additional environment variables.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, arrived) = channel();
        thread::spawn(move || accept(&listener, &sender));

        let sandbox = TempDir::new().unwrap();
        let output = |name| fs::File::create(sandbox.path().join(name)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tepui-executor"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("MESOS_AGENT_ENDPOINT", address.to_string())
            .env("MESOS_FRAMEWORK_ID", "f1")
            .env("MESOS_EXECUTOR_ID", "e1")
            .env("MESOS_SANDBOX", sandbox.path())
            .envs(environment.iter().copied())
            .current_dir(sandbox.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let (sender, exited) = channel();
        thread::spawn(move || sender.send(child.wait().unwrap().code()));
        Run {
            sandbox,
            pid,
            exited,
            arrived,
            stream: None,
            address,
        }
    }

    /// Starts the executor and answers its SUBSCRIBE.
    pub fn subscribed(environment: &[(&str, &str)]) -> Self {
        let mut run = Run::start(environment);
        let call = run.accept_subscribe();
        let subscribe = call.subscribe.unwrap();
        assert_eq!(subscribe.unacknowledged_tasks.len(), 0);
        assert_eq!(subscribe.unacknowledged_updates.len(), 0);
        assert_eq!(
            (call.executor_id.value, call.framework_id.value),
            ("e1".into(), "f1".into())
        );
        run.send_subscribed();
        run
    }

    /// The next call, which must be SUBSCRIBE; its stream takes events from now on.
    pub fn accept_subscribe(&mut self) -> Call {
        match self.arrived.recv_timeout(PATIENCE).unwrap() {
            Arrived::Subscribe(call, stream) => {
                self.stream = Some(stream);
                call
            }
            Arrived::Call(call) => panic!("expected SUBSCRIBE, got {call:?}"),
        }
    }

    /// Starts a streaming answer and says SUBSCRIBED.
    pub fn send_subscribed(&mut self) {
        self.send_raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        );
        let killing = Capability {
            r#type: Some(capability::Type::TaskKillingState as i32),
        };
        let mut event = of_type(event::Type::Subscribed);
        event.subscribed = Some(event::Subscribed {
            framework_info: FrameworkInfo {
                capabilities: vec![killing],
                ..Default::default()
            },
            container_id: Some(ContainerId {
                value: "c1".into(),
                parent: None,
            }),
            ..Default::default()
        });
        self.send(&event);
    }

    /// Sends one event as one chunk.
    pub fn send(&mut self, event: &Event) {
        let body = event.encode_to_vec();
        let record = [format!("{}\n", body.len()).as_bytes(), &body].concat();
        let mut chunk = format!("{:x}\r\n", record.len()).into_bytes();
        chunk.extend_from_slice(&record);
        chunk.extend_from_slice(b"\r\n");
        self.send_raw(&chunk);
    }

    /// Sends bytes on the event stream's connection.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Cuts the event stream.
    pub fn cut(&mut self) {
        self.stream = None;
    }

    pub fn launch(&mut self, task: TaskInfo) {
        let mut event = of_type(event::Type::Launch);
        event.launch = Some(event::Launch { task });
        self.send(&event);
    }

    pub fn launch_group(&mut self, tasks: Vec<TaskInfo>) {
        let mut event = of_type(event::Type::LaunchGroup);
        event.launch_group = Some(event::LaunchGroup {
            task_group: TaskGroupInfo { tasks },
        });
        self.send(&event);
    }

    pub fn kill(&mut self, task: &str, grace_ms: Option<i64>) {
        let mut event = of_type(event::Type::Kill);
        event.kill = Some(event::Kill {
            task_id: TaskId { value: task.into() },
            kill_policy: grace_ms.map(policy),
        });
        self.send(&event);
    }

    /// The next call, which must be an UPDATE; it is not acknowledged.
    pub fn update(&mut self) -> TaskStatus {
        match self.arrived.recv_timeout(PATIENCE).unwrap() {
            Arrived::Call(call) => {
                assert_eq!(call.r#type(), call::Type::Update);
                call.update.unwrap().status
            }
            Arrived::Subscribe(call, _) => panic!("expected UPDATE, got {call:?}"),
        }
    }

    pub fn acknowledge(&mut self, status: &TaskStatus) {
        let mut event = of_type(event::Type::Acknowledged);
        event.acknowledged = Some(event::Acknowledged {
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap(),
        });
        self.send(&event);
    }

    /// Takes and acknowledges the next update and checks task and state.
    pub fn expect(&mut self, task: &str, state: TaskState) -> TaskStatus {
        let status = self.update();
        assert_eq!(
            (status.task_id.value.as_str(), status.state()),
            (task, state),
            "{status:?}"
        );
        self.acknowledge(&status);
        status
    }

    /// Waits for the executor's end.
    pub fn exit_code(&self) -> Option<i32> {
        self.exited.recv_timeout(PATIENCE).unwrap()
    }

    /// Sends the executor itself a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Makes a named pipe in the sandbox; what is written to it, and its end, arrive as lines.
    ///
    /// It ends when the last process that holds it open has ended.
    pub fn pipe(&self, name: &str) -> Pipe {
        let path = self.path(name);
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let (sender, lines) = channel();
        thread::spawn(move || {
            let file = BufReader::new(fs::File::open(path).unwrap());
            for line in file.lines() {
                sender.send(Some(line.unwrap())).unwrap();
            }
            let _ = sender.send(None);
        });
        Pipe(lines)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
        // Ends the accepting thread.
        let _ = TcpStream::connect(self.address).and_then(|mut it| it.write_all(b"stop"));
    }
}

/// The reading end of a named pipe.
pub struct Pipe(Receiver<Option<String>>);

impl Pipe {
    /// The next line, or `None` at the end.
    pub fn line(&self) -> Option<String> {
        self.0.recv_timeout(PATIENCE).unwrap()
    }
}

pub fn of_type(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }
}

pub fn policy(grace_ms: i64) -> KillPolicy {
    let nanoseconds = grace_ms * 1_000_000;
    KillPolicy {
        grace_period: Some(tepui_protocol::v1::DurationInfo { nanoseconds }),
    }
}

/// A task that runs a shell command.
pub fn shell(id: &str, script: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        command: Some(Box::new(CommandInfo {
            value: Some(script.into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn accept(listener: &TcpListener, arrived: &Sender<Arrived>) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let mut first = [0; 4];
        if stream.peek(&mut first).unwrap_or(0) > 0 && &first == b"stop" {
            return;
        }
        let arrived = arrived.clone();
        thread::spawn(move || serve(stream, &arrived));
    }
}

/// Answers calls with 202; hands the connection of a SUBSCRIBE over to the test.
fn serve(stream: TcpStream, arrived: &Sender<Arrived>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(call) = read_call(&mut reader) {
        if call.r#type() == call::Type::Subscribe {
            let _ = arrived.send(Arrived::Subscribe(call, writer));
            return;
        }
        if writer
            .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            .is_err()
            || arrived.send(Arrived::Call(call)).is_err()
        {
            return;
        }
    }
}

fn read_call(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut length = None;
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    assert_eq!(first, "POST /api/v1/executor HTTP/1.1\r\n");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().ok(),
            Some(("Content-Type", value)) => assert_eq!(value, "application/x-protobuf"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length.expect("a request has a length")];
    reader.read_exact(&mut body).ok()?;
    Some(Call::decode(body.as_slice()).expect("a body is a call"))
}
