//! The declared flags against Marathon's.
//! Reads no values.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{read, refusal};
use crate::flags::marathon::kind::{Kind, Unit};
use crate::flags::marathon::table::{Flag, Support};
use crate::flags::marathon::tables;

/// Marathon's flags, as extracted from its documentation and programs.
const REFERENCE: &str = include_str!("../../testdata/marathon_flags.json");

/// Flags that Marathon does not have.
const OWN: [&str; 4] = ["deployment_step_timeout", "help", "version", "work_dir"];

fn reference() -> Vec<Value> {
    let reference: Value = serde_json::from_str(REFERENCE).expect("reference is JSON");
    let flags = reference["flags"].as_array().expect("a list of flags");
    assert!(flags.len() > 100, "the whole list");
    flags.clone()
}

/// Whether a kind is what the reference calls so.
fn is_of_type(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Toggle => name == "toggle",
        Kind::Switch => name == "boolean",
        Kind::Text => matches!(name, "string" | "zk url" | "uri" | "string user:password"),
        Kind::Path => name == "path",
        Kind::List => name.ends_with("(comma list)"),
        Kind::Choice(_) => name == "enum",
        Kind::Number(range) => match range.unit {
            Unit::Plain => matches!(name, "int" | "long"),
            Unit::Port => name == "int",
            Unit::Millis => matches!(name, "int (ms)" | "long (ms)"),
            Unit::Seconds => matches!(name, "int (s)" | "long (s)"),
            Unit::Bytes => name == "long (bytes)",
        },
    }
}

/// The default that the table should have.
fn reference_default(flag: &Value) -> Option<String> {
    let name = flag["name"].as_str().expect("a name");
    match &flag["default"] {
        Value::Null => None,
        // There is no ZooKeeper unless one is named.
        _ if name == "zk" => None,
        // Found out when the program starts, or of no meaning here.
        Value::String(text)
            if text.contains("cores") || text.contains("machine") || text.contains("process") =>
        {
            None
        }
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[test]
fn every_flag_of_marathon_is_declared_with_its_type_and_default() {
    let mut ours: BTreeMap<&str, &Flag> = tables::flags().map(|flag| (flag.name, flag)).collect();
    assert_eq!(
        ours.len(),
        tables::flags().count(),
        "a flag is declared twice"
    );
    for flag in reference() {
        let name = flag["name"].as_str().expect("a name");
        let our = ours
            .remove(name)
            .unwrap_or_else(|| panic!("{name} is missing"));
        let kind = flag["type"].as_str().expect("a type");
        assert!(is_of_type(our.kind, kind), "{name} is of type {kind}");
        assert_eq!(
            our.default.map(str::to_owned),
            reference_default(&flag),
            "default of {name}"
        );
        if let Kind::Choice(words) = our.kind {
            assert_eq!(serde_json::json!(words), flag["values"], "{name}");
        }
        assert!(!our.help.is_empty(), "{name}");
    }
    let left: Vec<&str> = ours.keys().copied().collect();
    assert_eq!(left, OWN, "flags beyond Marathon's");
}

#[test]
fn every_spelling_of_marathon_is_known() {
    for flag in reference() {
        let name = flag["name"].as_str().expect("a name");
        for (member, off) in [("flag", false), ("negative", true)] {
            let Some(spelling) = flag[member].as_str() else {
                assert!(off, "{name} has no spelling");
                continue;
            };
            let spelling = spelling.strip_prefix("--").expect("two dashes");
            let found = tables::find(spelling).map(|(flag, off)| (flag.name, off));
            assert_eq!(found, Some((name, off)), "{spelling}");
        }
        let others = flag["other_env"].as_str();
        let ours = tables::OTHER_ENV.iter().find(|(flag, _)| *flag == name);
        assert_eq!(ours.map(|(_, variable)| *variable), others, "{name}");
    }
}

#[test]
fn every_default_is_a_value_of_its_kind_that_is_accepted() {
    for flag in tables::flags() {
        let Some(default) = tables::default_of(flag) else {
            continue;
        };
        assert!(flag.kind.accepts(default), "{}", flag.name);
        if let Support::Only(accepted, _) = flag.support {
            assert!(accepted.contains(&default), "{}", flag.name);
        }
    }
}

/// The arguments that give a flag some right value.
fn given(flag: &Flag) -> Vec<String> {
    let name = flag.name;
    let value = match (tables::default_of(flag), flag.kind) {
        (Some("false"), Kind::Toggle) => return vec![format!("--disable_{name}")],
        (_, Kind::Toggle | Kind::Switch) => return vec![format!("--{name}")],
        (Some(default), _) => default.to_owned(),
        (None, Kind::Number(range)) => range.least.to_string(),
        (None, _) => match name {
            "logging_level" => "off".to_owned(),
            "zk" => "zk://h:1/m".to_owned(),
            "http_credentials" => "u:p".to_owned(),
            _ => "x".to_owned(),
        },
    };
    vec![format!("--{name}={value}")]
}

/// Every flag does something, or says why it does not, or is refused with a reason.
#[test]
fn every_flag_is_accepted_noted_or_refused() {
    for flag in tables::flags() {
        let mut args = given(flag);
        match flag.name {
            "help" | "version" | "master" => continue,
            "internal_store_backend" => args.push("--zk=zk://h:1/m".to_owned()),
            _ => {}
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match flag.support {
            Support::Yes | Support::Only(..) => {
                assert!(read(&args, &[]).is_ok(), "{args:?}: {:?}", read(&args, &[]));
            }
            Support::Inert(why) => {
                let notes = super::notes(&args);
                let noted = notes
                    .iter()
                    .any(|note| note.contains(&format!("'{}'", flag.name)) && note.ends_with(why));
                assert!(noted, "{args:?}: {notes:?}");
            }
            Support::No(why) => {
                let text = refusal(&args, &[]);
                assert!(text.contains(&format!("'{}'", flag.name)), "{text}");
                assert!(text.ends_with(why), "{text}");
            }
        }
    }
}
