//! A value together with what a reader has written of it, so that it is written once only.
//! Knows neither the value nor who reads it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use tepui_protocol::json::RawValue;

/// What a reader has written of a value.
pub type Written = Box<RawValue>;

/// A value that remembers what was written of it until it changes: whoever gets it to change
/// makes it forget. Copies remember nothing.
pub struct Memo<T> {
    value: T,
    written: OnceLock<Written>,
    written_v1: OnceLock<Written>,
}

impl<T> Memo<T> {
    /// What `write` makes of the value, or made of it when it was first asked.
    ///
    /// There is one memory: all who ask must want the same.
    pub fn written(&self, write: impl FnOnce(&T) -> Written) -> &RawValue {
        self.written.get_or_init(|| write(&self.value))
    }

    /// The same for what the v1 API shows of the value, which has a memory of its own.
    pub fn written_v1(&self, write: impl FnOnce(&T) -> Written) -> &RawValue {
        self.written_v1.get_or_init(|| write(&self.value))
    }
}

impl<T> From<T> for Memo<T> {
    fn from(value: T) -> Self {
        Memo {
            value,
            written: OnceLock::new(),
            written_v1: OnceLock::new(),
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
        self.written = OnceLock::new();
        self.written_v1 = OnceLock::new();
        &mut self.value
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
    fn both_ways_of_writing_are_remembered_and_forgotten() {
        let mut memo = Memo::from(1);
        let other = |value: &i32| number(&(value * 10));
        assert_eq!(memo.written(number).get(), "1");
        assert_eq!(memo.written_v1(other).get(), "10");
        assert_eq!(memo.written_v1(|_| unreachable!()).get(), "10");
        *memo = 2;
        assert_eq!(memo.written_v1(other).get(), "20");
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
