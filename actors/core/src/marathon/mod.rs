//! The app manager's decisions: definitions, deployments, placement, life cycles.
//! Keeps nothing, probes nothing, sends nothing: it returns effects.

pub mod deployment;
pub mod engine;
pub mod ids;
pub mod instance;
pub mod place;
pub mod queue;
