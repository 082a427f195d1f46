//! The app manager's skin: its HTTP API, its store, its connection to the master, its probes.
//! Decisions are in `tepui_core::marathon`.

pub mod config;
pub mod driver;
pub mod events;
pub mod handle;
pub mod http;
pub mod loggers;
pub mod prober;
pub mod probes;
pub mod process;
pub mod proxy;
pub mod records;
pub mod run;
pub mod store;
