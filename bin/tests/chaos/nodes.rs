//! The programs of the cluster, each on a host of its own: ZooKeeper servers, masters, agents.
//! Knows how to start them and whether they run; why one should end is not decided here.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::network::Host;
use crate::support::cluster::binary;
use crate::zookeeper::CLASS_PATH;

/// Where everything of a kind listens, as each has an address of its own.
const ZOOKEEPER_PORT: u16 = 2181;
pub const MASTER_PORT: u16 = 5050;
pub const AGENT_PORT: u16 = 5051;

/// Resources of every agent.
pub const RESOURCES: &str = "cpus:8;mem:8192;disk:8192;ports:[31000-31999]";

/// What a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Master,
    Agent,
}

/// One program, whether it runs at present or not.
pub struct Node {
    pub role: Role,
    pub host: Host,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// A ZooKeeper server; `all` are the hosts of the ensemble.
    pub fn server(host: &Host, all: &[Host], dir: &Path) -> Node {
        let home = dir.join(&host.name);
        std::fs::create_dir_all(home.join("data")).expect("directory");
        let members = all.iter().zip(1..).map(|(member, id)| {
            let address = member.address;
            format!("server.{id}={address}:2888:3888\n")
        });
        let config = format!(
            "tickTime=500\nmaxSessionTimeout=60000\ninitLimit=20\nsyncLimit=10\ndataDir={}\n\
             clientPortAddress={}\nclientPort={ZOOKEEPER_PORT}\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\n{}",
            home.join("data").display(),
            host.address,
            members.collect::<String>()
        );
        let own = all.iter().position(|member| member == host);
        let id = own.expect("a member of the ensemble") + 1;
        std::fs::write(home.join("data/myid"), id.to_string()).expect("myid");
        std::fs::write(home.join("zoo.cfg"), config).expect("configuration");
        let mut arguments = vec!["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        arguments.push("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        arguments.extend(["-cp", CLASS_PATH]);
        arguments.push("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        let config = home.join("zoo.cfg").display().to_string();
        arguments.push(&config);
        Node::new(Role::Server, host, Path::new("java"), arguments, dir)
    }

    pub fn master(host: &Host, zk: &str, dir: &Path) -> Node {
        let flags = [
            &format!("--ip={}", host.address),
            &format!("--hostname={}", host.address),
            &format!("--port={MASTER_PORT}"),
            &format!("--zk={zk}"),
            "--zk_session_timeout=4secs",
            "--agent_ping_timeout=1secs",
            "--max_agent_ping_timeouts=5",
            // Agents are given up again and again, which is not to be held up.
            "--mass_removal_limit=100%",
        ];
        Node::new(
            Role::Master,
            host,
            &binary("tepui-master"),
            flags.to_vec(),
            dir,
        )
    }

    pub fn agent(host: &Host, zk: &str, dir: &Path) -> Node {
        let launcher = binary("tepui-executor");
        let launcher = launcher.parent().expect("a directory").display();
        let flags = [
            &format!("--ip={}", host.address),
            &format!("--hostname={}", host.address),
            &format!("--port={AGENT_PORT}"),
            &format!("--master={zk}"),
            &format!("--work_dir={}", dir.join(&host.name).display()),
            &format!("--launcher_dir={launcher}"),
            &format!("--resources={RESOURCES}"),
            "--zk_session_timeout=4secs",
            "--registration_backoff_factor=500ms",
            "--executor_reregistration_timeout=10secs",
            "--executor_shutdown_grace_period=4secs",
        ];
        Node::new(
            Role::Agent,
            host,
            &binary("tepui-agent"),
            flags.to_vec(),
            dir,
        )
    }

    fn new(role: Role, host: &Host, program: &Path, arguments: Vec<&str>, dir: &Path) -> Node {
        Node {
            role,
            host: host.clone(),
            program: program.to_owned(),
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            log: dir.join(format!("{}.log", host.name)),
            child: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.host.name
    }

    /// Where it serves HTTP.
    pub fn address(&self) -> SocketAddr {
        let port = match self.role {
            Role::Server => ZOOKEEPER_PORT,
            Role::Master => MASTER_PORT,
            Role::Agent => AGENT_PORT,
        };
        SocketAddr::from((self.host.address, port))
    }

    /// Starts it; what it says is added to what earlier runs have said.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.name());
        let log = File::options().create(true).append(true).open(&self.log);
        let mut log = log.expect("a log");
        writeln!(log, "======== started").expect("a log");
        let mut command = self.command();
        let child = command
            .args(&self.arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
    }

    fn command(&self) -> Command {
        self.host.command(&self.program)
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How it has ended, if it has since this was asked last.
    pub fn take_end(&mut self) -> Option<ExitStatus> {
        let ended = self.child.as_mut()?.try_wait().expect("a child")?;
        self.child = None;
        Some(ended)
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child");
            child.wait().expect("a child");
        }
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let pid = i32::try_from(child.id()).expect("a pid");
            kill(Pid::from_raw(pid), signal).expect("a child that was not waited for");
        }
    }

    /// All it has said.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// The URL of an ensemble on these hosts.
pub fn zk_url(hosts: &[Host]) -> String {
    let hosts: Vec<String> = hosts
        .iter()
        .map(|host| format!("{}:{ZOOKEEPER_PORT}", host.address))
        .collect();
    format!("zk://{}/mesos", hosts.join(","))
}

/// Whether a ZooKeeper server serves, as part of a quorum.
pub fn serves(address: Ipv4Addr) -> bool {
    let ask = || -> std::io::Result<String> {
        let address = SocketAddr::from((address, ZOOKEEPER_PORT));
        let patience = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"srvr")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("Mode:"))
}
