//! Which processes lead the containers that have outlived the agent, and which belong to none.
//! Looks for no process itself.

use crate::ids::ContainerId;

/// A container that may still have a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// The container.
    pub container: ContainerId,
    /// Its sandbox, which its processes name in their environment.
    pub directory: String,
    /// The process it had, if that was recorded.
    pub pid: Option<u32>,
}
