//! One container of the Docker Engine that its agent has made: started, followed and waited for.
//! Reports to whom it is told to; decides nothing.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollTimeout, poll};
use serde_json::{Value, json};

use super::engine::{Engine, EngineError, Stream};
use super::output::Frames;
use crate::clock::Clock;

/// Milliseconds between two attempts to reach an Engine that is gone.
const AGAIN_MS: u16 = 500;

/// Looks at a check that has ended until the Engine has noticed that too.
const MOST_LOOKS: usize = 50;

/// Milliseconds between these.
const LOOK_MS: u16 = 20;

/// A container, by its name.
#[derive(Debug, Clone)]
pub struct Container {
    engine: Engine,
    name: String,
}

/// What the Engine says of a container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The Engine's own id of it.
    pub id: String,
    /// Its first process; 0 when it has ended already.
    pub pid: i32,
    /// Its addresses in its network.
    pub addresses: Vec<String>,
    /// The signal that asks it to end.
    pub stop_signal: String,
    /// All the Engine says, as an array of one, which is what `docker inspect` prints.
    pub text: String,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The status of its first process.
    pub status: i32,
    /// Whether it used more memory than it may.
    pub out_of_memory: bool,
}

impl Container {
    /// The container of that name.
    pub fn new(engine: Engine, name: String) -> Self {
        Container { engine, name }
    }

    fn path(&self, what: &str) -> String {
        format!("/containers/{}/{what}", self.name)
    }

    /// Starts it; its output comes from then on.
    ///
    /// # Errors
    /// Why it does not run.
    pub fn start(&self) -> Result<Stream, String> {
        let output = self.attach();
        let started = output.and_then(|output| {
            let answer = self.engine.ask("POST", &self.path("start"), None, true);
            answer.map(|_| output)
        });
        started.map_err(|error| format!("Failed to start the container: {}", error.into_text()))
    }

    fn attach(&self) -> Result<Stream, EngineError> {
        let path = self.path("attach?stream=1&stdout=1&stderr=1");
        self.engine.open("POST", &path, None, true)
    }

    /// Asks the Engine about it.
    ///
    /// # Errors
    /// When the Engine is gone or does not know it.
    pub fn inspect(&self) -> Result<Seen, EngineError> {
        let said = self.engine.ask("GET", &self.path("json"), None, false)?;
        Ok(seen(&said))
    }

    /// Copies what it writes to this process's outputs, and waits for its end. An Engine that goes
    /// away is waited for as long as the container runs without it.
    pub fn follow(&self, first: Stream, seen: &Seen) -> Option<End> {
        let mut output = Some(first);
        // Until when its output was read, and whether there may be more since.
        let mut read_until = Duration::ZERO;
        let mut is_cut = false;
        loop {
            if let Some(output) = output.take() {
                copy(output);
                read_until = Clock::wall();
                is_cut = false;
            }
            // The Engine keeps the end of a container that it does not watch any more.
            match self.wait() {
                Ok(end) => {
                    if is_cut {
                        self.copy_since(read_until);
                    }
                    return Some(end);
                }
                Err(EngineError::Refused(_)) => return None,
                Err(EngineError::Gone(_)) if !is_running(seen) => {}
                Err(EngineError::Gone(_)) => {
                    is_cut = true;
                    pause(AGAIN_MS);
                    output = self.output_since(read_until).ok();
                    continue;
                }
            }
            // It has ended; the Engine may come back and tell how.
            pause(AGAIN_MS);
            let end = self.wait().ok()?;
            self.copy_since(read_until);
            return Some(end);
        }
    }

    /// Copies what it has written since that time until its end; an Engine that is gone has nothing.
    fn copy_since(&self, since: Duration) {
        if let Ok(output) = self.output_since(since) {
            copy(output);
        }
    }

    /// What it has written since that time, and what it writes from now on. An Engine that keeps no
    /// log of it has only the latter.
    fn output_since(&self, since: Duration) -> Result<Stream, EngineError> {
        let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
        let query = format!("stdout=1&stderr=1&follow=1&since={seconds}.{nanos:09}");
        let path = self.path(&format!("logs?{query}"));
        match self.engine.open("GET", &path, None, true) {
            Err(EngineError::Refused(_)) => self.attach(),
            other => other,
        }
    }

    fn wait(&self) -> Result<End, EngineError> {
        let said = self.engine.ask("POST", &self.path("wait"), None, true)?;
        let status = said.get("StatusCode").and_then(Value::as_i64);
        let status = status.ok_or_else(|| EngineError::Gone("it closed the connection".into()))?;
        let state = self.engine.ask("GET", &self.path("json"), None, false);
        let state = state.unwrap_or_default();
        let out_of_memory = state.pointer("/State/OOMKilled").and_then(Value::as_bool);
        Ok(End {
            status: i32::try_from(status).unwrap_or(-1),
            out_of_memory: out_of_memory.unwrap_or(false),
        })
    }

    /// Signals its first process.
    ///
    /// # Errors
    /// When the Engine is gone, or it does not run.
    pub fn signal(&self, signal: &str) -> Result<(), EngineError> {
        let path = self.path(&format!("kill?signal={signal}"));
        self.engine.ask("POST", &path, None, false).map(drop)
    }

    /// Makes a command that can be run in it, and tells the command's id.
    ///
    /// # Errors
    /// Why not.
    pub fn prepare(
        &self,
        arguments: &[String],
        environment: &[String],
    ) -> Result<String, EngineError> {
        let order = json!({
            "AttachStdout": true,
            "AttachStderr": true,
            "Cmd": arguments,
            "Env": environment,
        });
        let said = self
            .engine
            .ask("POST", &self.path("exec"), Some(&order), false)?;
        let id = said.get("Id").and_then(Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| EngineError::Gone("it gave the command no id".into()))
    }

    /// Runs a prepared command; its output goes to this process's error output. Waits for its end.
    ///
    /// # Errors
    /// Why its status is not known.
    pub fn execute(&self, id: &str) -> Result<i32, EngineError> {
        let order = json!({"Detach": false, "Tty": false});
        let path = format!("/exec/{id}/start");
        let mut output = self.engine.open("POST", &path, Some(&order), true)?;
        let mut frames = Frames::default();
        while let Some(bytes) = output.next()? {
            let mut all = io::stderr();
            frames.take(&bytes, &mut io::stderr(), &mut all);
        }
        for _ in 0..MOST_LOOKS {
            let said = self
                .engine
                .ask("GET", &format!("/exec/{id}/json"), None, false)?;
            let status = said.get("ExitCode").and_then(Value::as_i64);
            let runs = said.get("Running").and_then(Value::as_bool);
            if let (Some(status), Some(false)) = (status, runs) {
                return Ok(i32::try_from(status).unwrap_or(-1));
            }
            pause(LOOK_MS);
        }
        Err(EngineError::Gone(
            "it does not tell how the command ended".into(),
        ))
    }

    /// The process of a command that runs, as the host sees it.
    pub fn process(&self, id: &str) -> Option<i32> {
        let path = format!("/exec/{id}/json");
        let said = self.engine.ask("GET", &path, None, false).ok()?;
        let pid = i32::try_from(said.get("Pid")?.as_i64()?).ok()?;
        (pid > 0).then_some(pid)
    }
}

/// Whether the first process of a container is there: its cgroup, or what it is called by, has the
/// container's id, so that another process of this number is not taken for it.
pub fn is_running(seen: &Seen) -> bool {
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", seen.pid));
    seen.pid > 0 && !seen.id.is_empty() && cgroups.is_ok_and(|text| text.contains(&seen.id))
}

fn copy(mut output: Stream) {
    let own = |fd: io::Result<std::os::fd::OwnedFd>| fd.ok().map(File::from);
    let outputs = (
        own(io::stdout().as_fd().try_clone_to_owned()),
        own(io::stderr().as_fd().try_clone_to_owned()),
    );
    let (Some(mut stdout), Some(mut stderr)) = outputs else {
        return;
    };
    let mut frames = Frames::default();
    while let Ok(Some(bytes)) = output.next() {
        frames.take(&bytes, &mut stdout, &mut stderr);
    }
}

/// Waits a little, where there is nothing that could wake it.
fn pause(millis: u16) {
    let _ = poll(&mut [], PollTimeout::from(millis));
}

/// Reads what the Engine says of a container.
fn seen(said: &Value) -> Seen {
    let text = |path: &str| said.pointer(path).and_then(Value::as_str);
    let pid = said.pointer("/State/Pid").and_then(Value::as_i64);
    let networks = said
        .pointer("/NetworkSettings/Networks")
        .and_then(Value::as_object);
    let addresses = networks.into_iter().flatten().flat_map(|(_, network)| {
        let address = |name: &str| network.get(name).and_then(Value::as_str);
        [address("IPAddress"), address("GlobalIPv6Address")]
    });
    let addresses = addresses.flatten().filter(|address| !address.is_empty());
    let stop_signal = text("/Config/StopSignal").filter(|signal| !signal.is_empty());
    Seen {
        id: text("/Id").unwrap_or_default().to_owned(),
        pid: pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0),
        addresses: addresses.map(str::to_owned).collect(),
        stop_signal: stop_signal.unwrap_or("SIGTERM").to_owned(),
        text: Value::Array(vec![said.clone()]).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_is_read() {
        let said = json!({
            "Id": "0123",
            "State": {"Pid": 4711},
            "Config": {"StopSignal": "SIGQUIT"},
            "NetworkSettings": {"Networks": {
                "bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""},
            }},
        });
        let seen = seen(&said);
        assert_eq!(seen.pid, 4711);
        assert_eq!(seen.addresses, ["172.17.0.2"]);
        assert_eq!(seen.stop_signal, "SIGQUIT");
        assert!(seen.text.starts_with("[{"));
        let of_nothing = super::seen(&Value::Null);
        assert_eq!(of_nothing.stop_signal, "SIGTERM");
        assert!(!is_running(&of_nothing));
    }

    #[test]
    fn another_process_is_not_taken_for_the_container() {
        let seen = Seen {
            id: "0123456789abcdef".into(),
            pid: i32::try_from(std::process::id()).unwrap(),
            ..Seen::default()
        };
        assert!(!is_running(&seen));
    }
}
