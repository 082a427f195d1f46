//! What the frameworks launch: short tasks of all kinds, groups, and one on every agent that stays.
//! Sends nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::Random;
use crate::framework::Setup;
use crate::ledger::{Ledger, Plan, text};
use crate::processes::MARK;
use crate::support::framework::scalar;

/// Tasks of a framework that run, or may, beside those that stay.
const MAX_IN_FLIGHT: usize = 24;

/// Most tasks launched by one ACCEPT.
const MAX_AT_ONCE: u64 = 3;

/// One task that is to be launched.
pub struct NewTask {
    pub id: String,
    pub plan: Plan,
    pub executor: String,
}

/// An operation on an offer, and the tasks in it.
pub struct Launch {
    pub operation: Value,
    pub tasks: Vec<NewTask>,
}

/// How a framework describes itself.
pub fn info(setup: &Setup) -> Value {
    let capabilities = setup.capabilities.iter().map(|name| json!({"type": name}));
    json!({
        "user": "root",
        "name": setup.name,
        "checkpoint": true,
        "failover_timeout": 604_800.0,
        "capabilities": capabilities.collect::<Vec<_>>(),
    })
}

/// What to launch on an offer; `number` makes the names new.
pub fn choose(ledger: &Ledger, offer: &Value, number: u64, random: &mut Random) -> Option<Launch> {
    let agent = text(&offer["agent_id"]["value"]);
    if free(offer) < 1.0 {
        return None;
    }
    let mut open = ledger.tasks.values().filter(|task| !task.is_over());
    if !open.any(|task| task.plan == Plan::Keep && task.agent == agent) {
        let id = format!("{}-{number}-keep", ledger.name);
        return Some(commands(vec![(id, Plan::Keep)], offer, random));
    }
    let room = MAX_IN_FLIGHT.saturating_sub(ledger.in_flight());
    if room < 2 {
        return None;
    }
    if random.below(8) == 0 {
        return Some(group(
            &format!("{}-{number}", ledger.name),
            ledger,
            offer,
            random,
        ));
    }
    let room = u64::try_from(room).unwrap_or(MAX_AT_ONCE);
    let count = random.between(1, room.min(MAX_AT_ONCE));
    let tasks = (0..count).map(|at| (format!("{}-{number}-{at}", ledger.name), plan(random)));
    let tasks = tasks.collect();
    Some(commands(tasks, offer, random))
}

fn plan(random: &mut Random) -> Plan {
    match random.below(10) {
        0 => Plan::Fail,
        1 | 2 => {
            let after = Duration::from_millis(random.between(0, 6_000));
            Plan::Kill(Instant::now() + after)
        }
        _ => Plan::Finish,
    }
}

/// Mostly short, now and then long enough to see several faults.
fn duration(random: &mut Random) -> String {
    let longest = match random.below(10) {
        0 => 20_000,
        1 | 2 => 8_000,
        _ => 2_500,
    };
    let millis = random.between(50, longest);
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

fn command(plan: Plan, random: &mut Random) -> String {
    match plan {
        Plan::Finish => format!("exec sleep {}", duration(random)),
        Plan::Fail => format!("sleep {}; exit 3", duration(random)),
        Plan::Kill(_) | Plan::Keep => "exec sleep 100000".to_owned(),
    }
}

fn task(id: &str, plan: Plan, offer: &Value, random: &mut Random) -> Value {
    json!({
        "name": id,
        "task_id": {"value": id},
        "agent_id": offer["agent_id"],
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        "command": {
            "shell": true,
            "value": command(plan, random),
            "environment": {"variables": [{"name": MARK, "value": id}]},
        },
    })
}

fn commands(tasks: Vec<(String, Plan)>, offer: &Value, random: &mut Random) -> Launch {
    let infos: Vec<Value> = tasks
        .iter()
        .map(|(id, plan)| task(id, *plan, offer, random))
        .collect();
    let tasks = tasks.into_iter().map(|(id, plan)| NewTask {
        executor: id.clone(),
        id,
        plan,
    });
    Launch {
        operation: json!({"type": "LAUNCH", "launch": {"task_infos": infos}}),
        tasks: tasks.collect(),
    }
}

/// Two tasks under one executor; one in four fails and takes the other along.
fn group(name: &str, ledger: &Ledger, offer: &Value, random: &mut Random) -> Launch {
    let second = match random.below(4) {
        0 => Plan::Fail,
        _ => Plan::Finish,
    };
    let tasks = [("a", Plan::Finish), ("b", second)];
    let executor = format!("{name}-group");
    let mut infos = Vec::new();
    let mut new = Vec::new();
    for (suffix, plan) in tasks {
        let id = format!("{executor}-{suffix}");
        infos.push(task(&id, plan, offer, random));
        let executor = executor.clone();
        new.push(NewTask { id, plan, executor });
    }
    let info = json!({
        "type": "DEFAULT",
        "executor_id": {"value": executor},
        "framework_id": {"value": ledger.framework_id},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 16.0)],
    });
    let group = json!({"executor": info, "task_group": {"tasks": infos}});
    Launch {
        operation: json!({"type": "LAUNCH_GROUP", "launch_group": group}),
        tasks: new,
    }
}

fn free(offer: &Value) -> f64 {
    let resources = offer["resources"].as_array();
    let cpus = resources.into_iter().flatten();
    let cpus = cpus.filter(|resource| resource["name"] == "cpus");
    cpus.filter_map(|resource| resource["scalar"]["value"].as_f64())
        .sum()
}
