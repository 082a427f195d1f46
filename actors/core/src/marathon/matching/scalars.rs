//! Amounts of one scalar, taken from the entries of an offer.
//! Which entries may be used has been decided before.

use crate::resources::{Entry, Name, Resources};

/// The scalars that apps ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// `cpus`
    Cpus,
    /// `mem`
    Mem,
    /// `disk`, of the agent's own disk
    Disk,
    /// `gpus`
    Gpus,
}

impl Scalar {
    /// All of them, in the order in which Marathon looks at them.
    pub const ALL: [Scalar; 4] = [Scalar::Cpus, Scalar::Mem, Scalar::Disk, Scalar::Gpus];

    /// Its name in Mesos.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::Cpus => "cpus",
            Scalar::Mem => "mem",
            Scalar::Disk => "disk",
            Scalar::Gpus => "gpus",
        }
    }

    fn is_name_of(self, entry: &Entry) -> bool {
        match self {
            Scalar::Cpus => *entry.kind() == Name::Cpus,
            Scalar::Mem => *entry.kind() == Name::Mem,
            // Disks with a source of their own are for persistent volumes.
            Scalar::Disk => *entry.kind() == Name::Disk && entry.disk().is_none(),
            Scalar::Gpus => *entry.kind() == Name::Gpus,
        }
    }
}

/// Takes what a task and its executor need of one scalar, in thousandths, reserved entries first.
/// Amounts that are not above zero take nothing.
///
/// # Errors
/// How much there is, when that is too little.
pub fn take_both(
    usable: &Resources,
    scalar: Scalar,
    task_milli: i64,
    executor_milli: i64,
) -> Result<(Resources, Resources), i64> {
    if task_milli <= 0 && executor_milli <= 0 {
        return Ok(Default::default());
    }
    let mut entries: Vec<(&Entry, i64)> = usable
        .iter()
        .filter(|entry| scalar.is_name_of(entry))
        .filter_map(|entry| Some((entry, entry.scalar_milli()?)))
        .collect();
    entries.sort_by_key(|(entry, _)| !entry.is_reserved());
    let offered = entries
        .iter()
        .fold(0_i64, |sum, (_, milli)| sum.saturating_add(*milli));
    let wanted = task_milli.max(0).saturating_add(executor_milli.max(0));
    if offered < wanted {
        return Err(offered);
    }
    let task = take(&mut entries, task_milli);
    let executor = take(&mut entries, executor_milli);
    Ok((task, executor))
}

fn take(entries: &mut [(&Entry, i64)], mut wanted_milli: i64) -> Resources {
    let mut taken = Resources::new();
    for (entry, left) in entries {
        let part = wanted_milli.min(*left);
        if part > 0 {
            taken.add_entry(entry.with_milli(part));
            *left -= part;
            wanted_milli -= part;
        }
    }
    taken
}
