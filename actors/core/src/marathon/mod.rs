//! The app manager's decisions: definitions, deployments, placement, life cycles.
//! Keeps nothing, probes nothing, sends nothing: it returns effects.

pub mod ids;
pub mod place;
