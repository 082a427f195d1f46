//! RE2's error texts, its meaning of a pattern, and its limits.

use proptest::prelude::*;

use super::{Limits, compile};

const WIDE: Limits = Limits {
    max_mem_bytes: 0,
    max_program_size: 100_000,
};

fn error(pattern: &str) -> String {
    let text = compile(pattern, WIDE).unwrap_err();
    let start = format!("Failed to construct regex from pattern '{pattern}': ");
    text.strip_prefix(&start).unwrap_or(&text).to_string()
}

#[test]
fn broken_patterns_get_re2s_text() {
    let cases = [
        ("(", "missing ): ("),
        ("a(b", "missing ): a(b"),
        ("(?:a", "missing ): (?:a"),
        (")", "unexpected ): )"),
        ("a)b", "unexpected ): a)b"),
        ("[a", "missing ]: [a"),
        ("x[", "missing ]: ["),
        ("x[]", "missing ]: []"),
        ("[^", "missing ]: [^"),
        ("[b-a]", "invalid character class range: b-a"),
        ("[[:foo:]]", "invalid character class range: [:foo:]"),
        (r"\p{Foo}", r"invalid character class range: \p{Foo}"),
        (r"\p{Greek", r"invalid character class range: \p{Greek"),
        (r"[\p{foo}]", r"invalid character class range: \p{foo}"),
        ("*", "no argument for repetition operator: *"),
        ("+?", "no argument for repetition operator: +?"),
        ("a|*", "no argument for repetition operator: *"),
        ("(?:?)", "no argument for repetition operator: ?"),
        ("{2}", "no argument for repetition operator: {2}"),
        ("a**", "bad repetition operator: **"),
        ("a*?+", "bad repetition operator: *?+"),
        ("a{2}{3}", "bad repetition operator: {2}{3}"),
        ("a{3,2}", "invalid repetition size: {3,2}"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("(a{100}){11}", "invalid repetition size: {11}"),
        ("(?=a)", "invalid perl operator: (?="),
        ("(?P=n)", "invalid perl operator: (?P"),
        ("(?i", "invalid perl operator: (?i"),
        ("(?i-)", "invalid perl operator: (?i-)"),
        ("(?--i)", "invalid perl operator: (?--"),
        ("(?", "invalid perl operator: (?"),
        ("(?P<n", "invalid named capture group: (?P<n"),
        ("(?P<>a)", "invalid named capture group: (?P<>"),
        ("(?P<a b>x)", "invalid named capture group: (?P<a b>"),
        (r"\", r"trailing \"),
        (r"a\", r"trailing \"),
        (r"\q", r"invalid escape sequence: \q"),
        (r"\1", r"invalid escape sequence: \1"),
        (r"\8", r"invalid escape sequence: \8"),
        (r"\Z", r"invalid escape sequence: \Z"),
        (r"\é", r"invalid escape sequence: \é"),
        (r"\x", r"invalid escape sequence: \x"),
        (r"\xg0", r"invalid escape sequence: \xg0"),
        (r"\x{110000}", r"invalid escape sequence: \x{110000"),
        (r"\x{}", r"invalid escape sequence: \x{}"),
        (r"\x{", "invalid UTF-8"),
        (r"[\q]", r"invalid escape sequence: \q"),
    ];
    for (pattern, text) in cases {
        assert_eq!(error(pattern), text, "{pattern}");
    }
}

#[test]
fn patterns_mean_what_re2_says_and_match_whole_texts() {
    let cases: [(&str, &[&str], &[&str]); 29] = [
        ("", &[""], &["a"]),
        ("r[0-9]", &["r1"], &["r12", "ar1", "r"]),
        ("a|b", &["a", "b"], &["ab", ""]),
        ("a{2,3}", &["aa", "aaa"], &["a", "aaaa"]),
        ("a{", &["a{"], &["a"]),
        ("a{,2}", &["a{,2}"], &["aa"]),
        ("a{01}", &["a{01}"], &["a"]),
        ("a}]", &["a}]"], &["a"]),
        (".", &["x", "é"], &["\n", ""]),
        ("(?s).", &["\n"], &[""]),
        ("(?i)straße", &["STRAßE"], &["STRASSE"]),
        ("(?i:a)b", &["Ab"], &["AB"]),
        ("(?i-i)a", &["a"], &["A"]),
        ("a(?i)*", &["", "aaa"], &["A"]),
        ("a*(?i)*", &["", "aaa"], &["A"]),
        ("()", &[""], &["a"]),
        ("(?P<1n>a)", &["a"], &["b"]),
        ("(?:ab)+", &["ab", "abab"], &["aba"]),
        (r"\d\w\s", &["1a "], &["١a ", "1é "]),
        (r"\D\W\S", &["٣é_"], &["1é_"]),
        (r"[\d-z]", &["5", "-", "z"], &["a"]),
        ("[a[b]", &["a", "[", "b"], &["]"]),
        ("[a&&b]", &["a", "&", "b"], &["&&"]),
        ("[]a]", &["]", "a"], &["b"]),
        ("[^]a]", &["b"], &["]", "a"]),
        ("[[:^alpha:]x]", &["1", "x"], &["y"]),
        (r"\Qa.b*\E+", &["a.b*", "a.b**"], &["axb"]),
        (r"\101\x42\x{43}\.\-", &["ABC.-"], &["ABC"]),
        (r"\p{Greek}\PL\p{^L}", &["α11"], &["a11", "αa1"]),
    ];
    for (pattern, matched, unmatched) in cases {
        let regex = compile(pattern, WIDE).unwrap();
        for text in matched {
            assert!(regex.is_match(text), "{pattern} {text}");
        }
        for text in unmatched {
            assert!(!regex.is_match(text), "{pattern} {text}");
        }
    }
}

#[test]
fn odd_but_valid_patterns_compile() {
    for pattern in [
        "^*",
        "(|a)*",
        "a||b",
        "(?)a",
        "(?ii)a",
        "(?U)a+?",
        r"\A\z\b\B\C",
        r"[\x{D800}]",
        r"\x{D800}",
        r"[\x{D7FF}-\x{E000}]",
        r"[^\x{0}-\x{10FFFF}]",
        "a{0}",
        "a{1000}",
        "(a{10}){100}",
        "[a-]",
        "[-a]",
        "[a-b-c]",
        "[[:alpha]",
        r"\Q",
        r"\pN\p{Any}",
    ] {
        assert!(compile(pattern, WIDE).is_ok(), "{pattern}");
    }
}

#[test]
fn the_limits_bound_what_a_pattern_may_cost() {
    let limits = Limits::default();
    for pattern in [
        "r[0-9]+",
        ".*foo.*",
        &"a".repeat(90),
        "(?:rack-[0-9]{1,3}|row-[a-z])",
    ] {
        assert!(compile(pattern, limits).is_ok(), "{pattern}");
    }
    let long = "a".repeat(110);
    assert_eq!(
        compile(&long, limits).unwrap_err(),
        format!(
            "Regex '{long}' is too complex: program size of 113 is larger than maximum of 100 \
             allowed"
        )
    );
    assert_eq!(
        compile("(a{30}){30}", limits).unwrap_err(),
        "Failed to construct regex from pattern '(a{30}){30}': pattern too large - compile failed"
    );
    let tiny = Limits {
        max_mem_bytes: 64,
        ..limits
    };
    assert!(compile("a", tiny).is_err());
    let roomy = Limits {
        max_mem_bytes: 1 << 20,
        max_program_size: 2000,
    };
    assert!(compile("(a{30}){30}", roomy).is_ok());
    // Deep nesting costs nothing in RE2's program; the regex crate refuses it without harm.
    let deep = format!("{}a{}", "(?:".repeat(10_000), ")".repeat(10_000));
    assert!(error(&deep).contains("pattern too large"));
}

proptest! {
    #[test]
    fn no_pattern_panics(pattern in r"[a-c0-9()\[\]{}|*+?.^$\\,:\-PpQEdwsxi<>= é]{0,24}") {
        let _ = compile(&pattern, Limits::default());
        let _ = compile(&pattern, Limits { max_mem_bytes: 1 << 16, max_program_size: 1000 });
    }

    #[test]
    fn any_text_quoted_matches_itself(text in "[^\\\\]{0,20}") {
        let regex = compile(&format!("\\Q{text}\\E"), WIDE).unwrap();
        prop_assert!(regex.is_match(&text));
    }

    #[test]
    fn any_characters_in_a_class_match_themselves(text in "[a-z0-9&~\\[é.]{1,8}") {
        let regex = compile(&format!("[{text}]+"), WIDE);
        // `[:` may start the name of a class; there is no colon here, so it never does.
        prop_assert!(regex.unwrap().is_match(&text));
    }
}
