//! Every decision of Tepui as plain synchronous code: state, time and event in, effects out.
//! Performs nothing itself: no actor, clock, file or socket.

pub mod agent;
pub mod allocator;
pub mod ids;
pub mod maintenance;
pub mod marathon;
pub mod master;
pub mod memo;
pub mod quota;
pub mod registry;
pub mod resources;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod time;
pub mod validation;
