//! One container of the Docker Engine that its agent has made: started, followed and waited for.
//! Reports to whom it is told to; decides nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollTimeout, poll};
use serde_json::{Value, json};

use super::engine::{Engine, EngineError, Patience, Stream};
use super::first::First;
use super::output::Frames;
use crate::clock::Clock;

/// Milliseconds between two attempts to reach an Engine that is gone.
const AGAIN_MS: u16 = 500;

/// Time the Engine has to say what it knows.
const LOOK_TIMEOUT: Patience = Patience::Within(Duration::from_secs(20));

/// Time the Engine has to signal a container. Who waits for that has other means, too.
const SIGNAL_TIMEOUT: Patience = Patience::Within(Duration::from_secs(5));

/// Time the Engine has to start a container, of whose networks and volumes others may have a part.
const START_TIMEOUT: Patience = Patience::Within(Duration::from_secs(2 * 60));

/// Attempts to learn of a container that was just started.
const MOST_ATTEMPTS: usize = 240;

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
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its first process.
    pub first: First,
    /// Its addresses in its network.
    pub addresses: Vec<String>,
    /// The signal that asks it to end.
    pub stop_signal: String,
    /// Whether it has a terminal, so that its two outputs are one.
    pub has_terminal: bool,
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
        let output = self.attach(LOOK_TIMEOUT);
        let started = output.and_then(|output| {
            let path = self.path("start");
            let answer = self.engine.ask("POST", &path, None, START_TIMEOUT);
            answer.map(|_| output)
        });
        started.map_err(|error| format!("Failed to start the container: {}", error.into_text()))
    }

    fn attach(&self, patience: Patience) -> Result<Stream, EngineError> {
        let path = self.path("attach?stream=1&stdout=1&stderr=1");
        self.engine.open("POST", &path, None, patience)
    }

    /// Asks the Engine about it once it was started; an Engine that went away meanwhile is waited for.
    pub fn inspect(&self) -> Seen {
        for _ in 0..MOST_ATTEMPTS {
            let said = self
                .engine
                .ask("GET", &self.path("json"), None, LOOK_TIMEOUT);
            match said {
                Ok(said) => return seen(&said),
                Err(EngineError::Refused(_)) => break,
                Err(EngineError::Gone(_)) => pause(AGAIN_MS),
            }
        }
        Seen::default()
    }

    /// Copies what it writes to this process's outputs, and waits for its end. An Engine that goes
    /// away is waited for as long as the container runs without it.
    pub fn follow(&self, first: Stream, seen: &Seen) -> Option<End> {
        let mut output = first.with(Patience::WhileRuns(seen.first.clone())).ok();
        // When the last of its output came, and whether there may be more since.
        let mut read_until = Duration::ZERO;
        let mut is_cut = false;
        loop {
            if let Some(output_now) = output.take() {
                let last = copy(output_now, seen.has_terminal);
                read_until = last.unwrap_or(read_until);
                is_cut = seen.first.runs();
                // The Engine may be back before anybody has missed it.
                if is_cut && last.is_some() {
                    pause(AGAIN_MS);
                    output = self.output_since(read_until, seen).ok();
                    if output.is_some() {
                        continue;
                    }
                }
            }
            // The Engine keeps the end of a container that it does not watch any more.
            match self.wait(seen) {
                Ok(end) => {
                    if is_cut {
                        self.copy_since(read_until, seen);
                    }
                    return Some(end);
                }
                Err(EngineError::Refused(_)) => return None,
                Err(EngineError::Gone(_)) if !seen.first.runs() => {}
                Err(EngineError::Gone(_)) => {
                    is_cut = true;
                    pause(AGAIN_MS);
                    output = self.output_since(read_until, seen).ok();
                    continue;
                }
            }
            // It has ended; the Engine may come back and tell how.
            pause(AGAIN_MS);
            let end = self.wait(seen).ok()?;
            self.copy_since(read_until, seen);
            return Some(end);
        }
    }

    /// Copies what it has written since that time until its end; an Engine that is gone has nothing.
    fn copy_since(&self, since: Duration, seen: &Seen) {
        if let Ok(output) = self.log_since(since, seen) {
            copy(output, seen.has_terminal);
        }
    }

    /// What it has written since that time, and what it writes from now on. An Engine that keeps no
    /// log of it has only the latter.
    fn output_since(&self, since: Duration, seen: &Seen) -> Result<Stream, EngineError> {
        match self.log_since(since, seen) {
            Err(EngineError::Refused(_)) => self.attach(Patience::WhileRuns(seen.first.clone())),
            other => other,
        }
    }

    fn log_since(&self, since: Duration, seen: &Seen) -> Result<Stream, EngineError> {
        let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
        let query = format!("stdout=1&stderr=1&follow=1&since={seconds}.{nanos:09}");
        let path = self.path(&format!("logs?{query}"));
        let patience = Patience::WhileRuns(seen.first.clone());
        self.engine.open("GET", &path, None, patience)
    }

    fn wait(&self, seen: &Seen) -> Result<End, EngineError> {
        let (path, patience) = (self.path("wait"), Patience::WhileRuns(seen.first.clone()));
        let said = self.engine.ask("POST", &path, None, patience)?;
        let status = said.get("StatusCode").and_then(Value::as_i64);
        let status = status.ok_or_else(|| EngineError::Gone("it closed the connection".into()))?;
        let state = self
            .engine
            .ask("GET", &self.path("json"), None, LOOK_TIMEOUT);
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
        self.engine
            .ask("POST", &path, None, SIGNAL_TIMEOUT)
            .map(drop)
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
            .ask("POST", &self.path("exec"), Some(&order), LOOK_TIMEOUT)?;
        let id = said.get("Id").and_then(Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| EngineError::Gone("it gave the command no id".into()))
    }

    /// Runs a prepared command; its output goes to this process's error output. Waits for its end.
    ///
    /// # Errors
    /// Why its status is not known.
    pub fn execute(&self, id: &str, patience: Patience) -> Result<i32, EngineError> {
        let order = json!({"Detach": false, "Tty": false});
        let path = format!("/exec/{id}/start");
        let mut output = self.engine.open("POST", &path, Some(&order), patience)?;
        let mut frames = Frames::default();
        while let Some(bytes) = output.next()? {
            let mut all = io::stderr();
            frames.take(&bytes, &mut io::stderr(), &mut all);
        }
        for _ in 0..MOST_LOOKS {
            let said = self
                .engine
                .ask("GET", &format!("/exec/{id}/json"), None, LOOK_TIMEOUT)?;
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
        let said = self.engine.ask("GET", &path, None, LOOK_TIMEOUT).ok()?;
        let pid = i32::try_from(said.get("Pid")?.as_i64()?).ok()?;
        (pid > 0).then_some(pid)
    }
}

/// Copies all of it; says when the last of it came, if any did.
fn copy(mut output: Stream, has_terminal: bool) -> Option<Duration> {
    let own = |fd: io::Result<std::os::fd::OwnedFd>| fd.ok().map(File::from);
    let outputs = (
        own(io::stdout().as_fd().try_clone_to_owned()),
        own(io::stderr().as_fd().try_clone_to_owned()),
    );
    let (Some(mut stdout), Some(mut stderr)) = outputs else {
        return None;
    };
    let mut frames = Frames::default();
    let mut last = None;
    while let Ok(Some(bytes)) = output.next() {
        last = Some(Clock::wall());
        match has_terminal {
            // It comes as it is. What cannot be written is lost: a full disk must not stop a task.
            true => drop(stdout.write_all(&bytes)),
            false => frames.take(&bytes, &mut stdout, &mut stderr),
        }
    }
    last
}

/// Waits a little, where there is nothing that could wake it.
pub fn pause(millis: u16) {
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
        first: First::of(
            text("/Id").unwrap_or_default().to_owned(),
            pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0),
        ),
        has_terminal: said.pointer("/Config/Tty") == Some(&Value::Bool(true)),
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
        assert_eq!(seen.first.pid, 4711);
        assert_eq!(seen.first.container, "0123");
        assert!(!seen.has_terminal);
        assert_eq!(seen.addresses, ["172.17.0.2"]);
        assert_eq!(seen.stop_signal, "SIGQUIT");
        assert!(seen.text.starts_with("[{"));
        let of_nothing = super::seen(&Value::Null);
        assert_eq!(of_nothing.stop_signal, "SIGTERM");
        assert!(!of_nothing.first.runs());
    }
}
