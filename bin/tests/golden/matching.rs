//! Compares an answer with a recorded one, placeholders and all.
//! Sends nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

/// What placeholders stand for so far.
pub type Bindings = BTreeMap<String, String>;

/// Kinds of placeholder that are different every time they appear.
const VOLATILE: &[&str] = &["ANY", "TIME", "NUMBER", "DATE", "PATH", "HOSTNAME"];

/// Keys whose presence in `container_status` depends on the moment it was asked for.
const MOMENTARY: &[&str] = &["network_infos", "executor_pid"];

/// Checks `actual` against `expected` and binds placeholders.
pub fn check(
    expected: &Value,
    actual: &Value,
    bindings: &mut Bindings,
    path: &str,
) -> Result<(), String> {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(found)) => {
            for key in wanted.keys().chain(found.keys()) {
                if MOMENTARY.contains(&key.as_str()) {
                    continue;
                }
                let here = format!("{path}.{key}");
                match (wanted.get(key), found.get(key)) {
                    (Some(wanted), Some(found)) if key == "resources" => {
                        check_unordered(wanted, found, bindings, &here)?;
                    }
                    (Some(wanted), Some(found)) => check(wanted, found, bindings, &here)?,
                    (Some(wanted), None) => return Err(format!("{here}: missing, not {wanted}")),
                    (None, Some(found)) => return Err(format!("{here}: {found} is too much")),
                    (None, None) => {}
                }
            }
            Ok(())
        }
        (Value::Array(wanted), Value::Array(found)) => {
            if wanted.len() != found.len() {
                return Err(format!(
                    "{path}: {} entries, not {}",
                    found.len(),
                    wanted.len()
                ));
            }
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                check(wanted, found, bindings, &format!("{path}[{index}]"))?;
            }
            Ok(())
        }
        (Value::String(wanted), found) => {
            let found = found
                .as_str()
                .map_or_else(|| found.to_string(), str::to_owned);
            check_text(wanted, &found, bindings).map_err(|why| format!("{path}: {why}"))
        }
        (Value::Number(wanted), Value::Number(found)) if wanted.as_f64() == found.as_f64() => {
            Ok(())
        }
        (wanted, found) if wanted == found => Ok(()),
        (wanted, found) => Err(format!("{path}: {found}, not {wanted}")),
    }
}

/// Checks that all that was picked from an answer is somewhere in it: objects with these members,
/// whatever others they have.
pub fn check_picked(picked: &Value, actual: &Value, bindings: &mut Bindings) -> Result<(), String> {
    for wanted in picked.as_array().map_or(&[][..], Vec::as_slice) {
        let found = objects(actual).into_iter().find_map(|candidate| {
            let members = wanted.as_object()?.keys();
            let same: Value = members
                .map(|key| Some((key.clone(), candidate.get(key)?.clone())))
                .collect::<Option<serde_json::Map<_, _>>>()?
                .into();
            let mut trial = bindings.clone();
            check(wanted, &same, &mut trial, "picked").ok()?;
            Some(trial)
        });
        *bindings = found.ok_or_else(|| format!("{wanted} is not in {actual}"))?;
    }
    Ok(())
}

/// All objects in a value, the outermost first.
fn objects(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => std::iter::once(value)
            .chain(map.values().flat_map(objects))
            .collect(),
        Value::Array(items) => items.iter().flat_map(objects).collect(),
        _ => Vec::new(),
    }
}

/// Checks arrays whose order says nothing.
fn check_unordered(
    expected: &Value,
    actual: &Value,
    bindings: &mut Bindings,
    path: &str,
) -> Result<(), String> {
    let (Some(wanted), Some(found)) = (expected.as_array(), actual.as_array()) else {
        return check(expected, actual, bindings, path);
    };
    if wanted.len() != found.len() {
        return Err(format!("{path}: {actual}, not {expected}"));
    }
    let mut left: Vec<&Value> = found.iter().collect();
    for entry in wanted {
        let position = left.iter().position(|candidate| {
            let mut trial = bindings.clone();
            check(entry, candidate, &mut trial, path).is_ok()
        });
        let position = position.ok_or_else(|| format!("{path}: {entry} is not in {actual}"))?;
        check(entry, left.remove(position), bindings, path)?;
    }
    Ok(())
}

/// Members whose names depend on the program or its state, and say nothing of the shape.
const FREE_NAMES: &[&str] = &["flags"];

/// Members that only we have: our version, and what Mesos counts in control groups only.
const OURS: &[&str] = &["tepui_version", "processes", "threads"];

/// The name of the function and the value of an answer that is a script's call.
pub fn called(text: &str) -> Option<(&str, Value)> {
    let (name, value) = text.strip_suffix(')')?.split_once('(')?;
    Some((name, serde_json::from_str(value).ok()?))
}

/// Checks that `actual` has the keys and types of `expected`, whatever it says. Each entry of an
/// array has the shape of one that was recorded there.
pub fn check_shape(expected: &Value, actual: &Value, path: &str) -> Result<(), String> {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(found)) => {
            for key in wanted.keys().chain(found.keys()) {
                let here = format!("{path}.{key}");
                match (wanted.get(key), found.get(key)) {
                    _ if MOMENTARY.contains(&key.as_str()) => {}
                    (None, Some(_)) if OURS.contains(&key.as_str()) => {}
                    (Some(wanted), Some(found))
                        if wanted.is_object() && FREE_NAMES.contains(&key.as_str()) =>
                    {
                        if found.as_object().is_none_or(|object| object.is_empty()) {
                            return Err(format!("{here}: {found} names nothing"));
                        }
                    }
                    (Some(wanted), Some(found)) => check_shape(wanted, found, &here)?,
                    (Some(wanted), None) => return Err(format!("{here}: missing, not {wanted}")),
                    (None, Some(found)) => return Err(format!("{here}: {found} is too much")),
                    (None, None) => {}
                }
            }
            Ok(())
        }
        (Value::Array(wanted), Value::Array(found)) => {
            if found.is_empty() && !wanted.is_empty() {
                return Err(format!("{path}: empty, not {actual}"));
            }
            for (index, entry) in found.iter().enumerate() {
                let here = format!("{path}[{index}]");
                let results = wanted
                    .iter()
                    .map(|wanted| check_shape(wanted, entry, &here));
                let fits = |result: &Result<(), String>| result.is_ok();
                if !results.clone().any(|result| fits(&result)) {
                    // The one at the same place says best what is wrong.
                    let nearest = wanted.get(index).or(wanted.last());
                    let nearest = nearest.ok_or_else(|| format!("{here}: {entry} is too much"))?;
                    check_shape(nearest, entry, &here)?;
                }
            }
            Ok(())
        }
        // A placeholder may stand for a number.
        (Value::String(wanted), Value::Number(_)) if next_placeholder(wanted).is_some() => Ok(()),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => Ok(()),
        (wanted, found) => Err(format!("{path}: {found}, not {wanted}")),
    }
}

/// Checks a text in which placeholders may stand anywhere.
pub fn check_text(expected: &str, actual: &str, bindings: &mut Bindings) -> Result<(), String> {
    let differs = || format!("{actual:?}, not {expected:?}");
    let mut rest = actual;
    let mut pattern = expected;
    while let Some((before, name, after)) = next_placeholder(pattern) {
        rest = rest.strip_prefix(before).ok_or_else(differs)?;
        let next_literal = next_placeholder(after).map_or(after, |(literal, _, _)| literal);
        let end = if next_literal.is_empty() {
            rest.len()
        } else {
            rest.find(next_literal).ok_or_else(differs)?
        };
        let (value, remaining) = rest.split_at(end);
        bind(name, value, bindings)?;
        rest = remaining;
        pattern = after;
    }
    if rest == pattern {
        Ok(())
    } else {
        Err(differs())
    }
}

fn bind(name: &str, value: &str, bindings: &mut Bindings) -> Result<(), String> {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    if VOLATILE.contains(&kind) {
        return Ok(());
    }
    match bindings.get(name) {
        Some(known) if known == value => Ok(()),
        Some(known) => Err(format!(
            "<{name}> is {value:?} here and was {known:?} before"
        )),
        None => {
            bindings.insert(name.to_owned(), value.to_owned());
            Ok(())
        }
    }
}

/// Splits a text at its first placeholder: what is before, its name, what is after.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(start) = text[from..].find('<').map(|at| at + from) {
        let after = &text[start + 1..];
        let length = after
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'))
            .unwrap_or(after.len());
        if length > 0 && after[length..].starts_with('>') {
            return Some((&text[..start], &after[..length], &after[length + 1..]));
        }
        from = start + 1;
    }
    None
}

/// Replaces bound placeholders in a request.
pub fn fill(value: &Value, bindings: &Bindings) -> Value {
    match value {
        Value::String(text) => Value::String(fill_text(text, bindings)),
        Value::Array(items) => items.iter().map(|item| fill(item, bindings)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (key.clone(), fill(item, bindings)))
            .collect(),
        other => other.clone(),
    }
}

/// Replaces bound placeholders in a text.
pub fn fill_text(text: &str, bindings: &Bindings) -> String {
    let mut filled = text.to_owned();
    for (name, value) in bindings {
        filled = filled.replace(&format!("<{name}>"), value);
    }
    filled
}

/// Names of placeholders in a request that stand for nothing yet.
pub fn unbound(value: &Value, bindings: &Bindings) -> Vec<String> {
    let text = value.to_string();
    let mut names = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, name, after)) = next_placeholder(rest) {
        if !bindings.contains_key(name) {
            names.push(name.to_owned());
        }
        rest = after;
    }
    names
}

/// Writes the ports of the recorded cluster in place of ours.
pub fn recorded_ports(value: Value, ports: &[(SocketAddr, u16)]) -> Value {
    match value {
        Value::Number(number) => {
            let known = ports
                .iter()
                .find(|(ours, _)| number.as_u64() == Some(ours.port().into()));
            known.map_or(Value::Number(number), |(_, recorded)| {
                Value::from(*recorded)
            })
        }
        Value::String(mut text) => {
            for (ours, recorded) in ports {
                text = text.replace(&ours.to_string(), &format!("127.0.0.1:{recorded}"));
            }
            Value::String(text)
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| recorded_ports(item, ports))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, item)| (key, recorded_ports(item, ports)))
            .collect(),
        other => other,
    }
}
