//! Mesos's task states in stored instances, by their names.
//! Knows nothing of conditions.

use serde::{Deserialize, Deserializer, Serializer};
use tepui_protocol::v1::TaskState;

/// Writes the name of a state.
pub(super) fn serialize<S: Serializer>(
    state: &Option<TaskState>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match state {
        Some(state) => serializer.serialize_some(state.as_str_name()),
        None => serializer.serialize_none(),
    }
}

/// Reads the name of a state; a name that is none is as if there was no status yet.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TaskState>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| TaskState::from_str_name(&name)))
}
