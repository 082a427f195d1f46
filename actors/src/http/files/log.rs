//! The server's own log as a virtual file: `/master/log`, `/slave/log`.
//! Writes no log.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Attached, Place};

/// The flag that names the file.
const FLAG: &str = "external_log_file";

/// A log file that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    virtual_path: &'static str,
    file: Option<PathBuf>,
}

impl Log {
    /// The log that the flags name (`--external_log_file`), to be shown as `virtual_path`.
    pub fn of(flags: &BTreeMap<String, String>, virtual_path: &'static str) -> Self {
        Log {
            virtual_path,
            file: flags.get(FLAG).map(PathBuf::from),
        }
    }

    /// The log of a master: `/master/log`, for `/files/*`, LIST_FILES and READ_FILE.
    pub fn of_master(flags: &BTreeMap<String, String>) -> Self {
        Log::of(flags, "/master/log")
    }

    /// The log of an agent: `/slave/log`.
    pub fn of_agent(flags: &BTreeMap<String, String>) -> Self {
        Log::of(flags, "/slave/log")
    }
}

impl Attached for Log {
    fn find(&self, path: &str) -> Option<Place> {
        let file = self.file.as_ref()?;
        let inner = Path::new(path).strip_prefix(self.virtual_path).ok()?;
        let climbs = inner.components().any(|part| part == Component::ParentDir);
        (!climbs).then(|| Place::new(file, inner))
    }

    fn paths(&self) -> BTreeMap<String, String> {
        let shown = |file: &PathBuf| {
            let real = file.to_string_lossy().into_owned();
            (self.virtual_path.to_owned(), real)
        };
        self.file.iter().map(shown).collect()
    }
}
