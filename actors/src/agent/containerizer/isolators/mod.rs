//! The isolators, one duty each.
//! Which of them an agent uses is `choice`'s business.

pub(super) mod capabilities;
pub(super) mod cpu;
pub(super) mod disk;
pub(super) mod filesystem;
pub(super) mod image_volumes;
pub(super) mod mem;
pub(super) mod namespaces;
pub(super) mod pids;
pub(super) mod process;
pub(super) mod volumes;
