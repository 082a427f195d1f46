//! What can go wrong between a client and a master or agent, said so that a user can act on it.
//! Retries nothing.

use std::error::Error as _;
use std::time::Duration;

use thiserror::Error;

/// Why a request or a subscription failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// An address is no address.
    #[error("'{0}' is no address; expected host:port, such as 127.0.0.1:5050")]
    Address(String),
    /// A URL of a server is none.
    #[error("'{0}' is no URL of a server; expected http://host:port or https://host:port")]
    ServerUrl(String),
    /// A ZooKeeper URL is none.
    #[error("{0}")]
    ZooKeeper(String),
    /// No master leads.
    #[error("no master leads at {masters}, asked for {} s", waited.as_secs())]
    NoLeader {
        /// Where the masters meet.
        masters: String,
        /// How long it was waited for one.
        waited: Duration,
    },
    /// Nobody answers.
    #[error("cannot reach {url}: {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The reason of the operating system or the HTTP library.
        why: String,
    },
    /// The answer's status says no.
    #[error("refused with status {status}: {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Body of the answer.
        text: String,
    },
    /// The answer is not what the API promises.
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    /// The event stream was closed by the master or the network.
    #[error("the event stream was closed by the server")]
    Closed,
    /// Not even a heartbeat came.
    #[error("the event stream has been silent for {0} s, although heartbeats were promised")]
    Silent(u64),
    /// The HTTP client could not be set up.
    #[error("cannot set up an HTTP client: {0}")]
    Setup(String),
}

impl ClientError {
    /// The error of a request that got no answer.
    pub(super) fn unreachable(url: &str, error: &reqwest::Error) -> Self {
        ClientError::Unreachable {
            url: url.to_owned(),
            why: causes(error),
        }
    }
}

/// The innermost reason: the outer ones only repeat that a request failed.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if error.is_timeout() && error.source().is_none() {
        return "no answer in time".to_owned();
    }
    inner.to_string()
}
