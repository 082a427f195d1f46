//! Machines that are planned to be away, and the schedule that says when.
//! Tells nobody and stores nothing: the registry and the master each keep one and change it alike.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::Entry;
use tepui_protocol::v1;
use tepui_protocol::v1::maintenance::{Schedule, Window};

/// Names a machine by host name and address; case does not matter in the name.
///
/// An absent part is a part of its own: a machine scheduled by name only is not the machine of an
/// agent, which has both. Mesos: `operator==` of `MachineID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineKey {
    hostname: Arc<str>,
    ip: Arc<str>,
}

impl MachineKey {
    /// The machine with this name and address; an empty text counts as absent.
    pub fn new(hostname: &str, ip: &str) -> Self {
        MachineKey {
            hostname: hostname.to_lowercase().into(),
            ip: ip.into(),
        }
    }
}

impl From<&v1::MachineId> for MachineKey {
    fn from(id: &v1::MachineId) -> Self {
        MachineKey::new(id.hostname(), id.ip())
    }
}

impl fmt::Display for MachineKey {
    /// `name/address`; unique, as no address contains a slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hostname, self.ip)
    }
}

/// Life cycle of a scheduled machine; a machine that is up is in no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Frameworks are asked to leave its agents.
    Draining,
    /// Its agents are removed and may not register.
    Down,
}

/// A machine in the schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// As the operator wrote it.
    pub id: v1::MachineId,
    /// How far its maintenance is.
    pub mode: Mode,
    /// When it is planned to be away.
    pub unavailability: v1::Unavailability,
    /// Which window of the schedule it belongs to, counted from 0.
    pub window: u32,
    /// Its place within the window, counted from 0.
    pub place: u32,
}

/// A change to the schedule or to the state of its machines.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new schedule in place of the old one: new machines drain, those left out are up.
    Schedule(Schedule),
    /// Draining machines go down.
    Start(Vec<MachineKey>),
    /// Machines that are down come up and leave the schedule.
    Stop(Vec<MachineKey>),
}

/// Why a change does not fit; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A machine that is down would vanish from the schedule.
    #[error("machine {0} is down and must stay in the schedule until it is brought up")]
    DownMachineLeftOut(MachineKey),
    /// Only a draining machine can go down.
    #[error("machine {0} is not draining; schedule its maintenance first")]
    NotDraining(MachineKey),
    /// Only a machine that is down can come up.
    #[error("machine {0} is not down; only a machine that is down can be brought up")]
    NotDown(MachineKey),
}

/// The scheduled machines; cheap to copy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Maintenance {
    /// By name and address.
    pub machines: OrdMap<MachineKey, Machine>,
}

impl Maintenance {
    /// Carries a change out; `false` when everything already was so.
    ///
    /// # Errors
    /// When the change does not fit; nothing is changed then.
    pub fn apply(&mut self, change: &Change) -> Result<bool, ChangeError> {
        match change {
            Change::Schedule(schedule) => self.update_schedule(schedule),
            Change::Start(keys) => self.start(keys),
            Change::Stop(keys) => self.stop(keys),
        }
    }

    /// The machines a change names, and those it removes by not naming them.
    pub fn touched_by(&self, change: &Change) -> Vec<MachineKey> {
        match change {
            Change::Schedule(schedule) => {
                let mut keys: Vec<MachineKey> = self.machines.keys().cloned().collect();
                let named = schedule.windows.iter().flat_map(|w| &w.machine_ids);
                keys.extend(named.map(MachineKey::from));
                keys
            }
            Change::Start(keys) | Change::Stop(keys) => keys.clone(),
        }
    }

    /// When this machine is planned to be away, if it is.
    pub fn unavailability(&self, machine: &MachineKey) -> Option<&v1::Unavailability> {
        Some(&self.machines.get(machine)?.unavailability)
    }

    /// Whether agents of this machine may not register.
    pub fn is_down(&self, machine: &MachineKey) -> bool {
        let machine = self.machines.get(machine);
        machine.is_some_and(|machine| machine.mode == Mode::Down)
    }

    /// The schedule as the operator wrote it, without machines that came up since.
    pub fn schedule(&self) -> Schedule {
        let mut windows: BTreeMap<u32, Vec<&Machine>> = BTreeMap::new();
        for machine in self.machines.values() {
            windows.entry(machine.window).or_default().push(machine);
        }
        let window = |mut machines: Vec<&Machine>| {
            machines.sort_by_key(|machine| machine.place);
            let first = machines.first();
            Window {
                unavailability: first.map(|m| m.unavailability).unwrap_or_default(),
                machine_ids: machines.iter().map(|m| m.id.clone()).collect(),
            }
        };
        Schedule {
            windows: windows.into_values().map(window).collect(),
        }
    }

    fn update_schedule(&mut self, schedule: &Schedule) -> Result<bool, ChangeError> {
        let mut machines = OrdMap::new();
        for (window, planned) in (0_u32..).zip(&schedule.windows) {
            for (place, id) in (0_u32..).zip(&planned.machine_ids) {
                let key = MachineKey::from(id);
                let known = self.machines.get(&key);
                let machine = Machine {
                    id: id.clone(),
                    mode: known.map_or(Mode::Draining, |known| known.mode),
                    unavailability: planned.unavailability,
                    window,
                    place,
                };
                // The first mention counts; validation lets none appear twice.
                if let Entry::Vacant(entry) = machines.entry(key) {
                    entry.insert(machine);
                }
            }
        }
        for (key, machine) in &self.machines {
            if machine.mode == Mode::Down && !machines.contains_key(key) {
                return Err(ChangeError::DownMachineLeftOut(key.clone()));
            }
        }
        let changed = self.machines != machines;
        self.machines = machines;
        Ok(changed)
    }

    fn start(&mut self, keys: &[MachineKey]) -> Result<bool, ChangeError> {
        self.require(keys, Mode::Draining, ChangeError::NotDraining)?;
        for key in keys {
            if let Some(machine) = self.machines.get_mut(key) {
                machine.mode = Mode::Down;
            }
        }
        Ok(!keys.is_empty())
    }

    fn stop(&mut self, keys: &[MachineKey]) -> Result<bool, ChangeError> {
        self.require(keys, Mode::Down, ChangeError::NotDown)?;
        for key in keys {
            self.machines.remove(key);
        }
        Ok(!keys.is_empty())
    }

    fn require(
        &self,
        keys: &[MachineKey],
        mode: Mode,
        otherwise: impl Fn(MachineKey) -> ChangeError,
    ) -> Result<(), ChangeError> {
        let fits = |key: &&MachineKey| self.machines.get(*key).is_some_and(|m| m.mode == mode);
        match keys.iter().find(|key| !fits(key)) {
            Some(key) => Err(otherwise(key.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hostname: &str) -> v1::MachineId {
        v1::MachineId {
            hostname: Some(hostname.to_owned()),
            ip: Some("10.0.0.1".to_owned()),
        }
    }

    fn key(hostname: &str) -> MachineKey {
        MachineKey::from(&id(hostname))
    }

    fn schedule(windows: &[(i64, &[&str])]) -> Schedule {
        let window = |(start, machines): &(i64, &[&str])| Window {
            machine_ids: machines.iter().map(|name| id(name)).collect(),
            unavailability: v1::Unavailability {
                start: v1::TimeInfo {
                    nanoseconds: *start,
                },
                duration: None,
            },
        };
        Schedule {
            windows: windows.iter().map(window).collect(),
        }
    }

    fn planned(windows: &[(i64, &[&str])]) -> Maintenance {
        let mut maintenance = Maintenance::default();
        maintenance
            .apply(&Change::Schedule(schedule(windows)))
            .unwrap();
        maintenance
    }

    #[test]
    fn names_are_equal_whatever_their_case_and_addresses_count() {
        assert_eq!(
            MachineKey::new("Host", "1.2.3.4"),
            MachineKey::new("hOST", "1.2.3.4")
        );
        assert_ne!(
            MachineKey::new("host", "1.2.3.4"),
            MachineKey::new("host", "")
        );
        assert_ne!(
            MachineKey::new("host", "1.2.3.4"),
            MachineKey::new("host", "1.2.3.5")
        );
        assert_eq!(
            MachineKey::new("Host", "1.2.3.4").to_string(),
            "host/1.2.3.4"
        );
    }

    #[test]
    fn the_schedule_is_given_back_in_its_order() {
        let windows: &[(i64, &[&str])] = &[(5, &["z", "a"]), (3, &["m"])];
        let mut maintenance = planned(windows);
        assert_eq!(maintenance.schedule(), schedule(windows));
        let again = Change::Schedule(schedule(windows));
        assert_eq!(maintenance.apply(&again), Ok(false));
        assert_eq!(
            maintenance
                .unavailability(&key("M"))
                .unwrap()
                .start
                .nanoseconds,
            3
        );
        assert_eq!(maintenance.unavailability(&key("x")), None);
    }

    #[test]
    fn a_machine_drains_goes_down_and_comes_up_out_of_the_schedule() {
        let mut maintenance = planned(&[(5, &["a", "b"]), (6, &["c"])]);
        let both = vec![key("a"), key("c")];
        assert_eq!(
            maintenance.apply(&Change::Stop(both.clone())),
            Err(ChangeError::NotDown(key("a")))
        );
        assert_eq!(maintenance.apply(&Change::Start(both.clone())), Ok(true));
        assert!(maintenance.is_down(&key("a")) && !maintenance.is_down(&key("b")));
        assert_eq!(
            maintenance.apply(&Change::Start(vec![key("b"), key("a")])),
            Err(ChangeError::NotDraining(key("a")))
        );
        assert!(!maintenance.is_down(&key("b")), "all or none");
        assert_eq!(maintenance.apply(&Change::Stop(both)), Ok(true));
        assert_eq!(maintenance.schedule(), schedule(&[(5, &["b"])]));
    }

    #[test]
    fn a_new_schedule_keeps_what_is_down_and_must_name_it() {
        let mut maintenance = planned(&[(5, &["a", "b"])]);
        maintenance.apply(&Change::Start(vec![key("a")])).unwrap();
        let before = maintenance.clone();
        assert_eq!(
            maintenance.apply(&Change::Schedule(schedule(&[(7, &["b"])]))),
            Err(ChangeError::DownMachineLeftOut(key("a")))
        );
        assert_eq!(maintenance, before);
        let change = Change::Schedule(schedule(&[(7, &["A", "n"])]));
        let mut touched = maintenance.touched_by(&change);
        touched.sort();
        touched.dedup();
        assert_eq!(touched, [key("a"), key("b"), key("n")]);
        assert_eq!(maintenance.apply(&change), Ok(true));
        assert!(maintenance.is_down(&key("a")));
        assert_eq!(maintenance.machines[&key("n")].mode, Mode::Draining);
        assert!(!maintenance.machines.contains_key(&key("b")));
    }
}
