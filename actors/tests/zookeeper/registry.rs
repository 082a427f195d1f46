//! The registry store with real ZooKeeper servers.
//! Its stored form is tested where it is made.

use std::collections::BTreeMap;

use crate::support::proxy::{Break, CREATE, Proxy, SET_DATA};
use crate::support::{Ensemble, connected, open, url};
use tepui_actors::election::Session;
use tepui_actors::registrar::store::{Store, StoreError};
use tepui_actors::registrar::zk::{Limits, ZkStore};
use tepui_core::registry::Row;
use tokio::runtime::Handle;
use zookeeper_client::{Acls, Client, CreateMode, Error};

const PATH: &str = "/tepui/test";
const REGISTRY: &str = "/tepui/test/registry";

fn row(key: &str, value: &str) -> Row {
    Row {
        key: key.to_owned(),
        value: Some(value.as_bytes().to_vec()),
    }
}

fn gone(key: &str) -> Row {
    Row {
        key: key.to_owned(),
        value: None,
    }
}

fn pair(key: &str, value: &str) -> (String, Vec<u8>) {
    (key.to_owned(), value.as_bytes().to_vec())
}

/// A store, used off the threads of the runtime as the registrar does.
struct Leader {
    store: Option<ZkStore>,
}

impl Leader {
    fn new(session: &Session, epoch: u64) -> Leader {
        let store = ZkStore::new(session.clone(), Handle::current(), epoch, Limits::default());
        Leader { store: Some(store) }
    }

    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut ZkStore) -> T + Send + 'static,
    ) -> T {
        let mut store = self.store.take().expect("a store");
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut store);
            (store, result)
        });
        let (store, result) = done.await.expect("no panic");
        self.store = Some(store);
        result
    }

    async fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.blocking(ZkStore::load).await
    }

    async fn write(&mut self, rows: Vec<Row>) -> Result<i64, StoreError> {
        self.blocking(move |store| store.write(&rows)).await
    }
}

async fn loaded(session: &Session, epoch: u64) -> Leader {
    let mut leader = Leader::new(session, epoch);
    leader.load().await.expect("loaded");
    leader
}

/// What a leader of this epoch finds.
async fn content(session: &Session, epoch: u64) -> Vec<(String, Vec<u8>)> {
    Leader::new(session, epoch).load().await.expect("loaded")
}

async fn chunks(client: &Client) -> Vec<String> {
    let mut children = client.list_children(REGISTRY).await.expect("children");
    children.retain(|name| name.starts_with("log-"));
    children.sort();
    children
}

fn assert_fenced<T: std::fmt::Debug>(result: Result<T, StoreError>, by: u64) {
    match result {
        Err(StoreError::Fenced { found, .. }) => assert_eq!(found, by),
        other => panic!("not fenced: {other:?}"),
    }
}

#[tokio::test]
async fn keeps_rows_and_counts_their_size() {
    let mut ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let mut leader = Leader::new(&session, 3);
    let unloaded = leader.write(vec![row("a", "1")]).await;
    assert!(matches!(unloaded, Err(StoreError::NotLoaded { .. })));
    assert_eq!(leader.load().await.expect("empty"), Vec::new());

    let grown = leader.write(vec![row("a", "1234"), row("bb", "")]).await;
    assert_eq!(grown.expect("written"), 7);
    assert_eq!(
        leader.write(vec![row("a", "1")]).await.expect("written"),
        -3
    );
    assert_eq!(leader.write(Vec::new()).await.expect("nothing"), 0);
    let grown = leader
        .write(vec![gone("bb"), gone("nobody"), row("c", "x")])
        .await;
    assert_eq!(grown.expect("written"), 0);
    let rows = vec![pair("a", "1"), pair("c", "x")];
    assert_eq!(leader.load().await.expect("loaded"), rows);

    // The same after a restart of the server, for the same leader and for the next.
    ensemble.server(0).restart().await;
    assert_eq!(
        leader.write(vec![row("c", "yy")]).await.expect("written"),
        1
    );
    assert_eq!(
        content(&session, 4).await,
        vec![pair("a", "1"), pair("c", "yy")]
    );
}

#[tokio::test]
async fn takes_batches_far_larger_than_a_request() {
    let ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let mut leader = loaded(&session, 1).await;
    let mut wanted = BTreeMap::new();
    let mut rows = Vec::new();
    for number in 0..10_000_u32 {
        let key = format!("admitted/agent-{number}");
        let value: Vec<u8> = (0..2_048_u32)
            .map(|at| (at * number).to_le_bytes()[0])
            .collect();
        wanted.insert(key.clone(), value.clone());
        let value = Some(value);
        rows.push(Row { key, value });
    }
    // A row alone that fits no node.
    let huge = vec![7; 3_000_000];
    wanted.insert("huge".to_owned(), huge.clone());
    rows.push(Row {
        key: "huge".to_owned(),
        value: Some(huge),
    });
    let size: usize = wanted
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let grown = leader.write(rows).await.expect("written");
    assert_eq!(grown, i64::try_from(size).expect("small"));

    let client = ensemble.client().await;
    for chunk in chunks(&client).await {
        let stat = client.check_stat(&format!("{REGISTRY}/{chunk}")).await;
        let stat = stat.expect("stat").expect("a chunk");
        assert!(
            stat.data_length <= 256 * 1024,
            "{chunk}: {}",
            stat.data_length
        );
    }
    let found = content(&session, 2).await;
    assert_eq!(found.len(), wanted.len());
    assert!(found.into_iter().eq(wanted), "other rows");
}

#[tokio::test]
async fn a_newer_leader_ends_the_older_one() {
    let ensemble = Ensemble::start(1).await;
    let (first, second) = (open(ensemble.url(PATH)), open(ensemble.url(PATH)));
    let mut old = loaded(&first, 5).await;
    old.write(vec![row("a", "old")]).await.expect("written");
    let mut new = loaded(&second, 8).await;
    assert_fenced(old.write(vec![row("a", "late")]).await, 8);
    // It stays so, also when it tries from the start.
    assert!(matches!(
        old.write(vec![row("a", "late")]).await,
        Err(StoreError::NotLoaded { .. })
    ));
    assert_fenced(old.load().await, 8);
    new.write(vec![row("b", "new")]).await.expect("written");
    let rows = vec![pair("a", "old"), pair("b", "new")];
    assert_eq!(new.load().await.expect("loaded"), rows);

    // Opened twice by one leader, the later one counts.
    let mut again = loaded(&first, 8).await;
    assert_fenced(new.write(vec![row("b", "twice")]).await, 8);
    again.write(vec![row("c", "again")]).await.expect("written");
    assert_eq!(content(&second, 9).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_counts_for_the_next_leader_exactly_when_it_succeeded() {
    let ensemble = Ensemble::start(1).await;
    let (first, second) = (open(ensemble.url(PATH)), open(ensemble.url(PATH)));
    let value = "x".repeat(300_000);
    let mut old = loaded(&first, 1).await;
    for epoch in 2..12 {
        // Two chunks and the head, while the next leader loads.
        let key = format!("write-{epoch}");
        let rows = vec![row(&key, &value)];
        let mut new = Leader::new(&second, epoch);
        let (written, found) = tokio::join!(old.write(rows), new.load());
        let found = found.expect("the newest leader loads");
        let counts = found.iter().any(|(found, _)| *found == key);
        match written {
            Ok(_) => assert!(counts, "{key} is lost"),
            Err(StoreError::Fenced { .. }) => assert!(!counts, "{key} came back"),
            Err(other) => panic!("{other}"),
        }
        old = new;
    }
}

#[tokio::test]
async fn chunks_of_a_crashed_write_are_invisible_and_collected() {
    let ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let session = open(ensemble.url(PATH));
    let mut leader = loaded(&session, 4).await;
    leader.write(vec![row("a", "1")]).await.expect("written");
    let committed = chunks(&client).await;
    assert_eq!(committed.len(), 1);

    // What a leader leaves that dies before it commits: more chunks of its segment, or a new one.
    let all = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let newer = "log-0000000009-0000000001-0000000000";
    let later = "log-0000000006-0000009999-0000000000";
    for left in [
        "log-0000000004-0000000001-0000000001",
        "log-0000000004-0000000002-0000000000",
        "log-0000000002-0000000001-0000000000",
        newer,
        later,
        "unknown",
    ] {
        let node = format!("{REGISTRY}/{left}");
        client.create(&node, b"\xff\xff", &all).await.expect(left);
    }
    let mut next = Leader::new(&session, 6);
    assert_eq!(next.load().await.expect("loaded"), vec![pair("a", "1")]);
    // Of what a newer leader writes, or the same one opened later, an older one knows nothing.
    let kept = [committed[0].as_str(), later, newer];
    assert_eq!(chunks(&client).await, kept);
    next.write(vec![row("b", "2")]).await.expect("written");
    assert_eq!(
        content(&session, 10).await,
        vec![pair("a", "1"), pair("b", "2")]
    );
    assert_eq!(chunks(&client).await.len(), 2);
}

#[tokio::test]
async fn a_long_log_is_written_anew_and_keeps_its_content() {
    let ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let session = open(ensemble.url(PATH));
    let mut leader = loaded(&session, 1).await;
    leader
        .write(vec![row("kept", "1"), row("old", "2")])
        .await
        .expect("written");
    leader.write(vec![gone("old")]).await.expect("written");
    let mut most = 0;
    let value = |round: u32| format!("{round}-{}", "x".repeat(200_000));
    for round in 0..30 {
        let grown = leader
            .write(vec![row("changing", &value(round))])
            .await
            .expect("written");
        assert!(round == 0 || grown <= 1, "{grown}");
        most = most.max(chunks(&client).await.len());
    }
    // Thirty rounds without it would be more than thirty chunks.
    assert!(most < 15, "{most} chunks");
    let names = chunks(&client).await;
    assert!(
        !names.contains(&"log-0000000001-0000000001-0000000000".to_owned()),
        "{names:?}"
    );
    let rows = vec![pair("changing", &value(29)), pair("kept", "1")];
    assert_eq!(leader.load().await.expect("loaded"), rows);

    // Deleting everything leaves nothing behind.
    leader
        .write(vec![gone("kept"), gone("changing")])
        .await
        .expect("written");
    assert_eq!(content(&session, 2).await, Vec::new());
}

#[tokio::test]
async fn finds_out_whether_a_broken_commit_counted() {
    let mut ensemble = Ensemble::start(1).await;
    let proxy = Proxy::start(ensemble.server(0).port()).await;
    let direct = open(ensemble.url(PATH));
    let session = open(url(&format!("zk://{}{PATH}", proxy.host())));
    let mut leader = loaded(&session, 1).await;
    let head = format!("{REGISTRY}/head");
    let chunk = format!("{REGISTRY}/log-");
    let mut wanted = Vec::new();
    let cases = [
        (SET_DATA, &head, Break::Before),
        (SET_DATA, &head, Break::After),
        (CREATE, &chunk, Break::Before),
        (CREATE, &chunk, Break::After),
    ];
    for (number, (kind, path, when)) in cases.into_iter().enumerate() {
        let key = format!("key-{number}");
        proxy.arm(kind, path, when);
        let grown = leader.write(vec![row(&key, "value")]).await;
        assert_eq!(grown.expect("written"), 10, "{when:?} {path}");
        assert!(proxy.sprung(), "{when:?} {path}");
        wanted.push(pair(&key, "value"));
    }
    assert_eq!(content(&direct, 1).await, wanted);
}

#[tokio::test]
async fn a_newer_leader_comes_while_a_commit_is_broken() {
    let mut ensemble = Ensemble::start(1).await;
    let proxy = Proxy::start(ensemble.server(0).port()).await;
    let direct = open(ensemble.url(PATH));
    let proxied = url(&format!("zk://{}{PATH}", proxy.host()));
    let session = open(proxied);
    let head = format!("{REGISTRY}/head");
    let mut epoch = 1;
    for when in [Break::Before, Break::After] {
        let mut old = loaded(&session, epoch).await;
        let key = format!("{when:?}");
        proxy.arm_and_shut(SET_DATA, &head, when);
        let takes_over = async {
            proxy.shut().await;
            let found = content(&direct, epoch + 1).await;
            proxy.reopen();
            found
        };
        let (written, found) = tokio::join!(old.write(vec![row(&key, "1")]), takes_over);
        // It cannot know any more whether it counted, and it need not: it is no longer the leader.
        assert_fenced(written, epoch + 1);
        let counts = found.iter().any(|(found, _)| *found == key);
        assert_eq!(counts, when == Break::After);
        assert_eq!(content(&direct, epoch + 2).await, found);
        epoch += 3;
    }
}

#[tokio::test]
async fn gives_up_when_zookeeper_does_not_answer() {
    let mut ensemble = Ensemble::start(1).await;
    let session = open(ensemble.url(PATH));
    let mut leader = loaded(&session, 1).await;
    leader.write(vec![row("a", "1")]).await.expect("written");
    ensemble.server(0).pause();
    // This takes the twenty seconds a write may take.
    let late = leader.write(vec![row("b", "2")]).await;
    assert!(matches!(late, Err(StoreError::TooSlow { .. })), "{late:?}");
    ensemble.server(0).resume();

    // Only loading tells what the store holds now.
    let unloaded = leader.write(vec![row("c", "3")]).await;
    assert!(
        matches!(unloaded, Err(StoreError::NotLoaded { .. })),
        "{unloaded:?}"
    );
    let rows = leader.load().await.expect("loaded");
    assert!(rows.starts_with(&[pair("a", "1")]), "{rows:?}");
    leader.write(vec![row("c", "3")]).await.expect("written");
}

#[tokio::test]
async fn refuses_what_is_no_registry_of_its_version() {
    let ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let session = open(ensemble.url(PATH));
    let mut leader = loaded(&session, 1).await;
    leader.write(vec![row("a", "1")]).await.expect("written");
    let head = format!("{REGISTRY}/head");
    let (good, _) = client.get_data(&head).await.expect("head");
    let damaged = async || match Leader::new(&session, 2).load().await {
        Err(StoreError::DamagedNodes { reason, .. }) => reason,
        other => panic!("not damaged: {other:?}"),
    };

    client
        .set_data(&head, b"nonsense", None)
        .await
        .expect("set");
    assert!(damaged().await.contains("head is unreadable"));
    client.set_data(&head, b"", None).await.expect("set");
    assert!(damaged().await.contains("head is unreadable"));
    // A later version, which knows other fields.
    client
        .set_data(&head, b"\x82\xa6format\x02\xa5other\xc0", None)
        .await
        .expect("set");
    let newer = Leader::new(&session, 2).load().await;
    assert!(
        matches!(newer, Err(StoreError::TooNew { found: 2, .. })),
        "{newer:?}"
    );

    client.set_data(&head, &good, None).await.expect("set");
    let chunk = format!("{REGISTRY}/{}", chunks(&client).await[0]);
    let (data, _) = client.get_data(&chunk).await.expect("chunk");
    client.set_data(&chunk, b"\x01", None).await.expect("set");
    assert!(damaged().await.contains("bytes instead of"));
    client
        .set_data(&chunk, &vec![0xc1; data.len()], None)
        .await
        .expect("set");
    assert!(damaged().await.contains("holds no rows"));
    client.delete(&chunk, None).await.expect("deleted");
    assert!(damaged().await.contains("is not there"));

    // Deleted under a leader, the registry is not made again in silence.
    client
        .create(
            &chunk,
            &data,
            &CreateMode::Persistent.with_acls(Acls::anyone_all()),
        )
        .await
        .expect("made");
    let mut leader = loaded(&session, 3).await;
    client.delete(&head, None).await.expect("deleted");
    let lost = leader.write(vec![row("b", "2")]).await;
    assert!(
        matches!(
            lost,
            Err(StoreError::ZooKeeper {
                source: Error::NoNode,
                ..
            })
        ),
        "{lost:?}"
    );
    assert!(damaged().await.contains("chunks but no head"));
}

#[tokio::test]
async fn a_users_registry_can_be_read_but_not_changed_by_others() {
    let ensemble = Ensemble::start(1).await;
    let user = url(&format!("zk://tepui:secret@{}{PATH}", ensemble.hosts()));
    let mut leader = loaded(&open(user), 1).await;
    leader.write(vec![row("a", "1")]).await.expect("written");
    let other = open(ensemble.url(PATH));
    let client = connected(&other).await.client;
    for name in [vec!["head".to_owned()], chunks(&client).await].concat() {
        let node = format!("{REGISTRY}/{name}");
        client.get_data(&node).await.expect("read");
        assert_eq!(
            client.set_data(&node, b"", None).await.err(),
            Some(Error::NoAuth)
        );
        assert_eq!(client.delete(&node, None).await, Err(Error::NoAuth));
    }
    let refused = Leader::new(&other, 2).load().await;
    assert!(
        matches!(
            refused,
            Err(StoreError::ZooKeeper {
                source: Error::NoAuth,
                ..
            })
        ),
        "{refused:?}"
    );
    leader.write(vec![row("b", "2")]).await.expect("written");
}
