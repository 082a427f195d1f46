//! Does to the cluster what the schedule says, undoes it in time, and starts again what has ended.
//! Judges nothing: it writes down what it did, and whom it met.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::faults::{Fault, Kind};
use crate::ledger::{Ledger, seconds};
use crate::network::{Cut, Host};
use crate::nodes::{Node, Role};
use crate::processes::{self, Process};

/// Time after which a program that ended by itself is started again, as a supervisor would.
const SUPERVISOR_PAUSE: Duration = Duration::from_millis(500);

/// Longest time a program may take to end when told to.
const TIME_TO_END: Duration = Duration::from_secs(60);

/// What was done to an executor or to a task's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    ExecutorKilled,
    ExecutorStopped,
    TaskKilled,
    TaskStopped,
}

/// What the driver has done, for those who judge what came of it.
#[derive(Debug)]
pub struct Record {
    started: Instant,
    pub lines: Vec<String>,
    pub counts: BTreeMap<Kind, usize>,
    /// By the id of the task or the executor.
    pub hits: BTreeMap<String, Vec<(Instant, Hit)>>,
    /// When agents were started, and when something was done to them, by name.
    pub agent_starts: BTreeMap<String, Vec<Instant>>,
    pub agent_faults: BTreeMap<String, Vec<Instant>>,
    /// Programs that ended by themselves and should not have.
    pub violations: Vec<String>,
}

impl Record {
    pub fn new(started: Instant) -> Record {
        Record {
            started,
            lines: Vec::new(),
            counts: BTreeMap::new(),
            hits: BTreeMap::new(),
            agent_starts: BTreeMap::new(),
            agent_faults: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    pub fn log(&mut self, what: impl fmt::Display) {
        let at = seconds(self.started.elapsed());
        self.lines.push(format!("{at:>12}  {what}"));
    }
}

/// How to end a fault.
enum Undo {
    Start(usize),
    /// Start it once it has ended and a while has passed.
    StartAfterEnd(usize, Duration),
    ContinueNode(usize),
    ContinueProcess(i32),
    Heal(Cut),
}

/// A fault that lasts.
struct Active {
    undo: Undo,
    at: Instant,
    /// Names of nodes and hosts that are not met by another fault meanwhile.
    victims: Vec<String>,
}

/// The cluster and what is being done to it.
pub struct Driver {
    pub nodes: Vec<Node>,
    pub framework_hosts: Vec<Host>,
    pub ledgers: Vec<Arc<Mutex<Ledger>>>,
    pub record: Arc<Mutex<Record>>,
    pub dir: PathBuf,
    active: Vec<Active>,
    /// Cuts made so far.
    cuts: u32,
}

impl Driver {
    pub fn new(
        nodes: Vec<Node>,
        framework_hosts: Vec<Host>,
        ledgers: Vec<Arc<Mutex<Ledger>>>,
        record: Arc<Mutex<Record>>,
        dir: PathBuf,
    ) -> Driver {
        Driver {
            nodes,
            framework_hosts,
            ledgers,
            record,
            dir,
            active: Vec::new(),
            cuts: 0,
        }
    }

    pub fn of(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    fn log(&self, what: impl fmt::Display) {
        self.record.lock().expect("a record").log(what);
    }

    pub fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.start();
        let mut record = self.record.lock().expect("a record");
        record.log(format!("{} started", node.name()));
        if node.role == Role::Agent {
            let starts = record.agent_starts.entry(node.name().to_owned());
            starts.or_default().push(Instant::now());
        }
    }

    /// Inflicts the faults of a schedule; those that meet nobody at present wait.
    pub fn disturb(&mut self, schedule: &[Fault], length: Duration) {
        let began = Instant::now();
        let mut waiting: Vec<&Fault> = Vec::new();
        let mut next = schedule.iter().peekable();
        while began.elapsed() < length {
            while let Some(fault) = next.next_if(|fault| fault.at <= began.elapsed()) {
                waiting.push(fault);
            }
            waiting.retain(|fault| !self.inflict(fault));
            self.tend();
            std::thread::sleep(Duration::from_millis(20));
        }
        let left = waiting.len() + next.count();
        self.log(format!(
            "the disturbed time is over; {left} faults are left"
        ));
    }

    /// Ends what is over, and starts again what has ended.
    pub fn tend(&mut self) {
        let now = Instant::now();
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|active| active.at <= now);
        self.active = rest;
        for active in due {
            self.undo(active);
        }
        for at in 0..self.nodes.len() {
            if self.is_told_to_end(at) {
                continue;
            }
            if let Some(status) = self.nodes[at].take_end() {
                self.ended_by_itself(at, status);
            }
        }
    }

    fn is_told_to_end(&self, node: usize) -> bool {
        let mut undone = self.active.iter().map(|active| &active.undo);
        undone.any(|undo| matches!(undo, Undo::StartAfterEnd(at, _) if *at == node))
    }

    /// Ends all faults now and waits until everything runs.
    pub fn heal(&mut self) {
        let now = Instant::now();
        for active in &mut self.active {
            active.at = active.at.min(now);
        }
        while !self.active.is_empty() {
            self.tend();
            std::thread::sleep(Duration::from_millis(20));
        }
        self.log("all is healed");
    }

    fn undo(&mut self, active: Active) {
        match active.undo {
            Undo::Start(at) => self.start(at),
            Undo::StartAfterEnd(at, pause) => self.start_after_end(at, pause, active),
            Undo::ContinueNode(at) => {
                self.nodes[at].signal(Signal::SIGCONT);
                self.log(format!("{} continued", self.nodes[at].name()));
            }
            Undo::ContinueProcess(pid) => {
                // It may have been killed meanwhile.
                let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
                self.log(format!("process {pid} continued"));
            }
            Undo::Heal(cut) => {
                cut.heal();
                self.log(format!("healed {cut}"));
            }
        }
    }

    fn start_after_end(&mut self, at: usize, pause: Duration, active: Active) {
        let node = &mut self.nodes[at];
        let now = Instant::now();
        match node.take_end() {
            // One that had just been started was not listening for signals yet.
            Some(status) if status.success() || status.signal() == Some(Signal::SIGTERM as i32) => {
                let undo = Undo::Start(at);
                let victims = active.victims;
                let at = now + pause;
                self.active.push(Active { undo, at, victims });
            }
            Some(status) => self.ended_by_itself(at, status),
            None if now < active.at + TIME_TO_END => {
                // Asked again in the next turn; its time tells since when.
                self.active.push(active);
            }
            None => panic!("{} does not end on SIGTERM", node.name()),
        }
    }

    /// A master that has lost its leadership ends, and so does a ZooKeeper server in trouble, but an
    /// agent has no reason to.
    fn ended_by_itself(&mut self, at: usize, status: std::process::ExitStatus) {
        let node = &self.nodes[at];
        let name = node.name().to_owned();
        let log = node.log_text();
        let last = log.lines().last().unwrap_or_default().to_owned();
        let line = format!("{name} ended by itself ({status}): {last}");
        let may_end = match node.role {
            Role::Server => true,
            Role::Master => status.code() == Some(1),
            Role::Agent => false,
        };
        let mut record = self.record.lock().expect("a record");
        record.log(&line);
        if !may_end {
            record.violations.push(line);
        }
        drop(record);
        self.active.push(Active {
            undo: Undo::Start(at),
            at: Instant::now() + SUPERVISOR_PAUSE,
            victims: vec![name],
        });
    }

    fn busy(&self) -> BTreeSet<&str> {
        let victims = self.active.iter().flat_map(|active| &active.victims);
        victims.map(String::as_str).collect()
    }

    /// Nodes of a kind that run undisturbed.
    fn candidates(&self, role: Role) -> Vec<usize> {
        let busy = self.busy();
        let nodes = self.nodes.iter().enumerate();
        let free = nodes.filter(|(_, node)| {
            node.role == role && node.is_running() && !busy.contains(node.name())
        });
        free.map(|(at, _)| at).collect()
    }

    /// Whom a fault of this kind of node meets now.
    fn victim(&self, role: Role, fault: &Fault) -> Option<usize> {
        let candidates = self.candidates(role);
        let leader = self.leader().filter(|_| fault.leader);
        let leads = |at: &usize| Some(self.nodes[*at].address()) == leader;
        let leading = candidates.iter().copied().find(leads);
        leading.or_else(|| pick(&candidates, fault.pick).copied())
    }

    /// The master that frameworks were subscribed with last.
    fn leader(&self) -> Option<std::net::SocketAddr> {
        self.ledgers
            .iter()
            .find_map(|ledger| ledger.lock().expect("a ledger").leader)
    }

    /// Does what is due, if there is somebody to do it to.
    fn inflict(&mut self, fault: &Fault) -> bool {
        let done = match fault.kind {
            Kind::KillMaster => self.kill_node(Role::Master, fault),
            Kind::StopMaster => self.stop_node(Role::Master, fault),
            Kind::CutMaster => self.cut_node(Role::Master, fault),
            Kind::KillAgent => self.kill_node(Role::Agent, fault),
            Kind::EndAgent => self.end_agent(fault),
            Kind::StopAgent => self.stop_node(Role::Agent, fault),
            Kind::CutAgent => self.cut_node(Role::Agent, fault),
            Kind::CutAgentFromMaster => self.cut_agent_from_master(fault),
            Kind::CutFramework => self.cut_framework(fault),
            Kind::KillExecutor | Kind::StopExecutor | Kind::KillTask | Kind::StopTask => {
                self.hit_process(fault)
            }
            Kind::KillServer => self.has_quorum() && self.kill_node(Role::Server, fault),
            Kind::StopServer => self.has_quorum() && self.stop_node(Role::Server, fault),
            Kind::CutServer => self.has_quorum() && self.cut_node(Role::Server, fault),
            Kind::LoseQuorum => self.lose_quorum(fault),
        };
        if done {
            let mut record = self.record.lock().expect("a record");
            *record.counts.entry(fault.kind).or_default() += 1;
        }
        done
    }

    /// Whether all servers are undisturbed, so that one may be.
    fn has_quorum(&self) -> bool {
        self.candidates(Role::Server).len() == self.of(Role::Server).count()
    }

    fn begin(&mut self, what: &str, victims: &[&str], undo: Undo, lasts: Duration) {
        let names = victims.join(" and ");
        let at = Instant::now();
        let mut record = self.record.lock().expect("a record");
        record.log(format!("{what} {names} for {}", seconds(lasts)));
        for name in victims.iter().filter(|name| name.starts_with("agent")) {
            let faults = record.agent_faults.entry((*name).to_owned());
            faults.or_default().push(at);
        }
        drop(record);
        let victims = victims.iter().map(|name| (*name).to_owned()).collect();
        self.active.push(Active {
            undo,
            at: at + lasts,
            victims,
        });
    }

    fn kill_node(&mut self, role: Role, fault: &Fault) -> bool {
        let Some(at) = self.victim(role, fault) else {
            return false;
        };
        let name = self.nodes[at].name().to_owned();
        self.begin("kill -9", &[&name], Undo::Start(at), fault.lasts);
        self.nodes[at].kill();
        true
    }

    fn end_agent(&mut self, fault: &Fault) -> bool {
        let Some(at) = self.victim(Role::Agent, fault) else {
            return false;
        };
        let name = self.nodes[at].name().to_owned();
        let undo = Undo::StartAfterEnd(at, fault.lasts);
        self.begin("SIGTERM to", &[&name], undo, Duration::ZERO);
        self.nodes[at].signal(Signal::SIGTERM);
        true
    }

    fn stop_node(&mut self, role: Role, fault: &Fault) -> bool {
        let Some(at) = self.victim(role, fault) else {
            return false;
        };
        let name = self.nodes[at].name().to_owned();
        self.begin("SIGSTOP to", &[&name], Undo::ContinueNode(at), fault.lasts);
        self.nodes[at].signal(Signal::SIGSTOP);
        true
    }

    fn cut_node(&mut self, role: Role, fault: &Fault) -> bool {
        let Some(at) = self.victim(role, fault) else {
            return false;
        };
        self.cut(self.nodes[at].host.clone(), None, fault);
        true
    }

    fn cut(&mut self, host: Host, from: Option<Host>, fault: &Fault) {
        self.cuts += 1;
        let cut = Cut {
            number: self.cuts,
            host,
            from,
            direction: fault.direction,
        };
        cut.make();
        let what = format!("cut {cut}:");
        let name = cut.host.name.clone();
        self.begin(&what, &[&name], Undo::Heal(cut), fault.lasts);
    }

    fn cut_agent_from_master(&mut self, fault: &Fault) -> bool {
        let agents = self.candidates(Role::Agent);
        // Whether the master is disturbed in another way does not matter.
        let masters: Vec<Host> = self.of(Role::Master).map(|it| it.host.clone()).collect();
        let leader = self.leader().filter(|_| fault.leader);
        let leads = |host: &&Host| leader.is_some_and(|it| it.ip() == host.address);
        let master = masters.iter().find(leads);
        let master = master.or_else(|| pick(&masters, fault.pick >> 8)).cloned();
        let Some(agent) = pick(&agents, fault.pick).copied() else {
            return false;
        };
        self.cut(self.nodes[agent].host.clone(), master, fault);
        true
    }

    fn cut_framework(&mut self, fault: &Fault) -> bool {
        let busy = self.busy();
        let free = self.framework_hosts.iter();
        let free: Vec<Host> = free
            .filter(|host| !busy.contains(host.name.as_str()))
            .cloned()
            .collect();
        let Some(host) = pick(&free, fault.pick) else {
            return false;
        };
        self.cut(host.clone(), None, fault);
        true
    }

    /// Two of three servers stop, so that nobody can be elected and sessions end.
    fn lose_quorum(&mut self, fault: &Fault) -> bool {
        if !self.has_quorum() {
            return false;
        }
        let mut servers = self.candidates(Role::Server);
        let spared = usize::try_from(fault.pick % 3).unwrap_or(0);
        servers.remove(spared.min(servers.len() - 1));
        for at in servers {
            let name = self.nodes[at].name().to_owned();
            self.begin("SIGSTOP to", &[&name], Undo::ContinueNode(at), fault.lasts);
            self.nodes[at].signal(Signal::SIGSTOP);
        }
        true
    }

    fn hit_process(&mut self, fault: &Fault) -> bool {
        let (hit, signal) = match fault.kind {
            Kind::KillExecutor => (Hit::ExecutorKilled, Signal::SIGKILL),
            Kind::StopExecutor => (Hit::ExecutorStopped, Signal::SIGSTOP),
            Kind::KillTask => (Hit::TaskKilled, Signal::SIGKILL),
            _ => (Hit::TaskStopped, Signal::SIGSTOP),
        };
        let of_executor = matches!(hit, Hit::ExecutorKilled | Hit::ExecutorStopped);
        let all = processes::below(&self.dir);
        let found: Vec<&Process> = match of_executor {
            true => all.iter().filter(|process| process.is_executor).collect(),
            false => processes::tasks(&all).collect(),
        };
        let Some(process) = pick(&found, fault.pick) else {
            return false;
        };
        let id = match of_executor {
            true => process.executor.clone(),
            false => process.task.clone(),
        };
        let Some(id) = id else {
            return false;
        };
        let pid = process.pid;
        {
            let mut record = self.record.lock().expect("a record");
            record.log(format!("{hit:?}: {id}, process {pid}"));
            let hits = record.hits.entry(id).or_default();
            hits.push((Instant::now(), hit));
        }
        if kill(Pid::from_raw(pid), signal).is_err() {
            // It has just ended; another one is chosen.
            return false;
        }
        if signal == Signal::SIGSTOP {
            let undo = Undo::ContinueProcess(pid);
            self.begin("stopped", &[&pid.to_string()], undo, fault.lasts);
        }
        true
    }
}

fn pick<T>(all: &[T], number: u64) -> Option<&T> {
    let count = u64::try_from(all.len()).ok()?;
    let at = number.checked_rem(count)?;
    all.get(usize::try_from(at).ok()?)
}
