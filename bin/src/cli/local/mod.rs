//! `tepui local`: a master, agents and an app manager on this machine, in one process tree.
//! Knows master and agent only as programs with flags and HTTP endpoints.

mod child;
mod marathon;
mod place;
mod tree;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use tepui_actors::client::{Target, get_json};

use super::{Failure, Interrupts};
use child::{Child, Programs};
use marathon::Marathon;

/// Time the agents have to register.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Time between two looks at the master while the cluster starts.
const START_INTERVAL: Duration = Duration::from_millis(50);

/// Time the agents have to end their executors and themselves; executors have 5 s by default.
const AGENTS_GRACE: Duration = Duration::from_secs(12);

/// Time the app manager has to end.
const MARATHON_GRACE: Duration = Duration::from_secs(5);

/// Time the master has to end.
const MASTER_GRACE: Duration = Duration::from_secs(5);

/// The largest number of agents; each takes a port and some memory.
const MAX_AGENTS: u16 = 1000;

/// What `tepui local` is given.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Number of agents
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_AGENTS)))]
    agents: u16,
    /// Address to listen on; anything but a loopback address lets others run programs here
    #[arg(long, default_value = "127.0.0.1")]
    ip: IpAddr,
    /// Port of the master; 0 takes a free one
    #[arg(long, default_value_t = 5050)]
    port: u16,
    /// Port of the first agent, the others take the following ones; 0 takes free ones
    #[arg(long, default_value_t = 5051)]
    agent_port: u16,
    /// Port of the app manager, which serves Marathon's API; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    marathon_port: u16,
    /// Run no app manager
    #[arg(long, conflicts_with = "marathon_port")]
    no_marathon: bool,
    /// Resources of each agent, as name:amount;name:amount [default: what the machine has]
    #[arg(long)]
    resources: Option<String>,
    /// Directory for state, logs and sandboxes, kept at the end [default: a new one among the
    /// temporary files, removed at the end]
    #[arg(long)]
    work_dir: Option<PathBuf>,
}

/// Runs the cluster until a signal ends it, or one of its programs ends by itself.
pub async fn local(args: Args) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let programs = Programs::beside_this_one()?;
    let ports = {
        let marathon = (!args.no_marathon).then_some(args.marathon_port);
        place::ports(args.ip, args.port, args.agent_port, args.agents, marathon)?
    };
    let dir = place::WorkDir::make(args.work_dir.as_deref())?;
    tree::adopt_orphans()?;

    let mut cluster = Cluster::start(&args, &programs, &ports, dir.path())?;
    let outcome = cluster
        .live(&args, &ports, dir.path(), &mut interrupts)
        .await;
    cluster.end(&mut interrupts).await;
    if outcome.is_err() {
        // The logs tell why it failed.
        dir.keep();
    }
    outcome
}

/// The programs of a running cluster.
struct Cluster {
    master: Child,
    agents: Vec<Child>,
    marathon: Option<Marathon>,
    target: Target,
}

impl Cluster {
    fn start(
        args: &Args,
        programs: &Programs,
        ports: &place::Ports,
        dir: &Path,
    ) -> Result<Self, Failure> {
        let address = SocketAddr::new(reachable(args.ip), ports.master);
        let master_dir = dir.join("master");
        fs::create_dir_all(&master_dir)?;
        let ip = format!("--ip={}", args.ip);
        let flags = [
            ip.clone(),
            format!("--port={}", ports.master),
            format!("--work_dir={}", master_dir.display()),
        ];
        let master = Child::spawn("master", &programs.master, &flags, &dir.join("master.log"))?;
        let mut cluster = Cluster {
            master,
            agents: Vec::new(),
            marathon: None,
            target: address.to_string().parse()?,
        };
        for (index, port) in ports.agents.iter().enumerate() {
            let name = format!("agent-{}", index + 1);
            let agent_dir = dir.join(&name);
            fs::create_dir_all(&agent_dir)?;
            let mut flags = vec![
                ip.clone(),
                format!("--port={port}"),
                format!("--master={address}"),
                format!("--work_dir={}", agent_dir.display()),
            ];
            if let Some(resources) = &args.resources {
                flags.push(format!("--resources={resources}"));
            }
            if !nix::unistd::geteuid().is_root() {
                flags.push("--no-switch_user".to_owned());
            }
            let log = dir.join(format!("{name}.log"));
            cluster
                .agents
                .push(Child::spawn(&name, &programs.agent, &flags, &log)?);
        }
        if let Some(port) = ports.marathon {
            let at = (args.ip, port);
            cluster.marathon = Some(Marathon::start(&programs.marathon, at, address, dir)?);
        }
        Ok(cluster)
    }

    /// Waits for the agents, announces the cluster, and waits for its end.
    async fn live(
        &mut self,
        args: &Args,
        ports: &place::Ports,
        dir: &Path,
        interrupts: &mut Interrupts,
    ) -> Result<u8, Failure> {
        let target = self.target.clone();
        let marathon = self.marathon.as_ref().map(|it| it.target().clone());
        let ready = async {
            registered(&target, args.agents).await;
            if let Some(marathon) = &marathon {
                Marathon::ready(marathon).await;
            }
        };
        let ready = tokio::time::timeout(START_TIMEOUT, ready);
        tokio::select! {
            ready = ready => ready.map_err(|_| not_ready(dir))?,
            signal = interrupts.next() => return Ok(128 + signal),
            failure = self.early_end() => return Err(failure),
        }
        announce(&target, marathon.as_ref(), (args.ip, ports), dir)?;
        tokio::select! {
            _ = interrupts.next() => Ok(0),
            failure = self.early_end() => Err(failure),
        }
    }

    /// Waits until any program ends although it should not.
    async fn early_end(&mut self) -> Failure {
        let ends = std::iter::once(&mut self.master)
            .chain(self.agents.iter_mut())
            .map(|child| Box::pin(child.early_end()));
        let ends = futures_util::future::select_all(ends);
        match &mut self.marathon {
            None => ends.await.0,
            Some(marathon) => tokio::select! {
                (failure, ..) = ends => failure,
                failure = marathon.early_end() => failure,
            },
        }
    }

    /// Ends the app manager, which would replace tasks that end, agents, then the master, then whatever tasks have left behind. A further signal cuts the
    /// waiting short.
    async fn end(&mut self, interrupts: &mut Interrupts) {
        if let Some(marathon) = &mut self.marathon {
            tokio::select! {
                _ = tokio::time::timeout(MARATHON_GRACE, marathon.end()) => {}
                _ = interrupts.next() => {}
            }
            marathon.kill().await;
        }
        for agent in &self.agents {
            agent.ask_to_leave();
        }
        let agents = futures_util::future::join_all(self.agents.iter_mut().map(Child::ended));
        tokio::select! {
            _ = tokio::time::timeout(AGENTS_GRACE, agents) => {}
            _ = interrupts.next() => eprintln!("tepui: ending everything at once"),
        }
        for agent in &mut self.agents {
            agent.kill().await;
        }
        self.master.ask_to_end();
        tokio::select! {
            _ = tokio::time::timeout(MASTER_GRACE, self.master.ended()) => {}
            _ = interrupts.next() => {}
        }
        self.master.kill().await;
        tree::end_orphans();
    }
}

/// Waits until this many agents are registered. That the master does not answer yet is no error: it
/// is starting, and its end is noticed elsewhere.
async fn registered(target: &Target, agents: u16) {
    loop {
        if let Ok(state) = get_json(target, "/state").await {
            let active = state
                .get("activated_slaves")
                .and_then(serde_json::Value::as_f64);
            if active.is_some_and(|active| active >= f64::from(agents)) {
                return;
            }
        }
        tokio::time::sleep(START_INTERVAL).await;
    }
}

fn not_ready(dir: &Path) -> Failure {
    Failure(format!(
        "the cluster is not ready after {} s; see the logs in '{}'",
        START_TIMEOUT.as_secs(),
        dir.display()
    ))
}

/// An address that leads to a program listening on `ip`.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

fn announce(
    target: &Target,
    marathon: Option<&Target>,
    (ip, ports): (IpAddr, &place::Ports),
    dir: &Path,
) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "master   {}", target.url(""))?;
    for (index, port) in ports.agents.iter().enumerate() {
        let address = SocketAddr::new(reachable(ip), *port);
        writeln!(out, "agent {}  http://{address}", index + 1)?;
    }
    if let Some(marathon) = marathon {
        writeln!(out, "apps     {}", marathon.url(""))?;
    }
    writeln!(out, "state, logs and sandboxes are in {}", dir.display())?;
    writeln!(
        out,
        "try: tepui run --master {target} --name hello -- echo hello"
    )?;
    if let Some(marathon) = marathon {
        writeln!(out, "     tepui app list --marathon {}", marathon.url(""))?;
    }
    writeln!(out, "Ctrl-C ends the cluster")?;
    out.flush()
}
