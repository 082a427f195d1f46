//! What operators may ask of the master. The endpoints that read such requests call it.
//! Who may ask is checked before; each request is carried out in a file of its own.

mod cluster;
mod events;
mod maintenance;
mod old_quota;
mod quota;
mod reads;
mod requests;
mod resources;
mod roles;
mod views;
mod weights;

pub use cluster::{maintenance_status, operations, quota_status, weights};
pub use events::OperatorEvent;
pub use reads::{Read, SetLoggingLevel};
pub use requests::CallError;
pub use roles::roles;
pub use views::{Usage, agent_now, agent_still, executors, framework};

pub(super) use resources::Change;

use tepui_protocol::v1;
use v1::maintenance::Schedule;
use v1::quota::{QuotaConfig, QuotaRequest};

use super::messages::{Answer, Effect, Token};
use super::model::Phase;
use super::{Master, call};
use crate::ids::{AgentId, FrameworkId, Role};
use crate::registry::DeactivationChange;
use crate::time::Now;

/// A change an operator wants. It is answered once the registry holds it, or, for a change of
/// resources, once it is sent to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME or SHRINK_VOLUME of an agent's resources.
    ChangeResources {
        /// The agent.
        agent: AgentId,
        /// What is to be done.
        operation: Box<v1::offer::Operation>,
    },
    /// New quotas of top-level roles, all or none.
    UpdateQuota {
        /// One per role; without guarantees and limits it ends the role's quota.
        configs: Vec<QuotaConfig>,
        /// Whether to do without the check that the cluster can meet all guarantees.
        force: bool,
    },
    /// Quota for a role that has none; what is guaranteed is its limit as well.
    SetQuota(QuotaRequest),
    /// A role's quota ends.
    RemoveQuota {
        /// The role.
        role: Role,
        /// The path of the request, where refusals name it: it is the role's name there.
        path: Option<String>,
    },
    /// New weights of roles, all or none.
    UpdateWeights(Vec<v1::WeightInfo>),
    /// A new maintenance schedule in place of the old one.
    UpdateMaintenanceSchedule(Schedule),
    /// Draining machines go down: their agents are removed.
    StartMaintenance(Vec<v1::MachineId>),
    /// Machines are back up.
    StopMaintenance(Vec<v1::MachineId>),
    /// An agent will never come back; its tasks can be started elsewhere.
    MarkAgentGone(AgentId),
    /// A framework ends, with all that it runs.
    Teardown(FrameworkId),
    /// An agent is drained, deactivated or reactivated.
    ChangeDeactivation {
        /// The agent.
        agent: AgentId,
        /// What becomes of it; not [`DeactivationChange::Drained`], which the master finds itself.
        change: DeactivationChange,
    },
    /// Agents that the mass-kill guard holds are to be given up after all. Not in Mesos.
    ReleaseHeld,
}

impl Master {
    /// Carries out what an operator asked for; every request is answered once.
    pub(super) fn operate(
        &mut self,
        now: Now,
        request: Request,
        principal: Option<String>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        if self.phase == Phase::Recovering {
            let text = call::NOT_RECOVERED.to_string();
            return out.push(Effect::Reply(reply, Answer::Refused(503, text)));
        }
        match request {
            Request::ChangeResources { agent, operation } => {
                self.change_resources(&agent, *operation, principal, reply, out);
            }
            Request::UpdateQuota { configs, force } => {
                self.update_quota(&configs, force, reply, out);
            }
            Request::SetQuota(request) => self.set_quota(request, reply, out),
            Request::RemoveQuota { role, path } => self.remove_quota(role, path, reply, out),
            Request::UpdateWeights(weights) => self.update_weights(&weights, reply, out),
            Request::UpdateMaintenanceSchedule(schedule) => {
                self.update_maintenance_schedule(schedule, reply, out);
            }
            Request::StartMaintenance(machines) => {
                self.start_maintenance(&machines, reply, out);
            }
            Request::StopMaintenance(machines) => self.stop_maintenance(&machines, reply, out),
            Request::MarkAgentGone(agent) => self.mark_gone(now, agent, Some(reply), out),
            Request::ChangeDeactivation { agent, change } => {
                self.change_deactivation(agent, change, reply, out);
            }
            Request::Teardown(id) => self.teardown(now, &id, reply, out),
            Request::ReleaseHeld => self.release_held(now, reply, out),
        }
    }
    /// TEARDOWN; Mesos: `Master::Http::_teardown`.
    fn teardown(&mut self, now: Now, id: &FrameworkId, reply: Token, out: &mut Vec<Effect>) {
        if !self.frameworks.contains_key(id) {
            let text = "No framework found with specified ID".to_string();
            return out.push(Effect::Reply(reply, Answer::Refused(400, text)));
        }
        self.remove_framework(now, id, out);
        out.push(Effect::Reply(reply, Answer::Ok));
    }
}
