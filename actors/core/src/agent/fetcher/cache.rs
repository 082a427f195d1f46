//! The fetcher's cache as accounts: which URIs it holds for whom, how large they are, what goes
//! when there is no room (Mesos: `FetcherProcess::Cache`).
//! Touches no file: it says which to remove.

use std::collections::{BTreeMap, HashMap};

/// The longest part of a URI's last part that is seen in a file's name, in characters.
const SHOWN_CHARACTERS: usize = 20;

/// Most entries; more of them would be of a few bytes each and cost more memory than disk.
const MAX_ENTRIES: usize = 100_000;

/// What is cached is told apart by user and URI: what one user may read another may not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The user; none for the agent's own.
    pub user: Option<String>,
    /// The URI as it was given.
    pub uri: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// It is there, in the file of this name.
    Ready(String),
    /// Somebody else is fetching it.
    UnderWay,
    /// Nobody has it: whoever asked has to fetch it into a file of this name.
    New(String),
}

#[derive(Debug)]
struct Entry {
    file: String,
    /// Bytes that are set aside for it, or that it has.
    size: u64,
    ready: bool,
    /// Launches that need it; as long as there is one, it stays.
    references: usize,
    /// When it was asked for last; a place in `order`.
    asked: u64,
}

/// The accounts. Every request that is not refused takes a reference, which must be released.
#[derive(Debug)]
pub struct Cache {
    limit: u64,
    used: u64,
    entries: HashMap<Key, Entry>,
    /// Entries by when they were asked for last.
    order: BTreeMap<u64, Key>,
    asked: u64,
    files: u64,
}

impl Cache {
    /// An empty cache for so many bytes.
    pub fn new(limit: u64) -> Self {
        Cache {
            limit,
            used: 0,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            asked: 0,
            files: 0,
        }
    }

    /// Bytes it may hold.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes it holds or has set aside.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Asks for a URI and takes a reference to it. `basename` becomes part of a new file's name.
    pub fn request(&mut self, key: &Key, basename: &str) -> Requested {
        self.asked += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            self.order.remove(&entry.asked);
            entry.asked = self.asked;
            entry.references += 1;
            let requested = match entry.ready {
                true => Requested::Ready(entry.file.clone()),
                false => Requested::UnderWay,
            };
            self.order.insert(self.asked, key.clone());
            return requested;
        }
        self.files += 1;
        let file = format!("c{}-{}", self.files, shown(basename));
        let entry = Entry {
            file: file.clone(),
            size: 0,
            ready: false,
            references: 1,
            asked: self.asked,
        };
        self.entries.insert(key.clone(), entry);
        self.order.insert(self.asked, key.clone());
        Requested::New(file)
    }

    /// Sets space aside for a new entry; says which files of others have to go.
    ///
    /// # Errors
    /// When there is no room even without everything that nobody needs now; nothing has changed.
    pub fn reserve(&mut self, key: &Key, size: u64) -> Result<Vec<(Key, String)>, NoRoom> {
        let mut missing = self.used.saturating_add(size).saturating_sub(self.limit);
        let mut too_many = self.entries.len().saturating_sub(MAX_ENTRIES);
        let mut victims = Vec::new();
        for candidate in self.order.values() {
            if missing == 0 && too_many == 0 {
                break;
            }
            let Some(entry) = self.entries.get(candidate) else {
                continue;
            };
            if entry.references == 0 && entry.ready {
                missing = missing.saturating_sub(entry.size);
                too_many = too_many.saturating_sub(1);
                victims.push(candidate.clone());
            }
        }
        if missing > 0 || too_many > 0 {
            let limit = self.limit;
            return Err(NoRoom { size, limit });
        }
        let removed: Vec<_> = victims
            .into_iter()
            .filter_map(|victim| self.remove(&victim).map(|file| (victim, file)))
            .collect();
        if let Some(entry) = self.entries.get_mut(key) {
            self.used = self.used.saturating_sub(entry.size).saturating_add(size);
            entry.size = size;
        }
        Ok(removed)
    }

    /// What was reserved is there, and has this size; it is not larger than what was set aside.
    pub fn complete(&mut self, key: &Key, size: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            let size = size.min(entry.size);
            self.used = self.used.saturating_sub(entry.size - size);
            entry.size = size;
            entry.ready = true;
        }
    }

    /// Forgets an entry, whoever needs it: it could not be fetched, or its file has gone. Names
    /// the file that may be left.
    pub fn remove(&mut self, key: &Key) -> Option<String> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.asked);
        self.used = self.used.saturating_sub(entry.size);
        Some(entry.file)
    }

    /// Gives a reference back. `file` is the one that was referred to: the entry may have been
    /// removed and made anew meanwhile.
    pub fn release(&mut self, key: &Key, file: &str) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.file == file
        {
            entry.references = entry.references.saturating_sub(1);
        }
    }
}

/// There is no room in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes find no room in a cache of {limit} bytes")]
pub struct NoRoom {
    size: u64,
    limit: u64,
}

/// A short name that keeps the beginning and the end, which has the suffix.
fn shown(basename: &str) -> String {
    let count = basename.chars().count();
    if count <= SHOWN_CHARACTERS {
        return basename.to_owned();
    }
    let half = SHOWN_CHARACTERS / 2;
    let begin = basename.chars().take(half);
    let end = basename.chars().skip(count - half);
    begin.chain(['_']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str) -> Key {
        Key {
            user: None,
            uri: uri.to_owned(),
        }
    }

    /// Asks for a new URI of this size; the file's name.
    fn fill(cache: &mut Cache, uri: &str, size: u64) -> String {
        let Requested::New(file) = cache.request(&key(uri), uri) else {
            panic!("{uri} is there");
        };
        cache.reserve(&key(uri), size).unwrap();
        cache.complete(&key(uri), size);
        file
    }

    #[test]
    fn one_fetches_and_the_others_wait() {
        let mut cache = Cache::new(10);
        assert_eq!(cache.request(&key("a"), "a"), Requested::New("c1-a".into()));
        assert_eq!(cache.request(&key("a"), "a"), Requested::UnderWay);
        assert_eq!(cache.reserve(&key("a"), 7), Ok(vec![]));
        assert_eq!(cache.used(), 7);
        cache.complete(&key("a"), 5);
        assert_eq!(cache.used(), 5);
        assert_eq!(
            cache.request(&key("a"), "a"),
            Requested::Ready("c1-a".into())
        );
    }

    #[test]
    fn users_share_nothing() {
        let mut cache = Cache::new(10);
        fill(&mut cache, "a", 1);
        let other = Key {
            user: Some("alice".into()),
            ..key("a")
        };
        assert_eq!(cache.request(&other, "a"), Requested::New("c2-a".into()));
    }

    #[test]
    fn what_was_asked_for_longest_ago_goes_first_and_what_is_needed_stays() {
        let mut cache = Cache::new(10);
        let a = fill(&mut cache, "a", 4);
        let b = fill(&mut cache, "b", 4);
        cache.release(&key("a"), &a);
        cache.request(&key("a"), "a");
        cache.release(&key("a"), &a);
        cache.release(&key("b"), &b);
        cache.request(&key("c"), "c");
        assert_eq!(cache.reserve(&key("c"), 6), Ok(vec![(key("b"), b)]));
        assert_eq!(cache.used(), 10);
        // Only `a` may go, which is not enough.
        cache.request(&key("d"), "d");
        let refused = cache.reserve(&key("d"), 5).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "5 bytes find no room in a cache of 10 bytes"
        );
        assert_eq!(cache.used(), 10);
        assert_eq!(cache.request(&key("a"), "a"), Requested::Ready(a));
    }

    #[test]
    fn more_than_the_cache_finds_no_room() {
        let mut cache = Cache::new(10);
        cache.request(&key("a"), "a");
        assert!(cache.reserve(&key("a"), 11).is_err());
        assert!(cache.reserve(&key("a"), u64::MAX).is_err());
        assert_eq!(cache.remove(&key("a")), Some("c1-a".into()));
        assert_eq!(cache.used(), 0);
    }

    #[test]
    fn a_failure_leaves_no_entry_and_old_references_touch_no_new_one() {
        let mut cache = Cache::new(10);
        cache.request(&key("a"), "a");
        cache.request(&key("a"), "a");
        cache.reserve(&key("a"), 8).unwrap();
        assert_eq!(cache.remove(&key("a")), Some("c1-a".into()));
        assert_eq!(cache.used(), 0);
        let again = fill(&mut cache, "a", 8);
        assert_eq!(again, "c2-a");
        cache.release(&key("a"), "c1-a");
        cache.request(&key("b"), "b");
        assert!(cache.reserve(&key("b"), 8).is_err(), "it is still needed");
        cache.release(&key("a"), "c2-a");
        assert_eq!(cache.reserve(&key("b"), 8), Ok(vec![(key("a"), again)]));
    }

    #[test]
    fn file_names_are_short_and_keep_their_suffix() {
        let mut cache = Cache::new(10);
        let long = format!("{}é.tar.gz", "x".repeat(300));
        assert_eq!(
            cache.request(&key("a"), &long),
            Requested::New("c1-xxxxxxxxxx_xxé.tar.gz".into())
        );
    }
}
