//! The app manager's decisions: definitions, deployments, placement, life cycles.
//! Keeps nothing, probes nothing, sends nothing: it returns effects.

pub mod constraint;
pub mod definition;
pub mod deployment;
pub mod engine;
pub mod group;
pub mod ids;
pub mod instance;
pub mod manager;
pub mod matching;
pub mod place;
pub mod plan;
pub mod ports;
pub mod probe;
pub mod queue;
pub mod task;
