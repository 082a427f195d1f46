//! The skins of the app manager: what keeps its state, talks to the master and probes its tasks.
//! Decides nothing; what to store, launch and kill is decided in `tepui_core::marathon`.

pub mod store;
