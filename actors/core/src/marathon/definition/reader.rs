//! Typed access to a JSON value with Marathon's error keys, every mistake noted at its path.
//! Knows no member of an app.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::rejection::{Detail, Findings, Rejection};

/// A missing member shows the object it is missing from, up to so many bytes.
const MAX_SHOWN_BYTES: usize = 4096;

/// Where the mistakes of one body are noted.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(RefCell<Findings>);

impl Mistakes {
    fn add(&self, path: &str, error: &str) {
        self.0.borrow_mut().add(path, error);
    }

    fn into_details(self) -> Vec<Detail> {
        self.0.into_inner().into_details()
    }
}

/// A value and the path to it.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    value: &'a Value,
    path: String,
    mistakes: &'a Mistakes,
}

/// Reads a body with `read`; any mistake makes it Marathon's "Invalid JSON".
pub(crate) fn read_body<T>(
    body: &Value,
    read: impl FnOnce(&At) -> Option<T>,
) -> Result<T, Rejection> {
    let mistakes = Mistakes::default();
    let result = read(&At {
        value: body,
        path: String::new(),
        mistakes: &mistakes,
    });
    let details = mistakes.into_details();
    match result {
        Some(result) if details.is_empty() => Ok(result),
        _ => Err(Rejection::invalid_json(details)),
    }
}

impl<'a> At<'a> {
    /// The value itself.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// Notes a mistake here.
    pub fn wrong<T>(&self, error: &str) -> Option<T> {
        self.mistakes.add(&self.path, error);
        None
    }

    fn at(&self, value: &'a Value, path: String) -> At<'a> {
        At {
            value,
            path,
            mistakes: self.mistakes,
        }
    }

    /// The members, if this is an object.
    pub fn object(&self) -> Option<&'a Map<String, Value>> {
        match self.value {
            Value::Object(members) => Some(members),
            _ => self.wrong("error.expected.jsobject"),
        }
    }

    /// A member; none where it is absent or null.
    pub fn member(&self, name: &str) -> Option<At<'a>> {
        let value = self.value.as_object()?.get(name)?;
        (!value.is_null()).then(|| self.at(value, format!("{}/{name}", self.path)))
    }

    /// A member that may be absent, read with `read`.
    pub fn maybe<T>(&self, name: &str, read: impl FnOnce(&At<'a>) -> Option<T>) -> Option<T> {
        self.member(name).and_then(|member| read(&member))
    }

    /// A member that must be there.
    pub fn required<T>(&self, name: &str, read: impl FnOnce(&At<'a>) -> Option<T>) -> Option<T> {
        let path = format!("{}/{name}", self.path);
        match self.value.as_object().and_then(|object| object.get(name)) {
            Some(value) => read(&self.at(value, path)),
            None => {
                let shown = shorten(self.value.to_string());
                let text = format!("'{name}' is undefined on object: {shown}");
                self.mistakes.add(&path, &text);
                None
            }
        }
    }

    /// A text.
    pub fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            _ => self.wrong("error.expected.jsstring"),
        }
    }

    /// A text of at least `min` characters.
    pub fn text_from(&self, min: usize) -> Option<String> {
        self.text_between(min, usize::MAX)
    }

    /// A text of `min` to `max` characters.
    pub fn text_between(&self, min: usize, max: usize) -> Option<String> {
        let text = self.text()?;
        let length = text.chars().count();
        if length < min {
            return self.wrong("error.minLength");
        }
        if length > max {
            return self.wrong("error.maxLength");
        }
        Some(text)
    }

    /// A text of `min` to `max` characters that `matches`.
    pub fn pattern(
        &self,
        (min, max): (usize, usize),
        matches: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        let text = self.text_between(min, max)?;
        if !matches(&text) {
            return self.wrong("error.pattern");
        }
        Some(text)
    }

    /// A truth value.
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.wrong("error.expected.jsboolean"),
        }
    }

    /// A number from `min` to `max`.
    pub fn number(&self, min: f64, max: f64) -> Option<f64> {
        let Some(number) = self.value.as_f64().filter(|number| number.is_finite()) else {
            return self.wrong("error.expected.jsnumber");
        };
        if number < min {
            return self.wrong("error.min");
        }
        if number > max {
            return self.wrong("error.max");
        }
        // Negative zero would be written with its sign.
        Some(if number == 0.0 { 0.0 } else { number })
    }

    /// A whole number from `min` to `max`, at most 32 bits wide as in Marathon.
    pub fn int(&self, min: i64, max: i64) -> Option<i64> {
        if !self.value.is_number() {
            return self.wrong("error.expected.jsnumber");
        }
        let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= 4e9).then_some(number);
        let number = match self.value.as_i64() {
            Some(number) => Some(number),
            None => self.value.as_f64().and_then(whole).map(|n| n as i64),
        };
        let Some(number) = number.filter(|number| i32::try_from(*number).is_ok()) else {
            return self.wrong("error.expected.int");
        };
        if number < min {
            return self.wrong("error.min");
        }
        if number > max {
            return self.wrong("error.max");
        }
        Some(number)
    }

    /// A whole number that is not negative.
    pub fn count(&self) -> Option<i64> {
        self.int(0, i64::from(i32::MAX))
    }

    /// A port, 0 included.
    pub fn port(&self) -> Option<u16> {
        let port = self.int(0, i64::from(u16::MAX))?;
        u16::try_from(port).ok()
    }

    /// A list, each entry read with `read`.
    pub fn list<T>(&self, read: impl Fn(&At<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(entries) = self.value else {
            return self.wrong("error.expected.jsarray");
        };
        let entries = entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| read(&self.at(entry, format!("{}({index})", self.path))));
        Some(entries.collect())
    }

    /// A list without its repetitions.
    pub fn set<T: PartialEq>(&self, read: impl Fn(&At<'a>) -> Option<T>) -> Option<Vec<T>> {
        let mut entries: Vec<T> = Vec::new();
        for entry in self.list(read)? {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Some(entries)
    }

    /// An object whose members all have the same type.
    pub fn map<T>(&self, read: impl Fn(&At<'a>) -> Option<T>) -> Option<BTreeMap<String, T>> {
        let members = self.object()?.iter().filter_map(|(name, value)| {
            let read = read(&self.at(value, format!("{}/{name}", self.path)))?;
            Some((name.clone(), read))
        });
        Some(members.collect())
    }

    /// Names with texts as values.
    pub fn labels(&self) -> Option<BTreeMap<String, String>> {
        self.map(At::text)
    }

    /// One of some names, in any case.
    pub fn one_of<T: Copy>(&self, names: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = names
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&text));
        match found {
            Some((_, value)) => Some(*value),
            None => self.wrong("error.unknown.enum.literal"),
        }
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_SHOWN_BYTES {
        let mut end = MAX_SHOWN_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
