//! How much an archive may become, so that a small one does not fill a disk.
//! Writes nothing.

use thiserror::Error;

/// Most bytes an archive may hold, whatever its size: 1 TiB.
const MAX_BYTES: u64 = 1 << 40;

/// Most files, directories and links of an archive.
const MAX_ENTRIES: u64 = 1_000_000;

/// How many times its own size an archive may become, beyond [`UNSUSPICIOUS_BYTES`]. Deflate, which
/// most use, cannot exceed it; what can is made for nothing else, or holds nothing but zeros.
const MAX_RATIO: u64 = 1_100;

/// Bytes that any archive may become, however small it is.
const UNSUSPICIOUS_BYTES: u64 = 256 << 20;

/// Bytes of the disk that no archive takes.
const KEPT_FREE_BYTES: u64 = 16 << 20;

/// Why an archive is not extracted any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Exceeded {
    #[error("it holds more than {0} files, directories and links")]
    Entries(u64),
    #[error("it becomes larger than {0} bytes")]
    Bytes(u64),
    #[error(
        "its {size} bytes become more than {limit}, over {MAX_RATIO} times as many: it looks like \
         an archive made to fill disks"
    )]
    Ratio { size: u64, limit: u64 },
    #[error("it becomes larger than the {0} bytes that are free on its disk")]
    Disk(u64),
}

/// The limits of one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    entries: u64,
    bytes: u64,
    ratio: u64,
    free: u64,
    size: u64,
}

impl Limits {
    /// Those of an archive of `size` bytes on a disk with `free` ones.
    pub(crate) fn of(size: u64, free: u64) -> Self {
        Limits {
            entries: MAX_ENTRIES,
            bytes: MAX_BYTES,
            ratio: size.saturating_mul(MAX_RATIO).max(UNSUSPICIOUS_BYTES),
            free: free.saturating_sub(KEPT_FREE_BYTES),
            size,
        }
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    entries: u64,
    bytes: u64,
}

impl Budget {
    /// All of it.
    pub(crate) fn new(limits: Limits) -> Self {
        Budget {
            limits,
            entries: 0,
            bytes: 0,
        }
    }

    /// One more file, directory or link.
    pub(crate) fn entry(&mut self) -> Result<(), Exceeded> {
        self.entries += 1;
        match self.entries > self.limits.entries {
            true => Err(Exceeded::Entries(self.limits.entries)),
            false => Ok(()),
        }
    }

    /// So many bytes more.
    pub(crate) fn bytes(&mut self, more: usize) -> Result<(), Exceeded> {
        let Limits {
            bytes,
            ratio,
            free,
            size,
            ..
        } = self.limits;
        self.bytes = self.bytes.saturating_add(more as u64);
        if self.bytes > free {
            return Err(Exceeded::Disk(free));
        }
        if self.bytes > ratio {
            return Err(Exceeded::Ratio { size, limit: ratio });
        }
        match self.bytes > bytes {
            true => Err(Exceeded::Bytes(bytes)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = u64::MAX;

    #[test]
    fn every_limit_is_kept() {
        let mut budget = Budget::new(Limits {
            entries: 2,
            ..Limits::of(1, PLENTY)
        });
        assert_eq!([budget.entry(), budget.entry()], [Ok(()), Ok(())]);
        assert_eq!(budget.entry(), Err(Exceeded::Entries(2)));

        let mut budget = Budget::new(Limits::of(1, KEPT_FREE_BYTES + 10));
        assert_eq!([budget.bytes(4), budget.bytes(6)], [Ok(()), Ok(())]);
        assert_eq!(budget.bytes(1), Err(Exceeded::Disk(10)));

        let mut budget = Budget::new(Limits::of(10, PLENTY));
        assert_eq!(budget.bytes(256 << 20), Ok(()));
        let limit = 256 << 20;
        assert_eq!(budget.bytes(1), Err(Exceeded::Ratio { size: 10, limit }));

        let mut budget = Budget::new(Limits::of(PLENTY, PLENTY));
        assert_eq!(budget.bytes(1 << 40), Ok(()));
        assert_eq!(budget.bytes(1), Err(Exceeded::Bytes(1 << 40)));
    }

    #[test]
    fn an_archive_of_some_size_may_become_a_thousand_times_as_much() {
        let mut budget = Budget::new(Limits::of(1 << 20, PLENTY));
        assert_eq!(budget.bytes(1_100 << 20), Ok(()));
        assert!(matches!(budget.bytes(1), Err(Exceeded::Ratio { .. })));
    }
}
