//! Gets a resource by HTTP or HTTPS: redirects, proxies, time limits, lengths (Mesos:
//! `net::download`, which uses curl).
//! Writes to no file.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

#[cfg(test)]
mod tests;

/// Most redirects that are followed, as curl does by itself.
const MAX_REDIRECTS: u32 = 30;

/// Most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The status of an answer that holds the resource.
const OK: u16 = 200;

/// Gets resources.
pub(crate) struct Client {
    tls: TlsConfig,
    stall_timeout: Duration,
}

/// A resource that is being read.
pub(crate) struct Download {
    /// Its size, if the server tells.
    pub(crate) size: Option<u64>,
    body: Box<dyn Read>,
    read: u64,
    stall_timeout: Duration,
}

impl Client {
    /// A client that gives up when a server sends nothing for `stall_timeout`.
    pub(crate) fn new(stall_timeout: Duration) -> Self {
        let roots = rustls_native_certs::load_native_certs().certs;
        Client::trusting(roots.iter().map(|root| root.as_ref()), stall_timeout)
    }

    fn trusting<'a>(roots: impl Iterator<Item = &'a [u8]>, stall_timeout: Duration) -> Self {
        let roots: Vec<_> = roots
            .map(|root| Certificate::from_der(root).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        Client { tls, stall_timeout }
    }

    /// The size that the server tells without being asked for the resource itself.
    ///
    /// # Errors
    /// When it tells none, or none above 0 (Mesos: `fetchSize`).
    pub(crate) fn size(&self, url: &str) -> Result<u64, String> {
        let agent = self.agent(url)?;
        let answer = agent.head(url).call().map_err(|error| self.failed(error))?;
        check_status(&answer)?;
        match length(&answer) {
            None => Err("the server does not tell its size".to_owned()),
            Some(0) => Err(format!("URI reported content-length 0: {url}")),
            Some(size) => Ok(size),
        }
    }

    /// Begins to read a resource.
    ///
    /// # Errors
    /// When it cannot be had; texts are Mesos's where it has one.
    pub(crate) fn get(&self, url: &str) -> Result<Download, String> {
        let agent = self.agent(url)?;
        let answer = agent.get(url).call().map_err(|error| self.failed(error))?;
        check_status(&answer)?;
        Ok(Download {
            size: length(&answer),
            body: Box::new(answer.into_body().into_reader()),
            read: 0,
            stall_timeout: self.stall_timeout,
        })
    }

    fn agent(&self, url: &str) -> Result<Agent, String> {
        self.agent_by(url, |name| std::env::var(name).ok())
    }

    fn agent_by(
        &self,
        url: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Agent, String> {
        // As with curl, none is as long as it takes.
        let limit = Some(self.stall_timeout).filter(|limit| !limit.is_zero());
        let config = Config::builder()
            .tls_config(self.tls.clone())
            .proxy(proxy(url, variable)?)
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .max_response_header_size(MAX_HEAD_BYTES)
            // Bytes are taken as they are: a file that is compressed stays so.
            .accept_encoding("identity")
            .accept("*/*")
            .user_agent(concat!("tepui-fetcher/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(limit)
            .timeout_connect(limit)
            .timeout_recv_response(limit)
            .timeout_per_read(limit)
            .timeout_per_write(limit)
            .build();
        Ok(Agent::new_with_config(config))
    }

    fn failed(&self, error: ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => stalled(self.stall_timeout),
            error => format!("Error downloading resource: {}", causes(&error)),
        }
    }
}

impl Read for Download {
    /// Ends with an error, never early, when the server has sent less than it said.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self
            .body
            .read(buffer)
            .map_err(|error| self.failed(&error))?;
        self.read += count as u64;
        match self.size {
            Some(size) if count == 0 && !buffer.is_empty() && self.read < size => {
                Err(io::Error::other(self.too_short(size)))
            }
            _ => Ok(count),
        }
    }
}

impl Download {
    fn failed(&self, error: &io::Error) -> io::Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let timed_out = error.kind() == io::ErrorKind::TimedOut
            || matches!(inner, Some(ureq::Error::Timeout(_)));
        io::Error::other(match self.size {
            _ if timed_out => stalled(self.stall_timeout),
            Some(size) if error.kind() == io::ErrorKind::UnexpectedEof => self.too_short(size),
            _ => format!("Error downloading resource: {error}"),
        })
    }

    fn too_short(&self, size: u64) -> String {
        format!(
            "Error downloading resource: the server closed the connection after {} of {size} bytes",
            self.read
        )
    }
}

fn check_status<B>(answer: &Response<B>) -> Result<(), String> {
    match answer.status().as_u16() {
        OK => Ok(()),
        other => Err(format!(
            "Error downloading resource, received HTTP return code {other}"
        )),
    }
}

fn length(answer: &Response<Body>) -> Option<u64> {
    let value = answer.headers().get("content-length")?;
    value.to_str().ok()?.trim().parse().ok()
}

fn stalled(limit: Duration) -> String {
    format!(
        "Error downloading resource: no byte came for {} seconds (see --fetcher_stall_timeout)",
        limit.as_secs_f64()
    )
}

/// The proxy that the environment names for this URL, by the names that curl knows; the name for
/// plain HTTP is taken in small letters only, as servers set the other one from a request.
fn proxy(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let Ok(parsed) = url.parse::<Uri>() else {
        // Whoever connects says what is wrong with it.
        return Ok(None);
    };
    let names: &[&str] = match parsed.scheme_str() == Some("https") {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let set = |name: &&str| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        Some((name.to_string(), value))
    };
    let Some((name, value)) = names.iter().find_map(set) else {
        return Ok(None);
    };
    let exceptions = variable("no_proxy").or_else(|| variable("NO_PROXY"));
    if parsed
        .host()
        .is_some_and(|host| is_excepted(host, &exceptions.unwrap_or_default()))
    {
        return Ok(None);
    }
    let proxy = Proxy::new(&value).map(Some);
    proxy.map_err(|error| format!("the proxy that '{name}' names cannot be used: {error}"))
}

/// Whether a host is reached without a proxy: one that is listed, or lies below one that is.
fn is_excepted(host: &str, exceptions: &str) -> bool {
    let host = host.to_ascii_lowercase();
    exceptions.split([',', ' ']).any(|exception| {
        let exception = exception.trim_start_matches("*.").trim_start_matches('.');
        let exception = exception.to_ascii_lowercase();
        match exception.as_str() {
            "" => false,
            "*" => true,
            name => {
                let above = host.strip_suffix(name);
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
        }
    })
}

/// An error with what has led to it.
fn causes(error: &ureq::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
