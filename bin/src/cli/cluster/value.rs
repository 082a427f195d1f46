//! Reads members of a master's answers as people want to see them.
//! A member that is missing or of another kind says nothing; it is never an error.

use serde_json::Value;

use super::super::table::{NOTHING, amount, duration};

/// The text at a pointer, as `/agent_info/id/value`; empty when there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The number at a pointer.
pub(super) fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

/// Whether the value at a pointer is true.
pub(super) fn is_set(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer) == Some(&Value::Bool(true))
}

/// The list at a pointer; empty when there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// How many of a resource there are, over all roles.
pub(super) fn scalar(resources: &[Value], name: &str) -> f64 {
    let named = resources.iter().filter(|it| it["name"] == name);
    let amounts = named.filter_map(|it| number(it, "/scalar/value"));
    // The sum of nothing would be a negative zero.
    amounts.fold(0.0, |sum, amount| sum + amount)
}

/// How much of a resource is used, and how much there is.
pub(super) fn share(used: &[Value], total: &[Value], name: &str) -> String {
    format!(
        "{}/{}",
        amount(scalar(used, name)),
        amount(scalar(total, name))
    )
}

/// Resources as flags have them, with their roles where they are reserved.
pub(super) fn resources(resources: &[Value]) -> String {
    let written: Vec<String> = resources.iter().map(resource).collect();
    written.join("; ")
}

fn resource(value: &Value) -> String {
    let name = text(value, "/name");
    let reserved = list(value, "/reservations").last();
    let role = match reserved {
        Some(reservation) => text(reservation, "/role"),
        None => text(value, "/role"),
    };
    let role = match role {
        "" | "*" => String::new(),
        role => format!("({role})"),
    };
    format!("{name}{role}:{}", amount_of(value))
}

fn amount_of(value: &Value) -> String {
    if let Some(scalar) = number(value, "/scalar/value") {
        return amount(scalar);
    }
    if let Some(text) = value.pointer("/text/value").and_then(Value::as_str) {
        return text.to_owned();
    }
    let ranges = list(value, "/ranges/range").iter().map(|range| {
        let (begin, end) = (&range["begin"], &range["end"]);
        format!("{begin}-{end}")
    });
    let items = list(value, "/set/item").iter().filter_map(Value::as_str);
    match value.get("ranges") {
        Some(_) => format!("[{}]", ranges.collect::<Vec<_>>().join(", ")),
        None => format!("{{{}}}", items.collect::<Vec<_>>().join(", ")),
    }
}

/// Attributes, which are written as resources are.
pub(super) fn attributes(attributes: &[Value]) -> String {
    resources(attributes)
}

/// Amounts by name, as quota has them: `{"cpus": {"value": 2}}`.
pub(super) fn amounts(value: &Value) -> String {
    let all = value.as_object().into_iter().flatten();
    let written: Vec<String> = all
        .filter_map(|(name, it)| Some(format!("{name}:{}", amount(it["value"].as_f64()?))))
        .collect();
    match written.as_slice() {
        [] => NOTHING.to_owned(),
        written => written.join("; "),
    }
}

/// How long ago a time was, `now` being milliseconds since the epoch.
pub(super) fn ago(value: &Value, pointer: &str, now: i64) -> String {
    let then = value.pointer(&format!("{pointer}/nanoseconds"));
    match then.and_then(Value::as_i64) {
        Some(nanoseconds) if nanoseconds > 0 => age_ms(nanoseconds / 1_000_000, now),
        _ => NOTHING.to_owned(),
    }
}

/// How long ago so many milliseconds since the epoch were.
pub(super) fn age_ms(then_ms: i64, now: i64) -> String {
    duration(now.saturating_sub(then_ms).max(0) / 1000)
}

/// Names in a list of objects, joined.
pub(super) fn joined(values: &[Value], pointer: &str) -> String {
    let names: Vec<&str> = values.iter().map(|value| text(value, pointer)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_written_as_flags_have_them() {
        let all = json!([{"name": "cpus", "scalar": {"value": 1.5}, "role": "*"},
            {"name": "cpus", "scalar": {"value": 2.0}, "reservations": [{"role": "a"}, {"role": "a/b"}]},
            {"name": "ports", "ranges": {"range": [{"begin": 1, "end": 2}, {"begin": 4, "end": 4}]}},
            {"name": "disks", "set": {"item": ["x", "y"]}}, {"name": "rack", "text": {"value": "r1"}}]);
        let all = all.as_array().expect("a list");
        assert_eq!(
            resources(all),
            "cpus:1.5; cpus(a/b):2; ports:[1-2, 4-4]; disks:{x, y}; rack:r1"
        );
        assert_eq!(share(&all[..1], all, "cpus"), "1.5/3.5");
        assert_eq!(share(&[], all, "mem"), "0/0");
        assert_eq!(
            amounts(&json!({"cpus": {"value": 2.0}, "mem": {"value": 0.5}})),
            "cpus:2; mem:0.5"
        );
        assert_eq!(amounts(&Value::Null), "-");
    }

    #[test]
    fn what_is_missing_says_nothing() {
        let value = json!({"a": {"b": 5, "t": {"nanoseconds": 1_000_000_000_i64}}});
        assert_eq!((text(&value, "/a/b"), text(&value, "/x")), ("", ""));
        assert_eq!(
            (number(&value, "/a/b"), is_set(&value, "/a/b")),
            (Some(5.0), false)
        );
        assert!(list(&value, "/a").is_empty());
        assert_eq!(ago(&value, "/a/t", 61_000), "60s");
        assert_eq!(ago(&value, "/a/x", 61_000), "-");
    }
}
