//! The flags of containers: defaults, values and errors.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Uid;

use super::{agent_error, agent_with};
use crate::agent::config::{
    ContainerDns, ContainerLogger, ContainerizerConfig, LauncherKind, Logins, Rotation,
};

#[test]
fn an_agent_without_flags_has_mesos_isolators() {
    let mut config = agent_with(&["--launcher=posix"]);
    assert_eq!(config.containerizer, ContainerizerConfig::default());
    assert_eq!(config.flags["isolation"], "posix/cpu,posix/mem");
    let found = agent_with(&[]);
    let launcher = LauncherKind::of_machine("/sys/fs/cgroup".as_ref());
    config.containerizer.launcher = launcher;
    assert_eq!(found.containerizer, config.containerizer);
    assert_eq!(found.flags["launcher"], launcher.name());
}

#[test]
fn the_launcher_is_what_the_machine_allows() {
    let launcher = |hierarchy: &Path| {
        let config = agent_with(&[&format!("--cgroups_hierarchy={}", hierarchy.display())]);
        let found = config.containerizer.launcher;
        assert_eq!(config.flags["launcher"], found.name());
        found
    };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(launcher(dir.path()), LauncherKind::Posix);
    let for_root = match Uid::effective().is_root() {
        true => LauncherKind::Linux,
        false => LauncherKind::Posix,
    };
    for file in ["1/freezer/cgroup.procs", "2/cgroup.controllers"] {
        let file = dir.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    for version in ["1", "2"] {
        assert_eq!(launcher(&dir.path().join(version)), for_root);
    }
    let given = agent_with(&[
        "--launcher=posix",
        &format!("--cgroups_hierarchy={}/2", dir.path().display()),
    ]);
    assert_eq!(given.containerizer.launcher, LauncherKind::Posix);
}

#[test]
fn an_agent_that_others_reach_shows_only_what_it_is_told_to() {
    let prefixes = |flags: &[&str]| agent_with(flags).containerizer.host_path_volume_prefixes;
    assert_eq!(prefixes(&[]), None);
    assert_eq!(prefixes(&["--ip=10.0.0.1"]), Some(Vec::new()));
    let given = "--host_path_volume_prefixes=/a:/b/c";
    let expected = Some(vec!["/a".into(), "/b/c".into()]);
    assert_eq!(prefixes(&[given]), expected);
    assert_eq!(prefixes(&["--ip=10.0.0.1", given]), expected);
}

#[test]
fn logs_are_rotated_if_asked_for() {
    let config = agent_with(&[]);
    assert_eq!(config.container_logger, ContainerLogger::Sandbox);
    assert!(config.no_new_privs);
    let config = agent_with(&[
        "--container_logger=org_apache_mesos_LogrotateContainerLogger",
        "--max_stdout_size=1MB",
        "--logrotate_stderr_options=rotate 2",
        "--no-no_new_privs",
    ]);
    let rotation = |max_size, keep| Rotation { max_size, keep };
    let expected = ContainerLogger::Logrotate {
        stdout: rotation(1 << 20, 9),
        stderr: rotation(10 << 20, 2),
    };
    assert_eq!(config.container_logger, expected);
    assert!(!config.no_new_privs);
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
        (
            "--container_logger=x",
            ["'container_logger'", "'logrotate'"],
        ),
        (
            "--max_stdout_size=1KB",
            ["'max_stdout_size'", "at least 4KB"],
        ),
        (
            "--logrotate_stdout_options=compress",
            ["'logrotate_stdout_options'", "'rotate COUNT'"],
        ),
        (
            "--host_path_volume_prefixes=/a:b",
            ["'host_path_volume_prefixes'", "absolute paths"],
        ),
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

fn agent_error_with(flag: &str) -> String {
    agent_error(&["--master=a:1", "--work_dir=/tmp/x", flag])
}

#[test]
fn logins_of_registries_are_read_from_a_file_or_text_and_never_shown() {
    let text = r#"{"auths": {"a.b": {"username": "u", "password": "secret"}}}"#;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    std::fs::write(&file, text).unwrap();
    let expected = Logins::read(text).unwrap();
    for given in [text.to_owned(), file.display().to_string()] {
        let config = agent_with(&[&format!("--docker_config={given}")]);
        let docker = config.containerizer.docker;
        assert_eq!(docker.docker_config, Some(expected.clone()));
        assert_eq!(config.flags["docker_config"], "***");
    }
    for text in [r#"{"auths": {"a.b": {"auth": "secret"}}}"#, "secret"] {
        let error = agent_error_with(&format!("--docker_config={text}"));
        assert!(error.contains("'docker_config'"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn dns_of_containers_is_read() {
    let text = r#"{"docker": [{"network_mode": "BRIDGE", "dns": {"nameservers": ["1.1.1.1"]}}]}"#;
    let config = agent_with(&[&format!("--default_container_dns={text}")]);
    let dns = config.containerizer.docker.default_container_dns;
    assert_eq!(dns, ContainerDns::read(text).unwrap());
    let cni = r#"{"mesos": [{"network_mode": "CNI", "dns": {}}]}"#;
    let error = agent_error_with(&format!("--default_container_dns={cni}"));
    assert!(
        error.contains("CNI networks, which are not supported"),
        "{error}"
    );
}
