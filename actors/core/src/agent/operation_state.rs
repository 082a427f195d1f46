//! The agent's resources, and the operations on them that wait for something.
//! Decides on no operation: `operations` does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use imbl::OrdMap;
use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::link::MasterToAgent;
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::{self, OperationStatus};

use super::messages::{Checkpoint, LinkNumber, MakeVolume};
use super::recovery::Recovered;
use super::status_updates::Streams;
use super::volumes::{self, Volume};
use crate::resources::conversion::Conversion;
use crate::resources::{Entry, Format, Resources};

/// The master's own id of an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationUuid(pub(super) [u8; 16]);

impl OperationUuid {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(OperationUuid)
    }
}

impl fmt::Debug for OperationUuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", uuid::Uuid::from_bytes(self.0))
    }
}

/// What an operation changes.
#[derive(Debug)]
pub(super) struct Change {
    /// All resources afterwards.
    pub total: Resources,
    /// Volumes that exist no more.
    destroyed: BTreeMap<String, (Volume, Entry)>,
    /// Paths of volumes that did not exist before.
    created: BTreeSet<String>,
}

/// The one checkpoint that is being written.
#[derive(Debug)]
pub(super) enum Writing {
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
    pub ended: OrdMap<OperationUuid, v1::Operation>,
    pub streams: Streams<OperationUuid, OperationStatus>,
    /// The last acknowledged ones.
    pub acknowledged: VecDeque<OperationUuid>,
    /// The checkpoint that is being written.
    pub writing: Option<Writing>,
    /// What the master said while a checkpoint was being written, in order.
    pub deferred: VecDeque<(LinkNumber, MasterToAgent)>,
}

impl Operations {
    pub(super) fn new(recovered: Recovered) -> Self {
        let mut operations = Operations {
            total: recovered.total,
            removing: recovered.removing,
            ended: recovered.operations.into_iter().collect(),
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
        self.total.checkpointed()
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

    /// What it takes to make this true on disk.
    pub(super) fn order(&self, work_dir: &str, writing: &Writing) -> Checkpoint {
        let mut order = Checkpoint {
            make: Vec::new(),
            state: self.stored(writing),
            remove: Vec::new(),
        };
        let Writing::Operation {
            change: Some(change),
            ..
        } = writing
        else {
            return order;
        };
        // Every path was found before, when the change was worked out.
        let volumes = volumes::by_path(work_dir, &change.total).unwrap_or_default();
        for (path, (volume, _)) in volumes {
            if change.created.contains(&path) {
                let clear = self.removing.contains_key(&path);
                order.make.push(MakeVolume { volume, clear });
            }
        }
        let destroyed = change.destroyed.values();
        order
            .remove
            .extend(destroyed.map(|(volume, _)| volume.clone()));
        order
    }

    /// A change has happened; `left` are the paths of destroyed volumes that are still there.
    pub(super) fn take(&mut self, change: Change, left: &[String]) {
        self.total = change.total;
        self.removing
            .retain(|path, _| !change.created.contains(path));
        let destroyed = change.destroyed.into_iter();
        self.removing
            .extend(destroyed.filter(|(path, _)| left.contains(path)));
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
            resources: wrapped(&total.checkpointed()),
            operations: operations.into_iter().cloned().map(Pb).collect(),
            removing: wrapped(&removing),
        }
    }

    /// What it takes to carry conversions out.
    pub(super) fn change(
        &self,
        work_dir: &str,
        conversions: &[Conversion],
    ) -> Result<Change, String> {
        let mut total = self.total.clone();
        total
            .convert(conversions)
            .map_err(|error| error.to_string())?;
        let before = volumes::by_path(work_dir, &self.checkpointed())?;
        let after = volumes::by_path(work_dir, &total.checkpointed())?;
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

fn wrapped(resources: &Resources) -> Vec<Pb<v1::Resource>> {
    let list = resources.to_v1(Format::PostRefinement);
    list.into_iter().map(Pb).collect()
}
