//! Resources, operations and their statuses for the tests of operations.
//! Asserts little; the tests do.

use serde_json::{Value, json};
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::v1::{self, OperationState, OperationStatus};

use super::super::messages::Input;
use super::fixture::{TestAgent, TestFramework, TestMaster, read};
use crate::allocator::messages::{Command, Proposal};
use crate::ids::{FrameworkId, OfferId};
use crate::resources::Resources;

/// A scalar without reservations.
pub fn plain(name: &str, amount: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": amount}})
}

/// A scalar reserved dynamically to role `web`.
pub fn reserved(name: &str, amount: f64) -> Value {
    let mut resource = plain(name, amount);
    resource["reservations"] = json!([{"type": "DYNAMIC", "role": "web"}]);
    resource
}

/// A persistent volume of role `web`, made of the root disk.
pub fn volume(id: &str, amount: f64) -> Value {
    let mut resource = reserved("disk", amount);
    resource["disk"] = json!({
        "persistence": {"id": id},
        "volume": {"mode": "RW", "container_path": "data"},
    });
    resource
}

/// A persistent volume that several tasks may use at once.
pub fn shared_volume(id: &str, amount: f64) -> Value {
    let mut resource = volume(id, amount);
    resource["shared"] = json!({});
    resource
}

pub fn reserve(resources: Value) -> Value {
    json!({"type": "RESERVE", "reserve": {"resources": resources}})
}

pub fn unreserve(resources: Value) -> Value {
    json!({"type": "UNRESERVE", "unreserve": {"resources": resources}})
}

pub fn create(volumes: Value) -> Value {
    json!({"type": "CREATE", "create": {"volumes": volumes}})
}

pub fn destroy(volumes: Value) -> Value {
    json!({"type": "DESTROY", "destroy": {"volumes": volumes}})
}

/// The same operation with a name, so that its framework hears of it.
pub fn named(id: &str, mut operation: Value) -> Value {
    operation["id"] = json!({"value": id});
    operation
}

/// Reads resources as the API writes them.
pub fn bag(resources: Value) -> Resources {
    let list = resources.as_array().unwrap();
    let read: Vec<v1::Resource> = list.iter().map(read).collect();
    Resources::from_v1(&read).unwrap()
}

/// An operation that an agent was told to carry out.
#[derive(Debug, Clone)]
pub struct Applied {
    pub framework: Option<String>,
    pub operation: v1::offer::Operation,
    pub uuid: Vec<u8>,
}

impl TestMaster {
    /// A framework of role `web` that knows reservations as stacks, with these fields too.
    pub fn web(&mut self, mut fields: Value) -> TestFramework {
        let mut capabilities = vec![
            json!({"type": "MULTI_ROLE"}),
            json!({"type": "RESERVATION_REFINEMENT"}),
            json!({"type": "SHARED_RESOURCES"}),
        ];
        if let Some(more) = fields["capabilities"].as_array() {
            capabilities.extend(more.clone());
        }
        fields["capabilities"] = json!(capabilities);
        fields["roles"] = json!(["web"]);
        self.framework(fields)
    }

    /// Offers the framework these resources of the agent.
    pub fn offer_of(
        &mut self,
        framework: &TestFramework,
        agent: &TestAgent,
        resources: Value,
    ) -> OfferId {
        let proposal = self.proposal_of(&framework.id, agent, resources);
        self.input(Input::Proposed(vec![proposal]));
        let offers = self.event(&framework.stream).offers.expect("OFFERS").offers;
        assert_eq!(offers.len(), 1);
        OfferId::from(&offers[0].id)
    }

    pub fn proposal_of(
        &self,
        framework: &FrameworkId,
        agent: &TestAgent,
        resources: Value,
    ) -> Proposal {
        let known = &self.master.frameworks[framework];
        Proposal {
            framework: framework.clone(),
            framework_generation: known.generation,
            role: known.roles[0].clone(),
            agent: agent.id.clone(),
            agent_generation: self.master.agents[&agent.id].generation,
            resources: bag(resources).allocated_to(&known.roles[0]),
        }
    }

    /// The next order to an agent, which must be to carry out an operation.
    pub fn applied(&mut self, agent: &TestAgent) -> Applied {
        match self.order(agent.link) {
            MasterToAgent::ApplyOperation {
                framework_id,
                operation,
                operation_uuid,
            } => Applied {
                framework: framework_id,
                operation: operation.0,
                uuid: operation_uuid,
            },
            other => panic!("expected ApplyOperation, got {other:?}"),
        }
    }

    /// What the next command to the allocator changes into what.
    pub fn transform(&mut self) -> (String, String) {
        match self.command() {
            Command::Transform {
                consumed,
                converted,
                ..
            } => (consumed.to_string(), converted.to_string()),
            other => panic!("expected Transform, got {other:?}"),
        }
    }

    /// The total that the allocator is told next.
    pub fn updated_total(&mut self) -> Resources {
        match self.command() {
            Command::UpdateAgent { total, .. } => total,
            other => panic!("expected UpdateAgent, got {other:?}"),
        }
    }

    /// What the agent has, as text.
    pub fn total(&self, agent: &TestAgent) -> String {
        self.master.agents[&agent.id].total.to_string()
    }

    /// The status of the next event, which must be UPDATE_OPERATION_STATUS.
    pub fn operation_update(&mut self, framework: &TestFramework) -> OperationStatus {
        let event = self.event(&framework.stream);
        let update = event.update_operation_status;
        update.expect("UPDATE_OPERATION_STATUS").status
    }

    /// Id, state and message of the next event, which must be UPDATE_OPERATION_STATUS.
    pub fn operation_text(&mut self, framework: &TestFramework) -> (String, String, String) {
        let status = self.operation_update(framework);
        assert_eq!(
            status.uuid, None,
            "nobody acknowledges what the master made up"
        );
        let id = status.operation_id.as_ref().map(|id| id.value.clone());
        (
            id.unwrap_or_default(),
            status.state().as_str_name().to_string(),
            status.message().to_string(),
        )
    }

    /// Has the agent report how an operation ended; returns the status's uuid.
    pub fn ended(
        &mut self,
        agent: &TestAgent,
        applied: &Applied,
        state: OperationState,
    ) -> Vec<u8> {
        let uuid = vec![state as u8 + 100; 16];
        let status = OperationStatus {
            operation_id: applied.operation.id.clone(),
            state: state as i32,
            uuid: Some(v1::Uuid {
                value: uuid.clone(),
            }),
            ..Default::default()
        };
        self.operation_status(agent, applied, status);
        uuid
    }

    pub fn operation_status(
        &mut self,
        agent: &TestAgent,
        applied: &Applied,
        status: OperationStatus,
    ) {
        self.agent_says(
            agent.link,
            AgentToMaster::OperationStatus {
                framework_id: applied.framework.clone(),
                operation_uuid: applied.uuid.clone(),
                status: status.into(),
            },
        );
    }

    /// The uuids in the next order to the agent, which must acknowledge an operation's status.
    pub fn acknowledged(&mut self, agent: &TestAgent) -> (Vec<u8>, Vec<u8>) {
        match self.order(agent.link) {
            MasterToAgent::AcknowledgeOperation {
                status_uuid,
                operation_uuid,
            } => (status_uuid, operation_uuid),
            other => panic!("expected AcknowledgeOperation, got {other:?}"),
        }
    }
}

/// An operation as its agent reports it when it comes back.
pub fn known_to_agent(
    agent: &TestAgent,
    applied: &Applied,
    state: OperationState,
) -> v1::Operation {
    let status = OperationStatus {
        operation_id: applied.operation.id.clone(),
        state: state as i32,
        ..Default::default()
    };
    v1::Operation {
        framework_id: applied
            .framework
            .as_deref()
            .map(|id| FrameworkId::from(id).to_v1()),
        agent_id: Some(agent.id.to_v1()),
        info: applied.operation.clone(),
        latest_status: status,
        statuses: Vec::new(),
        uuid: v1::Uuid {
            value: applied.uuid.clone(),
        },
    }
}
