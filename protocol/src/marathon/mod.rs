//! Marathon's REST shapes in their one canonical form: what is stored, planned with and given back.
//! Old forms (`uris`, `ports`, `ipAddress`, ...) are read and rewritten in `tepui-core`, never here.

mod app;
mod checks;
mod container;
mod deployment;
mod path;
mod timestamp;

pub use app::*;
pub use checks::*;
pub use container::*;
pub use deployment::*;
pub use path::PathId;
pub use timestamp::{BadTimestamp, Timestamp};

#[cfg(test)]
mod tests;
