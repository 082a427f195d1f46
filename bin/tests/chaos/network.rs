//! Hosts with addresses of their own, joined by one router that can drop what they send.
//! Heals nothing by itself.
//!
//! Each host is a network namespace with one interface to the router, which is the namespace the
//! test runs in. A cut is a routing rule `blackhole`: what it matches is dropped in silence, one way
//! or both, connections that are open included, and neither end is told. A host still reaches
//! itself, as an agent cut off from the world still reaches its executors.

use std::fmt;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns};

/// Priority of the first rule that drops anything.
const FIRST_PRIORITY: u32 = 1_000;

/// Which way nothing passes, seen from the host that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Both,
    /// What it sends is lost.
    Out,
    /// What is sent to it is lost.
    In,
}

/// A host is cut off from all others, or from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Tells it from all others.
    pub number: u32,
    pub host: Host,
    pub from: Option<Host>,
    pub direction: Direction,
}

/// A host; its name is that of its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub address: Ipv4Addr,
}

impl Host {
    /// A command that is run on this host.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Moves the calling thread, and the sockets it opens from now on, to this host.
    pub fn enter(&self) {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("a namespace");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace to enter");
    }
}

/// Makes hosts with these names, in a private network.
pub fn hosts(names: &[String]) -> Vec<Host> {
    run("ip", &["link", "set", "lo", "up"]);
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a router");
    let numbered = names.iter().zip(1..);
    numbered.map(|(name, number)| host(name, number)).collect()
}

fn host(name: &str, number: u8) -> Host {
    let address = Ipv4Addr::new(10, 77, number, 2);
    let router = Ipv4Addr::new(10, 77, number, 1).to_string();
    let interface = format!("to-{name}");
    let on_router = |text: &str| run("ip", &words(text));
    let on_host = |text: &str| run("ip", &[&["-n", name], &words(text)[..]].concat());
    on_router(&format!("netns add {name}"));
    on_router(&format!(
        "link add {interface} type veth peer name eth0 netns {name}"
    ));
    on_router(&format!("addr add {router}/24 dev {interface}"));
    on_router(&format!("link set {interface} up"));
    on_host(&format!("addr add {address}/24 dev eth0"));
    on_host("link set lo up");
    on_host("link set eth0 up");
    on_host(&format!("route add default via {router}"));
    let name = name.to_owned();
    Host { name, address }
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

impl Cut {
    pub fn make(&self) {
        let (own, all) = (self.host.address.to_string(), "0.0.0.0/0".to_owned());
        let other = self.from.as_ref().map(|other| other.address.to_string());
        let other = other.unwrap_or(all);
        for (priority, way) in self.rules() {
            let (from, to) = match way {
                Direction::In => (&other, &own),
                Direction::Both | Direction::Out => (&own, &other),
            };
            let rule = format!("rule add priority {priority} from {from} to {to} blackhole");
            run("ip", &words(&rule));
        }
    }

    pub fn heal(&self) {
        for (priority, _) in self.rules() {
            // Named by its priority alone: a rule that says less would be any that says more.
            run("ip", &words(&format!("rule del priority {priority}")));
        }
    }

    /// The priority of the rule for each way, before those that say where things go.
    fn rules(&self) -> Vec<(u32, Direction)> {
        let first = FIRST_PRIORITY + 2 * self.number;
        let (out, back) = ((first, Direction::Out), (first + 1, Direction::In));
        match self.direction {
            Direction::Both => vec![out, back],
            Direction::Out => vec![out],
            Direction::In => vec![back],
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.direction {
            Direction::Both => "both ways",
            Direction::Out => "what it sends",
            Direction::In => "what is sent to it",
        };
        let other = self.from.as_ref().map_or("all", |other| &other.name);
        write!(f, "{} from {other} ({way})", self.host.name)
    }
}

/// Runs a program that must succeed.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
