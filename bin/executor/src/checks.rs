//! The looks at tasks that are under way: connections and processes, by their numbers.
//! Decides nothing and keeps no time: the state machine says when to begin and when to stop.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use crate::command::DEFAULT_PATH;
use crate::config::Config;
use crate::docker::Docker;
use crate::machine::{Check, Ended, Finding, Found, Input, Probe as Kind};
use crate::probe::{self, Probe};
use crate::process::Processes;
use crate::spawn;

/// Most bytes read of what `curl` says.
const MAX_CURL_BYTES: usize = 1024;

/// A process that looks at a task.
#[derive(Debug)]
struct Running {
    run: u64,
    curl: Option<Curl>,
}

/// What `curl` says, on its standard output and error.
#[derive(Debug)]
struct Curl {
    output: OwnedFd,
    errors: OwnedFd,
}

/// The looks that are under way.
#[derive(Debug, Default)]
pub struct Checks {
    /// Connections, by number of the look.
    probes: BTreeMap<u64, Probe>,
    /// Processes, by process id.
    processes: BTreeMap<i32, Running>,
}

impl Checks {
    /// Begins a look; tells what it found if that is clear at once.
    pub fn start(
        &mut self,
        config: &Config,
        processes: &mut Processes,
        docker: Option<&Docker>,
        check: &Check,
    ) -> Option<Input> {
        let run = check.run;
        self.begin(config, processes, docker, check)
            .err()
            .map(|found| Input::Checked { run, found })
    }

    /// Ends a look with all its processes.
    pub fn stop(&mut self, processes: &Processes, run: u64) {
        self.probes.remove(&run);
        self.processes.retain(|pid, running| {
            let stopped = running.run == run;
            if stopped {
                processes.signal(*pid, Signal::SIGKILL);
            }
            !stopped
        });
    }

    /// The open connections and the numbers of their looks.
    pub fn probes(&self) -> impl Iterator<Item = (u64, &Probe)> {
        self.probes.iter().map(|(run, probe)| (*run, probe))
    }

    /// Goes on with a look after its connection became ready.
    pub fn on_ready(&mut self, run: u64) -> Option<Input> {
        let found = self.probes.get_mut(&run)?.progress()?;
        self.probes.remove(&run);
        Some(Input::Checked { run, found })
    }

    /// Takes the end of a process, if it is one that looked at a task.
    pub fn on_exited(&mut self, pid: i32, ended: Ended) -> Option<Input> {
        let Running { run, curl } = self.processes.remove(&pid)?;
        let found = match (curl, ended) {
            (Some(curl), ended) => curl.found(ended),
            (None, Ended::Exited(code)) => Ok(Finding::ExitCode(code)),
            (None, Ended::Signaled { .. }) => Err(format!("Command {ended}")),
        };
        Some(Input::Checked { run, found })
    }

    /// Begins a look.
    ///
    /// # Errors
    /// What was found at once, which mostly is that the look cannot be begun.
    fn begin(
        &mut self,
        config: &Config,
        processes: &mut Processes,
        docker: Option<&Docker>,
        check: &Check,
    ) -> Result<(), Found> {
        let run = check.run;
        if let (Some(docker), Kind::Command(command)) = (docker, &check.probe) {
            docker.check(run, command);
            return Ok(());
        }
        let network = docker.map(Docker::network).transpose().map_err(Err)?;
        let network = network.as_ref();
        match &check.probe {
            Kind::Command(command) => {
                let pid = processes
                    .start_check(config, &check.of, command)
                    .map_err(Err)?;
                self.processes.insert(pid, Running { run, curl: None });
            }
            Kind::Tcp { ipv6, port } => {
                let address = probe::loopback(*ipv6, *port).map_err(Err)?;
                self.probes.insert(run, Probe::tcp(address, network)?);
            }
            Kind::Http {
                tls,
                ipv6,
                port,
                path,
            } => {
                let address = probe::loopback(*ipv6, *port).map_err(Err)?;
                let path = probe::path(path).map_err(Err)?;
                if !tls {
                    self.probes
                        .insert(run, Probe::http(address, path, network)?);
                    return Ok(());
                }
                let (pid, curl) =
                    start_curl(config, processes, address, path, network).map_err(Err)?;
                let curl = Some(curl);
                self.processes.insert(pid, Running { run, curl });
            }
        }
        Ok(())
    }
}

/// Starts `curl` to ask for a page with TLS, which this program does not speak itself: a TLS library
/// would multiply its size. As in Mesos, certificates are not verified; there, `curl` looks at
/// pages without TLS too. Redirects are not followed, and neither a proxy nor a file of settings
/// is used.
///
/// # Errors
/// Why it could not be started, above all that there is no such program on `PATH`.
fn start_curl(
    config: &Config,
    processes: &mut Processes,
    address: SocketAddr,
    path: &str,
    network: Option<&File>,
) -> Result<(i32, Curl), String> {
    let default = OsStr::new(DEFAULT_PATH).to_owned();
    let directories = config.inherited.get(OsStr::new("PATH")).unwrap_or(&default);
    let mut command = Command::new("curl");
    command
        .args(["-q", "-s", "-S", "-k", "-g", "--noproxy", "*"])
        .args(["-w", "%{http_code}", "-o", "/dev/null"])
        .arg(format!("https://{address}{path}"))
        .env_clear()
        .env("PATH", directories)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let network = network.map(File::try_clone).transpose();
    let network =
        network.map_err(|error| format!("Failed to use the container's network: {error}"))?;
    let mut child =
        spawn::spawn_in(&mut command, None, network).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "HTTPS is checked with the program 'curl', which is not installed on this agent"
                    .into()
            }
            _ => format!("Failed to execute 'curl': {error}"),
        })?;
    let output = child.stdout.take().map(OwnedFd::from);
    let errors = child.stderr.take().map(OwnedFd::from);
    let pid = processes.adopt(child)?;
    let (Some(output), Some(errors)) = (output, errors) else {
        return Err("Failed to read from 'curl'".into());
    };
    Ok((pid, Curl { output, errors }))
}

impl Curl {
    /// What it found, after it ended.
    fn found(self, ended: Ended) -> Found {
        if ended != Ended::Exited(0) {
            let errors = read_some(self.errors);
            let text = format!("curl {ended}: {}", errors.trim());
            return Err(text.trim_end_matches([':', ' ']).to_owned());
        }
        let output = read_some(self.output);
        match output.trim().parse() {
            Ok(status) => Ok(Finding::StatusCode(status)),
            Err(_) => Err(format!("Unexpected output from curl: {output:?}")),
        }
    }
}

/// The beginning of what is in a pipe, without waiting for more: its writer has ended.
fn read_some(pipe: OwnedFd) -> String {
    // A process that was left behind may hold the other end open.
    if fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_err() {
        return String::new();
    }
    let mut bytes = [0; MAX_CURL_BYTES];
    let count = std::fs::File::from(pipe).read(&mut bytes).unwrap_or(0);
    String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned()
}
