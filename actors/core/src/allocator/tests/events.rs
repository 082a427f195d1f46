//! Random events in a small cluster, told to the allocator and to the model of it alike.

use proptest::prelude::*;

use super::model::{Model, Offers};
use super::*;

const AGENTS: [&str; 3] = ["A", "B", "C"];

/// Frameworks with their roles; they stay, so that everybody counts the same allocations.
const FRAMEWORKS: [(&str, &[&str]); 4] = [
    ("F", &["x"]),
    ("G", &["x", "y"]),
    ("H", &["x/s", "y/t/u"]),
    ("I", &["z"]),
];

const ROLES: [&str; 5] = ["x", "y", "x/s", "y/t/u", "z"];

const TOTALS: [&str; 5] = [
    "cpus:4;mem:128;ports:[1-20]",
    "cpus(x):2;cpus:1.5;mem:64",
    "mem(x/s):32;mem:48;cpus:1",
    "cpus:6;mem:320;disk:10;cpus(y):1",
    "cpus:1",
];

const QUOTAS: [(&str, &str); 6] = [
    ("", ""),
    ("cpus:2;mem:64", ""),
    ("", "cpus:3;mem:100"),
    ("cpus:1", "cpus:2;mem:0"),
    ("cpus:2;mem:96", "cpus:2;mem:96;disk:0"),
    ("mem:100", "cpus:4"),
];

#[derive(Debug, Clone)]
pub(super) enum Event {
    AddAgent(usize, usize),
    RemoveAgent(usize),
    UpdateAgent(usize, usize, bool),
    SwitchAgent(usize, bool),
    /// A part of an offer (or all of it) comes back, refused for some seconds or not.
    Return(usize, bool, Option<u64>),
    Reserve(usize),
    ReserveFree(usize),
    Switch(usize, bool),
    Revive(usize, usize),
    Suppress(usize, usize),
    SetQuota(usize, usize),
    SetWeight(usize, u8),
    SetWhitelist(bool),
    Wait(u64),
    Allocate,
}

/// Events with or without changes of quota.
pub(super) fn events(with_quota: bool) -> impl Strategy<Value = Vec<Event>> {
    let agent = || 0..AGENTS.len();
    let framework = || 0..FRAMEWORKS.len();
    let role = || 0..ROLES.len();
    let event = prop_oneof![
        4 => (agent(), 0..TOTALS.len()).prop_map(|(a, t)| Event::AddAgent(a, t)),
        1 => agent().prop_map(Event::RemoveAgent),
        1 => (agent(), 0..TOTALS.len(), any::<bool>())
            .prop_map(|(a, t, attributes)| Event::UpdateAgent(a, t, attributes)),
        1 => (agent(), any::<bool>()).prop_map(|(a, on)| Event::SwitchAgent(a, on)),
        8 => (0_usize..9, any::<bool>(), prop::option::of(1_u64..5))
            .prop_map(|(o, all, seconds)| Event::Return(o, all, seconds)),
        1 => (0_usize..9).prop_map(Event::Reserve),
        1 => agent().prop_map(Event::ReserveFree),
        1 => (framework(), any::<bool>()).prop_map(|(f, on)| Event::Switch(f, on)),
        4 => (framework(), role()).prop_map(|(f, r)| Event::Revive(f, r)),
        2 => (framework(), role()).prop_map(|(f, r)| Event::Suppress(f, r)),
        if with_quota { 4 } else { 1 } => (0_usize..4, 0..QUOTAS.len())
            .prop_map(move |(r, q)| Event::SetQuota(r, if with_quota { q } else { 0 })),
        1 => (role(), 1_u8..4).prop_map(|(r, w)| Event::SetWeight(r, w)),
        1 => any::<bool>().prop_map(Event::SetWhitelist),
        2 => (1_u64..4).prop_map(Event::Wait),
        8 => Just(Event::Allocate),
    ];
    prop::collection::vec(event, 1..40)
}

/// The allocator, a book of what it said, and every state the model may be in: more than one,
/// when different orders of agents lead to the same offers.
pub(super) struct World {
    pub c: Cluster,
    pub models: Vec<Model>,
    open: Vec<Proposal>,
}

impl World {
    pub fn new() -> Self {
        let config = AllocatorConfig::default();
        let model = Model {
            interval: config.allocation_interval,
            minimum: config.min_allocatable_resources.clone(),
            ..Default::default()
        };
        let mut world = World {
            c: Cluster::with(config),
            models: vec![model],
            open: Vec::new(),
        };
        for (id, roles) in FRAMEWORKS {
            let id = FrameworkId::from(id);
            let facts = framework_facts(roles, &[Capability::MultiRole]);
            let (generation, used, active) = (1, Vec::new(), true);
            world.apply(Command::AddFramework {
                id,
                generation,
                facts,
                used,
                active,
            });
        }
        world
    }

    /// Does what an event says; events that make no sense at this point do nothing.
    pub fn perform(&mut self, event: &Event) {
        match event {
            Event::Wait(seconds) => {
                self.c.now.mono = self.c.now.mono + Duration::from_secs(*seconds)
            }
            Event::Allocate => self.allocate(),
            _ => {
                if let Some(command) = self.command(event) {
                    self.apply(command);
                }
            }
        }
    }

    fn apply(&mut self, command: Command) {
        for model in &mut self.models {
            model.apply(self.c.now.mono, &command);
        }
        self.c.apply(command);
        let model = &self.models[0];
        let mut held = Quantities::default();
        for agent in model.agents.values() {
            agent
                .held
                .values()
                .for_each(|own| held.add(&own.quantities()));
        }
        for (name, (total, used)) in self.c.allocator.figures().resources {
            let counted = (model.total().get(&name), held.get(&name));
            assert_eq!((total, used), counted, "{name} in total and in use");
        }
    }

    fn command(&mut self, event: &Event) -> Option<Command> {
        let agent = |at: &usize| AgentId::from(AGENTS[*at]);
        let framework = |at: &usize| FrameworkId::from(FRAMEWORKS[*at].0);
        let known = &self.models[0].agents;
        let knows = |at: &usize| known.contains_key(&agent(at));
        Some(match event {
            Event::AddAgent(at, total) => {
                let id = agent(at);
                self.open.retain(|proposal| proposal.agent != id);
                let (generation, facts, total) = (1, host(*at, false), bag(TOTALS[*total]));
                let (used, unavailability) = (Vec::new(), None);
                Command::AddAgent {
                    id,
                    generation,
                    facts,
                    total,
                    used,
                    unavailability,
                }
            }
            Event::RemoveAgent(at) => {
                let id = knows(at).then(|| agent(at))?;
                self.open.retain(|proposal| proposal.agent != id);
                Command::RemoveAgent(id)
            }
            Event::UpdateAgent(at, total, attributes) => {
                let (id, total) = (agent(at), bag(TOTALS[*total]));
                let mut held = Resources::new();
                known.get(&id)?.held.values().for_each(|own| held.add(own));
                let facts = host(*at, *attributes);
                total.contains(&held).then_some(())?;
                Command::UpdateAgent { id, facts, total }
            }
            Event::SwitchAgent(at, true) => Command::ActivateAgent(knows(at).then(|| agent(at))?),
            Event::SwitchAgent(at, false) => {
                Command::DeactivateAgent(knows(at).then(|| agent(at))?)
            }
            Event::Return(at, all, seconds) => return self.give_back(*at, *all, *seconds),
            Event::Reserve(at) => {
                let proposal = self.open.get_mut(*at)?;
                let consumed = bag("cpus:0.5").allocated_to(&proposal.role);
                proposal.resources.contains(&consumed).then_some(())?;
                let converted = bag("cpus(x):0.5").allocated_to(&proposal.role);
                // A role can use only its own or its ancestors' reservations.
                (&*proposal.role == "x").then_some(())?;
                proposal.resources.subtract(&consumed);
                proposal.resources.add(&converted);
                let (framework, agent) = (proposal.framework.clone(), proposal.agent.clone());
                Command::Transform {
                    framework,
                    agent,
                    consumed,
                    converted,
                }
            }
            Event::ReserveFree(at) => {
                let (agent, consumed) = (agent(at), bag("cpus:0.5"));
                known
                    .get(&agent)?
                    .free()
                    .contains(&consumed)
                    .then_some(())?;
                let (converted, token) = (bag("cpus(y):0.5"), 1);
                Command::TransformFree {
                    agent,
                    consumed,
                    converted,
                    token,
                }
            }
            Event::Switch(at, true) => Command::ActivateFramework {
                id: framework(at),
                generation: 2,
            },
            Event::Switch(at, false) => Command::DeactivateFramework(framework(at)),
            Event::Revive(at, role) => {
                let (framework, roles) = (framework(at), vec![Role::from(ROLES[*role])]);
                Command::Revive { framework, roles }
            }
            Event::Suppress(at, role) => {
                let (framework, roles) = (framework(at), vec![Role::from(ROLES[*role])]);
                Command::Suppress { framework, roles }
            }
            Event::SetQuota(role, q) => Command::SetQuota {
                role: Role::from(["x", "y", "z", "absent"][*role]),
                quota: quota(QUOTAS[*q].0, QUOTAS[*q].1),
            },
            Event::SetWeight(role, weight) => {
                Command::UpdateWeights(vec![(Role::from(ROLES[*role]), f64::from(*weight))])
            }
            Event::SetWhitelist(all) => Command::SetWhitelist(
                (!all).then(|| ["host0".to_owned(), "host2".to_owned()].into()),
            ),
            Event::Wait(_) | Event::Allocate => return None,
        })
    }

    fn give_back(&mut self, at: usize, all: bool, seconds: Option<u64>) -> Option<Command> {
        let proposal = self.open.get_mut(at)?;
        let part = bag("cpus:0.5").allocated_to(&proposal.role);
        let is_part = !all && proposal.resources.contains(&part);
        let resources = if is_part {
            part
        } else {
            proposal.resources.clone()
        };
        proposal.resources.subtract(&resources);
        let (framework, agent) = (proposal.framework.clone(), proposal.agent.clone());
        if proposal.resources.is_empty() {
            self.open.swap_remove(at);
        }
        let refusal = seconds.map(|seconds| Refusal {
            timeout: Duration::from_secs(seconds),
        });
        Some(Command::Release {
            framework,
            agent,
            resources,
            refusal,
        })
    }

    /// Both allocate; the allocator visits agents in an order of its own, so the model tries
    /// all orders, and must come to the same offers with one.
    fn allocate(&mut self) {
        let proposals = self.c.propose();
        let mut offers = Offers::new();
        for p in &proposals {
            let to = (p.framework.clone(), p.role.clone(), p.agent.clone());
            let earlier = offers.insert(to, p.resources.unallocated());
            assert_eq!(earlier, None, "two offers for one role and agent");
        }
        self.open.extend(proposals);
        let now = self.c.now.mono;
        let mut states: Vec<Model> = Vec::new();
        let mut others = Vec::new();
        for model in &self.models {
            let free = |(_, agent): &(&AgentId, &super::model::Agent)| !agent.free().is_empty();
            let agents = model
                .agents
                .iter()
                .filter(free)
                .map(|(id, _)| id.clone())
                .collect();
            let second = orders(agents);
            // Without guarantees the first stage does nothing.
            let first = if model.required().is_empty() {
                &second[..1]
            } else {
                &second[..]
            };
            for first in first {
                for second in &second {
                    let mut next = model.clone();
                    let wanted = next.allocate(now, [first, second]);
                    if wanted != offers {
                        others.push(wanted);
                    } else if !states.contains(&next) {
                        states.push(next);
                    }
                }
            }
        }
        if states.is_empty() {
            panic!(
                "proposed {offers:#?}, the model {others:#?} in {:#?}",
                self.models
            );
        }
        self.models = states;
    }
}

fn host(number: usize, attributes: bool) -> AgentFacts {
    let mut facts = agent_facts(if attributes { "rack:r" } else { "" });
    Arc::make_mut(&mut facts.info).hostname = format!("host{number}");
    facts
}

/// All orders of these agents.
fn orders(agents: Vec<AgentId>) -> Vec<Vec<AgentId>> {
    if agents.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let mut rest = agents.clone();
        let agent = rest.remove(at);
        orders(rest).into_iter().map(move |mut order| {
            order.insert(0, agent.clone());
            order
        })
    };
    (0..agents.len()).flat_map(first).collect()
}
