//! `/registrar(1)/registry`: what is stored of the cluster, in the form of Mesos's own registry.
//! Reads no store: the master knows all that is in it.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tepui_core::ids::AgentId;
use tepui_core::maintenance::{Machine, Mode};
use tepui_core::master::model::{Phase, Snapshot};
use tepui_core::master::operator::quota_status;
use tepui_core::time::Wall;

/// The registry, or nothing before it was read.
pub(super) struct Registry(pub(super) Arc<Snapshot>);

impl Serialize for Registry {
    /// The form is Mesos's `mesos.internal.Registry`; keys are in alphabetical order.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        shown(&self.0)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

fn shown(snapshot: &Snapshot) -> Result<Value, serde_json::Error> {
    if snapshot.phase != Phase::Serving {
        return Ok(json!({}));
    }
    let mut registry = json!({"master": {"info": serde_json::to_value(&*snapshot.master)?}});
    let registered = snapshot.agents.iter();
    let registered = registered.map(|(id, agent)| (id, Arc::new(agent.description())));
    let recovered = snapshot.recovered_agents.iter();
    let recovered = recovered.map(|(id, info)| (id, info.clone()));
    let agents = registered.chain(recovered).map(|(id, info)| {
        let info = serde_json::to_value(&*info)?;
        with_deactivation(json!({ "info": info }), id, snapshot)
    });
    put(
        &mut registry,
        "slaves",
        "slaves",
        agents.collect::<Result<_, _>>()?,
    );
    let away = snapshot.unreachable_agents.iter();
    let away = away.map(|(id, since)| with_deactivation(gone(id, *since), id, snapshot));
    put(
        &mut registry,
        "unreachable",
        "slaves",
        away.collect::<Result<_, _>>()?,
    );
    let gone = snapshot.gone_agents.iter().map(|(id, at)| gone(id, *at));
    put(&mut registry, "gone", "slaves", gone.collect());
    let machines = snapshot.maintenance.machines.values().map(machine);
    let machines: Vec<Value> = machines.collect::<Result<_, _>>()?;
    if !machines.is_empty() {
        let schedule = serde_json::to_value(snapshot.maintenance.schedule())?;
        registry["schedules"] = json!([schedule]);
    }
    put(&mut registry, "machines", "machines", machines);
    put_roles(&mut registry, snapshot)?;
    Ok(registry)
}

/// Quotas that were ended are not stored.
fn put_roles(registry: &mut Value, snapshot: &Snapshot) -> Result<(), serde_json::Error> {
    let weights = snapshot.weights.iter();
    let weights = weights.map(|(role, weight)| json!({"info": {"role": **role, "weight": weight}}));
    let weights: Vec<Value> = weights.collect();
    if !weights.is_empty() {
        registry["weights"] = Value::Array(weights);
    }
    let mut configs = quota_status(snapshot).configs;
    configs.retain(|config| !(config.guarantees.is_empty() && config.limits.is_empty()));
    if !configs.is_empty() {
        registry["quota_configs"] = serde_json::to_value(configs)?;
        registry["minimum_capabilities"] = json!([{"capability": "QUOTA_V2"}]);
    }
    Ok(())
}

/// A list within a message, which is not there while it is empty.
fn put(registry: &mut Value, name: &str, list: &str, entries: Vec<Value>) {
    if !entries.is_empty() {
        registry[name] = json!({ list: entries });
    }
}

fn with_deactivation(
    mut entry: Value,
    id: &AgentId,
    snapshot: &Snapshot,
) -> Result<Value, serde_json::Error> {
    let deactivation = snapshot.deactivated_agents.get(id);
    entry["deactivated"] = json!(deactivation.is_some());
    if let Some(drain) = deactivation.and_then(|deactivation| deactivation.drain.as_ref()) {
        entry["drain_info"] = serde_json::to_value(drain)?;
    }
    Ok(entry)
}

fn gone(id: &AgentId, at: Wall) -> Value {
    let nanoseconds = at.0.saturating_mul(1000);
    json!({"id": {"value": id.as_str()}, "timestamp": {"nanoseconds": nanoseconds}})
}

fn machine(machine: &Machine) -> Result<Value, serde_json::Error> {
    let mode = match machine.mode {
        Mode::Draining => "DRAINING",
        Mode::Down => "DOWN",
    };
    let id = serde_json::to_value(&machine.id)?;
    let unavailability = serde_json::to_value(machine.unavailability)?;
    Ok(json!({"info": {"id": id, "mode": mode, "unavailability": unavailability}}))
}
