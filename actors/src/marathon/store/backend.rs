//! Where records are kept, as rows of text and bytes; and in memory, for tests.
//! Knows no order of batches: who uses a backend makes one call at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tepui_core::registry::Row;

use super::error::StoreError;

/// Keeps rows. Calls block; the store makes them on its own thread.
pub(super) trait Backend: Send + fmt::Debug {
    /// What errors call it.
    fn place(&self) -> String;

    /// All rows.
    ///
    /// # Errors
    /// When they cannot be read.
    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Writes and deletes rows, all or nothing; they are durable when this returns.
    ///
    /// # Errors
    /// When they are not durable; what the backend then holds is unknown.
    fn write(&mut self, rows: Vec<Row>) -> Result<(), StoreError>;
}

/// Keeps rows for as long as one of its clones lives: what `--internal_store_backend mem` wants,
/// and tests that open a store again.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    rows: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Backend for Memory {
    fn place(&self) -> String {
        "store in memory".to_owned()
    }

    fn load(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.iter();
        Ok(rows
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn write(&mut self, changed: Vec<Row>) -> Result<(), StoreError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for Row { key, value } in changed {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }
}
