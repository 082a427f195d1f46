//! Tests of the registry's operations and of its stored form.
//! The stores themselves are tested with the registrar.

use std::collections::BTreeMap;

use tepui_protocol::registry::{HEADER_KEY, Header, encode};
use tepui_protocol::v1::{self, DrainConfig};

use super::{
    Deactivation, DeactivationChange, Key, Operation, OperationError, Registry, Row, RowsError,
};
use crate::ids::{AgentId, Role};
use crate::maintenance::{Change, MachineKey};
use crate::quota::Quota;
use crate::resources::{Limits, Quantities};
use crate::time::Wall;

fn agent(id: &str, hostname: &str) -> Box<v1::AgentInfo> {
    Box::new(v1::AgentInfo {
        id: Some(v1::AgentId {
            value: id.to_owned(),
        }),
        hostname: hostname.to_owned(),
        ..Default::default()
    })
}

fn unreachable(id: &str, at: u64) -> Operation {
    Operation::MarkUnreachable {
        agent_id: id.into(),
        at: Wall(at),
    }
}

#[test]
fn admits_an_agent_once() {
    let mut registry = Registry::default();
    assert_eq!(
        registry.apply(&Operation::AdmitAgent(agent("S0", "a"))),
        Ok(true)
    );
    assert_eq!(
        registry.apply(&Operation::AdmitAgent(agent("S0", "a"))),
        Ok(false)
    );
    assert_eq!(
        registry.apply(&Operation::AdmitAgent(agent("S0", "b"))),
        Err(OperationError::AlreadyAdmitted("S0".into()))
    );
    assert_eq!(registry.admitted["S0"].unpack().hostname, "a");
}

#[test]
fn one_that_is_gone_stays_gone_until_it_is_forgotten() {
    let mut registry = Registry::default();
    let gone = |at| Operation::MarkGone {
        agent_id: "S0".into(),
        at: Wall(at),
    };
    let admit = Operation::AdmitAgent(agent("S0", "a"));
    registry.apply(&admit).unwrap();
    assert_eq!(registry.apply(&gone(3)), Ok(true));
    assert_eq!(registry.apply(&gone(4)), Ok(false));
    assert_eq!(registry.gone, BTreeMap::from([("S0".into(), Wall(3))]));
    assert!(registry.admitted.is_empty());
    let refused = Err(OperationError::Gone("S0".into()));
    assert_eq!(registry.apply(&admit), refused);
    let back = Operation::MarkReachable(agent("S0", "a"));
    assert_eq!(registry.apply(&back), refused);

    registry
        .apply(&Operation::AdmitAgent(agent("S1", "b")))
        .unwrap();
    registry.apply(&unreachable("S1", 5)).unwrap();
    // One that was forgotten a moment ago can be marked too.
    let forgotten = Operation::MarkGone {
        agent_id: "S2".into(),
        at: Wall(6),
    };
    assert_eq!(registry.apply(&forgotten), Ok(true));
    let prune = Operation::Prune {
        unreachable: vec!["S1".into(), "S0".into()],
        gone: vec!["S0".into(), "S1".into(), "S2".into()],
    };
    assert_eq!(registry.apply(&prune), Ok(true));
    assert_eq!(registry, Registry::default());
    assert_eq!(registry.apply(&prune), Ok(false));
}

#[test]
fn refuses_an_agent_without_id() {
    let mut registry = Registry::default();
    let nameless = Box::new(v1::AgentInfo::default());
    for operation in [
        Operation::AdmitAgent(nameless.clone()),
        Operation::UpdateAgent(nameless.clone()),
        Operation::MarkReachable(nameless),
    ] {
        assert_eq!(registry.apply(&operation), Err(OperationError::NoId));
    }
    assert_eq!(registry, Registry::default());
}

#[test]
fn updates_only_what_is_admitted() {
    let mut registry = Registry::default();
    assert_eq!(
        registry.apply(&Operation::UpdateAgent(agent("S0", "a"))),
        Err(OperationError::NotAdmitted("S0".into()))
    );
    registry
        .apply(&Operation::AdmitAgent(agent("S0", "a")))
        .unwrap();
    assert_eq!(
        registry.apply(&Operation::UpdateAgent(agent("S0", "a"))),
        Ok(false)
    );
    assert_eq!(
        registry.apply(&Operation::UpdateAgent(agent("S0", "b"))),
        Ok(true)
    );
    assert_eq!(registry.admitted["S0"].unpack().hostname, "b");
}

#[test]
fn an_agent_is_on_one_list_only() {
    let mut registry = Registry::default();
    assert_eq!(
        registry.apply(&unreachable("S0", 5)),
        Err(OperationError::NotAdmitted("S0".into()))
    );
    registry
        .apply(&Operation::AdmitAgent(agent("S0", "a")))
        .unwrap();
    assert_eq!(registry.apply(&unreachable("S0", 5)), Ok(true));
    assert_eq!(registry.apply(&unreachable("S0", 9)), Ok(false));
    assert!(registry.admitted.is_empty());
    assert_eq!(registry.unreachable["S0"], Wall(5));

    assert_eq!(
        registry.apply(&Operation::MarkReachable(agent("S0", "a"))),
        Ok(true)
    );
    assert_eq!(
        registry.apply(&Operation::MarkReachable(agent("S0", "a"))),
        Ok(false)
    );
    assert!(registry.unreachable.is_empty());
    assert!(registry.admitted.contains_key("S0"));
}

#[test]
fn an_unknown_agent_may_come_back() {
    let mut registry = Registry::default();
    assert_eq!(
        registry.apply(&Operation::MarkReachable(agent("S7", "a"))),
        Ok(true)
    );
    assert!(registry.admitted.contains_key("S7"));
}

#[test]
fn forgets_an_agent_from_either_list() {
    let mut registry = Registry::default();
    registry
        .apply(&Operation::AdmitAgent(agent("S0", "a")))
        .unwrap();
    registry
        .apply(&Operation::AdmitAgent(agent("S1", "b")))
        .unwrap();
    registry.apply(&unreachable("S1", 5)).unwrap();
    assert_eq!(
        registry.apply(&Operation::RemoveAgent("S0".into())),
        Ok(true)
    );
    assert_eq!(
        registry.apply(&Operation::RemoveAgent("S1".into())),
        Ok(true)
    );
    assert_eq!(
        registry.apply(&Operation::RemoveAgent("S1".into())),
        Ok(false)
    );
    assert_eq!(registry, Registry::default());
}

/// A store as simple as can be: keeps what it is told.
#[derive(Default)]
struct Rows(BTreeMap<String, Vec<u8>>);

impl Rows {
    fn write(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            match row.value {
                Some(value) => self.0.insert(row.key, value),
                None => self.0.remove(&row.key),
            };
        }
    }

    fn read(&self) -> Result<Registry, RowsError> {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Registry::from_rows(&rows)
    }
}

/// Amounts of a quota, e.g. `quota(&[("cpus", 1.0)], &[])`.
fn quota(guarantees: &[(&str, f64)], limits: &[(&str, f64)]) -> Quota {
    Quota {
        guarantees: Quantities::from_amounts(guarantees.iter().copied()),
        limits: Limits::from_amounts(limits.iter().copied()),
    }
}

fn machine(hostname: &str) -> v1::MachineId {
    v1::MachineId {
        hostname: Some(hostname.to_owned()),
        ip: Some("10.0.0.1".to_owned()),
    }
}

fn schedule(windows: &[&[&str]]) -> Operation {
    let window = |(start, machines): (i64, &&[&str])| v1::maintenance::Window {
        machine_ids: machines.iter().map(|name| machine(name)).collect(),
        unavailability: v1::Unavailability {
            start: v1::TimeInfo { nanoseconds: start },
            duration: Some(v1::DurationInfo { nanoseconds: 9 }),
        },
    };
    let windows = (100..).zip(windows).map(window).collect();
    Operation::ChangeMaintenance(Change::Schedule(v1::maintenance::Schedule { windows }))
}

fn keys(machines: &[&str]) -> Vec<MachineKey> {
    let machines = machines.iter();
    machines
        .map(|name| MachineKey::from(&machine(name)))
        .collect()
}

#[test]
fn quotas_are_set_and_ended_and_the_last_of_a_batch_counts() {
    let mut registry = Registry::default();
    let small = quota(&[("cpus", 1.0)], &[("cpus", 2.0)]);
    let batch = Operation::UpdateQuota(vec![
        ("a".into(), quota(&[], &[("mem", 0.0)])),
        ("b".into(), small.clone()),
        ("a".into(), small.clone()),
    ]);
    assert_eq!(registry.apply(&batch), Ok(true));
    assert_eq!(registry.quotas["a"], small);
    let end = Operation::UpdateQuota(vec![("a".into(), Quota::default())]);
    assert_eq!(registry.apply(&end), Ok(true));
    assert_eq!(registry.apply(&end), Ok(false));
    assert_eq!(
        registry.quotas.keys().collect::<Vec<_>>(),
        [&Role::from("b")]
    );
}

#[test]
fn one_bad_quota_or_weight_spoils_the_batch() {
    let mut registry = Registry::default();
    let batch = Operation::UpdateQuota(vec![
        ("a".into(), quota(&[], &[("cpus", 1.0)])),
        ("b".into(), quota(&[("cpus", 2.0)], &[("cpus", 1.0)])),
    ]);
    assert_eq!(
        registry.apply(&batch),
        Err(OperationError::BadQuota("b".into()))
    );
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let batch = Operation::UpdateWeights(vec![("a".into(), 2.0), ("b".into(), bad)]);
        assert_eq!(
            registry.apply(&batch),
            Err(OperationError::BadWeight("b".into()))
        );
    }
    assert_eq!(registry, Registry::default());
}

#[test]
fn weights_are_kept_until_replaced() {
    let mut registry = Registry::default();
    let set = Operation::UpdateWeights(vec![("a".into(), 2.0), ("b/c".into(), 0.5)]);
    assert_eq!(registry.apply(&set), Ok(true));
    assert_eq!(registry.apply(&set), Ok(false));
    let set = Operation::UpdateWeights(vec![("a".into(), 1.0)]);
    assert_eq!(registry.apply(&set), Ok(true));
    assert_eq!((registry.weights["a"], registry.weights["b/c"]), (1.0, 0.5));
}

#[test]
fn machines_that_do_not_fit_leave_the_registry_as_it_was() {
    let mut registry = Registry::default();
    assert_eq!(registry.apply(&schedule(&[&["m"]])), Ok(true));
    let before = registry.clone();
    let stop = Operation::ChangeMaintenance(Change::Stop(keys(&["m"])));
    let error = registry.apply(&stop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "machine m/10.0.0.1 is not down; only a machine that is down can be brought up"
    );
    assert_eq!(registry, before);
}

fn deactivation(agent: &str, change: DeactivationChange) -> Operation {
    let agent_id = agent.into();
    Operation::ChangeDeactivation { agent_id, change }
}

#[test]
fn a_drain_lasts_until_it_is_called_off_or_the_agent_leaves() {
    let mut registry = Registry::default();
    let drain = deactivation("S0", DeactivationChange::Drain(DrainConfig::default()));
    let drained = deactivation("S0", DeactivationChange::Drained);
    assert_eq!(
        registry.apply(&drain),
        Err(OperationError::NotAdmitted("S0".into()))
    );
    assert_eq!(registry.apply(&drained), Ok(false), "it left meanwhile");
    registry
        .apply(&Operation::AdmitAgent(agent("S0", "a")))
        .unwrap();
    let is_draining = |registry: &Registry| {
        let id: AgentId = "S0".into();
        registry.deactivated.get(&id).map(Deactivation::is_draining)
    };
    assert_eq!(registry.apply(&drain), Ok(true));
    assert_eq!(registry.apply(&drain), Ok(false));
    registry.apply(&unreachable("S0", 7)).unwrap();
    assert_eq!(is_draining(&registry), Some(true));
    assert_eq!(registry.apply(&drained), Ok(true));
    let deactivate = deactivation("S0", DeactivationChange::Deactivate);
    assert_eq!(registry.apply(&deactivate), Ok(false));
    assert_eq!(is_draining(&registry), Some(false));
    let reactivate = deactivation("S0", DeactivationChange::Reactivate);
    assert_eq!(registry.apply(&reactivate), Ok(true));
    assert_eq!(is_draining(&registry), None);
    registry.apply(&drain).unwrap();
    registry
        .apply(&Operation::RemoveAgent("S0".into()))
        .unwrap();
    assert_eq!(is_draining(&registry), None);
}

#[test]
fn rows_of_the_touched_parts_keep_a_store_current() {
    let mut registry = Registry::default();
    let mut rows = Rows::default();
    rows.write([Registry::header_row().unwrap()]);
    let both = quota(&[("cpus", 1.0)], &[("cpus", 2.5), ("gpus", 0.0)]);
    let operations = [
        Operation::AdmitAgent(agent("S0", "a")),
        Operation::AdmitAgent(agent("S1", "b")),
        unreachable("S0", 7),
        Operation::UpdateAgent(agent("S1", "c")),
        Operation::MarkReachable(agent("S0", "d")),
        unreachable("S1", 8),
        Operation::RemoveAgent("S0".into()),
        Operation::AdmitAgent(agent("S2", "e")),
        Operation::MarkGone {
            agent_id: "S2".into(),
            at: Wall(9),
        },
        Operation::AdmitAgent(agent("S3", "f")),
        deactivation("S3", DeactivationChange::Deactivate),
        unreachable("S3", 10),
        deactivation("S3", DeactivationChange::Drain(DrainConfig::default())),
        deactivation("S3", DeactivationChange::Drained),
        Operation::MarkGone {
            agent_id: "S3".into(),
            at: Wall(11),
        },
        Operation::Prune {
            unreachable: vec!["S9".into()],
            gone: vec!["S3".into()],
        },
        Operation::UpdateQuota(vec![("a".into(), both.clone()), ("b".into(), both)]),
        Operation::UpdateWeights(vec![("a/b".into(), 2.0), ("*".into(), 0.1)]),
        Operation::UpdateQuota(vec![("a".into(), Quota::default())]),
        schedule(&[&["z", "M"], &["down"]]),
        Operation::ChangeMaintenance(Change::Start(keys(&["m", "down"]))),
        schedule(&[&["m", "down", "new"]]),
        Operation::ChangeMaintenance(Change::Stop(keys(&["m"]))),
    ];
    for operation in operations {
        let touched = registry.touched_by(&operation);
        registry.apply(&operation).unwrap();
        for key in touched {
            rows.write(registry.rows_of(&key).unwrap());
        }
        assert_eq!(rows.read().unwrap(), registry, "after {operation:?}");
    }
    let names: Vec<&str> = rows.0.keys().map(String::as_str).collect();
    let expected = [
        "gone/S2",
        "header",
        "machine/down/10.0.0.1",
        "machine/new/10.0.0.1",
        "quota/b",
        "unreachable/S1",
        "weight/*",
        "weight/a/b",
    ];
    assert_eq!(names, expected);
    assert!(registry.maintenance.is_down(&keys(&["DOWN"])[0]));
}

#[test]
fn a_registry_of_the_first_version_is_read_and_marked_anew() {
    let header = (
        HEADER_KEY.to_owned(),
        encode(&Header { version: 1 }).unwrap(),
    );
    let mut old = Registry::default();
    old.apply(&Operation::AdmitAgent(agent("S0", "a"))).unwrap();
    let mut rows = vec![header];
    for row in old.rows_of(&Key::Agent("S0".into())).unwrap() {
        rows.extend(row.value.map(|value| (row.key, value)));
    }
    assert_eq!(Registry::from_rows(&rows).unwrap(), old);
    let current = Registry::header_row().unwrap();
    assert_eq!(
        Registry::missing_header(&rows).unwrap(),
        Some(current.clone())
    );
    assert_eq!(
        Registry::missing_header(&[]).unwrap(),
        Some(current.clone())
    );
    let current = (current.key, current.value.unwrap());
    assert_eq!(Registry::missing_header(&[current]).unwrap(), None);
}

#[test]
fn an_empty_store_is_an_empty_registry() {
    assert_eq!(Registry::from_rows(&[]).unwrap(), Registry::default());
}

#[test]
fn damaged_rows_are_named() {
    let header = Registry::header_row().unwrap();
    let header = (header.key, header.value.unwrap());
    let bad = ("admitted/S0".to_owned(), vec![0xc1, 0xff]);
    let error = Registry::from_rows(&[header.clone(), bad.clone()]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("registry row 'admitted/S0': row is damaged"),
        "{error}"
    );
    assert!(matches!(
        Registry::from_rows(&[bad]),
        Err(RowsError::NoHeader)
    ));
    let odd = ("surprise".to_owned(), vec![]);
    assert!(matches!(
        Registry::from_rows(&[header, odd]),
        Err(RowsError::UnknownRow(_))
    ));
}

#[test]
fn a_later_version_is_refused() {
    let header = (
        HEADER_KEY.to_owned(),
        encode(&Header { version: 99 }).unwrap(),
    );
    let error = Registry::from_rows(&[header]).unwrap_err();
    assert!(matches!(error, RowsError::TooNew { found: 99 }), "{error}");
}
