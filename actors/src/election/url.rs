//! Reads the address of a ZooKeeper ensemble: `zk://user:password@host1:port1,host2:port2/path`.
//! Connects to nothing and resolves no names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Port of a server for which the URL names none.
pub const DEFAULT_PORT: u16 = 2181;

const SCHEME: &str = "zk://";
const FILE_SCHEME: &str = "file://";

/// Where the ensemble is and below which node masters meet.
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ZkUrl {
    credentials: Option<Credentials>,
    servers: Vec<Server>,
    path: String,
}

/// A user of ZooKeeper's digest scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

#[derive(Clone, PartialEq, Eq)]
struct Server {
    /// A name or an address; an IPv6 address without its brackets.
    host: String,
    port: u16,
}

/// Why a text is no usable URL. No text repeats the credentials.
#[derive(Debug, thiserror::Error)]
pub enum ZkUrlError {
    /// Another scheme, or none.
    #[error(
        "zookeeper url does not start with zk://; \
         write zk://host1:port1,host2:port2/path or file:///file/with/that/url"
    )]
    Scheme,
    /// No server is named.
    #[error("zookeeper url names no server; write zk://host1:port1,host2:port2/path")]
    NoServers,
    /// A server that is not `host` or `host:port`.
    #[error(
        "zookeeper url has a bad server '{server}': {reason}; \
         write host:port, an IPv6 address as [address]:port"
    )]
    Server {
        /// The server as written.
        server: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something before the `@` that is not `user:password`.
    #[error("zookeeper url has bad credentials before the '@'; write user:password@host:port")]
    Credentials,
    /// A path ZooKeeper would refuse.
    #[error("zookeeper url has a bad path '{path}': {reason}; write one like /mesos")]
    Path {
        /// The path as written.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file that should hold the URL cannot be read.
    #[error("cannot read the zookeeper url from file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("file {path}: {source}")]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: Box<ZkUrlError>,
    },
}

impl ZkUrl {
    /// Reads `zk://...`, or `file:///path`: a file that holds such a URL, so that its password
    /// need not be on a command line, as Mesos allows.
    ///
    /// # Errors
    /// When the file cannot be read, or the URL is wrong.
    pub fn read(text: &str) -> Result<ZkUrl, ZkUrlError> {
        let Some(file) = text.trim().strip_prefix(FILE_SCHEME) else {
            return text.parse();
        };
        let path = PathBuf::from(file);
        match std::fs::read_to_string(&path) {
            Ok(content) => content
                .parse()
                .map_err(|source: ZkUrlError| ZkUrlError::InFile {
                    path,
                    source: Box::new(source),
                }),
            Err(source) => Err(ZkUrlError::File { path, source }),
        }
    }

    /// Path of the node below which masters meet: absolute, without a slash at its end; `/` when
    /// the URL names none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Path of a node directly below [`ZkUrl::path`].
    #[must_use]
    pub fn child(&self, name: &str) -> String {
        match self.path.as_str() {
            "/" => format!("/{name}"),
            path => format!("{path}/{name}"),
        }
    }

    /// Whom to be to ZooKeeper, if anybody.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The servers as `host:port`, separated by commas: what ZooKeeper clients take.
    #[must_use]
    pub fn servers(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(Server::to_string).collect();
        servers.join(",")
    }
}

impl Credentials {
    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What ZooKeeper's digest scheme wants to be sent: `user:password`. Never log it.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        format!("{}:{}", self.user, self.password).into_bytes()
    }
}

impl FromStr for ZkUrl {
    type Err = ZkUrlError;

    fn from_str(text: &str) -> Result<ZkUrl, ZkUrlError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(ZkUrlError::Scheme)?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        // The last '@' separates, as in Mesos: a password may hold others.
        let (credentials, servers) = match authority.rsplit_once('@') {
            Some((credentials, servers)) => (Some(read_credentials(credentials)?), servers),
            None => (None, authority),
        };
        if servers.is_empty() {
            return Err(ZkUrlError::NoServers);
        }
        let servers: Result<Vec<Server>, ZkUrlError> =
            servers.split(',').map(read_server).collect();
        Ok(ZkUrl {
            credentials,
            servers: servers?,
            path: read_path(path)?,
        })
    }
}

impl fmt::Display for ZkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(credentials) = &self.credentials {
            write!(f, "{credentials}@")?;
        }
        write!(f, "{}{}", self.servers(), self.path)
    }
}

impl fmt::Debug for ZkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn read_credentials(text: &str) -> Result<Credentials, ZkUrlError> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        }),
        _ => Err(ZkUrlError::Credentials),
    }
}

fn read_server(text: &str) -> Result<Server, ZkUrlError> {
    let bad = |reason| ZkUrlError::Server {
        server: text.to_owned(),
        reason,
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest
                .split_once(']')
                .ok_or(bad("the bracket is not closed"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(bad("there is no IPv6 address in the brackets"));
            }
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(bad("only a port may follow the bracket")),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    if host.contains(char::is_whitespace) {
        return Err(bad("it holds white space"));
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| bad("its port is no number"))?,
        None => DEFAULT_PORT,
    };
    if port == 0 {
        return Err(bad("its port is 0"));
    }
    Ok(Server {
        host: host.to_owned(),
        port,
    })
}

fn read_path(text: &str) -> Result<String, ZkUrlError> {
    let bad = |reason| ZkUrlError::Path {
        path: text.to_owned(),
        reason,
    };
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.is_empty() {
        return Ok("/".to_owned());
    }
    for name in path.split('/').skip(1) {
        match name {
            "" => return Err(bad("it has an empty part")),
            "." | ".." => return Err(bad("it has a part '.' or '..'")),
            _ if name.contains(|c: char| c.is_control() || c.is_whitespace()) => {
                return Err(bad("it holds white space or control characters"));
            }
            _ => {}
        }
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ZkUrl {
        text.parse().expect(text)
    }

    fn refusal(text: &str) -> String {
        text.parse::<ZkUrl>().expect_err(text).to_string()
    }

    #[test]
    fn reads_servers_and_path() {
        let url = parse("zk://host1:2182,host2,[::1]:2183,[fe80::1]/mesos/prod");
        assert_eq!(
            url.servers(),
            "host1:2182,host2:2181,[::1]:2183,[fe80::1]:2181"
        );
        assert_eq!(url.path(), "/mesos/prod");
        assert_eq!(url.child("x"), "/mesos/prod/x");
        assert!(url.credentials().is_none());
    }

    #[test]
    fn a_missing_path_is_the_root() {
        for text in ["zk://h:1/", "zk://h:1"] {
            let url = parse(text);
            assert_eq!(url.path(), "/");
            assert_eq!(url.child("x"), "/x");
        }
        assert_eq!(parse("zk://h:1/mesos/").path(), "/mesos");
    }

    #[test]
    fn reads_credentials_and_hides_the_password() {
        let url = parse("zk://user:p@ss:word@host:1/mesos");
        let credentials = url.credentials().expect("credentials");
        assert_eq!(credentials.digest(), b"user:p@ss:word");
        for shown in [
            format!("{url}"),
            format!("{url:?}"),
            format!("{credentials:?}"),
        ] {
            assert!(shown.contains("user:***"), "{shown}");
            assert!(!shown.contains("ss:word"), "{shown}");
        }
        assert_eq!(url.to_string(), "zk://user:***@host:1/mesos");
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(refusal("host:1/mesos").contains("does not start with zk://"));
        assert!(refusal("zk://").contains("names no server"));
        assert!(refusal("zk:///mesos").contains("names no server"));
        assert!(refusal("zk://u:p@/mesos").contains("names no server"));
        assert!(refusal("zk://h:1,,g:2/").contains("no host"));
        assert!(refusal("zk://h:x/").contains("no number"));
        assert!(refusal("zk://h:/").contains("no number"));
        assert!(refusal("zk://h:99999/").contains("no number"));
        assert!(refusal("zk://h:0/").contains("port is 0"));
        assert!(refusal("zk://[::1/").contains("not closed"));
        assert!(refusal("zk://[x]:1/").contains("no IPv6 address"));
        assert!(refusal("zk://[::1]x/").contains("only a port"));
        assert!(refusal("zk://h:1/a//b").contains("empty part"));
        assert!(refusal("zk://h:1//").contains("empty part"));
        assert!(refusal("zk://h:1/a/../b").contains("'..'"));
        assert!(refusal("zk://h:1/a b").contains("white space"));
        let secret = refusal("zk://:secret@h:1/");
        assert!(secret.contains("user:password@host"), "{secret}");
        assert!(!secret.contains("secret"));
        assert!(refusal("zk://user@h:1/").contains("bad credentials"));
    }

    #[test]
    fn reads_from_a_file() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("zk");
        let text = format!("file://{}", path.display());
        let missing = ZkUrl::read(&text).expect_err("missing").to_string();
        assert!(missing.contains("cannot read"), "{missing}");

        std::fs::write(&path, "zk://user:secret@host:1/mesos\n").expect("write");
        assert_eq!(ZkUrl::read(&text).expect("read").path(), "/mesos");

        std::fs::write(&path, "host:1").expect("write");
        let wrong = ZkUrl::read(&text).expect_err("wrong").to_string();
        assert!(wrong.contains("does not start with zk://"), "{wrong}");

        assert_eq!(ZkUrl::read("zk://h:1/a").expect("plain").path(), "/a");
    }
}
