//! Tests of what the app manager shows of its flags: /v2/info, errors, help.
//! Serves nothing.

use serde_json::{Value, json};

use super::{assert_says, config, marathon, pairs, read, refusal, run, words};
use crate::flags::Parsed;
use crate::flags::marathon::table::Support;
use crate::flags::marathon::tables;

/// Members of `marathon_config`, in Marathon's order.
const MARATHON: [&str; 41] = [
    "access_control_allow_origin",
    "checkpoint",
    "decline_offer_duration",
    "default_network_name",
    "env_vars_prefix",
    "executor",
    "failover_timeout",
    "features",
    "framework_name",
    "ha",
    "hostname",
    "launch_token",
    "launch_token_refresh_interval",
    "leader_proxy_connection_timeout_ms",
    "leader_proxy_read_timeout_ms",
    "local_port_max",
    "local_port_min",
    "master",
    "max_instances_per_offer",
    "mesos_bridge_name",
    "mesos_heartbeat_failure_threshold",
    "mesos_heartbeat_interval",
    "mesos_leader_ui_url",
    "mesos_role",
    "mesos_user",
    "new_group_enforce_role",
    "min_revive_offers_interval",
    "offer_matching_timeout",
    "on_elected_prepare_timeout",
    "reconciliation_initial_delay",
    "reconciliation_interval",
    "scale_apps_initial_delay",
    "scale_apps_interval",
    "store_cache",
    "task_launch_confirm_timeout",
    "task_launch_timeout",
    "task_lost_expunge_initial_delay",
    "task_lost_expunge_interval",
    "task_reservation_timeout",
    "webui_url",
    "maintenance_mode",
];

/// Members of `zookeeper_config`, in Marathon's order.
const ZOOKEEPER: [&str; 8] = [
    "zk",
    "zk_compression",
    "zk_compression_threshold",
    "zk_connection_timeout",
    "zk_max_node_size",
    "zk_max_versions",
    "zk_session_timeout",
    "zk_timeout",
];

fn shown(args: &[&str]) -> Value {
    serde_json::to_value(config(args).shown).expect("JSON")
}

/// The places of the names in the text of an object whose other texts hold none of them.
fn assert_members(object: &impl serde::Serialize, names: &[&str]) {
    let text = serde_json::to_string(object).expect("JSON");
    let places: Vec<usize> = names
        .iter()
        .map(|name| text.find(&format!("\"{name}\":")).expect(name))
        .collect();
    assert!(places.is_sorted(), "{text}");
    let value = serde_json::to_value(object).expect("JSON");
    assert_eq!(
        value.as_object().map(serde_json::Map::len),
        Some(names.len())
    );
}

#[test]
fn exactly_the_members_of_marathon_are_shown_in_its_order() {
    let shown = config(&[]).shown;
    assert_members(&shown.marathon_config, &MARATHON);
    assert_members(&shown.zookeeper_config, &ZOOKEEPER);
    assert_members(&shown.http_config, &["http_port", "https_port"]);
    assert_members(
        &shown,
        &["marathon_config", "zookeeper_config", "http_config"],
    );
}

#[test]
fn defaults_are_shown_and_nulls_written() {
    let config = config(&["--hostname=here", "--mesos_user=root"]);
    let shown = serde_json::to_value(config.shown).expect("JSON");
    let expected = json!({
        "access_control_allow_origin": null, "checkpoint": true,
        "decline_offer_duration": 120_000, "default_network_name": null, "env_vars_prefix": null,
        "executor": "//cmd", "failover_timeout": 604_800, "features": [],
        "framework_name": "marathon", "ha": true, "hostname": "here", "launch_token": 100,
        "launch_token_refresh_interval": 30_000, "leader_proxy_connection_timeout_ms": 5000,
        "leader_proxy_read_timeout_ms": 10_000, "local_port_max": 20_000, "local_port_min": 10_000,
        "master": "127.0.0.1:5050", "max_instances_per_offer": 5,
        "mesos_bridge_name": "mesos-bridge", "mesos_heartbeat_failure_threshold": 5,
        "mesos_heartbeat_interval": 15_000, "mesos_leader_ui_url": null, "mesos_role": "*",
        "mesos_user": "root", "new_group_enforce_role": "Off", "min_revive_offers_interval": 5000,
        "offer_matching_timeout": 3000, "on_elected_prepare_timeout": 180_000,
        "reconciliation_initial_delay": 15_000, "reconciliation_interval": 600_000,
        "scale_apps_initial_delay": 15_000, "scale_apps_interval": 300_000, "store_cache": true,
        "task_launch_confirm_timeout": 300_000, "task_launch_timeout": 300_000,
        "task_lost_expunge_initial_delay": 300_000, "task_lost_expunge_interval": 30_000,
        "task_reservation_timeout": 20_000, "webui_url": null, "maintenance_mode": true,
    });
    assert_eq!(shown["marathon_config"], expected);
    let expected = json!({
        "zk": "", "zk_compression": true, "zk_compression_threshold": 65_536,
        "zk_connection_timeout": 10_000, "zk_max_node_size": 1_024_000, "zk_max_versions": 50,
        "zk_session_timeout": 10_000, "zk_timeout": 10_000,
    });
    assert_eq!(shown["zookeeper_config"], expected);
    let expected = json!({"http_port": 8080, "https_port": null});
    assert_eq!(shown["http_config"], expected);
}

#[test]
fn given_values_are_shown_also_those_that_make_no_difference() {
    let shown = shown(&[
        "--mesos_leader_ui_url=http://ui",
        "--webui_url=http://web",
        "--enable_features=vips,secrets",
        "--access_control_allow_origin=a,b",
        "--new_group_enforce_role=top",
        "--offer_matching_timeout=1",
        "--task_lost_expunge_interval=2",
        "--disable_store_cache",
        "--disable_ha",
        "--zk_connection_timeout=3",
        "--disable_zk_compression",
        "--http_port=0",
    ]);
    let marathon = &shown["marathon_config"];
    assert_eq!(marathon["mesos_leader_ui_url"], "http://ui");
    assert_eq!(marathon["webui_url"], "http://web");
    assert_eq!(marathon["features"], json!(["vips", "secrets"]));
    assert_eq!(marathon["access_control_allow_origin"], json!(["a", "b"]));
    assert_eq!(marathon["new_group_enforce_role"], "Top");
    assert_eq!(marathon["offer_matching_timeout"], 1);
    assert_eq!(marathon["task_lost_expunge_interval"], 2);
    assert_eq!(marathon["store_cache"], false);
    assert_eq!(marathon["ha"], false);
    assert_eq!(shown["zookeeper_config"]["zk_connection_timeout"], 3);
    assert_eq!(shown["zookeeper_config"]["zk_compression"], false);
    assert_eq!(shown["http_config"]["http_port"], 0);
}

#[test]
fn passwords_in_addresses_are_shown_as_marathon_shows_them() {
    let args = words(&[
        "--master=zk://me:hush@m:1,n:2/mesos",
        "--zk=zk://you:p@hush@h:1/m",
    ]);
    let Ok(Parsed::Run((config, _))) = marathon(args, pairs(&[])) else {
        panic!("right flags");
    };
    let shown = config.shown;
    assert_eq!(
        shown.marathon_config.master,
        "zk://me:xxxxxxxx@m:1,n:2/mesos"
    );
    assert_eq!(shown.zookeeper_config.zk, "zk://you:xxxxxxxx@h:1/m");
}

#[test]
fn addresses_from_files_are_shown_without_passwords_too() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("zk");
    std::fs::write(&path, "zk://me:hush@h:1/m\n").expect("write");
    let place = format!("file://{}", path.display());
    let args = [format!("--master={place}"), format!("--zk={place}")];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Ok(Parsed::Run((config, _))) = marathon(words(&args), pairs(&[])) else {
        panic!("right flags");
    };
    let expected = "zk://me:xxxxxxxx@h:1/m";
    assert_eq!(config.shown.marathon_config.master, expected);
    assert_eq!(config.shown.zookeeper_config.zk, expected);
}

#[test]
fn secrets_are_in_no_debug_output() {
    let args = [
        "--zk=zk://me:hush1@h:1/m",
        "--http_credentials=me:hush2",
        "--mesos_authentication",
        "--mesos_authentication_principal=me",
        "--mesos_authentication_secret=hush3",
    ];
    let text = format!("{:?}", run(&args, &[]));
    assert!(text.contains("me"), "{text}");
    assert!(!text.contains("hush"), "{text}");
    let notes = format!("{:?}", read(&["--mesos_authentication_secret=hush"], &[]));
    assert!(!notes.contains("hush"), "{notes}");
}

#[test]
fn secrets_are_in_no_error() {
    for (args, env) in [
        (&["--http_credentials=hush"][..], &[][..]),
        (&["--http_credentials=:hush"], &[]),
        (&["--http_credentials", "me:a", "hush"], &[]),
        (&["--zk=zk://hush@h:1/m"], &[]),
        (&["--zk=zk://me:hush@h:x/m"], &[]),
        (&["--zk=me:hush@h:1/m"], &[]),
        (&["--zk=zk://me:hush/hush@h:1/m"], &[]),
        (&["--ssl_keystore_password=hush"], &[]),
        (&["--metrics_datadog_api_key=hush"], &[]),
        (
            &[
                "--mesos_authentication_secret=hush",
                "--mesos_authentication",
            ],
            &[],
        ),
        (&[], &[("MESOSPHERE_HTTP_CREDENTIALS", "hush")]),
        (&[], &[("MARATHON_HTTP_CREDENTIALS", "hush")]),
    ] {
        let error = read(args, env).expect_err("wrong flags");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hush"), "{text}");
        }
    }
    for master in [
        "http://me:hush@h:1",
        "me:hush@h:1",
        "zk://me:hush@h:x/m",
        "zk://a:hush/b@h:1/m",
    ] {
        let args = words(&["--master", master]);
        let error = marathon(args, pairs(&[])).expect_err("a wrong master");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hush"), "{text}");
        }
    }
    let slash = refusal(&["--zk=zk://me:hu/sh@h:1/m"], &[]);
    assert_says(&slash, &["'zk://me:***@h:1/m'", "no slash"]);
    let user = refusal(&["--zk=me:hush@h:1/m"], &[]);
    assert_says(&user, &["me:***@h:1/m"]);
}

#[test]
fn help_names_every_flag_with_kind_default_meaning_and_variable() {
    let Ok(Parsed::Print(text)) = marathon(words(&["--help"]), pairs(&[])) else {
        panic!("help");
    };
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (works, refused) = flat
        .split_once("they are refused when given")
        .expect("both parts");
    for flag in tables::flags() {
        let name = flag.name;
        match flag.support {
            Support::No(_) => {
                assert_says(refused, &[&format!("--{name} ")]);
                assert!(!works.contains(&format!("--{name} ")), "{name}");
            }
            Support::Yes | Support::Only(..) | Support::Inert(_) => {
                let meaning = flag.help.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_says(works, &[&meaning, name]);
            }
        }
    }
    assert_says(
        works,
        &[
            "--failover_timeout SECONDS [default: 604800]",
            "--[disable_]ha [default: on]",
            "[MARATHON_HA, MARATHON_DISABLE_HA]",
            "--zk_max_versions N, --max_versions N [default: 50]",
            "--new_group_enforce_role off|top [default: off]",
            "--enable_features A,B,... [default: none]",
            "[MARATHON_HTTP_CREDENTIALS, MESOSPHERE_HTTP_CREDENTIALS]",
            "This version accepts only: off; metrics are not sent anywhere",
            "Marathon assumes zk://localhost:2181/marathon",
        ],
    );
    assert!(
        !works.contains("MARATHON_KILLSPERBATCH"),
        "no such variable"
    );
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "{longest:?}");
}
