//! What this program is and what it speaks, as `/version` and `/state` tell it.
//! Answers no request itself.

use serde::Serialize;

/// Version of Mesos's interfaces spoken here. Clients parse it, so it is purely numeric.
pub const MESOS_VERSION: &str = "1.12.0";

/// Version of this program.
pub const TEPUI_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `/version` answers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Version {
    /// [`MESOS_VERSION`].
    pub version: &'static str,
    /// [`TEPUI_VERSION`].
    pub tepui_version: &'static str,
    /// Commit it was built from; empty when it was not given to the build.
    pub git_sha: &'static str,
    /// When it was built, as text; empty when it was not given to the build.
    pub build_date: &'static str,
    /// When it was built, in seconds since the Unix epoch; 0 when it was not given to the build.
    pub build_time: f64,
    /// Who built it; empty when it was not given to the build.
    pub build_user: &'static str,
}

/// This program. What differs between two builds of one source comes from the environment of
/// the build (`TEPUI_GIT_SHA`, `TEPUI_BUILD_DATE`, `TEPUI_BUILD_TIME`, `TEPUI_BUILD_USER`), so
/// that builds without it are reproducible.
pub fn version() -> Version {
    Version {
        version: MESOS_VERSION,
        tepui_version: TEPUI_VERSION,
        git_sha: option_env!("TEPUI_GIT_SHA").unwrap_or_default(),
        build_date: option_env!("TEPUI_BUILD_DATE").unwrap_or_default(),
        build_time: option_env!("TEPUI_BUILD_TIME")
            .and_then(|time| time.parse().ok())
            .unwrap_or(0.0),
        build_user: option_env!("TEPUI_BUILD_USER").unwrap_or_default(),
    }
}
