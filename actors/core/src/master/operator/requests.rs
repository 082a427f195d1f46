//! Calls of the operator API as requests to the master: what each must hold to be understood.
//! Whether a request can be carried out is decided where it is.

use tepui_protocol::v1::master::Call;
use tepui_protocol::v1::master::call::Type;
use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{
    Create, Destroy, GrowVolume, Reserve, ShrinkVolume, Type as Kind, Unreserve,
};
use tepui_protocol::v1::{self, DrainConfig, Resource};

use super::Request;
use crate::ids::{AgentId, FrameworkId, Role};
use crate::registry::DeactivationChange;
use crate::resources::Resources;

/// Why a call is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The call is not sound; the text is Mesos's.
    Invalid(String),
    /// A call that this version does not serve, by its name.
    Unsupported(&'static str),
}

impl Request {
    /// The request of a call that changes something.
    ///
    /// # Errors
    /// When the call is not sound or of another kind. Mesos: `master::call::validate`.
    pub fn from_call(call: Call) -> Result<Request, CallError> {
        let Some(kind) = call.r#type.and_then(|kind| Type::try_from(kind).ok()) else {
            return Err(missing("type"));
        };
        if let Some(operation) = operation_of(kind, &call)? {
            let (agent, operation) = operation;
            return Ok(Request::ChangeResources {
                agent: AgentId::from(&agent),
                operation: Box::new(operation),
            });
        }
        match kind {
            Type::UpdateQuota => {
                let payload = present(call.update_quota, "update_quota")?;
                Ok(Request::UpdateQuota {
                    configs: payload.quota_configs,
                    force: payload.force.unwrap_or(false),
                })
            }
            Type::SetQuota => {
                let payload = present(call.set_quota, "set_quota")?;
                Ok(Request::SetQuota(payload.quota_request))
            }
            Type::RemoveQuota => {
                let payload = present(call.remove_quota, "remove_quota")?;
                let role = Role::from(payload.role.as_str());
                Ok(Request::RemoveQuota { role, path: None })
            }
            Type::UpdateWeights => {
                let payload = present(call.update_weights, "update_weights")?;
                Ok(Request::UpdateWeights(payload.weight_infos))
            }
            Type::UpdateMaintenanceSchedule => {
                let name = "update_maintenance_schedule";
                let payload = present(call.update_maintenance_schedule, name)?;
                Ok(Request::UpdateMaintenanceSchedule(payload.schedule))
            }
            Type::StartMaintenance => {
                let payload = present(call.start_maintenance, "start_maintenance")?;
                Ok(Request::StartMaintenance(payload.machines))
            }
            Type::StopMaintenance => {
                let payload = present(call.stop_maintenance, "stop_maintenance")?;
                Ok(Request::StopMaintenance(payload.machines))
            }
            Type::MarkAgentGone => {
                let payload = present(call.mark_agent_gone, "mark_agent_gone")?;
                Ok(Request::MarkAgentGone(AgentId::from(&payload.agent_id)))
            }
            Type::Teardown => {
                let payload = present(call.teardown, "teardown")?;
                Ok(Request::Teardown(FrameworkId::from(&payload.framework_id)))
            }
            Type::DrainAgent => {
                let payload = present(call.drain_agent, "drain_agent")?;
                let max_grace_period = payload.max_grace_period.map(|time| {
                    let nanoseconds = time.seconds.saturating_mul(1_000_000_000);
                    let nanoseconds = nanoseconds.saturating_add(i64::from(time.nanos));
                    v1::DurationInfo { nanoseconds }
                });
                if max_grace_period.is_some_and(|time| time.nanoseconds < 0) {
                    let text = "Expecting 'max_grace_period' to be non-negative";
                    return Err(CallError::Invalid(text.to_owned()));
                }
                let config = DrainConfig {
                    max_grace_period,
                    mark_gone: payload.mark_gone,
                };
                let change = DeactivationChange::Drain(config);
                Ok(change_deactivation(&payload.agent_id, change))
            }
            Type::DeactivateAgent => {
                let payload = present(call.deactivate_agent, "deactivate_agent")?;
                let change = DeactivationChange::Deactivate;
                Ok(change_deactivation(&payload.agent_id, change))
            }
            Type::ReactivateAgent => {
                let payload = present(call.reactivate_agent, "reactivate_agent")?;
                let change = DeactivationChange::Reactivate;
                Ok(change_deactivation(&payload.agent_id, change))
            }
            other => Err(CallError::Unsupported(other.as_str_name())),
        }
    }
}

fn change_deactivation(agent: &v1::AgentId, change: DeactivationChange) -> Request {
    Request::ChangeDeactivation {
        agent: AgentId::from(agent),
        change,
    }
}

/// The change of an agent's resources that a call asks for, if it asks for one.
fn operation_of(kind: Type, call: &Call) -> Result<Option<(v1::AgentId, Operation)>, CallError> {
    let mut operation = Operation::default();
    let (agent, of) = match kind {
        Type::ReserveResources => {
            let payload = present(call.reserve_resources.as_ref(), "reserve_resources")?;
            check(&payload.resources)?;
            operation.reserve = Some(Reserve {
                resources: payload.resources.clone(),
                source: payload.source.clone(),
            });
            (payload.agent_id.clone(), Kind::Reserve)
        }
        Type::UnreserveResources => {
            let payload = present(call.unreserve_resources.as_ref(), "unreserve_resources")?;
            check(&payload.resources)?;
            let resources = payload.resources.clone();
            operation.unreserve = Some(Unreserve { resources });
            (payload.agent_id.clone(), Kind::Unreserve)
        }
        Type::CreateVolumes => {
            let payload = present(call.create_volumes.as_ref(), "create_volumes")?;
            let volumes = payload.volumes.clone();
            operation.create = Some(Create { volumes });
            (payload.agent_id.clone(), Kind::Create)
        }
        Type::DestroyVolumes => {
            let payload = present(call.destroy_volumes.as_ref(), "destroy_volumes")?;
            let volumes = payload.volumes.clone();
            operation.destroy = Some(Destroy { volumes });
            (payload.agent_id.clone(), Kind::Destroy)
        }
        Type::GrowVolume => {
            let payload = present(call.grow_volume.as_ref(), "grow_volume")?;
            operation.grow_volume = Some(GrowVolume {
                volume: payload.volume.clone(),
                addition: payload.addition.clone(),
            });
            (agent_of(payload.agent_id.as_ref())?, Kind::GrowVolume)
        }
        Type::ShrinkVolume => {
            let payload = present(call.shrink_volume.as_ref(), "shrink_volume")?;
            operation.shrink_volume = Some(ShrinkVolume {
                volume: payload.volume.clone(),
                subtract: payload.subtract,
            });
            (agent_of(payload.agent_id.as_ref())?, Kind::ShrinkVolume)
        }
        _ => return Ok(None),
    };
    operation.r#type = Some(of as i32);
    Ok(Some((agent, operation)))
}

fn check(resources: &[Resource]) -> Result<(), CallError> {
    Resources::from_v1(resources)
        .map(drop)
        .map_err(|error| CallError::Invalid(error.0))
}

fn agent_of(agent: Option<&v1::AgentId>) -> Result<v1::AgentId, CallError> {
    agent.cloned().ok_or_else(|| {
        CallError::Invalid(
            "Expecting 'agent_id' to be present; only agent default resources are supported \
             right now"
                .to_string(),
        )
    })
}

fn present<T>(payload: Option<T>, name: &str) -> Result<T, CallError> {
    payload.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> CallError {
    CallError::Invalid(format!("Expecting '{name}' to be present"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(call: &Value) -> Result<Request, CallError> {
        let bytes = serde_json::to_vec(call).unwrap();
        Request::from_call(tepui_protocol::json::from_slice(&bytes).unwrap())
    }

    fn refused(call: &Value) -> String {
        match read(call).unwrap_err() {
            CallError::Invalid(text) => text,
            CallError::Unsupported(name) => name.to_string(),
        }
    }

    #[test]
    fn a_call_must_have_a_type_and_its_payload() {
        assert_eq!(refused(&json!({})), "Expecting 'type' to be present");
        for (kind, payload) in [
            ("RESERVE_RESOURCES", "reserve_resources"),
            ("UNRESERVE_RESOURCES", "unreserve_resources"),
            ("CREATE_VOLUMES", "create_volumes"),
            ("DESTROY_VOLUMES", "destroy_volumes"),
            ("GROW_VOLUME", "grow_volume"),
            ("SHRINK_VOLUME", "shrink_volume"),
            ("UPDATE_QUOTA", "update_quota"),
            ("SET_QUOTA", "set_quota"),
            ("REMOVE_QUOTA", "remove_quota"),
            ("UPDATE_WEIGHTS", "update_weights"),
            ("UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule"),
            ("START_MAINTENANCE", "start_maintenance"),
            ("STOP_MAINTENANCE", "stop_maintenance"),
            ("MARK_AGENT_GONE", "mark_agent_gone"),
            ("TEARDOWN", "teardown"),
        ] {
            let text = format!("Expecting '{payload}' to be present");
            assert_eq!(refused(&json!({"type": kind})), text);
        }
        assert_eq!(refused(&json!({"type": "GET_ROLES"})), "GET_ROLES");
    }

    #[test]
    fn changes_of_resources_become_operations() {
        let disk = json!({"name": "disk", "type": "SCALAR", "scalar": {"value": 8.0}});
        let request = read(&json!({"type": "RESERVE_RESOURCES", "reserve_resources":
            {"agent_id": {"value": "S0"}, "resources": [disk]}}));
        let Ok(Request::ChangeResources { agent, operation }) = request else {
            panic!("{request:?}");
        };
        assert_eq!(agent.as_str(), "S0");
        assert_eq!(operation.r#type, Some(Kind::Reserve as i32));
        assert_eq!(operation.reserve.unwrap().resources[0].name, "disk");
        let grow = json!({"type": "GROW_VOLUME",
            "grow_volume": {"volume": disk, "addition": disk}});
        assert!(refused(&grow).starts_with("Expecting 'agent_id' to be present; only agent"));
        let bad = json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": -1.0}});
        let reserve = json!({"type": "RESERVE_RESOURCES", "reserve_resources":
            {"agent_id": {"value": "S0"}, "resources": [bad]}});
        let text = "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0";
        assert_eq!(refused(&reserve), text);
    }

    #[test]
    fn settings_are_passed_on() {
        let request = read(&json!({"type": "UPDATE_QUOTA", "update_quota":
            {"force": true, "quota_configs": [{"role": "a"}]}}));
        let Ok(Request::UpdateQuota { configs, force }) = request else {
            panic!("{request:?}");
        };
        assert!(force && configs[0].role == "a");
        let request = read(&json!({"type": "STOP_MAINTENANCE", "stop_maintenance":
            {"machines": [{"hostname": "h"}]}}));
        let Ok(Request::StopMaintenance(machines)) = request else {
            panic!("{request:?}");
        };
        assert_eq!(machines[0].hostname.as_deref(), Some("h"));
    }
}
