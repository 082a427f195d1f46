//! The stored form of the registry: rows of a key and a msgpack value.
//! Decides nothing and stores nothing: the operations are in core, the stores in the registrar.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pb::Pb;
use crate::v1;

/// Version of the stored form; a master refuses to read a newer one.
///
/// 1 held agents; 2 also holds quotas, weights and scheduled machines; 3 also agents that are gone; 4
/// also agents that are drained or deactivated.
pub const VERSION: u32 = 4;

/// Key of the row that holds [`Header`].
pub const HEADER_KEY: &str = "header";

/// Keys of admitted agents start so; the agent's id follows.
pub const ADMITTED_PREFIX: &str = "admitted/";

/// Keys of unreachable agents start so; the agent's id follows.
pub const UNREACHABLE_PREFIX: &str = "unreachable/";

/// Keys of agents that an operator marked gone start so; the agent's id follows.
pub const GONE_PREFIX: &str = "gone/";

/// Keys of agents that an operator keeps out of offers start so; the agent's id follows.
pub const DEACTIVATED_PREFIX: &str = "deactivated/";

/// Keys of quotas start so; the role follows.
pub const QUOTA_PREFIX: &str = "quota/";

/// Keys of weights start so; the role follows.
pub const WEIGHT_PREFIX: &str = "weight/";

/// Keys of scheduled machines start so; host name, a slash and the address follow.
pub const MACHINE_PREFIX: &str = "machine/";

/// First row of every stored registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`] of the writer.
    pub version: u32,
}

/// Row of an admitted agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdmittedAgent {
    /// The agent; its id is set.
    pub info: Pb<v1::AgentInfo>,
}

/// Row of an unreachable agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreachableAgent {
    /// Since when, in microseconds since the Unix epoch.
    pub since_us: u64,
}

/// Row of an agent that an operator marked gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneAgent {
    /// When, in microseconds since the Unix epoch.
    pub at_us: u64,
}

/// Row of an agent that an operator keeps out of offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeactivatedAgent {
    /// How its tasks are ended, and whether they are; none when they may go on.
    pub drain: Option<Pb<v1::DrainInfo>>,
}

/// Row of a role's quota; amounts are in thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleQuota {
    /// Amounts the role can always get, by resource name.
    pub guarantees: BTreeMap<String, i64>,
    /// Amounts the role gets no more of, by resource name; what is absent is not limited.
    pub limits: BTreeMap<String, i64>,
}

/// Row of a role's weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleWeight {
    /// Above zero.
    pub weight: f64,
}

/// Row of a machine in the maintenance schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledMachine {
    /// As the operator wrote it.
    pub id: Pb<v1::MachineId>,
    /// Whether it is down; otherwise it is draining.
    pub down: bool,
    /// When it is planned to be away.
    pub unavailability: Pb<v1::Unavailability>,
    /// Which window of the schedule it belongs to, counted from 0.
    pub window: u32,
    /// Its place within the window, counted from 0.
    pub place: u32,
}

/// Why a row could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The value is not what its key promises.
    #[error("row is damaged: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// The value cannot be written.
    #[error("row cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// Encodes the value of a row.
///
/// # Errors
/// When the value cannot be written as msgpack.
pub fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, RowError> {
    Ok(rmp_serde::to_vec_named(row)?)
}

/// Decodes the value of a row.
///
/// # Errors
/// When the bytes are no such value.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, RowError> {
    Ok(rmp_serde::from_slice(bytes)?)
}
