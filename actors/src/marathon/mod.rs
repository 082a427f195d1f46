//! The skins of the app manager: what connects its decisions to the master and to tasks.
//! Decides nothing about apps.

pub mod driver;
pub mod prober;
