//! `tepui-loadtest bench`: a master and an agent of its own, measured and ended again.
//! Builds nothing: the programs must lie beside this one.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tepui_protocol::media::MediaType;
use tepui_protocol::v1::TaskStatus;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::framework::{Error, Framework};
use crate::ledger::Plan;
use crate::proc;
use crate::report::Report;
use crate::scenario;

/// Time the programs have to come up.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Time between two looks whether a program answers.
const START_POLL: Duration = Duration::from_millis(20);

/// Time a program has to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Resources of the agent: enough that they never hold a launch back.
const RESOURCES: &str = "cpus:10000;mem:10000000;disk:10000000;ports:[31000-32000]";

/// What is measured how often.
#[derive(Debug, Clone)]
pub struct Size {
    /// Tasks one after the other.
    pub latency_tasks: usize,
    /// Tasks in parallel.
    pub throughput_tasks: usize,
    /// How many of them at once.
    pub concurrency: usize,
    /// Longest duration of each run.
    pub limit: Duration,
}

/// Runs everything and ends all processes.
///
/// # Errors
/// When a program is missing or fails, or a task does not finish in time.
pub async fn run(clock: Clock, size: Size, media: MediaType) -> Result<Report, Error> {
    let programs = own_directory()?;
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&programs, directory.path()).await?;
    let result = measure(clock, &cluster, size, media).await;
    cluster.end().await;
    result.map_err(|error| format!("{error}\n{}", last_lines(directory.path())).into())
}

async fn measure(
    clock: Clock,
    cluster: &Cluster,
    size: Size,
    media: MediaType,
) -> Result<Report, Error> {
    let info = scenario::framework_info();
    let mut framework = Framework::subscribe(&cluster.address, media, info).await?;
    let plan = |name: &str, tasks, concurrency| Plan {
        tasks,
        command: "true".into(),
        concurrency,
        rate: None,
        cpus: 0.01,
        mem_mb: 1.0,
        prefix: name.into(),
    };
    let mut report = Report::default();
    let (master, agent) = (pid(&cluster.master)?, pid(&cluster.agent)?);
    let sleeping = Plan {
        command: "sleep 1000".into(),
        ..plan("sleep", 1, 1)
    };
    // The agent has registered when the first task runs; idle figures come before the load.
    let task = scenario::start_one(&mut framework, clock, sleeping, START_LIMIT).await?;
    report.memory.push((
        "executor (one task)".into(),
        proc::memory(executor_pid(&task)?)?,
    ));
    scenario::kill_one(&mut framework, &task, START_LIMIT).await?;
    framework.tear_down().await?;
    for (name, pid) in [("master (idle)", master), ("agent (idle)", agent)] {
        report.memory.push((name.into(), proc::memory(pid)?));
    }

    for (name, tasks, concurrency) in [
        ("latency", size.latency_tasks, 1),
        ("throughput", size.throughput_tasks, size.concurrency),
    ] {
        let info = scenario::framework_info();
        let mut framework = Framework::subscribe(&cluster.address, media, info).await?;
        let before = [proc::cpu(master)?, proc::cpu(agent)?];
        let plan = plan(name, tasks, concurrency);
        let outcome = scenario::run(&mut framework, clock, name, plan, size.limit).await?;
        report.runs.push(outcome);
        framework.tear_down().await?;
        for (who, pid, before) in [
            ("master", master, before[0]),
            ("agent and tasks", agent, before[1]),
        ] {
            let spent = proc::cpu(pid)?.saturating_sub(before);
            let each = spent / u32::try_from(tasks.max(1)).unwrap_or(u32::MAX);
            report.cpu_per_task.push((format!("{who} ({name})"), each));
        }
    }
    for (name, pid) in [
        ("master (after the load)", master),
        ("agent (after the load)", agent),
    ] {
        report.memory.push((name.into(), proc::memory(pid)?));
    }
    Ok(report)
}

/// The executor's process, as the agent tells it.
fn executor_pid(status: &TaskStatus) -> Result<u32, Error> {
    let container = status.container_status.as_deref();
    let pid = container.and_then(|container| container.executor_pid);
    Ok(pid.ok_or("the agent does not tell the executor's process id")?)
}

/// A master and an agent.
struct Cluster {
    address: String,
    master: Child,
    agent: Child,
}

impl Cluster {
    async fn start(programs: &Path, directory: &Path) -> Result<Self, Error> {
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let master = start(
            programs,
            directory,
            "tepui-master",
            &[
                "--ip=127.0.0.1".into(),
                format!("--port={port}"),
                format!("--work_dir={}", directory.join("master").display()),
                "--registry=in_memory".into(),
            ],
        )?;
        answers(&address).await?;
        let port = free_port()?;
        let agent = start(
            programs,
            directory,
            "tepui-agent",
            &[
                format!("--master={address}"),
                "--ip=127.0.0.1".into(),
                format!("--port={port}"),
                format!("--work_dir={}", directory.join("agent").display()),
                format!("--launcher_dir={}", programs.display()),
                format!("--resources={RESOURCES}"),
            ],
        )?;
        answers(&format!("127.0.0.1:{port}")).await?;
        Ok(Cluster {
            address,
            master,
            agent,
        })
    }

    /// Ends both; the agent first, while it still has a master.
    async fn end(&mut self) {
        for child in [&mut self.agent, &mut self.master] {
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
            let asked = pid.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok());
            if !asked || timeout(END_LIMIT, child.wait()).await.is_err() {
                // It is gone already or will not go by itself; both are fine for a bench.
                let _ = child.kill().await;
            }
        }
    }
}

fn start(
    programs: &Path,
    directory: &Path,
    name: &str,
    arguments: &[String],
) -> Result<Child, Error> {
    let program = programs.join(name);
    let log = std::fs::File::create(directory.join(name).with_extension("log"))?;
    Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}

/// Waits until a program answers on its port.
async fn answers(address: &str) -> Result<(), Error> {
    let client = reqwest::Client::new();
    let url = format!("http://{address}/health");
    let wait = async {
        while client.get(&url).send().await.is_err() {
            sleep(START_POLL).await;
        }
    };
    let late = |_| format!("nothing answers at {url} after {START_LIMIT:?}");
    Ok(timeout(START_LIMIT, wait).await.map_err(late)?)
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

fn pid(child: &Child) -> Result<u32, Error> {
    Ok(child.id().ok_or("a program ended early")?)
}

/// The ends of the programs' logs, for the message of a failure.
fn last_lines(directory: &Path) -> String {
    const LINES: usize = 15;
    let mut text = String::new();
    for name in ["tepui-master", "tepui-agent"] {
        let path = directory.join(name).with_extension("log");
        let log = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let first = lines.len().saturating_sub(LINES);
        text.push_str(&format!("--- {name}:\n"));
        for line in lines.iter().skip(first) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}
