//! Unpackings under way: who waits for which, and when nobody does any more.
//! Unpacks nothing itself.

use std::collections::HashMap;
use std::process::ChildStdin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Unpacked;
use super::archive::Archive;

/// Images that are unpacked at a time; more of them wait.
const MAX_PULLS: usize = 4;

/// How often those who wait are asked whether they still do.
const POLL: Duration = Duration::from_millis(100);

/// What whoever is killed meanwhile hears.
const KILLED: &str = "the container was killed while its image was unpacked";

/// An image's name, and what it is unpacked from.
type Key = (String, Archive);

type Outcome = Result<Arc<Unpacked>, String>;

/// Unpackings under way.
#[derive(Default)]
pub(super) struct Pulls(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told whenever one ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that somebody waits for; the newest of each image is joined.
    pulls: HashMap<u64, Pull>,
    newest: HashMap<Key, u64>,
    /// Threads that run, also for nobody.
    running: usize,
    next: u64,
}

struct Pull {
    key: Key,
    waiting: usize,
    outcome: Option<Outcome>,
    /// Ends the program when it is dropped.
    input: Option<ChildStdin>,
}

/// What an unpacking is told from others by, for the thread that does it.
pub(super) struct Handle {
    shared: Arc<Shared>,
    number: u64,
}

impl Handle {
    /// Keeps the program's input open as long as somebody waits.
    pub(super) fn keep(&self, input: ChildStdin) {
        if let Some(pull) = self.shared.state().pulls.get_mut(&self.number) {
            pull.input = Some(input);
        }
    }
}

impl Pulls {
    /// Joins an unpacking or begins one, and waits for its end.
    pub(super) fn get(
        &self,
        key: Key,
        work: impl FnOnce(&Handle) -> Outcome + Send + 'static,
        is_killed: &dyn Fn() -> bool,
    ) -> Outcome {
        let number = self.join(key, work, is_killed)?;
        loop {
            if is_killed() {
                self.0.state().leave(number);
                return Err(KILLED.to_owned());
            }
            let mut state = self.0.state();
            if let Some(outcome) = state.outcome(number) {
                state.leave(number);
                return outcome;
            }
            drop(self.0.wait(state));
        }
    }

    /// Does something while nothing is unpacked.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn meanwhile_none<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        let state = self.0.state();
        match state.running {
            0 => Ok(work()),
            count => Err(format!(
                "Cannot prune images while {count} of them are unpacked: try again later"
            )),
        }
    }

    /// Counts this caller among those who wait.
    fn join(
        &self,
        key: Key,
        work: impl FnOnce(&Handle) -> Outcome + Send + 'static,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<u64, String> {
        loop {
            if is_killed() {
                return Err(KILLED.to_owned());
            }
            let mut state = self.0.state();
            if let Some(number) = state.newest.get(&key).copied()
                && let Some(pull) = state.pulls.get_mut(&number)
            {
                pull.waiting += 1;
                return Ok(number);
            }
            if state.running < MAX_PULLS {
                return self.begin(&mut state, key, work);
            }
            drop(self.0.wait(state));
        }
    }

    fn begin(
        &self,
        state: &mut State,
        key: Key,
        work: impl FnOnce(&Handle) -> Outcome + Send + 'static,
    ) -> Result<u64, String> {
        let number = state.next;
        let handle = Handle {
            shared: self.0.clone(),
            number,
        };
        let thread = std::thread::Builder::new().name("image".into());
        let started = thread.spawn(move || {
            let outcome = work(&handle);
            handle.shared.end(handle.number, outcome);
        });
        started.map_err(|error| format!("cannot start a thread to unpack an image: {error}"))?;
        state.next += 1;
        state.running += 1;
        state.newest.insert(key.clone(), number);
        let pull = Pull {
            key,
            waiting: 1,
            outcome: None,
            input: None,
        };
        state.pulls.insert(number, pull);
        Ok(number)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a while, or until something has ended.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.ended.wait_timeout(state, POLL);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn end(&self, number: u64, outcome: Outcome) {
        let mut state = self.state();
        state.running -= 1;
        state.forget(number);
        if let Some(pull) = state.pulls.get_mut(&number) {
            pull.outcome = Some(outcome);
            pull.input = None;
        }
        drop(state);
        self.ended.notify_all();
    }
}

impl State {
    fn outcome(&self, number: u64) -> Option<Outcome> {
        let pull = self.pulls.get(&number)?;
        pull.outcome.clone()
    }

    /// One caller waits no longer; the last one ends the program.
    fn leave(&mut self, number: u64) {
        let Some(pull) = self.pulls.get_mut(&number) else {
            return;
        };
        pull.waiting -= 1;
        if pull.waiting == 0 {
            self.forget(number);
            self.pulls.remove(&number);
        }
    }

    /// Nobody joins it any more.
    fn forget(&mut self, number: u64) {
        if let Some(pull) = self.pulls.get(&number)
            && self.newest.get(&pull.key) == Some(&number)
        {
            let key = pull.key.clone();
            self.newest.remove(&key);
        }
    }
}
