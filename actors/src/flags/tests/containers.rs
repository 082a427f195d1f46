//! The flags of containers: defaults, values and errors.

use std::time::Duration;

use super::{agent_error, agent_with};
use crate::agent::config::{ContainerizerConfig, LauncherKind};

#[test]
fn an_agent_without_flags_has_mesos_isolators() {
    let config = agent_with(&[]);
    assert_eq!(config.containerizer, ContainerizerConfig::default());
    assert_eq!(config.flags["isolation"], "posix/cpu,posix/mem");
    assert_eq!(config.flags["launcher"], "posix");
}

#[test]
fn values_are_read() {
    let config = agent_with(&[
        "--launcher=linux",
        "--isolation=cgroups/cpu,cgroups/mem",
        "--cgroups_root=a/b",
        "--cgroups_enable_cfs",
        "--cgroups_destroy_timeout=5secs",
        "--default_container_shm_size=64MB",
        "--allowed_capabilities={\"capabilities\":[\"CHOWN\"]}",
    ]);
    let config = config.containerizer;
    assert_eq!(config.launcher, LauncherKind::Linux);
    assert_eq!(config.isolation, ["cgroups/cpu", "cgroups/mem"]);
    assert_eq!(config.cgroups_root, "a/b");
    assert!(config.cgroups_enable_cfs && !config.cgroups_limit_swap);
    assert_eq!(config.cgroups_destroy_timeout, Duration::from_secs(5));
    assert_eq!(config.default_container_shm_size, Some(64 << 20));
    let effective = config.effective_capabilities.unwrap();
    assert_eq!(effective.capabilities, [1000]);
    assert_eq!(config.bounding_capabilities, None);
}

#[test]
fn errors_say_what_would_be_right() {
    for (flag, parts) in [
        ("--launcher=docker", ["'launcher'", "'posix' or 'linux'"]),
        (
            "--containerizers=mesos,rkt",
            ["'containerizers'", "a list out of 'mesos' and 'docker'"],
        ),
        ("--cgroups_root=../x", ["'cgroups_root'", "without '..'"]),
        ("--cgroups_root=/", ["'cgroups_root'", "a relative path"]),
        ("--isolation=a,b,a", ["'isolation'", "none of them twice"]),
        (
            "--bounding_capabilities={\"capabilities\":1}",
            ["'bounding_capabilities'", "a JSON object"],
        ),
    ] {
        let error = agent_error(&["--master=a:1", "--work_dir=/tmp/x", flag]);
        for part in parts {
            assert!(error.contains(part), "{flag}: {error}");
        }
    }
}
