//! Where the masters are, as users write it, and which one to subscribe at now.
//! Speaks to no master; who leads is found by the election's detector.

use std::fmt;
use std::time::Duration;

use tepui_protocol::v1;
use tokio::sync::watch;

use crate::client::connection::{Security, without_brackets};
use crate::election::finder::address_of;
use crate::election::{Detector, Leader, Session, ZkUrl, ZkUrlError};

/// Session timeout asked of ZooKeeper.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a value is read from a file instead.
const FILE_SCHEME: &str = "file://";

/// Where the masters are (Marathon: the flag `master`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterUrl(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    At(Address),
    ZooKeeper(ZkUrl),
}

/// Why a text names no master.
#[derive(Debug, thiserror::Error)]
pub enum MasterUrlError {
    /// Not an address.
    #[error(
        "'{0}' names no master; expected host:port, http://host:port, https://host:port, \
         zk://host1:port1,host2:port2/path, or file:///path of a file that holds one of these"
    )]
    Address(String),
    /// Not a ZooKeeper URL.
    #[error(transparent)]
    ZooKeeper(#[from] ZkUrlError),
    /// The file cannot be read.
    #[error("cannot read the master's address from {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// The operating system's reason.
        why: std::io::Error,
    },
}

impl MasterUrl {
    /// Reads a master's address, a ZooKeeper URL, or either from the file that `file://` names.
    ///
    /// # Errors
    /// When it is none of these or the file cannot be read.
    pub fn read(text: &str) -> Result<MasterUrl, MasterUrlError> {
        let text = text.trim();
        let Some(path) = text.strip_prefix(FILE_SCHEME) else {
            return MasterUrl::parse(text);
        };
        let content = std::fs::read_to_string(path).map_err(|why| MasterUrlError::File {
            path: path.to_owned(),
            why,
        })?;
        MasterUrl::parse(content.trim())
    }

    fn parse(text: &str) -> Result<MasterUrl, MasterUrlError> {
        if text.starts_with("zk://") {
            return Ok(MasterUrl(Place::ZooKeeper(text.parse()?)));
        }
        let address = Address::parse(text, Security::Plain);
        let address = address.ok_or_else(|| MasterUrlError::Address(text.to_owned()))?;
        Ok(MasterUrl(Place::At(address)))
    }
}

impl fmt::Display for MasterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::At(address) => address.fmt(f),
            Place::ZooKeeper(url) => url.fmt(f),
        }
    }
}

/// Where one master listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether by TLS.
    pub(super) security: Security,
    /// Name or address, an IPv6 address without brackets.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port`, perhaps with `http://` or `https://` in front and a slash behind.
    fn parse(text: &str, otherwise: Security) -> Option<Address> {
        let (security, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Security::Plain, rest),
            Some(("https", rest)) => (Security::Verified, rest),
            Some(_) => return None,
            None => (otherwise, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':')?;
        let inner = without_brackets(host);
        let bracketed = inner.len() < host.len();
        let right = match bracketed {
            true => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            false => !host.is_empty() && host.chars().all(is_of_a_name),
        };
        let port = port.parse().ok().filter(|port| *port > 0)?;
        right.then(|| Address {
            security,
            host: inner.to_owned(),
            port,
        })
    }

    /// Where a redirect leads: `//host:port/path`, as Mesos writes it, or a whole URL. A redirect
    /// from TLS to none is not followed: it would give the secret away.
    pub(super) fn redirected(&self, location: &str) -> Option<Address> {
        let (scheme, rest) = location.split_once("//")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let text = format!("{scheme}//{authority}");
        let text = text.strip_prefix("//").unwrap_or(&text);
        let found = Address::parse(text, self.security)?;
        let downgrade = self.security != Security::Plain && found.security == Security::Plain;
        (!downgrade).then_some(found)
    }

    /// `host:port`, as the header `Host` wants it.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "http",
            Security::Verified | Security::Unverified => "https",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// Follows which master is the one to subscribe at.
pub(super) enum Masters {
    At(Address),
    Elected {
        leader: watch::Receiver<Option<Leader>>,
        /// Detects as long as it lives.
        _detector: Detector,
    },
}

impl Masters {
    /// Starts on the tokio runtime this is called in.
    pub(super) fn start(url: MasterUrl) -> Masters {
        let url = match url.0 {
            Place::At(address) => return Masters::At(address),
            Place::ZooKeeper(url) => url,
        };
        let detector = Detector::start(Session::open(url, SESSION_TIMEOUT));
        Masters::Elected {
            leader: detector.leader(),
            _detector: detector,
        }
    }

    /// The master that leads, as soon as one is known.
    pub(super) async fn found(&mut self) -> Address {
        match self {
            Masters::At(address) => address.clone(),
            Masters::Elected { leader, .. } => leading(leader).await,
        }
    }

    /// Waits until another master leads than `current`; for ever where masters are not elected.
    /// That nobody leads is no reason to leave a master that still answers.
    pub(super) async fn replaced(&mut self, current: &Address) {
        match self {
            Masters::At(_) => std::future::pending().await,
            Masters::Elected { leader, .. } => while leading_next(leader).await == *current {},
        }
    }
}

/// Who leads now, or does next.
async fn leading(leader: &mut watch::Receiver<Option<Leader>>) -> Address {
    let found = leader.borrow_and_update().clone();
    match found.and_then(|found| address_in(&found.info)) {
        Some(address) => address,
        None => leading_next(leader).await,
    }
}

/// Who leads after the next change.
async fn leading_next(leader: &mut watch::Receiver<Option<Leader>>) -> Address {
    loop {
        if leader.changed().await.is_err() {
            // The detector has ended with its runtime, and nobody goes on here either.
            return std::future::pending().await;
        }
        let found = leader.borrow().clone();
        if let Some(address) = found.and_then(|found| address_in(&found.info)) {
            return address;
        }
    }
}

fn address_in(info: &v1::MasterInfo) -> Option<Address> {
    Address::parse(&address_of(info), Security::Plain)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;
    use crate::election::Sequence;

    fn shown(text: &str) -> String {
        MasterUrl::read(text).expect(text).to_string()
    }

    #[test]
    fn masters_are_named_in_any_of_marathons_ways() {
        assert_eq!(shown("h:5050"), "http://h:5050");
        assert_eq!(shown(" http://10.0.0.1:5050/ "), "http://10.0.0.1:5050");
        assert_eq!(shown("https://[::1]:1"), "https://[::1]:1");
        assert_eq!(
            shown("zk://u:secret@a:1,b:2/mesos"),
            "zk://u:***@a:1,b:2/mesos"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master");
        std::fs::write(&path, "zk://a:1/m\n").unwrap();
        assert_eq!(shown(&format!("file://{}", path.display())), "zk://a:1/m");
        for wrong in [
            "",
            "h",
            "h:0",
            "h:x",
            ":1",
            "::1:5050",
            "ftp://h:1",
            "http://h",
            "h:1/x",
            "a b:1",
            "u@h:1",
            "[x]:1",
            "file:///nowhere/at/all",
            "zk://",
            "file://",
        ] {
            assert!(MasterUrl::read(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn whoever_leads_next_is_found_and_nobody_is_no_one_else() {
        let leader = |sequence, port| {
            let info = v1::MasterInfo {
                ip: u32::from_le_bytes([10, 0, 0, 1]),
                port,
                ..Default::default()
            };
            Some(Leader {
                sequence: Sequence(sequence),
                info: Arc::new(info),
            })
        };
        let (change, mut watched) = watch::channel(None);
        let nobody = leading(&mut watched).now_or_never();
        assert_eq!(nobody, None);
        change.send_replace(leader(1, 5050));
        let first = leading(&mut watched).await;
        assert_eq!(first.to_string(), "http://10.0.0.1:5050");
        assert_eq!(leading(&mut watched).await, first);
        change.send_replace(None);
        let nobody = leading_next(&mut watched).now_or_never();
        assert_eq!(nobody, None);
        change.send_replace(leader(2, 5051));
        let next = leading_next(&mut watched).await;
        assert_eq!(next.to_string(), "http://10.0.0.1:5051");
    }

    #[test]
    fn redirects_lead_where_they_say_but_not_out_of_tls() {
        let plain = Address::parse("h:1", Security::Plain).unwrap();
        let secure = Address::parse("https://h:1", Security::Plain).unwrap();
        let from = |address: &Address, location: &str| {
            address.redirected(location).map(|to| to.to_string())
        };
        let to = |text: &str| Some(text.to_owned());
        let path = "//10.0.0.2:5050/api/v1/scheduler";
        assert_eq!(from(&plain, path), to("http://10.0.0.2:5050"));
        assert_eq!(from(&secure, path), to("https://10.0.0.2:5050"));
        assert_eq!(from(&plain, "//[::1]:5050"), to("http://[::1]:5050"));
        assert_eq!(from(&plain, "https://a:1/x"), to("https://a:1"));
        assert_eq!(from(&secure, "http://a:1/x"), None);
        for wrong in ["", "/x", "//", "//a", "ftp://a:1", "a:1"] {
            assert_eq!(from(&plain, wrong), None, "{wrong}");
        }
    }
}
