//! Mesos's layout of the work directory, as text.
//! Touches no file.

use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId};

/// Longest name of a directory entry, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Sandbox of one run of an executor.
pub fn run(
    work_dir: &str,
    agent: &AgentId,
    framework: &FrameworkId,
    executor: &ExecutorId,
    container: &ContainerId,
) -> String {
    let agent = agent_dir(work_dir, agent);
    format!("{agent}/frameworks/{framework}/executors/{executor}/runs/{container}")
}

/// Directory of everything of one agent id.
pub fn agent_dir(work_dir: &str, agent: &AgentId) -> String {
    format!("{}/{agent}", join(work_dir, "slaves"))
}

/// Whether an id can be the name of a directory of its own.
pub fn is_safe_name(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_NAME_BYTES
        && id != "."
        && id != ".."
        && !id.contains(['/', '\0'])
}

pub(super) fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_safe() {
        for bad in ["", ".", "..", "a/b", "../x", "a\0b", &"x".repeat(256)] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
        for good in ["a", "...", "a b", "ä", &"x".repeat(255)] {
            assert!(is_safe_name(good), "{good:?}");
        }
    }
}
