//! The stored form of an agent's reservations, persistent volumes and operations: one small file.
//! Decides nothing and touches no file: what it means is up to the agent's core.

use serde::{Deserialize, Serialize};

use crate::pb::Pb;
use crate::v1;

/// Version of the stored form; an agent refuses to read another one.
pub const VERSION: u32 = 1;

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"tepui-rs";

/// Bytes before the msgpack value: magic, version and checksum, both little-endian.
const HEADER_BYTES: usize = 8 + 4 + 8;

/// Deepest nesting of the value; inner protobuf messages count as one level.
const MAX_DEPTH: usize = 16;

/// What an agent must know of its resources after a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourcesAndOperations {
    /// Dynamic reservations and persistent volumes, without allocation roles.
    pub resources: Vec<Pb<v1::Resource>>,
    /// Operations whose last status was not acknowledged yet.
    pub operations: Vec<Pb<v1::Operation>>,
    /// Destroyed volumes whose data may still be on disk.
    pub removing: Vec<Pb<v1::Resource>>,
}

/// Why a checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It does not start as such a file does.
    #[error("it is not a checkpoint of an agent's resources")]
    Foreign,
    /// Another version wrote it.
    #[error("it has version {0}, this agent reads version {VERSION}")]
    Version(u32),
    /// Some bytes are not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// The value is not what it should be.
    #[error("it cannot be decoded: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// The value cannot be written.
    #[error("it cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// Encodes a checkpoint.
///
/// # Errors
/// When the value cannot be written as msgpack.
pub fn encode(state: &ResourcesAndOperations) -> Result<Vec<u8>, CheckpointError> {
    let value = rmp_serde::to_vec_named(state)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&checksum(&value).to_le_bytes());
    bytes.extend_from_slice(&value);
    Ok(bytes)
}

/// Decodes a checkpoint.
///
/// # Errors
/// When the bytes are not exactly what [`encode`] made.
pub fn decode(bytes: &[u8]) -> Result<ResourcesAndOperations, CheckpointError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(CheckpointError::Foreign)?;
    let (version, rest) = rest.split_first_chunk().ok_or(CheckpointError::Foreign)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(CheckpointError::Version(version));
    }
    let (sum, value) = rest.split_first_chunk().ok_or(CheckpointError::Checksum)?;
    if u64::from_le_bytes(*sum) != checksum(value) {
        return Err(CheckpointError::Checksum);
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(value);
    deserializer.set_max_depth(MAX_DEPTH);
    Ok(ResourcesAndOperations::deserialize(&mut deserializer)?)
}

/// FNV-1a: it is to find damage by accident, not by intent.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ResourcesAndOperations {
        let resource = v1::Resource {
            name: "disk".into(),
            scalar: Some(v1::value::Scalar { value: 12.5 }),
            ..Default::default()
        };
        ResourcesAndOperations {
            resources: vec![Pb(resource.clone())],
            operations: vec![Pb(v1::Operation {
                uuid: v1::Uuid { value: vec![7; 16] },
                ..Default::default()
            })],
            removing: vec![Pb(resource)],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = encode(&sample()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), sample());
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let bytes = encode(&sample()).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(decode(&longer).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode(&sample()).unwrap();
        bytes[8] = 9;
        let error = decode(&bytes).unwrap_err().to_string();
        assert_eq!(error, "it has version 9, this agent reads version 1");
    }
}
