//! The answers of the operator API that may be large: GET_STATE and its four parts.
//! Written off the worker's thread, in pieces, straight from a snapshot; no copy of it is made.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tepui_core::master::model::{Agent, Framework, Snapshot, Task};
use tepui_core::master::operator::{self, Usage};
use tepui_core::memo::Memo;
use tepui_core::resources::Resources;
use tepui_protocol::json::RawValue;
use tepui_protocol::schema::Message;
use tepui_protocol::v1::master::response::{
    GetAgents, GetExecutors, GetFrameworks, GetState, GetTasks, Type, get_agents,
};
use tepui_protocol::v1::master::{Event, Response, event};
use tepui_protocol::{v1, wire};

use super::super::Face;
use super::super::extended::{Extended, Written, raw};
use super::super::state::write;
use crate::http::compress::Coding;
use crate::http::media::MediaType;
use crate::http::pieces::{PieceWriter, Pieces};
use crate::http::shared::SharedAnswers;
use crate::master::subscribers::HEARTBEAT_INTERVAL;

/// A part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Tasks,
    Executors,
    Frameworks,
    Agents,
}

/// All parts in the order that GET_STATE has them in.
const SECTIONS: [Section; 4] = [
    Section::Tasks,
    Section::Executors,
    Section::Frameworks,
    Section::Agents,
];

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Large {
    State,
    One(Section),
}

/// One shared answer for each call and encoding.
#[derive(Default)]
pub(super) struct Answers {
    json: [SharedAnswers; 5],
    protobuf: [SharedAnswers; 5],
}

impl Answers {
    fn of(&self, large: Large, media: MediaType) -> &SharedAnswers {
        let answers = match media {
            MediaType::JSON => &self.json,
            _ => &self.protobuf,
        };
        let [state, tasks, executors, frameworks, agents] = answers;
        match large {
            Large::State => state,
            Large::One(Section::Tasks) => tasks,
            Large::One(Section::Executors) => executors,
            Large::One(Section::Frameworks) => frameworks,
            Large::One(Section::Agents) => agents,
        }
    }
}

impl Section {
    fn name(self) -> &'static str {
        match self {
            Section::Tasks => "get_tasks",
            Section::Executors => "get_executors",
            Section::Frameworks => "get_frameworks",
            Section::Agents => "get_agents",
        }
    }
}

impl Large {
    fn kind(self) -> Type {
        match self {
            Large::State => Type::GetState,
            Large::One(Section::Tasks) => Type::GetTasks,
            Large::One(Section::Executors) => Type::GetExecutors,
            Large::One(Section::Frameworks) => Type::GetFrameworks,
            Large::One(Section::Agents) => Type::GetAgents,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Large::State => "get_state",
            Large::One(section) => section.name(),
        }
    }
}

/// Answers with the whole state, or a part of it.
pub(super) async fn answer(
    request: &HttpRequest,
    face: &Data<Face>,
    large: Large,
    media: MediaType,
) -> HttpResponse {
    let of = face.clone();
    let write = move |out: &mut PieceWriter| {
        let view = View::new(of.snapshot.load_full());
        view.write_response(large, media, out)
    };
    let answers = face.operator.answers.of(large, media);
    match answers.of(Coding::wanted(request)).get(write).await {
        Ok(body) => body.answer(media.name()),
        Err(error) => {
            tracing::error!(%error, "answer was not written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The event that a stream begins with.
pub(super) fn subscribed(snapshot: Arc<Snapshot>, media: MediaType) -> Pieces {
    let mut out = PieceWriter::default();
    let written = View::new(snapshot).write_subscribed(media, &mut out);
    if let Err(error) = written {
        // Nothing that is shown here has keys that JSON cannot write.
        tracing::error!(%error, "state was not written");
    }
    out.finish()
}

/// A snapshot as the operator API shows it.
pub(super) struct View {
    snapshot: Arc<Snapshot>,
    usage: OnceLock<Usage>,
}

impl View {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        View {
            snapshot,
            usage: OnceLock::new(),
        }
    }

    fn usage(&self) -> &Usage {
        self.usage.get_or_init(|| Usage::of(&self.snapshot))
    }

    /// Frameworks, the running ones first.
    fn frameworks(&self) -> impl Iterator<Item = &Framework> {
        let running = self.snapshot.frameworks.values();
        let completed = self.snapshot.completed_frameworks.iter();
        running.chain(completed).map(|framework| &**framework)
    }

    fn offered<'a>(&'a self, agent: &'a Agent) -> impl Iterator<Item = &'a Resources> {
        let offers = agent.offers.iter();
        let offers = offers.filter_map(|id| self.snapshot.offers.get(id));
        offers.map(|offer| &offer.resources)
    }

    pub(super) fn write_response(
        &self,
        large: Large,
        media: MediaType,
        out: &mut PieceWriter,
    ) -> Result<(), serde_json::Error> {
        if media == MediaType::JSON {
            let mut answer = Extended::new(out)?;
            answer.field("type", &large.kind().as_str_name())?;
            answer.with(large.name(), |out| match large {
                Large::State => self.write_state(out),
                Large::One(section) => self.write(section, out),
            })?;
            return answer.end();
        }
        put_number::<Response>("type", large.kind() as u64, out);
        nest::<Response>(large.name(), out, |out| match large {
            Large::State => self.put_state(out),
            Large::One(section) => self.put(section, out),
        });
        Ok(())
    }

    fn write_subscribed(
        &self,
        media: MediaType,
        out: &mut PieceWriter,
    ) -> Result<(), serde_json::Error> {
        if media == MediaType::JSON {
            let mut event = Extended::new(out)?;
            event.field("type", &event::Type::Subscribed.as_str_name())?;
            event.with("subscribed", |out| {
                let mut subscribed = Extended::new(out)?;
                subscribed.with("get_state", |out| self.write_state(out))?;
                let interval = HEARTBEAT_INTERVAL.as_secs_f64();
                subscribed.field("heartbeat_interval_seconds", &interval)?;
                subscribed.end()
            })?;
            return event.end();
        }
        put_number::<Event>("type", event::Type::Subscribed as u64, out);
        nest::<Event>("subscribed", out, |out| {
            nest::<event::Subscribed>("get_state", out, |out| self.put_state(out));
            let rest = event::Subscribed {
                heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL.as_secs_f64()),
                ..Default::default()
            };
            put(out, &wire::encode(&rest));
        });
        Ok(())
    }
}

/// Protobuf.
impl View {
    fn put_state(&self, out: &mut PieceWriter) {
        for section in SECTIONS {
            nest::<GetState>(section.name(), out, |out| self.put(section, out));
        }
    }

    fn put(&self, section: Section, out: &mut PieceWriter) {
        let snapshot = &*self.snapshot;
        match section {
            Section::Tasks => {
                let tasks = self.frameworks().flat_map(|one| one.tasks.values());
                put_tasks("tasks", tasks, out);
                let completed = self.frameworks().flat_map(|one| &one.completed_tasks);
                put_tasks("completed_tasks", completed, out);
                let unreachable = self.frameworks();
                let unreachable = unreachable.flat_map(|one| one.unreachable_tasks.values());
                put_tasks("unreachable_tasks", unreachable, out);
            }
            Section::Executors => {
                let executors = self.frameworks().flat_map(operator::executors);
                put_all::<GetExecutors, _>("executors", executors, out);
            }
            Section::Frameworks => {
                let shown = |one: &Arc<Framework>| operator::framework(one, snapshot, self.usage());
                let running = snapshot.frameworks.values().map(shown);
                put_all::<GetFrameworks, _>("frameworks", running, out);
                let completed = snapshot.completed_frameworks.iter().map(shown);
                put_all::<GetFrameworks, _>("completed_frameworks", completed, out);
            }
            Section::Agents => {
                let numbers = AgentNumbers::new();
                for agent in snapshot.agents.values() {
                    self.put_agent(agent, &numbers, out);
                }
                let recovered = snapshot.recovered_agents.values();
                let recovered = recovered.map(|info| (**info).clone());
                put_all::<GetAgents, _>("recovered_agents", recovered, out);
            }
        }
    }
}

/// Numbers of fields that are needed again and again.
struct AgentNumbers {
    agents: u32,
    /// Required fields that tell what seldom changes: they are in every message.
    still: [u32; 2],
    /// The one that tells what often does.
    active: u32,
}

impl AgentNumbers {
    fn new() -> Self {
        AgentNumbers {
            agents: number_of::<GetAgents>("agents"),
            still: ["agent_info", "version"].map(number_of::<get_agents::Agent>),
            active: number_of::<get_agents::Agent>("active"),
        }
    }
}

impl View {
    /// As [`View::write_agent`].
    fn put_agent(&self, agent: &Memo<Agent>, numbers: &AgentNumbers, out: &mut PieceWriter) {
        let still = agent.still();
        let still = still.protobuf.get_or_init(|| {
            let whole = wire::encode(&operator::agent_still(agent));
            let fields = wire::raw_fields(&whole);
            let still = fields.filter(|(number, _)| *number != numbers.active);
            still.flat_map(|(_, field)| field).copied().collect()
        });
        let now = agent.written_protobuf(|agent| {
            let whole = wire::encode(&operator::agent_now(agent, self.offered(agent)));
            let fields = wire::raw_fields(&whole);
            let now = fields.filter(|(number, _)| !numbers.still.contains(number));
            now.flat_map(|(_, field)| field).copied().collect()
        });
        put(out, &wire::head_of(numbers.agents, still.len() + now.len()));
        put(out, still);
        put(out, now);
    }
}

/// A task is written anew only when it has changed.
fn put_tasks<'a>(
    name: &str,
    tasks: impl Iterator<Item = &'a Arc<Memo<Task>>>,
    out: &mut PieceWriter,
) {
    let number = number_of::<GetTasks>(name);
    for task in tasks {
        let bytes = task.written_protobuf(|task| {
            let mut bytes = Vec::new();
            task.put_protobuf(&mut bytes);
            bytes
        });
        put(out, &wire::head_of(number, bytes.len()));
        put(out, bytes);
    }
}

fn put_all<M: Message, E: Message>(
    name: &str,
    entries: impl Iterator<Item = E>,
    out: &mut PieceWriter,
) {
    let number = number_of::<M>(name);
    for entry in entries {
        let bytes = wire::encode(&entry);
        put(out, &wire::head_of(number, bytes.len()));
        put(out, &bytes);
    }
}

/// A message within a message: its length stands before it, so it is written first.
fn nest<M: Message>(name: &str, out: &mut PieceWriter, write: impl FnOnce(&mut PieceWriter)) {
    let mut inner = PieceWriter::default();
    write(&mut inner);
    let inner = inner.finish();
    put(out, &wire::head_of(number_of::<M>(name), inner.len()));
    out.append(&inner);
}

fn put_number<M: Message>(name: &str, value: u64, out: &mut PieceWriter) {
    let mut bytes = Vec::new();
    wire::put_varint(number_of::<M>(name), value, &mut bytes);
    put(out, &bytes);
}

fn put(out: &mut PieceWriter, bytes: &[u8]) {
    // Writing to memory cannot fail.
    let _ = out.write_all(bytes);
}

/// The number of a field by its name; all that are asked for are there, as tests see.
fn number_of<M: Message>(name: &str) -> u32 {
    let fields = M::SCHEMA.fields.iter();
    let mut named = fields.filter(|field| field.name == name);
    named.next().map_or(0, |field| field.number)
}

/// JSON. Mesos writes lists of these messages even when they are empty.
impl View {
    fn write_state(&self, out: &mut PieceWriter) -> Written {
        let mut state = Extended::new(out)?;
        for section in SECTIONS {
            state.with(section.name(), |out| self.write(section, out))?;
        }
        state.end()
    }

    fn write(&self, section: Section, out: &mut PieceWriter) -> Written {
        let snapshot = &*self.snapshot;
        let mut part = Extended::new(out)?;
        match section {
            Section::Tasks => {
                let tasks = self.frameworks().flat_map(|one| one.tasks.values());
                part.list("tasks", tasks, write_task)?;
                let unreachable = self.frameworks();
                let unreachable = unreachable.flat_map(|one| one.unreachable_tasks.values());
                part.list("unreachable_tasks", unreachable, write_task)?;
                let completed = self.frameworks().flat_map(|one| &one.completed_tasks);
                part.list("completed_tasks", completed, write_task)?;
            }
            Section::Executors => {
                let executors = self.frameworks().flat_map(operator::executors);
                part.list("executors", executors, write_one)?;
            }
            Section::Frameworks => {
                let shown = |one: &Arc<Framework>| operator::framework(one, snapshot, self.usage());
                let running = snapshot.frameworks.values().map(shown);
                part.list("frameworks", running, write_one)?;
                let completed = snapshot.completed_frameworks.iter().map(shown);
                part.list("completed_frameworks", completed, write_one)?;
            }
            Section::Agents => {
                let agents = snapshot.agents.values();
                part.list("agents", agents, |one, out| self.write_agent(one, out))?;
                let recovered = snapshot.recovered_agents.values();
                part.list("recovered_agents", recovered, |info, out| {
                    serde_json::to_writer(out, &**info)
                })?;
            }
        }
        part.end()
    }

    /// What seldom changes of an agent is remembered apart from what often does. Its offers are
    /// listed in it, and an offer never changes.
    ///
    /// Mesos's JSON says of every agent that it checkpoints, though the v1 message has no field
    /// for it.
    fn write_agent(&self, agent: &Memo<Agent>, out: &mut PieceWriter) -> Written {
        #[derive(Serialize)]
        struct Now {
            active: bool,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            allocated_resources: Vec<v1::Resource>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            offered_resources: Vec<v1::Resource>,
            #[serde(skip_serializing_if = "Option::is_none")]
            deactivated: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            drain_info: Option<v1::DrainInfo>,
            #[serde(skip_serializing_if = "Option::is_none")]
            estimated_drain_start_time: Option<v1::TimeInfo>,
        }
        let still = agent.still();
        let still = still.v1.get_or_init(|| {
            let shown = write(&operator::agent_still(agent));
            let shown = shown.get().replacen("\"active\":false,", "", 1);
            let begin = "\"agent_info\":{";
            let more = format!("{begin}\"checkpoint\":true,");
            let shown = shown.replacen(begin, &more, 1);
            RawValue::from_string(shown).unwrap_or_else(|_| RawValue::NULL.to_owned())
        });
        let mut shown = Extended::of_written(out, still)?;
        shown.fields_written(agent.written_v1(|agent| {
            let now = operator::agent_now(agent, self.offered(agent));
            write(&Now {
                active: now.active,
                allocated_resources: now.allocated_resources,
                offered_resources: now.offered_resources,
                deactivated: now.deactivated,
                drain_info: now.drain_info,
                estimated_drain_start_time: now.estimated_drain_start_time,
            })
        }))?;
        shown.end()
    }
}

fn write_one(one: impl Serialize, out: &mut PieceWriter) -> Written {
    serde_json::to_writer(out, &one)
}

/// A task as JSON, which is written anew only when the task has changed.
fn write_task(task: &Arc<Memo<Task>>, out: &mut PieceWriter) -> Written {
    raw(out, task.written_v1(|task| write(&task.to_v1())).get())
}
