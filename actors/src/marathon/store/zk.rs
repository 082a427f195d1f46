//! Keeps the rows of the app manager in ZooKeeper, through the log that the registrar writes too.
//! Elects nobody, and leaves chunks, fencing and lost answers to that log.

use std::io::{self, Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tepui_core::registry::Row;
use tokio::runtime::Handle;

use super::MAX_VALUE_BYTES;
use super::backend::Backend;
use super::error::StoreError;
use crate::election::Session;
use crate::registrar::store::Store;
use crate::registrar::zk::{Limits, ZkStore};

/// Name of the store's node below the path of `--zk`. Marathon keeps its own state beside it.
pub const NODE: &str = "tepui-state";

/// Values longer than this are compressed; Marathon's `--zk_compression_threshold`.
pub const COMPRESS_BYTES: usize = 64 * 1024;

/// First byte of a value that follows as it is.
const PLAIN: u8 = 0;

/// First byte of a value that follows in gzip's form.
const GZIP: u8 = 1;

/// Where in ZooKeeper, and for which leader.
#[derive(Debug, Clone)]
pub struct ZkSettings {
    /// The session to use; that of the election, so that both end together.
    pub session: Session,
    /// The runtime that keeps the session; it must not wait for the store.
    pub runtime: Handle,
    /// The leader's, from its election: no later leader has a smaller one.
    pub epoch: u64,
    /// How long ZooKeeper may take, or be away. A write must have the time to put all records
    /// into a new log now and then.
    pub limits: Limits,
}

impl ZkSettings {
    /// With Marathon's limit for preparing a leader, and a minute for a write.
    #[must_use]
    pub fn new(session: Session, runtime: Handle, epoch: u64) -> ZkSettings {
        ZkSettings {
            session,
            runtime,
            epoch,
            limits: Limits {
                load: Duration::from_secs(180),
                write: Duration::from_secs(60),
            },
        }
    }
}

/// The log of one leader. A newer leader ends it.
#[derive(Debug)]
pub(super) struct ZkBackend {
    path: String,
    log: ZkStore,
}

impl ZkBackend {
    pub(super) fn new(settings: ZkSettings) -> ZkBackend {
        let ZkSettings {
            session,
            runtime,
            epoch,
            limits,
        } = settings;
        ZkBackend {
            path: session.url().child(NODE),
            log: ZkStore::below(session, runtime, NODE, epoch, limits),
        }
    }
}

impl Backend for ZkBackend {
    fn place(&self) -> String {
        format!("node {} in zookeeper", self.path)
    }

    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let packed = self.log.load()?;
        let unpacked = packed.into_iter().map(|(key, value)| {
            let unpacked = unpack(value);
            let value = unpacked.map_err(|error| StoreError::Damaged {
                place: self.place(),
                reason: format!("the value of '{key}' is unreadable: {error}"),
            })?;
            Ok((key, value))
        });
        unpacked.collect()
    }

    fn write(&mut self, mut rows: Vec<Row>) -> Result<(), StoreError> {
        for Row { key, value } in &mut rows {
            let packed = value.take().map(pack).transpose();
            *value = packed.map_err(|error| StoreError::Unwritable {
                reason: format!("the value of '{key}' cannot be compressed: {error}"),
            })?;
        }
        self.log.write(&rows)?;
        Ok(())
    }
}

/// The stored form of a value.
fn pack(value: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(value.len().min(COMPRESS_BYTES) + 1);
    if value.len() > COMPRESS_BYTES {
        packed.push(GZIP);
        let mut encoder = GzEncoder::new(packed, Compression::fast());
        encoder.write_all(&value)?;
        packed = encoder.finish()?;
        if packed.len() <= value.len() {
            return Ok(packed);
        }
        packed.clear();
    }
    packed.push(PLAIN);
    packed.extend(value);
    Ok(packed)
}

/// The value of this stored form.
fn unpack(mut packed: Vec<u8>) -> io::Result<Vec<u8>> {
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    match packed.first() {
        Some(&PLAIN) => {
            packed.remove(0);
            Ok(packed)
        }
        Some(&GZIP) => {
            let most = MAX_VALUE_BYTES as u64;
            let mut value = Vec::new();
            let mut decoder = GzDecoder::new(&packed[1..]).take(most + 1);
            decoder.read_to_end(&mut value)?;
            match value.len() > MAX_VALUE_BYTES {
                true => Err(invalid("it is too long")),
                false => Ok(value),
            }
        }
        Some(_) => Err(invalid("it has an unknown form")),
        None => Err(invalid("it holds nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_their_stored_form() {
        let noise = |length: u32| -> Vec<u8> {
            let mixed = (0..length).map(|at| at.wrapping_mul(2_654_435_761) ^ (at << 7));
            mixed.map(|mixed| mixed.to_be_bytes()[1]).collect()
        };
        for value in [
            Vec::new(),
            vec![GZIP],
            vec![7; COMPRESS_BYTES],
            vec![7; COMPRESS_BYTES + 1],
            noise(300_000),
        ] {
            let packed = pack(value.clone()).expect("packed");
            let compressed = value.len() == COMPRESS_BYTES + 1;
            if compressed {
                assert!(packed.len() < value.len() / 10);
            }
            assert!(packed.len() <= value.len() + 1);
            assert_eq!(unpack(packed).expect("unpacked"), value);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let mut long = pack(vec![0; MAX_VALUE_BYTES + 1]).expect("packed");
        assert!(unpack(long.clone()).is_err(), "too long");
        long.truncate(long.len() / 2);
        assert!(unpack(long).is_err(), "cut");
        assert!(unpack(Vec::new()).is_err());
        assert!(unpack(vec![2, 1]).is_err());
        assert!(unpack(vec![GZIP, 1, 2, 3]).is_err());
    }
}
