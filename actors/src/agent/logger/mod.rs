//! Where the output of containers goes: into plain files, or through a process that rotates them.
//! Writes nothing itself; `rotate` does, in a process of its own that outlives the agent.

mod options;
pub(super) mod rotate;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use tepui_core::agent::messages::Launch;
use tokio::process::Command;

pub use options::{ContainerLogger, LOG_SIZE, OPTIONS, Rotation, kept, log_size};

use super::sandbox::{Output, Owner};
use rotate::ROTATE_ARG;

impl ContainerLogger {
    /// What a container is to write to, given the open files of its sandbox.
    ///
    /// # Errors
    /// When its environment asks for what cannot be done, or the process cannot be started.
    pub(super) fn attach(
        &self,
        launch: &Launch,
        owner: Option<Owner>,
        output: Output,
    ) -> Result<Output, String> {
        // The process beside a container of the Docker Engine is not what the framework speaks of.
        let inside = launch.docker.as_ref().map(|docker| &docker.environment);
        let environment = inside.unwrap_or(&launch.environment);
        let Some([stdout, stderr]) = self.rotations(environment)? else {
            return Ok(output);
        };
        rotate(Path::new(&launch.directory), owner, stdout, stderr)
            .map_err(|error| format!("Failed to start the rotation of logs: {error}"))
    }
}

/// Starts the process for one container. It runs as the container's user, and is in none of its
/// cgroups: it writes what the container has left behind when it was killed.
fn rotate(
    sandbox: &Path,
    owner: Option<Owner>,
    stdout: Rotation,
    stderr: Rotation,
) -> io::Result<Output> {
    let (its_stdout, stdout_end) = io::pipe()?;
    let (its_stderr, stderr_end) = io::pipe()?;
    // This program as it runs now, also when its file was replaced since.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("tepui-logrotate")
        .arg(ROTATE_ARG)
        .args(stdout.arguments())
        .args(stderr.arguments())
        // Its environment must not look like a container's.
        .env_clear()
        .current_dir(sandbox)
        // It reads both: nothing is written to its standard output.
        .stdin(OwnedFd::from(its_stdout))
        .stdout(OwnedFd::from(its_stderr))
        .stderr(Stdio::null())
        .process_group(0);
    if let Some(Owner { uid, gid }) = owner {
        command.uid(uid).gid(gid);
    }
    // It ends when nobody can write any more; the runtime buries it.
    drop(command.spawn()?);
    Ok(Output {
        stdout: File::from(OwnedFd::from(stdout_end)),
        stderr: File::from(OwnedFd::from(stderr_end)),
    })
}
