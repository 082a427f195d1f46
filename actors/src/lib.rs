//! The thin skins around Tepui's decisions: actors, sockets, disks and clocks.
//! Decides nothing that `tepui-core` can decide.

pub mod advertise;
pub mod agent;
pub mod allocator;
pub mod client;
pub mod clock;
pub mod directory;
pub mod election;
pub mod flags;
pub mod http;
pub mod logging;
pub mod marathon;
pub mod master;
pub mod metrics;
pub mod open_files;
pub mod random;
pub mod registrar;
pub mod signals;
