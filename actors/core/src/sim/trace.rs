//! What happened in a run: a hash over all of it, and the last lines of it.
//! Decides nothing.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

/// Lines kept for the report of a failure.
const KEPT: usize = 5_000;

/// The trace of a run.
pub(super) struct Trace {
    hash: DefaultHasher,
    steps: u64,
    last: VecDeque<String>,
}

impl Trace {
    pub(super) fn new() -> Self {
        Trace {
            // Its keys are always the same.
            hash: DefaultHasher::new(),
            steps: 0,
            last: VecDeque::new(),
        }
    }

    /// One more event is looked at.
    pub(super) fn step(&mut self) {
        self.steps += 1;
    }

    /// Something happened at this time, in microseconds.
    pub(super) fn line(&mut self, at: u64, what: fmt::Arguments<'_>) {
        let mut line = match self.last.len() < KEPT {
            true => String::new(),
            false => self.last.pop_front().unwrap_or_default(),
        };
        line.clear();
        let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
        // Writing to a string cannot fail.
        let _ = write!(line, "{seconds:>6}.{micros:06} #{} {what}", self.steps);
        self.hash.write(line.as_bytes());
        self.last.push_back(line);
    }

    /// Equal for equal runs.
    pub(super) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// Events so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The last lines, oldest first.
    pub(super) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}
