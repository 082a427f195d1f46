//! How containers that were launched by calls have ended: one small file for each, written by the
//! container's own first process, so that an agent that was away can be told.
//! Knows of no container that runs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tepui_core::ids::ContainerId;

/// The directory below the work directory.
const DIRECTORY: &str = "meta/statuses";

/// The files of one agent.
#[derive(Debug)]
pub(in super::super) struct Statuses {
    directory: PathBuf,
}

impl Statuses {
    /// Makes their directory if need be.
    pub(super) fn open(work_dir: &Path) -> io::Result<Self> {
        let directory = work_dir.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        Ok(Statuses { directory })
    }

    /// Where a container's is written.
    pub(super) fn path(&self, id: &ContainerId) -> PathBuf {
        self.directory.join(id.as_str())
    }

    /// The wait status of a container that has ended; none where nobody has written it.
    pub(in super::super) fn read(&self, id: &ContainerId) -> Option<i32> {
        let text = fs::read_to_string(self.path(id)).ok()?;
        text.trim().parse().ok()
    }

    /// Nobody will ask any more.
    pub(in super::super) fn forget(&self, id: &ContainerId) {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(container = %id, %error, "cannot remove the status of a container");
            }
            _ => {}
        }
    }

    /// Forgets all but those that are known.
    pub(in super::super) fn keep(&self, known: &BTreeSet<ContainerId>) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        for entry in entries.flatten() {
            if let Some(name) = entry.file_name().to_str()
                && !known.contains(name)
            {
                self.forget(&ContainerId::from(name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let statuses = Statuses::open(dir.path()).unwrap();
        let [a, b, c] = ["r.a", "r.b", "r.c"].map(ContainerId::from);
        assert_eq!(statuses.read(&a), None);
        fs::write(statuses.path(&a), "1792").unwrap();
        fs::write(statuses.path(&b), "9").unwrap();
        // One that was not written to its end says nothing.
        fs::write(statuses.path(&c), "").unwrap();
        assert_eq!((statuses.read(&a), statuses.read(&c)), (Some(1792), None));
        statuses.keep(&[b.clone()].into());
        assert_eq!((statuses.read(&a), statuses.read(&b)), (None, Some(9)));
        statuses.forget(&b);
        statuses.forget(&b);
        assert_eq!(statuses.read(&b), None);
    }
}
