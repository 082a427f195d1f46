//! The names of records in a backup: `<category>/items/<id>` or `<category>/versions/<id>/<version>`.
//! Reads and writes no archive.

use std::fmt;

use super::key::{Key, Kind};

const ITEMS: &str = "items";
const VERSIONS: &str = "versions";

/// Stands for an id that is empty; no other id is written with it.
const EMPTY: &str = "%";

/// Why a name is none of a record; goes on after "entry 'name'".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It begins with a slash.
    Absolute,
    /// It leads out of the archive.
    Upwards,
    /// It has another form.
    Unknown,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bad::Absolute => "has an absolute name",
            Bad::Upwards => "has '..' in its name",
            Bad::Unknown => "is named as no record is",
        })
    }
}

/// The name of a record.
pub(super) fn of(key: &Key) -> String {
    let (category, id) = (key.kind.category(), encode(&key.id));
    match key.version {
        None => format!("{category}/{ITEMS}/{id}"),
        Some(version) => format!("{category}/{VERSIONS}/{id}/{version}"),
    }
}

/// The record of a name.
pub(super) fn read(name: &str) -> Result<Key, Bad> {
    if name.starts_with('/') {
        return Err(Bad::Absolute);
    }
    let parts: Vec<&str> = name.split('/').collect();
    if parts.contains(&"..") {
        return Err(Bad::Upwards);
    }
    let key = parsed(&parts).ok_or(Bad::Unknown)?;
    // Only as it is written, so that no record can be there under two names.
    match of(&key) == name {
        true => Ok(key),
        false => Err(Bad::Unknown),
    }
}

fn parsed(parts: &[&str]) -> Option<Key> {
    let (category, id, version) = match parts {
        [category, ITEMS, id] => (category, id, None),
        [category, VERSIONS, id, version] => (category, id, Some(version.parse().ok()?)),
        _ => return None,
    };
    Some(Key {
        kind: Kind::of_category(category)?,
        id: decode(id)?,
        version,
    })
}

/// An id as one part of a name: Marathon's `_` for `/`, and bytes that are not safe in names of
/// files as `%` with two hexadecimal digits.
fn encode(id: &str) -> String {
    match id {
        "" => return EMPTY.to_owned(),
        // Names of directories.
        "." => return "%2E".to_owned(),
        ".." => return "%2E%2E".to_owned(),
        _ => {}
    }
    let mut part = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'/' => part.push('_'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b':' => {
                part.push(char::from(byte));
            }
            _ => part.push_str(&format!("%{byte:02X}")),
        }
    }
    part
}

fn decode(part: &str) -> Option<String> {
    if part == EMPTY {
        return Some(String::new());
    }
    let mut id = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        id.push(match byte {
            b'_' => b'/',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use tepui_protocol::marathon::Timestamp;

    #[test]
    fn names_read_back() {
        let version = Timestamp::from_millis(1_625_133_600_123);
        let ids = [
            "",
            ".",
            "..",
            "/",
            "/a/b",
            "a_b.c-d:e",
            "%",
            "x y\n",
            "ümläut",
            "../x",
        ];
        for kind in Kind::ALL {
            for id in ids {
                for key in [Key::item(kind, id), Key::version(kind, id, version)] {
                    let name = of(&key);
                    assert_eq!(read(&name), Ok(key), "{name}");
                }
            }
        }
        let key = Key::version(Kind::App, "/group/my_app", version);
        let name = "apps/versions/_group_my%5Fapp/2021-07-01T10:00:00.123Z";
        assert_eq!(of(&key), name);
    }

    #[test]
    fn other_names_are_refused() {
        assert_eq!(read("/apps/items/a"), Err(Bad::Absolute));
        for name in ["../apps/items/a", "apps/items/..", "apps/../items/a"] {
            assert_eq!(read(name), Err(Bad::Upwards), "{name}");
        }
        for name in [
            "",
            "apps",
            "apps/items",
            "apps/items/",
            "apps/items/a/",
            "apps/items/a/b",
            "apps/items//a",
            "./apps/items/a",
            "pods/items/a",
            "apps/things/a",
            "apps/items/a%2F",
            "apps/items/%6",
            "apps/items/%61",
            "apps/items/%ff",
            "apps/items/ü",
            "apps/versions/a",
            "apps/versions/a/1",
            "apps/versions/a/2021-07-01T10:00:00Z",
            "apps\\items\\a",
        ] {
            assert_eq!(read(name), Err(Bad::Unknown), "{name}");
        }
    }
}
