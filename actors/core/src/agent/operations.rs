//! Operations on reservations and volumes: one at a time, checkpointed before they are reported,
//! reported until acknowledged. Touches no disk: the checkpoint is an effect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;
use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::{OperationState, OperationStatus};

use super::messages::{Checkpoint, Effect, LinkNumber, MakeVolume};
use super::recovery::{Recovered, needs_checkpointing};
use super::registration::Link;
use super::status_updates::{Acknowledged, Streams};
use super::volumes::{self, Volume};
use super::{Agent, Life, Timer};
use crate::ids::FrameworkId;
use crate::resources::conversion::{Conversion, conversions};
use crate::resources::{Entry, Format, Resources};
use crate::time::Now;

/// Acknowledged operations whose ids are remembered to recognise repetitions.
pub const MAX_REMEMBERED_OPERATIONS: usize = 1_000;

/// Messages of the master that may wait for a checkpoint; a link with more is given up, and the
/// master learns the truth when the agent is back.
pub const MAX_DEFERRED: usize = 10_000;

/// The master's own id of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OperationUuid([u8; 16]);

impl OperationUuid {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(OperationUuid)
    }
}

/// What an operation changes.
#[derive(Debug)]
struct Change {
    total: Resources,
    /// Volumes that exist no more.
    destroyed: BTreeMap<String, (Volume, Entry)>,
    /// Paths of volumes that did not exist before.
    created: BTreeSet<String>,
}

/// The one checkpoint that is being written.
#[derive(Debug)]
enum Writing {
    /// An operation that has ended so, and what it changes if it succeeded.
    Operation {
        uuid: OperationUuid,
        operation: Box<v1::Operation>,
        change: Option<Change>,
    },
    /// Operations that were acknowledged are forgotten.
    Acknowledged,
}

/// The agent's resources and the operations on them.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// What the agent was given, with reservations and volumes made at run time.
    total: Resources,
    /// Destroyed volumes whose data may still be there, by path.
    removing: BTreeMap<String, (Volume, Entry)>,
    /// Operations that have ended and wait for acknowledgement.
    ended: BTreeMap<OperationUuid, v1::Operation>,
    streams: Streams<OperationUuid, OperationStatus>,
    acknowledged: VecDeque<OperationUuid>,
    writing: Option<Writing>,
    /// What the master said while a checkpoint was being written, in order.
    deferred: VecDeque<(LinkNumber, MasterToAgent)>,
}

impl Operations {
    pub(super) fn new(recovered: Recovered) -> Self {
        let mut operations = Operations {
            total: recovered.total,
            removing: recovered.removing,
            ended: recovered.operations,
            ..Operations::default()
        };
        for (uuid, operation) in &operations.ended {
            let status = operation.latest_status.clone();
            operations.streams.update(uuid, status);
        }
        operations
    }

    /// All resources of the agent.
    pub(super) fn total(&self) -> &Resources {
        &self.total
    }

    /// Dynamic reservations and volumes.
    pub(super) fn checkpointed(&self) -> Resources {
        self.total.filter(needs_checkpointing)
    }

    /// Whether what the master says has to wait.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Operations the master may still wait for.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = &v1::Operation> {
        self.ended.values()
    }

    pub(super) fn pending_keys(&self) -> Vec<OperationUuid> {
        self.streams.pending_keys()
    }

    pub(super) fn resume(&mut self) -> Vec<OperationUuid> {
        self.streams.resume()
    }

    /// What the file is to say once this write has succeeded.
    fn stored(&self, writing: &Writing) -> ResourcesAndOperations {
        let mut operations: Vec<&v1::Operation> = self.ended.values().collect();
        let mut total = &self.total;
        let mut removing: Vec<&Entry> = Vec::new();
        let mut created = None;
        if let Writing::Operation {
            operation, change, ..
        } = writing
        {
            operations.push(operation);
            if let Some(change) = change {
                total = &change.total;
                created = Some(&change.created);
                removing.extend(change.destroyed.values().map(|(_, entry)| entry));
            }
        }
        let old = self.removing.iter();
        let old = old.filter(|(path, _)| !created.is_some_and(|made| made.contains(*path)));
        removing.extend(old.map(|(_, (_, entry))| entry));
        let removing: Resources = removing.into_iter().cloned().collect();
        ResourcesAndOperations {
            resources: wrapped(&total.filter(needs_checkpointing)),
            operations: operations.into_iter().cloned().map(Pb).collect(),
            removing: wrapped(&removing),
        }
    }

    /// What it takes to carry conversions out.
    fn change(&self, work_dir: &str, conversions: &[Conversion]) -> Result<Change, String> {
        let mut total = self.total.clone();
        total
            .convert(conversions)
            .map_err(|error| error.to_string())?;
        let before = volumes::by_path(work_dir, &self.checkpointed())?;
        let after = volumes::by_path(work_dir, &total.filter(needs_checkpointing))?;
        let created = after.keys().filter(|path| !before.contains_key(*path));
        Ok(Change {
            created: created.cloned().collect(),
            destroyed: before
                .into_iter()
                .filter(|(path, _)| !after.contains_key(path))
                .collect(),
            total,
        })
    }
}

impl Agent {
    /// Carries an operation out, once: a repeated one is answered from its stream.
    pub(super) fn apply_operation(
        &mut self,
        now: Now,
        framework: Option<FrameworkId>,
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
            framework_id: framework.map(|id| id.to_v1()),
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
        let operations = &mut self.operations;
        let state = operations.stored(&writing);
        let (mut make, mut remove) = (Vec::new(), Vec::new());
        if let Writing::Operation {
            change: Some(change),
            ..
        } = &writing
        {
            let work_dir = &self.settings.work_dir;
            // Every path was found before, when the change was worked out.
            let volumes = volumes::by_path(work_dir, &change.total).unwrap_or_default();
            let created = volumes
                .into_iter()
                .filter(|(path, _)| change.created.contains(path));
            make.extend(created.map(|(path, (volume, _))| MakeVolume {
                clear: operations.removing.contains_key(&path),
                volume,
            }));
            remove.extend(change.destroyed.values().map(|(volume, _)| volume.clone()));
        }
        operations.writing = Some(writing);
        out.push(Effect::Checkpoint(Box::new(Checkpoint {
            make,
            state,
            remove,
        })));
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
        let succeeded = change.is_some();
        let operations = &mut self.operations;
        if let Some(change) = change {
            operations.total = change.total;
            operations
                .removing
                .retain(|path, _| !change.created.contains(path));
            let still_there = change.destroyed.into_iter();
            operations
                .removing
                .extend(still_there.filter(|(path, _)| left.contains(path)));
        }
        operations
            .streams
            .update(&uuid, operation.latest_status.clone());
        operations.ended.insert(uuid, operation);
        self.forward_operation(now, uuid, out);
        if !succeeded {
            self.correct_master();
        }
    }

    /// The master has counted on an operation that failed: a new registration, which follows at
    /// once, tells it what is really here.
    fn correct_master(&mut self) {
        self.resource_version = self.ids.uuid().as_bytes().to_vec();
        if let Link::Registered { link, epoch } = self.link {
            self.link = Link::Registering { link, epoch };
            self.pause_streams();
        }
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

fn wrapped(resources: &Resources) -> Vec<Pb<v1::Resource>> {
    let list = resources.to_v1(Format::PostRefinement);
    list.into_iter().map(Pb).collect()
}
