//! A real app manager of this load test's own, started at a master and ended with the run.
//! Asks it for nothing but whether it is registered.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::{START_LIMIT, START_POLL};
use crate::framework::Error;

/// What the program says, before its address, once it listens.
const LISTENING: &str = "listening on ";

/// Time one answer may take while it starts.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// An app manager of this load test's own.
pub struct Marathon {
    directory: TempDir,
    address: SocketAddr,
    child: Child,
}

impl Marathon {
    /// Starts an app manager with these flags beside those it needs, and waits until the master has
    /// registered it.
    ///
    /// # Errors
    /// When the program is missing, does not come up or is not registered in time.
    pub async fn start(master: &str, flags: &[String]) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let mut arguments = vec![
            format!("--master={master}"),
            "--http_address=127.0.0.1".into(),
            "--http_port=0".into(),
            "--hostname=127.0.0.1".into(),
            format!("--work_dir={}", directory.path().join("marathon").display()),
            // Thousands of launches would fill the log with what is no news.
            "--logging_level=warn".into(),
        ];
        arguments.extend_from_slice(flags);
        let mut child = super::spawn(directory.path(), "tepui-marathon", &arguments)?;
        let log = log_file(directory.path());
        let ready = ready(&log, &mut child);
        let ready = match timeout(START_LIMIT, ready).await {
            Ok(ready) => ready,
            Err(_) => Err(format!("no app manager is registered after {START_LIMIT:?}").into()),
        };
        let address = ready.map_err(|error| format!("{error}\n{}", super::last_lines(&log)))?;
        Ok(Marathon {
            directory,
            address,
            child,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32, Error> {
        Ok(self.child.id().ok_or("the app manager has ended")?)
    }

    /// Bytes of the files it keeps its state in.
    pub fn stored_bytes(&self) -> u64 {
        bytes_below(&self.directory.path().join("marathon"))
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        super::last_lines(&log_file(self.directory.path()))
    }

    /// Ends it.
    pub async fn end(mut self) {
        super::end(&mut self.child).await;
    }
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("tepui-marathon.log")
}

/// Waits until it listens and has a framework id.
async fn ready(log: &Path, child: &mut Child) -> Result<SocketAddr, Error> {
    let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(format!("the program ended at its start: {status}").into());
        }
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if let Some(address) = listening(&text)
            && is_registered(&client, address).await
        {
            return Ok(address);
        }
        sleep(START_POLL).await;
    }
}

fn listening(log: &str) -> Option<SocketAddr> {
    // The last line may be half written.
    let whole = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let mut addresses = whole.filter_map(|line| line.strip_prefix(LISTENING)?.trim().parse().ok());
    addresses.next()
}

async fn is_registered(client: &reqwest::Client, address: SocketAddr) -> bool {
    let read = async {
        let answer = client.get(format!("http://{address}/v2/info")).send().await;
        answer?.error_for_status()?.text().await
    };
    let info = read.await.ok();
    let info: Option<Value> = info.and_then(|text| serde_json::from_str(&text).ok());
    info.is_some_and(|info| info.get("frameworkId").is_some_and(Value::is_string))
}

fn bytes_below(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It is gone already.
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_a_whole_line() {
        assert_eq!(listening("listening on 127.0.0.1:80"), None);
        let log = "WARN something\nlistening on 127.0.0.1:8080\nlistening on 127.0.0.1:1\n";
        assert_eq!(listening(log), "127.0.0.1:8080".parse().ok());
    }

    #[test]
    fn all_files_below_a_directory_count() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("inner")).unwrap();
        std::fs::write(directory.path().join("a"), "12345").unwrap();
        std::fs::write(directory.path().join("inner/b"), "123").unwrap();
        assert_eq!(bytes_below(directory.path()), 8);
        assert_eq!(bytes_below(&directory.path().join("none")), 0);
    }
}
