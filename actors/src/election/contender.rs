//! Contends for leadership: keeps a node of this process in ZooKeeper and tells how that goes.
//! Does not know who leads.

use std::fmt;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zookeeper_client::{Client, CreateMode, Error};

use super::contestant::Contestant;
use super::node::Sequence;
use super::session::{RETRY, Session, SessionState};

/// How the candidacy of this process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidacy {
    /// The node is not there yet.
    Waiting,
    /// The node is there, with this number. Out of reach of ZooKeeper it counts as being there
    /// until the session timeout is over.
    Contending(Sequence),
    /// The node was there and is gone; a new one follows.
    Lost(Loss),
    /// This process contends no more because it was told so.
    Withdrawn,
}

/// Why a candidacy was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The session is over, or ZooKeeper was out of reach for as long as it may last.
    SessionExpired,
    /// Somebody removed the node.
    NodeGone,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::SessionExpired => "its zookeeper session has expired",
            Loss::NodeGone => "its node in zookeeper is gone",
        })
    }
}

/// Contends until it is withdrawn or dropped. Dropping leaves the node to the end of the session.
#[derive(Debug)]
pub struct Contender {
    session: Session,
    candidacy: watch::Receiver<Candidacy>,
    withdraw: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Contender {
    /// Starts on the tokio runtime this is called in; `own` is what others learn about this
    /// process when it leads.
    #[must_use]
    pub fn start<T: Contestant>(session: Session, own: &T) -> Contender {
        let (publish, candidacy) = watch::channel(Candidacy::Waiting);
        let (withdraw, withdrawn) = oneshot::channel();
        let contending = Contending {
            session: session.clone(),
            directory: T::directory(session.url()),
            label: T::label(),
            data: own.write(),
            sequence: T::sequence,
            publish,
        };
        let task = tokio::spawn(contending.run(withdrawn));
        Contender {
            session,
            candidacy,
            withdraw: Some(withdraw),
            task,
        }
    }

    /// Follows the candidacy. States may be skipped, so compare the numbers.
    #[must_use]
    pub fn candidacy(&self) -> watch::Receiver<Candidacy> {
        self.candidacy.clone()
    }

    /// Removes the node, so that another one can lead at once. Takes at most a session timeout.
    pub async fn withdraw(mut self) {
        if let Some(withdraw) = self.withdraw.take() {
            // When nobody receives this, the task has ended and so has the candidacy.
            let _ = withdraw.send(());
        }
        if timeout(self.session.timeout(), &mut self.task)
            .await
            .is_err()
        {
            tracing::warn!("cannot remove the node in zookeeper, it goes with the session");
        }
    }
}

/// Lives in the contender's task.
struct Contending {
    session: Session,
    directory: String,
    label: String,
    data: Vec<u8>,
    /// The number of a contending node.
    sequence: fn(&str) -> Option<Sequence>,
    publish: watch::Sender<Candidacy>,
}

/// The node of this process.
struct Own {
    name: String,
    sequence: Sequence,
    /// Number of the session it is bound to.
    session: u64,
}

impl Contending {
    async fn run(self, withdrawn: oneshot::Receiver<()>) {
        tokio::select! {
            biased;
            told = withdrawn => if told.is_err() {
                // Dropped, which is the same as aborted.
                return;
            },
            () = self.contend() => return,
        }
        let this = &self;
        let removed = this
            .session
            .insist(|client| async move { this.remove_own(&client).await });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "cannot remove the node in zookeeper");
        }
        self.publish.send_replace(Candidacy::Withdrawn);
    }

    /// Returns only when the session is no longer kept.
    async fn contend(&self) {
        loop {
            let own = match self.enter().await {
                Ok(own) => own,
                Err(Error::ClientClosed) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot contend for leadership, trying again");
                    sleep(RETRY).await;
                    continue;
                }
            };
            tracing::info!(node = own.name, "contending for leadership");
            self.publish
                .send_replace(Candidacy::Contending(own.sequence));
            let loss = self.hold(&own).await;
            tracing::warn!(node = own.name, reason = %loss, "candidacy lost");
            self.publish.send_replace(Candidacy::Lost(loss));
        }
    }

    async fn enter(&self) -> Result<Own, Error> {
        let session = self.session.connected().await?.session;
        let entered = self.session.attempt(|client| async move {
            self.session.create_path(&client, &self.directory).await?;
            // An attempt that was cut off may have made the node; a second one would make this
            // process follow itself.
            match self.own(&client).await?.pop() {
                Some(own) => Ok(own),
                None => self.create(&client).await,
            }
        });
        let (name, sequence) = entered.await?;
        Ok(Own {
            name,
            sequence,
            session,
        })
    }

    /// The path of a node in the directory.
    fn path(&self, name: &str) -> String {
        match self.directory.as_str() {
            "/" => format!("/{name}"),
            directory => format!("{directory}/{name}"),
        }
    }

    async fn create(&self, client: &Client) -> Result<(String, Sequence), Error> {
        let options = CreateMode::EphemeralSequential.with_acls(self.session.acls());
        let prefix = self.path(&self.label);
        let (_, sequence) = client.create(&prefix, &self.data, &options).await?;
        let name = format!("{}{sequence}", self.label);
        match u64::try_from(sequence.into_i64()) {
            Ok(sequence) => Ok((name, Sequence(sequence))),
            Err(_) => Err(Error::UnexpectedError(
                "the path has run out of sequence numbers; use another one".to_owned(),
            )),
        }
    }

    /// The nodes of this session, as of now.
    async fn own(&self, client: &Client) -> Result<Vec<(String, Sequence)>, Error> {
        let path = &self.directory;
        // The server at hand may lag behind the one that took an earlier request.
        client.sync(path).await?;
        let children = match client.list_children(path).await {
            Err(Error::NoNode) => return Ok(Vec::new()),
            children => children?,
        };
        let mut own = Vec::new();
        for name in children {
            let Some(sequence) = (self.sequence)(&name) else {
                continue;
            };
            let stat = client.check_stat(&self.path(&name)).await?;
            if stat.is_some_and(|stat| stat.ephemeral_owner == client.session_id().0) {
                own.push((name, sequence));
            }
        }
        Ok(own)
    }

    async fn remove_own(&self, client: &Client) -> Result<(), Error> {
        for (name, _) in self.own(client).await? {
            match client.delete(&self.path(&name), None).await {
                Ok(()) | Err(Error::NoNode) => {
                    tracing::info!(node = name, "withdrew from leadership");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the node is gone, or has to be taken for gone.
    async fn hold(&self, own: &Own) -> Loss {
        let node = self.path(&own.name);
        let mut states = self.session.watch();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                SessionState::Absent => return Loss::SessionExpired,
                SessionState::Connected(now) if now.session != own.session => {
                    return Loss::SessionExpired;
                }
                SessionState::Connected(now) => tokio::select! {
                    biased;
                    () = self.session.lost(now.connection) => {}
                    () = self.until_gone(&now.client, &node) => return Loss::NodeGone,
                },
                SessionState::Disconnected => {
                    if states.changed().await.is_err() {
                        return Loss::SessionExpired;
                    }
                }
            }
        }
    }

    /// Returns only when ZooKeeper says that the node is gone.
    async fn until_gone(&self, client: &Client, node: &str) {
        loop {
            let stat = client.check_and_watch_stat(node);
            match timeout(self.session.timeout(), stat).await {
                Ok(Ok((Some(_), changed))) => {
                    changed.changed().await;
                }
                Ok(Ok((None, _))) => return,
                Ok(Err(error)) => {
                    tracing::debug!(%error, node, "cannot watch the own node");
                    sleep(RETRY).await;
                }
                Err(_) => {
                    tracing::warn!(node, "zookeeper does not say whether the own node is there");
                }
            }
        }
    }
}
