//! Mesos's JSON form of the v1 messages: snake_case keys, enum names, base64, declared defaults.
//! Knows no message by name and no HTTP; it walks the tables of [`crate::schema`].

mod base64;
mod decode;
mod encode;
mod faults;
mod skip;
mod syntax;

pub use decode::{from_slice, list_from_slice};
pub use encode::{serialize, to_vec};
/// JSON that has been written already.
pub use serde_json::value::RawValue;

/// Why a JSON text is not the wanted message. The texts are those of Mesos.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON; what follows "Failed to parse body into JSON: ".
    #[error("{0}")]
    Parse(String),
    /// The JSON does not fit the message, or a required field is missing.
    #[error("{0}")]
    Convert(String),
}
