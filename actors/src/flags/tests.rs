//! Tests of the flags: the sources and their order, the values, the errors, the help text.
//! Starts no program.

mod allocation;
mod containers;
mod reference;
mod removals;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{FlagError, Origin, Parsed, agent, master, tables};
use crate::agent::config::AgentConfig;
use crate::election::Masters;
use crate::master::config::{MasterConfig, RegistryStore};

fn words(list: &[&str]) -> std::vec::IntoIter<OsString> {
    list.iter()
        .map(OsString::from)
        .collect::<Vec<_>>()
        .into_iter()
}

fn pairs(list: &[(&str, &str)]) -> std::vec::IntoIter<(OsString, OsString)> {
    list.iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect::<Vec<_>>()
        .into_iter()
}

fn run<C: std::fmt::Debug>(parsed: Result<Parsed<C>, FlagError>) -> C {
    match parsed {
        Ok(Parsed::Run(config)) => config,
        other => panic!("expected a configuration, got {other:?}"),
    }
}

fn master_with(args: &[&str], env: &[(&str, &str)]) -> MasterConfig {
    let mut all = vec!["--registry=in_memory"];
    all.extend_from_slice(args);
    run(master(words(&all), pairs(env)))
}

fn master_error(args: &[&str], env: &[(&str, &str)]) -> String {
    master(words(args), pairs(env))
        .expect_err("flags are wrong")
        .to_string()
}

fn agent_with(args: &[&str]) -> AgentConfig {
    let mut all = vec!["--master=127.0.0.1:5050", "--work_dir=/tmp/x"];
    all.extend_from_slice(args);
    run(agent(words(&all), pairs(&[])))
}

fn agent_error(args: &[&str]) -> String {
    agent(words(args), pairs(&[]))
        .expect_err("flags are wrong")
        .to_string()
}

#[test]
fn every_flag_given_is_either_accepted_or_refused_by_name() {
    for flag in tables::MASTER.flags() {
        let value = flag.default.unwrap_or("x");
        let result = master(words(&[&format!("--{}={value}", flag.name)]), pairs(&[]));
        if flag.support == super::table::Support::No {
            let error = result.expect_err("an unsupported flag").to_string();
            assert!(error.contains(&format!("'{}'", flag.name)), "{error}");
            assert!(error.contains("does not support yet"), "{error}");
        } else {
            assert!(
                !matches!(result, Err(FlagError::Unsupported { .. })),
                "{}",
                flag.name
            );
        }
    }
}

#[test]
fn a_master_without_flags_has_mesos_defaults_on_loopback() {
    let config = master_with(&["--hostname=here"], &[]);
    assert_eq!(config.ip.to_string(), "127.0.0.1");
    assert_eq!((config.port, config.hostname.as_str()), (5050, "here"));
    assert_eq!(config.registry, RegistryStore::InMemory);
    assert_eq!(config.allocation_interval, Duration::from_secs(1));
    assert_eq!(config.offer_timeout, None);
    assert_eq!(config.agent_ping_timeout, Duration::from_secs(15));
    assert_eq!(config.max_agent_ping_timeouts, 5);
    assert_eq!(config.agent_reregister_timeout, Duration::from_secs(600));
    assert_eq!(config.max_completed_frameworks, 50);
    assert_eq!(config.max_completed_tasks_per_framework, 1000);
    assert_eq!(config.max_unreachable_tasks_per_framework, 1000);
    assert!(config.root_submissions && config.filter_gpu_resources);
    assert_eq!(config.offer_constraints_re2_max_mem, 4096);
    assert_eq!(config.offer_constraints_re2_max_program_size, 100);
    let amounts = |name: &str, amount| BTreeMap::from([(name.to_owned(), amount)]);
    let smallest = vec![amounts("cpus", 0.01), amounts("mem", 32.0)];
    assert_eq!(config.min_allocatable_resources, smallest);
    assert_eq!(config.flags["port"], "5050");
    assert_eq!(config.flags["registry"], "in_memory");
    assert!(
        !config.flags.contains_key("cluster"),
        "a flag without value is not shown"
    );
}

#[test]
fn flags_shown_are_those_mesos_shows() {
    let config = agent_with(&["--hostname=here"]);
    assert_eq!(config.flags["gc_delay"], "1weeks");
    assert_eq!(config.flags["systemd_enable_support"], "false");
    assert!(
        !config.flags.contains_key("xfs_project_range"),
        "only in builds with XFS"
    );
    assert!(!config.flags.contains_key("acls"));
}

#[test]
fn values_reach_the_configuration() {
    let config = master_with(
        &[
            "--cluster=blue",
            "--weights=a=2,b/c=0.5",
            "--roles=a,b/c",
            "--offer_timeout=1.5mins",
            "--no-root_submissions",
            "--fair_sharing_excluded_resource_names=gpus,disk",
            "--min_allocatable_resources=cpus:1;mem:64|disk:8",
            "--offer_constraints_re2_max_mem=1mb",
        ],
        &[],
    );
    assert_eq!(config.cluster.as_deref(), Some("blue"));
    assert_eq!(
        config.weights,
        BTreeMap::from([("a".to_owned(), 2.0), ("b/c".to_owned(), 0.5)])
    );
    assert_eq!(config.roles, Some(vec!["a".to_owned(), "b/c".to_owned()]));
    assert_eq!(config.offer_timeout, Some(Duration::from_secs(90)));
    assert!(!config.root_submissions);
    assert_eq!(
        config.fair_sharing_excluded_resource_names,
        ["gpus", "disk"]
    );
    assert_eq!(config.min_allocatable_resources[0].len(), 2);
    assert_eq!(config.min_allocatable_resources[1]["disk"], 8.0);
    assert_eq!(config.offer_constraints_re2_max_mem, 1 << 20);
    assert_eq!(config.flags["offer_timeout"], "90secs");
    assert_eq!(config.flags["root_submissions"], "false");
    assert_eq!(config.flags["offer_constraints_re2_max_mem"], "1MB");
}

#[test]
fn agent_values_reach_the_configuration() {
    let config = agent_with(&[
        "--resources=cpus:2",
        "--attributes=rack:a",
        "--executor_environment_variables={\"A\": \"1\"}",
        "--executor_registration_timeout=500ms",
        "--switch_user=false",
        "--launcher_dir=/opt/tepui",
    ]);
    assert_eq!(config.master, Masters::At("127.0.0.1:5050".to_owned()));
    assert_eq!(config.work_dir, Path::new("/tmp/x"));
    assert_eq!(config.resources.as_deref(), Some("cpus:2"));
    assert_eq!(config.attributes.as_deref(), Some("rack:a"));
    let environment = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    assert_eq!(config.executor_environment_variables, Some(environment));
    assert_eq!(
        config.executor_registration_timeout,
        Duration::from_millis(500)
    );
    assert!(!config.switch_user);
    assert_eq!(config.launcher_dir, Path::new("/opt/tepui"));
    assert_eq!(
        config.flags["executor_environment_variables"],
        "{\"A\":\"1\"}"
    );
}

#[test]
fn a_relative_work_dir_becomes_absolute() {
    let config = run(master(words(&["--work_dir=some/where"]), pairs(&[])));
    let work_dir = config.work_dir.expect("given");
    assert!(
        work_dir.is_absolute() && work_dir.ends_with("some/where"),
        "{work_dir:?}"
    );
    assert_eq!(config.registry, RegistryStore::File);
}

#[test]
fn booleans_take_all_of_mesos_forms() {
    for (arg, expected) in [
        ("--root_submissions", true),
        ("--root_submissions=", true),
        ("--root_submissions=1", true),
        ("--root_submissions=false", false),
        ("--no-root_submissions", false),
        ("--ROOT_submissions=0", false),
    ] {
        assert_eq!(master_with(&[arg], &[]).root_submissions, expected, "{arg}");
    }
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, content) in [
        ("port", "7001\n"),
        ("cluster", "from-dir"),
        ("max_completed_frameworks", "7"),
        ("?no-root_submissions", ""),
        (".hidden", "left alone"),
    ] {
        std::fs::write(dir.path().join(name), content).expect("written");
    }
    let flag = format!("--config_dir={}", dir.path().display());
    let env = [
        ("MESOS_PORT", "7002"),
        ("MESOS_CLUSTER", "from-env"),
        ("MESOS_SANDBOX", "x"),
    ];
    let config = master_with(&[&flag, "--port=7003"], &env);
    assert_eq!(config.port, 7003);
    assert_eq!(config.cluster.as_deref(), Some("from-env"));
    assert_eq!(config.max_completed_frameworks, 7);
    assert!(!config.root_submissions);
}

#[test]
fn the_directory_may_be_named_by_the_environment_and_its_errors_name_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("prot"), "5050").expect("written");
    let path = dir.path().to_str().expect("UTF-8");
    let error = master_error(&["--registry=in_memory"], &[("MESOS_CONFIG_DIR", path)]);
    assert!(error.contains(&format!("'{path}/prot'")), "{error}");
    assert!(error.contains("did you mean 'port'"), "{error}");
    let error = master_error(&["--config_dir=/no/such/dir"], &[]);
    assert!(
        error.contains("/no/such/dir") && error.contains("config_dir"),
        "{error}"
    );
}

#[test]
fn a_file_url_stands_for_the_content_of_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("value");
    std::fs::write(&file, "10.0.0.1:5050\n").expect("written");
    let url = format!("--master=file://{}", file.display());
    let config = run(agent(words(&[&url, "--work_dir=/tmp/x"]), pairs(&[])));
    assert_eq!(config.master, Masters::At("10.0.0.1:5050".to_owned()));

    std::fs::write(&file, "{\"A\": \"2\"}").expect("written");
    let plain = format!("--executor_environment_variables={}", file.display());
    let config = agent_with(&[&plain]);
    assert_eq!(
        config.flags["executor_environment_variables"],
        "{\"A\":\"2\"}"
    );

    let error = master_error(&["--cluster=file:///no/such/file"], &[]);
    assert!(
        error.contains("'/no/such/file'") && error.contains("'cluster'"),
        "{error}"
    );
    let error = master_error(&["--cluster=file:///dev/zero"], &[]);
    assert!(error.contains("not a file"), "{error}");
}

#[test]
fn old_names_are_accepted_with_a_note_but_not_beside_the_new_one() {
    let args = ["--registry=in_memory", "--slave_ping_timeout=2secs"];
    let parsed = super::master_with_startup(words(&args), pairs(&[]));
    let (config, startup) = run(parsed);
    assert_eq!(config.agent_ping_timeout, Duration::from_secs(2));
    assert!(
        startup
            .notes
            .iter()
            .any(|note| note.contains("'agent_ping_timeout'")),
        "{startup:?}"
    );

    let error = master_error(
        &["--slave_ping_timeout=2secs", "--agent_ping_timeout=3secs"],
        &[],
    );
    assert!(
        error.contains("given twice") && error.contains("slave_ping_timeout"),
        "{error}"
    );
    let error = master_error(&["--port=1", "--port=2"], &[]);
    assert!(error.contains("given twice"), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    for (args, parts) in [
        (
            &["--prt=1"][..],
            &["unknown flag 'prt'", "on the command line", "'port'"][..],
        ),
        (
            &["--allocation-interval=1secs"],
            &["did you mean 'allocation_interval'"],
        ),
        (&["--no-such-thing-at-all"], &["unknown flag", "--help"]),
        (&["--port=x"], &["'port'", "'x'", "between 0 and 65535"]),
        (&["--port=70000"], &["'70000'", "65535"]),
        (&["--port"], &["'port'", "no value", "--port=VALUE"]),
        (&["--port", "5050"], &["'5050'", "--name=value"]),
        (&["5050"], &["unexpected argument '5050'", "--name=value"]),
        (&["--no-port"], &["--no-port", "boolean"]),
        (&["--no-quiet=true"], &["--no-quiet", "no value"]),
        (
            &["--quiet=maybe"],
            &["'quiet'", "'maybe'", "'true' or 'false'"],
        ),
        (&["--offer_timeout=10"], &["'offer_timeout'", "secs"]),
        (&["--offer_timeout=10 secs"], &["'10 secs'", "'10secs'"]),
        (
            &["--offer_constraints_re2_max_mem=1.5KB"],
            &["'1.5KB'", "whole number"],
        ),
        (&["--max_completed_frameworks=-1"], &["'-1'", "at least 0"]),
        (&["--registry=zk"], &["'registry'", "without --zk"]),
        (&["--registry=sql"], &["'registry'", "'in_memory'"]),
        (
            &["--registry=in_memory", "--agent_ping_timeout=20mins"],
            &["15mins"],
        ),
        (
            &["--registry=in_memory", "--max_agent_ping_timeouts=0"],
            &["at least 1"],
        ),
        (
            &["--registry=in_memory", "--agent_reregister_timeout=1mins"],
            &["at least 10mins"],
        ),
        (
            &["--registry=in_memory", "--allocation_interval=0secs"],
            &["above 0"],
        ),
        (
            &["--registry=in_memory", "--weights=a=-1"],
            &["'weights'", "above 0"],
        ),
        (
            &["--registry=in_memory", "--ip=nowhere"],
            &["'ip'", "'nowhere'", "IP address"],
        ),
        (
            &["--registry=in_memory", "--logging_level=LOUD"],
            &["'LOUD'", "'WARNING'"],
        ),
        (
            &["--registry=in_memory", "--min_allocatable_resources=cpus"],
            &["name:amount"],
        ),
        (&["--zk=http://a/b"], &["'zk'", "zk://"]),
        (&["--zk=zk://u:secret@/b"], &["'zk'", "no server"]),
        (
            &["--zk=zk://a/b", "--registry=file"],
            &["'registry'", "another file"],
        ),
        (
            &["--zk=zk://a/b", "--zk_session_timeout=1ms"],
            &["'zk_session_timeout'", "1secs"],
        ),
        (
            &["--role_sorter=lottery"],
            &["'role_sorter'", "'lottery'", "'drf' or 'random'"],
        ),
        (
            &["--allocator=own"],
            &["'allocator'", "'hierarchical' or 'HierarchicalDRF'"],
        ),
        (
            &[
                "--registry=in_memory",
                "--allocator_agent_recovery_factor=1.5",
            ],
            &["'1.5'", "from 0 to 1"],
        ),
        (
            &["--registry=in_memory", "--roles=a", "--weights=b=1"],
            &["'weights'", "--roles only, not 'b'"],
        ),
        (
            &["--registry=in_memory", "--weights=/b=1"],
            &["'weights'", "Role '/b' cannot start with a slash"],
        ),
        (&["--domain=here"], &["'domain'", "a JSON object"]),
        (
            &["--registry=in_memory", "--domain={}"],
            &["'domain'", "fault_domain"],
        ),
        (
            &[
                "--registry=in_memory",
                "--domain={\"fault_domain\":{\"region\":{\"name\":\"r\"}}}",
            ],
            &["'domain'", "zone"],
        ),
        (
            &[
                "--registry=in_memory",
                "--recovery_agent_removal_limit=101%",
            ],
            &["'recovery_agent_removal_limit'", "50%"],
        ),
        (
            &["--registry=in_memory", "--mass_removal_limit=half"],
            &["'mass_removal_limit'", "50%"],
        ),
        (
            &["--registry=in_memory", "--agent_removal_rate_limit=0/1mins"],
            &["'agent_removal_rate_limit'", "1/10mins"],
        ),
        (
            &["--registry=in_memory", "--registry_gc_interval=0secs"],
            &["'registry_gc_interval'", "above"],
        ),
        (&[], &["'work_dir' is required", "--registry=in_memory"]),
    ] {
        let error = master_error(args, &[]);
        for part in parts {
            assert!(error.contains(part), "{args:?}: {error:?} lacks {part:?}");
        }
    }
}

#[test]
fn agent_errors_say_what_would_be_right() {
    for (args, parts) in [
        (
            &["--work_dir=/tmp/x"][..],
            &["'master' is required", "HOST:PORT"][..],
        ),
        (&["--master=a:1"], &["'work_dir' is required"]),
        (
            &["--master=zk://a:x/mesos", "--work_dir=/tmp/x"],
            &["zk://", "'a:x'"],
        ),
        (
            &["--master=nowhere", "--work_dir=/tmp/x"],
            &["'nowhere'", "host:port"],
        ),
        (&["--executor_environment_variables=[]"], &["JSON object"]),
        (
            &[
                "--master=a:1",
                "--work_dir=/tmp/x",
                "--executor_environment_variables={\"A\":1}",
            ],
            &["every value is a string"],
        ),
        (
            &["--master=a:1", "--work_dir=/tmp/x", "--recover=never"],
            &["'recover'", "'cleanup'"],
        ),
        (
            &[
                "--master=a:1",
                "--work_dir=/tmp/x",
                "--reconfiguration_policy=any",
            ],
            &["'reconfiguration_policy'", "'additive'"],
        ),
        (
            &[
                "--master=a:1",
                "--work_dir=/tmp/x",
                "--executor_reregistration_timeout=16secs",
            ],
            &["'executor_reregistration_timeout'", "15secs"],
        ),
        (&["--ip6=::1"], &["'ip6'", "does not support yet"]),
    ] {
        let error = agent_error(args);
        for part in parts {
            assert!(error.contains(part), "{args:?}: {error:?} lacks {part:?}");
        }
    }
}

#[test]
fn an_unsupported_flag_in_the_environment_is_refused_and_the_variable_named() {
    let error = master_error(&["--registry=in_memory"], &[("MESOS_ACLS", "{}")]);
    assert!(
        error.contains("MESOS_ACLS") && error.contains("does not support yet"),
        "{error}"
    );
}

#[test]
fn notes_tell_what_makes_no_difference_and_what_is_open_to_others() {
    let args = [
        "--work_dir=/tmp/x",
        "--registry=replicated_log",
        "--ip=0.0.0.0",
        "--no-log_auto_initialize",
    ];
    let (config, startup) = run(super::master_with_startup(words(&args), pairs(&[])));
    assert_eq!(config.registry, RegistryStore::File);
    for part in ["no replicas", "others can reach", "'log_auto_initialize'"] {
        assert!(
            startup.notes.iter().any(|note| note.contains(part)),
            "{part}: {startup:?}"
        );
    }
    let quiet = super::master_with_startup(words(&["--registry=in_memory", "--quiet"]), pairs(&[]));
    let (_, startup) = run(quiet);
    assert_eq!((startup.notes.len(), startup.log_level), (0, None));
}

#[test]
fn help_lists_every_flag_in_lines_that_fit_and_wins_over_errors() {
    let text = match master(words(&["--help", "--port=x"]), pairs(&[])) {
        Ok(Parsed::Print(text)) => text,
        other => panic!("expected help, got {other:?}"),
    };
    for flag in tables::MASTER.flags() {
        assert!(text.contains(flag.name), "{}", flag.name);
    }
    assert!(
        text.contains("--[no-]quiet") && text.contains("--port=PORT  [default: 5050]"),
        "{text}"
    );
    for line in text.lines().filter(|line| line.starts_with("        ")) {
        assert!(line.chars().count() <= 96, "{line}");
    }
    let version = agent(words(&["--version"]), pairs(&[]));
    assert_eq!(
        version,
        Ok(Parsed::Print(format!(
            "tepui-agent {}\n",
            env!("CARGO_PKG_VERSION")
        )))
    );
}

#[test]
fn names_of_addresses_come_from_the_hosts_file() {
    let hosts =
        "# comment\n127.0.0.1 localhost loop # more\n\nbad line\n10.0.0.7\tseven\n::1 six\n";
    let name = |ip: &str| super::host::name_in_hosts(hosts, ip.parse().expect("an address"));
    assert_eq!(name("127.0.0.1").as_deref(), Some("localhost"));
    assert_eq!(name("10.0.0.7").as_deref(), Some("seven"));
    assert_eq!(name("::1").as_deref(), Some("six"));
    assert_eq!(name("10.0.0.8"), None);
    let config = master_with(&["--no-hostname_lookup", "--ip=10.0.0.7"], &[]);
    assert_eq!(config.hostname, "10.0.0.7");
}

#[test]
fn origins_read_well_in_a_sentence() {
    assert_eq!(Origin::CommandLine.to_string(), "on the command line");
    let variable = Origin::Environment("MESOS_PORT".to_owned());
    assert_eq!(
        variable.to_string(),
        "in the environment variable MESOS_PORT"
    );
}

#[test]
fn masters_that_meet_in_zookeeper_share_their_registry_there() {
    let zk = "--zk=zk://user:secret@a:1,b/mesos";
    for registry in ["--registry=replicated_log", "--registry=zk"] {
        let config = run(master(words(&[zk, registry, "--quorum=2"]), pairs(&[])));
        assert_eq!(config.registry, RegistryStore::ZooKeeper);
        let url = config.zk.expect("a url");
        assert_eq!(url.servers(), "a:1,b:2181");
        assert_eq!(url.path(), "/mesos");
    }
    let config = run(master(words(&[zk]), pairs(&[])));
    assert_eq!(config.registry, RegistryStore::ZooKeeper);
    assert!(
        !config.flags["zk"].contains("secret"),
        "flags are shown to everybody"
    );
    let agent = run(agent(
        words(&["--master=zk://user:secret@a/mesos", "--work_dir=/tmp/x"]),
        pairs(&[]),
    ));
    assert!(matches!(agent.master, Masters::ZooKeeper(_)));
    assert!(!agent.flags["master"].contains("secret"));
    let error = master_error(&["--zk=zk://user:secret@a:x/mesos"], &[]);
    assert!(!error.contains("secret"), "{error}");
}
