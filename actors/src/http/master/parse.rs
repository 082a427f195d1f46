//! JSON bodies of the v0 endpoints: what is wrong with one, in Mesos's words.
//! The decoding itself is in `tepui_protocol::json`.

use tepui_protocol::json::{self, JsonError};
use tepui_protocol::schema::Message;

/// What is said of JSON that is of another type than it must be.
const WRONG_TYPE: &str = "Unexpected JSON type parsed";

/// Most bytes of a body that a refusal repeats.
const MAX_REPEATED_BYTES: usize = 4096;

/// Decodes a body that must be an object.
///
/// # Errors
/// [`JsonError::Parse`] also when the JSON is no object.
pub(super) fn object<M: Message>(body: &[u8]) -> Result<M, JsonError> {
    json::from_slice(body).map_err(|error| of_type(body, b'{', error))
}

/// Decodes a body that must be an array of objects.
///
/// # Errors
/// [`JsonError::Parse`] also when the JSON is no array.
pub(super) fn array<M: Message>(body: &[u8]) -> Result<Vec<M>, JsonError> {
    json::list_from_slice(body).map_err(|error| of_type(body, b'[', error))
}

/// Mesos finds out that a text is JSON of a wrong type while it parses it.
fn of_type(body: &[u8], begin: u8, error: JsonError) -> JsonError {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match error {
        JsonError::Convert(_) if first != Some(&begin) => JsonError::Parse(WRONG_TYPE.to_owned()),
        error => error,
    }
}

/// A body as refusals repeat it. Mesos repeats all of it, whatever its length.
pub(super) fn repeated(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_REPEATED_BYTES)]);
    match body.len() > MAX_REPEATED_BYTES {
        true => format!("{text}..."),
        false => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tepui_protocol::v1;

    use super::*;

    fn wrong(body: &str) -> JsonError {
        object::<v1::MachineId>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn another_type_is_an_error_of_parsing() {
        let wrong_type = JsonError::Parse(WRONG_TYPE.to_owned());
        assert_eq!(wrong(" []"), wrong_type);
        assert_eq!(wrong("1"), wrong_type);
        assert!(matches!(wrong("{"), JsonError::Parse(text) if text != WRONG_TYPE));
        assert!(matches!(wrong("{\"hostname\":[]}"), JsonError::Convert(_)));
        assert_eq!(array::<v1::MachineId>(b"{}"), Err(wrong_type));
        assert!(matches!(
            array::<v1::MachineId>(b"[1]"),
            Err(JsonError::Convert(_))
        ));
        assert_eq!(array::<v1::MachineId>(b"[]"), Ok(Vec::new()));
    }

    #[test]
    fn long_bodies_are_not_repeated_whole() {
        assert_eq!(repeated(b"[]"), "[]");
        assert_eq!(repeated(&[b'x'; 10_000]).len(), MAX_REPEATED_BYTES + 3);
        let cut = "é".repeat(3000);
        assert!(repeated(&cut.as_bytes()[1..]).ends_with("..."));
    }
}
