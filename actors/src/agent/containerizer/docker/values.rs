//! Values of options of `docker run` that are more than a word or a number, as the Engine's API wants
//! them. Knows no order: `parameters` says where they go.

use std::net::IpAddr;

use serde_json::{Value, json};

/// `name=soft[:hard]`
pub(super) fn ulimit(value: &str) -> Option<Value> {
    let (name, limits) = value.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let read = |text: &str| text.parse::<i64>().ok();
    Some(json!({"Name": name, "Soft": read(soft)?, "Hard": read(hard)?}))
}

/// `host[:container[:permissions]]`
pub(super) fn device(value: &str) -> Value {
    let mut parts = value.splitn(3, ':');
    let host = parts.next().unwrap_or_default();
    json!({
        "PathOnHost": host,
        "PathInContainer": parts.next().unwrap_or(host),
        "CgroupPermissions": parts.next().unwrap_or("rwm"),
    })
}

/// A number of bytes, with a unit as `docker run` takes it; -1 stands for no limit.
pub(super) fn bytes(text: &str) -> Option<i64> {
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

/// A time as Go writes it, such as `1m30s`, in nanoseconds.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0.0_f64);
    if text == "0" {
        return Some(0);
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = match unit {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    // Saturates: a float that is out of range becomes the nearest integer.
    (!text.is_empty()).then_some(sum as i64)
}

/// `port[/protocol]`, as the Engine writes it.
pub(super) fn port(text: &str) -> Option<String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let protocol = protocol.to_ascii_lowercase();
    let is_known = ["tcp", "udp", "sctp"].contains(&protocol.as_str());
    is_known.then(|| format!("{port}/{protocol}"))
}

/// `[[address:]host:]container[/protocol]`: the port inside, and where it is found from outside.
pub(super) fn published(text: &str) -> Option<(String, Value)> {
    let Some((outside, inside)) = text.rsplit_once(':') else {
        return Some((port(text)?, json!({"HostPort": ""})));
    };
    let (address, host) = outside.rsplit_once(':').unwrap_or(("", outside));
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let is_address = bare.is_empty() || bare.parse::<IpAddr>().is_ok();
    // The Engine chooses one where the host's is left out.
    if !is_address || !(host.is_empty() || is_port(host)) {
        return None;
    }
    let mut binding = json!({"HostPort": host});
    if !bare.is_empty() {
        binding["HostIp"] = json!(bare);
    }
    Some((port(inside)?, binding))
}

/// `path:number`: what is said of one device, where `name` is the number's.
pub(super) fn of_device(text: &str, name: &str, number: Option<i64>) -> Option<Value> {
    let (path, _) = text.rsplit_once(':')?;
    let number = number.filter(|number| *number >= 0)?;
    path.starts_with('/')
        .then(|| json!({"Path": path, name: number}))
}

/// `all`, a count, or `device=ID[,ID]`: graphics processors.
pub(super) fn gpus(text: &str) -> Option<Value> {
    let capabilities = json!([["gpu"]]);
    let text = text.trim_matches('"');
    if let Some(ids) = text.strip_prefix("device=") {
        let ids: Vec<&str> = ids.split(',').collect();
        let are_names = ids.iter().all(|id| !id.is_empty() && !id.contains('='));
        return are_names.then(|| json!({"DeviceIDs": ids, "Capabilities": capabilities}));
    }
    let count = match text {
        "all" => -1,
        count => count.parse::<i64>().ok().filter(|count| *count > 0)?,
    };
    Some(json!({"Count": count, "Capabilities": capabilities}))
}

/// `type=bind,source=...,target=...[,...]`
///
/// # Errors
/// What of it is not understood.
pub(super) fn mount(text: &str) -> Result<Value, String> {
    let mut mount = json!({"Type": "volume"});
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        let is_set = match value {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        let wrong = || Err(format!("'{field}' in it is not understood"));
        match (key, is_set) {
            ("type", _) if ["bind", "volume", "tmpfs"].contains(&value) => {
                mount["Type"] = json!(value);
            }
            ("source" | "src", _) => mount["Source"] = json!(value),
            ("target" | "destination" | "dst", _) => mount["Target"] = json!(value),
            ("readonly" | "ro", Some(is_set)) => mount["ReadOnly"] = json!(is_set),
            ("bind-propagation", _) => mount["BindOptions"] = json!({"Propagation": value}),
            ("volume-nocopy", Some(is_set)) => mount["VolumeOptions"] = json!({"NoCopy": is_set}),
            ("tmpfs-size", _) => match bytes(value) {
                Some(bytes) => mount["TmpfsOptions"]["SizeBytes"] = json!(bytes),
                None => return wrong(),
            },
            ("tmpfs-mode", _) => match u32::from_str_radix(value, 8) {
                Ok(mode) => mount["TmpfsOptions"]["Mode"] = json!(mode),
                Err(_) => return wrong(),
            },
            _ => return wrong(),
        }
    }
    let source = mount.get("Source").and_then(Value::as_str);
    let is_bind = mount.get("Type").and_then(Value::as_str) == Some("bind");
    if is_bind && !source.is_some_and(|source| source.starts_with('/')) {
        return Err("a mount of type 'bind' needs an absolute 'source'".to_owned());
    }
    match mount.get("Target") {
        Some(_) => Ok(mount),
        None => Err("it needs a 'target'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("4"), Some(4));
        assert_eq!(bytes("4K"), Some(4096));
        assert_eq!(bytes("1gb"), Some(1 << 30));
        assert_eq!(bytes("9999999999g"), None);
    }

    #[test]
    fn times_are_written_as_in_go() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("30s", Some(30_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5ms", Some(1_500_000)),
            ("2h", Some(7_200_000_000_000)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1 s", None),
        ] {
            assert_eq!(nanoseconds(text), nanos, "{text:?}");
        }
    }

    #[test]
    fn ports_are_published_in_many_ways() {
        let at = |host: &str| json!({"HostPort": host});
        let on = |ip: &str, host: &str| json!({"HostIp": ip, "HostPort": host});
        for (text, inside, binding) in [
            ("80", "80/tcp", at("")),
            ("8080:80", "80/tcp", at("8080")),
            ("53:53/UDP", "53/udp", at("53")),
            ("127.0.0.1:8080:80", "80/tcp", on("127.0.0.1", "8080")),
            ("127.0.0.1::80", "80/tcp", on("127.0.0.1", "")),
            ("[::1]:8080:80", "80/tcp", on("::1", "8080")),
        ] {
            let expected = Some((inside.to_owned(), binding));
            assert_eq!(published(text), expected, "{text}");
        }
        for text in [
            "",
            "0",
            "80-90:80-90",
            "x:80",
            "1:2:3",
            "80/icmp",
            "70000:80",
            ":",
        ] {
            assert_eq!(published(text), None, "{text:?}");
        }
    }

    #[test]
    fn mounts_have_fields() {
        let bind = json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true});
        assert_eq!(mount("type=bind,src=/a,dst=/b,readonly"), Ok(bind));
        let volume = json!({"Type": "volume", "Source": "v", "Target": "/b", "ReadOnly": false});
        assert_eq!(mount("source=v,target=/b,ro=false"), Ok(volume));
        let options = json!({"SizeBytes": 1 << 20, "Mode": 0o1777});
        let tmpfs = json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": options});
        let text = "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1777";
        assert_eq!(mount(text), Ok(tmpfs));
        for (text, words) in [
            ("type=npipe,source=a,target=/b", "'type=npipe'"),
            ("type=bind,source=a,target=/b", "absolute 'source'"),
            ("type=bind,target=/b", "absolute 'source'"),
            ("type=volume,source=v", "needs a 'target'"),
            // By them a volume shows what it likes of the host.
            (
                "target=/b,volume-opt=device=/etc",
                "'volume-opt=device=/etc'",
            ),
            ("target=/b,ro=maybe", "'ro=maybe'"),
            ("type=tmpfs,target=/b,tmpfs-mode=9", "'tmpfs-mode=9'"),
        ] {
            let why = mount(text).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn devices_have_figures() {
        let rate = json!({"Path": "/dev/sda", "Rate": 1 << 20});
        let read = |text: &str| of_device(text, "Rate", text.rsplit(':').next().and_then(bytes));
        assert_eq!(read("/dev/sda:1mb"), Some(rate));
        for text in ["/dev/sda", "sda:1mb", "/dev/sda:-1", "/dev/sda:x", ""] {
            assert_eq!(read(text), None, "{text:?}");
        }
        let gpu = json!([["gpu"]]);
        let all = json!({"Count": -1, "Capabilities": gpu});
        assert_eq!(gpus("all"), Some(all));
        assert_eq!(gpus("2"), Some(json!({"Count": 2, "Capabilities": gpu})));
        let two = json!({"DeviceIDs": ["0", "GPU-1"], "Capabilities": gpu});
        assert_eq!(gpus("\"device=0,GPU-1\""), Some(two));
        for text in ["", "0", "none", "device=", "device=0,capabilities=utility"] {
            assert_eq!(gpus(text), None, "{text:?}");
        }
    }
}
