//! How the logs of containers are rotated: what the flags say, and what a container's environment
//! says otherwise. Rotates nothing.

use std::collections::BTreeMap;

use crate::flags::parse_bytes;

/// Smallest size of a log in bytes: Mesos demands a page.
pub const MIN_LOG_BYTES: u64 = 4096;

/// Most files that are kept beside the log itself.
pub const MAX_ROTATED: usize = 1000;

/// What precedes the names of variables that change it for one container.
const PREFIX: &str = "CONTAINER_LOGGER_";

/// What becomes of the output of containers; `container_logger` chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainerLogger {
    /// It is written to plain files in the sandbox. (Mesos: `SandboxContainerLogger`.)
    #[default]
    Sandbox,
    /// It is written to files that are rotated. (Mesos: `LogrotateContainerLogger`.)
    Logrotate {
        /// What holds for the standard output.
        stdout: Rotation,
        /// What holds for the standard error.
        stderr: Rotation,
    },
}

/// How one log is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The most bytes that one file holds.
    pub max_size: u64,
    /// How many files are kept beside the log itself.
    pub keep: usize,
}

impl Rotation {
    /// As arguments of the process that does it.
    pub(super) fn arguments(self) -> [String; 2] {
        [self.max_size.to_string(), self.keep.to_string()]
    }

    /// Reads [`Self::arguments`].
    pub(super) fn from_arguments(max_size: &str, keep: &str) -> Option<Self> {
        Some(Rotation {
            max_size: max_size.parse().ok()?,
            keep: keep.parse().ok()?,
        })
    }

    /// The same with what the container's environment says of `STDOUT` or `STDERR`.
    fn changed(
        mut self,
        name: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let variable = |name: String| environment.get(&name).map(|value| (name, value));
        let wrong = |name: &str, value: &str, why: &str| {
            format!("Invalid environment variable '{name}': '{value}' is not {why}")
        };
        if let Some((name, value)) = variable(format!("{PREFIX}MAX_{name}_SIZE")) {
            let size = log_size(value);
            self.max_size = size.ok_or_else(|| wrong(&name, value, LOG_SIZE))?;
        }
        if let Some((name, value)) = variable(format!("{PREFIX}LOGROTATE_{name}_OPTIONS")) {
            let keep = kept(value, self.keep);
            self.keep = keep.ok_or_else(|| wrong(&name, value, OPTIONS))?;
        }
        Ok(self)
    }
}

impl ContainerLogger {
    /// How a container's standard output and error are rotated, if they are.
    ///
    /// # Errors
    /// When its environment asks for what cannot be done.
    pub(super) fn rotations(
        &self,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<[Rotation; 2]>, String> {
        Ok(match self {
            ContainerLogger::Sandbox => None,
            ContainerLogger::Logrotate { stdout, stderr } => Some([
                stdout.changed("STDOUT", environment)?,
                stderr.changed("STDERR", environment)?,
            ]),
        })
    }
}

/// What a right size looks like.
pub const LOG_SIZE: &str = "a size of at least 4KB, such as '10MB'";

/// What right options look like.
pub const OPTIONS: &str = "'rotate COUNT' with a count from 0 to 1000, the only option of logrotate \
                           that is supported";

/// Reads the size of a log.
pub fn log_size(text: &str) -> Option<u64> {
    parse_bytes(text).filter(|size| *size >= MIN_LOG_BYTES)
}

/// Reads options in the words of `logrotate`: how many files are kept; `default` when nothing is
/// said of it.
pub fn kept(options: &str, default: usize) -> Option<usize> {
    let mut keep = default;
    for line in options
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("rotate"), Some(count), None) => {
                keep = count.parse().ok().filter(|keep| *keep <= MAX_ROTATED)?;
            }
            _ => return None,
        }
    }
    Some(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTATION: Rotation = Rotation {
        max_size: 10 << 20,
        keep: 9,
    };

    fn rotations(variables: &[(&str, &str)]) -> Result<[Rotation; 2], String> {
        let logger = ContainerLogger::Logrotate {
            stdout: ROTATION,
            stderr: ROTATION,
        };
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let rotations = logger.rotations(&environment.collect())?;
        Ok(rotations.expect("it rotates"))
    }

    #[test]
    fn a_containers_environment_changes_what_it_names() {
        assert_eq!(rotations(&[]).unwrap(), [ROTATION; 2]);
        let [stdout, stderr] = rotations(&[
            ("CONTAINER_LOGGER_MAX_STDOUT_SIZE", "1MB"),
            ("CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS", "\n rotate 3\n"),
        ])
        .unwrap();
        assert_eq!((stdout.max_size, stdout.keep), (1 << 20, 9));
        assert_eq!((stderr.max_size, stderr.keep), (10 << 20, 3));
        let text = stdout.arguments();
        assert_eq!(Rotation::from_arguments(&text[0], &text[1]), Some(stdout));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (name, value) in [
            ("CONTAINER_LOGGER_MAX_STDOUT_SIZE", "1KB"),
            ("CONTAINER_LOGGER_MAX_STDERR_SIZE", "much"),
            ("CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "compress"),
            ("CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "rotate 1001"),
            ("CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "rotate"),
        ] {
            let why = rotations(&[(name, value)]).unwrap_err();
            assert!(why.contains(name) && why.contains(value), "{why}");
        }
    }

    #[test]
    fn plain_files_are_not_rotated() {
        let environment = BTreeMap::new();
        assert_eq!(ContainerLogger::Sandbox.rotations(&environment), Ok(None));
    }
}
