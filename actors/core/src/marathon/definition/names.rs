//! Patterns of ids, names and paths in bodies.
//! Marathon states them as regular expressions; each function here equals one.

/// A segment of lower-case letters, digits and inner hyphens.
fn is_label(text: &str) -> bool {
    is_name_of(text, b"-")
}

/// Lower-case letters and digits; inner characters may also be one of `inner`.
fn is_name_of(text: &str, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    plain(first) && plain(last) && bytes.iter().all(|b| plain(b) || inner.contains(b))
}

/// An id of an app or a group, absolute or relative: labels with dots between, or `..`.
pub(crate) fn is_path(text: &str) -> bool {
    let allowed =
        |segment: &str| segment.is_empty() || segment == ".." || segment.split('.').all(is_label);
    text.split('/').all(allowed)
}

/// A name of a port, of any length.
pub(crate) fn is_legacy_name(text: &str) -> bool {
    is_label(text)
}

/// A name of a network.
pub(crate) fn is_network_name(text: &str) -> bool {
    is_name_of(text, b"-_")
}

/// A path of a custom executor, `//cmd` or nothing.
pub(crate) fn is_executor(text: &str) -> bool {
    if text.is_empty() || text == "//cmd" {
        return true;
    }
    let path = text.strip_prefix('/').unwrap_or(text);
    path.split('/').all(|segment| !segment.is_empty())
}

/// A reference to a file that `java.net.URI` would read: no spaces, quotes or bare percent signs.
pub(crate) fn is_uri(text: &str) -> bool {
    let bytes = text.as_bytes();
    let bad = |byte: &u8| byte.is_ascii_control() || b" \"<>\\^`{|}".contains(byte);
    if bytes.is_empty() || bytes.iter().any(bad) {
        return false;
    }
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let whole = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let scheme_only = text.ends_with(':') && !text.contains('/');
    escapes.into_iter().all(|(at, _)| whole(at)) && !scheme_only && !text.starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_lower_case_segments() {
        for good in ["/a", "a/b", "/a/../b", "a-b.c1", "/", "..", "/a/", "1"] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["/A", "a_b", "-a", "a-", "a..b", ".", "a b", "/ä", "a./b"] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    #[test]
    fn uris_have_a_syntax() {
        for good in [
            "http://h/a.tgz?x=1#y",
            "/etc/docker.tgz",
            "file:///a%20b",
            "a",
        ] {
            assert!(is_uri(good), "{good}");
        }
        for bad in ["http://h/a b", "", "http://h/%zz", "http:", ":a", "a\"b"] {
            assert!(!is_uri(bad), "{bad}");
        }
    }

    #[test]
    fn executors_and_networks_have_patterns() {
        for good in ["", "//cmd", "/opt/run", "run"] {
            assert!(is_executor(good), "{good}");
        }
        for bad in ["/", "//x", "a//b", "a/"] {
            assert!(!is_executor(bad), "{bad}");
        }
        assert!(is_network_name("a_b-c") && !is_network_name("_a") && !is_network_name("A"));
        assert!(is_legacy_name("http-api") && !is_legacy_name("http_api"));
    }
}
