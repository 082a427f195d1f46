//! Which old versions of apps and of the root group may go.
//! Deletes nothing, and learns what a record refers to from its owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use tepui_protocol::marathon::Timestamp;

use super::key::{Key, Kind};

/// How many versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Newest versions kept of each app and of the root group, whether something refers to them or
    /// not; Marathon's `--zk_max_versions`. At least one.
    pub max_versions: usize,
}

/// Marathon's default of `--zk_max_versions`.
pub const DEFAULT_MAX_VERSIONS: usize = 50;

impl Default for Retention {
    fn default() -> Self {
        Retention {
            max_versions: DEFAULT_MAX_VERSIONS,
        }
    }
}

/// The versions there are, and which of them other records refer to.
#[derive(Debug, Default)]
pub struct Index {
    versions: BTreeMap<(Kind, String), BTreeSet<Timestamp>>,
    /// What each record refers to; only records that refer to something.
    references: BTreeMap<Key, Vec<Key>>,
    /// Records that may refer to anything.
    unknown: BTreeSet<Key>,
    /// Put since the last [`Index::settle`]; what refers to them may still be under way.
    fresh: BTreeSet<Key>,
}

impl Index {
    /// A record is there, with what it refers to; `None` when that is not known.
    pub fn put(&mut self, key: &Key, refers_to: Option<Vec<Key>>) {
        self.references.remove(key);
        self.unknown.remove(key);
        match refers_to {
            Some(none) if none.is_empty() => {}
            Some(refers_to) => {
                self.references.insert(key.clone(), refers_to);
            }
            None => {
                self.unknown.insert(key.clone());
            }
        }
        if let Some(version) = retained(key) {
            let name = (key.kind, key.id.clone());
            self.versions.entry(name).or_default().insert(version);
            self.fresh.insert(key.clone());
        }
    }

    /// A record is gone.
    pub fn delete(&mut self, key: &Key) {
        self.references.remove(key);
        self.unknown.remove(key);
        self.fresh.remove(key);
        let Some(version) = retained(key) else {
            return;
        };
        let name = (key.kind, key.id.clone());
        if let Some(versions) = self.versions.get_mut(&name) {
            versions.remove(&version);
            if versions.is_empty() {
                self.versions.remove(&name);
            }
        }
    }

    /// From now on nothing counts as new any more.
    pub fn settle(&mut self) {
        self.fresh.clear();
    }

    fn keys_of(&self, kind: Kind) -> impl Iterator<Item = (&String, &BTreeSet<Timestamp>)> {
        let first = (kind, String::new());
        let from_kind = self
            .versions
            .range::<(Kind, String), _>((Bound::Included(&first), Bound::Unbounded));
        from_kind
            .take_while(move |((found, _), _)| *found == kind)
            .map(|((_, id), versions)| (id, versions))
    }

    /// All that records refer to, but for those that go.
    fn referenced(&self, going: &BTreeSet<Key>) -> BTreeSet<&Key> {
        let staying = self.references.iter();
        staying
            .filter(|(from, _)| !going.contains(from))
            .flat_map(|(_, to)| to)
            .collect()
    }
}

/// The version of a record of which old versions may go.
fn retained(key: &Key) -> Option<Timestamp> {
    match key.kind {
        Kind::Root | Kind::App => key.version,
        Kind::FrameworkId | Kind::Instance | Kind::Deployment | Kind::TaskFailure | Kind::Meta => {
            None
        }
    }
}

impl Retention {
    /// The versions that may go, after Marathon's rule: all beyond the newest `max_versions` to
    /// which no other record refers.
    ///
    /// Old roots go first, and what only they refer to may go with them. An app to none of whose
    /// versions anything refers was deleted, so all of its versions go. What was put since the
    /// last [`Index::settle`] stays, because what refers to it may follow. Nothing goes while it
    /// is not known of some record what it refers to.
    #[must_use]
    pub fn to_delete(&self, index: &Index) -> Vec<Key> {
        if !index.unknown.is_empty() {
            return Vec::new();
        }
        let mut going = BTreeSet::new();
        let referenced = index.referenced(&going);
        let roots: Vec<Key> = self.old(index, Kind::Root, &referenced).collect();
        going.extend(roots);
        let referenced = index.referenced(&going);
        let apps: Vec<Key> = self.old(index, Kind::App, &referenced).collect();
        going.extend(apps);
        going.into_iter().collect()
    }

    fn old<'a>(
        &self,
        index: &'a Index,
        kind: Kind,
        referenced: &'a BTreeSet<&Key>,
    ) -> impl Iterator<Item = Key> + 'a {
        let max_versions = self.max_versions.max(1);
        index.keys_of(kind).flat_map(move |(id, versions)| {
            let keys = versions.iter().rev();
            let keys: Vec<Key> = keys
                .map(|version| Key::version(kind, id.clone(), *version))
                .collect();
            let stays = |key: &Key| referenced.contains(key) || index.fresh.contains(key);
            let lives = kind == Kind::Root || keys.iter().any(stays);
            let newest = if lives { max_versions } else { 0 };
            keys.into_iter()
                .skip(newest)
                .filter(move |key| !stays(key))
                .collect::<Vec<_>>()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn root(millis: i64) -> Key {
        Key::version(Kind::Root, "/", at(millis))
    }

    fn app(id: &str, millis: i64) -> Key {
        Key::version(Kind::App, id, at(millis))
    }

    fn keep(max_versions: usize) -> Retention {
        Retention { max_versions }
    }

    /// Roots 0..`roots`, each with its own version of app `/a`.
    fn history(roots: i64) -> Index {
        let mut index = Index::default();
        for version in 0..roots {
            index.put(&app("/a", version), Some(Vec::new()));
            index.put(&root(version), Some(vec![app("/a", version)]));
        }
        index.settle();
        index
    }

    #[test]
    fn keeps_the_newest_and_what_they_refer_to() {
        let index = history(6);
        assert_eq!(keep(6).to_delete(&index), Vec::new());
        let gone = [root(0), root(1), app("/a", 0), app("/a", 1)];
        assert_eq!(keep(4).to_delete(&index), gone);
        // Never less than one.
        assert_eq!(keep(0).to_delete(&index), keep(1).to_delete(&index));
        assert_eq!(keep(1).to_delete(&index).len(), 10);
    }

    #[test]
    fn never_deletes_what_something_refers_to() {
        let mut index = history(6);
        // An instance of an old version, and a deployment from an old root.
        index.put(&Key::item(Kind::Instance, "i"), Some(vec![app("/a", 0)]));
        let deployment = Key::item(Kind::Deployment, "d");
        index.put(&deployment, Some(vec![root(1), root(5)]));
        assert_eq!(keep(4).to_delete(&index), [root(0)]);
        index.delete(&deployment);
        assert_eq!(keep(4).to_delete(&index), [root(0), root(1), app("/a", 1)]);
        index.put(&Key::item(Kind::Instance, "i"), Some(Vec::new()));
        assert_eq!(keep(4).to_delete(&index).len(), 4);
    }

    #[test]
    fn an_unchanged_app_keeps_its_old_version() {
        let mut index = Index::default();
        index.put(&app("/old", 1), Some(Vec::new()));
        for version in 1..100 {
            index.put(&root(version), Some(vec![app("/old", 1)]));
        }
        index.settle();
        let gone = keep(50).to_delete(&index);
        let roots: Vec<Key> = (1..50).map(root).collect();
        assert_eq!(gone, roots);
    }

    #[test]
    fn a_deleted_app_goes_with_all_its_versions() {
        let mut index = history(3);
        for version in 10..13 {
            index.put(&root(version), Some(Vec::new()));
        }
        index.settle();
        assert_eq!(keep(6).to_delete(&index), Vec::new());
        let gone = keep(3).to_delete(&index);
        assert_eq!(gone.iter().filter(|key| key.kind == Kind::App).count(), 3);
        for key in &gone {
            index.delete(key);
        }
        assert_eq!(keep(3).to_delete(&index), Vec::new());
        assert_eq!(index.keys_of(Kind::App).count(), 0);
    }

    #[test]
    fn what_is_new_waits_for_its_references() {
        let mut index = history(1);
        index.put(&app("/new", 7), Some(Vec::new()));
        assert_eq!(keep(1).to_delete(&index), Vec::new());
        index.settle();
        assert_eq!(keep(1).to_delete(&index), [app("/new", 7)]);
        index.put(&root(7), Some(vec![app("/a", 0), app("/new", 7)]));
        assert_eq!(keep(1).to_delete(&index), [root(0)]);
    }

    #[test]
    fn records_without_versions_are_not_its_business() {
        let mut index = Index::default();
        for kind in Kind::ALL {
            index.put(&Key::item(kind, "x"), Some(Vec::new()));
        }
        index.put(
            &Key::version(Kind::TaskFailure, "x", at(1)),
            Some(Vec::new()),
        );
        index.settle();
        assert_eq!(keep(1).to_delete(&index), Vec::new());
    }
}
