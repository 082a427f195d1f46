//! The app manager's skin: its HTTP API, its store, its connection to the master, its probes.
//! Decisions are in `tepui_core::marathon`.

pub mod events;
pub mod handle;
pub mod store;
