//! What operators change while the cluster runs: quotas, weights, reservations, volumes.
//! Looks at no answer but that there is at most one.

use std::collections::BTreeMap;

use tepui_protocol::v1::maintenance::Schedule;
use tepui_protocol::v1::quota::QuotaConfig;
use tepui_protocol::v1::{DrainConfig, DurationInfo, WeightInfo, value};

use super::changes::{self, Pool};
use super::events::Event;
use super::maintenance::CALM_US;
use super::world::World;
use crate::ids::AgentId;
use crate::master::messages::Input;
use crate::master::operator::Request;
use crate::registry::DeactivationChange;
use crate::resources::Format;

/// Top-level roles that are given quota.
const TOP_ROLES: &[&str] = &["a", "b", "c"];

/// Roles for which operators reserve.
const RESERVED_ROLES: &[&str] = &["a", "b", "b/x", "c"];

/// Roles that are given weights.
const WEIGHTED: &[&str] = &["a", "b/x", "b", "*"];

impl World {
    pub(super) fn operate(&mut self) {
        if self.is_calm {
            return self.operate_last();
        }
        self.soon(self.operate_us, Event::Operate);
        self.ask_once();
    }

    /// An operator asks some master for something.
    pub(super) fn ask_once(&mut self) {
        if self.is_calm {
            return;
        }
        let request = match self.random.below(10) {
            0 => self.new_quota(),
            1 => self.no_quota(),
            2 => self.new_weight(),
            3..=5 => self.maintain(),
            6 if self.random.per_mille(300) => self.mark_gone(),
            6 if self.random.per_mille(300) => self.release_held(),
            6 => self.deactivate(),
            _ => self.change(),
        };
        if let Some(request) = request {
            self.ask(request);
        }
    }

    /// An agent is said to be gone for good, which it hardly ever is.
    fn mark_gone(&mut self) -> Option<Request> {
        let life = self.some_master()?;
        let snapshot = self.masters.get(&life)?.core.snapshot();
        let known = snapshot.agents.keys();
        let known: Vec<&AgentId> = known.chain(snapshot.unreachable_agents.keys()).collect();
        let agent = (*self.random.pick(&known)?).clone();
        self.counts.agents_gone += 1;
        Some(Request::MarkAgentGone(agent))
    }

    /// An agent is drained, deactivated, or reactivated as soon as it can be.
    fn deactivate(&mut self) -> Option<Request> {
        let life = self.some_master()?;
        let snapshot = self.masters.get(&life)?.core.snapshot();
        let known = snapshot.agents.keys();
        let known: Vec<&AgentId> = known.chain(snapshot.unreachable_agents.keys()).collect();
        let agent = (*self.random.pick(&known)?).clone();
        let config = DrainConfig {
            max_grace_period: self.random.per_mille(500).then_some(DurationInfo {
                nanoseconds: 1_000_000_000,
            }),
            mark_gone: Some(self.random.per_mille(200)),
        };
        let is_out = snapshot.deactivated_agents.contains_key(&agent);
        let change = match self.random.below(3) {
            _ if is_out => DeactivationChange::Reactivate,
            0 => DeactivationChange::Deactivate,
            _ => DeactivationChange::Drain(config),
        };
        self.counts.agents_deactivated += u64::from(!is_out);
        Some(Request::ChangeDeactivation { agent, change })
    }

    /// All agents that are not being drained are offered again.
    fn reactivate_all(&mut self) {
        let leader = self.election.leader;
        let Some(master) = leader.and_then(|life| self.masters.get(&life)) else {
            return;
        };
        let all = master.core.snapshot().deactivated_agents;
        let over = all.iter().filter(|(_, how)| !how.is_draining());
        let over: Vec<AgentId> = over.map(|(id, _)| id.clone()).collect();
        for agent in over {
            let change = DeactivationChange::Reactivate;
            self.ask(Request::ChangeDeactivation { agent, change });
        }
    }

    /// Agents that a master does not give up by itself, being too many, are given up, if any.
    fn release_held(&mut self) -> Option<Request> {
        let life = self.some_master()?;
        let held = self.masters.get(&life)?.core.snapshot().held_agents;
        (!held.is_empty()).then(|| {
            self.counts.agents_released += 1;
            Request::ReleaseHeld
        })
    }

    /// What would keep the cluster from being whole ends; some of the rest stays in some runs.
    fn operate_last(&mut self) {
        self.after(CALM_US / 2, Event::Operate);
        if let Some(request) = self.release_held() {
            self.ask(request);
        }
        if let Some(request) = self.end_maintenance() {
            self.ask(request);
        }
        self.reactivate_all();
        self.calm_steps += 1;
        match self.calm_steps {
            1 if self.random.per_mille(800) => self.end_quotas(),
            // By now no machine is down, so nothing needs to be in the schedule.
            2 if self.random.per_mille(500) => {
                self.ask(Request::UpdateMaintenanceSchedule(Schedule::default()));
            }
            _ => {}
        }
    }

    /// Guarantees would keep things from being offered; limits stay in some runs.
    fn end_quotas(&mut self) {
        let configs = TOP_ROLES.iter().map(|role| QuotaConfig {
            role: (*role).to_owned(),
            ..QuotaConfig::default()
        });
        self.ask(Request::UpdateQuota {
            configs: configs.collect(),
            force: true,
        });
    }

    fn ask(&mut self, request: Request) {
        // Operators ask whatever master they take for the leader, but the last time it leads.
        let leader = self.election.leader.filter(|_| self.is_calm);
        let Some(life) = leader.or_else(|| self.some_master()) else {
            return;
        };
        self.counts.operator_requests += 1;
        self.note(format_args!("an operator asks master {life}: {request:?}"));
        let reply = self.expect_reply(life, None);
        let input = Input::Operator {
            request: Box::new(request),
            principal: None,
            reply,
        };
        self.master_input(life, input);
    }

    fn new_quota(&mut self) -> Option<Request> {
        let role = *self.random.pick(TOP_ROLES)?;
        let mut scalars = |low: u64, high: u64| {
            let value = self.random.between(low, high) as f64;
            BTreeMap::from([("cpus".to_owned(), value::Scalar { value })])
        };
        let guarantees = scalars(0, 2);
        let limits = scalars(2, 8);
        let force = self.random.per_mille(500);
        Some(Request::UpdateQuota {
            configs: vec![QuotaConfig {
                role: role.to_owned(),
                guarantees,
                limits,
            }],
            force,
        })
    }

    fn no_quota(&mut self) -> Option<Request> {
        let role = (*self.random.pick(TOP_ROLES)?).to_owned();
        let config = QuotaConfig {
            role,
            ..QuotaConfig::default()
        };
        Some(Request::UpdateQuota {
            configs: vec![config],
            force: false,
        })
    }

    fn new_weight(&mut self) -> Option<Request> {
        let role = (*self.random.pick(WEIGHTED)?).to_owned();
        let weight = self.random.between(1, 40) as f64 / 10.0;
        Some(Request::UpdateWeights(vec![WeightInfo {
            weight,
            role: Some(role),
        }]))
    }

    /// A reservation, a volume, or the end of one, on an agent that some master knows.
    fn change(&mut self) -> Option<Request> {
        let life = self.some_master()?;
        let snapshot = self.masters.get(&life)?.core.snapshot();
        let agents: Vec<&AgentId> = snapshot.agents.keys().collect();
        let id = *self.random.pick(&agents)?;
        let agent = snapshot.agents.get(id)?;
        let mut left = agent.total.clone();
        for used in agent.used.values() {
            left.subtract(&used.unallocated());
        }
        let role = *self.random.pick(RESERVED_ROLES)?;
        let mut pool = Pool {
            left,
            role: role.to_owned(),
            format: Format::PostRefinement,
            can_share: true,
        };
        let operation = changes::change(&mut self.random, &mut pool)?;
        Some(Request::ChangeResources {
            agent: id.clone(),
            operation: Box::new(operation),
        })
    }
}
