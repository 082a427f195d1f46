//! Which offers are at hand, which tasks are due, and how long each took.
//! Pure: time comes in, calls come out; nothing is sent.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hdrhistogram::Histogram;
use tepui_protocol::v1::scheduler::{Call, call};
use tepui_protocol::v1::{
    AgentId, CommandInfo, Filters, Offer, OfferId, Resource, TaskId, TaskInfo, TaskState,
    TaskStatus, offer, value,
};

use crate::framework::of_type;
use crate::histogram;

/// Thousandths of a resource's unit; whole numbers add up without error.
type Milli = i64;

/// Most failures that are kept to be shown.
const MAX_FAILURES: usize = 10;

/// Seconds for which offers are refused that are of no use any more: longer than any run.
pub const REFUSE_SECONDS: f64 = 1_000_000.0;

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// When all tasks run.
    Running,
    /// When all tasks have ended.
    Ended,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of tasks.
    pub tasks: usize,
    /// Shell command of each.
    pub command: String,
    /// Most tasks alive at once.
    pub concurrency: usize,
    /// Most tasks of one ACCEPT.
    pub per_accept: usize,
    /// Tasks that become due per second; `None` starts one as soon as another ends.
    pub rate: Option<f64>,
    /// Time until the first of them does; the framework is offered the agents meanwhile.
    pub begin_after: Duration,
    /// CPUs of each task.
    pub cpus: f64,
    /// Memory of each task, in MB.
    pub mem_mb: f64,
    /// Beginning of the tasks' ids.
    pub prefix: String,
    /// When the run is over.
    pub goal: Goal,
    /// Whether tasks may end otherwise than in TASK_FINISHED.
    pub may_fail: bool,
}

impl Default for Plan {
    /// One command that ends at once.
    fn default() -> Self {
        Plan {
            tasks: 1,
            command: "true".into(),
            concurrency: 1,
            per_accept: usize::MAX,
            rate: None,
            begin_after: Duration::ZERO,
            cpus: 0.01,
            mem_mb: 1.0,
            prefix: "task".into(),
            goal: Goal::Ended,
            may_fail: false,
        }
    }
}

/// Latencies of the tasks of a run, in microseconds.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// From the start to TASK_RUNNING.
    pub to_running: Histogram<u64>,
    /// From the start to the terminal state.
    pub to_end: Histogram<u64>,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        Latencies {
            to_running: histogram(),
            to_end: histogram(),
        }
    }

    /// Takes those of another run in.
    pub fn add(&mut self, other: &Latencies) {
        crate::add(&mut self.to_running, &other.to_running);
        crate::add(&mut self.to_end, &other.to_end);
    }
}

/// A task that is alive.
#[derive(Debug)]
struct Alive {
    start: Duration,
    is_running: bool,
}

/// Offers of one agent, added up.
#[derive(Debug, Default)]
struct Held {
    offers: Vec<OfferId>,
    cpus: Milli,
    mem: Milli,
}

/// The state of a run.
#[derive(Debug)]
pub struct Ledger {
    plan: Plan,
    begun: Duration,
    held: HashMap<String, Held>,
    /// What each offer holds, and of which agent.
    offers: HashMap<String, (String, Milli, Milli)>,
    /// Agents whose offers may fit, in the order they came.
    ready: VecDeque<String>,
    next: usize,
    alive: HashMap<String, Alive>,
    running: usize,
    has_suppressed: bool,
    /// Tasks that ended in TASK_FINISHED.
    pub finished: usize,
    /// Tasks that ended otherwise.
    pub failed: usize,
    /// The first of them.
    pub failures: Vec<String>,
    /// How long tasks took.
    pub latencies: Latencies,
    /// When the last task reached the goal.
    pub reached: Duration,
}

impl Ledger {
    /// A run that begins now.
    pub fn new(plan: Plan, now: Duration) -> Self {
        Ledger {
            begun: now + plan.begin_after,
            plan,
            held: HashMap::new(),
            offers: HashMap::new(),
            ready: VecDeque::new(),
            next: 0,
            alive: HashMap::new(),
            running: 0,
            has_suppressed: false,
            finished: 0,
            failed: 0,
            failures: Vec::new(),
            latencies: Latencies::new(),
            reached: now,
        }
    }

    /// Takes offers to hold.
    pub fn offered(&mut self, offers: Vec<Offer>) {
        for offer in offers {
            let (cpus, mem) = free(&offer.resources);
            let agent = offer.agent_id.value;
            let held = self.held.entry(agent.clone()).or_default();
            held.cpus += cpus;
            held.mem += mem;
            held.offers.push(offer.id.clone());
            self.ready.push_back(agent.clone());
            self.offers.insert(offer.id.value, (agent, cpus, mem));
        }
    }

    /// Gives an offer up that is no longer valid.
    pub fn rescinded(&mut self, id: &OfferId) {
        let Some((agent, cpus, mem)) = self.offers.remove(&id.value) else {
            return;
        };
        if let Some(held) = self.held.get_mut(&agent) {
            held.cpus -= cpus;
            held.mem -= mem;
            held.offers.retain(|offer| offer != id);
        }
    }

    /// Whether all tasks have reached the goal.
    pub fn is_done(&self) -> bool {
        self.next >= self.plan.tasks
            && match self.plan.goal {
                Goal::Ended => self.alive.is_empty(),
                Goal::Running => self.running == self.alive.len(),
            }
    }

    /// Tasks that have reached the goal.
    pub fn reached(&self) -> usize {
        match self.plan.goal {
            Goal::Ended => self.next - self.alive.len(),
            Goal::Running => self.running,
        }
    }

    /// When the next task becomes due, if that is what the run waits for.
    pub fn next_due(&self) -> Option<Duration> {
        let waits = self.next < self.plan.tasks && self.alive.len() < self.plan.concurrency;
        self.plan
            .rate
            .filter(|_| waits)
            .map(|rate| self.due(rate, self.next))
    }

    /// An ACCEPT that launches what is due and fits on one agent; when all tasks are launched, what
    /// is left is given back and no more is asked for.
    pub fn next_call(&mut self, now: Duration) -> Option<Call> {
        if self.next >= self.plan.tasks {
            return self.give_back();
        }
        let wanted = self.wanted(now);
        if wanted == 0 {
            return None;
        }
        while let Some(agent) = self.ready.pop_front() {
            let Some(held) = self.held.get(&agent) else {
                continue;
            };
            let fits = fits(held.cpus, milli(self.plan.cpus))
                .min(fits(held.mem, milli(self.plan.mem_mb)))
                .min(wanted)
                .min(self.plan.per_accept);
            // What is too little waits for further offers of the same agent.
            if fits > 0 && !held.offers.is_empty() {
                return Some(self.launch(now, agent, fits));
            }
        }
        None
    }

    fn launch(&mut self, now: Duration, agent: String, count: usize) -> Call {
        let offer_ids = self.take_held(&agent);
        let mut infos = Vec::with_capacity(count);
        for _ in 0..count {
            let id = format!("{}-{}", self.plan.prefix, self.next);
            // In an open loop a task's clock runs from when it was due, not from when it could be
            // launched: a stalled master does not hide how long callers waited for it.
            let start = self.plan.rate.map_or(now, |rate| self.due(rate, self.next));
            let alive = Alive {
                start,
                is_running: false,
            };
            self.alive.insert(id.clone(), alive);
            self.next += 1;
            infos.push(self.task(id, &agent));
        }
        let mut call = of_type(call::Type::Accept);
        call.accept = Some(call::Accept {
            offer_ids,
            operations: vec![offer::Operation {
                r#type: Some(offer::operation::Type::Launch as i32),
                launch: Some(offer::operation::Launch { task_infos: infos }),
                ..Default::default()
            }],
            // What is left over is needed again at once.
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        });
        call
    }

    fn take_held(&mut self, agent: &str) -> Vec<OfferId> {
        let offers = self.held.remove(agent).unwrap_or_default().offers;
        for offer in &offers {
            self.offers.remove(&offer.value);
        }
        offers
    }

    fn give_back(&mut self) -> Option<Call> {
        if !std::mem::replace(&mut self.has_suppressed, true) {
            return Some(of_type(call::Type::Suppress));
        }
        let agents: Vec<String> = self.held.keys().cloned().collect();
        let offer_ids: Vec<OfferId> = agents
            .iter()
            .flat_map(|agent| self.take_held(agent))
            .collect();
        self.ready.clear();
        (!offer_ids.is_empty()).then(|| decline(offer_ids, REFUSE_SECONDS))
    }

    /// Notes an update, and gives its acknowledgement.
    pub fn updated(&mut self, now: Duration, status: &TaskStatus) -> Option<Call> {
        let id = &status.task_id.value;
        if let Some(alive) = self.alive.get_mut(id) {
            let took = now.saturating_sub(alive.start);
            let state = status.state();
            if state == TaskState::TaskRunning && !std::mem::replace(&mut alive.is_running, true) {
                crate::record(&mut self.latencies.to_running, took);
                self.running += 1;
                self.reached = now;
            }
            if is_terminal(state) {
                crate::record(&mut self.latencies.to_end, took);
                self.running -= usize::from(alive.is_running);
                self.reached = now;
                self.alive.remove(id);
                self.note_end(state, status);
            }
        }
        acknowledge(status)
    }

    fn note_end(&mut self, state: TaskState, status: &TaskStatus) {
        if state == TaskState::TaskFinished && self.plan.goal == Goal::Ended {
            self.finished += 1;
            return;
        }
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            let (id, text) = (&status.task_id.value, status.message());
            self.failures
                .push(format!("{id}: {} {text}", state.as_str_name()));
        }
    }

    /// Why the run is worth nothing, if it is.
    pub fn failure(&self) -> Option<String> {
        let failed = self.failed > 0 && !self.plan.may_fail;
        failed.then(|| {
            let some = self.failures.join("; ");
            format!(
                "{} of {} tasks failed: {some}",
                self.failed, self.plan.tasks
            )
        })
    }

    /// Tasks that may start now.
    fn wanted(&self, now: Duration) -> usize {
        let left = self.plan.tasks.saturating_sub(self.next);
        let room = self
            .plan
            .concurrency
            .saturating_sub(self.alive.len())
            .min(left);
        match self.plan.rate {
            None => room,
            Some(rate) => (0..room)
                .take_while(|ahead| self.due(rate, self.next + ahead) <= now)
                .count(),
        }
    }

    fn due(&self, rate: f64, index: usize) -> Duration {
        let seconds = index as f64 / rate;
        self.begun + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2)
    }

    fn task(&self, id: String, agent: &str) -> TaskInfo {
        let scalar = |name: &str, amount: f64| Resource {
            name: name.to_owned(),
            r#type: value::Type::Scalar as i32,
            scalar: Some(value::Scalar { value: amount }),
            ..Resource::default()
        };
        TaskInfo {
            name: id.clone(),
            task_id: TaskId { value: id },
            agent_id: AgentId {
                value: agent.to_owned(),
            },
            resources: vec![
                scalar("cpus", self.plan.cpus),
                scalar("mem", self.plan.mem_mb),
            ],
            command: Some(Box::new(CommandInfo {
                value: Some(self.plan.command.clone()),
                ..CommandInfo::default()
            })),
            ..TaskInfo::default()
        }
    }
}

/// A DECLINE of these offers.
pub fn decline(offer_ids: Vec<OfferId>, refuse_seconds: f64) -> Call {
    let mut call = of_type(call::Type::Decline);
    call.decline = Some(call::Decline {
        offer_ids,
        filters: Some(Filters {
            refuse_seconds: Some(refuse_seconds),
        }),
    });
    call
}

/// The acknowledgement of an update that asks for one.
pub fn acknowledge(status: &TaskStatus) -> Option<Call> {
    let uuid = status.uuid.clone().filter(|uuid| !uuid.is_empty())?;
    let mut call = of_type(call::Type::Acknowledge);
    call.acknowledge = Some(call::Acknowledge {
        agent_id: status.agent_id.clone().unwrap_or_default(),
        task_id: status.task_id.clone(),
        uuid,
    });
    Some(call)
}

/// Free CPUs and memory among resources.
fn free(resources: &[Resource]) -> (Milli, Milli) {
    resources.iter().fold((0, 0), |(cpus, mem), resource| {
        let plain = resource.reservations.is_empty() && resource.revocable.is_none();
        let amount = resource
            .scalar
            .as_ref()
            .filter(|_| plain)
            .map_or(0, |it| milli(it.value));
        match resource.name.as_str() {
            "cpus" => (cpus + amount, mem),
            "mem" => (cpus, mem + amount),
            _ => (cpus, mem),
        }
    })
}

fn milli(amount: f64) -> Milli {
    (amount * 1000.0).round() as Milli
}

/// How many times `each` goes into `total`.
fn fits(total: Milli, each: Milli) -> usize {
    match each {
        ..=0 => usize::MAX,
        each => usize::try_from(total / each).unwrap_or(0),
    }
}

/// Whether no further state follows.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

#[cfg(test)]
mod tests;
