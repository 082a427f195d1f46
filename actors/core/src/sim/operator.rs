//! What operators change while the cluster runs: quotas, weights, reservations, volumes.
//! Looks at no answer but that there is at most one.

use std::collections::BTreeMap;

use tepui_protocol::v1::maintenance::Schedule;
use tepui_protocol::v1::quota::QuotaConfig;
use tepui_protocol::v1::{WeightInfo, value};

use super::changes::{self, Pool};
use super::events::Event;
use super::world::{SECOND, World};
use crate::ids::AgentId;
use crate::master::messages::Input;
use crate::master::operator::Request;
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
        let request = match self.random.below(10) {
            0 => self.new_quota(),
            1 => self.no_quota(),
            2 => self.new_weight(),
            3..=5 => self.maintain(),
            _ => self.change(),
        };
        if let Some(request) = request {
            self.ask(request);
        }
    }

    /// What would keep the cluster from being whole ends; some of the rest stays in some runs.
    fn operate_last(&mut self) {
        match self.end_maintenance() {
            Some(request) => {
                self.ask(request);
                self.after(10 * SECOND, Event::Operate);
            }
            None if self.random.per_mille(500) => {
                self.ask(Request::UpdateMaintenanceSchedule(Schedule::default()));
            }
            None => {}
        }
        if self.random.per_mille(800) {
            self.end_quotas();
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
