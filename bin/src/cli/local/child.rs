//! One program of a local cluster: its start, its log, its end.
//! Does not know what the program does.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tepui_actors::flags::PARENT_ARG;
use tokio::process::Command;

use crate::cli::Failure;

/// Lines of a log shown when its program has failed.
const LAST_LINES: usize = 15;

/// The most that is read of a log for that, in bytes.
const LAST_BYTES: u64 = 16 * 1024;

/// Where the programs are.
pub(super) struct Programs {
    pub master: PathBuf,
    pub agent: PathBuf,
    pub marathon: PathBuf,
}

impl Programs {
    /// Finds them in the directory of this program, as all are built and installed together.
    pub(super) fn beside_this_one() -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let find = |name: &str| {
            let path = own.with_file_name(name);
            if path.is_file() {
                return Ok(path);
            }
            Err(Failure(format!(
                "'{}' is missing; build all programs with `cargo build --workspace --bins`",
                path.display()
            )))
        };
        // Agents look for it there themselves; its absence is better said before they start.
        find("tepui-executor")?;
        Ok(Programs {
            master: find("tepui-master")?,
            agent: find("tepui-agent")?,
            marathon: find("tepui-marathon")?,
        })
    }
}

/// A running program.
pub(super) struct Child {
    name: String,
    log: PathBuf,
    process: tokio::process::Child,
}

impl Child {
    /// Starts a program, its output going to a log. The kernel ends it when this process dies.
    pub(super) fn spawn(
        name: &str,
        program: &Path,
        flags: &[String],
        log: &Path,
    ) -> Result<Self, Failure> {
        let failed = |what: &str, path: &Path, error: std::io::Error| {
            Failure(format!("cannot {what} '{}': {error}", path.display()))
        };
        let out = File::create(log).map_err(|error| failed("write the log", log, error))?;
        let err = out.try_clone()?;
        let process = Command::new(program)
            .arg(format!("{PARENT_ARG}{}", std::process::id()))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // A Ctrl-C in the terminal is for `tepui local` alone, which ends agents before the
            // master.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("start", program, error))?;
        Ok(Child {
            name: name.to_owned(),
            log: log.to_owned(),
            process,
        })
    }

    /// Waits until the program ends; gives its exit code, if it has one.
    pub(super) async fn status(&mut self) -> Option<i32> {
        self.process.wait().await.ok()?.code()
    }

    /// Waits until the program ends, which it should not, and tells how it did.
    pub(super) async fn early_end(&mut self) -> Failure {
        let how = match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let lines = last_lines(&self.log).unwrap_or_else(|error| format!("(no log: {error})"));
        Failure(format!(
            "the {} has ended ({how}); its last words were:\n{}",
            self.name,
            lines.trim_end()
        ))
    }

    /// Sends SIGTERM, which ends a program and leaves the rest of the cluster what it has.
    pub(super) fn ask_to_end(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGUSR1, which has an agent leave the cluster and end all its tasks.
    pub(super) fn ask_to_leave(&self) {
        self.signal(Signal::SIGUSR1);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // It may have ended in this very moment; then there is nothing to ask.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) {
        // An error means that there is nothing left to wait for.
        let _ = self.process.wait().await;
    }

    /// Ends it at once if it has not ended yet.
    pub(super) async fn kill(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            eprintln!("tepui: the {} does not end; it is killed", self.name);
            if let Err(error) = self.process.kill().await {
                eprintln!("tepui: the {} cannot be killed: {error}", self.name);
            }
        }
    }
}

/// The end of a log.
fn last_lines(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let size = fs::metadata(log)?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LAST_LINES);
    Ok(lines
        .iter()
        .skip(first)
        .map(|line| format!("    {line}\n"))
        .collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        let all: String = (0..10_000)
            .map(|number| format!("line {number}\n"))
            .collect();
        fs::write(&log, all).expect("written");
        let shown = last_lines(&log).expect("read");
        assert_eq!(shown.lines().count(), LAST_LINES);
        assert!(shown.ends_with("    line 9999\n"), "{shown}");
        fs::write(&log, "").expect("written");
        assert_eq!(last_lines(&log).expect("read"), "");
    }
}
