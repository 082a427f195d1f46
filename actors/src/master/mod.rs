//! The master's skin: actors, sockets and timers around `tepui_core::master`.
//! Takes no decision of its own.

mod actor;
pub mod config;
mod cores;
pub mod link;
mod load;
mod mailbox;
mod messages;
pub mod proxy;
pub mod run;
mod server;
mod standby;
pub mod subscribers;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod whitelist;

pub use actor::{MasterActor, MasterCore, PUBLISH_INTERVAL};
pub use mailbox::MasterMailbox;
pub use messages::{CallPermits, ToMaster};
pub use run::{RunError, Running, run, run_in_foreground};
