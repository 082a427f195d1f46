//! Tests of the app manager's flags: sources and their order, value forms, errors.
//! Starts no program and reads no real environment.

mod config;
mod places;
mod reference;
mod shown;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use super::{MarathonFlagError, marathon};
use crate::flags::{Parsed, Startup};
use crate::marathon::config::MarathonConfig;

fn words(list: &[&str]) -> std::vec::IntoIter<OsString> {
    let words: Vec<OsString> = list.iter().map(OsString::from).collect();
    words.into_iter()
}

fn pairs(list: &[(&str, &str)]) -> std::vec::IntoIter<(OsString, OsString)> {
    let pairs: Vec<(OsString, OsString)> = list
        .iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    pairs.into_iter()
}

fn read(
    args: &[&str],
    env: &[(&str, &str)],
) -> Result<Parsed<(MarathonConfig, Startup)>, MarathonFlagError> {
    let mut all = vec!["--master", "127.0.0.1:5050"];
    all.extend_from_slice(args);
    marathon(words(&all), pairs(env))
}

fn run(args: &[&str], env: &[(&str, &str)]) -> (MarathonConfig, Startup) {
    match read(args, env) {
        Ok(Parsed::Run(run)) => run,
        other => panic!("{args:?} {env:?}: expected a configuration, got {other:?}"),
    }
}

fn config(args: &[&str]) -> MarathonConfig {
    run(args, &[]).0
}

fn notes(args: &[&str]) -> Vec<String> {
    run(args, &[]).1.notes
}

/// Of flags that are wrong: what is said.
fn refusal(args: &[&str], env: &[(&str, &str)]) -> String {
    match read(args, env) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{args:?} {env:?} are accepted"),
    }
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing in: {text}");
    }
}

#[test]
fn a_value_stands_behind_a_space_or_an_equals_sign() {
    for args in [
        &["--framework_name", "blue"][..],
        &["--framework_name=blue"],
        &["--framework_name=blue", "--"],
    ] {
        assert_eq!(config(args).framework.framework_name, "blue");
    }
    // A single dash begins no flag; two dashes only count as a value behind an equals sign.
    assert_eq!(
        config(&["--env_vars_prefix", "-X"])
            .manager
            .task
            .env_vars_prefix,
        "-X"
    );
    assert_eq!(
        config(&["--env_vars_prefix=--X"])
            .manager
            .task
            .env_vars_prefix,
        "--X"
    );
    let missing = refusal(&["--framework_name", "--checkpoint"], &[]);
    assert_says(&missing, &["'framework_name'", "has no value", "=VALUE"]);
    let missing = refusal(&["--framework_name"], &[]);
    assert_says(&missing, &["has no value"]);
}

#[test]
fn toggles_are_switched_on_and_off_by_name_alone() {
    assert!(config(&[]).framework.checkpoint);
    assert!(config(&["--checkpoint"]).framework.checkpoint);
    assert!(!config(&["--disable_checkpoint"]).framework.checkpoint);
    let with_value = refusal(&["--checkpoint=false"], &[]);
    assert_says(&with_value, &["takes no value", "--disable_checkpoint"]);
    let with_word = refusal(&["--checkpoint", "false"], &[]);
    assert_says(&with_word, &["unexpected argument 'false'"]);
    let both = refusal(&["--checkpoint", "--disable_checkpoint"], &[]);
    assert_says(&both, &["twice", "--checkpoint and --disable_checkpoint"]);
    // Only toggles can be switched off so.
    let no_toggle = refusal(&["--disable_framework_name"], &[]);
    assert_says(&no_toggle, &["unknown flag 'disable_framework_name'"]);
}

#[test]
fn variables_give_flags() {
    let env = [
        ("MARATHON_FRAMEWORK_NAME", "blue"),
        ("MARATHON_DISABLE_CHECKPOINT", ""),
        ("MARATHON_HTTP_COMPRESSION", ""),
        ("MARATHON_APP_ID", "/self"),
        ("MARATHON_APP_RESOURCE_CPUS", "1"),
        ("PATH", "/bin"),
    ];
    let (config, _) = run(&[], &env);
    assert_eq!(config.framework.framework_name, "blue");
    assert!(!config.framework.checkpoint);
    assert!(config.http.http_compression);

    let empty = refusal(&[], &[("MARATHON_FRAMEWORK_NAME", "")]);
    assert_says(
        &empty,
        &["has no value; set MARATHON_FRAMEWORK_NAME to one"],
    );
    let value = refusal(&[], &[("MARATHON_CHECKPOINT", "true")]);
    assert_says(&value, &["takes no value", "MARATHON_DISABLE_CHECKPOINT"]);
    let unknown = refusal(&[], &[("MARATHON_FRAMEWORK_NAMES", "x")]);
    assert_says(
        &unknown,
        &["MARATHON_FRAMEWORK_NAMES", "did you mean 'framework_name'?"],
    );
    // Names of variables lose their capitals, so flags with capitals have none.
    let capitals = refusal(&[], &[("MARATHON_KILLSPERBATCH", "1")]);
    assert_says(&capitals, &["unknown flag 'killsperbatch'"]);
    assert!(!notes(&["--killsPerBatch", "1"]).is_empty());
    let help = refusal(&[], &[("MARATHON_VERSION", "1.11")]);
    assert_says(&help, &["MARATHON_VERSION", "takes no value"]);
    let help = refusal(&[], &[("MARATHON_HELP", "")]);
    assert_says(&help, &["MARATHON_HELP", "command line only"]);
}

#[test]
fn the_command_line_wins_over_variables() {
    let env = [
        ("MARATHON_FRAMEWORK_NAME", "blue"),
        ("MARATHON_DISABLE_CHECKPOINT", ""),
        ("MARATHON_ZK_MAX_VERSIONS", "7"),
        ("MESOSPHERE_HTTP_CREDENTIALS", "c:d"),
    ];
    let args = ["--framework_name=red", "--checkpoint", "--max_versions=9"];
    let (config, _) = run(&args, &env);
    assert_eq!(config.framework.framework_name, "red");
    assert!(config.framework.checkpoint);
    assert_eq!(config.manager.max_versions, 9);
    let user = |config: MarathonConfig| config.http.http_credentials.map(|(user, _)| user);
    assert_eq!(user(config).as_deref(), Some("c"));
    let both = [
        ("MARATHON_HTTP_CREDENTIALS", "a:b"),
        ("MESOSPHERE_HTTP_CREDENTIALS", "c:d"),
    ];
    assert_eq!(user(run(&[], &both).0).as_deref(), Some("a"));
    let (config, _) = run(&["--http_credentials", "e:f"], &both);
    assert_eq!(user(config).as_deref(), Some("e"));
}

#[test]
fn no_flag_is_given_twice_at_one_place() {
    let twice = refusal(&["--http_port=1", "--http_port", "2"], &[]);
    assert_says(&twice, &["'http_port' is given twice"]);
    let twice = refusal(&["--zk_max_versions=1", "--max_versions=2"], &[]);
    assert_says(&twice, &["--zk_max_versions and --max_versions"]);
    let twice = refusal(&[], &[("MARATHON_HA", ""), ("MARATHON_DISABLE_HA", "")]);
    assert_says(&twice, &["MARATHON_DISABLE_HA and MARATHON_HA"]);
}

#[test]
fn what_is_no_flag_is_refused() {
    assert_says(&refusal(&["--foo", "bar"], &[]), &["unknown flag 'foo'"]);
    let close = refusal(&["--mesos_rol", "x"], &[]);
    assert_says(&close, &["did you mean 'mesos_role'"]);
    assert_says(&refusal(&["-h"], &[]), &["unexpected argument '-h'"]);
    assert_says(&refusal(&["--", "x"], &[]), &["unexpected argument '--'"]);
    // Names on the command line keep their capitals.
    assert_says(&refusal(&["--HA"], &[]), &["unknown flag 'HA'"]);
}

#[test]
fn what_is_not_utf_8_is_refused_without_being_shown() {
    let broken = || OsString::from_vec(b"--zk=\xff".to_vec());
    let error = marathon([broken()].into_iter(), pairs(&[])).expect_err("not UTF-8");
    assert_says(&error.to_string(), &["argument 1 is not valid UTF-8"]);
    let env = [(OsString::from("MARATHON_ZK"), broken())].into_iter();
    let error = marathon(words(&["--master=h:1"]), env).expect_err("not UTF-8");
    assert_says(&error.to_string(), &["MARATHON_ZK is not valid UTF-8"]);
    // What is no flag of this program may be anything.
    let env = [(OsString::from("OTHER"), broken())].into_iter();
    assert!(marathon(words(&["--master=h:1"]), env).is_ok());
}

#[test]
fn help_and_version_are_printed_whatever_else_is_wrong() {
    for args in [&["--help"][..], &["--foo", "--help"]] {
        match marathon(words(args), pairs(&[])) {
            Ok(Parsed::Print(text)) => assert_says(&text, &["Usage: tepui-marathon"]),
            other => panic!("expected help, got {other:?}"),
        }
    }
    match marathon(words(&["--version"]), pairs(&[])) {
        Ok(Parsed::Print(text)) => {
            assert_eq!(
                text,
                concat!("tepui-marathon ", env!("CARGO_PKG_VERSION"), "\n")
            );
        }
        other => panic!("expected the version, got {other:?}"),
    }
    assert_says(&refusal(&["--", "--help"], &[]), &["unexpected argument"]);
}

#[test]
fn the_level_of_logging_is_kept_for_the_start() {
    use tracing::Level;
    for (word, level) in [
        ("off", None),
        ("error", Some(Level::ERROR)),
        ("warn", Some(Level::WARN)),
        ("info", Some(Level::INFO)),
        ("debug", Some(Level::DEBUG)),
        ("trace", Some(Level::TRACE)),
        ("all", Some(Level::TRACE)),
    ] {
        assert_eq!(run(&["--logging_level", word], &[]).1.log_level, level);
    }
    assert_eq!(run(&[], &[]).1.log_level, Some(Level::INFO));
    let wrong = refusal(&["--logging_level=INFO"], &[]);
    assert_says(&wrong, &["'INFO'", "expected 'off' or 'error'"]);
}

#[test]
fn numbers_are_checked_against_their_bounds() {
    for (flag, value, expected) in [
        ("http_port", "65536", "a port number from 0 to 65535"),
        ("local_port_min", "0", "a port number from 1 to 65535"),
        ("launch_tokens", "0", "a whole number from 1"),
        ("launch_tokens", "-1", "a whole number from 1"),
        ("launch_tokens", "1.5", "a whole number from 1"),
        ("launch_tokens", "", "a whole number from 1"),
        ("launch_token_refresh_interval", "0", "milliseconds from 1"),
        (
            "failover_timeout",
            "1week",
            "a whole number of seconds from 0",
        ),
        ("reconciliation_interval", "99999999999999", "milliseconds"),
        (
            "zk_compression_threshold",
            "-1",
            "a whole number of bytes from 0",
        ),
        ("zk_max_node_size", "-1", "a whole number of bytes from 0"),
        ("zk_session_timeout", "999", "milliseconds from 1000"),
        (
            "metrics_histogram_reservoir_significant_digits",
            "6",
            "from 0 to 5",
        ),
        (
            "metrics_histogram_reservoir_highest_trackable_value",
            "1",
            "a whole number from 2",
        ),
        (
            "metrics_histogram_reservoir_resetting_interval_ms",
            "0",
            "milliseconds from 1",
        ),
    ] {
        let wrong = refusal(&[&format!("--{flag}={value}")], &[]);
        assert_says(
            &wrong,
            &[&format!("'{flag}'"), &format!("'{value}'"), expected],
        );
    }
    let most = config(&["--reconciliation_interval=3153600000000"]);
    assert_eq!(
        most.manager.engine.reconciliation_interval,
        Duration::from_secs(3_153_600_000)
    );
}
