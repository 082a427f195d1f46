//! Keeps the registry in ZooKeeper: versioned, fenced by the leader's epoch, in small requests.
//! Knows rows, not what they mean, and elects nobody.
//!
//! Below `<path>/registry` there are chunks of a log of rows, and one `head` that says which of
//! them count and for which leader. A write first makes its chunks, which nobody sees yet, and
//! then replaces the head on condition that it is the one this store wrote last. So a write
//! counts with all its rows or not at all, and as soon as a newer leader has replaced the head no
//! older one can, whatever it was doing. When the log has grown too long, a write puts all rows
//! into a new log instead.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use zookeeper_client::{CreateMode, Error};

use super::store::{Store, StoreError};
use super::zk_log::{
    CHUNK_BYTES, ChunkId, FORMAT, Format, Head, Rows, Segment, SegmentId, write_rows,
};
use crate::election::session::{Session, is_answer};
use tepui_core::registry::Row;

/// Name of the registry's node below the path masters meet at.
pub const NODE: &str = "registry";

/// Name of the node below it that says what counts.
pub const HEAD: &str = "head";

/// How long ZooKeeper may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For loading; Mesos's `--registry_fetch_timeout`.
    pub load: Duration,
    /// For a write; Mesos's `--registry_store_timeout`.
    pub write: Duration,
}

impl Default for Limits {
    /// Mesos's.
    fn default() -> Self {
        Limits {
            load: Duration::from_secs(60),
            write: Duration::from_secs(20),
        }
    }
}

/// Removing what no longer counts may hold up a load or write so long; the next load goes on.
const COLLECT_LIMIT: Duration = Duration::from_secs(5);

/// Chunks on their way at once: enough to keep ZooKeeper busy, few enough to let pings through.
const CHUNKS_AT_ONCE: usize = 8;

/// Small requests on their way at once.
const REMOVALS_AT_ONCE: usize = 64;

/// The registry of one leader. A store of a newer leader ends it.
pub struct ZkStore {
    session: Session,
    runtime: Handle,
    path: String,
    epoch: u64,
    limits: Limits,
    /// What ZooKeeper holds; nothing before the first load and after a failed write.
    opened: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    head: Head,
    /// Version of the head's node.
    version: i32,
    /// Where the next rows go.
    writing: SegmentId,
    rows: Rows,
}

impl fmt::Debug for ZkStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZkStore")
            .field("path", &self.path)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl ZkStore {
    /// A store for the leader of this epoch (see `Decision::Lead`).
    ///
    /// `runtime` is the one that keeps the session; it must not be waiting for this store. Loads
    /// and writes have to be called off its threads, or on one where it lets block.
    #[must_use]
    pub fn new(session: Session, runtime: Handle, epoch: u64, limits: Limits) -> ZkStore {
        ZkStore::below(session, runtime, NODE, epoch, limits)
    }

    /// The same under another name, for rows that are no registry.
    #[must_use]
    pub fn below(
        session: Session,
        runtime: Handle,
        node: &str,
        epoch: u64,
        limits: Limits,
    ) -> ZkStore {
        ZkStore {
            path: session.url().child(node),
            session,
            runtime,
            epoch,
            limits,
            opened: None,
        }
    }

    async fn open(&self) -> Result<(Opened, BTreeSet<ChunkId>), StoreError> {
        let (session, path) = (&self.session, self.path.as_str());
        session
            .insist(|client| async move { session.create_path(&client, path).await })
            .await
            .map_err(|error| self.refused(error))?;
        let (head, version) = self.fence().await?;
        let rows = self.read(&head, version).await?;
        // After the fence: what older leaders may still make is garbage the next load finds.
        let present = self.present().await?;
        let writing = self.segment(version);
        // Of later segments only who loaded later knows whether they count.
        let garbage = |chunk: &ChunkId| chunk.segment < writing && !head.holds(*chunk);
        let garbage = present.into_iter().filter(garbage).collect();
        let opened = Opened {
            head,
            version,
            writing,
            rows,
        };
        Ok((opened, garbage))
    }

    /// Makes the head ours, which no older leader survives.
    async fn fence(&self) -> Result<(Head, i32), StoreError> {
        loop {
            let (head, replaces) = match self.read_head().await? {
                Some((mut head, version)) => {
                    self.check_epoch(&head)?;
                    head.epoch = self.epoch;
                    head.since = version.wrapping_add(1);
                    (head, Some(version))
                }
                // Chunks without a head were a registry; an empty one in its place would lose it.
                None if !self.present().await?.is_empty() => {
                    return Err(self.damaged("it has chunks but no head".to_owned()));
                }
                None => (Head::empty(self.epoch), None),
            };
            let (data, node) = (self.head_data(&head)?, self.node(HEAD));
            let connection = self.connection().await?;
            let replaced = self.session.attempt(|client| async move {
                let options = CreateMode::Persistent.with_acls(self.session.acls());
                match replaces {
                    Some(_) => client.set_data(&node, &data, replaces).await,
                    None => client
                        .create(&node, &data, &options)
                        .await
                        .map(|made| made.0),
                }
            });
            match (replaced.await, replaces) {
                (Ok(stat), Some(_)) => return Ok((head, stat.version)),
                // What old servers say about a new node has no version; it is always this one.
                (Ok(_), None) => return Ok((head, 0)),
                // Somebody was quicker, or what we had read was old.
                (Err(Error::BadVersion | Error::NodeExists), _) => {}
                (Err(error), _) if is_answer(&error) => return Err(self.refused(error)),
                // Carried out or not, doing it again does no harm.
                (Err(_), _) => self.session.after(connection).await,
            }
        }
    }

    async fn read(&self, head: &Head, version: i32) -> Result<Rows, StoreError> {
        let mut chunks = stream::iter(head.chunks())
            .map(|chunk| self.read_chunk(chunk, version))
            .buffered(CHUNKS_AT_ONCE);
        let mut rows = Rows::default();
        for segment in &head.segments {
            // A row may begin in one chunk and end in the next, but never in another segment.
            let mut log = Vec::new();
            for _ in 0..segment.chunks {
                log.extend(chunks.try_next().await?.unwrap_or_default());
            }
            if log.len() as u64 != segment.bytes {
                let (found, wanted) = (log.len(), segment.bytes);
                return Err(self.damaged(format!(
                    "segment {:?} has {found} bytes instead of {wanted}",
                    segment.id
                )));
            }
            rows.read(&log).map_err(|error| {
                self.damaged(format!("segment {:?} holds no rows: {error}", segment.id))
            })?;
        }
        Ok(rows)
    }

    async fn read_chunk(&self, chunk: ChunkId, version: i32) -> Result<Vec<u8>, StoreError> {
        let node = self.node(&chunk.to_string());
        let read = self.session.insist(|client| {
            let node = &node;
            async move {
                match client.get_data(node).await {
                    // In a new session the server at hand may lag behind.
                    Err(Error::NoNode) => {
                        client.sync(node).await?;
                        client.get_data(node).await
                    }
                    read => read,
                }
            }
        });
        match read.await {
            Ok((data, _)) => Ok(data),
            Err(Error::NoNode) => match self.read_head().await? {
                // Who loaded in the meantime may have written a new log.
                Some((head, now)) if now != version => Err(self.fenced(head.epoch)),
                _ => Err(self.damaged(format!("chunk {chunk} is not there"))),
            },
            Err(error) => Err(self.refused(error)),
        }
    }

    async fn append(
        &self,
        mut opened: Opened,
        rows: &[Row],
    ) -> Result<(Opened, BTreeSet<ChunkId>), StoreError> {
        let mut log = write_rows(rows).map_err(|error| self.unwritable(&error))?;
        for row in rows {
            opened.rows.apply(row.key.clone(), row.value.clone());
        }
        let mut head = opened.head.clone();
        if head.must_compact(log.len() as u64, &opened.rows) {
            log = opened
                .rows
                .write()
                .map_err(|error| self.unwritable(&error))?;
            head.segments.clear();
            opened.writing = self.segment(opened.version);
            let (bytes, path) = (log.len(), &self.path);
            tracing::debug!(path, bytes, "writing all rows into a new log");
        }
        self.extend(&mut head, opened.writing, &log).await?;
        opened.version = self.commit(&head, opened.version).await?;
        let garbage = opened.head.chunks().filter(|chunk| !head.holds(*chunk));
        let garbage = garbage.collect();
        opened.head = head;
        Ok((opened, garbage))
    }

    /// Makes the chunks of this log at the end of the segment; the head is not stored yet.
    async fn extend(
        &self,
        head: &mut Head,
        writing: SegmentId,
        log: &[u8],
    ) -> Result<(), StoreError> {
        let mut segment = match head.segments.pop_if(|last| last.id == writing) {
            Some(segment) => segment,
            None => Segment {
                id: writing,
                chunks: 0,
                bytes: 0,
            },
        };
        let chunks = (segment.chunks..).map(|index| ChunkId {
            segment: writing,
            index,
        });
        stream::iter(chunks.zip(log.chunks(CHUNK_BYTES)))
            .map(|(chunk, data)| self.put(chunk, data))
            .buffer_unordered(CHUNKS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        segment.chunks += log.len().div_ceil(CHUNK_BYTES) as u64;
        segment.bytes += log.len() as u64;
        if segment.chunks > 0 {
            head.segments.push(segment);
        }
        Ok(())
    }

    async fn put(&self, chunk: ChunkId, data: &[u8]) -> Result<(), StoreError> {
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        let node = self.node(&chunk.to_string());
        let (node, options) = (&node, &options);
        let put = self.session.insist(|client| async move {
            match client.create(node, data, options).await {
                // Made by an attempt whose answer got lost, unless it holds something else.
                Err(Error::NodeExists) => Ok(client.get_data(node).await?.0 == data),
                made => made.map(|_| true),
            }
        });
        match put.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.damaged(format!("chunk {chunk} was made by somebody else"))),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Replaces the head if it is still the one of that version; returns its new version.
    ///
    /// When the answer gets lost, only ZooKeeper can tell whether the head was replaced, and
    /// reading it is no proof: the request may still be under way. So it is sent again. One of the
    /// two is refused, after which the head is what it will be.
    async fn commit(&self, head: &Head, version: i32) -> Result<i32, StoreError> {
        let data = self.head_data(head)?;
        let node = self.node(HEAD);
        let (data, node) = (&data, &node);
        let mut sent_before = false;
        loop {
            let connection = self.connection().await?;
            let replaced = self
                .session
                .attempt(|client| async move { client.set_data(node, data, Some(version)).await });
            match replaced.await {
                Ok(stat) => return Ok(stat.version),
                Err(Error::BadVersion) => break,
                Err(error) if is_answer(&error) => return Err(self.refused(error)),
                Err(error) => {
                    tracing::warn!(path = self.path, %error, "asking zookeeper again to commit");
                    sent_before = true;
                    self.session.after(connection).await;
                }
            }
        }
        match self.read_head().await? {
            Some((found, now)) if sent_before && found == *head => Ok(now),
            Some((found, _)) => Err(self.fenced(found.epoch)),
            None => Err(self.damaged("its head was deleted".to_owned())),
        }
    }

    /// The head and its version, if there is one.
    async fn read_head(&self) -> Result<Option<(Head, i32)>, StoreError> {
        let node = self.node(HEAD);
        let node = &node;
        let read = self.session.insist(|client| async move {
            // In a new session the server at hand may lag behind.
            client.sync(node).await?;
            client.get_data(node).await
        });
        let (data, stat) = match read.await {
            Ok(read) => read,
            Err(Error::NoNode) => return Ok(None),
            Err(error) => return Err(self.refused(error)),
        };
        // The format first: the rest of a later one may look different.
        let unreadable = |error| self.damaged(format!("its head is unreadable: {error}"));
        let Format { format } = rmp_serde::from_slice(&data).map_err(unreadable)?;
        if format > FORMAT {
            return Err(StoreError::TooNew {
                path: self.path.clone(),
                found: format,
                known: FORMAT,
            });
        }
        let head = rmp_serde::from_slice(&data).map_err(unreadable)?;
        Ok(Some((head, stat.version)))
    }

    /// All chunks there are, whether they count or not.
    async fn present(&self) -> Result<BTreeSet<ChunkId>, StoreError> {
        let path = self.path.as_str();
        let children = self
            .session
            .insist(|client| async move { client.list_children(path).await });
        let children = children.await.map_err(|error| self.refused(error))?;
        let chunks = children.iter().filter_map(|name| ChunkId::named(name));
        Ok(chunks.collect())
    }

    /// Removes chunks that do not count. What fails is left to the next load.
    async fn collect(&self, garbage: BTreeSet<ChunkId>) {
        if garbage.is_empty() {
            return;
        }
        let count = garbage.len();
        let removed = stream::iter(garbage)
            .map(|chunk| async move {
                let node = self.node(&chunk.to_string());
                let node = &node;
                let removed = self
                    .session
                    .insist(|client| async move { client.delete(node, None).await });
                match removed.await {
                    Err(Error::NoNode) => Ok(()),
                    removed => removed,
                }
            })
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>();
        let path = &self.path;
        match timeout(COLLECT_LIMIT, removed).await {
            Ok(Ok(())) => tracing::debug!(path, count, "removed old chunks of the log"),
            Ok(Err(error)) => {
                tracing::warn!(path, count, %error, "cannot remove old chunks of the log");
            }
            Err(_) => tracing::warn!(path, count, "left old chunks of the log for later"),
        }
    }

    async fn connection(&self) -> Result<u64, StoreError> {
        let connection = self.session.connected().await;
        let connection = connection.map_err(|error| self.refused(error))?;
        Ok(connection.connection)
    }

    /// A segment nobody else writes: only one store ever owns this version of the head.
    fn segment(&self, version: i32) -> SegmentId {
        SegmentId {
            epoch: self.epoch,
            generation: u64::from(version.unsigned_abs()),
        }
    }

    fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn head_data(&self, head: &Head) -> Result<Vec<u8>, StoreError> {
        rmp_serde::to_vec_named(head).map_err(|error| self.unwritable(&error))
    }

    fn check_epoch(&self, head: &Head) -> Result<(), StoreError> {
        match head.epoch > self.epoch {
            true => Err(self.fenced(head.epoch)),
            false => Ok(()),
        }
    }

    fn fenced(&self, found: u64) -> StoreError {
        StoreError::Fenced {
            path: self.path.clone(),
            own: self.epoch,
            found,
        }
    }

    fn too_slow(&self, what: &'static str, limit: Duration) -> StoreError {
        StoreError::TooSlow {
            path: self.path.clone(),
            what,
            limit,
        }
    }

    fn refused(&self, source: Error) -> StoreError {
        StoreError::ZooKeeper {
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, reason: String) -> StoreError {
        StoreError::DamagedNodes {
            path: self.path.clone(),
            reason,
        }
    }

    fn unwritable(&self, error: &rmp_serde::encode::Error) -> StoreError {
        self.refused(Error::UnexpectedError(format!(
            "rows have no form: {error}"
        )))
    }
}

impl Store for ZkStore {
    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.opened = None;
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            let late = self.too_slow("registry", self.limits.load);
            let opened = timeout(self.limits.load, self.open()).await;
            let (opened, garbage) = opened.unwrap_or(Err(late))?;
            self.collect(garbage).await;
            let rows = opened.rows.to_vec();
            self.opened = Some(opened);
            Ok(rows)
        })
    }

    fn write(&mut self, rows: &[Row]) -> Result<i64, StoreError> {
        let Some(opened) = self.opened.take() else {
            return Err(StoreError::NotLoaded {
                path: self.path.clone(),
            });
        };
        let before = opened.rows.size();
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            let late = self.too_slow("commit", self.limits.write);
            let written = timeout(self.limits.write, self.append(opened, rows)).await;
            let (opened, garbage) = written.unwrap_or(Err(late))?;
            self.collect(garbage).await;
            let grown = opened.rows.size() - before;
            self.opened = Some(opened);
            Ok(grown)
        })
    }
}
