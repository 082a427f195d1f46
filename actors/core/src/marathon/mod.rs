//! The app manager's decisions: definitions, deployments, placement, life cycles.
//! Keeps nothing, probes nothing, sends nothing: it returns effects.

pub mod definition;
pub mod group;
pub mod ids;
pub mod place;
pub mod plan;
