//! What the store knows of a record: its key, and changes of records in order.
//! Never looks into a value, and stores nothing.

use std::fmt;

use tepui_protocol::marathon::Timestamp;

/// What a record is about. The names are those of Marathon's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The id the master gave the app manager.
    FrameworkId,
    /// The root group: groups, dependencies, and the version of each app.
    Root,
    /// One version of one app.
    App,
    /// An instance of an app.
    Instance,
    /// A running deployment.
    Deployment,
    /// The last failure of an app's tasks.
    TaskFailure,
    /// Anything else that is to be kept; [`FORMAT_ID`] is the store's own.
    Meta,
}

/// Id of the [`Kind::Meta`] record that holds the version of the stored form, as in Marathon.
pub const FORMAT_ID: &str = "internal:storage:version";

impl Kind {
    /// All there are.
    pub const ALL: [Kind; 7] = [
        Kind::FrameworkId,
        Kind::Root,
        Kind::App,
        Kind::Instance,
        Kind::Deployment,
        Kind::TaskFailure,
        Kind::Meta,
    ];

    /// Marathon's category; the app manager's own word for what Marathon keeps elsewhere.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Kind::FrameworkId => "framework-id",
            Kind::Root => "group",
            Kind::App => "apps",
            Kind::Instance => "instance",
            Kind::Deployment => "deployment",
            Kind::TaskFailure => "taskFailures",
            Kind::Meta => "meta",
        }
    }

    /// The kind of this category; none for others.
    #[must_use]
    pub fn of_category(category: &str) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.category() == category)
    }
}

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is about.
    pub kind: Kind,
    /// Which one of its kind.
    pub id: String,
    /// Which version of it, for records of which several are kept.
    pub version: Option<Timestamp>,
}

/// Stands for a version in the text of a key without one.
const NO_VERSION: &str = "-";

impl Key {
    /// The key of a record without versions.
    pub fn item(kind: Kind, id: impl Into<String>) -> Key {
        Key {
            kind,
            id: id.into(),
            version: None,
        }
    }

    /// The key of one version of a record.
    pub fn version(kind: Kind, id: impl Into<String>, version: Timestamp) -> Key {
        Key {
            kind,
            id: id.into(),
            version: Some(version),
        }
    }

    /// That of the record which only the store writes.
    #[must_use]
    pub fn format() -> Key {
        Key::item(Kind::Meta, FORMAT_ID)
    }

    /// The key of this text; none for texts that no key is written as.
    #[must_use]
    pub fn read(text: &str) -> Option<Key> {
        let mut parts = text.splitn(3, ' ');
        let kind = Kind::of_category(parts.next()?)?;
        let version = match parts.next()? {
            NO_VERSION => None,
            version => Some(version.parse().ok()?),
        };
        let id = parts.next()?.to_owned();
        let key = Key { kind, id, version };
        // Only as it is written, so that every record has one text.
        (key.to_string() == text).then_some(key)
    }
}

impl fmt::Display for Key {
    /// What a backend knows the record by. The id comes last, since it may hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (category, id) = (self.kind.category(), &self.id);
        match self.version {
            Some(version) => write!(f, "{category} {version} {id}"),
            None => write!(f, "{category} {NO_VERSION} {id}"),
        }
    }
}

/// A record: its key and its value.
pub type Record = (Key, Vec<u8>);

/// One change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes the record, or replaces its value.
    Put(Key, Vec<u8>),
    /// Removes the record; it need not be there.
    Delete(Key),
}

impl Change {
    /// The record it is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Change::Put(key, _) | Change::Delete(key) => key,
        }
    }

    /// What it counts for in a queue, in bytes.
    fn bytes(&self) -> usize {
        let value = match self {
            Change::Put(_, value) => value.len(),
            Change::Delete(_) => 0,
        };
        size_of::<Change>() + self.key().id.len() + value
    }
}

/// Changes that count together or not at all, in order: the last word on a record stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// One that changes nothing yet.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Makes a record, or replaces its value.
    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.push(Change::Put(key, value));
    }

    /// Removes a record; it need not be there.
    pub fn delete(&mut self, key: Key) {
        self.push(Change::Delete(key));
    }

    fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push(change);
    }

    /// What it changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// True when it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What it counts for in a queue, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let version = Timestamp::from_millis(1_625_133_600_123);
        for kind in Kind::ALL {
            for id in ["", "/", "/a/b", "with space", "- x", "umläut_%\n"] {
                for key in [Key::item(kind, id), Key::version(kind, id, version)] {
                    assert_eq!(Key::read(&key.to_string()), Some(key));
                }
            }
        }
        let key = Key::version(Kind::App, "/a/b", version);
        assert_eq!(key.to_string(), "apps 2021-07-01T10:00:00.123Z /a/b");
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in [
            "",
            "apps",
            "apps -",
            "pods - /a",
            "apps x /a",
            "apps 2021-07-01T10:00:00.123456Z /a",
            "apps 2021-07-01T12:00:00.123+02:00 /a",
        ] {
            assert_eq!(Key::read(text), None, "{text}");
        }
    }
}
