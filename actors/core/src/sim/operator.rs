//! What operators change while the cluster runs: quotas, weights, reservations.
//! Looks at no answer but that there is at most one.

use std::collections::BTreeMap;

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{Reserve, Type};
use tepui_protocol::v1::quota::QuotaConfig;
use tepui_protocol::v1::resource::{ReservationInfo, reservation_info};
use tepui_protocol::v1::{WeightInfo, value};

use super::events::Event;
use super::world::{SECOND, World};
use crate::ids::AgentId;
use crate::master::messages::Input;
use crate::master::operator::Request;
use crate::resources::{Format, Resources};

/// Top-level roles that are given quota.
const TOP_ROLES: &[&str] = &["a", "b", "c"];

/// Roles that are given weights.
const WEIGHTED: &[&str] = &["a", "b/x", "b", "*"];

impl World {
    pub(super) fn operate(&mut self) {
        if self.is_calm {
            if self.random.per_mille(800) {
                self.end_quotas();
            }
            return;
        }
        self.soon(120 * SECOND, Event::Operate);
        let request = match self.random.below(6) {
            0 | 1 => self.new_quota(),
            2 => self.no_quota(),
            3 => self.new_weight(),
            _ => self.reservation(),
        };
        if let Some(request) = request {
            self.ask(request);
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
        if self.master.is_none() {
            return;
        }
        self.counts.operator_requests += 1;
        self.note(format_args!("an operator asks: {request:?}"));
        let reply = self.expect_reply(None);
        self.master_input(Input::Operator {
            request: Box::new(request),
            principal: None,
            reply,
        });
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

    fn reservation(&mut self) -> Option<Request> {
        let master = self.master.as_ref()?;
        let agents: Vec<AgentId> = master.core.snapshot().agents.keys().cloned().collect();
        let agent = self.random.pick(&agents)?.clone();
        let resources = Resources::parse("cpus:0.2;disk:32", "*").ok()?;
        let mut list = resources.to_v1(Format::PostRefinement);
        for resource in &mut list {
            resource.reservations.push(ReservationInfo {
                role: Some("a".to_owned()),
                r#type: Some(reservation_info::Type::Dynamic as i32),
                ..ReservationInfo::default()
            });
        }
        let operation = Operation {
            r#type: Some(Type::Reserve as i32),
            reserve: Some(Reserve {
                resources: list,
                ..Reserve::default()
            }),
            ..Operation::default()
        };
        Some(Request::ChangeResources {
            agent,
            operation: Box::new(operation),
        })
    }
}
