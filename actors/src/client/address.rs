//! The address of a master or agent as people write it.
//! Opens no connection.

use std::fmt;
use std::str::FromStr;

use super::ClientError;

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
