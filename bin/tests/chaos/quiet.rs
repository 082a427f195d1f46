//! What must hold once nothing is disturbed any more and everybody has had time to come back.
//! Changes nothing: it reads what the programs show and what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::driver::Driver;
use crate::ledger::{Answer, Ledger, Plan, text};
use crate::nodes::Role;
use crate::processes;
use crate::support::http;

/// Time a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resources that are counted.
const COUNTED: [&str; 3] = ["cpus", "mem", "disk"];

/// What a look found out.
type Look = Result<(), String>;

/// The cluster as its leader and its agents show it.
pub struct View {
    pub leader: SocketAddr,
    pub state: Value,
    /// The state of each agent, by id.
    agents: BTreeMap<String, Value>,
    /// The names of agents by their ids.
    pub names: BTreeMap<String, String>,
}

impl View {
    /// Reads it; an error when somebody is missing.
    pub fn read(driver: &Driver) -> Result<View, String> {
        let mut leaders = Vec::new();
        for master in driver.of(Role::Master) {
            let (name, address) = (master.name(), master.address());
            let answer = http::request_within(PATIENCE, address, "GET", "/state", &[], &[]);
            let answer = answer.map_err(|error| format!("{name}: {error}"))?;
            if answer.status == 200 {
                leaders.push((address, answer.json()));
            }
        }
        let Some((leader, state)) = leaders.pop().filter(|_| leaders.is_empty()) else {
            return Err(format!("not one master leads, but {}", leaders.len() + 1));
        };
        let mut view = View {
            leader,
            state,
            agents: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        for agent in driver.of(Role::Agent) {
            let (name, address) = (agent.name(), agent.address());
            let answer = http::request_within(PATIENCE, address, "GET", "/state", &[], &[]);
            let state = answer.map_err(|error| format!("{name}: {error}"))?.json();
            let id = text(&state["id"]);
            view.names.insert(id.clone(), name.to_owned());
            view.agents.insert(id, state);
        }
        view.agents_are_registered(driver.of(Role::Agent).count())?;
        Ok(view)
    }

    /// The master knows these agents by these ids, and all are connected.
    fn agents_are_registered(&self, count: usize) -> Look {
        let slaves = list(&self.state["slaves"]);
        let active = slaves.iter().filter(|slave| slave["active"] == true);
        let known: BTreeSet<String> = active.map(|slave| text(&slave["id"])).collect();
        let own: BTreeSet<String> = self.agents.keys().cloned().collect();
        if known != own || slaves.len() != count || own.len() != count {
            return Err(format!(
                "the master's active agents are {known:?} of {}, the agents are {own:?}",
                slaves.len()
            ));
        }
        Ok(())
    }

    /// Agents in the registry that are not connected.
    pub fn missing(&self) -> BTreeSet<String> {
        let recovered = list(&self.state["recovered_slaves"]).iter();
        recovered.map(|slave| text(&slave["id"])).collect()
    }

    /// The master waits for no agent, but for those in whose stead others have come: a master that
    /// ends after it has admitted an agent, and before the agent knows, leaves such an id.
    fn nobody_is_missing(&self, replaced: &BTreeSet<String>) -> Look {
        let missing = self.missing();
        // They become unreachable when they have not come back for long.
        let unreachable = self.state["unreachable_slaves"].as_f64();
        let gone = replaced.difference(&missing).count() as f64;
        match missing.is_subset(replaced) && unreachable.is_some_and(|count| count <= gone) {
            true => Ok(()),
            false => Err(format!(
                "the master waits for {missing:?}, {unreachable:?} are unreachable"
            )),
        }
    }

    /// All is quiet, and everybody agrees on what runs.
    ///
    /// What the master says of tasks it does not know counts from `since`; `replaced` are ids that no
    /// agent has.
    pub fn check(&self, driver: &Driver, since: Instant, replaced: &BTreeSet<String>) -> Look {
        self.nobody_is_missing(replaced)?;
        let mut running = BTreeMap::new();
        for ledger in &driver.ledgers {
            let ledger = ledger.lock().expect("a ledger");
            self.framework_agrees(&ledger, since, &mut running)?;
        }
        let frameworks = list(&self.state["frameworks"]);
        if frameworks.len() != driver.ledgers.len() {
            return Err(format!("the master has {} frameworks", frameworks.len()));
        }
        self.agents_agree(&running)?;
        self.books_are_right()?;
        check_processes(driver, &running)
    }

    /// Each task of a framework has ended, never ran, or runs; and the master knows which.
    fn framework_agrees(
        &self,
        ledger: &Ledger,
        since: Instant,
        running: &mut BTreeMap<String, String>,
    ) -> Look {
        let name = ledger.name;
        let id = ledger.framework_id.clone().unwrap_or_default();
        let frameworks = list(&self.state["frameworks"]);
        let known = frameworks.iter().find(|known| text(&known["id"]) == id);
        let known = known.filter(|known| known["active"] == true);
        let known = known.ok_or_else(|| format!("{name}: the master has it not active"))?;
        let unreachable = list(&known["unreachable_tasks"]);
        if !unreachable.is_empty() || !ledger.is_subscribed {
            return Err(format!("{name}: {} tasks unreachable", unreachable.len()));
        }
        let tasks: BTreeMap<String, &Value> = list(&known["tasks"])
            .iter()
            .map(|task| (text(&task["id"]), task))
            .collect();
        if let Some(id) = tasks.keys().find(|id| !ledger.tasks.contains_key(*id)) {
            return Err(format!("{name}: the master has an unknown task {id}"));
        }
        for (id, task) in &ledger.tasks {
            let shown = tasks.get(id);
            let state = shown.map_or("nothing", |shown| shown["state"].as_str().unwrap_or(""));
            let told_since = task.word.is_some_and(|at| at > since);
            let fits = match &task.end {
                Some(end) => end.is_acknowledged && shown.is_none(),
                None if state == "TASK_RUNNING" => {
                    running.insert(id.clone(), task.agent.clone());
                    task.plan == Plan::Keep
                }
                None if task.answer == Answer::Refused || task.is_dropped => shown.is_none(),
                None => !task.is_known && told_since && shown.is_none(),
            };
            if !fits {
                let history = task.history.join("\n    ");
                return Err(format!("task {id}: for the master {state}\n    {history}"));
            }
        }
        Ok(())
    }

    /// Agents run what their master thinks, on whose behalf nothing waits.
    fn agents_agree(&self, running: &BTreeMap<String, String>) -> Look {
        let mut seen = BTreeMap::new();
        for (id, state) in &self.agents {
            for executor in executors(state) {
                let queued = list(&executor["queued_tasks"]).len();
                let tasks = list(&executor["tasks"]);
                if queued > 0 || tasks.is_empty() {
                    let shown = &executor["id"];
                    return Err(format!("agent {id}: executor {shown} runs nothing"));
                }
                for task in tasks {
                    seen.insert(text(&task["id"]), id.clone());
                    if task["state"] != "TASK_RUNNING" {
                        return Err(format!("agent {id}: a task is not running: {task}"));
                    }
                }
            }
        }
        match seen == *running {
            true => Ok(()),
            false => Err(format!("agents run {seen:?}, frameworks think {running:?}")),
        }
    }

    /// What is used of each agent is what its tasks have, and nothing is offered.
    fn books_are_right(&self) -> Look {
        for slave in list(&self.state["slaves"]) {
            let id = text(&slave["id"]);
            let mut held = BTreeMap::new();
            for framework in list(&self.state["frameworks"]) {
                let of_agent = |one: &&Value| one["slave_id"] == slave["id"];
                let tasks = list(&framework["tasks"]).iter().filter(of_agent);
                let mut executors = list(&framework["executors"]).iter().filter(of_agent);
                // All that still run are commands, of whose executors a master knows nothing. The
                // agents were looked at later: it may not have been told yet of one that is gone.
                if let Some(executor) = executors.next() {
                    let shown = &executor["executor_id"];
                    return Err(format!("agent {id}: the master has executor {shown} still"));
                }
                tasks.for_each(|one| add(&mut held, &one["resources"]));
            }
            let used = amounts(&slave["used_resources"]);
            let offered = amounts(&slave["offered_resources"]);
            if used != without_nothing(&held) || !offered.is_empty() {
                return Err(format!(
                    "agent {id}: used {used:?}, held {held:?}, offered {offered:?}"
                ));
            }
        }
        Ok(())
    }

    /// What is free of each agent: its total without what is used.
    pub fn free(&self) -> BTreeMap<String, BTreeMap<String, i64>> {
        let slaves = list(&self.state["slaves"]);
        let free = slaves.iter().map(|slave| {
            let used = amounts(&slave["used_resources"]);
            let mut free = amounts(&slave["resources"]);
            for (name, amount) in used {
                *free.entry(name).or_default() -= amount;
            }
            (text(&slave["id"]), without_nothing(&free))
        });
        free.collect()
    }
}

/// Exactly one process stands for each running task, one executor for each, and no others are there.
fn check_processes(driver: &Driver, running: &BTreeMap<String, String>) -> Look {
    let all = processes::below(&driver.dir);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for process in processes::tasks(&all) {
        let task = process.task.as_deref();
        let task = task.ok_or_else(|| format!("a process without a task: {process:?}"))?;
        *counts.entry(task).or_default() += 1;
    }
    let mut executors: BTreeMap<&str, usize> = BTreeMap::new();
    for process in all.iter().filter(|process| process.is_executor) {
        let id = process.executor.as_deref().unwrap_or_default();
        *executors.entry(id).or_default() += 1;
    }
    // All that still run are commands, whose executors have their names.
    let wanted: BTreeMap<&str, usize> = running.keys().map(|id| (id.as_str(), 1)).collect();
    match counts == wanted && executors == wanted {
        true => Ok(()),
        false => Err(format!(
            "processes of tasks {counts:?}, of executors {executors:?}, but there should be \
             {wanted:?}"
        )),
    }
}

/// Adds what is offered of each agent.
pub fn add_offer(offered: &mut BTreeMap<String, BTreeMap<String, i64>>, offer: &Value) {
    let of_agent = offered
        .entry(text(&offer["agent_id"]["value"]))
        .or_default();
    for resource in list(&offer["resources"]) {
        let name = text(&resource["name"]);
        if COUNTED.contains(&name.as_str()) {
            *of_agent.entry(name).or_default() += thousandths(&resource["scalar"]["value"]);
        }
    }
}

fn executors(agent: &Value) -> impl Iterator<Item = &Value> {
    let frameworks = list(&agent["frameworks"]).iter();
    frameworks.flat_map(|framework| list(&framework["executors"]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn amounts(resources: &Value) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    add(&mut all, resources);
    without_nothing(&all)
}

fn add(all: &mut BTreeMap<String, i64>, resources: &Value) {
    for name in COUNTED {
        *all.entry(name.to_owned()).or_default() += thousandths(&resources[name]);
    }
}

fn without_nothing(all: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let some = all.iter().filter(|(_, amount)| **amount != 0);
    some.map(|(name, amount)| (name.clone(), *amount)).collect()
}

/// Scalars have three decimals.
#[allow(clippy::cast_possible_truncation, reason = "amounts are small")]
fn thousandths(value: &Value) -> i64 {
    (value.as_f64().unwrap_or_default() * 1_000.0).round() as i64
}
