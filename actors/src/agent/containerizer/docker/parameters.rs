//! `DockerInfo.parameters`: options of `docker run`, put where the Engine's API wants them.
//! Judges only their form; the Engine judges their values.

use serde_json::{Map, Value, json};

use super::create::{LABEL, set};
use super::values;

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
    /// `name=value`, one more of a map; the last one of a name counts.
    Map,
    /// A time such as `30s`.
    Time,
    /// `device:bytes` each second.
    Bandwidth,
    /// `device:number` of operations each second.
    Operations,
    /// `true` or `false`, and either is so anyway.
    Needless,
}

/// Where an order is told of the container's place in its network, until that network's name is known.
const ENDPOINT: &str = "/Endpoint";

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
    (
        &["cpu-rt-period"],
        Form::Number,
        "/HostConfig/CpuRealtimePeriod",
    ),
    (
        &["cpu-rt-runtime"],
        Form::Number,
        "/HostConfig/CpuRealtimeRuntime",
    ),
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
    (
        &["publish-all", "P"],
        Form::Bool,
        "/HostConfig/PublishAllPorts",
    ),
    (&["tty", "t"], Form::Bool, "/Tty"),
    // Its input has no more than none either way.
    (&["interactive", "i"], Form::Needless, ""),
    // Containers are removed when `--docker_remove_delay` is over.
    (&["rm"], Form::Needless, ""),
    (
        &["network-alias", "net-alias"],
        Form::List,
        "/Endpoint/Aliases",
    ),
    (&["ip"], Form::Text, "/Endpoint/IPAMConfig/IPv4Address"),
    (&["ip6"], Form::Text, "/Endpoint/IPAMConfig/IPv6Address"),
    (
        &["link-local-ip"],
        Form::List,
        "/Endpoint/IPAMConfig/LinkLocalIPs",
    ),
    (&["health-interval"], Form::Time, "/Healthcheck/Interval"),
    (&["health-timeout"], Form::Time, "/Healthcheck/Timeout"),
    (
        &["health-start-period"],
        Form::Time,
        "/Healthcheck/StartPeriod",
    ),
    (&["health-retries"], Form::Number, "/Healthcheck/Retries"),
    (
        &["device-read-bps"],
        Form::Bandwidth,
        "/HostConfig/BlkioDeviceReadBps",
    ),
    (
        &["device-write-bps"],
        Form::Bandwidth,
        "/HostConfig/BlkioDeviceWriteBps",
    ),
    (
        &["device-read-iops"],
        Form::Operations,
        "/HostConfig/BlkioDeviceReadIOps",
    ),
    (
        &["device-write-iops"],
        Form::Operations,
        "/HostConfig/BlkioDeviceWriteIOps",
    ),
];

/// Puts one option into an order to make a container.
///
/// # Errors
/// When it is not known, or its value has another form.
pub(super) fn apply(order: &mut Value, key: &str, value: &str) -> Result<(), String> {
    match key {
        "entrypoint" => set(order, "/Entrypoint", json!([value])),
        "device" => push(order, "/HostConfig/Devices", values::device(value)),
        "mount" => {
            let mount = values::mount(value);
            let mount = mount
                .map_err(|why| format!("'DockerInfo.parameters' has '{key}={value}', but {why}"))?;
            push(order, "/HostConfig/Mounts", mount);
        }
        "health-cmd" => set(order, "/Healthcheck/Test", json!(["CMD-SHELL", value])),
        "no-healthcheck" => {
            if is_true(key, value)? {
                set(order, "/Healthcheck/Test", json!(["NONE"]));
            }
        }
        "env-file" | "label-file" => {
            return Err(format!(
                "'DockerInfo.parameters' has '{key}', which is not supported, as there is no \
                 'docker' program that reads the file: name what is in it as '{}'",
                key.trim_end_matches("-file")
            ));
        }
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
        _ => apply_composed(order, key, value)?,
    }
    Ok(())
}

/// Options whose values have several parts.
fn apply_composed(order: &mut Value, key: &str, value: &str) -> Result<(), String> {
    let expected = |text: &'static str| move || wrong(key, value, text);
    match key {
        "ulimit" => {
            let expected = expected("a limit such as 'nofile=1024:2048'");
            let ulimit = values::ulimit(value).ok_or_else(expected)?;
            push(order, "/HostConfig/Ulimits", ulimit);
        }
        "gpus" => {
            let expected = expected("'all', a count, or 'device=' and ids");
            let gpus = values::gpus(value).ok_or_else(expected)?;
            push(order, "/HostConfig/DeviceRequests", gpus);
        }
        "publish" | "p" => {
            let expected = expected("ports such as '8080:80/tcp' (ranges are not supported)");
            let (inside, binding) = values::published(value).ok_or_else(expected)?;
            put(order, "/ExposedPorts", &inside, json!({}));
            push_to(order, "/HostConfig/PortBindings", &inside, binding);
        }
        "expose" => {
            let expected = expected("a port such as '80/tcp' (ranges are not supported)");
            let port = values::port(value).ok_or_else(expected)?;
            put(order, "/ExposedPorts", &port, json!({}));
        }
        "blkio-weight-device" => {
            let weight = value.rsplit(':').next().and_then(|text| text.parse().ok());
            let weight = values::of_device(value, "Weight", weight);
            let weight = weight.ok_or_else(expected("a weight such as '/dev/sda:500'"))?;
            push(order, "/HostConfig/BlkioWeightDevice", weight);
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
        Form::Bool => set(order, place, json!(is_true(key, value)?)),
        Form::Needless => drop(is_true(key, value)?),
        Form::Number => {
            let number: Option<i64> = value.parse().ok();
            let number = number.ok_or_else(|| wrong(key, value, "a whole number"))?;
            set(order, place, json!(number));
        }
        Form::Bytes => {
            let bytes = values::bytes(value);
            let bytes = bytes.ok_or_else(|| wrong(key, value, "a size such as '64m'"))?;
            set(order, place, json!(bytes));
        }
        Form::Map => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            // By this one the agent finds its containers.
            if name != LABEL {
                put(order, place, name, json!(value));
            }
        }
        Form::Time => {
            let nanos = values::nanoseconds(value);
            let nanos = nanos.ok_or_else(|| wrong(key, value, "a time such as '30s'"))?;
            set(order, place, json!(nanos));
        }
        Form::Bandwidth => {
            let rate = value.rsplit(':').next().and_then(values::bytes);
            let rate = values::of_device(value, "Rate", rate);
            let rate = rate.ok_or_else(|| wrong(key, value, "such as '/dev/sda:1mb'"))?;
            push(order, place, rate);
        }
        Form::Operations => {
            let rate = value.rsplit(':').next().and_then(|text| text.parse().ok());
            let rate = values::of_device(value, "Rate", rate);
            let rate = rate.ok_or_else(|| wrong(key, value, "such as '/dev/sda:1000'"))?;
            push(order, place, rate);
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

/// One more of a map; of several with one name the last one counts.
fn put(order: &mut Value, place: &str, name: &str, value: Value) {
    if order.pointer(place).is_none() {
        set(order, place, Value::Object(Map::new()));
    }
    if let Some(map) = order.pointer_mut(place).and_then(Value::as_object_mut) {
        map.insert(name.to_owned(), value);
    }
}

/// One more of a list in a map.
fn push_to(order: &mut Value, place: &str, name: &str, value: Value) {
    let map = order.pointer_mut(place).and_then(Value::as_object_mut);
    let list = map.and_then(|map| map.get_mut(name)?.as_array_mut());
    match list {
        Some(list) => list.push(value),
        None => put(order, place, name, json!([value])),
    }
}

fn is_true(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(key, value, "'true' or 'false'")),
    }
}

/// Once all options are there: puts what they say of the container's place in its network where the
/// Engine looks for it.
pub(super) fn finish(order: &mut Value) {
    let name = ENDPOINT.trim_start_matches('/');
    let endpoint = order.as_object_mut().and_then(|order| order.remove(name));
    let network = order.pointer("/HostConfig/NetworkMode");
    let network = network
        .and_then(Value::as_str)
        .unwrap_or("bridge")
        .to_owned();
    if let Some(endpoint) = endpoint {
        put(
            order,
            "/NetworkingConfig/EndpointsConfig",
            &network,
            endpoint,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_where_the_engine_wants_them() {
        let mut order = json!({"Env": ["A=1"]});
        for (key, value) in [
            ("env", "B=2"),
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
            "Labels": {"a": "b=c"},
            "HostConfig": host,
            "Entrypoint": ["/bin/x"],
        });
        assert_eq!(order, all);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_by_name() {
        for (key, value, words) in [
            ("detach", "true", "'detach', which is not supported"),
            ("rm", "maybe", "expected 'true' or 'false'"),
            ("publish", "80-90:80-90", "ranges are not supported"),
            ("health-timeout", "5", "a time such as '30s'"),
            ("mount", "type=bind", "needs an absolute 'source'"),
            ("env-file", "/x", "name what is in it as 'env'"),
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
    fn the_last_one_of_a_name_counts_but_for_the_agents_own_label() {
        let mut order = json!({"Labels": {LABEL: "/work"}});
        let own = format!("{LABEL}=/other");
        for (key, value) in [
            ("label", "a=1"),
            ("l", "a=2"),
            ("label", own.as_str()),
            ("sysctl", "net.ipv4.ip_forward=0"),
            ("sysctl", "net.ipv4.ip_forward=1"),
            ("tmpfs", "/t:size=1m"),
            ("tmpfs", "/t:size=2m"),
        ] {
            apply(&mut order, key, value).unwrap();
        }
        assert_eq!(order["Labels"], json!({LABEL: "/work", "a": "2"}));
        let host = json!({
            "Sysctls": {"net.ipv4.ip_forward": "1"},
            "Tmpfs": {"/t": "size=2m"},
        });
        assert_eq!(order["HostConfig"], host);
    }

    #[test]
    fn networks_ports_checks_and_devices_have_their_places() {
        let mut order = json!({"HostConfig": {"NetworkMode": "bridge"}});
        for (key, value) in [
            ("publish", "8080:80"),
            ("p", "8081:80/tcp"),
            ("expose", "53/udp"),
            ("network-alias", "web"),
            ("ip", "10.0.0.9"),
            ("net", "own"),
            ("network-alias", "www"),
            ("health-cmd", "true"),
            ("health-interval", "1m"),
            ("health-retries", "3"),
            ("device-read-bps", "/dev/sda:1kb"),
            ("device-write-iops", "/dev/sda:7"),
            ("blkio-weight-device", "/dev/sda:500"),
            ("gpus", "all"),
            ("mount", "type=tmpfs,target=/t"),
            ("rm", "true"),
            ("interactive", "true"),
            ("tty", "true"),
        ] {
            apply(&mut order, key, value).unwrap();
        }
        finish(&mut order);
        let host = json!({
            "NetworkMode": "own",
            "PortBindings": {"80/tcp": [{"HostPort": "8080"}, {"HostPort": "8081"}]},
            "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1024}],
            "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 7}],
            "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 500}],
            "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}],
            "Mounts": [{"Type": "tmpfs", "Target": "/t"}],
        });
        let endpoint =
            json!({"Aliases": ["web", "www"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}});
        let check = json!({
            "Test": ["CMD-SHELL", "true"], "Interval": 60_000_000_000_i64, "Retries": 3,
        });
        let all = json!({
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "NetworkingConfig": {"EndpointsConfig": {"own": endpoint}},
            "Healthcheck": check,
            "Tty": true,
            "HostConfig": host,
        });
        assert_eq!(order, all);
        apply(&mut order, "no-healthcheck", "true").unwrap();
        assert_eq!(order["Healthcheck"]["Test"], json!(["NONE"]));
    }
}
