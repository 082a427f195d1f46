//! The declared flags against Mesos's, and the units in which Mesos writes values.
//! Does not run the parser.

use std::collections::BTreeMap;

use crate::flags::kind::Kind;
use crate::flags::table::{Flag, Table};
use crate::flags::{tables, units};

/// Mesos's flags, as extracted from its documentation and programs.
const REFERENCE: &str = include_str!("../testdata/flags.json");

/// The type's name in the reference.
fn reference_types(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Bool => &["bool"],
        Kind::Text => &["string", "string or path", "comma list of uint"],
        Kind::Path => &["path"],
        Kind::Int => &["int"],
        Kind::Uint => &["uint"],
        Kind::Port => &["uint16"],
        Kind::Double => &["double"],
        Kind::Duration => &["duration"],
        Kind::Bytes => &["bytes"],
        Kind::Json => &["json"],
        Kind::List => &["comma list"],
    }
}

/// The default as the reference would have it, where it writes prose instead of a value.
fn reference_default(program: &str, name: &str, default: Option<&str>) -> Option<String> {
    match (program, name) {
        // The reference shows both forms of the number.
        (_, "offer_constraints_re2_max_mem") => Some("4KB".to_owned()),
        // These depend on the machine or on other flags; there is no one value.
        (
            "agent",
            "launcher" | "runtime_dir" | "domain_socket_location" | "http_authenticators",
        ) => None,
        _ => default.map(str::to_owned),
    }
}

fn compare_with_reference(program: &str, table: &'static Table) {
    let reference: serde_json::Value = serde_json::from_str(REFERENCE).expect("reference is JSON");
    let expected = reference[program].as_array().expect("a list of flags");
    let mut ours: BTreeMap<&str, &Flag> = table.flags().map(|flag| (flag.name, flag)).collect();
    assert_eq!(
        ours.len(),
        table.flags().count(),
        "a flag of {program} is declared twice"
    );

    for flag in expected {
        let name = flag["name"].as_str().expect("a name");
        let our = ours
            .remove(name)
            .unwrap_or_else(|| panic!("{program} flag {name} is missing"));
        assert_eq!(
            flag["env"],
            format!("MESOS_{}", name.to_uppercase()),
            "{name}"
        );
        let default = reference_default(program, name, flag["default"].as_str());
        assert_eq!(
            our.default.map(str::to_owned),
            default,
            "default of {program} flag {name}"
        );
        let alias = flag["deprecated_aliases"][0].as_str();
        assert_eq!(our.alias, alias, "old name of {program} flag {name}");
        let kind = flag["type"].as_str().expect("a type");
        let kind = if kind.starts_with("json") {
            "json"
        } else {
            kind
        };
        assert!(
            reference_types(our.kind).contains(&kind),
            "{program} flag {name} is of type {kind}"
        );
        assert!(!our.help.is_empty(), "{name}");
    }
    let beyond: &[&str] = match program {
        "master" => &["config_dir", "mass_removal_limit"],
        _ => &[
            "cgroups_pids_limit",
            "config_dir",
            "host_path_volume_prefixes",
            "logrotate_stderr_options",
            "logrotate_stdout_options",
            "max_stderr_size",
            "max_stdout_size",
            "no_new_privs",
        ],
    };
    let left: Vec<&str> = ours.keys().copied().collect();
    assert_eq!(left, beyond, "flags beyond Mesos's");
}

#[test]
fn every_master_flag_of_mesos_is_declared_with_its_type_default_and_old_name() {
    compare_with_reference("master", &tables::MASTER);
}

#[test]
fn every_agent_flag_of_mesos_is_declared_with_its_type_default_and_old_name() {
    compare_with_reference("agent", &tables::AGENT);
}

#[test]
fn every_default_is_a_value_of_its_type_in_mesos_form() {
    for flag in tables::MASTER.flags().chain(tables::AGENT.flags()) {
        if let Some(default) = flag.default {
            assert_eq!(
                flag.kind.canonical(default).as_deref(),
                Some(default),
                "{}",
                flag.name
            );
        }
    }
}

#[test]
fn durations_are_read_and_written_as_mesos_does() {
    for (text, nanos, back) in [
        ("0ns", 0, "0ns"),
        ("1500us", 1_500_000, "1500us"),
        ("0.5secs", 500_000_000, "500ms"),
        ("60secs", 60_000_000_000, "1mins"),
        ("90secs", 90_000_000_000, "90secs"),
        ("24hrs", 86_400_000_000_000, "1days"),
        ("10days", 864_000_000_000_000, "10days"),
        ("2weeks", 1_209_600_000_000_000, "2weeks"),
        ("1.25mins", 75_000_000_000, "75secs"),
        ("1500.5ms", 1_500_500_000, "1.5005secs"),
    ] {
        let duration = units::parse_duration(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(duration.as_nanos(), nanos, "{text}");
        assert_eq!(units::format_duration(duration), back, "{text}");
    }
    for text in [
        "",
        "1",
        "secs",
        "-1secs",
        "1sec",
        "1 secs",
        "1.2.3secs",
        "999999999weeks",
    ] {
        assert_eq!(units::parse_duration(text), None, "{text}");
    }
}

#[test]
fn sizes_are_read_and_written_as_mesos_does() {
    for (text, bytes, back) in [
        ("0B", 0, "0B"),
        ("1024B", 1024, "1KB"),
        ("1500KB", 1_536_000, "1500KB"),
        ("2gb", 2 << 30, "2GB"),
    ] {
        assert_eq!(units::parse_bytes(text), Some(bytes), "{text}");
        assert_eq!(units::format_bytes(bytes), back, "{text}");
    }
    for text in ["", "1", "KB", "1.5KB", "1PB", "99999999999999TB"] {
        assert_eq!(units::parse_bytes(text), None, "{text}");
    }
}
