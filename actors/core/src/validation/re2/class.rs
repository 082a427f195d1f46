//! Parses escapes and character classes by RE2's rules and writes them for the regex crate.
//! RE2's `\d`, `\s` and `\w` are ASCII, and `[` or `&&` inside a class are plain characters.

use std::fmt::Write;

use regex::Regex;

use super::parser::Size;

/// A class of every character.
pub(super) const ANYTHING: &str = r"[\x{0}-\x{10FFFF}]";

/// A class of no character.
pub(super) const NEVER: &str = r"[^\x{0}-\x{10FFFF}]";

/// Instructions of RE2's `.`: two ASCII ranges and all of UTF-8's longer sequences.
pub(super) const DOT_SIZE: Size = Size::new(8, 4);

/// Rough instructions of a Unicode general category like `\pL`, many ranges each.
const CATEGORY_STEPS: u64 = 150;

/// Rough instructions of a Unicode script like `\p{Greek}`.
const SCRIPT_STEPS: u64 = 60;

const LAST: u32 = 0x10_FFFF;
const DIGIT: &[(u32, u32)] = &[(0x30, 0x39)];
const SPACE: &[(u32, u32)] = &[(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)];
const WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)];

/// The names that may stand in `[[:name:]]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// A class that RE2 accepts.
#[derive(Debug)]
pub(super) struct Class {
    /// The same class for the regex crate.
    pub pattern: String,
    /// RE2's instructions for it.
    pub size: Size,
}

/// Parses `[...]`, which `rest` starts with.
pub(super) fn parse_brackets(rest: &mut &str) -> Result<Class, String> {
    let whole = *rest;
    let mut set = Set::default();
    *rest = rest.strip_prefix('[').unwrap_or(rest);
    let negated = rest.starts_with('^');
    *rest = rest.strip_prefix('^').unwrap_or(rest);
    let mut first = true;
    // A `]` that comes first is a plain character.
    while !rest.is_empty() && (first || !rest.starts_with(']')) {
        first = false;
        set.parse_one(rest, whole)?;
    }
    let Some(after) = rest.strip_prefix(']') else {
        return Err(missing_bracket(whole));
    };
    *rest = after;
    Ok(set.finish(negated))
}

/// Parses `\d`, `\S`, `\pN`, `\p{Greek}` and the like; `None` when it is no such escape.
pub(super) fn parse_escape_class(rest: &mut &str) -> Result<Option<Class>, String> {
    let mut set = Set::default();
    match set.parse_named(rest)? {
        true => Ok(Some(set.finish(false))),
        false => Ok(None),
    }
}

/// Parses an escaped character; `None` for a surrogate, which no text contains.
pub(super) fn parse_escape(rest: &mut &str) -> Result<Option<char>, String> {
    parse_code(rest).map(char::from_u32)
}

/// Writes one character so that it means itself wherever it stands.
pub(super) fn push_char(out: &mut String, literal: char) {
    if literal.is_ascii_alphanumeric() {
        out.push(literal);
        return;
    }
    // Writing to a string cannot fail.
    let _ = write!(out, "\\x{{{:X}}}", u32::from(literal));
}

/// A class while it is parsed.
#[derive(Debug, Default)]
struct Set {
    /// Its items for the regex crate.
    items: String,
    /// Its ranges, for counting.
    ranges: Vec<(u32, u32)>,
    /// Instructions of Unicode groups, whose ranges are not known here.
    groups: u64,
}

impl Set {
    fn parse_one(&mut self, rest: &mut &str, whole: &str) -> Result<(), String> {
        if self.parse_posix(rest)? || self.parse_named(rest)? {
            return Ok(());
        }
        let start = *rest;
        let low = parse_class_char(rest, whole)?;
        let mut high = low;
        let is_range = rest.len() >= 2 && !rest.starts_with("-]");
        if let Some(after) = rest.strip_prefix('-').filter(|_| is_range) {
            *rest = after;
            high = parse_class_char(rest, whole)?;
        }
        if high < low {
            return Err(bad_range(consumed(start, rest)));
        }
        self.push_range(low, high);
        Ok(())
    }

    /// `[:alpha:]` inside a class; without its closing `:]` it is not one.
    fn parse_posix(&mut self, rest: &mut &str) -> Result<bool, String> {
        let Some(inner) = rest.strip_prefix("[:") else {
            return Ok(false);
        };
        let Some((name, after)) = inner.split_once(":]") else {
            return Ok(false);
        };
        let text = consumed(rest, after);
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(bad_range(text));
        }
        self.items.push_str(text);
        // Between one and four ranges; with `^` as many again and what is not ASCII.
        self.groups += if name.starts_with('^') { 10 } else { 3 };
        *rest = after;
        Ok(true)
    }

    /// `\d` and its like, and Unicode groups.
    fn parse_named(&mut self, rest: &mut &str) -> Result<bool, String> {
        let Some(escaped) = rest.strip_prefix('\\') else {
            return Ok(false);
        };
        let (ranges, negated) = match escaped.chars().next() {
            Some('d') => (DIGIT, false),
            Some('D') => (DIGIT, true),
            Some('s') => (SPACE, false),
            Some('S') => (SPACE, true),
            Some('w') => (WORD, false),
            Some('W') => (WORD, true),
            Some('p' | 'P') if escaped.len() > 1 => return self.parse_group(rest).map(|()| true),
            _ => return Ok(false),
        };
        *rest = escaped.get(1..).unwrap_or("");
        self.items.push_str(if negated { "[^" } else { "[" });
        for (low, high) in ranges {
            push_range(&mut self.items, *low, *high);
        }
        self.items.push(']');
        match negated {
            true => self.ranges.extend(complement(ranges)),
            false => self.ranges.extend_from_slice(ranges),
        }
        Ok(true)
    }

    /// `\pL`, `\p{Greek}`, `\P{^Greek}`.
    fn parse_group(&mut self, rest: &mut &str) -> Result<(), String> {
        let start = *rest;
        let mut negated = start.starts_with(r"\P");
        let body = start.get(2..).unwrap_or("");
        let (name, after) = match body.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| bad_range(start))?,
            None => {
                let length = body.chars().next().map_or(0, char::len_utf8);
                body.split_at_checked(length).unwrap_or((body, ""))
            }
        };
        *rest = after;
        let plain = name.strip_prefix('^');
        negated ^= plain.is_some();
        let plain = plain.unwrap_or(name);
        if !is_unicode_group(plain) {
            return Err(bad_range(consumed(start, after)));
        }
        let letter = if negated { 'P' } else { 'p' };
        let _ = write!(self.items, "\\{letter}{{{plain}}}");
        self.groups += match plain.len() {
            1 | 2 => CATEGORY_STEPS,
            _ => SCRIPT_STEPS,
        };
        Ok(())
    }

    /// Surrogates cannot occur in a text, so a range may leave them out.
    fn push_range(&mut self, low: u32, high: u32) {
        self.ranges.push((low, high));
        let surrogates = 0xD800..=0xDFFF;
        let low = if surrogates.contains(&low) {
            0xE000
        } else {
            low
        };
        let high = if surrogates.contains(&high) {
            0xD7FF
        } else {
            high
        };
        if low <= high {
            push_range(&mut self.items, low, high);
        }
    }

    fn finish(mut self, negated: bool) -> Class {
        if negated {
            self.ranges = complement(&self.ranges);
        }
        let size = ranges_size(&self.ranges).plus(Size::new(self.groups, 0));
        let pattern = match (self.items.is_empty(), negated) {
            (true, false) => NEVER.to_string(),
            (true, true) => ANYTHING.to_string(),
            (false, false) => format!("[{}]", self.items),
            (false, true) => format!("[^{}]", self.items),
        };
        Class { pattern, size }
    }
}

fn parse_class_char(rest: &mut &str, whole: &str) -> Result<u32, String> {
    let Some(first) = rest.chars().next() else {
        return Err(missing_bracket(whole));
    };
    if first == '\\' {
        return parse_code(rest);
    }
    *rest = rest.get(first.len_utf8()..).unwrap_or("");
    Ok(u32::from(first))
}

/// Parses an escape, which `rest` starts with, into a code point.
fn parse_code(rest: &mut &str) -> Result<u32, String> {
    let start = *rest;
    let mut chars = start.chars();
    chars.next();
    let Some(second) = chars.next() else {
        return Err("trailing \\".to_string());
    };
    let simple = match second {
        'n' => Some(0x0A),
        'r' => Some(0x0D),
        't' => Some(0x09),
        'a' => Some(0x07),
        'f' => Some(0x0C),
        'v' => Some(0x0B),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    *rest = chars.as_str();
    match (simple, second) {
        (Some(code), _) => Ok(code),
        (None, '0'..='7') => parse_octal(start, second, rest),
        (None, 'x') => parse_hex(start, rest),
        _ => Err(bad_escape(start, rest)),
    }
}

/// Up to three octal digits; a single one that is not 0 would be a back reference.
fn parse_octal(start: &str, first: char, rest: &mut &str) -> Result<u32, String> {
    let mut code = first.to_digit(8).unwrap_or(0);
    let mut digits = 1;
    while digits < 3
        && let Some(digit) = rest.chars().next().and_then(|c| c.to_digit(8))
    {
        code = code * 8 + digit;
        digits += 1;
        *rest = rest.get(1..).unwrap_or("");
    }
    match digits {
        1 if first != '0' => Err(bad_escape(start, rest)),
        _ => Ok(code),
    }
}

/// `\x7F` or `\x{10FFFF}`.
fn parse_hex(start: &str, rest: &mut &str) -> Result<u32, String> {
    if let Some(braced) = rest.strip_prefix('{') {
        *rest = braced;
        return parse_braced_hex(start, rest);
    }
    let mut code = 0;
    let mut valid = true;
    for _ in 0..2 {
        let Some(c) = rest.chars().next() else {
            return Err(bad_escape(start, rest));
        };
        *rest = rest.get(c.len_utf8()..).unwrap_or("");
        valid &= c.is_ascii_hexdigit();
        code = code * 16 + c.to_digit(16).unwrap_or(0);
    }
    match valid {
        true => Ok(code),
        false => Err(bad_escape(start, rest)),
    }
}

fn parse_braced_hex(start: &str, rest: &mut &str) -> Result<u32, String> {
    let mut code: u32 = 0;
    let mut digits = 0;
    loop {
        let Some(c) = rest.chars().next() else {
            // RE2 reads on behind the brace and finds no character there.
            return Err(match digits {
                0 => "invalid UTF-8".to_string(),
                _ => bad_escape(start, rest),
            });
        };
        *rest = rest.get(c.len_utf8()..).unwrap_or("");
        match c.to_digit(16) {
            Some(digit) => code = code.saturating_mul(16).saturating_add(digit),
            None if c == '}' && digits > 0 => return Ok(code),
            None => return Err(bad_escape(start, rest)),
        }
        digits += 1;
        if code > LAST {
            return Err(bad_escape(start, rest));
        }
    }
}

/// RE2 knows general categories and scripts by their exact names.
fn is_unicode_group(name: &str) -> bool {
    let letters = name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    let capital = name.starts_with(|c: char| c.is_ascii_uppercase());
    letters && capital && Regex::new(&format!("\\p{{{name}}}")).is_ok()
}

fn push_range(out: &mut String, low: u32, high: u32) {
    let _ = match low == high {
        true => write!(out, "\\x{{{low:X}}}"),
        false => write!(out, "\\x{{{low:X}}}-\\x{{{high:X}}}"),
    };
}

/// What the ranges leave out of all code points.
fn complement(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut left = Vec::new();
    let mut next = 0;
    for (low, high) in merged(ranges) {
        if next < low {
            left.push((next, low - 1));
        }
        next = high + 1;
    }
    if next <= LAST {
        left.push((next, LAST));
    }
    left
}

fn merged(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
    for (low, high) in sorted {
        match merged.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    merged
}

/// RE2 matches bytes: each length of UTF-8 sequence takes its own steps.
fn ranges_size(ranges: &[(u32, u32)]) -> Size {
    const LENGTHS: [(u32, u32, u64); 4] = [
        (0, 0x7F, 1),
        (0x80, 0x7FF, 2),
        (0x800, 0xFFFF, 3),
        (0x1_0000, LAST, 4),
    ];
    let mut steps = 0;
    let mut pieces = 0;
    for (low, high) in merged(ranges) {
        // All that is not ASCII shares its last bytes.
        if low <= 0x80 && high == LAST {
            steps += 6 + u64::from(low < 0x80);
            pieces += 4;
            continue;
        }
        for (first, last, bytes) in LENGTHS {
            if low <= last && first <= high {
                steps += bytes;
                pieces += 1;
            }
        }
    }
    Size::new(steps, u64::saturating_sub(pieces, 1))
}

/// The part of `start` that lies before `rest`, which is its tail.
fn consumed<'a>(start: &'a str, rest: &str) -> &'a str {
    start.get(..start.len() - rest.len()).unwrap_or(start)
}

fn bad_range(text: &str) -> String {
    format!("invalid character class range: {text}")
}

fn bad_escape(start: &str, rest: &str) -> String {
    format!("invalid escape sequence: {}", consumed(start, rest))
}

fn missing_bracket(whole: &str) -> String {
    format!("missing ]: {whole}")
}
