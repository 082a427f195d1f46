//! The stored form of what an agent must know after a restart: records, one after the other.
//! Decides nothing and touches no file: what they mean is up to the agent's core.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoint::checksum;
use crate::pb::Pb;
use crate::v1;

/// First bytes of the file: its kind and version.
pub const HEADER: &[u8; 8] = b"tepui-j1";

/// Bytes before each record: its length and its checksum, both little-endian.
const FRAME_BYTES: usize = 4 + 8;

/// Longest record that is read; one that an agent writes is far shorter.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// Deepest nesting of a record; inner protobuf messages count as one level.
const MAX_DEPTH: usize = 16;

/// One thing that has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The agent was admitted; nothing before this counts.
    Agent {
        /// Its description; `id` is set.
        info: Pb<v1::AgentInfo>,
        /// The host's boot in which this was written, where that could be known.
        #[serde(default)]
        boot_id: Option<String>,
    },
    /// The agent drains, or does so no more.
    Drain {
        /// How; none when it is over.
        config: Option<Pb<v1::DrainConfig>>,
        /// Since when, in microseconds since the Unix epoch.
        started_us: u64,
    },
    /// The agent has left the cluster; nothing before this counts.
    Left,
    /// A framework is there, or its description has changed.
    Framework {
        /// Its description; `id` is set.
        info: Pb<v1::FrameworkInfo>,
    },
    /// A framework has nothing left here, no updates either; with what is known of it it belongs to
    /// the history, until it is there again.
    FrameworkGone {
        /// The framework.
        framework_id: String,
    },
    /// An executor is there, or it has changed.
    Executor(Box<Executor>),
    /// An executor is gone, with all its tasks: it belongs to its framework's history.
    ExecutorGone {
        /// Its framework.
        framework_id: String,
        /// The executor.
        executor_id: String,
    },
    /// A task is there, or it has changed.
    Task {
        /// Its executor; of a command task the one that the agent made.
        executor_id: String,
        /// The task with all its statuses.
        task: Pb<v1::Task>,
    },
    /// A task has ended, and its framework knows: it belongs to its executor's history.
    TaskGone {
        /// Its framework.
        framework_id: String,
        /// The task.
        task_id: String,
    },
    /// A status update is to reach the framework, after those before it.
    Update {
        /// The framework.
        framework_id: String,
        /// The status.
        status: Pb<v1::TaskStatus>,
    },
    /// No update of a framework is to reach it any more.
    UpdatesForgotten {
        /// The framework.
        framework_id: String,
    },
    /// The framework has the oldest update of a task.
    Acknowledged {
        /// The framework.
        framework_id: String,
        /// The task.
        task_id: String,
        /// The update.
        #[serde(with = "serde_bytes")]
        uuid: Vec<u8>,
    },
    /// A container that was launched by a call is there, or it has changed.
    Container(Box<Container>),
    /// Such a container is gone, and forgotten.
    ContainerGone {
        /// Its id, with those of the containers it is in, separated by dots.
        container: String,
    },
}

/// A container in another one, or one that stands alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// What was asked for.
    pub launch: Pb<v1::agent::call::LaunchContainer>,
    /// Its sandbox.
    pub directory: String,
    /// Who it runs as, where that is not the agent's own user.
    pub user: Option<String>,
    /// Its process, once started.
    pub pid: Option<u32>,
    /// How it has ended, if it has.
    pub ended: Option<Pb<v1::agent::response::WaitContainer>>,
}

/// An executor and its container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Executor {
    /// Its framework.
    pub framework_id: String,
    /// Its description.
    pub info: Pb<v1::ExecutorInfo>,
    /// How it came to be.
    pub kind: ExecutorKind,
    /// Its container.
    pub container: String,
    /// Its sandbox.
    pub directory: String,
    /// Its process, once started.
    pub pid: Option<u32>,
    /// Whether any task was delivered to it.
    pub ever_sent: bool,
    /// Whether its process has ended.
    pub ended: bool,
    /// Persistent volumes linked in its sandbox: name there, and the volume's path.
    pub volumes: BTreeMap<String, String>,
}

/// How an executor came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutorKind {
    /// Made by the agent to run one command.
    Command,
    /// Tepui's own, for task groups.
    Default,
    /// The framework's own.
    Custom,
}

/// Appends a record to `out`, framed.
///
/// # Errors
/// When it cannot be written as msgpack, or is too long to be read again.
pub fn append(record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
    let value = rmp_serde::to_vec_named(record).map_err(|error| error.to_string())?;
    let length = u32::try_from(value.len()).ok();
    let length = length.filter(|_| value.len() <= MAX_RECORD_BYTES);
    let length = length.ok_or_else(|| format!("a record has {} bytes", value.len()))?;
    out.reserve(FRAME_BYTES + value.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(&value).to_le_bytes());
    out.extend_from_slice(&value);
    Ok(())
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The records up to the first that cannot be read.
    pub records: Vec<Record>,
    /// Bytes of the file up to there.
    pub good_bytes: usize,
    /// How the file ends.
    pub end: End,
}

/// How a file of records ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With its last record.
    Whole,
    /// In the middle of its last record, whose writing was cut off: it never counted.
    Torn,
    /// With something else: damage.
    Damaged(String),
}

/// Reads the records of a file. An empty file holds none.
pub fn read(bytes: &[u8]) -> Found {
    let mut found = Found {
        records: Vec::new(),
        good_bytes: 0,
        end: End::Whole,
    };
    let Some(mut rest) = bytes.strip_prefix(HEADER) else {
        found.end = match HEADER.starts_with(bytes) {
            true if bytes.is_empty() => End::Whole,
            true => End::Torn,
            false => End::Damaged("it does not begin as an agent's journal does".to_owned()),
        };
        return found;
    };
    found.good_bytes = HEADER.len();
    while !rest.is_empty() {
        match next(rest) {
            Ok((record, length)) => {
                found.records.push(record);
                found.good_bytes += length;
                rest = &rest[length..];
            }
            Err(End::Torn) if holds_record(&rest[1..]) => {
                let why = "a record claims more bytes than there are, but others follow it";
                found.end = End::Damaged(why.to_owned());
                break;
            }
            Err(end) => {
                found.end = end;
                break;
            }
        }
    }
    found
}

/// Whether a record begins anywhere: what is cut off ends the file.
fn holds_record(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| next(&bytes[at..]).is_ok())
}

/// The first record and the bytes it takes.
fn next(bytes: &[u8]) -> Result<(Record, usize), End> {
    let (length, rest) = bytes.split_first_chunk().ok_or(End::Torn)?;
    let (sum, rest) = rest.split_first_chunk().ok_or(End::Torn)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_RECORD_BYTES {
        return Err(End::Damaged(format!("a record claims {length} bytes")));
    }
    let value = rest.get(..length).ok_or(End::Torn)?;
    if u64::from_le_bytes(*sum) != checksum(value) {
        // Of a write that was cut off, blocks may be missing: what follows them was not synced.
        return Err(match rest.len() == length {
            true => End::Torn,
            false => End::Damaged("the checksum of a record is wrong".to_owned()),
        });
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(value);
    deserializer.set_max_depth(MAX_DEPTH);
    match Record::deserialize(&mut deserializer) {
        Ok(record) => Ok((record, FRAME_BYTES + length)),
        Err(error) => Err(End::Damaged(format!("a record cannot be decoded: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Record> {
        let id = |value: &str| v1::FrameworkId {
            value: value.to_owned(),
        };
        vec![
            Record::Agent {
                info: Pb(v1::AgentInfo {
                    hostname: "h".to_owned(),
                    ..Default::default()
                }),
                boot_id: Some("b".to_owned()),
            },
            Record::Framework {
                info: Pb(v1::FrameworkInfo {
                    id: Some(id("F")),
                    ..Default::default()
                }),
            },
            Record::Executor(Box::new(Executor {
                framework_id: "F".to_owned(),
                info: Pb(v1::ExecutorInfo::default()),
                kind: ExecutorKind::Custom,
                container: "c".to_owned(),
                directory: "/d".to_owned(),
                pid: Some(7),
                ever_sent: true,
                ended: false,
                volumes: [("v".to_owned(), "/p".to_owned())].into(),
            })),
            Record::Task {
                executor_id: "e".to_owned(),
                task: Pb(v1::Task {
                    framework_id: id("F"),
                    ..Default::default()
                }),
            },
            Record::Acknowledged {
                framework_id: "F".to_owned(),
                task_id: "t".to_owned(),
                uuid: vec![0, 255],
            },
        ]
    }

    fn file(records: &[Record]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for record in records {
            append(record, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = file(&samples());
        let found = read(&bytes);
        assert_eq!(found.records, samples());
        assert_eq!((found.good_bytes, found.end), (bytes.len(), End::Whole));
        assert_eq!(read(b"").end, End::Whole);
    }

    #[test]
    fn records_from_before_boots_were_told_apart_are_read() {
        #[derive(Serialize)]
        enum Old {
            Agent { info: Pb<v1::AgentInfo> },
        }
        let info = Pb(v1::AgentInfo::default());
        let old = rmp_serde::to_vec_named(&Old::Agent { info: info.clone() }).unwrap();
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&u32::try_from(old.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&checksum(&old).to_le_bytes());
        bytes.extend_from_slice(&old);
        let boot_id = None;
        assert_eq!(read(&bytes).records, [Record::Agent { info, boot_id }]);
    }

    #[test]
    fn a_cut_off_write_costs_only_what_was_not_written() {
        let records = samples();
        let whole = file(&records);
        let before = file(&records[..records.len() - 1]);
        for cut in before.len() + 1..whole.len() {
            let found = read(&whole[..cut]);
            assert_eq!(found.records, records[..records.len() - 1], "cut at {cut}");
            assert_eq!((found.good_bytes, found.end), (before.len(), End::Torn));
        }
        assert_eq!(read(&HEADER[..3]).end, End::Torn);
    }

    #[test]
    fn damage_is_told_from_a_cut_and_keeps_what_was_before() {
        let records = samples();
        let good = file(&records[..2]).len();
        let mut bytes = file(&records);
        bytes[good + FRAME_BYTES] ^= 1;
        let found = read(&bytes);
        assert_eq!(found.records, records[..2]);
        assert_eq!(found.good_bytes, good);
        assert!(matches!(found.end, End::Damaged(_)), "{:?}", found.end);
        assert!(matches!(read(b"something").end, End::Damaged(_)));
        let mut long = HEADER.to_vec();
        long.extend_from_slice(&[255; 30]);
        assert!(matches!(read(&long).end, End::Damaged(_)));
    }

    #[test]
    fn a_wrong_length_is_no_cut() {
        let records = samples();
        let mut bytes = file(&records);
        let at = file(&records[..2]).len();
        bytes[at + 2] ^= 1;
        let found = read(&bytes);
        assert_eq!(found.records, records[..2]);
        assert!(matches!(found.end, End::Damaged(_)), "{:?}", found.end);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let bytes = file(&samples());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] = damaged[at].wrapping_add(101);
            assert!(read(&damaged).records.len() <= samples().len());
        }
    }
}
