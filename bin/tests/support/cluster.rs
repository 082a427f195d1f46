//! Starts real masters and agents on free loopback ports, and ends them with the test.
//! Drives nothing; tests do, over HTTP.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, http};

/// One running program.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    pub log: PathBuf,
}

impl Program {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("pid")
    }

    /// Sends a signal to the program, and only to it.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("signal");
    }

    /// Waits for the program's end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        until("the program's end", || self.child.try_wait().expect("wait"))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            return;
        }
        panic!(
            "program {} did not end on SIGTERM:\n{}",
            self.log.display(),
            self.log_text()
        );
    }
}

/// A master and agents, and the directory they live in.
pub struct Cluster {
    // Agents end before the master, and both before their directory is removed.
    pub agents: Vec<Program>,
    pub master: Program,
    pub dir: tempfile::TempDir,
}

impl Cluster {
    /// A master and `agents` agents with Mesos's figures of the recorded cluster.
    pub fn start(agents: usize) -> Cluster {
        Cluster::with(agents, &[], &[])
    }

    /// As [`Cluster::start`] with further flags.
    pub fn with(agents: usize, master_flags: &[&str], agent_flags: &[&str]) -> Cluster {
        let dir = tempfile::tempdir().expect("temporary directory");
        let master = start_master(dir.path(), master_flags);
        let mut cluster = Cluster {
            agents: Vec::new(),
            master,
            dir,
        };
        for _ in 0..agents {
            cluster.add_agent(agent_flags);
        }
        cluster.wait_for_agents(agents);
        cluster
    }

    /// Starts one more agent, with a work directory of its own.
    pub fn add_agent(&mut self, flags: &[&str]) {
        let agent = self.start_agent(self.agents.len(), free_port(), flags);
        self.agents.push(agent);
    }

    /// Starts an agent again that has ended, where it was and with the settings it had.
    pub fn restart_agent(&mut self, index: usize, flags: &[&str]) {
        assert!(self.agents[index].has_ended(), "it must have ended");
        let port = self.agents[index].address.port();
        self.agents[index] = self.start_agent(index, port, flags);
    }

    fn start_agent(&self, index: usize, port: u16, flags: &[&str]) -> Program {
        let number = index + 1;
        let attributes = format!("--attributes=rack:r{number};level:{number};range:[1-5]");
        let mut all = vec![
            "--resources=cpus:4;mem:2048;disk:4096;ports:[31000-31100,32000-32099]",
            attributes.as_str(),
        ];
        all.extend_from_slice(flags);
        start_agent_on(
            port,
            &self.work_dir(index),
            &self.master.address.to_string(),
            &all,
        )
    }

    /// The work directory of an agent.
    pub fn work_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("agent-{}", index + 1))
    }

    /// Waits until the master counts this many connected agents.
    pub fn wait_for_agents(&self, count: usize) {
        until("registered agents", || {
            (metric(self.master.address, "master/slaves_connected") == count as f64).then_some(())
        });
    }
}

/// One value of `/metrics/snapshot`.
pub fn metric(address: SocketAddr, key: &str) -> f64 {
    find_metric(address, key).unwrap_or_else(|| panic!("no metric {key} at {address}"))
}

/// One value of `/metrics/snapshot`, if it is there.
pub fn find_metric(address: SocketAddr, key: &str) -> Option<f64> {
    let answer = http::request(address, "GET", "/metrics/snapshot", &[], &[]);
    answer.json()[key].as_f64()
}

pub fn start_master(dir: &Path, flags: &[&str]) -> Program {
    start_master_at(free_port(), dir, flags)
}

/// Starts a master on a given port.
pub fn start_master_at(port: u16, dir: &Path, flags: &[&str]) -> Program {
    let mut command = Command::new(binary("tepui-master"));
    command
        .arg("--ip=127.0.0.1")
        .arg(format!("--port={port}"))
        .arg("--hostname=localhost")
        .arg("--registry=in_memory")
        .args(flags);
    start(command, port, dir, "master")
}

/// Starts an app manager, on a free port when it is 0.
pub fn start_marathon_at(port: u16, dir: &Path, master: &str, flags: &[String]) -> Program {
    let port = if port == 0 { free_port() } else { port };
    let command = marathon_command(port, master, flags);
    start_until("/ping", command, port, dir, "marathon")
}

/// An app manager that is still to be started.
pub fn marathon_command(port: u16, master: &str, flags: &[String]) -> Command {
    let mut command = Command::new(binary("tepui-marathon"));
    command
        .arg(format!("--master={master}"))
        .arg(format!("--http_port={port}"))
        .arg("--hostname=127.0.0.1")
        .args(flags);
    command
}

/// Starts a master that is elected with others.
pub fn start_master_at_zk(dir: &Path, zk: &str, session: Duration, flags: &[&str]) -> Program {
    let port = free_port();
    let mut command = Command::new(binary("tepui-master"));
    command
        .arg("--ip=127.0.0.1")
        .arg(format!("--port={port}"))
        .arg("--hostname=localhost")
        .arg(format!("--zk={zk}"))
        .arg(format!("--zk_session_timeout={}secs", session.as_secs()))
        .args(flags);
    start(command, port, dir, "master")
}

/// Starts an agent of the masters named so.
pub fn start_agent_of(work_dir: &Path, master: &str, flags: &[&str]) -> Program {
    start_agent_on(free_port(), work_dir, master, flags)
}

/// Starts an agent on a given port: one that is to go on with what it did must be where it was.
pub fn start_agent_on(port: u16, work_dir: &Path, master: &str, flags: &[&str]) -> Program {
    let command = Command::new(binary("tepui-agent"));
    start_agent_by(command, port, work_dir, master, flags)
}

/// Starts an agent from a shell that has done something before.
pub fn start_agent_after(
    setup: &str,
    port: u16,
    work_dir: &Path,
    master: &str,
    flags: &[&str],
) -> Program {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{setup} && exec \"$0\" \"$@\""))
        .arg(binary("tepui-agent"));
    start_agent_by(command, port, work_dir, master, flags)
}

fn start_agent_by(
    mut command: Command,
    port: u16,
    work_dir: &Path,
    master: &str,
    flags: &[&str],
) -> Program {
    std::fs::create_dir_all(work_dir).expect("work directory");
    let launcher_dir = binary("tepui-executor")
        .parent()
        .expect("directory")
        .to_owned();
    command
        .arg(format!("--master={master}"))
        .arg("--ip=127.0.0.1")
        .arg(format!("--port={port}"))
        .arg("--hostname=localhost")
        .arg(format!("--work_dir={}", work_dir.display()))
        .arg(format!("--launcher_dir={}", launcher_dir.display()))
        .args(flags);
    // An unoptimised agent takes some time to copy itself for a helper.
    let of_cgroups = ["--launcher=", "--cgroups_root="];
    let is_told = |flag: &&str| of_cgroups.iter().any(|name| flag.starts_with(name));
    if !flags.iter().any(is_told) {
        command.arg("--launcher=posix");
    }
    // An agent that a test kills for good leaves its executors behind for so long.
    let recovery = "--recovery_timeout=";
    if !flags.iter().any(|flag| flag.starts_with(recovery)) {
        command.arg(format!("{recovery}2mins"));
    }
    start(command, port, work_dir, "agent")
}

fn start(command: Command, port: u16, dir: &Path, name: &str) -> Program {
    start_until("/health", command, port, dir, name)
}

/// Starts a program and waits until it answers 200 at this path.
fn start_until(path: &str, mut command: Command, port: u16, dir: &Path, name: &str) -> Program {
    let log = dir.join(format!("{name}-{port}.log"));
    let file = File::create(&log).expect("log file");
    let child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("log file"))
        .stderr(file)
        .env_remove("RUST_LOG")
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut program = Program {
        child,
        address,
        log,
    };
    until("an answer", || {
        if program.has_ended() {
            panic!("{name} ended at once:\n{}", program.log_text());
        }
        let answer = http::try_request(address, "GET", path, &[], &[]).ok()?;
        (answer.status == 200).then_some(())
    });
    program
}

/// The path of one of our programs.
pub fn binary(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_tepui-master"))
        .parent()
        .expect("directory");
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is missing: build it with `cargo build --workspace`",
        path.display()
    );
    path
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free port");
    listener.local_addr().expect("address").port()
}

/// Asks again and again until there is an answer; fails when patience ends.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
