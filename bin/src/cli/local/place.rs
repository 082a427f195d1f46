//! Ports and directories of a local cluster, checked before anything is started.
//! Starts nothing.

use std::cell::Cell;
use std::fs::{self, DirBuilder};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// The ports of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub master: u16,
    pub agents: Vec<u16>,
    /// None without an app manager.
    pub marathon: Option<u16>,
}

/// Chooses the ports and makes sure that they are free, all at the same time. A program could take
/// one before ours does; then ours ends and says so.
pub(super) fn ports(
    ip: IpAddr,
    master: u16,
    first_agent: u16,
    agents: u16,
    marathon: Option<u16>,
) -> Result<Ports, Failure> {
    let mut held = Vec::new();
    let mut hold = |port: u16, flag: &str| {
        let listener = TcpListener::bind((ip, port)).map_err(|error| {
            Failure(format!(
                "cannot listen on port {port} of {ip}: {error}; end the program that uses it, or \
                 give another port with {flag}"
            ))
        })?;
        let port = listener.local_addr()?.port();
        held.push(listener);
        Ok::<u16, Failure>(port)
    };
    let master = hold(master, "--port")?;
    let marathon = marathon.map(|port| hold(port, "--marathon-port"));
    let marathon = marathon.transpose()?;
    let mut agent_ports = Vec::new();
    for index in 0..agents {
        let wanted = match first_agent {
            0 => 0,
            first => first.checked_add(index).ok_or_else(|| {
                Failure(format!(
                    "there are no {agents} ports from --agent-port {first} on"
                ))
            })?,
        };
        agent_ports.push(hold(wanted, "--agent-port")?);
    }
    Ok(Ports {
        master,
        agents: agent_ports,
        marathon,
    })
}

/// The directory of a cluster; a temporary one is removed in the end.
pub(super) struct WorkDir {
    path: PathBuf,
    temporary: Cell<bool>,
}

impl WorkDir {
    /// Makes the directory given, or a new one among the temporary files.
    pub(super) fn make(given: Option<&Path>) -> Result<Self, Failure> {
        let temporary = given.is_none();
        let path = match given {
            Some(path) => std::path::absolute(path)?,
            None => std::env::temp_dir().join(format!("tepui-local-{}", std::process::id())),
        };
        // Tasks may run as other users and must get to their sandboxes. A temporary directory must
        // not exist: someone else could have made it.
        let made = DirBuilder::new()
            .mode(0o755)
            .recursive(!temporary)
            .create(&path);
        made.map_err(|error| {
            Failure(format!(
                "cannot make the directory '{}': {error}; name another one with --work-dir",
                path.display()
            ))
        })?;
        Ok(WorkDir {
            path,
            temporary: Cell::new(temporary),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(&self) {
        if self.temporary.replace(false) {
            eprintln!(
                "tepui: state, logs and sandboxes are kept in {}",
                self.path.display()
            );
        }
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if self.temporary.get()
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("tepui: cannot remove '{}': {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn free_ports_are_found_and_differ() {
        let ports = ports(LOOPBACK, 0, 0, 3, Some(0)).expect("free ports");
        let mut all = ports.agents.clone();
        all.push(ports.master);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4);
        assert!(!all.contains(&0));
    }

    #[test]
    fn a_taken_port_is_named_with_its_flag() {
        let taken = TcpListener::bind((LOOPBACK, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let Failure(why) = ports(LOOPBACK, port, 0, 0, None).expect_err("taken");
        assert!(
            why.contains(&port.to_string()) && why.contains("--port"),
            "{why}"
        );
        let Failure(why) = ports(LOOPBACK, 0, port, 1, None).expect_err("taken");
        assert!(why.contains("--agent-port"), "{why}");
    }

    #[test]
    fn agents_do_not_run_out_of_port_numbers_silently() {
        let Failure(why) = ports(LOOPBACK, 0, u16::MAX, 2, None).expect_err("too many");
        assert!(why.contains("--agent-port 65535"), "{why}");
    }

    #[test]
    fn a_given_directory_stays_and_may_exist() {
        let outer = tempfile::tempdir().expect("a directory");
        let path = outer.path().join("a/b");
        drop(WorkDir::make(Some(&path)).expect("made"));
        drop(WorkDir::make(Some(&path)).expect("made again"));
        assert!(path.is_dir());
        fs::write(outer.path().join("file"), "").expect("written");
        let failed = WorkDir::make(Some(&outer.path().join("file")));
        let Failure(why) = failed.err().expect("a file is in the way");
        assert!(why.contains("--work-dir"), "{why}");
    }
}
