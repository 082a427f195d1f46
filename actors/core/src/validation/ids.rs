//! The rule every id obeys: ids become directory names, so they must be safe as such.
//! Whether an id is in use is checked elsewhere.

/// Longest id in bytes: the longest file name (`NAME_MAX`).
pub const MAX_ID_BYTES: usize = 255;

/// Checks a task, executor, agent, framework or persistence id.
///
/// Mesos: `common::validation::validateID`.
pub fn validate(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("ID must not be empty".to_string());
    }
    if id.len() > MAX_ID_BYTES {
        return Err(format!(
            "ID must not be greater than {MAX_ID_BYTES} characters"
        ));
    }
    if id == "." || id == ".." {
        return Err(format!("'{id}' is disallowed"));
    }
    let unsafe_byte = |b: u8| b.is_ascii_control() || b == b'/' || b == b'\\';
    if id.bytes().any(unsafe_byte) {
        return Err(format!("'{id}' contains invalid characters"));
    }
    Ok(())
}

/// Checks the 16 bytes of a status update's uuid.
///
/// Mesos refuses a uuid without a known version (1 to 5), so random bytes will not do.
pub fn validate_uuid(bytes: &[u8]) -> Result<(), String> {
    let version = match bytes {
        [_, _, _, _, _, _, version, ..] if bytes.len() == 16 => version >> 4,
        _ => 0,
    };
    match version {
        1..=5 => Ok(()),
        _ => Err("Not a valid UUID".to_string()),
    }
}
