//! Finds the leader: watches the contending nodes and publishes the smallest one's data.
//! Only reads, so that agents and frameworks can use it; decides nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::v1;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use zookeeper_client::{Client, Error, OneshotWatcher};

use super::contestant::{Contestant, leading};
use super::node::Sequence;
use super::session::{Connection, RETRY, Session, SessionState};

/// A watch that never fires must not hide a change for longer than this.
const RECHECK: Duration = Duration::from_secs(60);

/// The leading one.
#[derive(Debug, Clone, PartialEq)]
pub struct Leader<T = v1::MasterInfo> {
    /// Number of its node. Larger than those of all leaders before.
    pub sequence: Sequence,
    /// Who it is.
    pub info: Arc<T>,
}

/// Follows who leads until it is dropped.
#[derive(Debug)]
pub struct Detector<T = v1::MasterInfo> {
    leader: watch::Receiver<Option<Leader<T>>>,
    task: AbortHandle,
}

impl<T> Drop for Detector<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Contestant> Detector<T> {
    /// Starts on the tokio runtime this is called in.
    #[must_use]
    pub fn start(session: Session) -> Detector<T> {
        let (publish, leader) = watch::channel(None);
        let watching = Watching {
            directory: T::directory(session.url()),
            session,
            publish,
            unreadable: None,
        };
        let task = tokio::spawn(watching.run()).abort_handle();
        Detector { leader, task }
    }

    /// Follows the leader. Nothing: nobody leads, or that is not known (yet, or since the session
    /// has expired). While ZooKeeper is out of reach within the session timeout the last leader
    /// stays, as in Mesos.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<Leader<T>>> {
        self.leader.clone()
    }
}

/// Lives in the detector's task.
struct Watching<T> {
    session: Session,
    directory: String,
    publish: watch::Sender<Option<Leader<T>>>,
    /// Node about which it was already said that it cannot be read.
    unreadable: Option<Sequence>,
}

/// What one look at the nodes found.
struct Look {
    /// All contending nodes; nothing when the path itself is not there.
    names: Option<BTreeSet<String>>,
    /// Fires when that changes.
    changed: OneshotWatcher,
}

impl<T: Contestant> Watching<T> {
    async fn run(mut self) {
        let session = self.session.clone();
        let mut states = session.watch();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                SessionState::Connected(connection) => {
                    // Whatever happens below, a new connection or session starts it afresh: a
                    // detection that stays pending for ever is a known failure of Mesos.
                    tokio::select! {
                        biased;
                        () = session.lost(connection.connection) => {}
                        () = self.follow(&connection) => {}
                    }
                    continue;
                }
                SessionState::Disconnected => {}
                SessionState::Absent => self.show(None),
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    /// Looks again and again as long as the connection lasts.
    async fn follow(&mut self, connection: &Connection) {
        let client = &connection.client;
        loop {
            let limit = self.session.timeout();
            match timeout(limit, self.look(client)).await {
                Ok(Ok(look)) => self.until_changed(client, look).await,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot detect the leader, trying again");
                    sleep(RETRY).await;
                }
                Err(_) => {
                    tracing::warn!(?limit, "zookeeper does not say who leads, asking again");
                }
            }
        }
    }

    async fn look(&mut self, client: &Client) -> Result<Look, Error> {
        let path = self.directory.clone();
        let (children, changed) = loop {
            match client.list_and_watch_children(&path).await {
                Err(Error::NoNode) => {}
                found => break found?,
            }
            // Nobody has contended yet; who comes first makes the path.
            let (stat, changed) = client.check_and_watch_stat(&path).await?;
            if stat.is_none() {
                self.show(None);
                let names = None;
                return Ok(Look { names, changed });
            }
        };
        let leader = match leading::<T>(children.iter().map(String::as_str)) {
            Some((name, sequence)) => self.read(client, name, sequence).await?,
            None => None,
        };
        self.show(leader);
        let names = Some(contending::<T>(children));
        Ok(Look { names, changed })
    }

    async fn read(
        &mut self,
        client: &Client,
        name: &str,
        sequence: Sequence,
    ) -> Result<Option<Leader<T>>, Error> {
        let known = self.publish.borrow().clone();
        if known.as_ref().is_some_and(|it| it.sequence == sequence) {
            return Ok(known);
        }
        let data = match client.get_data(&format!("{}/{name}", self.prefix())).await {
            Ok((data, _)) => data,
            // It went in this moment; the watch says so, too.
            Err(Error::NoNode) => return Ok(None),
            Err(error) => return Err(error),
        };
        match T::read(name, &data) {
            Ok(info) => Ok(Some(Leader {
                sequence,
                info: Arc::new(info),
            })),
            Err(error) => {
                if self.unreadable.replace(sequence) != Some(sequence) {
                    tracing::warn!(node = name, %error, "leading node names nobody");
                }
                Ok(None)
            }
        }
    }

    /// What stands before a slash and the name of a node.
    fn prefix(&self) -> &str {
        self.directory.trim_end_matches('/')
    }

    /// Waits until the nodes are no longer as they looked.
    async fn until_changed(&self, client: &Client, look: Look) {
        let changed = look.changed.changed();
        tokio::pin!(changed);
        loop {
            tokio::select! {
                _ = &mut changed => return,
                () = sleep(RECHECK) => {
                    let children = client.list_children(&self.directory);
                    let names = match timeout(self.session.timeout(), children).await {
                        Ok(Ok(children)) => Some(contending::<T>(children)),
                        Ok(Err(Error::NoNode)) => None,
                        // No answer says nothing new; if the connection is gone we hear of it.
                        Ok(Err(_)) | Err(_) => continue,
                    };
                    if names != look.names {
                        tracing::warn!("zookeeper did not report that contestants came or went");
                        return;
                    }
                }
            }
        }
    }

    fn show(&self, leader: Option<Leader<T>>) {
        let url = self.session.url();
        let changed = self.publish.send_if_modified(|shown| {
            let changes = *shown != leader;
            shown.clone_from(&leader);
            changes
        });
        match (changed, &leader) {
            (false, _) => {}
            (true, Some(leader)) => {
                let pid = leader.info.shown();
                tracing::info!(%url, sequence = %leader.sequence, pid, "detected a new leader");
            }
            (true, None) => tracing::info!(%url, "no leader"),
        }
    }
}

fn contending<T: Contestant>(children: Vec<String>) -> BTreeSet<String> {
    let mut names = BTreeSet::from_iter(children);
    names.retain(|name| T::sequence(name).is_some());
    names
}
