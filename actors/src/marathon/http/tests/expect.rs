//! Expectations as the cases in `testdata` write them, and whether an answer fulfils them.
//! Sends nothing.

use serde_json::Value;

use super::support::Reply;

/// What an answer does not fulfil.
pub fn check(expect: &Value, reply: &Reply) -> Vec<String> {
    let mut wrong = Vec::new();
    for (kind, wanted) in expect.as_object().expect("an object") {
        check_one(kind, wanted, reply, &mut wrong);
    }
    wrong
}

fn check_one(kind: &str, wanted: &Value, reply: &Reply, wrong: &mut Vec<String>) {
    let mut require = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!(
                "{kind}: {what}; got {} {}",
                reply.status,
                reply.text()
            ));
        }
    };
    let text = reply.text();
    match kind {
        "status" => require(wanted == reply.status, wanted.to_string()),
        "json_equals" => require(*wanted == reply.json(), wanted.to_string()),
        "body_contains" => {
            // Inside of JSON texts quotes are escaped.
            let wanted = string(wanted);
            let escaped = Value::from(wanted).to_string();
            let escaped = &escaped[1..escaped.len() - 1];
            require(
                text.contains(wanted) || text.contains(escaped),
                wanted.to_owned(),
            );
        }
        "body_equals" => require(text == string(wanted), wanted.to_string()),
        "body_empty" => require(text.is_empty(), "an empty body".to_owned()),
        "headers_present" => each(wanted, |name| {
            let name = string(name);
            require(!reply.header(name).is_empty(), name.to_owned());
        }),
        "headers_match" => pairs(wanted, |name, pattern| {
            let value = reply.header(name);
            require(
                matches(string(pattern), value),
                format!("{name}: {pattern}, {value}"),
            );
        }),
        "details_include" => each(wanted, |detail| {
            let (path, error) = (&detail["path"], string(&detail["error"]));
            let json = reply.json();
            let found = find(&json, "$.details[*]").into_iter().any(|detail| {
                let errors = find(detail, "$.errors[*]");
                detail["path"] == *path && errors.iter().any(|it| string(it).contains(error))
            });
            require(found, detail.to_string());
        }),
        "details_paths" => each(wanted, |path| {
            let json = reply.json();
            require(
                find(&json, "$.details[*].path").contains(&path),
                path.to_string(),
            );
        }),
        // What belongs to streams and to whoever sends is looked at elsewhere.
        "stream" | "first_event" | "follow_redirects" | "then" => {}
        _ => check_json(kind, wanted, &reply.json(), &mut require),
    }
}

fn check_json(kind: &str, wanted: &Value, json: &Value, require: &mut dyn FnMut(bool, String)) {
    let all = |path: &str| find(json, path);
    match kind {
        "json_paths" => pairs(wanted, |path, value| {
            require(all(path) == [value], format!("{path} is {value}"));
        }),
        "json_absent" => each(wanted, |path| {
            require(all(string(path)).is_empty(), path.to_string());
        }),
        "json_present" => each(wanted, |path| {
            require(!all(string(path)).is_empty(), path.to_string());
        }),
        "json_any" => pairs(wanted, |path, value| {
            require(all(path).contains(&value), format!("{path} is {value}"));
        }),
        "json_length" => pairs(wanted, |path, length| {
            let found = all(path);
            let is = found
                .first()
                .and_then(|found| Some(found.as_array()?.len()));
            require(
                is.is_some_and(|is| *length == is),
                format!("{path}: {length}"),
            );
        }),
        "json_types" => pairs(wanted, |path, kind| {
            let found = all(path);
            let kind_of = |value: &Value| match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let is = found.first().map(|found| kind_of(found));
            require(is == Some(string(kind)), format!("{path}: {kind}"));
        }),
        "json_range" => pairs(wanted, |path, range| {
            let found = all(path).first().and_then(|found| found.as_f64());
            let (from, to) = (range[0].as_f64(), range[1].as_f64());
            let is_in = found.is_some() && found >= from && found <= to;
            require(is_in, format!("{path}: {range}"));
        }),
        "json_not_equal" => pairs(wanted, |path, value| {
            require(
                all(path).iter().all(|it| *it != value),
                format!("{path}: not {value}"),
            );
        }),
        other => panic!("nobody knows what {other} means"),
    }
}

fn each<'a>(list: &'a Value, f: impl FnMut(&'a Value)) {
    list.as_array().expect("a list").iter().for_each(f);
}

fn pairs<'a>(map: &'a Value, mut f: impl FnMut(&'a str, &'a Value)) {
    for (key, value) in map.as_object().expect("an object") {
        f(key, value);
    }
}

/// The text of a JSON string.
pub fn string(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// The values a path leads to: `$`, then `.name`, `["name"]`, `[n]` and `[*]`.
pub fn find<'a>(root: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![root];
    let mut rest = path.strip_prefix('$').expect("a path begins with $");
    while !rest.is_empty() {
        let (key, after) = if let Some(named) = rest.strip_prefix("[\"") {
            named.split_once("\"]").expect("a name ends")
        } else if let Some(index) = rest.strip_prefix('[') {
            let (index, after) = index.split_once(']').expect("an index ends");
            found = match index {
                "*" => found
                    .iter()
                    .filter_map(|it| it.as_array())
                    .flatten()
                    .collect(),
                index => {
                    let index: usize = index.parse().expect("an index");
                    found.iter().filter_map(|it| it.get(index)).collect()
                }
            };
            rest = after;
            continue;
        } else {
            let named = rest.strip_prefix('.').expect("a dot");
            named.split_at(named.find(['.', '[']).unwrap_or(named.len()))
        };
        found = found.iter().filter_map(|it| it.get(key)).collect();
        rest = after;
    }
    found
}

/// Whether a whole text matches a pattern of characters, `.` and `[0-9]`, each with `?`, `*` or `+`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let atom = if pattern.starts_with("[0-9]") {
        5
    } else {
        first.len_utf8()
    };
    let (atom, rest) = pattern.split_at(atom);
    let fits = |c: char| match atom {
        "." => true,
        "[0-9]" => c.is_ascii_digit(),
        literal => literal.starts_with(c),
    };
    let (least, most, rest) = match rest.chars().next() {
        Some('?') => (0, 1, &rest[1..]),
        Some('*') => (0, usize::MAX, &rest[1..]),
        Some('+') => (1, usize::MAX, &rest[1..]),
        _ => (1, 1, rest),
    };
    let mut places = vec![0];
    places.extend(
        text.char_indices()
            .take_while(|(_, c)| fits(*c))
            .map(|(at, c)| at + c.len_utf8()),
    );
    let taken = places.iter().enumerate().skip(least);
    taken
        .take_while(|(count, _)| *count <= most)
        .any(|(_, at)| matches(rest, &text[*at..]))
}

#[test]
fn patterns_match_whole_texts() {
    for (pattern, text, holds) in [
        ("https?://.+:[0-9]+", "http://a:80", true),
        ("https?://.+:[0-9]+", "https://a:8a", false),
        (".*/ui/", "/ui/", true),
        (".*/ui/", "/ui/x", false),
        ("text/plain.*", "text/plain;charset=utf-8", true),
        ("0", "00", false),
    ] {
        assert_eq!(matches(pattern, text), holds, "{pattern} {text}");
    }
    let json = serde_json::json!({"a": [{"b": 1}, {"b": 2}], "*": [3]});
    assert_eq!(find(&json, "$.a[*].b"), [&1, &2]);
    assert_eq!(find(&json, "$[\"*\"][0]"), [&3]);
    assert!(find(&json, "$.a[2].b").is_empty());
}
