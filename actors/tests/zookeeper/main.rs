//! Elections and the registry with real ZooKeeper servers.
//! Starts no master; the process tests do.
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait in real time for real programs"
)]

mod election;
mod registry;
mod support;
