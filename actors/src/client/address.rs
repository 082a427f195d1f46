//! The address of a master or agent as people write it.
//! Opens no connection.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::ClientError;
use crate::election::{Finder, Masters, MastersError};

/// Session timeout asked of ZooKeeper, for the moment that a session is needed.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a master or agent listens: `host:port`, perhaps with `http://` in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    authority: String,
}

impl Target {
    /// The URL of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    /// The target a redirect leads to: `//host:port/path` as Mesos writes it, or a whole URL.
    pub(super) fn from_location(location: &str) -> Result<Target, ClientError> {
        let rest = location.strip_prefix("http:").unwrap_or(location);
        let rest = rest.strip_prefix("//").ok_or_else(|| wrong(location))?;
        rest.split('/').next().unwrap_or_default().parse()
    }
}

impl Target {
    /// The target people name: an address, or `zk://...`, where whoever leads now is found.
    ///
    /// # Errors
    /// When the text is neither, or no master leads within `limit`.
    pub async fn find(text: &str, limit: Duration) -> Result<Target, ClientError> {
        if !text.trim().starts_with("zk://") {
            return text.parse();
        }
        let masters: Masters = text
            .parse()
            .map_err(|error: MastersError| ClientError::ZooKeeper(error.to_string()))?;
        let mut finder = Finder::start(&masters, SESSION_TIMEOUT);
        match tokio::time::timeout(limit, finder.found()).await {
            Ok(address) => address.parse(),
            Err(_) => Err(ClientError::NoLeader {
                masters: masters.to_string(),
                waited: limit,
            }),
        }
    }
}

impl FromStr for Target {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let trimmed = text.trim().trim_end_matches('/');
        let authority = trimmed.strip_prefix("http://").unwrap_or(trimmed);
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| wrong(text))?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = !host.is_empty() && !host.contains(['/', ':', '@', '?', '#', ' ']);
        let right = (plain || bracketed) && port.parse::<u16>().is_ok_and(|port| port > 0);
        if !right {
            return Err(wrong(text));
        }
        Ok(Target {
            authority: authority.to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

fn wrong(text: &str) -> ClientError {
    ClientError::Address(text.to_owned())
}
