//! What of the host a container of the Docker Engine may see, where `--host_path_volume_prefixes`
//! says that it is not all. Judges orders only; what the Engine makes of them it does not watch.

use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

/// Namespaces of the host that a container could be in, and the options that ask for them. There it
/// would reach other processes and by them, in `/proc/PID/root`, all of their files.
const NAMESPACES: &[(&str, &str)] = &[
    ("PidMode", "pid"),
    ("IpcMode", "ipc"),
    ("UsernsMode", "userns"),
];

/// Capabilities by which a container gets at more than it is shown: mounts, files by their numbers,
/// devices, the kernel itself.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
    "BPF",
];

/// Sees to it that an order shows nothing of the host but what is in `prefixes` (none stands for
/// all), and the container's own sandbox and persistent volumes.
///
/// # Errors
/// What would show more, and how it can be allowed.
pub(super) fn check(
    order: &Value,
    sandbox: &Path,
    volumes: &[PathBuf],
    prefixes: Option<&[PathBuf]>,
) -> Result<(), String> {
    let Some(prefixes) = prefixes else {
        return Ok(());
    };
    let real = |path: &Path| path.canonicalize().ok();
    let mut shown: Vec<PathBuf> = prefixes.iter().filter_map(|it| real(it)).collect();
    if shown.iter().any(|prefix| prefix == Path::new("/")) {
        return Ok(());
    }
    check_rights(order).map_err(|what| {
        format!(
            "{what} can see all of the host, which --host_path_volume_prefixes does not allow on \
             this agent; only with --host_path_volume_prefixes=/ it may"
        )
    })?;
    shown.extend(real(sandbox));
    shown.extend(volumes.iter().filter_map(|it| real(it)));
    check_paths(order, &shown)
}

/// # Errors
/// The first thing that would give a container more than it is shown.
fn check_rights(order: &Value) -> Result<(), String> {
    let host = order.get("HostConfig").unwrap_or(&Value::Null);
    let texts = |name: &str| {
        let list = host.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    };
    if host.get("Privileged").and_then(Value::as_bool) == Some(true) {
        return Err("a privileged container".to_owned());
    }
    let is_given = |name: &str| {
        let list = host.get(name).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    let devices = ["Devices", "DeviceCgroupRules", "DeviceRequests"];
    if devices.into_iter().any(is_given) {
        return Err("a container with devices of the host".to_owned());
    }
    for (name, option) in NAMESPACES {
        let mode = host.get(name).and_then(Value::as_str).unwrap_or_default();
        if mode == "host" {
            return Err(format!("a container with '{option}=host'"));
        }
    }
    for given in texts("CapAdd") {
        let upper = given.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if CAPABILITIES.contains(&plain) {
            return Err(format!("a container with 'cap-add={given}'"));
        }
    }
    // It takes over what another container is shown, whoever has started that one.
    if is_given("VolumesFrom") {
        return Err("a container with 'volumes-from'".to_owned());
    }
    Ok(())
}

/// What counts is where a path leads to after all links.
fn check_paths(order: &Value, shown: &[PathBuf]) -> Result<(), String> {
    let list = |name: &str| order.pointer(name).and_then(Value::as_array);
    let binds = list("/HostConfig/Binds").into_iter().flatten();
    let binds = binds.filter_map(Value::as_str);
    let binds = binds.map(|bind| bind.split_once(':').map_or(bind, |(source, _)| source));
    let mounts = list("/HostConfig/Mounts").into_iter().flatten();
    let mounts = mounts.filter_map(|mount| mount.get("Source")?.as_str());
    for source in binds.chain(mounts) {
        // Volumes of the Engine have names.
        if !source.starts_with('/') {
            continue;
        }
        let real = target(Path::new(source))
            .map_err(|error| format!("cannot show '{source}' of the host: {error}"))?;
        if !shown.iter().any(|prefix| real.starts_with(prefix)) {
            return Err(format!(
                "'{source}' of the host may not be shown: it is in none of the directories of \
                 --host_path_volume_prefixes"
            ));
        }
    }
    Ok(())
}

/// Where a path leads to. The Engine makes what is not there, so that what is there of it counts; with
/// steps back it would be another place by then.
fn target(path: &Path) -> io::Result<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return path.canonicalize();
    }
    let mut there = path;
    while there.symlink_metadata().is_err() {
        there = there.parent().unwrap_or(Path::new("/"));
    }
    let missing = path.strip_prefix(there).unwrap_or(Path::new(""));
    Ok(there.canonicalize()?.join(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rights_that_show_all_of_the_host_need_that_all_may_be_shown() {
        let some = [PathBuf::from("/usr")];
        let all = [PathBuf::from("/")];
        let judge = |host: &Value, prefixes| {
            check(
                &json!({"HostConfig": host}),
                Path::new("/tmp"),
                &[],
                prefixes,
            )
        };
        for (host, words) in [
            (json!({"Privileged": true}), "a privileged container can"),
            (
                json!({"Devices": [{"PathOnHost": "/dev/sda"}]}),
                "with devices",
            ),
            (json!({"DeviceCgroupRules": ["b 8:* rwm"]}), "with devices"),
            (json!({"DeviceRequests": [{"Count": -1}]}), "with devices"),
            (json!({"PidMode": "host"}), "'pid=host'"),
            (json!({"IpcMode": "host"}), "'ipc=host'"),
            (json!({"UsernsMode": "host"}), "'userns=host'"),
            (
                json!({"CapAdd": ["cap_sys_admin"]}),
                "'cap-add=cap_sys_admin'",
            ),
            (json!({"CapAdd": ["ALL"]}), "'cap-add=ALL'"),
            (json!({"VolumesFrom": ["other"]}), "'volumes-from'"),
        ] {
            let why = judge(&host, Some(&some)).unwrap_err();
            assert!(why.contains(words), "{why}");
            assert!(
                why.contains("--host_path_volume_prefixes=/ it may"),
                "{why}"
            );
            assert!(judge(&host, Some(&[])).is_err());
            assert_eq!(judge(&host, Some(&all)), Ok(()));
            assert_eq!(judge(&host, None), Ok(()));
        }
        for host in [
            json!({"Privileged": false, "Devices": [], "CapAdd": ["NET_ADMIN"]}),
            json!({"PidMode": "container:x", "IpcMode": "private", "VolumeDriver": "nfs"}),
            json!({"Binds": ["/usr/lib:/x:ro", "named:/y"]}),
        ] {
            assert_eq!(judge(&host, Some(&some)), Ok(()), "{host}");
        }
    }
}
