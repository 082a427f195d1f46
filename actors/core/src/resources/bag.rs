//! The list of entries behind a bag of resources: copies share it until one changes.
//! Knows nothing of what the entries mean.

use std::ops::Deref;
use std::sync::Arc;

use super::entry::Entry;

/// A list that is cheap to copy; an empty one owns no memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Bag(Option<Arc<Vec<Entry>>>);

impl Bag {
    pub fn with_capacity(capacity: usize) -> Self {
        match capacity {
            0 => Bag(None),
            _ => Bag(Some(Arc::new(Vec::with_capacity(capacity)))),
        }
    }

    /// The list for a change; a shared one is copied first.
    pub fn to_mut(&mut self) -> &mut Vec<Entry> {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// Whether both share one list; so do two that own none.
    pub fn is_same(&self, other: &Bag) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Deref for Bag {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl FromIterator<Entry> for Bag {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let entries: Vec<Entry> = entries.into_iter().collect();
        match entries.is_empty() {
            true => Bag(None),
            false => Bag(Some(Arc::new(entries))),
        }
    }
}
