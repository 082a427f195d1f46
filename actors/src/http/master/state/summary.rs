//! `/state-summary`: agents and frameworks with counts of their tasks instead of the tasks.
//! Lists no task.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Serialize, Serializer};
use tepui_core::master::model::{Framework, Snapshot, Task};
use tepui_protocol::v1::TaskState;

use super::super::extended::Extended;
use super::Seq;
use super::agent::agent;
use super::framework::{SummaryView, Used};
use super::resources::ResourcesView;
use crate::http::json::Content;
use crate::master::config::MasterConfig;

/// What `/state-summary` tells.
pub struct Summary {
    /// The master's state.
    pub snapshot: Arc<Snapshot>,
    /// The master's settings.
    pub config: Arc<MasterConfig>,
}

impl Content for Summary {
    /// Mesos: `ReadOnlyHandler::stateSummary`.
    fn write(&self, out: &mut impl Write) -> Result<(), serde_json::Error> {
        let snapshot = &*self.snapshot;
        let used = Used::of(snapshot);
        let tally = Tally::of(snapshot);
        let none = OnAgent::default();
        let hostname = snapshot.master.hostname.as_deref();
        let head = Head {
            hostname: hostname.unwrap_or(&self.config.hostname),
            cluster: self.config.cluster.as_deref(),
        };
        let mut whole = Extended::of(out, &head)?;
        whole.list("slaves", snapshot.agents.values(), |one, out| {
            let tasks = tally.agents.get(one.id.as_str()).unwrap_or(&none);
            let ids = tasks.frameworks.iter();
            let ids = ids
                .filter_map(|at| tally.frameworks.get(*at))
                .map(|of| of.id);
            let mut shown = agent(out, one, snapshot)?;
            shown.fields(&tasks.counts)?;
            shown.field("framework_ids", &ids.collect::<Vec<_>>())?;
            shown.end()
        })?;
        let frameworks = snapshot.frameworks.values().zip(&tally.frameworks);
        whole.list("frameworks", frameworks, |(framework, tasks), out| {
            let used = ResourcesView::of_all(used.by(framework));
            let summary = SummaryView::new(framework, used, snapshot);
            let mut shown = Extended::of(out, &summary)?;
            shown.fields(&tasks.counts)?;
            shown.field("slave_ids", &Seq(|| tasks.agents.iter()))?;
            shown.end()
        })?;
        whole.end()
    }
}

#[derive(Serialize)]
struct Head<'a> {
    hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
}

/// The states that are counted, in the order in which Mesos shows them.
const SHOWN: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

/// Tasks in each of the [`SHOWN`] states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts([u32; SHOWN.len()]);

impl Counts {
    fn add(&mut self, state: i32) {
        if let Some(at) = SHOWN.iter().position(|shown| *shown as i32 == state) {
            self.0[at] += 1;
        }
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = SHOWN.iter().map(|state| state.as_str_name());
        serializer.collect_map(names.zip(&self.0))
    }
}

/// Tasks on one agent.
#[derive(Debug, Default)]
struct OnAgent {
    counts: Counts,
    /// Whose they are, as places in [`Tally::frameworks`].
    frameworks: Vec<usize>,
}

/// Tasks of one framework.
#[derive(Debug)]
struct OfFramework<'a> {
    id: &'a str,
    counts: Counts,
    /// Where they are or were.
    agents: Vec<&'a str>,
}

/// All tasks of registered frameworks, also those that are remembered only.
struct Tally<'a> {
    agents: HashMap<&'a str, OnAgent, RandomState>,
    /// In the order of the snapshot.
    frameworks: Vec<OfFramework<'a>>,
}

impl<'a> Tally<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let agents = snapshot.agents.len();
        let mut tally = Tally {
            agents: HashMap::with_capacity_and_hasher(agents, RandomState::default()),
            frameworks: Vec::with_capacity(snapshot.frameworks.len()),
        };
        for framework in snapshot.frameworks.values() {
            tally.add(framework);
        }
        tally
    }

    fn add(&mut self, framework: &'a Framework) {
        let place = self.frameworks.len();
        let mut own = OfFramework {
            id: framework.id.as_str(),
            counts: Counts::default(),
            agents: Vec::new(),
        };
        for task in super::tasks::of(framework) {
            let task: &'a Task = task;
            let on = self.agents.entry(task.agent.as_str()).or_default();
            on.counts.add(task.state);
            own.counts.add(task.state);
            if on.frameworks.last() != Some(&place) {
                on.frameworks.push(place);
                own.agents.push(task.agent.as_str());
            }
        }
        self.frameworks.push(own);
    }
}
