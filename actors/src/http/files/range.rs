//! The part of a file that a download asks for by its `Range` (RFC 9110, 14.2); Mesos gives files whole.
//! Reads no file.

use actix_web::HttpRequest;
use actix_web::http::header::{IF_RANGE, RANGE};

/// What is to be given of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: nothing else is asked for, or nothing that is understood. Several parts at once
    /// are given as the whole, as a server may.
    Whole,
    /// So many bytes from an offset on.
    Part { start: u64, length: u64 },
    /// A part that the file has not.
    Nothing,
}

impl Wanted {
    /// What a request wants of a file of this size.
    pub(super) fn of(request: &HttpRequest, size: u64) -> Wanted {
        let headers = request.headers();
        // Files have no validators that the condition could hold for.
        if headers.contains_key(IF_RANGE) {
            return Wanted::Whole;
        }
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
        range
            .and_then(|range| wanted(range, size))
            .unwrap_or(Wanted::Whole)
    }
}

fn wanted(range: &str, size: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (start, end) = match (first, last) {
        ("", _) => (size.saturating_sub(number(last)?), size),
        (_, "") => (number(first)?, size),
        _ => (number(first)?, number(last)?.saturating_add(1)),
    };
    match (first.is_empty(), start < end) {
        // What ends before it begins is no range.
        (false, false) if !last.is_empty() => None,
        (_, _) if start >= size || start >= end => Some(Wanted::Nothing),
        _ => Some(Wanted::Part {
            start,
            length: end.min(size) - start,
        }),
    }
}

/// Digits only: a sign, as `parse` would take it, is none.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_digits {
        // More than fits is more than any file has.
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(range: &str, size: u64) -> Wanted {
        let request = TestRequest::default().insert_header((RANGE, range));
        Wanted::of(&request.to_http_request(), size)
    }

    #[test]
    fn one_part_is_given_as_far_as_it_is_there() {
        let part = |start, length| Wanted::Part { start, length };
        for (range, expected) in [
            ("bytes=0-4", part(0, 5)),
            ("bytes=2-", part(2, 8)),
            ("Bytes= 9-9", part(9, 1)),
            ("bytes=5-99999999999999999999999", part(5, 5)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-30", part(0, 10)),
        ] {
            assert_eq!(of(range, 10), expected, "{range}");
        }
        for behind in [
            "bytes=10-",
            "bytes=10-12",
            "bytes=-0",
            "bytes=18446744073709551615-",
        ] {
            assert_eq!(of(behind, 10), Wanted::Nothing, "{behind}");
        }
        assert_eq!(of("bytes=0-", 0), Wanted::Nothing);
    }

    #[test]
    fn what_is_not_understood_asks_for_the_whole() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=0-1,3-4",
            "lines=0-4",
            "bytes=1-2-3",
        ] {
            assert_eq!(of(range, 10), Wanted::Whole, "{range}");
        }
        let request = TestRequest::default()
            .insert_header((RANGE, "bytes=0-4"))
            .insert_header((IF_RANGE, "\"x\""))
            .to_http_request();
        assert_eq!(Wanted::of(&request, 10), Wanted::Whole);
    }
}
