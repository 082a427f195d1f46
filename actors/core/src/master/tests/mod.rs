//! Tests of the master's core: one input, its effects, and nothing left over.
//! Wire formats and sockets are tested where they are.

mod agents;
mod changes;
mod fixture;
mod launch;
mod operation_updates;
mod operator_changes;
mod parts;
mod random;
mod reregister;
mod subscribe;
mod updates;
