//! The levels of logging as Marathon's API shows and changes them: GET and POST /logging.
//! Keeps none; `crate::logging` does.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;

use super::http::{LoggerChange, Loggers};

pub use crate::logging::{Loggers as MarathonLoggers, MAX_LOGGERS, start};

impl Loggers for MarathonLoggers {
    fn levels(&self) -> BTreeMap<String, String> {
        let shown =
            |(name, level): (String, LevelFilter)| (name, level.to_string().to_ascii_uppercase());
        self.all().into_iter().map(shown).collect()
    }

    /// What is for some time needs the runtime that this is called on.
    fn change(&self, change: LoggerChange) {
        // Whoever asks by HTTP has been told of other levels already.
        let Ok(level) = change.level.parse::<LevelFilter>() else {
            return;
        };
        let seconds = change.duration_seconds;
        let time = seconds.map(|seconds| u64::try_from(seconds).unwrap_or(0));
        self.set(&change.logger, level, time.map(Duration::from_secs));
    }
}

#[cfg(test)]
mod tests;
