//! Tests of the master's core: one input, its effects, and nothing left over.
//! Wire formats and sockets are tested where they are.

mod agents;
mod changes;
mod drain;
mod fixture;
mod gone;
mod inverse_offers;
mod launch;
mod maintenance;
mod old_quota;
mod operation_updates;
mod operator_changes;
mod operator_events;
mod parts;
mod quota;
mod random;
mod random_settings;
mod removals;
mod reregister;
mod subscribe;
mod updates;
mod watcher;
mod weights;
