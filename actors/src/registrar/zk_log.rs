//! The stored form of a registry in ZooKeeper: a head, and a log of rows cut into chunks.
//! Does no IO.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::store::row_bytes;
use tepui_core::registry::Row;

/// Version of the stored form; a master refuses to read a newer one.
pub const FORMAT: u32 = 1;

/// Most bytes in one chunk. ZooKeeper refuses requests near 1 MB.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The log may be this many times larger than its rows before it is written anew.
const MAX_GARBAGE_FACTOR: u64 = 4;

/// Below this size garbage costs less than writing the rows anew.
const MIN_COMPACT_BYTES: u64 = 4 * CHUNK_BYTES as u64;

/// Most chunks a log has beside those its rows need; small writes make small chunks, and loading
/// reads each one.
const MAX_EXTRA_CHUNKS: u64 = 1_000;

/// Most segments: every leader that writes adds one, and the head lists them.
const MAX_SEGMENTS: usize = 16;

/// Start of the names of chunks.
const CHUNK_PREFIX: &str = "log-";

/// The node that says what counts. Replacing its data is what commits a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Epoch of the leader that loaded last; none with a smaller one may write.
    pub epoch: u64,
    /// Version of the head's node from which on it is that leader's. Tells two loads of one epoch
    /// apart, so that no store takes another's head for its own.
    pub since: i32,
    /// The committed log, oldest first.
    pub segments: Vec<Segment>,
}

/// The part of a head that every version can read.
#[derive(Debug, Deserialize)]
pub struct Format {
    /// Format of the whole.
    pub format: u32,
}

/// A run of chunks that one leader wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Names the segment.
    pub id: SegmentId,
    /// Chunks `0..chunks` are committed.
    pub chunks: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Names a segment for ever: no leader uses another's epoch, and none a generation twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SegmentId {
    /// Epoch of its writer.
    pub epoch: u64,
    /// Version of the head's node when the segment was begun.
    pub generation: u64,
}

/// Names a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId {
    /// The segment it belongs to.
    pub segment: SegmentId,
    /// Its place there.
    pub index: u64,
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SegmentId { epoch, generation } = self.segment;
        let index = self.index;
        write!(f, "{CHUNK_PREFIX}{epoch:010}-{generation:010}-{index:010}")
    }
}

impl ChunkId {
    /// The chunk of this name; none for other nodes.
    #[must_use]
    pub fn named(name: &str) -> Option<ChunkId> {
        let mut numbers = name.strip_prefix(CHUNK_PREFIX)?.split('-').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let (epoch, generation, index) = (next()?, next()?, next()?);
        let id = ChunkId {
            segment: SegmentId { epoch, generation },
            index,
        };
        // Only names as they are written, so that every chunk has one name.
        (id.to_string() == name).then_some(id)
    }
}

impl Head {
    /// That of a registry without rows.
    #[must_use]
    pub fn empty(epoch: u64) -> Head {
        Head {
            format: FORMAT,
            epoch,
            since: 0,
            segments: Vec::new(),
        }
    }

    /// True when the chunk counts.
    #[must_use]
    pub fn holds(&self, chunk: ChunkId) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.id == chunk.segment && chunk.index < segment.chunks)
    }

    /// Every chunk that counts.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> {
        self.segments.iter().flat_map(|segment| {
            let segment = *segment;
            (0..segment.chunks).map(move |index| ChunkId {
                segment: segment.id,
                index,
            })
        })
    }

    /// True when a log like this, with so many more bytes and chunks, is too long for these
    /// rows.
    #[must_use]
    pub fn must_compact(&self, more_bytes: u64, rows: &Rows) -> bool {
        let live_bytes = rows.bytes();
        let sum = |of: fn(&Segment) -> u64| self.segments.iter().map(of).sum::<u64>();
        let bytes = sum(|segment| segment.bytes) + more_bytes;
        let chunks = sum(|segment| segment.chunks) + chunks_of(more_bytes);
        let too_large = bytes > MIN_COMPACT_BYTES.max(MAX_GARBAGE_FACTOR * live_bytes);
        let too_many = chunks > MAX_EXTRA_CHUNKS + MAX_GARBAGE_FACTOR * chunks_of(live_bytes);
        too_large || too_many || self.segments.len() > MAX_SEGMENTS
    }
}

/// Chunks that so many bytes are cut into.
fn chunks_of(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_BYTES as u64)
}

/// The rows of a registry, with their size.
#[derive(Debug, Default)]
pub struct Rows {
    rows: BTreeMap<String, Vec<u8>>,
    bytes: i64,
}

impl Rows {
    /// Bytes of all keys and values.
    #[must_use]
    pub fn size(&self) -> i64 {
        self.bytes
    }

    /// The same as [`Rows::size`], which is never negative.
    fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(0)
    }

    /// Applies one row; a row without a value goes.
    pub fn apply(&mut self, key: String, value: Option<Vec<u8>>) {
        let before = match value {
            None => self.rows.remove_entry(&key),
            Some(value) => {
                self.bytes += row_bytes(&key, &value);
                let before = self.rows.remove_entry(&key);
                self.rows.insert(key, value);
                before
            }
        };
        if let Some((key, value)) = before {
            self.bytes -= row_bytes(&key, &value);
        }
    }

    /// Applies rows of the log; says what is wrong with bytes that are none.
    ///
    /// # Errors
    /// When the bytes are no rows.
    pub fn read(&mut self, mut log: &[u8]) -> Result<(), rmp_serde::decode::Error> {
        while !log.is_empty() {
            let (key, value): (String, Option<ByteBuf>) = rmp_serde::from_read(&mut log)?;
            self.apply(key, value.map(ByteBuf::into_vec));
        }
        Ok(())
    }

    /// All rows as a log that holds nothing else.
    ///
    /// # Errors
    /// When a row is too large for msgpack.
    pub fn write(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        let mut log = Vec::new();
        for (key, value) in &self.rows {
            write_row(&mut log, key, Some(value))?;
        }
        Ok(log)
    }

    /// A copy of all rows.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(String, Vec<u8>)> {
        let rows = self.rows.iter();
        rows.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// Rows as they are appended to the log.
///
/// # Errors
/// When a row is too large for msgpack.
pub fn write_rows(rows: &[Row]) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut log = Vec::new();
    for row in rows {
        write_row(&mut log, &row.key, row.value.as_deref())?;
    }
    Ok(log)
}

fn write_row(
    log: &mut Vec<u8>,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), rmp_serde::encode::Error> {
    rmp_serde::encode::write(log, &(key, value.map(Bytes::new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(epoch: u64, generation: u64, chunks: u64, bytes: u64) -> Segment {
        Segment {
            id: SegmentId { epoch, generation },
            chunks,
            bytes,
        }
    }

    fn row(key: &str, value: Option<&[u8]>) -> Row {
        Row {
            key: key.to_owned(),
            value: value.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn chunk_names_are_unique_and_read_back() {
        let id = ChunkId {
            segment: SegmentId {
                epoch: 7,
                generation: 2,
            },
            index: 13,
        };
        assert_eq!(id.to_string(), "log-0000000007-0000000002-0000000013");
        assert_eq!(ChunkId::named(&id.to_string()), Some(id));
        for other in [
            "head",
            "log-",
            "log-1-2-3",
            "log-0000000007-0000000002",
            "log-0000000007-0000000002-0000000013-0000000001",
            "log-000000000x-0000000002-0000000013",
        ] {
            assert_eq!(ChunkId::named(other), None, "{other}");
        }
    }

    #[test]
    fn rows_survive_the_log_and_are_counted() {
        let mut rows = Rows::default();
        let first = write_rows(&[row("a", Some(b"1234")), row("b", Some(b""))]).expect("rows");
        let second = write_rows(&[row("a", Some(b"1")), row("b", None), row("c", None)]);
        rows.read(&first).expect("first");
        assert_eq!(rows.bytes(), 6);
        rows.read(&second.expect("rows")).expect("second");
        assert_eq!(rows.bytes(), 2);
        assert_eq!(rows.to_vec(), vec![("a".to_owned(), b"1".to_vec())]);

        let mut again = Rows::default();
        again.read(&rows.write().expect("rows")).expect("log");
        assert_eq!(again.to_vec(), rows.to_vec());
        assert_eq!(again.bytes(), 2);
    }

    #[test]
    fn refuses_what_is_no_log() {
        let log = write_rows(&[row("key", Some(&[7; 100]))]).expect("rows");
        for end in 1..log.len() {
            assert!(Rows::default().read(&log[..end]).is_err(), "cut at {end}");
        }
        assert!(Rows::default().read(&[0xc1]).is_err());
        // Claims four gigabytes that are not there.
        let claim = [0x92, 0xa1, b'k', 0xc6, 0xff, 0xff, 0xff, 0xff, 0];
        assert!(Rows::default().read(&claim).is_err());
    }

    #[test]
    fn a_head_knows_its_chunks() {
        let mut head = Head::empty(9);
        head.segments = vec![segment(3, 0, 2, 10), segment(9, 1, 1, 5)];
        let names: Vec<String> = head.chunks().map(|id| id.to_string()).collect();
        assert_eq!(
            names,
            [
                "log-0000000003-0000000000-0000000000",
                "log-0000000003-0000000000-0000000001",
                "log-0000000009-0000000001-0000000000",
            ]
        );
        assert!(head.chunks().all(|id| head.holds(id)));
        let beyond = ChunkId {
            segment: head.segments[0].id,
            index: 2,
        };
        assert!(!head.holds(beyond));
    }

    fn rows_of(bytes: u64) -> Rows {
        Rows {
            rows: BTreeMap::new(),
            bytes: i64::try_from(bytes).expect("small"),
        }
    }

    #[test]
    fn compacts_only_when_garbage_prevails() {
        let mut head = Head::empty(1);
        let chunk = CHUNK_BYTES as u64;
        head.segments = vec![segment(1, 0, 39, 39 * chunk)];
        assert!(!head.must_compact(chunk, &rows_of(10 * chunk)));
        assert!(head.must_compact(2 * chunk, &rows_of(10 * chunk)));
        // Small logs are left alone, whatever their rows.
        head.segments = vec![segment(1, 0, 4, 3 * chunk)];
        assert!(!head.must_compact(10, &rows_of(0)));
        // Many tiny chunks.
        head.segments = vec![segment(1, 0, 1_003, 100_000)];
        assert!(!head.must_compact(100, &rows_of(100_000)));
        head.segments = vec![segment(1, 0, 1_004, 100_000)];
        assert!(head.must_compact(100, &rows_of(100_000)));
        // Many leaders.
        head.segments = (0..17).map(|epoch| segment(epoch, 0, 1, 10)).collect();
        assert!(head.must_compact(1, &rows_of(170)));
    }
}
