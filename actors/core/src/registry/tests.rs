//! Tests of the registry's operations and of its stored form.
//! The stores themselves are tested with the registrar.

use std::collections::BTreeMap;

use tepui_protocol::registry::{HEADER_KEY, Header, encode};
use tepui_protocol::v1;

use super::{Operation, OperationError, Registry, Row, RowsError};
use crate::ids::AgentId;
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
    assert_eq!(registry.admitted["S0"].hostname, "a");
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
    assert_eq!(registry.admitted["S0"].hostname, "b");
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

#[test]
fn rows_of_the_touched_agents_keep_a_store_current() {
    let mut registry = Registry::default();
    let mut rows = Rows::default();
    rows.write([Registry::header_row().unwrap()]);
    let operations = [
        Operation::AdmitAgent(agent("S0", "a")),
        Operation::AdmitAgent(agent("S1", "b")),
        unreachable("S0", 7),
        Operation::UpdateAgent(agent("S1", "c")),
        Operation::MarkReachable(agent("S0", "d")),
        unreachable("S1", 8),
        Operation::RemoveAgent("S0".into()),
    ];
    for operation in operations {
        registry.apply(&operation).unwrap();
        let id = operation.agent_id().unwrap();
        rows.write(registry.rows_of(&id).unwrap());
        assert_eq!(rows.read().unwrap(), registry, "after {operation:?}");
    }
    assert_eq!(
        registry
            .unreachable
            .keys()
            .map(AgentId::as_str)
            .collect::<Vec<_>>(),
        ["S1"]
    );
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
