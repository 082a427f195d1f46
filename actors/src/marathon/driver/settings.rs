//! What a driver is told at its start: the masters, the framework, its secret and all its bounds.
//! Opens no connection.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tepui_protocol::recordio::MAX_RECORD_BYTES;
use tepui_protocol::v1;
use v1::scheduler::OfferConstraints;

use super::masters::MasterUrl;

/// Everything a driver needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the masters are.
    pub master: MasterUrl,
    /// The framework and what it wants. Its id is that of an earlier run, if there was one.
    pub registration: Registration,
    /// Who the framework is, where the master asks.
    pub credentials: Option<Credentials>,
    /// Where the jitter of waits comes from.
    pub seed: [u8; 32],
    /// Times and sizes.
    pub limits: Limits,
}

/// What a framework tells the master of itself, at every subscription.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registration {
    /// The framework.
    pub framework_info: v1::FrameworkInfo,
    /// Roles for which no offers are wanted.
    pub suppressed_roles: Vec<String>,
    /// Which offers are wanted, by attributes of agents.
    pub offer_constraints: Option<OfferConstraints>,
}

/// The bounds of a driver. Every one has a good default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most calls that are queued or not answered yet; more are refused by the handle.
    pub max_calls: usize,
    /// Largest event, in bytes.
    pub max_event_bytes: usize,
    /// Time to open a connection, the TLS handshake included.
    pub connect: Duration,
    /// Time for the answer to SUBSCRIBE, and then for its first event.
    pub subscribe: Duration,
    /// Time without any progress on calls after which their connection counts as broken.
    pub answer: Duration,
    /// Shortest wait before another attempt. It doubles with every further one.
    pub backoff_min: Duration,
    /// Longest such wait; a subscription that lasted as long begins the waits anew.
    pub backoff_max: Duration,
    /// Heartbeats that may be missing where the master tells how often they come.
    pub missed_heartbeats: u32,
    /// Silence after which a master that promised no heartbeats is asked for an answer (Marathon:
    /// `mesos_heartbeat_interval`).
    pub probe_interval: Duration,
    /// Such silences in a row after which it counts as gone (Marathon:
    /// `mesos_heartbeat_failure_threshold`).
    pub missed_probes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_calls: 20_000,
            max_event_bytes: MAX_RECORD_BYTES,
            connect: Duration::from_secs(5),
            subscribe: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            missed_heartbeats: 2,
            probe_interval: Duration::from_secs(15),
            missed_probes: 5,
        }
    }
}

/// A principal and its secret. The secret is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    principal: String,
    secret: Vec<u8>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read the secret from {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The operating system's reason.
        why: std::io::Error,
    },
    /// Nothing in it.
    #[error("the secret is empty; expected the secret's text, such as a password")]
    Empty,
    /// HTTP cannot transport it.
    #[error("the principal '{0}' has a colon; expected a name without one")]
    Principal(String),
}

impl Credentials {
    /// Takes a principal and its secret; a line end after the secret does not belong to it.
    ///
    /// # Errors
    /// When the secret is empty or the principal has a colon, which HTTP takes for its end.
    pub fn new(principal: &str, secret: &[u8]) -> Result<Credentials, CredentialsError> {
        let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        if secret.is_empty() {
            return Err(CredentialsError::Empty);
        }
        if principal.contains(':') {
            return Err(CredentialsError::Principal(principal.to_owned()));
        }
        Ok(Credentials {
            principal: principal.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// Reads the secret from a file (Marathon: `mesos_authentication_secret_file`).
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Credentials::new`].
    pub fn read(principal: &str, path: &Path) -> Result<Credentials, CredentialsError> {
        let secret = std::fs::read(path).map_err(|why| CredentialsError::Unreadable {
            path: path.display().to_string(),
            why,
        })?;
        Credentials::new(principal, &secret)
    }

    /// The value of `Authorization`.
    pub(super) fn header(&self) -> String {
        let mut text = format!("{}:", self.principal).into_bytes();
        text.extend_from_slice(&self.secret);
        format!("Basic {}", STANDARD.encode(text))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_file_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let missing = Credentials::read("p", &path).unwrap_err().to_string();
        assert!(missing.contains("cannot read"), "{missing}");
        std::fs::write(&path, "\n").unwrap();
        assert!(Credentials::read("p", &path).is_err());
        std::fs::write(&path, "a:b c\n").unwrap();
        let credentials = Credentials::read("p", &path).unwrap();
        assert_eq!(credentials.header(), "Basic cDphOmIgYw==");
        assert_eq!(format!("{credentials:?}"), "p:***");
        assert!(Credentials::new("p:q", b"s").is_err());
    }
}
