//! The store of the app manager with real ZooKeeper servers.
//! Its queue and its files are tested where they are made.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::proxy::{Break, CREATE, Proxy, SET_DATA};
use crate::support::{Ensemble, PATIENCE, open, open_short, until_state, url};
use tepui_actors::election::Session;
use tepui_actors::election::session::SessionState;
use tepui_actors::marathon::store::{
    Batch, Key, Kind, Owner, Place, Record, Settings, Store, StoreError, ZkSettings,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const PATH: &str = "/marathon";
const STATE: &str = "/marathon/tepui-state";

struct Ear {
    failed: UnboundedSender<StoreError>,
}

impl Owner for Ear {
    fn failed(&self, error: StoreError) {
        // Only tests of failures listen.
        let _ = self.failed.send(error);
    }
}

/// An open store, with what it said.
struct Leader {
    store: Store,
    records: Vec<Record>,
    failed: UnboundedReceiver<StoreError>,
}

fn settings(session: &Session, epoch: u64) -> ZkSettings {
    ZkSettings::new(session.clone(), Handle::current(), epoch)
}

async fn try_open(settings: ZkSettings) -> Result<Leader, StoreError> {
    let (tell, failed) = unbounded_channel();
    let settings = Settings::new(Place::ZooKeeper(settings));
    let ear = Ear { failed: tell };
    let opened = tokio::task::spawn_blocking(move || Store::open(settings, ear));
    let (store, records) = opened.await.expect("no panic")?;
    Ok(Leader {
        store,
        records,
        failed,
    })
}

async fn leader(session: &Session, epoch: u64) -> Leader {
    let opened = timeout(PATIENCE, try_open(settings(session, epoch))).await;
    opened.expect("opened in time").expect("opened")
}

/// What a leader of this epoch finds.
async fn content(session: &Session, epoch: u64) -> Vec<Record> {
    let leader = leader(session, epoch).await;
    leader.close().await;
    leader.records
}

fn instance(id: impl ToString) -> Key {
    Key::item(Kind::Instance, id.to_string())
}

fn put(id: impl ToString, value: impl Into<Vec<u8>>) -> Batch {
    let mut batch = Batch::new();
    batch.put(instance(id), value.into());
    batch
}

fn record(id: impl ToString, value: &str) -> Record {
    (instance(id), value.as_bytes().to_vec())
}

impl Leader {
    /// Gets a message when the batch is durable, and hangs up when it never will be.
    fn apply(&self, batch: Batch) -> UnboundedReceiver<()> {
        let (done, stored) = unbounded_channel();
        // A test that has seen enough does not wait.
        let tell = Box::new(move || {
            let _ = done.send(());
        });
        self.store.apply(batch, tell).expect("taken");
        stored
    }

    async fn write(&self, batch: Batch) {
        let mut stored = self.apply(batch);
        let stored = timeout(PATIENCE, stored.recv()).await;
        stored.expect("stored in time").expect("stored");
    }

    async fn failure(&mut self) -> StoreError {
        let failed = timeout(PATIENCE, self.failed.recv()).await;
        failed.expect("told in time").expect("an error")
    }

    async fn close(&self) {
        // An empty batch is done when all before it are.
        self.write(Batch::new()).await;
    }
}

fn assert_fenced(error: &StoreError, by: u64) {
    match error {
        StoreError::Fenced { found, .. } => assert_eq!(*found, by),
        other => panic!("not fenced: {other}"),
    }
}

#[tokio::test]
async fn keeps_records_over_a_restart_of_the_ensemble() {
    let mut ensemble = Ensemble::start(3).await;
    let session = open(ensemble.url(PATH));
    let first = leader(&session, 1).await;
    assert_eq!(first.records, Vec::new());
    let mut batch = put("a", "1");
    batch.put(instance("b"), b"2".to_vec());
    batch.put(instance("a"), b"3".to_vec());
    batch.delete(instance("b"));
    first.write(batch).await;
    for at in 0..3 {
        ensemble.server(at).kill();
    }
    // Written while nobody serves; it goes through when they do again.
    let mut stored = first.apply(put("c", "4"));
    for at in 0..3 {
        ensemble.server(at).start_again();
    }
    let stored = timeout(PATIENCE, stored.recv()).await;
    stored.expect("stored in time").expect("stored");
    first.close().await;
    let wanted = [record("a", "3"), record("c", "4")];
    assert_eq!(content(&session, 2).await, wanted);
}

#[tokio::test]
async fn a_newer_leader_ends_the_older_one() {
    let ensemble = Ensemble::start(1).await;
    let (one, two) = (open(ensemble.url(PATH)), open(ensemble.url(PATH)));
    let mut old = leader(&one, 5).await;
    old.write(put("a", "old")).await;
    let new = leader(&two, 8).await;
    assert_eq!(new.records, [record("a", "old")]);
    let mut late = old.apply(put("a", "late"));
    assert_fenced(&old.failure().await, 8);
    assert_eq!(late.recv().await, None, "a late write was acknowledged");
    let refused = old.store.apply(put("a", "later"), Box::new(|| {}));
    assert!(refused.is_err(), "an ended store takes batches");
    // Nor can it begin anew.
    let again = try_open(settings(&one, 5)).await;
    assert_fenced(&again.err().expect("an error"), 8);
    new.write(put("b", "new")).await;
    let wanted = [record("a", "old"), record("b", "new")];
    assert_eq!(content(&two, 9).await, wanted);
}

#[tokio::test]
async fn finds_out_whether_a_write_counted_whose_answer_was_lost() {
    let mut ensemble = Ensemble::start(1).await;
    let proxy = Proxy::start(ensemble.server(0).port()).await;
    let session = open(url(&format!("zk://{}{PATH}", proxy.host())));
    let leader = leader(&session, 1).await;
    let (head, chunk) = (format!("{STATE}/head"), format!("{STATE}/log-"));
    let mut wanted = Vec::new();
    let cases = [
        (SET_DATA, &head, Break::Before),
        (SET_DATA, &head, Break::After),
        (CREATE, &chunk, Break::Before),
        (CREATE, &chunk, Break::After),
    ];
    for (number, (kind, path, when)) in cases.into_iter().enumerate() {
        proxy.arm(kind, path, when);
        leader.write(put(number, "value")).await;
        assert!(proxy.sprung(), "{when:?} {path}");
        wanted.push(record(number, "value"));
    }
    leader.close().await;
    let direct = open(ensemble.url(PATH));
    assert_eq!(content(&direct, 2).await, wanted);
}

/// Bytes that cannot be compressed, and are the same for the same seed.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn large_values_are_compressed_and_cut() {
    let ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let client = ensemble.client().await;
    let leader = leader(&session, 1).await;
    let stored_bytes = async || {
        let mut bytes = 0;
        for name in client.list_children(STATE).await.expect("children") {
            let node = format!("{STATE}/{name}");
            let stat = client
                .check_stat(&node)
                .await
                .expect("stat")
                .expect("a node");
            assert!(
                stat.data_length <= 512 * 1024,
                "{node}: {}",
                stat.data_length
            );
            bytes += stat.data_length;
        }
        bytes
    };
    let text = vec![b'x'; 3_000_000];
    leader.write(put("text", text.clone())).await;
    let bytes = stored_bytes().await;
    assert!(bytes < 100_000, "not compressed: {bytes}");
    let noise = noise(1, 3_000_000);
    leader.write(put("noise", noise.clone())).await;
    let bytes = stored_bytes().await;
    assert!(bytes > 3_000_000, "not there: {bytes}");
    leader.close().await;
    let found = content(&session, 2).await;
    assert!(found == [(instance("noise"), noise), (instance("text"), text)]);
}

#[tokio::test]
async fn a_change_costs_the_same_among_20_000_records() {
    let ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let client = ensemble.client().await;
    let first = leader(&session, 1).await;
    let mut wanted = BTreeMap::new();
    for hundred in 0..200 {
        let mut batch = Batch::new();
        for number in 0..100 {
            let key = instance(format!("app.{hundred}-{number}"));
            let value = noise(hundred * 100 + number, 600);
            wanted.insert(key.clone(), value.clone());
            batch.put(key, value);
        }
        first.write(batch).await;
    }
    let head = async || {
        let head = client.get_data(&format!("{STATE}/head")).await;
        head.expect("a head").0.len()
    };
    let sizes = async || {
        let mut sizes = BTreeMap::new();
        for name in client.list_children(STATE).await.expect("children") {
            let stat = client.check_stat(&format!("{STATE}/{name}")).await;
            let stat = stat.expect("stat").expect("a node");
            sizes.insert(name, stat.data_length);
        }
        sizes
    };
    let before = sizes().await;
    for number in 0..50 {
        let key = instance(format!("app.{number}-7"));
        wanted.insert(key.clone(), b"changed".to_vec());
        let mut batch = Batch::new();
        batch.put(key, b"changed".to_vec());
        first.write(batch).await;
    }
    let mut after = sizes().await;
    after.retain(|name, _| !before.contains_key(name));
    assert_eq!(after.len(), 50, "a write makes more than one node");
    let bytes: i32 = after.values().sum();
    assert!(bytes < 50 * 200, "fifty changes took {bytes} bytes");
    assert!(head().await < 1_000, "the head grows with the records");
    first.close().await;
    let found = content(&session, 2).await;
    assert!(found.into_iter().eq(wanted), "other records");
}

#[tokio::test]
async fn writes_wait_while_zookeeper_is_away() {
    let mut ensemble = Ensemble::start(1).await;
    let session = open_short(ensemble.url(PATH));
    let leader = leader(&session, 1).await;
    leader.write(put("a", "1")).await;
    ensemble.server(0).kill();
    let mut waiting = Vec::new();
    for number in 0..100 {
        waiting.push(leader.apply(put(number, "x")));
    }
    until_state(&session, "away", |state| {
        !matches!(state, SessionState::Connected(_))
    })
    .await;
    assert!(waiting[0].try_recv().is_err(), "acknowledged by nobody");
    ensemble.server(0).start_again();
    for stored in &mut waiting {
        let stored = timeout(PATIENCE, stored.recv()).await;
        stored.expect("stored in time").expect("stored");
    }
    leader.close().await;
    assert_eq!(content(&session, 2).await.len(), 101);
}

#[tokio::test]
async fn a_write_waits_for_zookeeper_only_so_long() {
    let mut ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let mut settings = settings(&session, 1);
    settings.limits.write = Duration::from_secs(2);
    let mut leader = try_open(settings).await.expect("opened");
    ensemble.server(0).pause();
    let mut stored = leader.apply(put("a", "1"));
    let failure = leader.failure().await;
    assert!(matches!(failure, StoreError::TooSlow { .. }), "{failure}");
    assert_eq!(stored.recv().await, None);
    ensemble.server(0).resume();
}

#[tokio::test]
async fn replaces_everything_at_once_from_a_backup() {
    let ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let dir = tempfile::tempdir().expect("directory");
    let backup = dir.path().join("backup.tar.gz");
    let first = leader(&session, 1).await;
    let large = noise(3, 2_000_000);
    first.write(put("large", large.clone())).await;
    let (done, made) = mpsc::channel();
    let tell = Box::new(move |made| done.send(made).expect("a test"));
    first.store.backup(backup.clone(), tell);
    let made = tokio::task::spawn_blocking(move || made.recv_timeout(PATIENCE));
    made.await
        .expect("no panic")
        .expect("in time")
        .expect("a backup");
    // It goes on afterwards, as the same leader.
    let mut batch = put("other", "1");
    batch.delete(instance("large"));
    first.write(batch).await;
    let place = Place::ZooKeeper(settings(&session, 2));
    let mut restoring = Settings::new(place);
    restoring.restore = Some(backup);
    let ear = Ear {
        failed: unbounded_channel().0,
    };
    let restored = tokio::task::spawn_blocking(move || Store::open(restoring, ear));
    let (_store, records) = restored.await.expect("no panic").expect("restored");
    assert!(records == [(instance("large"), large.clone())]);
    assert!(content(&session, 3).await == [(instance("large"), large)]);
}
