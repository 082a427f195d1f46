//! Which containers of this agent may have left something behind: one empty file for each, made
//! before anything else of it and removed last. Knows nothing of what is left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tepui_core::ids::ContainerId;

/// The directory below the work directory.
const DIRECTORY: &str = "meta/containers";

/// The records of one agent. Another agent of the machine has others, though their containers may
/// share the cgroup above their own.
#[derive(Debug)]
pub(super) struct Records {
    directory: PathBuf,
}

impl Records {
    /// Makes their directory if need be.
    pub(super) fn open(work_dir: &Path) -> io::Result<Self> {
        let directory = work_dir.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        Ok(Records { directory })
    }

    /// A container begins. What it leaves does not outlive the machine, so that nothing needs to
    /// be on disk at once.
    pub(super) fn add(&self, id: &ContainerId) -> io::Result<()> {
        File::create(self.directory.join(id.as_str())).map(drop)
    }

    /// Whether it may have left something.
    pub(super) fn has(&self, id: &ContainerId) -> bool {
        self.directory.join(id.as_str()).exists()
    }

    /// Nothing is left of it.
    pub(super) fn remove(&self, id: &ContainerId) -> io::Result<()> {
        match fs::remove_file(self.directory.join(id.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All that may have left something.
    pub(super) fn all(&self) -> io::Result<Vec<ContainerId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            if let Some(name) = entry?.file_name().to_str() {
                found.push(ContainerId::from(name));
            }
        }
        Ok(found)
    }
}

/// Whether there is no record in this work directory.
pub(super) fn is_empty(work_dir: &Path) -> bool {
    match fs::read_dir(work_dir.join(DIRECTORY)) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_from_its_beginning_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        assert!(records.all().unwrap().is_empty());
        let id = ContainerId::from("c");
        records.add(&id).unwrap();
        let again = Records::open(dir.path()).unwrap();
        assert_eq!(again.all().unwrap(), std::slice::from_ref(&id));
        again.remove(&id).unwrap();
        again.remove(&id).unwrap();
        assert!(records.all().unwrap().is_empty());
    }
}
