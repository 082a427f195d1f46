//! Validation of what frameworks, executors and agents send, with the texts Apache Mesos answers.
//! Changes nothing and looks nothing up: callers pass in what a rule depends on.
//!
//! Every function stops at the first error and returns the text for the other side, so the order
//! of the checks is part of the interface.

pub mod agent;
pub mod agent_call;
pub mod checks;
pub mod constraints;
pub mod container;
mod debug_text;
pub mod executor;
pub mod executor_call;
pub mod framework;
pub mod ids;
pub mod maintenance;
pub mod normalise;
pub mod operation;
pub mod quota;
pub mod re2;
pub mod resource;
pub mod roles;
mod same_executor;
pub mod scheduler_call;
pub mod task;
pub mod task_group;
mod text;
pub mod weights;

#[cfg(test)]
mod tests;
