//! Asks the rules of `validation` whether an operation may change an agent's resources, for
//! frameworks and operators, who are answered in different words. Changes nothing.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::Type;

use super::Master;
use super::accept::Accepted;
use super::messages::Answer;
use super::model::{Agent, Framework};
use super::operation_updates::has_capability;
use crate::resources::Resources;
use crate::validation::operation as rules;

/// Text for a payload that is not there, which is refused where its form is checked.
const NO_PAYLOAD: &str = "Operation has no payload";

impl Master {
    /// Whether a framework's operation may be carried out, as far as the resources left to it do
    /// not matter; the text is Mesos's.
    pub(super) fn check_change(
        &self,
        accepted: &Accepted,
        operation: &Operation,
    ) -> Result<(), String> {
        let framework = self.frameworks.get(&accepted.framework);
        let framework = framework.ok_or("Framework removed")?;
        let agent = self.agents.get(&accepted.agent).ok_or("Agent removed")?;
        let kind = rules::known_type(operation);
        if matches!(kind, Type::CreateDisk | Type::DestroyDisk)
            && !has_capability(agent, "RESOURCE_PROVIDER")
        {
            return Err(format!(
                "Not supported on agent {} because it does not have RESOURCE_PROVIDER capability",
                name_of(agent)
            ));
        }
        let principal = framework.info.principal.as_deref();
        check(agent, Some(framework), principal, operation)
            .map_err(|error| format!("{error}; on agent {}", name_of(agent)))
    }

    /// Whether an operator's operation, whose form is right, may be carried out, as far as it does
    /// not matter what is free; the answer is Mesos's.
    pub(super) fn check_operator_change(
        &self,
        agent: &Agent,
        operation: &Operation,
        principal: Option<&str>,
    ) -> Result<(), Answer> {
        let bad = |text: String| Answer::Refused(400, text);
        let kind = rules::known_type(operation);
        check(agent, None, principal, operation).map_err(|error| {
            let name = kind.as_str_name();
            bad(match kind {
                Type::Unreserve | Type::Destroy => format!("Invalid {name} operation: {error}"),
                _ => format!(
                    "Invalid {name} operation on agent {}: {error}",
                    name_of(agent)
                ),
            })
        })
    }
}

fn check(
    agent: &Agent,
    framework: Option<&Framework>,
    principal: Option<&str>,
    operation: &Operation,
) -> Result<(), String> {
    let capabilities = &agent.capabilities[..];
    let info = framework.map(|framework| &*framework.info);
    match rules::known_type(operation) {
        Type::Reserve => {
            let payload = operation.reserve.as_ref().ok_or(NO_PAYLOAD)?;
            rules::validate_reserve(payload, principal, capabilities, info)
        }
        Type::Unreserve => {
            let payload = operation.unreserve.as_ref().ok_or(NO_PAYLOAD)?;
            rules::validate_unreserve(payload)
        }
        Type::Create => {
            let payload = operation.create.as_ref().ok_or(NO_PAYLOAD)?;
            let checkpointed = agent.total.checkpointed();
            rules::validate_create(payload, &checkpointed, principal, capabilities, info)
        }
        Type::Destroy => {
            let payload = operation.destroy.as_ref().ok_or(NO_PAYLOAD)?;
            let checkpointed = agent.total.checkpointed();
            let used: Vec<&Resources> = agent.used.values().collect();
            rules::validate_destroy(payload, &checkpointed, used)
        }
        Type::GrowVolume => {
            let payload = operation.grow_volume.as_ref().ok_or(NO_PAYLOAD)?;
            rules::validate_grow_volume(payload, capabilities)
        }
        Type::ShrinkVolume => {
            let payload = operation.shrink_volume.as_ref().ok_or(NO_PAYLOAD)?;
            rules::validate_shrink_volume(payload, capabilities)
        }
        Type::CreateDisk => {
            let payload = operation.create_disk.as_ref().ok_or(NO_PAYLOAD)?;
            rules::validate_create_disk(payload)
        }
        Type::DestroyDisk => {
            let payload = operation.destroy_disk.as_ref().ok_or(NO_PAYLOAD)?;
            rules::validate_destroy_disk(payload)
        }
        Type::Launch | Type::LaunchGroup | Type::Unknown => {
            Err("the operation does not change resources".to_string())
        }
    }
}

/// An agent as Mesos names it in messages.
fn name_of(agent: &Agent) -> String {
    format!("{} at {} ({})", agent.id, agent.pid, agent.info.hostname)
}
