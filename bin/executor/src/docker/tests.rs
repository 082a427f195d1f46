//! A container's process beside an Engine that the test plays.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};

use super::first::First;
use super::*;

/// An Engine that answers as `answer` says by the path it is asked for, and keeps these.
struct Played {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Played {
    fn new(answer: impl Fn(&str, &mut UnixStream) + Send + Sync + 'static) -> Played {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (keeps, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let answer = answer.clone();
                let lines = BufReader::new(connection.try_clone().unwrap()).lines();
                let head: Vec<String> = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
                locked(&keeps).push(path.clone());
                std::thread::spawn(move || answer(&path, &mut connection));
            }
        });
        Played { dir, asked }
    }

    fn asked(&self, what: &str) -> Vec<String> {
        let all = locked(&self.asked).clone();
        all.into_iter().filter(|path| path.contains(what)).collect()
    }

    fn settings(&self) -> Settings {
        Settings {
            socket: self.dir.path().join("socket"),
            name: "c".into(),
            stop_timeout: Duration::ZERO,
        }
    }
}

fn say(connection: &mut UnixStream, status: u16, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body).unwrap();
}

/// A process that is taken for a container's, and ends with this.
struct Sleep(Child);

impl Sleep {
    fn start() -> Sleep {
        Sleep(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn seen(&self) -> Seen {
        // That is in the path of any cgroup.
        let pid = i32::try_from(self.0.id()).unwrap();
        Seen {
            first: First::of("/".into(), pid),
            ..Seen::default()
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_container_that_the_engine_does_not_kill_ends() {
    // It refuses, or says that it was done.
    for status in [500, 204] {
        let engine = Played::new(move |_, connection| say(connection, status, b""));
        let docker = Docker::new(&engine.settings()).unwrap();
        let mut sleep = Sleep::start();
        *locked(&docker.shared.seen) = Some(sleep.seen());
        docker.kill();
        let ended = sleep.0.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
        assert_eq!(signal, Some(Signal::SIGKILL as i32));
        assert!(!engine.asked("/kill?signal=SIGKILL").is_empty(), "{status}");
    }
}

#[test]
fn after_a_break_output_is_asked_for_from_where_it_broke() {
    let closed = Arc::new(Mutex::new(Duration::ZERO));
    let closes = closed.clone();
    let engine = Played::new(move |path, connection| {
        if path.contains("/attach") {
            let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            connection.write_all(head).unwrap();
            connection.write_all(b"\x01\0\0\0\0\0\0\x04one\n").unwrap();
            // What the container writes from now on does not come through.
            pause(1000);
            *locked(&closes) = crate::clock::Clock::wall();
        } else if path.ends_with("/wait") {
            say(connection, 200, b"{\"StatusCode\": 7}");
        } else {
            say(connection, 200, b"");
        }
    });
    let sleep = Sleep::start();
    let settings = engine.settings();
    let container = Container::new(Engine::at(settings.socket), settings.name);
    let output = container.start().unwrap();
    let end = container.follow(output, &sleep.seen()).unwrap();
    assert_eq!(end.status, 7);
    let logs = engine.asked("/logs?");
    let since = logs[0].split_once("since=").unwrap().1;
    let since: f64 = since.parse().unwrap();
    let closed = locked(&closed).as_secs_f64();
    assert!(
        since < closed - 0.5 && since > closed - 30.0,
        "{since} {closed}"
    );
}
