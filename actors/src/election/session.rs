//! Keeps a ZooKeeper session for ever: connects, reconnects, and replaces an expired session.
//! Knows no nodes but the path it is asked to make; what to do in a session is up to its users.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use zookeeper_client::{
    Acl, Acls, Client, CreateMode, Error, Permission, SessionState as ClientState,
};

use super::url::ZkUrl;

/// Wait between failed attempts; Mesos's `RETRY_INTERVAL`.
pub const RETRY: Duration = Duration::from_secs(2);

/// A connection that is silent for this part of the session timeout counts as lost.
const IDLE_PART: u32 = 3;

/// Everything for who made the node, reading for all; Mesos's `EVERYONE_READ_CREATOR_ALL`.
static CREATOR_ALL_WORLD_READ: [Acl; 2] = [
    Acl::new_const(Permission::READ, "world", "anyone"),
    Acl::new_const(Permission::ALL, "auth", ""),
];

/// A handle on the session; clones share it. It ends with its last handle.
///
/// Nodes bound to the session go with it.
#[derive(Debug, Clone)]
pub struct Session {
    shared: Arc<Shared>,
    state: watch::Receiver<SessionState>,
}

/// Whether ZooKeeper can be reached, and in which session.
#[derive(Debug, Clone)]
pub enum SessionState {
    /// There is no session: none yet, or the last one has expired. Nodes bound to it are gone, or
    /// will be soon.
    Absent,
    /// The session is there and requests reach the ensemble.
    Connected(Connection),
    /// The ensemble cannot be reached. The session is still there for what is left of its timeout.
    Disconnected,
}

/// One connection of one session. Whoever keeps it keeps the session alive, even one that has
/// expired for us, and with it its nodes; so let go of it when the work at hand is done.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Sends requests.
    pub client: Client,
    /// Counts the sessions of this process; another number means another session.
    pub session: u64,
    /// Counts the connections of this process, over all sessions.
    pub connection: u64,
}

#[derive(Debug)]
struct Shared {
    url: ZkUrl,
    timeout: Duration,
    state: Arc<watch::Sender<SessionState>>,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
        // A receiver left somewhere must not keep the client, and so the session, alive.
        self.state.send_replace(SessionState::Absent);
    }
}

impl Session {
    /// Starts to connect, on the tokio runtime this is called in, and goes on for ever.
    ///
    /// `timeout` is what ZooKeeper is asked for (`--zk_session_timeout`); it may grant another.
    #[must_use]
    pub fn open(url: ZkUrl, timeout: Duration) -> Session {
        let (state, receiver) = watch::channel(SessionState::Absent);
        let state = Arc::new(state);
        let keeper = Keeper {
            url: url.clone(),
            timeout,
            state: state.clone(),
            sessions: 0,
            connections: 0,
        };
        let task = tokio::spawn(keeper.run()).abort_handle();
        Session {
            shared: Arc::new(Shared {
                url,
                timeout,
                state,
                task,
            }),
            state: receiver,
        }
    }

    /// Where the ensemble is.
    #[must_use]
    pub fn url(&self) -> &ZkUrl {
        &self.shared.url
    }

    /// The session timeout ZooKeeper is asked for.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// Follows the state. States may be skipped, so compare numbers of [`Connection`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// Who may do what with the nodes made in this session; a rule of Mesos.
    #[must_use]
    pub fn acls(&self) -> Acls<'static> {
        match self.shared.url.credentials() {
            Some(_) => Acls::new(&CREATOR_ALL_WORLD_READ),
            None => Acls::anyone_all(),
        }
    }

    /// Waits until the ensemble can be reached.
    ///
    /// # Errors
    /// `ClientClosed` when the runtime that keeps the session is gone.
    pub async fn connected(&self) -> Result<Connection, Error> {
        let mut state = self.state.clone();
        let reached = state
            .wait_for(|state| matches!(state, SessionState::Connected(_)))
            .await;
        match reached.as_deref() {
            Ok(SessionState::Connected(connection)) => Ok(connection.clone()),
            _ => Err(Error::ClientClosed),
        }
    }

    /// Makes one request, or a few, as soon as the ensemble can be reached.
    ///
    /// # Errors
    /// What ZooKeeper answers (see [`is_answer`]). `ConnectionLoss` when the connection breaks and
    /// `Timeout` after the session timeout; whether the request was carried out is unknown then.
    pub async fn attempt<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let connection = self.connected().await?;
        let lost = self.lost(connection.connection);
        tokio::select! {
            result = work(connection.client) => result,
            () = lost => Err(Error::ConnectionLoss),
            () = sleep(self.shared.timeout) => Err(Error::Timeout),
        }
    }

    /// Makes one request until it is answered. Only for requests that may be carried out twice.
    ///
    /// # Errors
    /// What ZooKeeper answers, and `ClientClosed` when the runtime of the session is gone.
    pub async fn insist<T, F>(&self, work: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let connection = self.connected().await?.connection;
            match self.attempt(&work).await {
                Err(error) if !is_answer(&error) => self.after(connection).await,
                result => return result,
            }
        }
    }

    /// Waits for another connection than the one that failed, at most [`RETRY`].
    pub async fn after(&self, failed: u64) {
        let mut state = self.state.clone();
        let renewed = state.wait_for(|state| match state {
            SessionState::Connected(connection) => connection.connection > failed,
            _ => false,
        });
        // Whether it was renewed or not, the next attempt finds out.
        let _ = timeout(RETRY, renewed).await;
    }

    /// Waits until that connection is no longer the one in use.
    pub async fn lost(&self, connection: u64) {
        let mut state = self.state.clone();
        let lost = state.wait_for(|state| match state {
            SessionState::Connected(now) => now.connection != connection,
            _ => true,
        });
        // An error means that the keeper is gone, and the connection with it.
        let _ = lost.await;
    }

    /// Makes a node and all above it, as persistent nodes, unless they are there.
    ///
    /// # Errors
    /// What ZooKeeper answers, or that it does not.
    pub async fn create_path(&self, client: &Client, path: &str) -> Result<(), Error> {
        // ZooKeeper checks the parent's ACL before it says that a node is there, so ask first.
        if path == "/" || client.check_stat(path).await?.is_some() {
            return Ok(());
        }
        let options = CreateMode::Persistent.with_acls(self.acls());
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.chain([path.len()]) {
            let node = &path[..end];
            if client.check_stat(node).await?.is_some() {
                continue;
            }
            match client.create(node, &[], &options).await {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// True when ZooKeeper has answered with this error; any other leaves open whether the request was
/// carried out.
#[must_use]
pub fn is_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::BadArguments(_)
            | Error::NoNode
            | Error::NoAuth
            | Error::BadVersion
            | Error::NoChildrenForEphemerals
            | Error::NodeExists
            | Error::NotEmpty
            | Error::InvalidAcl
            | Error::QuotaExceeded
            | Error::MarshallingError
            | Error::Unimplemented
    )
}

/// Keeps the session; lives in its task.
struct Keeper {
    url: ZkUrl,
    timeout: Duration,
    state: Arc<watch::Sender<SessionState>>,
    sessions: u64,
    connections: u64,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let client = self.connect().await;
            self.sessions += 1;
            let why = self.keep(&client).await;
            let session = client.session_id();
            tracing::warn!(url = %self.url, %session, why, "zookeeper session lost");
            // The old client goes before a new session starts; when it still reaches the ensemble
            // it closes the old session, which removes our nodes at once.
            self.state.send_replace(SessionState::Absent);
            if client.state() == ClientState::AuthFailed {
                // It would fail again at once.
                sleep(RETRY).await;
            }
            drop(client);
        }
    }

    async fn connect(&self) -> Client {
        let mut failures = 0_u64;
        loop {
            match self.connector().connect(&self.url.servers()).await {
                Ok(client) => {
                    let session = client.session_id();
                    let timeout = client.session_timeout();
                    tracing::info!(url = %self.url, %session, ?timeout, "zookeeper session started");
                    return client;
                }
                // One line until it works again, however long that takes.
                Err(error) if failures == 0 => {
                    tracing::warn!(url = %self.url, %error, "cannot reach zookeeper, trying on");
                }
                Err(error) => {
                    tracing::debug!(url = %self.url, %error, failures, "cannot reach zookeeper");
                }
            }
            failures += 1;
            sleep(RETRY).await;
        }
    }

    fn connector(&self) -> zookeeper_client::Connector {
        let connector = Client::connector()
            // Makes nodes with the request that servers of all versions know.
            .with_server_version(3, 4, 0)
            .with_session_timeout(self.timeout)
            .with_connection_timeout(self.timeout / IDLE_PART)
            .with_fail_eagerly();
        match self.url.credentials() {
            Some(credentials) => connector.with_auth("digest", &credentials.digest()),
            None => connector,
        }
    }

    /// Publishes how the session fares until it is over; says why it is.
    async fn keep(&mut self, client: &Client) -> &'static str {
        let grace = grace(self.timeout, client.session_timeout());
        let mut states = client.state_watcher();
        let mut state = states.peek_state();
        loop {
            state = match state {
                ClientState::SyncConnected => {
                    self.connections += 1;
                    let connection = self.connections;
                    tracing::info!(url = %self.url, connection, "zookeeper connected");
                    self.state.send_replace(SessionState::Connected(Connection {
                        client: client.clone(),
                        session: self.sessions,
                        connection,
                    }));
                    states.changed().await
                }
                ClientState::Disconnected | ClientState::ConnectedReadOnly => {
                    tracing::info!(url = %self.url, ?grace, "zookeeper connection lost");
                    self.state.send_replace(SessionState::Disconnected);
                    match timeout(grace, states.changed()).await {
                        Ok(state) => state,
                        Err(_) => return "not reached within the session timeout",
                    }
                }
                ClientState::Expired => return "expired",
                ClientState::AuthFailed => return "authentication failed",
                ClientState::Closed => return "closed",
            };
        }
    }
}

/// How long the session may last from the moment its connection counts as lost.
///
/// By then the ensemble may have been silent for the idle time already. Mesos waits for a whole
/// session timeout from there, in which another master can be elected; we do not.
fn grace(asked: Duration, granted: Duration) -> Duration {
    // The client falls back to two fifths when the idle time it was asked for is too long for the
    // timeout it was granted; it looks eight times in this time whether it is over.
    let idle = match asked / IDLE_PART > granted * 3 / 5 {
        true => granted * 2 / 5,
        false => asked / IDLE_PART,
    };
    granted.saturating_sub(idle * 9 / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_grace_together_never_exceed_the_granted_timeout() {
        let seconds = Duration::from_secs;
        assert_eq!(grace(seconds(24), seconds(24)), seconds(15));
        // Granted more than was asked for, or less.
        assert_eq!(grace(seconds(24), seconds(40)), seconds(31));
        assert_eq!(grace(seconds(240), seconds(40)), seconds(22));
    }

    #[test]
    fn only_what_zookeeper_says_is_an_answer() {
        assert!(is_answer(&Error::BadVersion));
        assert!(is_answer(&Error::NoNode));
        for open in [
            Error::ConnectionLoss,
            Error::SessionExpired,
            Error::SessionMoved,
            Error::Timeout,
            Error::ClientClosed,
            Error::UnexpectedError(String::new()),
        ] {
            assert!(!is_answer(&open), "{open}");
        }
    }
}
