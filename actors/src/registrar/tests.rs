//! Tests of the registrar: order of answers, folding of writes, failures, and the file store.
//! What operations mean is tested in core.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use actix::prelude::*;
use tepui_core::ids::AgentId;
use tepui_core::maintenance::{Change, MachineKey};
use tepui_core::master::messages::{Input, Token};
use tepui_core::quota::Quota;
use tepui_core::registry::{Operation, Registry, Row};
use tepui_core::resources::{Limits, Quantities};
use tepui_protocol::v1;
use tokio::sync::mpsc::UnboundedReceiver;

use super::store::{FILE_NAME, File, InMemory, Store, StoreError};
use super::{Apply, Opened, Registrar};
use crate::clock::Clock;
use crate::master::ToMaster;
use crate::master::testing::mailbox;
use crate::metrics::RegistrarMetrics;

fn admit(id: &str) -> Operation {
    Operation::AdmitAgent(Box::new(v1::AgentInfo {
        id: Some(v1::AgentId {
            value: id.to_owned(),
        }),
        hostname: format!("host-{id}"),
        ..Default::default()
    }))
}

fn start(
    store: Box<dyn Store>,
) -> (
    Addr<Registrar>,
    UnboundedReceiver<ToMaster>,
    Arc<RegistrarMetrics>,
) {
    let (master, inputs) = mailbox();
    let metrics = Arc::new(RegistrarMetrics::new(Duration::ZERO));
    let opened = Opened::read(store).unwrap();
    let registrar = Registrar::new(opened, master, Clock::start(), metrics.clone()).start();
    (registrar, inputs, metrics)
}

async fn recovered(inputs: &mut UnboundedReceiver<ToMaster>) -> Registry {
    match inputs.recv().await {
        Some(ToMaster::Input(Input::Recovered(registry))) => *registry,
        _ => panic!("the registry must be recovered first"),
    }
}

async fn applied(inputs: &mut UnboundedReceiver<ToMaster>) -> (u64, Result<bool, String>) {
    match inputs.recv().await {
        Some(ToMaster::Input(Input::Applied { token, result })) => (token.0, result),
        Some(ToMaster::Fatal(reason)) => panic!("fatal: {reason}"),
        _ => panic!("an answer must come"),
    }
}

fn apply(registrar: &Addr<Registrar>, token: u64, operation: Operation) {
    registrar.do_send(Apply {
        token: Token(token),
        operation,
    });
}

/// Tells what each write holds, and lets it go on only when told so.
#[derive(Debug)]
struct Gated {
    begun: tokio::sync::mpsc::UnboundedSender<usize>,
    release: mpsc::Receiver<Result<(), String>>,
}

impl Store for Gated {
    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let header = Registry::header_row().unwrap();
        Ok(vec![(header.key, header.value.unwrap())])
    }

    fn write(&mut self, rows: &[Row]) -> Result<i64, StoreError> {
        self.begun
            .send(rows.iter().filter(|row| row.value.is_some()).count())
            .unwrap();
        match self.release.recv().unwrap() {
            Ok(()) => Ok(1),
            Err(reason) => Err(StoreError::Damaged {
                path: "gated".into(),
                reason,
            }),
        }
    }
}

#[actix::test]
async fn folds_what_is_queued_into_one_write_and_answers_in_order() {
    let (begun, mut writes) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = mpsc::channel();
    let (registrar, mut inputs, metrics) = start(Box::new(Gated {
        begun,
        release: released,
    }));
    recovered(&mut inputs).await;

    apply(&registrar, 1, admit("S1"));
    assert_eq!(writes.recv().await, Some(1));
    // These arrive while the first write is outstanding.
    apply(&registrar, 2, admit("S2"));
    apply(&registrar, 3, admit("S1"));
    apply(&registrar, 4, Operation::UpdateAgent(Box::default()));
    apply(&registrar, 5, admit("S5"));
    release.send(Ok(())).unwrap();
    assert_eq!(applied(&mut inputs).await, (1, Ok(true)));
    assert_eq!(writes.recv().await, Some(2), "two new agents in one write");
    assert!(
        inputs.try_recv().is_err(),
        "nothing is answered before it is stored"
    );
    assert_eq!(metrics.queued_operations.get(), 4);
    release.send(Ok(())).unwrap();
    assert_eq!(applied(&mut inputs).await, (2, Ok(true)));
    assert_eq!(applied(&mut inputs).await, (3, Ok(false)));
    let (token, result) = applied(&mut inputs).await;
    assert_eq!(token, 4);
    assert!(result.unwrap_err().contains("carries no id"));
    assert_eq!(applied(&mut inputs).await, (5, Ok(true)));
    assert_eq!(metrics.queued_operations.get(), 0);
    assert!(metrics.state_store.last_ms().is_some());
}

#[actix::test]
async fn an_operation_that_changes_nothing_is_answered_without_a_write() {
    let (begun, mut writes) = tokio::sync::mpsc::unbounded_channel();
    let (_release, released) = mpsc::channel();
    let (registrar, mut inputs, _) = start(Box::new(Gated {
        begun,
        release: released,
    }));
    recovered(&mut inputs).await;
    apply(&registrar, 1, Operation::RemoveAgent("S9".into()));
    assert_eq!(applied(&mut inputs).await, (1, Ok(false)));
    assert!(writes.try_recv().is_err());
}

#[actix::test]
async fn a_failed_write_is_fatal() {
    let (begun, _writes) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = mpsc::channel();
    let (registrar, mut inputs, _) = start(Box::new(Gated {
        begun,
        release: released,
    }));
    recovered(&mut inputs).await;
    release.send(Err("disk full".to_owned())).unwrap();
    apply(&registrar, 1, admit("S1"));
    match inputs.recv().await {
        Some(ToMaster::Fatal(reason)) => assert!(reason.contains("disk full"), "{reason}"),
        _ => panic!("a failed write must be fatal"),
    }
}

#[actix::test]
async fn a_registry_in_memory_starts_empty() {
    let (registrar, mut inputs, _) = start(Box::new(InMemory));
    assert_eq!(recovered(&mut inputs).await, Registry::default());
    apply(&registrar, 1, admit("S1"));
    assert_eq!(applied(&mut inputs).await, (1, Ok(true)));
}

#[actix::test]
async fn a_file_is_read_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let work_dir = dir.path().join("not/there/yet");
    {
        let (registrar, mut inputs, metrics) = start(Box::new(File::open(&work_dir).unwrap()));
        assert_eq!(recovered(&mut inputs).await, Registry::default());
        apply(&registrar, 1, admit("S1"));
        apply(&registrar, 2, admit("S2"));
        let away = Operation::MarkUnreachable {
            agent_id: "S1".into(),
            at: tepui_core::time::Wall(77),
        };
        apply(&registrar, 3, away);
        for token in 1..=3 {
            assert_eq!(applied(&mut inputs).await, (token, Ok(true)));
        }
        assert!(metrics.size_bytes() > 50, "{}", metrics.size_bytes());
    }
    // The actor is dropped by its context some time after its address; so is the file.
    let file = opened_again(&work_dir).await;
    let (_registrar, mut inputs, metrics) = start(file);
    let registry = recovered(&mut inputs).await;
    assert_eq!(
        registry
            .admitted
            .keys()
            .map(AgentId::as_str)
            .collect::<Vec<_>>(),
        ["S2"]
    );
    assert_eq!(registry.admitted["S2"].unpack().hostname, "host-S2");
    assert_eq!(registry.unreachable["S1"].0, 77);
    assert!(metrics.size_bytes() > 50);
}

/// An operation of each kind that is about the cluster rather than an agent.
fn settings() -> [Operation; 4] {
    let window = v1::maintenance::Window {
        machine_ids: ["m1", "m2"].map(machine).into(),
        unavailability: v1::Unavailability::default(),
    };
    let windows = vec![window];
    let schedule = Change::Schedule(v1::maintenance::Schedule { windows });
    let quota = Quota {
        guarantees: Quantities::from_amounts([("cpus", 1.0)]),
        limits: Limits::from_amounts([("cpus", 2.0)]),
    };
    [
        Operation::UpdateQuota(vec![("eng".into(), quota)]),
        Operation::UpdateWeights(vec![("eng/web".into(), 2.5)]),
        Operation::ChangeMaintenance(schedule),
        Operation::ChangeMaintenance(Change::Start(vec![MachineKey::from(&machine("m2"))])),
    ]
}

fn machine(hostname: &str) -> v1::MachineId {
    v1::MachineId {
        hostname: Some(hostname.to_owned()),
        ip: None,
    }
}

#[actix::test]
async fn quotas_weights_and_schedule_are_read_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Registry::default();
    {
        let (registrar, mut inputs, _) = start(Box::new(File::open(dir.path()).unwrap()));
        recovered(&mut inputs).await;
        for (token, operation) in (1..).zip(settings()) {
            expected.apply(&operation).unwrap();
            apply(&registrar, token, operation);
            assert_eq!(applied(&mut inputs).await, (token, Ok(true)));
        }
    }
    let (_registrar, mut inputs, _) = start(opened_again(dir.path()).await);
    let registry = recovered(&mut inputs).await;
    assert_eq!(registry, expected);
    assert_eq!(registry.weights["eng/web"], 2.5);
    assert!(registry.maintenance.is_down(&MachineKey::new("m2", "")));
}

#[actix::test]
async fn a_change_that_does_not_fit_is_answered_and_not_written() {
    let (begun, mut writes) = tokio::sync::mpsc::unbounded_channel();
    let (_release, released) = mpsc::channel();
    let (registrar, mut inputs, _) = start(Box::new(Gated {
        begun,
        release: released,
    }));
    recovered(&mut inputs).await;
    let keys = vec![MachineKey::from(&machine("m1"))];
    apply(
        &registrar,
        1,
        Operation::ChangeMaintenance(Change::Stop(keys)),
    );
    let (_, result) = applied(&mut inputs).await;
    assert!(result.unwrap_err().contains("is not down"));
    assert!(writes.try_recv().is_err());
}

#[test]
fn a_store_of_an_older_version_is_marked_before_anything_new_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::open(dir.path()).unwrap();
    let old = tepui_protocol::registry::Header { version: 1 };
    let old = tepui_protocol::registry::encode(&old).unwrap();
    write(&mut file, "header", &old);
    drop(Opened::read(Box::new(file)).unwrap());
    let rows = File::open(dir.path()).unwrap().load().unwrap();
    let header = Registry::header_row().unwrap();
    assert_eq!(rows, [(header.key, header.value.unwrap())]);
}

async fn opened_again(work_dir: &Path) -> Box<dyn Store> {
    loop {
        match File::open(work_dir) {
            Ok(file) => return Box::new(file),
            Err(StoreError::File { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn write(file: &mut File, key: &str, value: &[u8]) {
    file.write(&[Row {
        key: key.to_owned(),
        value: Some(value.to_vec()),
    }])
    .unwrap();
}

#[test]
fn a_second_master_cannot_use_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let _first = File::open(dir.path()).unwrap();
    let error = File::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
}

#[test]
fn what_was_written_survives_a_crash_at_any_later_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::open(dir.path()).unwrap();
    write(&mut file, "a", b"1");
    write(&mut file, "b", b"2");
    // A copy of the open file is what a crash leaves behind.
    let crashed = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(FILE_NAME), crashed.path().join(FILE_NAME)).unwrap();
    let rows = File::open(crashed.path()).unwrap().load().unwrap();
    assert_eq!(
        rows,
        [
            ("a".to_owned(), b"1".to_vec()),
            ("b".to_owned(), b"2".to_vec())
        ]
    );
}

#[test]
fn rows_can_be_deleted_and_sizes_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::open(dir.path()).unwrap();
    let row = |value: Option<&[u8]>| Row {
        key: "abc".to_owned(),
        value: value.map(<[u8]>::to_vec),
    };
    assert_eq!(file.write(&[row(Some(b"12345"))]).unwrap(), 8);
    assert_eq!(file.write(&[row(Some(b"1"))]).unwrap(), -4);
    assert_eq!(file.write(&[row(None)]).unwrap(), -4);
    assert_eq!(file.write(&[row(None)]).unwrap(), 0);
    assert!(file.load().unwrap().is_empty());
}

/// Opens, and reads if it opens: damage may show at either.
fn read(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    File::open(dir)?.load()
}

#[test]
fn a_file_of_something_else_is_named_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE_NAME), vec![b'x'; 10_000]).unwrap();
    let error = read(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(FILE_NAME), "{error}");
}

#[test]
fn a_torn_file_is_an_error_or_what_was_written_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::open(dir.path()).unwrap();
    for number in 0..50_u8 {
        write(&mut file, &format!("key-{number}"), &[number; 100]);
    }
    let whole = file.load().unwrap();
    drop(file);
    let bytes = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
    let mut errors = 0;
    for parts in 1..40 {
        let torn = tempfile::tempdir().unwrap();
        let length = bytes.len() * parts / 40;
        std::fs::write(torn.path().join(FILE_NAME), &bytes[..length]).unwrap();
        match read(torn.path()) {
            Ok(rows) => assert_eq!(rows, whole, "cut to {length} of {} bytes", bytes.len()),
            Err(error) => {
                errors += 1;
                assert!(error.to_string().contains(FILE_NAME), "{error}");
            }
        }
    }
    assert!(errors > 0, "some cuts must hurt");
}

#[test]
fn a_damaged_row_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::open(dir.path()).unwrap();
    let header = Registry::header_row().unwrap();
    file.write(&[header]).unwrap();
    write(&mut file, "admitted/S1", &[0xc1]);
    let error = Opened::read(Box::new(file)).unwrap_err();
    assert!(error.to_string().contains("admitted/S1"), "{error}");
}

#[test]
fn a_store_that_cannot_be_read_is_reported() {
    #[derive(Debug)]
    struct Broken;
    impl Store for Broken {
        fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
            Err(StoreError::Damaged {
                path: "x".into(),
                reason: "torn".to_owned(),
            })
        }
        fn write(&mut self, _rows: &[Row]) -> Result<i64, StoreError> {
            Ok(0)
        }
    }
    let error = Opened::read(Box::new(Broken)).unwrap_err();
    assert!(error.to_string().contains("torn"), "{error}");
}
