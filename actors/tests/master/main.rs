//! Tests of a whole master in this process, over real sockets.
//! Agents are played by the test; real ones are tested with the programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod agent;
mod client;
mod hostile;
mod links;
mod marathon;
mod marathon_driver;
mod reads;
mod restart;
mod scheduler;
mod settings;
