//! Tests of where the app manager's flags say things are: the master, the secret, the state.
//! Connects to nothing.

use std::path::Path;
use std::time::Duration;

use super::{assert_says, config, marathon, notes, pairs, refusal, words};
use crate::marathon::config::StatePlace;

#[test]
fn a_master_must_be_named() {
    let missing = marathon(words(&[]), pairs(&[])).expect_err("no master");
    assert_says(&missing.to_string(), &["'master' is required", "zk://"]);
    for master in [
        "h:5050",
        "http://h:5050",
        "https://h:5050",
        "zk://h:1,i:2/m",
    ] {
        let given = marathon(words(&["--master", master]), pairs(&[]));
        assert!(given.is_ok(), "{given:?}");
    }
    let wrong = |text: &str| {
        let given = marathon(words(&["--master", text]), pairs(&[]));
        given.expect_err(text).to_string()
    };
    assert_says(&wrong("h"), &["'h'", "host:port"]);
    assert_says(&wrong("zk://"), &["names no server"]);
    assert_says(&wrong("file:///does/not/exist"), &["cannot read"]);
}

#[test]
fn a_master_may_stand_in_a_file() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("master");
    std::fs::write(&path, "zk://me:hush@h:1/m\n").expect("write");
    let flag = format!("--master=file://{}", path.display());
    let given = marathon(words(&[&flag]), pairs(&[]));
    let Ok(crate::flags::Parsed::Run((config, _))) = given else {
        panic!("{given:?}");
    };
    assert_eq!(config.master.to_string(), "zk://me:***@h:1/m");
}

#[test]
fn without_zookeeper_state_is_in_a_file() {
    let place = config(&[]).state;
    let StatePlace::File(dir) = place else {
        panic!("{place:?}");
    };
    assert_eq!(dir, Path::new("/var/lib/tepui-marathon"));
    let place = config(&["--ha", "--work_dir", "state"]).state;
    let StatePlace::File(dir) = place else {
        panic!("{place:?}");
    };
    assert!(dir.is_absolute() && dir.ends_with("state"), "{dir:?}");
    assert_says(&refusal(&["--work_dir="], &[]), &["the path of a file"]);
    let unused = notes(&["--zk_session_timeout=5000"]).concat();
    assert_says(&unused, &["'zk_session_timeout'", "--zk only"]);
}

#[test]
fn with_zookeeper_state_is_there() {
    let args = [
        "--zk=zk://me:hush@h:1/m",
        "--zk_session_timeout=6000",
        "--hostname=here",
    ];
    let place = config(&args).state;
    let StatePlace::ZooKeeper {
        url,
        session_timeout,
    } = place
    else {
        panic!("{place:?}");
    };
    assert_eq!(url.to_string(), "zk://me:***@h:1/m");
    assert_eq!(session_timeout, Duration::from_secs(6));
    assert_eq!(notes(&args), Vec::<String>::new());

    let wrong = refusal(&["--zk=h:1/m"], &[]);
    assert_says(&wrong, &["'h:1/m'", "does not start with zk://"]);
}

#[test]
fn what_makes_no_difference_with_zookeeper_is_noted() {
    let zk = "--zk=zk://h:1/m";
    let alone = notes(&[zk, "--hostname=x", "--disable_ha"]).concat();
    assert_says(&alone, &["'ha'", "always elect"]);
    let dir = notes(&[zk, "--hostname=x", "--work_dir=/x"]).concat();
    assert_says(&dir, &["'work_dir'", "in ZooKeeper"]);
    let loopback = notes(&[zk]).concat();
    assert_says(&loopback, &["127.0.0.1", "--hostname"]);
}

#[test]
fn the_backend_goes_with_zookeeper_or_is_memory() {
    let memory = config(&["--internal_store_backend=mem"]).state;
    assert!(matches!(memory, StatePlace::Memory), "{memory:?}");
    let unused = notes(&["--internal_store_backend=mem", "--work_dir=/x"]).concat();
    assert_says(&unused, &["'work_dir'", "memory only"]);
    let shared = config(&["--internal_store_backend=zk", "--zk=zk://h:1/m"]).state;
    assert!(matches!(shared, StatePlace::ZooKeeper { .. }), "{shared:?}");
    let alone = refusal(&["--internal_store_backend=zk"], &[]);
    assert_says(&alone, &["--zk with it", "--work_dir"]);
    let lost = refusal(&["--internal_store_backend=mem", "--zk=zk://h:1/m"], &[]);
    assert_says(&lost, &["'mem'", "leave --zk out"]);
}

#[test]
fn authentication_needs_a_principal_and_one_secret() {
    let on = "--mesos_authentication";
    let principal = "--mesos_authentication_principal=me";
    let secret = "--mesos_authentication_secret=hush";
    assert_says(&refusal(&[on], &[]), &["mesos_authentication_principal"]);
    let bare = refusal(&[on, principal], &[]);
    assert_says(&bare, &["mesos_authentication_secret_file", "secret"]);
    let given = config(&[on, principal, secret]);
    assert_eq!(format!("{:?}", given.credentials), "Some(me:***)");
    assert_eq!(given.framework.principal.as_deref(), Some("me"));
    let both = [principal, secret, "--mesos_authentication_secret_file=/x"];
    assert_says(&refusal(&both, &[]), &["are both given"]);
    let colon = [on, "--mesos_authentication_principal=a:b", secret];
    assert_says(&refusal(&colon, &[]), &["has a colon"]);
}

#[test]
fn a_principal_is_told_without_a_secret_too() {
    let principal = "--mesos_authentication_principal=me";
    let config = config(&[principal]);
    assert!(config.credentials.is_none());
    assert_eq!(config.framework.principal.as_deref(), Some("me"));
    assert_eq!(notes(&[principal]), Vec::<String>::new());
    let unused = notes(&[principal, "--mesos_authentication_secret=hush"]).concat();
    assert_says(&unused, &["'mesos_authentication_secret'", "only"]);
    assert!(!unused.contains("hush"), "{unused}");
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("secret");
    let file = format!("--mesos_authentication_secret_file={}", path.display());
    let args = [
        "--mesos_authentication",
        "--mesos_authentication_principal=me",
        file.as_str(),
    ];
    assert_says(&refusal(&args, &[]), &["cannot read the secret"]);
    std::fs::write(&path, "\n").expect("write");
    assert_says(&refusal(&args, &[]), &["the secret is empty"]);
    std::fs::write(&path, "hush\n").expect("write");
    assert!(config(&args).credentials.is_some());
}
