//! The first process of a container, as the host sees it. Asks the kernel only.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The first process of a container of the Docker Engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct First {
    /// The Engine's own id of the container.
    pub container: String,
    /// Its id on the host; 0 when it has ended already.
    pub pid: i32,
}

impl First {
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
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_not_taken_for_the_container() {
        let own = First {
            container: "0123456789abcdef".into(),
            pid: i32::try_from(std::process::id()).unwrap(),
        };
        assert!(!own.runs());
        // It does nothing to this process.
        own.kill();
        assert!(!First::default().runs());
    }
}
