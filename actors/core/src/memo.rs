//! A value together with what a reader has written of it, so that it is written once only.
//! Knows neither the value nor who reads it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tepui_protocol::json::RawValue;

/// What a reader has written of a value.
pub type Written = Box<RawValue>;

/// A value that remembers what was written of it until it changes: whoever gets it to change
/// makes it forget. Copies remember nothing.
///
/// There is one memory for each way of writing: all who ask for that must want the same.
pub struct Memo<T> {
    value: T,
    /// Made when it is first needed: of most values nothing is ever written.
    memory: OnceLock<Box<Memory>>,
}

/// What was written of a value.
#[derive(Default)]
struct Memory {
    v0: OnceLock<Written>,
    v1: OnceLock<Written>,
    protobuf: OnceLock<Box<[u8]>>,
}

impl<T> Memo<T> {
    /// What `write` makes of the value, or made of it when it was first asked.
    pub fn written(&self, write: impl FnOnce(&T) -> Written) -> &RawValue {
        self.memory().v0.get_or_init(|| write(&self.value))
    }

    /// The same for what the v1 API shows of the value as JSON.
    pub fn written_v1(&self, write: impl FnOnce(&T) -> Written) -> &RawValue {
        self.memory().v1.get_or_init(|| write(&self.value))
    }

    /// The same for what the v1 API shows of the value as protobuf.
    pub fn written_protobuf(&self, write: impl FnOnce(&T) -> Vec<u8>) -> &[u8] {
        let protobuf = &self.memory().protobuf;
        protobuf.get_or_init(|| write(&self.value).into_boxed_slice())
    }

    fn memory(&self) -> &Memory {
        self.memory.get_or_init(Box::default)
    }
}

impl<T> From<T> for Memo<T> {
    fn from(value: T) -> Self {
        Memo {
            value,
            memory: OnceLock::new(),
        }
    }
}

impl<T: Clone> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Memo::from(self.value.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Memo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Deref for Memo<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Memo<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.memory = OnceLock::new();
        &mut self.value
    }
}

/// What was written of those parts of a value that seldom change, though the rest often does.
/// Copies share it. A key says what it was written of: with another key it is forgotten.
pub struct Still<K>(Mutex<Option<Arc<Parts<K>>>>);

/// Written parts of a value, each once.
pub struct Parts<K> {
    key: K,
    /// For the v0 reads, as an object.
    pub v0: OnceLock<Written>,
    /// For the v1 API, as an object.
    pub v1: OnceLock<Written>,
    /// For the v1 API, as the fields of a protobuf message.
    pub protobuf: OnceLock<Box<[u8]>>,
}

impl<K> Still<K> {
    /// What is remembered, which is nothing yet unless `is_key` is true of its key; `key` makes
    /// the new one.
    pub fn of(&self, is_key: impl FnOnce(&K) -> bool, key: impl FnOnce() -> K) -> Arc<Parts<K>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parts) = kept.as_ref()
            && is_key(&parts.key)
        {
            return parts.clone();
        }
        let parts = Arc::new(Parts {
            key: key(),
            v0: OnceLock::new(),
            v1: OnceLock::new(),
            protobuf: OnceLock::new(),
        });
        *kept = Some(parts.clone());
        parts
    }
}

impl<K> Default for Still<K> {
    fn default() -> Self {
        Still(Mutex::new(None))
    }
}

impl<K> Clone for Still<K> {
    fn clone(&self) -> Self {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Still(Mutex::new(kept.clone()))
    }
}

impl<K> fmt::Debug for Still<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Still")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn number(value: &i32) -> Written {
        RawValue::from_string(value.to_string()).unwrap()
    }

    #[test]
    fn it_is_written_once_until_it_changes() {
        let mut memo = Memo::from(1);
        assert_eq!(memo.written(number).get(), "1");
        assert_eq!(memo.written(|_| unreachable!()).get(), "1");
        *memo = 2;
        assert_eq!(memo.written(number).get(), "2");
    }

    #[test]
    fn all_ways_of_writing_are_remembered_and_forgotten() {
        let mut memo = Memo::from(1);
        let other = |value: &i32| number(&(value * 10));
        assert_eq!(memo.written(number).get(), "1");
        assert_eq!(memo.written_v1(other).get(), "10");
        assert_eq!(memo.written_v1(|_| unreachable!()).get(), "10");
        let bytes = |value: &i32| vec![u8::try_from(*value).unwrap()];
        assert_eq!(memo.written_protobuf(bytes), [1]);
        assert_eq!(memo.written_protobuf(|_| unreachable!()), [1]);
        *memo = 2;
        assert_eq!(memo.written_v1(other).get(), "20");
        assert_eq!(memo.written_protobuf(bytes), [2]);
    }

    #[test]
    fn what_seldom_changes_is_shared_by_copies_until_its_key_is_another() {
        let still = Still::default();
        let of = |still: &Still<i32>, key: i32| still.of(|known| *known == key, || key);
        let write = |key: i32| move || number(&key);
        assert_eq!(of(&still, 1).v0.get_or_init(write(1)).get(), "1");
        let copy = still.clone();
        assert_eq!(of(&copy, 1).v0.get_or_init(write(9)).get(), "1");
        assert_eq!(of(&still, 2).v0.get_or_init(write(2)).get(), "2");
        assert_eq!(of(&copy, 1).v0.get_or_init(write(9)).get(), "1");
    }

    #[test]
    fn a_copy_on_write_leaves_the_reader_what_it_has() {
        let mut shared = Arc::new(Memo::from(1));
        let read = shared.clone();
        assert_eq!(read.written(number).get(), "1");
        **Arc::make_mut(&mut shared) = 2;
        assert_eq!(read.written(number).get(), "1");
        assert_eq!(shared.written(number).get(), "2");
    }
}
