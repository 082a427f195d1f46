//! Takes paths and queries apart and undoes their percent-encoding.
//! Knows no routes.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use tepui_protocol::marathon::PathId;

use super::answers;

/// Most segments of a path, so that nothing made of them grows without bound.
const MAX_SEGMENTS: usize = 256;

/// The segments of a path, decoded; empty ones do not count, as clients write `/v2/apps//id`.
///
/// # Errors
/// 400 for a bad escape, for bytes that are no UTF-8, and for far too many segments.
pub(super) fn segments(path: &str) -> Result<Vec<String>, HttpResponse> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    if parts.clone().count() > MAX_SEGMENTS {
        let text = format!("a path has at most {MAX_SEGMENTS} segments");
        return Err(answers::message(StatusCode::BAD_REQUEST, text));
    }
    parts
        .map(|part| decode(part, false).ok_or_else(|| bad_escape(part)))
        .collect()
}

/// The id that segments of a path stand for.
pub(super) fn id(segments: &[&str]) -> PathId {
    PathId::new(&segments.join("/"))
}

/// Undoes percent-encoding, and in queries `+` for a blank; none when it is broken.
pub(super) fn decode(text: &str, is_query: bool) -> Option<String> {
    let is_encoded = text.contains('%') || (is_query && text.contains('+'));
    if !is_encoded {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? * 16 + hex(bytes.next()?)?,
            b'+' if is_query => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// 400 that names what cannot be decoded.
pub(super) fn bad_escape(part: &str) -> HttpResponse {
    let text =
        format!("'{part}' is not percent-encoded UTF-8; a % is followed by two hexadecimal digits");
    answers::message(StatusCode::BAD_REQUEST, text)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_or_refused() {
        assert_eq!(decode("a%2Fb+c", false).as_deref(), Some("a/b+c"));
        assert_eq!(decode("a%20b+c%C3%A4", true).as_deref(), Some("a b cä"));
        for bad in ["%", "%2", "%zz", "%ff", "%+1", "a%C3"] {
            assert_eq!(decode(bad, true), None, "{bad}");
        }
    }

    #[test]
    fn empty_segments_do_not_count() {
        let parts = segments("//v2//apps/a%2Fb/").expect("a path");
        assert_eq!(parts, ["v2", "apps", "a/b"]);
        assert_eq!(id(&["a", "..", "b/c"]).as_str(), "/b/c");
        let status = |path: &str| segments(path).map_err(|refusal| refusal.status().as_u16());
        assert_eq!(status("/v2/%f"), Err(400));
        assert_eq!(status(&"/a".repeat(MAX_SEGMENTS + 1)), Err(400));
    }
}
