//! Elections, the registry and the store of the app manager with real ZooKeeper servers.
//! Starts no master; the process tests do.
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait in real time for real programs"
)]

mod election;
mod leaders;
mod marathon;
mod registry;
mod support;
