//! Weights, quotas, maintenance and operations as the operator API shows them.
//! Reads a snapshot and changes nothing.

use tepui_protocol::v1::allocator::{InverseOfferStatus, inverse_offer_status};
use tepui_protocol::v1::maintenance::{ClusterStatus, cluster_status};
use tepui_protocol::v1::quota::{QuotaConfig, QuotaInfo, QuotaStatus};
use tepui_protocol::v1::{self, Resource, WeightInfo, value};

use super::super::events::time_info;
use super::super::model::Snapshot;
use crate::ids::AgentId;
use crate::maintenance::{Machine, MachineKey, Mode};
use crate::quota::Quota;

/// Weights that were set; all other roles have a weight of 1.
pub fn weights(snapshot: &Snapshot) -> Vec<WeightInfo> {
    let set = snapshot.weights.iter();
    set.map(|(role, weight)| WeightInfo {
        weight: *weight,
        role: Some(role.to_string()),
    })
    .collect()
}

/// Quotas that were set, in the old form and in the new one. Mesos: `QuotaHandler::_status`.
pub fn quota_status(snapshot: &Snapshot) -> QuotaStatus {
    let quotas = || snapshot.quotas.iter();
    QuotaStatus {
        infos: quotas()
            .map(|(role, quota)| quota_info(role, quota))
            .collect(),
        configs: quotas()
            .map(|(role, quota)| quota_config(role, quota))
            .collect(),
    }
}

fn quota_info(role: &str, quota: &Quota) -> QuotaInfo {
    let guarantees = quota.guarantees.0.iter();
    QuotaInfo {
        role: Some(role.to_owned()),
        guarantee: guarantees
            .map(|(name, milli)| amount(name, *milli))
            .collect(),
        ..QuotaInfo::default()
    }
}

fn quota_config(role: &str, quota: &Quota) -> QuotaConfig {
    let guarantees = quota.guarantees.0.iter();
    let limits = quota.limits.0.iter();
    QuotaConfig {
        role: role.to_owned(),
        guarantees: guarantees
            .map(|(name, milli)| (name.to_string(), scalar(*milli)))
            .collect(),
        limits: limits
            .map(|(name, milli)| (name.to_string(), scalar(*milli)))
            .collect(),
    }
}

/// So many thousandths of a resource.
pub(super) fn amount(name: &str, milli: i64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(scalar(milli)),
        ..Resource::default()
    }
}

fn scalar(milli: i64) -> value::Scalar {
    value::Scalar {
        value: milli as f64 / 1000.0,
    }
}

/// Scheduled machines: those that drain with what frameworks said to that, and those that are down.
/// Mesos: `_getMaintenanceStatus`.
pub fn maintenance_status(snapshot: &Snapshot) -> ClusterStatus {
    let mut status = ClusterStatus::default();
    for (key, machine) in &snapshot.maintenance.machines {
        match machine.mode {
            Mode::Draining => status
                .draining_machines
                .push(draining(key, machine, snapshot)),
            Mode::Down => status.down_machines.push(machine.id.clone()),
        }
    }
    status
}

fn draining(
    key: &MachineKey,
    machine: &Machine,
    snapshot: &Snapshot,
) -> cluster_status::DrainingMachine {
    let is_there = |agent: &AgentId| {
        let agent = snapshot.agents.get(agent);
        agent.is_some_and(|agent| agent.machine == *key)
    };
    let answers = snapshot.inverse_offer_answers.iter();
    let answers = answers.filter(|((agent, _), _)| is_there(agent));
    cluster_status::DrainingMachine {
        id: machine.id.clone(),
        statuses: answers
            .map(|((_, framework), answer)| InverseOfferStatus {
                status: match answer.accepted {
                    true => inverse_offer_status::Status::Accept,
                    false => inverse_offer_status::Status::Decline,
                }
                .into(),
                framework_id: framework.to_v1(),
                timestamp: time_info(answer.at),
            })
            .collect(),
    }
}

/// Operations of all admitted agents, until their end is acknowledged.
pub fn operations(snapshot: &Snapshot) -> impl Iterator<Item = &v1::Operation> {
    let agents = snapshot.agents.values();
    agents.flat_map(|agent| agent.operations.values().map(|operation| &operation.info))
}
