//! The version of the stored form: written into every new store, and looked at when one is opened.
//! Converts nothing; there has been one version so far.

use serde::{Deserialize, Serialize};
use tepui_core::registry::Row;

use super::error::StoreError;
use super::key::Key;

/// Version of the stored form that this program writes; it refuses to read a newer one.
pub const FORMAT: u32 = 1;

/// What every version writes about its form, in stores and in backups.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Format {
    /// Version of the stored form.
    pub(super) format: u32,
}

/// The row that marks a store as one of this version.
///
/// # Errors
/// When the version has no form, which it has.
pub(super) fn row() -> Result<Row, StoreError> {
    let value = serde_json::to_vec(&Format { format: FORMAT });
    let value = value.map_err(|error| StoreError::Unwritable {
        reason: error.to_string(),
    })?;
    Ok(Row {
        key: Key::format().to_string(),
        value: Some(value),
    })
}

/// Looks at the format of a store that is not empty.
///
/// # Errors
/// When it is newer, or there is none.
pub(super) fn check(place: &str, rows: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
    let damaged = |reason: String| StoreError::Damaged {
        place: place.to_owned(),
        reason,
    };
    let key = Key::format().to_string();
    let Some((_, value)) = rows.iter().find(|(found, _)| *found == key) else {
        return Err(damaged("it does not say which format it has".to_owned()));
    };
    let unreadable = |error| damaged(format!("its format is unreadable: {error}"));
    let Format { format } = serde_json::from_slice(value).map_err(unreadable)?;
    match format {
        FORMAT => Ok(()),
        0 => Err(damaged("its format is 0".to_owned())),
        found => Err(StoreError::TooNew {
            place: place.to_owned(),
            found,
            known: FORMAT,
        }),
    }
}
