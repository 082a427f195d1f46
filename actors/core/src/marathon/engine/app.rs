//! One app with its instances, and numbers that are kept up to date with every change.
//! Decides how many to launch and to kill, and does neither.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tepui_protocol::marathon::{App, KillSelection, ReadinessCheckResult, Timestamp};

use crate::marathon::deployment::{UpgradeState, upgrade_moves};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{
    Condition, Goal, Instance, TaskCounts, VictimKey, Victims, config_version, is_resident,
};
use crate::marathon::queue::OfferStats;

/// What is being done to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It has as many instances as its definition says.
    Keep,
    /// A deployment will change it: what ends is replaced, nothing else happens.
    Wait,
    /// It is known and has no instances yet.
    Start,
    /// A deployment brings it to the number of its definition.
    Scale {
        /// Whether the new instances are waited for.
        up: bool,
    },
    /// A deployment replaces its instances.
    Upgrade,
    /// All its instances end.
    Stop,
}

/// How many instances to give up and to launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moves {
    pub(super) kill: u32,
    pub(super) launch: u32,
}

/// Of another config version than the app's.
const OLD: usize = 1;
/// Meant to run, and active.
const COUNTS: usize = 2;
/// Has a task.
const ACTIVE: usize = 4;
/// Meant to run, running, healthy, and ready if that is asked for.
const SERVES: usize = 8;
/// How many combinations there are.
const CLASSES: usize = 16;

/// An instance with what is derived from it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) instance: Arc<Instance>,
    /// The last answer of a readiness probe in the current action.
    pub(super) readiness: Option<ReadinessCheckResult>,
    /// Whether the skin probes its health.
    pub(super) is_probed: bool,
    /// Whether the skin probes its readiness.
    pub(super) is_readiness_probed: bool,
    class: usize,
    counts: TaskCounts,
    key: Option<(Vec<String>, VictimKey)>,
}

/// A definition that instances run.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    /// None when it was not found in the store.
    pub(super) app: Option<Arc<App>>,
    /// How many instances run it.
    users: u32,
    /// Whether its health checks were announced.
    pub(super) is_announced: bool,
}

/// One app.
#[derive(Debug, Clone)]
pub(super) struct AppState {
    /// The definition of new instances; none when there shall be none.
    pub(super) spec: Option<Arc<App>>,
    pub(super) mode: Mode,
    /// The deployment that changes it.
    pub(super) deployment: Option<String>,
    /// By config version.
    pub(super) definitions: BTreeMap<Timestamp, Definition>,
    /// Ended instances that keep a reservation and are not wanted at present.
    pub(super) parked: BTreeSet<InstanceId>,
    /// Instances that wait for an offer with their reservation.
    pub(super) scheduled: BTreeSet<InstanceId>,
    pub(super) stats: OfferStats,
    /// Since when something waits for an offer.
    pub(super) waiting_since: Option<Timestamp>,
    /// How many waited when offers were asked for last.
    pub(super) asked_for: u32,
    entries: BTreeMap<InstanceId, Entry>,
    tally: [u32; CLASSES],
    counts: TaskCounts,
    victims: Victims,
    /// Old ones that are unreachable for so long that they do not count.
    old_inactive: BTreeSet<InstanceId>,
    /// How often an instance was put into the indexes.
    pub(super) work: u64,
}

impl AppState {
    pub(super) fn new(spec: Option<Arc<App>>, mode: Mode) -> AppState {
        AppState {
            spec,
            mode,
            deployment: None,
            definitions: BTreeMap::new(),
            parked: BTreeSet::new(),
            scheduled: BTreeSet::new(),
            stats: OfferStats::default(),
            waiting_since: None,
            asked_for: 0,
            entries: BTreeMap::new(),
            tally: [0; CLASSES],
            counts: TaskCounts::default(),
            victims: Victims::default(),
            old_inactive: BTreeSet::new(),
            work: 0,
        }
    }

    /// Changes what new instances are and what is done; everything derived is worked out anew.
    pub(super) fn set(&mut self, spec: Option<Arc<App>>, mode: Mode) {
        self.spec = spec;
        self.mode = mode;
        if let Some(spec) = self.spec.clone() {
            let version = config_version(&spec);
            self.definitions.entry(version).or_default().app = Some(spec);
        }
        let ids: Vec<InstanceId> = self.entries.keys().cloned().collect();
        for id in ids {
            self.reindex(&id);
        }
    }

    /// The instances, by id.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn entry(&self, id: &InstanceId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// For flags that nothing is derived from.
    pub(super) fn entry_mut(&mut self, id: &InstanceId) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn task_counts(&self) -> TaskCounts {
        self.counts
    }

    /// The config version of new instances.
    pub(super) fn version(&self) -> Option<Timestamp> {
        self.spec.as_deref().map(config_version)
    }

    /// The definition an instance runs, or else the current one.
    pub(super) fn definition_of(&self, instance: &Instance) -> Option<&Arc<App>> {
        let own = self.definitions.get(&instance.version);
        own.and_then(|definition| definition.app.as_ref())
            .or(self.spec.as_ref())
    }

    pub(super) fn is_resident(&self, instance: &Instance) -> bool {
        self.definition_of(instance)
            .is_some_and(|app| is_resident(app))
    }

    /// Whether an instance is of another config version than the app.
    pub(super) fn is_old(&self, instance: &Instance) -> bool {
        self.version()
            .is_none_or(|version| instance.version != version)
    }

    /// Whether readiness of new instances is asked for at present.
    pub(super) fn asks_readiness(&self) -> bool {
        let asks = match self.mode {
            Mode::Upgrade | Mode::Scale { up: true } => true,
            Mode::Keep | Mode::Wait | Mode::Start | Mode::Stop | Mode::Scale { up: false } => false,
        };
        let checks = |app: &Arc<App>| !app.readiness_checks.is_empty();
        asks && self.spec.as_ref().is_some_and(checks)
    }

    pub(super) fn insert(&mut self, instance: Arc<Instance>) {
        let id = instance.id.clone();
        self.definitions.entry(instance.version).or_default().users += 1;
        let entry = Entry {
            instance,
            readiness: None,
            is_probed: false,
            is_readiness_probed: false,
            class: 0,
            counts: TaskCounts::default(),
            key: None,
        };
        self.entries.insert(id.clone(), entry);
        self.tally[0] += 1;
        self.reindex(&id);
    }

    /// Changes an instance in place.
    pub(super) fn change(&mut self, id: &InstanceId, change: impl FnOnce(&mut Instance)) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let before = entry.instance.version;
        change(Arc::make_mut(&mut entry.instance));
        let after = entry.instance.version;
        if before != after {
            self.definitions.entry(after).or_default().users += 1;
            self.unuse(before);
        }
        self.reindex(id);
    }

    pub(super) fn remove(&mut self, id: &InstanceId) -> Option<Entry> {
        self.unindex(id);
        let entry = self.entries.remove(id)?;
        self.tally[0] -= 1;
        self.unuse(entry.instance.version);
        Some(entry)
    }

    fn unuse(&mut self, version: Timestamp) {
        if let Some(definition) = self.definitions.get_mut(&version) {
            definition.users -= 1;
        }
    }

    /// Takes out definitions that nothing runs and that are not the current one.
    pub(super) fn unused_definitions(&mut self) -> Vec<Definition> {
        let current = self.version();
        let unused = |(version, definition): &(&Timestamp, &Definition)| {
            definition.users == 0 && Some(**version) != current
        };
        let versions: Vec<Timestamp> = self
            .definitions
            .iter()
            .filter(unused)
            .map(|(version, _)| *version)
            .collect();
        versions
            .iter()
            .filter_map(|version| self.definitions.remove(version))
            .collect()
    }

    /// Takes an instance out of everything derived; it stays in class 0.
    fn unindex(&mut self, id: &InstanceId) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        self.tally[entry.class] -= 1;
        self.tally[0] += 1;
        entry.class = 0;
        self.counts -= std::mem::take(&mut entry.counts);
        if let Some((group, key)) = entry.key.take() {
            self.victims.remove(&group, &key);
        }
        self.parked.remove(id);
        self.scheduled.remove(id);
        self.old_inactive.remove(id);
    }

    /// Brings everything derived from an instance up to date.
    pub(super) fn reindex(&mut self, id: &InstanceId) {
        self.work += 1;
        self.unindex(id);
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let instance = entry.instance.clone();
        let class = self.class_of(entry);
        let is_old = class & OLD != 0;
        let key = self.key_of(&instance, class);
        if let Some((group, key)) = key.clone() {
            self.victims.insert(group, key);
        }
        if instance.condition == Condition::Scheduled {
            let set = match instance.goal {
                Goal::Running => &mut self.scheduled,
                Goal::Stopped | Goal::Decommissioned => &mut self.parked,
            };
            set.insert(id.clone());
        }
        if is_old && instance.condition == Condition::UnreachableInactive {
            self.old_inactive.insert(id.clone());
        }
        let counts = TaskCounts::of(&instance);
        self.counts += counts;
        self.tally[0] -= 1;
        self.tally[class] += 1;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.class = class;
            entry.counts = counts;
            entry.key = key;
        }
    }

    fn class_of(&self, entry: &Entry) -> usize {
        let instance = &entry.instance;
        let is_old = self.is_old(instance);
        let is_ready = is_old
            || !self.asks_readiness()
            || entry.readiness.as_ref().is_some_and(|result| result.ready);
        let bit = |yes: bool, bit: usize| if yes { bit } else { 0 };
        bit(is_old, OLD)
            | bit(instance.counts(), COUNTS)
            | bit(instance.has_task(), ACTIVE)
            | bit(instance.counts() && instance.serves() && is_ready, SERVES)
    }

    fn key_of(&self, instance: &Instance, class: usize) -> Option<(Vec<String>, VictimKey)> {
        let spec = self.spec.as_deref();
        let selection = spec.map_or(KillSelection::default(), |app| app.kill_selection);
        let upgrade = self.mode == Mode::Upgrade;
        if class & COUNTS == 0 || (upgrade && class & OLD == 0) {
            return None;
        }
        let key = VictimKey::of(instance, selection, upgrade);
        // An upgrade replaces all old ones; how they are spread does not matter.
        let group = match spec {
            Some(app) if !upgrade => Victims::group(app, instance),
            _ => Vec::new(),
        };
        Some((group, key))
    }

    /// Who is given up first.
    pub(super) fn first_victim(&self) -> Option<InstanceId> {
        self.victims.first().map(|key| key.id().clone())
    }

    /// An old one that is unreachable for so long that it does not count.
    pub(super) fn first_old_inactive(&self) -> Option<InstanceId> {
        self.old_inactive.first().cloned()
    }

    /// How many instances have all bits of `set` and none of `unset`.
    fn number(&self, set: usize, unset: usize) -> u32 {
        let classes = (0..CLASSES).filter(|class| class & set == set && class & unset == 0);
        classes.map(|class| self.tally[class]).sum()
    }

    /// Instances meant to run and active.
    pub(super) fn counted(&self) -> u32 {
        self.number(COUNTS, 0)
    }

    /// Instances that may use resources though they are not meant to.
    pub(super) fn dying(&self) -> u32 {
        self.number(ACTIVE, COUNTS)
    }

    /// Instances that serve.
    pub(super) fn serving(&self) -> u32 {
        self.number(SERVES, 0)
    }

    fn upgrade_state(&self, spec: &App) -> UpgradeState {
        UpgradeState {
            wanted: spec.instances,
            old: self.number(OLD | COUNTS, 0),
            old_serving: self.number(OLD | SERVES, 0),
            old_active: self.number(OLD | ACTIVE, 0),
            new: self.number(COUNTS, OLD),
            new_serving: self.number(SERVES, OLD),
            new_dying: self.number(ACTIVE, OLD | COUNTS),
            resident: is_resident(spec),
        }
    }

    /// How many to give up and to launch at this moment.
    pub(super) fn moves(&self) -> Moves {
        let counted = self.counted();
        let Some(spec) = self.spec.as_deref() else {
            let kill = match self.mode {
                Mode::Stop => counted,
                Mode::Keep | Mode::Wait | Mode::Start | Mode::Scale { .. } | Mode::Upgrade => 0,
            };
            return Moves { kill, launch: 0 };
        };
        // Those told to end hold their place until they have ended: an app never has more tasks
        // than wanted, which one that must run alone relies on.
        let missing = spec.instances.saturating_sub(counted + self.dying());
        match self.mode {
            Mode::Keep | Mode::Scale { .. } => Moves {
                kill: counted.saturating_sub(spec.instances),
                launch: missing,
            },
            Mode::Wait => Moves {
                kill: 0,
                launch: missing,
            },
            Mode::Start => Moves::default(),
            Mode::Stop => Moves {
                kill: counted,
                launch: 0,
            },
            Mode::Upgrade => {
                let moves = upgrade_moves(spec.upgrade_strategy, self.upgrade_state(spec));
                Moves {
                    kill: moves.kill,
                    launch: moves.launch,
                }
            }
        }
    }

    /// Whether the action of a deployment has reached its goal; false while there is none.
    pub(super) fn is_reached(&self) -> bool {
        let wanted = self.spec.as_deref().map_or(0, |app| app.instances);
        match self.mode {
            Mode::Keep | Mode::Wait => false,
            Mode::Start => true,
            Mode::Stop => self.is_empty(),
            Mode::Scale { up } => {
                let settled = self.counted() == wanted && self.dying() == 0;
                settled && (!up || self.serving() >= wanted)
            }
            Mode::Upgrade => {
                let no_old = self.number(OLD | COUNTS, 0) == 0
                    && self.number(OLD | ACTIVE, 0) == 0
                    && self.old_inactive.is_empty();
                no_old && self.counted() >= wanted && self.serving() >= wanted
            }
        }
    }

    /// The role its instances run under.
    pub(super) fn role(&self) -> Option<&str> {
        self.spec.as_deref().map(|app| app.role.as_str())
    }

    /// How many wait for an offer: new ones and those with a reservation.
    pub(super) fn waiting(&self) -> u32 {
        let scheduled = u32::try_from(self.scheduled.len()).unwrap_or(u32::MAX);
        match self.mode {
            Mode::Stop | Mode::Start => 0,
            Mode::Keep | Mode::Wait | Mode::Scale { .. } | Mode::Upgrade => {
                self.moves().launch.saturating_add(scheduled)
            }
        }
    }

    /// Checks that everything derived is what it would be if it were worked out anew.
    #[cfg(test)]
    pub(super) fn sanity_check(&self, app: &tepui_protocol::marathon::PathId) {
        let mut anew = self.clone();
        anew.set(self.spec.clone(), self.mode);
        assert_eq!(anew.tally, self.tally, "the tally of {app}");
        assert_eq!(anew.counts, self.counts, "the counts of {app}");
        assert_eq!(anew.parked, self.parked, "the parked of {app}");
        assert_eq!(anew.scheduled, self.scheduled, "the scheduled of {app}");
        let total: u32 = self.tally.iter().sum();
        assert_eq!(total as usize, self.entries.len(), "the instances of {app}");
    }
}
