//! The engine: fixture in, effects out, and nothing unexpected left over.

mod fixture;

mod deployments;
mod health;
mod large;
mod queue;
mod random;
mod resident;
mod restarts;
mod statuses;
mod unreachable;
mod upgrades;
