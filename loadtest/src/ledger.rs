//! Which offers are at hand, which tasks are due, and how long each took.
//! Pure: time comes in, calls come out; nothing is sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hdrhistogram::Histogram;
use tepui_protocol::v1::scheduler::{Call, call};
use tepui_protocol::v1::{
    CommandInfo, Filters, Offer, OfferId, Resource, TaskId, TaskInfo, TaskState, TaskStatus, offer,
    value,
};

use crate::framework::of_type;

/// Longest latency a histogram tells apart, in microseconds.
const MAX_LATENCY_US: u64 = 3_600_000_000;

/// Thousandths of a resource's unit; whole numbers add up without error.
type Milli = i64;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of tasks.
    pub tasks: usize,
    /// Shell command of each.
    pub command: String,
    /// Most tasks alive at once.
    pub concurrency: usize,
    /// Tasks that become due per second; `None` starts one as soon as another ends.
    pub rate: Option<f64>,
    /// CPUs of each task.
    pub cpus: f64,
    /// Memory of each task, in MB.
    pub mem_mb: f64,
    /// Beginning of the tasks' ids.
    pub prefix: String,
}

/// Latencies of the tasks of a run, in microseconds.
#[derive(Debug)]
pub struct Latencies {
    /// From the start to TASK_RUNNING.
    pub to_running: Histogram<u64>,
    /// From the start to the terminal state.
    pub to_end: Histogram<u64>,
}

/// The state of a run.
#[derive(Debug)]
pub struct Ledger {
    plan: Plan,
    begun: Duration,
    offers: Vec<Offer>,
    next: usize,
    /// Starts of the tasks that are alive, and whether they were seen running.
    alive: BTreeMap<String, (Duration, bool)>,
    /// Tasks that ended in TASK_FINISHED.
    pub finished: usize,
    /// What became of the others.
    pub failures: VecDeque<String>,
    /// How long tasks took.
    pub latencies: Latencies,
}

/// Most failures that are kept to be shown.
const MAX_FAILURES: usize = 10;

impl Ledger {
    /// A run that begins now.
    ///
    /// # Errors
    /// When the histograms cannot be made.
    pub fn new(plan: Plan, now: Duration) -> Result<Self, hdrhistogram::CreationError> {
        let histogram = || Histogram::new_with_bounds(1, MAX_LATENCY_US, 3);
        let latencies = Latencies {
            to_running: histogram()?,
            to_end: histogram()?,
        };
        Ok(Ledger {
            plan,
            begun: now,
            offers: Vec::new(),
            next: 0,
            alive: BTreeMap::new(),
            finished: 0,
            failures: VecDeque::new(),
            latencies,
        })
    }

    /// Takes offers to hold.
    pub fn offered(&mut self, offers: Vec<Offer>) {
        self.offers.extend(offers);
    }

    /// Gives an offer up that is no longer valid.
    pub fn rescinded(&mut self, id: &OfferId) {
        self.offers.retain(|offer| offer.id != *id);
    }

    /// Whether all tasks have ended.
    pub fn is_done(&self) -> bool {
        self.next >= self.plan.tasks && self.alive.is_empty()
    }

    /// Tasks that have ended.
    pub fn ended(&self) -> usize {
        self.next - self.alive.len()
    }

    /// When the next task becomes due, if that is what the run waits for.
    pub fn next_due(&self) -> Option<Duration> {
        let waits = self.next < self.plan.tasks && self.alive.len() < self.plan.concurrency;
        self.plan
            .rate
            .filter(|_| waits)
            .map(|rate| self.due(rate, self.next))
    }

    /// An ACCEPT that launches what is due and fits on one agent.
    pub fn next_launch(&mut self, now: Duration) -> Option<Call> {
        let wanted = self.wanted(now);
        if wanted == 0 {
            return None;
        }
        let agent = self
            .offers
            .iter()
            .map(|offer| &offer.agent_id)
            .find_map(|agent| {
                let (cpus, mem) = self.held(&agent.value);
                let fits =
                    fits(cpus, milli(self.plan.cpus)).min(fits(mem, milli(self.plan.mem_mb)));
                (fits > 0).then(|| (agent.clone(), fits))
            });
        let (agent, fits) = agent?;
        let (used, kept) = std::mem::take(&mut self.offers)
            .into_iter()
            .partition::<Vec<_>, _>(|offer| offer.agent_id == agent);
        self.offers = kept;
        let mut infos = Vec::new();
        for _ in 0..wanted.min(fits) {
            let id = format!("{}-{}", self.plan.prefix, self.next);
            // In an open loop a task's clock runs from when it was due, not from when it could be
            // launched: a stalled master does not hide how long callers waited for it.
            let start = self.plan.rate.map_or(now, |rate| self.due(rate, self.next));
            self.alive.insert(id.clone(), (start, false));
            self.next += 1;
            infos.push(self.task(id, &agent.value));
        }
        let mut call = of_type(call::Type::Accept);
        call.accept = Some(call::Accept {
            offer_ids: used.into_iter().map(|offer| offer.id).collect(),
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
        Some(call)
    }

    /// Notes an update, and gives its acknowledgement.
    pub fn updated(&mut self, now: Duration, status: &TaskStatus) -> Option<Call> {
        let id = &status.task_id.value;
        if let Some((start, seen_running)) = self.alive.get_mut(id) {
            let micros = now.saturating_sub(*start).as_micros();
            let micros = u64::try_from(micros).unwrap_or(MAX_LATENCY_US);
            let state = status.state();
            if state == TaskState::TaskRunning && !std::mem::replace(seen_running, true) {
                self.latencies.to_running.saturating_record(micros);
            }
            if is_terminal(state) {
                self.latencies.to_end.saturating_record(micros);
                self.alive.remove(id);
                self.note_end(state, status);
            }
        }
        let uuid = status.uuid.clone().filter(|uuid| !uuid.is_empty())?;
        let mut call = of_type(call::Type::Acknowledge);
        call.acknowledge = Some(call::Acknowledge {
            agent_id: status.agent_id.clone().unwrap_or_default(),
            task_id: status.task_id.clone(),
            uuid,
        });
        Some(call)
    }

    fn note_end(&mut self, state: TaskState, status: &TaskStatus) {
        if state == TaskState::TaskFinished {
            self.finished += 1;
            return;
        }
        if self.failures.len() < MAX_FAILURES {
            let (id, text) = (&status.task_id.value, status.message());
            self.failures
                .push_back(format!("{id}: {} {text}", state.as_str_name()));
        }
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

    /// Free CPUs and memory in the offers of an agent.
    fn held(&self, agent: &str) -> (Milli, Milli) {
        let resources = self
            .offers
            .iter()
            .filter(|offer| offer.agent_id.value == agent)
            .flat_map(|offer| &offer.resources);
        resources.fold((0, 0), |(cpus, mem), resource| {
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
            agent_id: tepui_protocol::v1::AgentId {
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
mod tests {
    use super::*;
    use tepui_protocol::v1::AgentId;

    fn plan(tasks: usize, concurrency: usize, rate: Option<f64>) -> Plan {
        let command = "true".to_owned();
        let prefix = "t".to_owned();
        Plan {
            tasks,
            command,
            concurrency,
            rate,
            cpus: 0.1,
            mem_mb: 10.0,
            prefix,
        }
    }

    fn offer(id: &str, agent: &str, cpus: f64, mem: f64) -> Offer {
        let scalar = |name: &str, value| Resource {
            name: name.into(),
            scalar: Some(value::Scalar { value }),
            ..Default::default()
        };
        Offer {
            id: OfferId { value: id.into() },
            agent_id: AgentId {
                value: agent.into(),
            },
            resources: vec![scalar("cpus", cpus), scalar("mem", mem)],
            ..Default::default()
        }
    }

    fn status(id: &str, state: TaskState) -> TaskStatus {
        TaskStatus {
            task_id: TaskId { value: id.into() },
            state: state as i32,
            uuid: Some(vec![1; 16]),
            ..Default::default()
        }
    }

    fn launched(call: Option<Call>) -> (Vec<String>, Vec<String>) {
        let accept = call.and_then(|call| call.accept).unwrap();
        let offers = accept.offer_ids.into_iter().map(|id| id.value).collect();
        let launch = accept
            .operations
            .into_iter()
            .next()
            .and_then(|it| it.launch)
            .unwrap();
        (
            offers,
            launch
                .task_infos
                .into_iter()
                .map(|info| info.task_id.value)
                .collect(),
        )
    }

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn launches_no_more_than_concurrency_and_offers_allow() {
        let mut ledger = Ledger::new(plan(10, 4, None), ms(0)).unwrap();
        assert!(ledger.next_launch(ms(0)).is_none());
        // Neither offer is enough for one task, both of one agent together are enough for three.
        ledger.offered(vec![
            offer("o1", "a", 0.25, 5.0),
            offer("o2", "a", 0.05, 100.0),
        ]);
        ledger.offered(vec![offer("o3", "b", 9.0, 9.0)]);
        let (offers, tasks) = launched(ledger.next_launch(ms(1)));
        assert_eq!((offers.len(), tasks.len()), (2, 3));
        assert!(ledger.next_launch(ms(1)).is_none());
        ledger.offered(vec![offer("o4", "b", 9.0, 900.0)]);
        let (offers, tasks) = launched(ledger.next_launch(ms(1)));
        assert_eq!(
            (offers, tasks),
            (vec!["o3".into(), "o4".into()], vec!["t-3".to_owned()])
        );
        ledger.offered(vec![offer("o5", "b", 9.0, 900.0)]);
        assert!(ledger.next_launch(ms(1)).is_none());
        ledger.rescinded(&OfferId { value: "o5".into() });
        ledger.updated(ms(2), &status("t-0", TaskState::TaskFinished));
        assert!(ledger.next_launch(ms(2)).is_none());
    }

    #[test]
    fn measures_from_the_launch_and_counts_ends() {
        let mut ledger = Ledger::new(plan(2, 2, None), ms(0)).unwrap();
        ledger.offered(vec![offer("o", "a", 1.0, 100.0)]);
        launched(ledger.next_launch(ms(100)));
        for (at, state) in [(105, TaskState::TaskRunning), (106, TaskState::TaskRunning)] {
            assert!(ledger.updated(ms(at), &status("t-0", state)).is_some());
        }
        ledger.updated(ms(110), &status("t-0", TaskState::TaskFinished));
        assert!(!ledger.is_done());
        ledger.updated(ms(120), &status("t-1", TaskState::TaskFailed));
        ledger.updated(ms(130), &status("t-1", TaskState::TaskFailed));
        assert!(ledger.is_done());
        assert_eq!((ledger.ended(), ledger.finished), (2, 1));
        assert_eq!(ledger.failures, ["t-1: TASK_FAILED "]);
        assert_eq!(ledger.latencies.to_running.len(), 1);
        assert!(
            ledger
                .latencies
                .to_running
                .equivalent(ledger.latencies.to_running.max(), 5000)
        );
        assert_eq!(ledger.latencies.to_end.len(), 2);
    }

    #[test]
    fn an_open_loop_measures_from_when_a_task_was_due() {
        let mut ledger = Ledger::new(plan(3, 10, Some(10.0)), ms(1000)).unwrap();
        // The offer comes 150 ms late: two tasks are due, the first for 150 ms.
        ledger.offered(vec![offer("o", "a", 1.0, 100.0)]);
        let (_, tasks) = launched(ledger.next_launch(ms(1150)));
        assert_eq!(tasks, ["t-0", "t-1"]);
        ledger.updated(ms(1160), &status("t-0", TaskState::TaskRunning));
        let histogram = &ledger.latencies.to_running;
        assert!(
            histogram.equivalent(histogram.max(), 160_000),
            "{}",
            histogram.max()
        );
        assert_eq!(ledger.next_due(), Some(ms(1200)));
    }

    #[test]
    fn updates_without_uuid_are_not_acknowledged() {
        let mut ledger = Ledger::new(plan(1, 1, None), ms(0)).unwrap();
        let mut update = status("t-0", TaskState::TaskError);
        update.uuid = None;
        assert!(ledger.updated(ms(0), &update).is_none());
    }
}
