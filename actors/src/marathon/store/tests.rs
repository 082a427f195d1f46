//! Tests of the store: order, folding, bounds, failures; in memory and in files.
//! Crashes, backups and ZooKeeper have their own files.

mod backups;
mod crash;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use proptest::prelude::*;
use tepui_protocol::marathon::Timestamp;

use super::*;

/// Longest wait for anything; only a failing test reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hears why the store has ended.
struct Ear {
    told: Sender<StoreError>,
}

impl Ear {
    fn new() -> (Ear, Receiver<StoreError>) {
        let (told, hear) = channel();
        (Ear { told }, hear)
    }

    /// For tests in which nothing is told.
    fn deaf() -> Ear {
        Ear::new().0
    }
}

impl Owner for Ear {
    fn failed(&self, error: StoreError) {
        let _ = self.told.send(error);
    }
}

fn settings(place: Place) -> Settings {
    Settings::new(place)
}

fn in_dir(dir: &Path) -> Settings {
    settings(Place::File(dir.to_owned()))
}

fn instance(id: &str) -> Key {
    Key::item(Kind::Instance, id)
}

fn put(id: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(instance(id), value.as_bytes().to_vec());
    batch
}

/// Applies and waits until it is durable.
fn store(store: &Store, batch: Batch) {
    let (done, stored) = channel();
    let sent = Box::new(move || done.send(()).expect("a waiting test"));
    store.apply(batch, sent).expect("taken");
    stored.recv_timeout(PATIENCE).expect("stored");
}

/// Opens, closes, and gives what was there.
fn content(settings: Settings) -> Vec<Record> {
    let (store, records) = Store::open(settings, Ear::deaf()).expect("open");
    store.close().expect("closed");
    records
}

/// What a gated backend is told to do with its next write.
type Verdict = Result<(), StoreError>;

/// A backend whose writes wait for the test, which sees what they are.
#[derive(Debug)]
struct Gated {
    memory: Memory,
    writes: Sender<Vec<Row>>,
    verdicts: Receiver<Verdict>,
}

impl Backend for Gated {
    fn place(&self) -> String {
        "gated store".to_owned()
    }

    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.memory.load()
    }

    fn write(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        let _ = self.writes.send(rows.clone());
        self.verdicts.recv_timeout(PATIENCE).expect("a verdict")?;
        self.memory.write(rows)
    }
}

struct Gate {
    store: Store,
    writes: Receiver<Vec<Row>>,
    verdicts: Sender<Verdict>,
    told: Receiver<StoreError>,
    done: Sender<u32>,
    dones: Receiver<u32>,
}

impl Gate {
    fn open() -> Gate {
        let (seen, writes) = channel();
        let (verdicts, heard) = channel();
        let backend = Gated {
            memory: Memory::default(),
            writes: seen,
            verdicts: heard,
        };
        verdicts.send(Ok(())).expect("a store");
        let (ear, told) = Ear::new();
        let settings = settings(Place::Memory(Memory::default()));
        let (store, records) = Store::open_in(Box::new(backend), &settings, ear).expect("open");
        assert_eq!(records, Vec::new());
        assert_eq!(writes.recv_timeout(PATIENCE).expect("a format").len(), 1);
        let (done, dones) = channel();
        Gate {
            store,
            writes,
            verdicts,
            told,
            done,
            dones,
        }
    }

    fn apply(&self, number: u32, batch: Batch) -> Result<(), Reason> {
        let done = self.done.clone();
        let done = Box::new(move || done.send(number).expect("a test"));
        let applied = self.store.apply(batch, done);
        applied.map_err(|refused| refused.reason)
    }

    /// The ids in the write that has begun.
    fn write(&self) -> Vec<String> {
        let rows = self.writes.recv_timeout(PATIENCE).expect("a write");
        let keys = rows.iter().map(|row| Key::read(&row.key).expect("a key"));
        keys.map(|key| key.id).collect()
    }

    fn done(&self) -> u32 {
        self.dones.recv_timeout(PATIENCE).expect("done")
    }
}

#[test]
fn what_waits_is_folded_into_one_write_and_answered_in_order() {
    let gate = Gate::open();
    gate.apply(0, put("first", "0")).expect("taken");
    assert_eq!(gate.write(), ["first"]);
    for number in 1..=20 {
        let id = format!("i{}", number % 2);
        gate.apply(number, put(&id, &number.to_string()))
            .expect("taken");
    }
    // One write is outstanding: the others wait, and nothing is answered before it is durable.
    assert!(gate.writes.try_recv().is_err() && gate.dones.try_recv().is_err());
    gate.verdicts.send(Ok(())).expect("a store");
    assert_eq!(gate.done(), 0);
    assert_eq!(gate.write(), ["i0", "i1"]);
    assert!(gate.dones.try_recv().is_err());
    gate.verdicts.send(Ok(())).expect("a store");
    for number in 1..=20 {
        assert_eq!(gate.done(), number);
    }
    // An empty batch is answered without a write.
    gate.apply(21, Batch::new()).expect("taken");
    assert_eq!(gate.done(), 21);
    assert_eq!(gate.store.queued_bytes(), 0);
    gate.store.close().expect("closed");
    assert!(gate.writes.try_recv().is_err() && gate.told.try_recv().is_err());
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged() {
    let gate = Gate::open();
    gate.apply(0, put("a", "0")).expect("taken");
    assert_eq!(gate.write(), ["a"]);
    gate.apply(1, put("b", "1")).expect("taken");
    let path = "/marathon/tepui-state".to_owned();
    let fenced = StoreError::Fenced {
        path,
        own: 1,
        found: 2,
    };
    gate.verdicts.send(Err(fenced)).expect("a store");
    match gate.told.recv_timeout(PATIENCE).expect("told") {
        StoreError::Fenced { found: 2, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(gate.apply(2, put("c", "2")), Err(Reason::Ended));
    assert!(gate.store.close().is_err());
    drop(gate.done);
    assert!(gate.dones.recv().is_err(), "something was acknowledged");
    assert!(gate.writes.try_recv().is_err(), "something was written");
}

#[test]
fn the_queue_is_bounded_and_tells_when_it_is_full() {
    let gate = Gate::open();
    let large = "x".repeat(MAX_QUEUED_BYTES / 4);
    gate.apply(0, put("0", &large)).expect("taken");
    gate.write();
    let mut taken = 1;
    while gate.apply(taken, put("n", &large)).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 3, "a quarter of the bound each, and a little");
    assert_eq!(gate.apply(9, put("n", &large)), Err(Reason::Full));
    assert!(gate.store.queued_bytes() <= MAX_QUEUED_BYTES);
    gate.apply(3, put("small", "1"))
        .expect("small ones fit still");
    gate.verdicts.send(Ok(())).expect("a store");
    assert_eq!(gate.done(), 0);
    gate.apply(4, put("n", &large))
        .expect("there is room again");
    // Large ones do not share a write.
    for wanted in [vec!["n"], vec!["n"], vec!["n", "small"]] {
        assert_eq!(gate.write(), wanted);
        gate.verdicts.send(Ok(())).expect("a store");
    }
    for number in 1..=4 {
        assert_eq!(gate.done(), number);
    }
    assert_eq!(gate.store.queued_bytes(), 0);
}

#[test]
fn refuses_what_cannot_be_stored() {
    let gate = Gate::open();
    let mut batch = put("a", "1");
    batch.put(instance("b"), vec![0; MAX_VALUE_BYTES + 1]);
    assert_eq!(gate.apply(1, batch), Err(Reason::TooLong(instance("b"))));
    for delete in [true, false] {
        let mut batch = put("a", "1");
        match delete {
            true => batch.delete(Key::format()),
            false => batch.put(Key::format(), Vec::new()),
        }
        assert_eq!(gate.apply(1, batch), Err(Reason::Reserved(Key::format())));
    }
    gate.store.close().expect("closed");
    assert!(gate.writes.try_recv().is_err());
}

#[test]
fn closing_stores_what_waits() {
    let memory = Memory::default();
    let (store, _) =
        Store::open(settings(Place::Memory(memory.clone())), Ear::deaf()).expect("open");
    for number in 0..100 {
        let batch = put(&format!("{number:03}"), "x");
        store.apply(batch, Box::new(|| {})).expect("taken");
    }
    store.close().expect("closed");
    assert_eq!(content(settings(Place::Memory(memory))).len(), 100);
}

fn root(millis: i64) -> Key {
    Key::version(Kind::Root, "/", Timestamp::from_millis(millis))
}

fn app(millis: i64) -> Key {
    Key::version(Kind::App, "/a", Timestamp::from_millis(millis))
}

#[test]
fn a_file_is_private_and_belongs_to_one_process() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("directory");
    let work_dir = dir.path().join("not/there/yet");
    let (open, _) = Store::open(in_dir(&work_dir), Ear::deaf()).expect("open");
    let path = work_dir.join(FILE_NAME);
    let mode = || path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let second = Store::open(in_dir(&work_dir), Ear::deaf()).expect_err("in use");
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    assert!(second.to_string().contains("in use by another process"));
    store(&open, put("a", "1"));
    open.close().expect("closed");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("mode");
    assert_eq!(content(in_dir(&work_dir)), [(instance("a"), b"1".to_vec())]);
    assert_eq!(mode(), 0o600);
    let names: Vec<_> = std::fs::read_dir(&work_dir).expect("directory").collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_file_left_unfinished_is_begun_again() {
    let dir = tempfile::tempdir().expect("directory");
    std::fs::write(dir.path().join("marathon.redb.new"), b"half").expect("left");
    assert_eq!(content(in_dir(dir.path())), Vec::new());
    assert_eq!(content(in_dir(dir.path())), Vec::new());
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join(FILE_NAME);
    let mut noise = vec![0x5a; 200_000];
    noise[100] = 1;
    for bytes in [Vec::new(), b"something else".to_vec(), noise] {
        std::fs::write(&path, &bytes).expect("written");
        let error = Store::open(in_dir(dir.path()), Ear::deaf()).expect_err("refused");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(
            error.to_string().contains("restore it from a copy"),
            "{error}"
        );
        assert!(
            std::fs::read(&path).expect("a file") == bytes,
            "it was changed"
        );
    }
}

#[test]
fn other_formats_are_refused() {
    let refusal = |text: &str, value: &[u8]| {
        let mut memory = Memory::default();
        let row = |key: &str, value: &[u8]| Row {
            key: key.to_owned(),
            value: Some(value.to_vec()),
        };
        let rows = vec![row("instance - a", b"1"), row(text, value)];
        memory.write(rows).expect("written");
        let opened = Store::open(settings(Place::Memory(memory)), Ear::deaf());
        opened.map(|_| ()).expect_err("refused")
    };
    let format = Key::format().to_string();
    let newer = refusal(&format, br#"{"format": 2, "more": []}"#);
    assert!(
        matches!(newer, StoreError::TooNew { found: 2, .. }),
        "{newer}"
    );
    assert!(newer.to_string().contains("start the newer"), "{newer}");
    for (key, value) in [
        (format.as_str(), "{}"),
        (&format, "1"),
        (&format, r#"{"format":0}"#),
        ("instance - b", ""),
    ] {
        let damaged = refusal(key, value.as_bytes());
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
    }
}

/// What a random test does next.
#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<(u8, Option<Vec<u8>>)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let batch = prop::collection::vec((0..12_u8, value), 0..8);
    let step = prop_oneof![8 => batch.prop_map(Step::Apply), 1 => Just(Step::Reopen)];
    prop::collection::vec(step, 1..40)
}

fn random_key(number: u8) -> Key {
    match number % 3 {
        0 => instance(&number.to_string()),
        1 => Key::version(Kind::App, "/x y", Timestamp::from_millis(number.into())),
        _ => Key::item(Kind::TaskFailure, format!("/{number}")),
    }
}

fn equals_a_map(place: Place, steps: Vec<Step>) {
    let mut model = BTreeMap::new();
    let (mut open, _) = Store::open(settings(place.clone()), Ear::deaf()).expect("open");
    for step in steps.into_iter().chain([Step::Reopen]) {
        match step {
            Step::Apply(changes) => {
                let mut batch = Batch::new();
                for (number, value) in changes {
                    let key = random_key(number);
                    match value {
                        Some(value) => {
                            model.insert(key.clone(), value.clone());
                            batch.put(key, value);
                        }
                        None => {
                            model.remove(&key);
                            batch.delete(key);
                        }
                    }
                }
                open.apply(batch, Box::new(|| {})).expect("taken");
            }
            Step::Reopen => {
                open.close().expect("closed");
                let again = Store::open(settings(place.clone()), Ear::deaf()).expect("open");
                assert!(again.1.iter().cloned().eq(model.clone()), "{:?}", again.1);
                open = again.0;
            }
        }
    }
    open.close().expect("closed");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_batches_in_a_file_equal_a_map(steps in steps()) {
        let dir = tempfile::tempdir().expect("directory");
        equals_a_map(Place::File(dir.path().to_owned()), steps);
    }

    #[test]
    fn random_batches_in_memory_equal_a_map(steps in steps()) {
        equals_a_map(Place::Memory(Memory::default()), steps);
    }
}
