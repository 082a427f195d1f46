//! One run from start to end: the cluster, the disturbed time, the quiet afterwards, the leaving.
//! What may go wrong is judged elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::driver::{Driver, Record};
use crate::faults::{self, Kind};
use crate::framework::{self, Orders, Phase, Setup};
use crate::ledger::{Ledger, Plan, Task};
use crate::network::{self, Host};
use crate::nodes::{self, Node, Role};
use crate::processes;
use crate::quiet::{self, View};
use crate::support::framework::{Encoding, Framework, info};
use crate::verdict::Causes;

/// Longest wait for anything that must come to pass; only a failing run reaches it. Updates whose
/// acknowledgement got lost are repeated after up to some minutes.
const PATIENCE: Duration = Duration::from_secs(400);

/// Longest wait until all that nobody uses is offered.
const OFFERS_PATIENCE: Duration = Duration::from_secs(30);

/// Tasks that must have finished in two minutes, and accordingly more in more.
const FINISHED_IN_TWO_MINUTES: usize = 200;

const MASTERS: usize = 3;
const AGENTS: usize = 5;
const SERVERS: usize = 3;

/// What is told when a run fails, and what is removed when it does not.
struct Report {
    seed: u64,
    length: Duration,
    dir: PathBuf,
    record: Arc<Mutex<Record>>,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.dir).expect("a directory to remove");
            return;
        }
        let Ok(record) = self.record.lock() else {
            return;
        };
        let mut text = record.lines.join("\n");
        for ledger in &self.ledgers {
            let Ok(ledger) = ledger.lock() else { continue };
            for (id, task) in &ledger.tasks {
                text.push_str(&format!("\n{id}\n    {}", task.history.join("\n    ")));
            }
        }
        let _ = std::fs::write(self.dir.join("record.log"), text);
        println!("{}", record.lines.join("\n"));
        println!(
            "\nseed {} ({} s); logs of all programs, and record.log, are in {}",
            self.seed,
            self.length.as_secs(),
            self.dir.display()
        );
    }
}

/// The cluster, its frameworks, and what is told of them.
struct Run {
    driver: Driver,
    orders: Arc<Orders>,
    threads: Vec<JoinHandle<()>>,
    /// Ids of agents that were admitted, but never told.
    replaced: BTreeSet<String>,
    _report: Report,
}

/// Runs all of it.
pub fn run(seed: u64, length: Duration) {
    println!("chaos: seed {seed}, {} s", length.as_secs());
    let mut run = Run::start(seed, length);
    run.wait_for("tasks that run", |run| {
        let enough = |ledger: &Ledger| ledger.tasks.values().filter(|it| it.has_run).count() >= 10;
        run.each_ledger(enough)
    });
    let view = run.wait_for("all agents", |run| View::read(&run.driver));
    run.replaced = view.missing();
    let schedule = faults::schedule(seed, length);
    run.driver.disturb(&schedule, length);
    run.driver.heal();
    let wanted = FINISHED_IN_TWO_MINUTES as f64 * length.as_secs_f64() / 120.0;
    run.wait_for("enough finished tasks", |run| {
        let finished = run.count("TASK_FINISHED") as f64;
        match finished >= wanted {
            true => Ok(()),
            false => Err(format!("{finished} of {wanted}")),
        }
    });
    run.orders.set(Phase::Settle);
    let (view, since) = run.settle();
    run.check_offers(&view, since);
    run.check_ends(&view);
    run.check_that_it_was_chaos(&schedule);
    run.leave();
    run.check_logs();
    run.print_summary();
}

impl Run {
    fn start(seed: u64, length: Duration) -> Run {
        let dir = tempfile::Builder::new().prefix("tepui-chaos-").tempdir();
        // Agents name sandboxes by the real path.
        let dir = dir.expect("a directory").keep();
        let dir = dir.canonicalize().expect("a directory");
        let names = |name: &str, count| (1..=count).map(move |at| format!("{name}{at}")).collect();
        let names: [Vec<String>; 4] = [
            names("zk", SERVERS),
            names("master", MASTERS),
            names("agent", AGENTS),
            names("framework", 2),
        ];
        let hosts = network::hosts(&names.concat());
        let (servers, rest) = hosts.split_at(SERVERS);
        let (masters, rest) = rest.split_at(MASTERS);
        let (agents, frameworks) = rest.split_at(AGENTS);
        let zk = nodes::zk_url(servers);
        let mut all: Vec<Node> = Vec::new();
        all.extend(servers.iter().map(|host| Node::server(host, servers, &dir)));
        all.extend(masters.iter().map(|host| Node::master(host, &zk, &dir)));
        all.extend(agents.iter().map(|host| Node::agent(host, &zk, &dir)));

        let started = Instant::now();
        let record = Arc::new(Mutex::new(Record::new(started)));
        let ledgers: Vec<_> = ["json", "protobuf"]
            .map(|name| Arc::new(Mutex::new(Ledger::new(name, started))))
            .into();
        let report = Report {
            seed,
            length,
            dir: dir.clone(),
            record: record.clone(),
            ledgers: ledgers.clone(),
        };
        let masters = all.iter().filter(|node| node.role == Role::Master);
        let masters = masters.map(Node::address).collect();
        let mut run = Run {
            driver: Driver::new(all, frameworks.to_vec(), ledgers, record, dir),
            orders: Arc::new(Orders::new()),
            threads: Vec::new(),
            replaced: BTreeSet::new(),
            _report: report,
        };
        run.start_programs(servers);
        run.start_frameworks(seed, masters, frameworks);
        run
    }

    fn start_programs(&mut self, servers: &[Host]) {
        let start_all = |run: &mut Run, role: Role| {
            for at in 0..run.driver.nodes.len() {
                if run.driver.nodes[at].role == role {
                    run.driver.start(at);
                }
            }
        };
        start_all(self, Role::Server);
        self.wait_for("ZooKeeper", |_| {
            let silent = servers.iter().find(|host| !nodes::serves(host.address));
            silent.map_or(Ok(()), |host| Err(format!("{} does not serve", host.name)))
        });
        start_all(self, Role::Master);
        start_all(self, Role::Agent);
    }

    fn start_frameworks(&mut self, seed: u64, masters: Vec<std::net::SocketAddr>, on: &[Host]) {
        let kinds: [(Encoding, &[&str]); 2] = [
            (Encoding::Json, &["PARTITION_AWARE"]),
            (Encoding::Protobuf, &[]),
        ];
        for (at, (encoding, capabilities)) in kinds.into_iter().enumerate() {
            let ledger = self.driver.ledgers[at].clone();
            let name = ledger.lock().expect("a ledger").name;
            let setup = Setup {
                name,
                encoding,
                capabilities,
                host: on[at].clone(),
                masters: masters.clone(),
                seed: seed ^ name.len() as u64,
            };
            let thread = framework::start(setup, self.orders.clone(), ledger);
            self.threads.push(thread);
        }
    }

    /// Waits until something holds, starting again whatever ends meanwhile.
    fn wait_for<T>(&mut self, what: &str, look: impl Fn(&Run) -> Result<T, String>) -> T {
        let began = Instant::now();
        loop {
            self.driver.tend();
            self.check_violations();
            let why = match look(self) {
                Ok(found) => return found,
                Err(why) => why,
            };
            assert!(
                began.elapsed() < PATIENCE,
                "waited too long for {what}: {why}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn each_ledger(&self, holds: impl Fn(&Ledger) -> bool) -> Result<(), String> {
        let mut ledgers = self.driver.ledgers.iter();
        let bad = ledgers.find(|ledger| !holds(&ledger.lock().expect("a ledger")));
        bad.map_or(Ok(()), |ledger| {
            Err(format!(
                "framework {}",
                ledger.lock().expect("a ledger").name
            ))
        })
    }

    fn count(&self, state: &str) -> usize {
        let ledgers = self.driver.ledgers.iter();
        let counts = ledgers.map(|ledger| ledger.lock().expect("a ledger").count(state));
        counts.sum()
    }

    /// What may never happen has not happened.
    fn check_violations(&self) {
        let record = self.driver.record.lock().expect("a record");
        let mut all = record.violations.clone();
        drop(record);
        for ledger in &self.driver.ledgers {
            all.extend(ledger.lock().expect("a ledger").violations.clone());
        }
        assert!(all.is_empty(), "{}", all.join("\n"));
        let dead = self.threads.iter().any(JoinHandle::is_finished);
        let torn_down = |ledger: &Ledger| ledger.is_torn_down;
        assert!(
            !dead || self.each_ledger(torn_down).is_ok(),
            "a framework's thread has died"
        );
    }

    /// Waits until nothing moves any more. What masters say of tasks counts from when all agents
    /// were back.
    fn settle(&mut self) -> (View, Instant) {
        self.wait_for("all agents", |run| View::read(&run.driver));
        let since = Instant::now();
        (self.quiet(since), since)
    }

    fn quiet(&mut self, since: Instant) -> View {
        self.wait_for("quiet", |run| {
            let view = View::read(&run.driver)?;
            view.check(&run.driver, since, &run.replaced)?;
            Ok(view)
        })
    }

    /// A framework that comes now is offered all that nobody uses.
    fn check_offers(&mut self, view: &View, since: Instant) {
        let mut newcomer = Framework::subscribe(view.leader, Encoding::Json, info("newcomer", &[]));
        let (free, began) = (view.free(), Instant::now());
        let mut offered = BTreeMap::new();
        while offered != free {
            let offer = newcomer.offer_before(began + OFFERS_PATIENCE);
            let Some(offer) = offer else {
                let now = View::read(&self.driver).map(|view| view.state);
                panic!("{offered:?} is offered, but {free:?} is free; the master says {now:#?}");
            };
            quiet::add_offer(&mut offered, &offer);
        }
        newcomer.teardown();
        self.quiet(since);
    }

    /// Every end has a cause.
    fn check_ends(&self, view: &View) {
        let record = self.driver.record.lock().expect("a record");
        let causes = Causes {
            record: &record,
            agents: &view.names,
        };
        let ledgers = self.driver.ledgers.iter();
        let wrong: Vec<String> = ledgers
            .flat_map(|ledger| causes.judge(&ledger.lock().expect("a ledger")))
            .collect();
        drop(record);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Faults of every kind were inflicted, and they have made a difference.
    fn check_that_it_was_chaos(&self, schedule: &[faults::Fault]) {
        let record = self.driver.record.lock().expect("a record");
        let counts = record.counts.clone();
        drop(record);
        let count = |kind: &Kind| counts.get(kind).copied().unwrap_or(0);
        for kind in faults::kinds() {
            let (done, least) = (count(&kind), faults::least(kind, schedule));
            assert!(done >= least, "{kind:?}: {done} times, at least {least}");
        }
        for ledger in &self.driver.ledgers {
            let ledger = ledger.lock().expect("a ledger");
            let masters = ledger.masters.len();
            assert!(masters >= 2, "{}: {masters} leaders", ledger.name);
            let kept = |task: &&Task| task.plan == Plan::Keep && task.end.is_none();
            let kept = ledger.tasks.values().filter(kept).count();
            assert!(kept >= 1, "{}: no task has outlived it all", ledger.name);
        }
        for state in ["TASK_FAILED", "TASK_KILLED"] {
            assert!(self.count(state) >= 1, "{state}");
        }
    }

    /// Ends all tasks, then the frameworks, then the agents; nothing may be left.
    fn leave(&mut self) {
        self.orders.set(Phase::KillAll);
        self.wait_for("the end of all tasks", |run| {
            run.each_ledger(|ledger| ledger.tasks.values().all(Task::is_over))
        });
        self.orders.set(Phase::TearDown);
        self.wait_for("the frameworks' leaving", |run| {
            run.each_ledger(|ledger| ledger.is_torn_down)
        });
        for thread in self.threads.drain(..) {
            thread.join().expect("a framework");
        }
        self.end(Role::Agent, Signal::SIGUSR1);
        let left = processes::below(&self.driver.dir);
        assert!(left.is_empty(), "agents have left {left:?}");
        self.end(Role::Master, Signal::SIGTERM);
        for node in &mut self.driver.nodes {
            node.kill();
        }
    }

    /// All of a kind end well when told to.
    fn end(&mut self, role: Role, signal: Signal) {
        let began = Instant::now();
        for node in self.driver.of(role) {
            node.signal(signal);
        }
        for node in &mut self.driver.nodes {
            while node.role == role && node.is_running() {
                if let Some(status) = node.take_end() {
                    assert!(status.success(), "{} ended with {status}", node.name());
                }
                assert!(began.elapsed() < PATIENCE, "{} does not end", node.name());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Nobody has panicked, not even where it did not show.
    fn check_logs(&self) {
        for node in &self.driver.nodes {
            let log = node.log_text();
            let panic = log.lines().find(|line| line.contains("panicked at"));
            assert!(panic.is_none(), "{}: {panic:?}", node.name());
        }
    }

    fn print_summary(&self) {
        let record = self.driver.record.lock().expect("a record");
        let faults: usize = record.counts.values().sum();
        println!("{faults} faults: {:?}", record.counts);
        for ledger in &self.driver.ledgers {
            let ledger = ledger.lock().expect("a ledger");
            let count = |holds: fn(&Task) -> bool| {
                let tasks = ledger.tasks.values();
                tasks.filter(|task| holds(task)).count()
            };
            println!(
                "{}: {} leaders, {} tasks: {} finished, {} failed, {} killed, {} dropped or lost, \
                 {} never ran; {} were given up and came back",
                ledger.name,
                ledger.masters.len(),
                ledger.tasks.len(),
                ledger.count("TASK_FINISHED"),
                ledger.count("TASK_FAILED"),
                ledger.count("TASK_KILLED"),
                ledger.count("TASK_DROPPED") + ledger.count("TASK_LOST"),
                count(Task::never_ran),
                count(|task| task.was_back),
            );
        }
    }
}
