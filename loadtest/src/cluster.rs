//! Real masters and agents, started from beside this program and ended with the run.
//! Builds nothing and measures nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::framework::Error;

mod marathon;

pub use marathon::Marathon;

/// Time the programs have to come up.
pub const START_LIMIT: Duration = Duration::from_secs(30);

/// A real agent's flag for resources that never hold a launch back.
pub const RESOURCES: &str = "--resources=cpus:10000;mem:10000000;disk:10000000;ports:[31000-32000]";

/// A real agent's flag for the launcher that Apache Mesos was measured with.
pub const POSIX: &str = "--launcher=posix";

/// Time between two looks whether a program answers.
const START_POLL: Duration = Duration::from_millis(5);

/// Time a program has to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Lines of a program's log that are shown when a run fails.
const LOG_LINES: usize = 15;

/// A master of this load test's own.
pub struct Master {
    directory: TempDir,
    port: u16,
    flags: Vec<String>,
    child: Child,
}

impl Master {
    /// Starts a master on a free port and waits until it answers.
    ///
    /// # Errors
    /// When the program is missing or does not come up.
    pub async fn start(flags: Vec<String>) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let child = spawn_master(&directory, port, &flags)?;
        let mut master = Master {
            directory,
            port,
            flags,
            child,
        };
        master.answers().await?;
        Ok(master)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32, Error> {
        Ok(self.child.id().ok_or("the master has ended")?)
    }

    /// Kills it, as a power failure would.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.child.start_kill()?;
        let status = self.child.wait().await?;
        match status.signal() {
            Some(9) => Ok(()),
            _ => Err(format!("the master had ended before: {status}").into()),
        }
    }

    /// Starts it again after [`Self::kill`], with the same work directory, and waits until it
    /// answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.child = spawn_master(&self.directory, self.port, &self.flags)?;
        self.answers().await
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        last_lines(&self.log_file())
    }

    /// All of its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Ends it.
    pub async fn end(mut self) {
        end(&mut self.child).await;
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("tepui-master.log")
    }

    async fn answers(&mut self) -> Result<(), Error> {
        let address = self.address().to_string();
        let result = answers(&address, &mut self.child).await;
        result.map_err(|error| format!("{error}\n{}", self.last_lines()).into())
    }
}

fn spawn_master(directory: &TempDir, port: u16, flags: &[String]) -> Result<Child, Error> {
    let mut arguments = vec![
        "--ip=127.0.0.1".into(),
        format!("--port={port}"),
        format!("--work_dir={}", directory.path().join("master").display()),
    ];
    // Thousands of agents would fill the log with what is no news.
    arguments.push("--logging_level=WARNING".into());
    arguments.extend_from_slice(flags);
    spawn(directory.path(), "tepui-master", &arguments)
}

/// A real agent.
pub struct Agent {
    directory: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Child,
}

impl Agent {
    /// Starts an agent with these flags beside those it needs, and waits until it answers.
    ///
    /// # Errors
    /// When the program is missing or does not come up.
    pub async fn start(master: SocketAddr, flags: &[String]) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let mut arguments = vec![
            format!("--master={master}"),
            "--ip=127.0.0.1".into(),
            format!("--port={port}"),
            format!("--work_dir={}", work_dir(&directory).display()),
            format!("--launcher_dir={}", own_directory()?.display()),
        ];
        arguments.extend_from_slice(flags);
        let child = spawn(directory.path(), "tepui-agent", &arguments)?;
        let mut agent = Agent {
            directory,
            port,
            arguments,
            child,
        };
        agent.answers().await?;
        Ok(agent)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Directory of its sandboxes.
    pub fn work_dir(&self) -> PathBuf {
        work_dir(&self.directory)
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32, Error> {
        Ok(self.child.id().ok_or("the agent has ended")?)
    }

    /// Kills it alone, as a crash would; what it has started stays.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.child.start_kill()?;
        let status = self.child.wait().await?;
        match status.signal() {
            Some(9) => Ok(()),
            _ => Err(format!("the agent had ended before: {status}").into()),
        }
    }

    /// Starts it again after [`Self::kill`], as it was.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.child = spawn(self.directory.path(), "tepui-agent", &self.arguments)?;
        Ok(())
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn answers(&mut self) -> Result<(), Error> {
        let address = self.address().to_string();
        let result = answers(&address, &mut self.child).await;
        result.map_err(|error| format!("{error}\n{}", self.last_lines()).into())
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        last_lines(&self.directory.path().join("tepui-agent.log"))
    }

    /// Ends it.
    pub async fn end(mut self) {
        end(&mut self.child).await;
    }
}

fn work_dir(directory: &TempDir) -> PathBuf {
    directory.path().join("agent")
}

fn spawn(directory: &Path, name: &str, arguments: &[String]) -> Result<Child, Error> {
    let program = own_directory()?.join(name);
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(name).with_extension("log"))?;
    Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}

async fn end(child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let asked = pid.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok());
    if !asked || timeout(END_LIMIT, child.wait()).await.is_err() {
        // It is gone already or will not go by itself; both are fine for a load test.
        let _ = child.kill().await;
    }
}

/// Waits until a program answers on its port.
async fn answers(address: &str, child: &mut Child) -> Result<(), Error> {
    let client = reqwest::Client::new();
    let url = format!("http://{address}/health");
    let wait = async {
        while client.get(&url).send().await.is_err() {
            if let Some(status) = child.try_wait()? {
                return Err(format!("the program ended at its start: {status}").into());
            }
            sleep(START_POLL).await;
        }
        Ok(())
    };
    let late = |_| format!("nothing answers at {url} after {START_LIMIT:?}");
    timeout(START_LIMIT, wait).await.map_err(late)?
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn own_directory() -> Result<PathBuf, Error> {
    let own = std::env::current_exe()?;
    Ok(own
        .parent()
        .ok_or("this program has no directory")?
        .to_owned())
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    format!(
        "--- end of {}:\n{}",
        log.display(),
        lines.get(first..).unwrap_or_default().join("\n")
    )
}
