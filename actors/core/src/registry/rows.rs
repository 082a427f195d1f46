//! Turns a registry into rows for a store, and rows back into a registry.
//! Reads and writes no store itself.

use tepui_protocol::registry::{
    ADMITTED_PREFIX, AdmittedAgent, HEADER_KEY, Header, RowError, UNREACHABLE_PREFIX,
    UnreachableAgent, VERSION, decode, encode,
};

use super::Registry;
use crate::ids::AgentId;
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
    /// The row every store must hold beside those of the agents.
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

    /// The rows of one agent as they must be from now on, both lists included.
    ///
    /// A store that writes these after every operation holds exactly this registry.
    ///
    /// # Errors
    /// When a row cannot be encoded.
    pub fn rows_of(&self, id: &AgentId) -> Result<[Row; 2], RowError> {
        let admitted = match self.admitted.get(id) {
            Some(info) => Some(encode(&AdmittedAgent {
                info: info.clone().into(),
            })?),
            None => None,
        };
        let unreachable = match self.unreachable.get(id) {
            Some(since) => Some(encode(&UnreachableAgent { since_us: since.0 })?),
            None => None,
        };
        Ok([
            Row {
                key: format!("{ADMITTED_PREFIX}{id}"),
                value: admitted,
            },
            Row {
                key: format!("{UNREACHABLE_PREFIX}{id}"),
                value: unreachable,
            },
        ])
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
            self.admitted.insert(AgentId::from(id), row.info.0);
        } else if let Some(id) = key.strip_prefix(UNREACHABLE_PREFIX) {
            let row: UnreachableAgent = read(key, value)?;
            self.unreachable
                .insert(AgentId::from(id), Wall(row.since_us));
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
