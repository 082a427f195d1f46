//! The app manager of a local cluster: its start, when it is ready, and its new start after it gave
//! up leadership.
//! Does not know what it manages.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use tepui_actors::client::{Target, get_json};
use tokio::time::sleep;

use super::START_INTERVAL;
use super::child::Child;
use crate::cli::Failure;

/// The exit code of an app manager that was asked to give up leadership: whoever supervises it
/// starts it again. Marathon.
const GAVE_UP: i32 = 105;

/// An app manager that runs, and what it is started with.
pub(super) struct Marathon {
    child: Child,
    program: PathBuf,
    flags: Vec<String>,
    log: PathBuf,
    target: Target,
}

impl Marathon {
    /// Starts one at a master, with its state and log below `dir`.
    pub(super) fn start(
        program: &Path,
        (ip, port): (IpAddr, u16),
        master: SocketAddr,
        dir: &Path,
    ) -> Result<Marathon, Failure> {
        let work_dir = dir.join("marathon");
        fs::create_dir_all(&work_dir)?;
        let own = SocketAddr::new(super::reachable(ip), port);
        let flags = vec![
            format!("--master={master}"),
            format!("--http_address={ip}"),
            format!("--http_port={port}"),
            format!("--hostname={}", own.ip()),
            format!("--work_dir={}", work_dir.display()),
        ];
        let log = dir.join("marathon.log");
        Ok(Marathon {
            child: Child::spawn("app manager", program, &flags, &log)?,
            program: program.to_owned(),
            flags,
            log,
            target: own.to_string().parse()?,
        })
    }

    /// Where it answers.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Waits until it leads.
    pub(super) async fn ready(target: &Target) {
        loop {
            if let Ok(info) = get_json(target, "/v2/info").await
                && info.get("elected") == Some(&serde_json::Value::Bool(true))
            {
                return;
            }
            sleep(START_INTERVAL).await;
        }
    }

    /// Waits until it ends although it should not, and starts it again when that was asked for.
    pub(super) async fn early_end(&mut self) -> Failure {
        loop {
            if self.child.status().await != Some(GAVE_UP) {
                return self.child.early_end().await;
            }
            match Child::spawn("app manager", &self.program, &self.flags, &self.log) {
                Ok(child) => self.child = child,
                Err(failure) => return failure,
            }
        }
    }

    /// Ends it; its tasks stay.
    pub(super) async fn end(&mut self) {
        self.child.ask_to_end();
        self.child.ended().await;
    }

    /// Ends it at once if it has not ended yet.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await;
    }
}
