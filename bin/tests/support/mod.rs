//! What the process tests share: real clusters on loopback and a plain HTTP client.
//! Holds no test of its own.
#![allow(dead_code, reason = "every test binary uses its own part")]

pub mod cgroups;
pub mod cluster;
pub mod framework;
pub mod http;
pub mod marathon;

use std::time::Duration;

/// Longest time a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
