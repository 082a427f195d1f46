//! The first process of a container, as the host sees it.
//! Asks the kernel only, and no Engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The first process of a container of the Docker Engine; copies speak of the same one.
#[derive(Debug, Clone, Default)]
pub struct First {
    /// The Engine's own id of the container.
    pub container: String,
    /// Its id on the host; 0 when it has ended already.
    pub pid: i32,
    /// Whether it was ended without the Engine.
    is_killed: Arc<AtomicBool>,
}

impl First {
    /// That of a container, by its id on the host.
    pub fn of(container: String, pid: i32) -> Self {
        First {
            container,
            pid,
            is_killed: Arc::default(),
        }
    }

    /// Whether it is there: its cgroup, or what it is called by, has the container's id, so that another
    /// process of this number is not taken for it.
    pub fn runs(&self) -> bool {
        let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", self.pid));
        let is_its_own = |text: String| text.contains(&self.container);
        self.pid > 0 && !self.container.is_empty() && cgroups.is_ok_and(is_its_own)
    }

    /// Ends it without the Engine, if it is there.
    pub fn kill(&self) {
        if self.runs() {
            self.is_killed.store(true, Ordering::Relaxed);
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    /// Whether [`Self::kill`] has ended it, so that nobody need tell how.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_not_taken_for_the_container() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = First::of("0123456789abcdef".into(), pid);
        assert!(!own.runs());
        // It does nothing to this process.
        own.kill();
        assert!(!own.is_killed());
        assert!(!First::default().runs());
    }
}
