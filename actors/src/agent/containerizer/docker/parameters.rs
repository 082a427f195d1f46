//! `DockerInfo.parameters`: options of `docker run`, put where the Engine's API wants them.
//! Judges only their form; the Engine judges their values.

use serde_json::{Map, Value, json};

use super::create::set;

/// How an option's value is written into an order, and where.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A text.
    Text,
    /// One more text of a list.
    List,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number,
    /// A number of bytes, with a unit if need be.
    Bytes,
    /// `name=value`, one more of a map.
    Map,
}

/// The options of `docker run`, by their names, and their places in an order.
const KNOWN: &[(&[&str], Form, &str)] = &[
    (&["env", "e"], Form::List, "/Env"),
    (&["volume", "v"], Form::List, "/HostConfig/Binds"),
    (&["volumes-from"], Form::List, "/HostConfig/VolumesFrom"),
    (&["dns"], Form::List, "/HostConfig/Dns"),
    (&["dns-search"], Form::List, "/HostConfig/DnsSearch"),
    (
        &["dns-opt", "dns-option"],
        Form::List,
        "/HostConfig/DnsOptions",
    ),
    (&["cap-add"], Form::List, "/HostConfig/CapAdd"),
    (&["cap-drop"], Form::List, "/HostConfig/CapDrop"),
    (&["add-host"], Form::List, "/HostConfig/ExtraHosts"),
    (&["security-opt"], Form::List, "/HostConfig/SecurityOpt"),
    (&["group-add"], Form::List, "/HostConfig/GroupAdd"),
    (&["link"], Form::List, "/HostConfig/Links"),
    (
        &["device-cgroup-rule"],
        Form::List,
        "/HostConfig/DeviceCgroupRules",
    ),
    (&["hostname", "h"], Form::Text, "/Hostname"),
    (&["domainname"], Form::Text, "/Domainname"),
    (&["user", "u"], Form::Text, "/User"),
    (&["workdir", "w"], Form::Text, "/WorkingDir"),
    (&["mac-address"], Form::Text, "/MacAddress"),
    (&["stop-signal"], Form::Text, "/StopSignal"),
    (&["net", "network"], Form::Text, "/HostConfig/NetworkMode"),
    (&["pid"], Form::Text, "/HostConfig/PidMode"),
    (&["ipc"], Form::Text, "/HostConfig/IpcMode"),
    (&["uts"], Form::Text, "/HostConfig/UTSMode"),
    (&["userns"], Form::Text, "/HostConfig/UsernsMode"),
    (&["cgroupns"], Form::Text, "/HostConfig/CgroupnsMode"),
    (&["cgroup-parent"], Form::Text, "/HostConfig/CgroupParent"),
    (&["runtime"], Form::Text, "/HostConfig/Runtime"),
    (&["volume-driver"], Form::Text, "/HostConfig/VolumeDriver"),
    (&["cpuset-cpus"], Form::Text, "/HostConfig/CpusetCpus"),
    (&["cpuset-mems"], Form::Text, "/HostConfig/CpusetMems"),
    (&["log-driver"], Form::Text, "/HostConfig/LogConfig/Type"),
    (&["memory", "m"], Form::Bytes, "/HostConfig/Memory"),
    (&["memory-swap"], Form::Bytes, "/HostConfig/MemorySwap"),
    (
        &["memory-reservation"],
        Form::Bytes,
        "/HostConfig/MemoryReservation",
    ),
    (&["shm-size"], Form::Bytes, "/HostConfig/ShmSize"),
    (
        &["memory-swappiness"],
        Form::Number,
        "/HostConfig/MemorySwappiness",
    ),
    (&["cpu-shares", "c"], Form::Number, "/HostConfig/CpuShares"),
    (&["cpu-quota"], Form::Number, "/HostConfig/CpuQuota"),
    (&["cpu-period"], Form::Number, "/HostConfig/CpuPeriod"),
    (&["pids-limit"], Form::Number, "/HostConfig/PidsLimit"),
    (&["oom-score-adj"], Form::Number, "/HostConfig/OomScoreAdj"),
    (&["blkio-weight"], Form::Number, "/HostConfig/BlkioWeight"),
    (&["stop-timeout"], Form::Number, "/StopTimeout"),
    (&["init"], Form::Bool, "/HostConfig/Init"),
    (&["read-only"], Form::Bool, "/HostConfig/ReadonlyRootfs"),
    (&["privileged"], Form::Bool, "/HostConfig/Privileged"),
    (
        &["oom-kill-disable"],
        Form::Bool,
        "/HostConfig/OomKillDisable",
    ),
    (&["label", "l"], Form::Map, "/Labels"),
    (&["sysctl"], Form::Map, "/HostConfig/Sysctls"),
    (&["storage-opt"], Form::Map, "/HostConfig/StorageOpt"),
    (&["log-opt"], Form::Map, "/HostConfig/LogConfig/Config"),
];

/// Puts one option into an order to make a container.
///
/// # Errors
/// When it is not known, or its value has another form.
pub(super) fn apply(order: &mut Value, key: &str, value: &str) -> Result<(), String> {
    match key {
        "entrypoint" => set(order, "/Entrypoint", json!([value])),
        "ulimit" => push(order, "/HostConfig/Ulimits", ulimit(value)?),
        "device" => push(order, "/HostConfig/Devices", device(value)),
        "tmpfs" => {
            let (path, options) = value.split_once(':').unwrap_or((value, ""));
            put(order, "/HostConfig/Tmpfs", path, json!(options));
        }
        "cpus" => {
            let cpus: Option<f64> = value.parse().ok().filter(|cpus: &f64| cpus.is_finite());
            let cpus = cpus.ok_or_else(|| wrong(key, value, "a number"))?;
            // Saturates: a float that is out of range becomes the nearest integer.
            set(order, "/HostConfig/NanoCpus", json!((cpus * 1e9) as i64));
        }
        _ => apply_known(order, key, value)?,
    }
    Ok(())
}

fn apply_known(order: &mut Value, key: &str, value: &str) -> Result<(), String> {
    let known = KNOWN.iter().find(|(names, ..)| names.contains(&key));
    let Some((_, form, place)) = known else {
        return Err(format!(
            "'DockerInfo.parameters' has '{key}', which is not supported"
        ));
    };
    match form {
        Form::Text => set(order, place, json!(value)),
        Form::List => push(order, place, json!(value)),
        Form::Bool => {
            let parsed = match value {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(wrong(key, value, "'true' or 'false'")),
            };
            set(order, place, json!(parsed));
        }
        Form::Number => {
            let number: Option<i64> = value.parse().ok();
            let number = number.ok_or_else(|| wrong(key, value, "a whole number"))?;
            set(order, place, json!(number));
        }
        Form::Bytes => {
            let bytes = bytes(value);
            let bytes = bytes.ok_or_else(|| wrong(key, value, "a size such as '64m'"))?;
            set(order, place, json!(bytes));
        }
        Form::Map => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            put(order, place, name, json!(value));
        }
    }
    Ok(())
}

fn wrong(key: &str, value: &str, expected: &str) -> String {
    format!("'DockerInfo.parameters' has '{key}={value}', expected {expected}")
}

/// One more of a list.
fn push(order: &mut Value, place: &str, value: Value) {
    match order.pointer_mut(place).and_then(Value::as_array_mut) {
        Some(list) => list.push(value),
        None => set(order, place, json!([value])),
    }
}

/// One more of a map; what is there already stays.
fn put(order: &mut Value, place: &str, name: &str, value: Value) {
    if order.pointer(place).is_none() {
        set(order, place, Value::Object(Map::new()));
    }
    if let Some(map) = order.pointer_mut(place).and_then(Value::as_object_mut) {
        map.entry(name).or_insert(value);
    }
}

/// `name=soft[:hard]`
fn ulimit(value: &str) -> Result<Value, String> {
    let expected = || wrong("ulimit", value, "a limit such as 'nofile=1024:2048'");
    let (name, limits) = value.split_once('=').ok_or_else(expected)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let read = |text: &str| text.parse::<i64>().map_err(|_| expected());
    Ok(json!({"Name": name, "Soft": read(soft)?, "Hard": read(hard)?}))
}

/// `host[:container[:permissions]]`
fn device(value: &str) -> Value {
    let mut parts = value.splitn(3, ':');
    let host = parts.next().unwrap_or_default();
    json!({
        "PathOnHost": host,
        "PathInContainer": parts.next().unwrap_or(host),
        "CgroupPermissions": parts.next().unwrap_or("rwm"),
    })
}

/// A number of bytes, with a unit as `docker run` takes it; -1 stands for no limit.
fn bytes(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let number: i64 = number.trim().parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_where_the_engine_wants_them() {
        let mut order = json!({"Env": ["A=1"], "Labels": {"own": "kept"}});
        for (key, value) in [
            ("env", "B=2"),
            ("label", "own=other"),
            ("label", "a=b=c"),
            ("ulimit", "nofile=10:20"),
            ("memory-swap", "-1"),
            ("shm-size", "64m"),
            ("cpus", "0.5"),
            ("init", "true"),
            ("tmpfs", "/t:size=1m"),
            ("device", "/dev/null:/dev/x:r"),
            ("log-driver", "json-file"),
            ("log-opt", "max-size=1m"),
            ("net", "other"),
            ("entrypoint", "/bin/x"),
        ] {
            apply(&mut order, key, value).unwrap();
        }
        let host = json!({
            "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
            "MemorySwap": -1,
            "ShmSize": 64 << 20,
            "NanoCpus": 500_000_000,
            "Init": true,
            "Tmpfs": {"/t": "size=1m"},
            "Devices": [{
                "PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r",
            }],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "NetworkMode": "other",
        });
        let all = json!({
            "Env": ["A=1", "B=2"],
            "Labels": {"own": "kept", "a": "b=c"},
            "HostConfig": host,
            "Entrypoint": ["/bin/x"],
        });
        assert_eq!(order, all);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_by_name() {
        for (key, value, words) in [
            ("rm", "true", "'rm', which is not supported"),
            ("init", "yes", "'init=yes', expected 'true' or 'false'"),
            ("memory", "1x", "expected a size such as '64m'"),
            ("ulimit", "nofile", "expected a limit such as"),
            ("cpu-shares", "1.5", "expected a whole number"),
            ("cpus", "NaN", "expected a number"),
        ] {
            let why = apply(&mut json!({}), key, value).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("4"), Some(4));
        assert_eq!(bytes("4K"), Some(4096));
        assert_eq!(bytes("1gb"), Some(1 << 30));
        assert_eq!(bytes("9999999999g"), None);
    }
}
