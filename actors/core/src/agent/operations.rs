//! Operations on reservations and volumes: one at a time, checkpointed before they are reported.
//! Touches no disk, and leaves it to the master to take back what it counted on when one failed.

use std::time::Duration;

use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::{OperationState, OperationStatus};

use super::messages::{Effect, LinkNumber};
use super::operation_state::{Change, OperationUuid, Writing};
use super::registration::Link;
use super::status_updates::Acknowledged;
use super::{Agent, Life, Timer};
use crate::resources::conversion::{Conversion, conversions};
use crate::resources::{Format, Resources};
use crate::time::Now;

/// Operations that may wait for acknowledgement; further ones are dropped.
pub const MAX_UNACKNOWLEDGED_OPERATIONS: usize = 10_000;

/// Acknowledged operations whose ids are remembered to recognise repetitions.
pub const MAX_REMEMBERED_OPERATIONS: usize = 1_000;

/// Messages of the master that may wait for a checkpoint; a link with more is given up, and the
/// master learns the truth when the agent is back.
pub const MAX_DEFERRED: usize = 10_000;

impl Agent {
    /// Carries an operation out, once: a repeated one is answered from its stream.
    pub(super) fn apply_operation(
        &mut self,
        now: Now,
        framework: Option<String>,
        operation: v1::offer::Operation,
        uuid: &[u8],
        out: &mut Vec<Effect>,
    ) {
        let Some(uuid) = OperationUuid::read(uuid) else {
            tracing::warn!("operation ignored: its uuid has not 16 bytes");
            return;
        };
        if self.operations.ended.contains_key(&uuid) {
            return self.forward_operation(now, uuid, out);
        }
        if self.operations.acknowledged.contains(&uuid) {
            tracing::debug!(?uuid, "operation ignored: it was acknowledged before");
            return;
        }
        if self.operations.ended.len() >= MAX_UNACKNOWLEDGED_OPERATIONS {
            return self.drop_operation(framework, operation, uuid, out);
        }
        let result = self.attempt(&operation);
        let (state, message, change, converted) = match result {
            Ok((change, converted)) => (
                OperationState::OperationFinished,
                None,
                Some(change),
                converted,
            ),
            Err((state, why)) => {
                tracing::warn!(?uuid, why, "operation not carried out");
                (state, Some(why), None, Vec::new())
            }
        };
        let status = OperationStatus {
            operation_id: operation.id.clone(),
            state: state as i32,
            message,
            converted_resources: converted,
            uuid: Some(self.new_status_uuid()),
            agent_id: self.info.id.clone(),
            resource_provider_id: None,
        };
        let record = v1::Operation {
            framework_id: framework.map(|value| v1::FrameworkId { value }),
            agent_id: self.info.id.clone(),
            info: operation,
            latest_status: status.clone(),
            statuses: vec![status],
            uuid: v1::Uuid {
                value: uuid.0.to_vec(),
            },
        };
        let writing = Writing::Operation {
            uuid,
            operation: Box::new(record),
            change,
        };
        self.write(writing, out);
    }

    /// There is no room for another status: it is told once, and needs no acknowledgement.
    fn drop_operation(
        &self,
        framework: Option<String>,
        operation: v1::offer::Operation,
        uuid: OperationUuid,
        out: &mut Vec<Effect>,
    ) {
        let status = OperationStatus {
            operation_id: operation.id,
            state: OperationState::OperationDropped as i32,
            message: Some(format!(
                "{MAX_UNACKNOWLEDGED_OPERATIONS} operations on this agent wait for acknowledgement"
            )),
            agent_id: self.info.id.clone(),
            ..OperationStatus::default()
        };
        let message = AgentToMaster::OperationStatus {
            framework_id: framework,
            operation_uuid: uuid.0.to_vec(),
            status: Pb(status),
        };
        self.tell_master(message, out);
    }

    /// The master, or the framework through it, has seen an operation's status.
    pub(super) fn acknowledge_operation(
        &mut self,
        operation_uuid: &[u8],
        status_uuid: &[u8],
        out: &mut Vec<Effect>,
    ) {
        let Some(uuid) = OperationUuid::read(operation_uuid) else {
            return;
        };
        match self.operations.streams.acknowledge(&uuid, status_uuid) {
            Acknowledged::Unknown => {
                tracing::debug!(?uuid, "unexpected acknowledgement of an operation");
            }
            Acknowledged::Closed | Acknowledged::Idle | Acknowledged::Next => {
                self.timers.cancel(&Timer::ResendOperation(uuid));
                self.operations.ended.remove(&uuid);
                self.operations.acknowledged.push_back(uuid);
                if self.operations.acknowledged.len() > MAX_REMEMBERED_OPERATIONS {
                    self.operations.acknowledged.pop_front();
                }
                self.write(Writing::Acknowledged, out);
            }
        }
    }

    /// Sends an operation's status, unless the master is away, and sets when to repeat it.
    pub(super) fn forward_operation(
        &mut self,
        now: Now,
        uuid: OperationUuid,
        out: &mut Vec<Effect>,
    ) {
        if !matches!(self.link, Link::Registered { .. }) {
            return;
        }
        let Some(operation) = self.operations.ended.get(&uuid) else {
            return;
        };
        let message = AgentToMaster::OperationStatus {
            framework_id: operation.framework_id.as_ref().map(|id| id.value.clone()),
            operation_uuid: uuid.0.to_vec(),
            status: Pb(self.as_own(&operation.latest_status)),
        };
        self.tell_master(message, out);
        let delay: Duration = self.operations.streams.retry_after(&uuid);
        self.timers
            .set(Timer::ResendOperation(uuid), now.mono + delay);
    }

    /// Operations for a re-registration, in the name of this agent.
    pub(super) fn reported_operations(&self) -> Vec<Pb<v1::Operation>> {
        let own = self.operations.unacknowledged().map(|operation| {
            Pb(v1::Operation {
                agent_id: self.info.id.clone(),
                latest_status: self.as_own(&operation.latest_status),
                statuses: operation.statuses.iter().map(|s| self.as_own(s)).collect(),
                ..operation.clone()
            })
        });
        own.collect()
    }

    /// Keeps what the master says until the checkpoint is written; `None` once it is kept.
    pub(super) fn defer(
        &mut self,
        now: Now,
        link: LinkNumber,
        message: MasterToAgent,
        out: &mut Vec<Effect>,
    ) {
        if self.operations.deferred.len() >= MAX_DEFERRED {
            tracing::warn!("the disk is too slow for what the master says, closing the link");
            self.operations.deferred.clear();
            out.push(Effect::CloseLink(link));
            return self.link_closed(now, link);
        }
        self.operations.deferred.push_back((link, message));
    }

    /// A checkpoint was written, or could not be; then nothing has changed.
    ///
    /// `result` holds the paths of destroyed volumes whose data could not be removed.
    pub(super) fn checkpointed(
        &mut self,
        now: Now,
        result: Result<Vec<String>, String>,
        out: &mut Vec<Effect>,
    ) {
        match (self.operations.writing.take(), result) {
            (None, _) => return,
            (Some(Writing::Acknowledged), Ok(_)) => {}
            // The next write says the same again.
            (Some(Writing::Acknowledged), Err(why)) => {
                tracing::error!(why, "an acknowledgement could not be checkpointed");
            }
            (
                Some(Writing::Operation {
                    uuid,
                    operation,
                    change,
                }),
                Ok(left),
            ) => self.conclude(now, uuid, *operation, change, &left, out),
            (
                Some(Writing::Operation {
                    uuid,
                    operation,
                    change: Some(_),
                }),
                Err(why),
            ) => {
                tracing::error!(?uuid, why, "operation not carried out");
                let operation = self.failed(*operation, why);
                let writing = Writing::Operation {
                    uuid,
                    operation: Box::new(operation),
                    change: None,
                };
                self.write(writing, out);
            }
            // That it failed is told all the same: nothing on disk says otherwise.
            (
                Some(Writing::Operation {
                    uuid,
                    operation,
                    change: None,
                }),
                Err(why),
            ) => {
                tracing::error!(?uuid, why, "a failed operation could not be checkpointed");
                self.conclude(now, uuid, *operation, None, &[], out);
            }
        }
        self.catch_up(now, out);
    }

    /// Whether the operation can be carried out, what it changes and what it makes.
    fn attempt(
        &self,
        operation: &v1::offer::Operation,
    ) -> Result<(Change, Vec<v1::Resource>), (OperationState, String)> {
        if self.life != Life::Active {
            let why = "the agent is about to end".to_owned();
            return Err((OperationState::OperationDropped, why));
        }
        let error = |why: String| (OperationState::OperationError, why);
        let kind = operation.r#type();
        match kind {
            Type::Reserve
            | Type::Unreserve
            | Type::Create
            | Type::Destroy
            | Type::GrowVolume
            | Type::ShrinkVolume => {}
            Type::Unknown
            | Type::Launch
            | Type::LaunchGroup
            | Type::CreateDisk
            | Type::DestroyDisk => {
                return Err(error(format!(
                    "an agent without resource providers cannot carry out {}",
                    kind.as_str_name()
                )));
            }
        }
        let steps = conversions(operation).map_err(|why| error(why.to_string()))?;
        // The agent's total knows nothing of who it is allocated to.
        let steps: Vec<Conversion> = steps
            .into_iter()
            .map(|step| Conversion {
                consumed: step.consumed.unallocated(),
                converted: step.converted.unallocated(),
            })
            .collect();
        let change = self
            .operations
            .change(&self.settings.work_dir, &steps)
            .map_err(|why| (OperationState::OperationFailed, why))?;
        let mut converted = Resources::new();
        for step in &steps {
            converted.add(&step.converted);
        }
        Ok((change, converted.to_v1(Format::PostRefinement)))
    }

    /// Orders a checkpoint; directories are made before and removed after it.
    fn write(&mut self, writing: Writing, out: &mut Vec<Effect>) {
        let order = self.operations.order(&self.settings.work_dir, &writing);
        self.operations.writing = Some(writing);
        out.push(Effect::Checkpoint(Box::new(order)));
    }

    /// An operation has ended and the checkpoint says so.
    fn conclude(
        &mut self,
        now: Now,
        uuid: OperationUuid,
        operation: v1::Operation,
        change: Option<Change>,
        left: &[String],
        out: &mut Vec<Effect>,
    ) {
        let operations = &mut self.operations;
        if let Some(change) = change {
            operations.take(change, left);
        }
        operations
            .streams
            .update(&uuid, operation.latest_status.clone());
        operations.ended.insert(uuid, operation);
        self.forward_operation(now, uuid, out);
    }

    /// Does what had to wait for a checkpoint.
    fn catch_up(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.operations.is_writing() {
            return;
        }
        if matches!(self.link, Link::Registering { .. }) {
            self.register(now, out);
        }
        while !self.operations.is_writing() {
            let Some((link, message)) = self.operations.deferred.pop_front() else {
                return;
            };
            self.obey_on(now, link, message, out);
        }
    }

    fn failed(&mut self, operation: v1::Operation, why: String) -> v1::Operation {
        let status = OperationStatus {
            state: OperationState::OperationFailed as i32,
            message: Some(why),
            converted_resources: Vec::new(),
            uuid: Some(self.new_status_uuid()),
            ..operation.latest_status
        };
        v1::Operation {
            latest_status: status.clone(),
            statuses: vec![status],
            ..operation
        }
    }

    /// A status as this agent's, which may have got a new id since.
    fn as_own(&self, status: &OperationStatus) -> OperationStatus {
        OperationStatus {
            agent_id: self.info.id.clone(),
            ..status.clone()
        }
    }

    fn new_status_uuid(&mut self) -> v1::Uuid {
        v1::Uuid {
            value: self.ids.uuid().as_bytes().to_vec(),
        }
    }
}
