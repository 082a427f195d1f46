//! Finds the master for those who belong to it: at a fixed address, or whoever leads.
//! Opens no connection to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tepui_protocol::v1;
use tokio::sync::watch;

use super::detector::{Detector, Leader};
use super::session::Session;
use super::url::{ZkUrl, ZkUrlError};

/// Where masters are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Masters {
    /// One master, at `host:port`.
    At(String),
    /// Those that meet in ZooKeeper.
    ZooKeeper(ZkUrl),
}

/// Why a text names no masters.
#[derive(Debug, thiserror::Error)]
pub enum MastersError {
    /// Not an address.
    #[error("expected host:port, such as 127.0.0.1:5050, or zk://host1:port1,host2:port2/path")]
    Address,
    /// Not a ZooKeeper URL.
    #[error(transparent)]
    ZooKeeper(#[from] ZkUrlError),
}

impl FromStr for Masters {
    type Err = MastersError;

    /// Reads `host:port`, `master@host:port` as Mesos also writes it, or `zk://...`.
    fn from_str(text: &str) -> Result<Self, MastersError> {
        let text = text.trim();
        if text.starts_with("zk://") {
            return Ok(Masters::ZooKeeper(text.parse()?));
        }
        let address = text.strip_prefix("master@").unwrap_or(text);
        let right = address.rsplit_once(':').is_some_and(|(host, port)| {
            let port: Result<u16, _> = port.parse();
            !host.is_empty() && !host.contains('/') && port.is_ok_and(|port| port > 0)
        });
        match right {
            true => Ok(Masters::At(address.to_owned())),
            false => Err(MastersError::Address),
        }
    }
}

impl fmt::Display for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Masters::At(address) => f.write_str(address),
            Masters::ZooKeeper(url) => url.fmt(f),
        }
    }
}

/// Follows which master is the one to talk to.
#[derive(Debug)]
pub enum Finder {
    /// Always this one.
    At(String),
    /// The leader.
    Elected {
        /// As last detected.
        leader: watch::Receiver<Option<Leader>>,
        /// Ends with the finder.
        detector: Detector,
    },
}

impl Finder {
    /// Starts on the tokio runtime this is called in.
    #[must_use]
    pub fn start(masters: &Masters, session_timeout: Duration) -> Finder {
        match masters {
            Masters::At(address) => Finder::At(address.clone()),
            Masters::ZooKeeper(url) => {
                let detector = Detector::start(Session::open(url.clone(), session_timeout));
                let leader = detector.leader();
                Finder::Elected { leader, detector }
            }
        }
    }

    /// The master's `host:port`, if one is known now.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        match self {
            Finder::At(address) => Some(address.clone()),
            Finder::Elected { leader, .. } => {
                leader.borrow().as_ref().map(|it| address_of(&it.info))
            }
        }
    }

    /// Follows the leader; none for a fixed address.
    #[must_use]
    pub fn leader(&self) -> Option<watch::Receiver<Option<Leader>>> {
        match self {
            Finder::At(_) => None,
            Finder::Elected { detector, .. } => Some(detector.leader()),
        }
    }

    /// Waits until a master is known.
    pub async fn found(&mut self) -> String {
        loop {
            if let Some(address) = self.address() {
                return address;
            }
            if let Finder::Elected { leader, .. } = self
                && leader.changed().await.is_err()
            {
                // The detector has ended with its runtime, and nobody goes on here either.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Where a master can be reached, by address if it tells one: its name may be known nowhere else.
#[must_use]
pub fn address_of(info: &v1::MasterInfo) -> String {
    let address = info.address.as_ref();
    let told = address.and_then(|address| address.ip.as_deref());
    let of_number = || std::net::Ipv4Addr::from(info.ip.to_le_bytes()).to_string();
    let ip = told.map_or_else(of_number, str::to_owned);
    let port = address.map_or(i64::from(info.port), |address| i64::from(address.port));
    match ip.contains(':') {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_named_by_address_or_through_zookeeper() {
        let at = |text: &str| Masters::At(text.to_owned());
        let read = |text: &str| text.parse::<Masters>();
        assert_eq!(read("10.0.0.1:5050").unwrap(), at("10.0.0.1:5050"));
        assert_eq!(read(" master@[::1]:5050 ").unwrap(), at("[::1]:5050"));
        let elected = read("zk://u:secret@a:1,b:2/mesos").unwrap();
        assert!(matches!(elected, Masters::ZooKeeper(_)));
        assert!(!elected.to_string().contains("secret"), "{elected}");
        for wrong in ["a", "a:0", ":5050", "http://a:1", "zk://", "a:x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_master_is_reached_at_what_it_tells_of_itself() {
        let mut info = v1::MasterInfo {
            ip: u32::from_le_bytes([10, 0, 0, 1]),
            port: 5050,
            ..Default::default()
        };
        assert_eq!(address_of(&info), "10.0.0.1:5050");
        info.address = Some(v1::Address {
            hostname: None,
            ip: Some("::1".to_owned()),
            port: 5051,
        });
        assert_eq!(address_of(&info), "[::1]:5051");
    }

    #[tokio::test]
    async fn a_fixed_master_is_known_at_once() {
        let masters = Masters::At("a:1".to_owned());
        let mut finder = Finder::start(&masters, Duration::from_secs(10));
        assert_eq!(finder.found().await, "a:1");
        assert!(finder.leader().is_none());
    }
}
