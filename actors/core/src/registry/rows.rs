//! Turns a registry into rows for a store, and rows back into a registry.
//! Reads and writes no store itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tepui_protocol::packed::Packed;
use tepui_protocol::registry::{
    ADMITTED_PREFIX, AdmittedAgent, DEACTIVATED_PREFIX, DeactivatedAgent, GONE_PREFIX, GoneAgent,
    HEADER_KEY, Header, MACHINE_PREFIX, QUOTA_PREFIX, RoleQuota, RoleWeight, RowError,
    ScheduledMachine, UNREACHABLE_PREFIX, UnreachableAgent, VERSION, WEIGHT_PREFIX, decode, encode,
};

use super::{Deactivation, Key, Registry};
use crate::ids::{AgentId, Role};
use crate::maintenance::{Machine, MachineKey, Mode};
use crate::quota::Quota;
use crate::resources::{Limits, Quantities};
use crate::time::Wall;

/// A row to be written, or to be deleted when it has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Names the row.
    pub key: String,
    /// What it holds from now on; nothing when it goes.
    pub value: Option<Vec<u8>>,
}

/// Why stored rows are no registry this master can use.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// Rows, but not the one that says which form they have.
    #[error("registry has no header row; it was not written by a tepui master or is damaged")]
    NoHeader,
    /// Written by a later version.
    #[error(
        "registry has version {found}, this master reads up to {VERSION}; start the newer master"
    )]
    TooNew {
        /// The version found.
        found: u32,
    },
    /// A key of an unknown kind.
    #[error("registry has an unknown row '{0}'")]
    UnknownRow(String),
    /// A value that does not fit its key.
    #[error("registry row '{key}': {source}")]
    Row {
        /// The row.
        key: String,
        /// What is wrong with it.
        source: RowError,
    },
}

impl Registry {
    /// The row every store must hold beside all others.
    ///
    /// # Errors
    /// When the row cannot be encoded.
    pub fn header_row() -> Result<Row, RowError> {
        let value = encode(&Header { version: VERSION })?;
        Ok(Row {
            key: HEADER_KEY.to_owned(),
            value: Some(value),
        })
    }

    /// The rows of one part of the registry as they must be from now on.
    ///
    /// A store that writes those of all touched parts after every operation holds exactly this
    /// registry.
    ///
    /// # Errors
    /// When a row cannot be encoded.
    pub fn rows_of(&self, key: &Key) -> Result<Vec<Row>, RowError> {
        match key {
            Key::Agent(id) => {
                let admitted = self.admitted.get(id).map(|info| AdmittedAgent {
                    info: info.unpack().into(),
                });
                let unreachable = self.unreachable.get(id);
                let unreachable = unreachable.map(|since| UnreachableAgent { since_us: since.0 });
                Ok(vec![
                    row(ADMITTED_PREFIX, id, admitted)?,
                    row(UNREACHABLE_PREFIX, id, unreachable)?,
                ])
            }
            Key::Deactivation(id) => {
                let deactivated = self.deactivated.get(id).map(|how| DeactivatedAgent {
                    drain: how.drain.map(Into::into),
                });
                Ok(vec![row(DEACTIVATED_PREFIX, id, deactivated)?])
            }
            Key::GoneAgent(id) => {
                let gone = self.gone.get(id);
                let gone = gone.map(|at| GoneAgent { at_us: at.0 });
                Ok(vec![row(GONE_PREFIX, id, gone)?])
            }
            Key::Quota(role) => {
                let quota = self.quotas.get(role).map(stored_quota);
                Ok(vec![row(QUOTA_PREFIX, role, quota)?])
            }
            Key::Weight(role) => {
                let weight = self.weights.get(role);
                let weight = weight.map(|weight| RoleWeight { weight: *weight });
                Ok(vec![row(WEIGHT_PREFIX, role, weight)?])
            }
            Key::Machine(key) => {
                let machine = self.maintenance.machines.get(key).map(stored_machine);
                Ok(vec![row(MACHINE_PREFIX, key, machine)?])
            }
        }
    }

    /// The header row, when these stored rows have none or that of an older version: it must be
    /// written before anything an older master would not understand.
    ///
    /// # Errors
    /// When the row cannot be encoded.
    pub fn missing_header(rows: &[(String, Vec<u8>)]) -> Result<Option<Row>, RowError> {
        let header = Registry::header_row()?;
        let current = rows
            .iter()
            .any(|(key, value)| *key == header.key && Some(value) == header.value.as_ref());
        Ok((!current).then_some(header))
    }

    /// The registry these stored rows are; an empty one when there are none.
    ///
    /// # Errors
    /// When the rows are damaged or of a later version.
    pub fn from_rows(rows: &[(String, Vec<u8>)]) -> Result<Registry, RowsError> {
        let mut registry = Registry::default();
        if rows.is_empty() {
            return Ok(registry);
        }
        let header = rows
            .iter()
            .find(|(key, _)| key == HEADER_KEY)
            .ok_or(RowsError::NoHeader)?;
        let header: Header = read(&header.0, &header.1)?;
        if header.version > VERSION {
            return Err(RowsError::TooNew {
                found: header.version,
            });
        }
        for (key, value) in rows {
            registry.read_row(key, value)?;
        }
        Ok(registry)
    }

    fn read_row(&mut self, key: &str, value: &[u8]) -> Result<(), RowsError> {
        if let Some(id) = key.strip_prefix(ADMITTED_PREFIX) {
            let row: AdmittedAgent = read(key, value)?;
            let info = Packed::new(&row.info.0);
            self.admitted.insert(AgentId::from(id), info);
        } else if let Some(id) = key.strip_prefix(UNREACHABLE_PREFIX) {
            let row: UnreachableAgent = read(key, value)?;
            self.unreachable
                .insert(AgentId::from(id), Wall(row.since_us));
        } else if let Some(id) = key.strip_prefix(DEACTIVATED_PREFIX) {
            let row: DeactivatedAgent = read(key, value)?;
            let drain = row.drain.map(|drain| drain.0);
            self.deactivated
                .insert(AgentId::from(id), Deactivation { drain });
        } else if let Some(id) = key.strip_prefix(GONE_PREFIX) {
            let row: GoneAgent = read(key, value)?;
            self.gone.insert(AgentId::from(id), Wall(row.at_us));
        } else if let Some(role) = key.strip_prefix(QUOTA_PREFIX) {
            let row: RoleQuota = read(key, value)?;
            self.quotas.insert(Role::from(role), read_quota(row));
        } else if let Some(role) = key.strip_prefix(WEIGHT_PREFIX) {
            let row: RoleWeight = read(key, value)?;
            self.weights.insert(Role::from(role), row.weight);
        } else if key.starts_with(MACHINE_PREFIX) {
            let machine = read_machine(read(key, value)?);
            let key = MachineKey::from(&machine.id);
            self.maintenance.machines.insert(key, machine);
        } else if key != HEADER_KEY {
            return Err(RowsError::UnknownRow(key.to_owned()));
        }
        Ok(())
    }
}

fn read<T: for<'de> serde::Deserialize<'de>>(key: &str, value: &[u8]) -> Result<T, RowsError> {
    decode(value).map_err(|source| RowsError::Row {
        key: key.to_owned(),
        source,
    })
}

fn row<T: Serialize>(
    prefix: &str,
    name: &impl std::fmt::Display,
    value: Option<T>,
) -> Result<Row, RowError> {
    Ok(Row {
        key: format!("{prefix}{name}"),
        value: value.as_ref().map(encode).transpose()?,
    })
}

fn stored_quota(quota: &Quota) -> RoleQuota {
    RoleQuota {
        guarantees: stored_amounts(&quota.guarantees.0),
        limits: stored_amounts(&quota.limits.0),
    }
}

fn read_quota(row: RoleQuota) -> Quota {
    let amounts = |stored: BTreeMap<String, i64>| {
        let amounts = stored.into_iter();
        amounts
            .map(|(name, milli)| (Arc::from(name), milli))
            .collect()
    };
    Quota {
        guarantees: Quantities(amounts(row.guarantees)),
        limits: Limits(amounts(row.limits)),
    }
}

fn stored_amounts(amounts: &BTreeMap<Arc<str>, i64>) -> BTreeMap<String, i64> {
    let amounts = amounts.iter();
    amounts
        .map(|(name, milli)| (name.to_string(), *milli))
        .collect()
}

fn stored_machine(machine: &Machine) -> ScheduledMachine {
    ScheduledMachine {
        id: machine.id.clone().into(),
        down: machine.mode == Mode::Down,
        unavailability: machine.unavailability.into(),
        window: machine.window,
        place: machine.place,
    }
}

fn read_machine(row: ScheduledMachine) -> Machine {
    Machine {
        id: row.id.0,
        mode: match row.down {
            true => Mode::Down,
            false => Mode::Draining,
        },
        unavailability: row.unavailability.0,
        window: row.window,
        place: row.place,
    }
}
