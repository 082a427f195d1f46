//! What an agent's checkpoint says of its resources, held against what it is started with.
//! Reads no file.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::v1;

use super::journal::Restored;
use super::operation_state::OperationUuid;
use super::volumes::{self, Volume};
use super::{Settings, paths};
use crate::resources::{Entry, Resources};

/// What an agent starts with.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// What it was doing before.
    pub(super) restored: Restored,
    /// The given resources with all reservations and volumes made at run time.
    pub(super) total: Resources,
    /// Operations whose framework has not acknowledged them yet.
    pub(super) operations: BTreeMap<OperationUuid, v1::Operation>,
    /// Destroyed volumes whose data may still be there, by path.
    pub(super) removing: BTreeMap<String, (Volume, Entry)>,
    make: Vec<Volume>,
}

impl Recovered {
    /// The same, of an agent that was doing this before.
    #[must_use]
    pub fn with(mut self, restored: Restored) -> Recovered {
        self.restored = restored;
        self
    }

    /// Volumes whose directories must be there before the agent starts.
    pub fn to_make(&self) -> &[Volume] {
        &self.make
    }

    /// Destroyed volumes whose data must go.
    pub fn to_remove(&self) -> impl Iterator<Item = &Volume> {
        self.removing.values().map(|(volume, _)| volume)
    }

    /// Directories below which volumes have theirs: the work directory and the roots of PATH disks.
    pub fn roots(&self, work_dir: &str) -> BTreeSet<String> {
        let mut roots = BTreeSet::from([work_dir.to_owned()]);
        let disks = self.total.iter().filter_map(Entry::disk);
        let paths = disks.filter_map(|disk| disk.source.as_ref()?.path.as_ref()?.root.as_deref());
        roots.extend(paths.map(|root| paths::below(work_dir, root)));
        roots
    }

    /// This volume's data has gone.
    pub fn removed(&mut self, path: &str) {
        self.removing.remove(path);
    }
}

/// How the agent's description may differ from what it was admitted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconfigurationPolicy {
    /// Not at all.
    Equal,
    /// It may offer more: further resources and attributes, or a domain where there was none.
    Additive,
}

/// What becomes of what an earlier run was doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Resumed {
    /// The agent goes on with it. Its executors may have outlived the earlier run.
    GoesOn(Restored),
    /// The agent goes on with it. The host was started anew since, which no executor has outlived.
    AfterReboot(Restored),
    /// It is over, as the host was started anew since and this is another agent now; in what it is
    /// another one.
    Dropped(String),
}

/// Decides what becomes of what an earlier run was doing; Mesos's `Slave::recover`. Without a
/// policy the agent may have become any other.
///
/// # Errors
/// What differs that may not, while executors of the earlier run may still be there.
pub fn resume(
    restored: Restored,
    settings: &Settings,
    policy: Option<ReconfigurationPolicy>,
) -> Result<Resumed, String> {
    let is_rebooted = restored.is_rebooted(settings.boot_id.as_deref());
    let differs = match (restored.info(), policy) {
        (Some(old), Some(policy)) => check_reconfiguration(policy, old, &settings.info).err(),
        (None, _) | (_, None) => None,
    };
    match (is_rebooted, differs) {
        (false, None) => Ok(Resumed::GoesOn(restored)),
        (true, None) => Ok(Resumed::AfterReboot(restored)),
        (true, Some(why)) => Ok(Resumed::Dropped(why)),
        (false, Some(why)) => Err(why),
    }
}

/// Whether an agent may take up what it was doing with another description than it had.
///
/// `old` is that with which it was admitted. Mesos: `compatibility::equal` and `additive`.
///
/// # Errors
/// What differs that may not.
pub fn check_reconfiguration(
    policy: ReconfigurationPolicy,
    old: &v1::AgentInfo,
    new: &v1::AgentInfo,
) -> Result<(), String> {
    let differs = |what: &str, old: String, new: String| {
        Err(format!("{what}: it was {old}, and is {new} now"))
    };
    if old.hostname != new.hostname {
        return differs(
            "the hostname differs",
            old.hostname.clone(),
            new.hostname.clone(),
        );
    }
    if old.port != new.port {
        let shown = |info: &v1::AgentInfo| info.port.unwrap_or_default().to_string();
        return differs("the port differs", shown(old), shown(new));
    }
    let additive = policy == ReconfigurationPolicy::Additive;
    let domain_fits = old.domain == new.domain || (additive && old.domain.is_none());
    if !domain_fits {
        let shown = |info: &v1::AgentInfo| format!("{:?}", info.domain);
        return differs("the domain differs", shown(old), shown(new));
    }
    let has = |attribute: &v1::Attribute, all: &[v1::Attribute]| all.contains(attribute);
    let kept = old.attributes.iter().all(|one| has(one, &new.attributes));
    if !kept || (!additive && old.attributes.len() != new.attributes.len()) {
        let shown = |info: &v1::AgentInfo| format!("{:?}", info.attributes);
        return differs("the attributes differ", shown(old), shown(new));
    }
    let read = |info: &v1::AgentInfo| {
        Resources::from_v1(&info.resources).map_err(|error| error.to_string())
    };
    let (before, now) = (read(old)?, read(new)?);
    if !now.contains(&before) || (!additive && !before.contains(&now)) {
        return differs("the resources differ", before.to_string(), now.to_string());
    }
    Ok(())
}

/// Holds a checkpoint against the resources given at start (`--resources`, detected ones filled
/// in).
///
/// # Errors
/// When the checkpoint's reservations and volumes do not fit into those resources, or it holds
/// what no agent writes.
pub fn recover(
    work_dir: &str,
    given: &[v1::Resource],
    stored: ResourcesAndOperations,
) -> Result<Recovered, String> {
    let read = |resources: &[v1::Resource]| {
        Resources::from_v1(resources).map_err(|error| error.to_string())
    };
    let plain = |list: Vec<tepui_protocol::pb::Pb<v1::Resource>>| -> Vec<v1::Resource> {
        list.into_iter().map(|resource| resource.0).collect()
    };
    let given = read(given)?;
    let checkpointed = read(&plain(stored.resources))?;
    let total = given
        .with_checkpointed(&checkpointed)
        .map_err(|error| error.to_string())?;
    let present = volumes::by_path(work_dir, &checkpointed)?;
    let mut removing = volumes::by_path(work_dir, &read(&plain(stored.removing))?)?;
    removing.retain(|path, _| !present.contains_key(path));
    let mut operations = BTreeMap::new();
    for operation in stored.operations {
        // Nobody asks for the others by now: only the master that ordered them knew their names.
        if operation.framework_id.is_none() || operation.info.id.is_none() {
            continue;
        }
        let uuid = OperationUuid::read(&operation.uuid.value)
            .ok_or("an operation's uuid has not 16 bytes")?;
        operations.insert(uuid, operation.0);
    }
    Ok(Recovered {
        restored: Restored::default(),
        total,
        operations,
        removing,
        make: present.into_values().map(|(volume, _)| volume).collect(),
    })
}
