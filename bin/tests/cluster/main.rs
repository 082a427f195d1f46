//! Starts real clusters and drives them over HTTP, as a framework's author would.
//! One module for each thing that must work.
#![allow(
    clippy::disallowed_methods,
    reason = "process tests wait in real time for real programs"
)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod agent_journal;
mod agent_reads;
mod agent_reboot;
mod agent_restart;
mod apps;
mod bad_input;
mod checks;
mod cli;
mod compression;
mod disk;
mod drain;
mod endpoints;
mod executors;
mod failover;
mod fetcher;
mod figures;
mod garbage;
mod groups;
mod images;
mod isolation;
mod leftovers;
mod limits;
mod logs;
mod marathon;
mod marathon_crashes;
mod members;
mod metrics;
mod namespaces;
mod nested;
mod nested_checks;
mod operations;
mod operator_api;
mod operators;
mod privileges;
mod removals;
mod sharing;
mod streams;
mod tasks;
mod volumes;
mod why;
