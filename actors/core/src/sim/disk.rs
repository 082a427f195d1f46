//! An agent's disk: the checkpoint as the skin writes it, and the directories of volumes.
//! A crash leaves it between two steps of a checkpoint, never within one.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::v1::{Operation, Resource};

use super::random::Random;
use crate::agent::messages::Checkpoint;
use crate::agent::paths;
use crate::agent::recovery::{Recovered, recover};
use crate::resources::Resources;

/// Where agents keep their files.
pub(super) const WORK_DIR: &str = "/work";

/// What survives an agent's crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// The checkpoint that was synced last.
    pub(super) state: ResourcesAndOperations,
    /// The checkpoint being written.
    pub(super) writing: Option<Box<Checkpoint>>,
    /// What is in the directory of each volume.
    data: BTreeMap<String, u64>,
    /// What must be in the directories of the volumes in the checkpoint.
    expected: BTreeMap<String, u64>,
    /// What was in volumes that exist no more.
    destroyed: BTreeSet<u64>,
    made: u64,
    /// Operations that were counted.
    counted: BTreeSet<Vec<u8>>,
}

impl Disk {
    /// Reads the checkpoint, as an agent that starts does.
    pub(super) fn recover(&mut self, given: &[Resource]) -> Result<Recovered, String> {
        let mut recovered = recover(WORK_DIR, given, self.state.clone())?;
        for volume in recovered.to_make() {
            if !self.data.contains_key(&volume.path) {
                return Err(format!("the directory of volume {} is gone", volume.path));
            }
        }
        let kept: BTreeSet<&str> = recovered
            .to_make()
            .iter()
            .map(|v| v.path.as_str())
            .collect();
        self.data.retain(|path, _| kept.contains(path.as_str()));
        let left: Vec<String> = recovered.to_remove().map(|v| v.path.clone()).collect();
        for path in left {
            recovered.removed(&path);
        }
        self.check()?;
        Ok(recovered)
    }

    /// The volumes that are destroyed by what is being written.
    pub(super) fn destroying(&self) -> BTreeSet<&str> {
        let removed = self.writing.iter().flat_map(|order| &order.remove);
        removed.map(|volume| volume.path.as_str()).collect()
    }

    /// Reservations and volumes as a restarted agent would find them.
    pub(super) fn kept(&self) -> Result<Resources, String> {
        let list: Vec<Resource> = self.state.resources.iter().map(|r| r.0.clone()).collect();
        Resources::from_v1(&list).map_err(|error| error.0)
    }

    /// Operations that have come into the checkpoint since this was asked last.
    pub(super) fn new_operations(&mut self) -> Vec<Operation> {
        let all = self.state.operations.iter();
        let new = all.filter(|operation| self.counted.insert(operation.0.uuid.value.clone()));
        new.map(|operation| operation.0.clone()).collect()
    }

    /// All steps of the checkpoint, or an error and nothing has changed.
    pub(super) fn finish(
        &mut self,
        random: &mut Random,
        may_fail: bool,
        is_lost: bool,
    ) -> Result<Result<Vec<String>, String>, String> {
        let Some(order) = self.writing.take() else {
            return Err("no checkpoint was ordered".to_owned());
        };
        if may_fail && random.per_mille(20) {
            return Ok(Err("no space left on device".to_owned()));
        }
        self.make(&order);
        if !is_lost {
            self.state = order.state.clone();
        }
        let mut left = Vec::new();
        for volume in &order.remove {
            match may_fail && random.per_mille(50) {
                true => left.push(volume.path.clone()),
                false => {
                    self.data.remove(&volume.path);
                }
            }
        }
        self.check()?;
        Ok(Ok(left))
    }

    /// The process or the machine dies: some steps of the checkpoint under way were taken.
    pub(super) fn crash(&mut self, random: &mut Random) -> Result<(), String> {
        let Some(order) = self.writing.take() else {
            return Ok(());
        };
        let steps = random.below(4);
        if steps > 0 {
            self.make(&order);
        }
        if steps > 1 {
            self.state = order.state.clone();
        }
        if steps > 2 {
            for volume in &order.remove {
                self.data.remove(&volume.path);
            }
        }
        self.check()
    }

    fn make(&mut self, order: &Checkpoint) {
        for new in &order.make {
            if new.clear {
                self.data.remove(&new.volume.path);
            }
            self.made += 1;
            self.data
                .entry(new.volume.path.clone())
                .or_insert(self.made);
        }
    }

    /// A volume keeps its data as long as the checkpoint names it, and a new one has none of an
    /// earlier one.
    fn check(&mut self) -> Result<(), String> {
        let present = self.volumes()?;
        let gone: Vec<String> = self
            .expected
            .keys()
            .filter(|path| !present.contains(*path))
            .cloned()
            .collect();
        for path in gone {
            self.destroyed.extend(self.expected.remove(&path));
        }
        for path in present {
            let Some(found) = self.data.get(&path) else {
                return Err(format!("volume {path} has no directory"));
            };
            if self.destroyed.contains(found) {
                return Err(format!("volume {path} shows what was in a destroyed one"));
            }
            let expected = self.expected.entry(path.clone()).or_insert(*found);
            if expected != found {
                return Err(format!("volume {path} has lost its data"));
            }
        }
        Ok(())
    }

    fn volumes(&self) -> Result<BTreeSet<String>, String> {
        let volumes = self.kept()?.persistent_volumes();
        volumes
            .iter()
            .map(|entry| paths::persistent_volume(WORK_DIR, entry))
            .collect()
    }
}
