//! Random histories of operators' requests, agents and frameworks, with a real registry that answers
//! late: master, registry and allocator agree whenever nothing is under way between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::json;
use tepui_protocol::link::AgentToMaster;
use tepui_protocol::v1::{DrainConfig, MasterInfo, Unavailability};

use super::super::messages::{Effect, Input, LinkId, StreamId, Token};
use super::super::model::Snapshot;
use super::super::operator::Request;
use super::super::{Master, MasterSettings};
use super::fixture::{TestAgent, read, register, reregister};
use crate::allocator::messages::{Command, Generation, InverseProposal};
use crate::ids::{AgentId, FrameworkId, IdSource};
use crate::registry::{DeactivationChange, Operation, Registry};
use crate::time::Now;

const SEEDS: u8 = 30;
const STEPS: usize = 300;

/// What the allocator knows of plans and inverse offers, from its commands alone.
#[derive(Default)]
struct Asked {
    agents: BTreeMap<AgentId, (Generation, Option<Unavailability>)>,
    frameworks: BTreeMap<FrameworkId, Generation>,
    outstanding: BTreeSet<(AgentId, FrameworkId)>,
}

impl Asked {
    fn follow(&mut self, command: Command) {
        match command {
            Command::AddAgent {
                id,
                generation,
                unavailability,
                ..
            } => {
                self.agents.insert(id, (generation, unavailability));
            }
            Command::RemoveAgent(id) => {
                self.agents.remove(&id);
                self.outstanding.retain(|(agent, _)| *agent != id);
            }
            Command::SetUnavailability {
                agent,
                plan: unavailability,
            } => {
                self.outstanding.retain(|(about, _)| *about != agent);
                self.agents.get_mut(&agent).unwrap().1 = unavailability;
            }
            Command::AddFramework { id, generation, .. }
            | Command::ActivateFramework { id, generation } => {
                self.frameworks.insert(id, generation);
            }
            Command::RemoveFramework(id) => {
                self.frameworks.remove(&id);
                self.outstanding.retain(|(_, framework)| *framework != id);
            }
            Command::EndInverseOffer {
                framework, agent, ..
            } => {
                self.outstanding.remove(&(agent, framework));
            }
            _ => {}
        }
    }
}

struct World {
    master: Master,
    registry: Registry,
    /// Operations the registrar has not answered.
    queue: VecDeque<(Token, Operation)>,
    asked: Asked,
    /// Proposals on their way to the master.
    proposals: VecDeque<InverseProposal>,
    now: Now,
    random: IdSource,
    links: BTreeSet<LinkId>,
    streams: BTreeMap<StreamId, FrameworkId>,
    unanswered: BTreeSet<Token>,
    next: u64,
}

impl World {
    fn new(seed: u8) -> Self {
        let now = Now::default();
        let settings = MasterSettings {
            offer_timeout: seed.is_multiple_of(2).then_some(Duration::from_secs(50)),
            weights: BTreeMap::from([("flag".to_string(), 3.0)]),
            agent_removal_rate_limit: seed.is_multiple_of(3).then_some(Duration::from_secs(300)),
            registry_max_agent_count: usize::from(seed % 5),
            ..Default::default()
        };
        let info = MasterInfo {
            id: "M".to_string(),
            ..Default::default()
        };
        let mut world = World {
            master: Master::new(settings, info, now),
            registry: Registry::default(),
            queue: VecDeque::new(),
            asked: Asked::default(),
            proposals: VecDeque::new(),
            now,
            random: IdSource::from_seed([seed; 32]),
            links: BTreeSet::new(),
            streams: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            next: 0,
        };
        world.input(Input::Recovered(Box::default()));
        world
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit.max(1) as u64) as usize
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn pick<T: Clone>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let all: Vec<T> = from.into_iter().collect();
        let index = self.below(all.len());
        all.get(index).cloned()
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.master.handle(self.now, input, &mut out);
        for effect in out {
            match effect {
                Effect::ToAllocator(command) => self.asked.follow(command),
                Effect::Apply(token, operation) => self.queue.push_back((token, operation)),
                Effect::CloseLink(link) => {
                    self.links.remove(&link);
                }
                Effect::CloseStream(stream) => {
                    self.streams.remove(&stream);
                }
                Effect::ToFramework(stream, event) => {
                    if let Some(subscribed) = &event.subscribed {
                        let id = FrameworkId::from(&subscribed.framework_id);
                        self.streams.insert(stream, id);
                    }
                }
                Effect::Reply(token, _) => {
                    assert!(self.unanswered.remove(&token), "answered twice: {token:?}");
                }
                Effect::ToAgent(..) | Effect::ToSubscribers(_) => {}
                Effect::NotifyDrained(_) => panic!("there are too few tasks for that"),
                Effect::Exit(why) => panic!("{why}"),
            }
        }
        self.master.sanity_check().unwrap();
        self.check();
    }

    fn check(&self) {
        let state = self.master.snapshot();
        for (id, agent) in &state.agents {
            let planned = state.maintenance.unavailability(&agent.machine);
            assert_eq!(self.asked.agents[id].1.as_ref(), planned, "plan of {id}");
        }
        if self.proposals.is_empty() {
            let offers = state.inverse_offers.values();
            let pairs = offers.map(|offer| (offer.agent.clone(), offer.framework.clone()));
            assert_eq!(pairs.collect::<BTreeSet<_>>(), self.asked.outstanding);
        }
        if self.queue.is_empty() {
            self.check_registry(&state);
            assert!(self.unanswered.is_empty(), "{:?}", self.unanswered);
        }
    }

    fn check_registry(&self, state: &Snapshot) {
        assert_eq!(state.maintenance, self.registry.maintenance);
        let weights: BTreeMap<_, _> = state.weights.clone().into_iter().collect();
        assert_eq!(weights, self.registry.weights);
        let quotas = state.quotas.iter().filter(|(_, quota)| !quota.is_default());
        let quotas: BTreeMap<_, _> = quotas.map(|(r, q)| (r.clone(), q.clone())).collect();
        assert_eq!(quotas, self.registry.quotas);
        let agents: Vec<_> = state.agents.keys().cloned().collect();
        let admitted: Vec<_> = self.registry.admitted.keys().cloned().collect();
        assert_eq!(agents, admitted);
        let unreachable: BTreeMap<_, _> = state.unreachable_agents.clone().into_iter().collect();
        assert_eq!(unreachable, self.registry.unreachable);
        let gone: BTreeMap<_, _> = state.gone_agents.clone().into_iter().collect();
        assert_eq!(gone, self.registry.gone);
    }

    fn step(&mut self) {
        match self.below(20) {
            0 => self.register(),
            1 => self.come_back(),
            2 => self.lose_link(),
            3 => self.subscribe(),
            4 => self.lose_stream(),
            5 | 6 => self.request(),
            7..=11 => self.propose(),
            12 | 13 => self.deliver(),
            14 | 15 => self.answer(),
            16 => self.pass(),
            _ => self.store(),
        }
    }

    fn open_link(&mut self) -> LinkId {
        let link = LinkId(self.number());
        self.links.insert(link);
        let peer_ip = format!("10.0.0.{}", link.0 % 3);
        self.input(Input::LinkOpened { link, peer_ip });
        link
    }

    fn register(&mut self) {
        let link = self.open_link();
        let port = 5000 + self.below(3) as i32;
        let message = Box::new(AgentToMaster::Register(Box::new(register(port))));
        self.input(Input::FromAgent { link, message });
    }

    fn come_back(&mut self) {
        let known = self.master.snapshot();
        let away = known.unreachable_agents.keys();
        let away = away.chain(known.gone_agents.keys()).cloned();
        let Some(id) = self.pick(known.agents.keys().cloned().chain(away)) else {
            return;
        };
        let link = self.open_link();
        let port = 5000 + self.below(3) as i32;
        let report = reregister(&TestAgent { id, link, port });
        let message = Box::new(AgentToMaster::Reregister(Box::new(report)));
        self.input(Input::FromAgent { link, message });
    }

    fn lose_link(&mut self) {
        if let Some(link) = self.pick(self.links.clone()) {
            match self.below(4) {
                0 => return self.input(Input::LinkUnresponsive { link }),
                1 => return self.input(Input::LinkResponsive { link }),
                _ => {}
            }
            self.links.remove(&link);
            self.input(Input::LinkClosed { link });
        }
    }

    fn subscribe(&mut self) {
        let mut info = json!({"user": "root", "name": "x", "role": "web"});
        info["failover_timeout"] = json!(self.below(2) as f64 * 100.0);
        let known: Vec<_> = self.master.snapshot().frameworks.keys().cloned().collect();
        if let Some(id) = self.pick(known).filter(|_| self.next.is_multiple_of(2)) {
            info["id"] = json!({"value": id.as_str()});
        }
        self.input(Input::Subscribe {
            stream: StreamId(format!("s{}", self.next + 1).into()),
            subscribe: Box::new(read(&json!({"framework_info": info}))),
            principal: None,
        });
        self.number();
    }

    fn lose_stream(&mut self) {
        if let Some(stream) = self.pick(self.streams.keys().cloned().collect::<Vec<_>>()) {
            self.streams.remove(&stream);
            self.input(Input::StreamClosed { stream });
        }
    }

    fn deactivation(&mut self) -> Request {
        let known = self.master.snapshot();
        let away = known.unreachable_agents.keys();
        let all = known.agents.keys().chain(away).cloned();
        let agent = self.pick(all).unwrap_or_else(|| "nobody".into());
        let mark_gone = Some(self.below(4) == 0);
        let change = match self.below(4) {
            0 => DeactivationChange::Deactivate,
            1 => DeactivationChange::Drain(DrainConfig {
                max_grace_period: None,
                mark_gone,
            }),
            _ => DeactivationChange::Reactivate,
        };
        Request::ChangeDeactivation { agent, change }
    }

    /// Machines of the agents in upper case, so that only names without case find them.
    fn request(&mut self) {
        let machine = |number: usize| json!({"hostname": "HOST", "ip": format!("10.0.0.{number}")});
        let one = machine(self.below(3));
        let at = self.number();
        let request = match self.below(9) {
            8 => self.deactivation(),
            6 => {
                let known = self.master.snapshot();
                let away = known.unreachable_agents.keys();
                let all = known.agents.keys().chain(away).cloned();
                Request::MarkAgentGone(self.pick(all).unwrap_or_else(|| "nobody".into()))
            }
            7 => Request::ReleaseHeld,
            0 => {
                let role = ["web", "eng"][self.below(2)];
                let limits = match self.below(3) {
                    0 => json!({}),
                    cpus => json!({"cpus": {"value": cpus}}),
                };
                Request::UpdateQuota {
                    configs: vec![read(&json!({"role": role, "limits": limits}))],
                    force: self.below(2) == 0,
                }
            }
            1 => {
                let role = ["web", "eng/a"][self.below(2)];
                let weight = self.below(4) as f64;
                Request::UpdateWeights(vec![read(&json!({"role": role, "weight": weight}))])
            }
            2 | 3 => {
                let count = self.below(4);
                let windows: Vec<_> = (0..count)
                    .map(|number| {
                        json!({"machine_ids": [machine(number)],
                               "unavailability": {"start": {"nanoseconds": at}}})
                    })
                    .collect();
                Request::UpdateMaintenanceSchedule(read(&json!({"windows": windows})))
            }
            4 => Request::StartMaintenance(vec![read(&one)]),
            _ => Request::StopMaintenance(vec![read(&one)]),
        };
        let reply = Token(self.number());
        self.unanswered.insert(reply);
        self.input(Input::Operator {
            request: Box::new(request),
            principal: None,
            reply,
        });
    }

    /// The allocator asks a framework to leave an agent, unless it asks already.
    fn propose(&mut self) {
        let planned = self.asked.agents.clone().into_iter();
        let planned = planned.filter_map(|(id, (generation, plan))| Some((id, generation, plan?)));
        let (Some((agent, agent_generation, unavailability)), Some((framework, generation))) = (
            self.pick(planned.collect::<Vec<_>>()),
            self.pick(self.asked.frameworks.clone()),
        ) else {
            return;
        };
        let pair = (agent.clone(), framework.clone());
        if self.asked.outstanding.insert(pair) {
            self.proposals.push_back(InverseProposal {
                framework,
                framework_generation: generation,
                agent,
                agent_generation,
                unavailability,
            });
        }
    }

    fn deliver(&mut self) {
        let proposals: Vec<_> = self.proposals.drain(..).collect();
        self.input(Input::ProposedInverse(proposals));
    }

    fn answer(&mut self) {
        let offers: Vec<_> = self
            .master
            .snapshot()
            .inverse_offers
            .values()
            .cloned()
            .collect();
        let Some(offer) = self.pick(offers) else {
            return;
        };
        let ids = json!([{"value": offer.id.as_str()}]);
        let mut call = match self.below(8) {
            0 => json!({"type": "TEARDOWN"}),
            1..=4 => json!({"type": "ACCEPT_INVERSE_OFFERS",
                            "accept_inverse_offers": {"inverse_offer_ids": ids}}),
            _ => json!({"type": "DECLINE_INVERSE_OFFERS",
                        "decline_inverse_offers": {"inverse_offer_ids": ids}}),
        };
        call["framework_id"] = json!({"value": offer.framework.as_str()});
        let stream = self.streams.iter().find(|(_, id)| **id == offer.framework);
        let stream = stream.map(|(stream, _)| stream.0.to_string());
        let reply = Token(self.number());
        self.unanswered.insert(reply);
        self.input(Input::Call {
            call: Box::new(read(&call)),
            stream,
            principal: None,
            reply,
        });
    }

    fn pass(&mut self) {
        let seconds = [1, 60, 700][self.below(3)];
        self.now.mono = self.now.mono + Duration::from_secs(seconds);
        let due = self.master.next_deadline();
        if due.is_some_and(|at| at <= self.now.mono) {
            self.input(Input::Tick);
        }
    }

    fn store(&mut self) {
        if let Some((token, operation)) = self.queue.pop_front() {
            let result = self.registry.apply(&operation);
            let result = result.map_err(|error| error.to_string());
            self.input(Input::Applied { token, result });
        }
    }
}

#[test]
fn random_histories_keep_master_registry_and_allocator_in_agreement() {
    let (mut answered, mut downs, mut quotas) = (0, 0, 0);
    let (mut gone, mut spared) = (0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
            let state = world.master.snapshot();
            answered += state.inverse_offer_answers.len();
            downs += state.maintenance_status().down_machines.len();
            quotas += state.quotas.len();
            gone += state.gone_agents.len();
        }
        while !world.queue.is_empty() {
            world.store();
        }
        world.deliver();
        spared += world.master.snapshot().counters.slave_unreachable_canceled;
    }
    // The histories are worth nothing unless they reach these.
    assert!(answered > 100, "{answered} answers were kept");
    assert!(downs > 100, "{downs} machines were down");
    assert!(quotas > 100, "{quotas} quotas were set");
    assert!(gone > 100, "{gone} agents were gone");
    assert!(spared > 0, "{spared} agents were spared");
}
