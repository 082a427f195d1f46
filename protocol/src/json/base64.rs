//! Base64 as Mesos reads and writes it in bytes fields.
//! Stricter readers are left to the `base64` crate, which this module uses for writing.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;

/// Encodes with the standard alphabet and padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes as Mesos does: whitespace is skipped, the first `=` ends the text, padding is optional.
///
/// # Errors
/// Mesos's text when a character is not of the standard alphabet.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Ok(bytes);
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in text.chars() {
        if character == '=' {
            break;
        }
        if character.is_ascii_whitespace() || character == '\u{b}' {
            continue;
        }
        let Some(six) = value(character) else {
            return Err(format!("Invalid character '{character}'"));
        };
        bits = (bits << 6) | six;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(((bits >> count) & 0xff) as u8);
        }
    }
    Ok(bytes)
}

fn value(character: char) -> Option<u32> {
    let code = u32::from(character);
    match character {
        'A'..='Z' => Some(code - u32::from('A')),
        'a'..='z' => Some(code - u32::from('a') + 26),
        '0'..='9' => Some(code - u32::from('0') + 52),
        '+' => Some(62),
        '/' => Some(63),
        _ => None,
    }
}
