//! The three kinds of amounts: scalars in thousandths, coalesced ranges, sets; and their text.
//! Knows nothing of names, reservations or roles.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Inclusive ranges, sorted, without overlap or touching neighbours.
pub type Ranges = Arc<[(u64, u64)]>;

/// How much there is of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// Thousandths of a unit: Mesos keeps three decimals.
    Scalar(i64),
    /// E.g. port numbers.
    Ranges(Ranges),
    /// Distinct items in the order they were given.
    Set(Arc<[Arc<str>]>),
}

impl Amount {
    /// True for zero, no range, no item.
    pub fn is_empty(&self) -> bool {
        match self {
            Amount::Scalar(milli) => *milli == 0,
            Amount::Ranges(ranges) => ranges.is_empty(),
            Amount::Set(items) => items.is_empty(),
        }
    }

    /// Whether both are of one kind.
    pub fn same_kind(&self, other: &Amount) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Equality that ignores the order of set items.
    pub fn equals(&self, other: &Amount) -> bool {
        match (self, other) {
            (Amount::Set(a), Amount::Set(b)) => a.len() == b.len() && self.contains(other),
            _ => self == other,
        }
    }

    /// Whether `other` is part of `self`; false for different kinds.
    pub fn contains(&self, other: &Amount) -> bool {
        match (self, other) {
            (Amount::Scalar(a), Amount::Scalar(b)) => b <= a,
            (Amount::Ranges(a), Amount::Ranges(b)) => ranges_contain(a, b),
            (Amount::Set(a), Amount::Set(b)) => b.iter().all(|item| a.contains(item)),
            _ => false,
        }
    }

    /// Adds `other`; different kinds are left as they are.
    pub fn add(&mut self, other: &Amount) {
        match (&mut *self, other) {
            (Amount::Scalar(a), Amount::Scalar(b)) => *a = a.saturating_add(*b),
            (Amount::Ranges(a), Amount::Ranges(b)) => {
                *a = coalesce(a.iter().chain(b.iter()).copied().collect());
            }
            (Amount::Set(a), Amount::Set(b)) => {
                let fresh = b.iter().filter(|item| !a.contains(item)).cloned();
                *a = a.iter().cloned().chain(fresh).collect();
            }
            _ => {}
        }
    }

    /// Takes `other` away; a scalar does not go below zero.
    pub fn subtract(&mut self, other: &Amount) {
        match (&mut *self, other) {
            (Amount::Scalar(a), Amount::Scalar(b)) => *a = a.saturating_sub(*b).max(0),
            (Amount::Ranges(a), Amount::Ranges(b)) => *a = subtract_ranges(a, b),
            (Amount::Set(a), Amount::Set(b)) => {
                *a = a.iter().filter(|item| !b.contains(item)).cloned().collect();
            }
            _ => {}
        }
    }

    /// How many units there are, in thousandths: each number of a range and each item counts one.
    pub fn count_milli(&self) -> i64 {
        let thousandfold = |n: u128| i64::try_from(n.saturating_mul(1000)).unwrap_or(i64::MAX);
        match self {
            Amount::Scalar(milli) => *milli,
            Amount::Ranges(ranges) => {
                thousandfold(ranges.iter().map(|(b, e)| u128::from(e - b) + 1).sum())
            }
            Amount::Set(items) => thousandfold(items.len() as u128),
        }
    }
}

/// Thousandths of a scalar as Mesos rounds it: half away from zero.
///
/// Numbers that have no such form (not a number, infinite, beyond 64 bits) give the smallest
/// integer, as they do in Mesos, so that they fail the test for positive values.
pub fn to_milli(value: f64) -> i64 {
    let scaled = (value * 1000.0).round();
    // The bounds are the largest doubles that an i64 holds exactly on either side.
    if scaled.is_finite() && scaled.abs() < 9.2e18 {
        scaled as i64
    } else {
        i64::MIN
    }
}

/// The double that Mesos makes of thousandths.
pub fn from_milli(milli: i64) -> f64 {
    (milli / 1000) as f64 + (milli % 1000) as f64 / 1000.0
}

/// Writes thousandths as Mesos prints a scalar: up to 15 significant digits, no trailing zeros.
pub fn format_milli(milli: i64) -> String {
    const DIGITS: i32 = 15;
    let value = from_milli(milli);
    if value == 0.0 {
        return "0".to_owned();
    }
    // `{:e}` rounds to the digits first, so the exponent is the one of the rounded number.
    let scientific = format!("{:.*e}", (DIGITS - 1) as usize, value);
    let (mantissa, exponent) = scientific
        .split_once('e')
        .unwrap_or((scientific.as_str(), "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent >= DIGITS {
        return format!("{}e+{exponent:02}", trim_zeros(mantissa));
    }
    let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
    trim_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn trim_zeros(number: &str) -> &str {
    if !number.contains('.') {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.')
}

/// Sorts ranges and joins those that overlap or touch; every begin must not exceed its end.
pub fn coalesce(mut ranges: Vec<(u64, u64)>) -> Ranges {
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (begin, end) in ranges {
        match joined.last_mut() {
            Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => joined.push((begin, end)),
        }
    }
    joined.into()
}

fn ranges_contain(outer: &[(u64, u64)], inner: &[(u64, u64)]) -> bool {
    inner.iter().all(|(begin, end)| {
        outer
            .binary_search_by(|(b, e)| match (b > begin, e < begin) {
                (true, _) => Ordering::Greater,
                (_, true) => Ordering::Less,
                _ => Ordering::Equal,
            })
            .is_ok_and(|at| outer[at].1 >= *end)
    })
}

fn subtract_ranges(from: &[(u64, u64)], gone: &[(u64, u64)]) -> Ranges {
    let mut left = Vec::with_capacity(from.len());
    let mut gone = gone.iter().copied().peekable();
    for &(mut begin, end) in from {
        let mut used_up = false;
        while let Some(&(gone_begin, gone_end)) = gone.peek() {
            if gone_end < begin {
                gone.next();
                continue;
            }
            if gone_begin > end {
                break;
            }
            if gone_begin > begin {
                left.push((begin, gone_begin - 1));
            }
            if gone_end >= end {
                used_up = true;
                break;
            }
            begin = gone_end + 1;
        }
        if !used_up {
            left.push((begin, end));
        }
    }
    left.into()
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Scalar(milli) => f.write_str(&format_milli(*milli)),
            Amount::Ranges(ranges) => write_ranges(f, ranges.iter().copied()),
            Amount::Set(items) => write_set(f, items.iter().map(|item| item.as_ref())),
        }
    }
}

/// Writes `[1-2, 4-9]`.
pub(super) fn write_ranges(
    f: &mut impl fmt::Write,
    ranges: impl Iterator<Item = (u64, u64)>,
) -> fmt::Result {
    f.write_char('[')?;
    for (i, (begin, end)) in ranges.enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{begin}-{end}")?;
    }
    f.write_char(']')
}

/// Writes `{a, b}`.
pub(super) fn write_set<'a>(
    f: &mut impl fmt::Write,
    items: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    f.write_char('{')?;
    for (i, item) in items.enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    f.write_char('}')
}

/// A value as Mesos's text grammar knows it, before it becomes a resource or an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum TextValue {
    /// A number.
    Scalar(f64),
    /// `[a-b,c-d]`, coalesced.
    Ranges(Vec<(u64, u64)>),
    /// `{a,b}`.
    Set(Vec<String>),
    /// Anything else.
    Text(String),
}

impl TextValue {
    /// Reads one value; the error texts are Mesos's.
    pub fn parse(text: &str) -> Result<TextValue, String> {
        let text = text.replace(' ', "");
        if text.is_empty() {
            return Err("Expecting non-empty string".to_owned());
        }
        let brackets = [('{', '}'), ('[', ']'), ('(', ')')];
        if !brackets
            .iter()
            .all(|(open, close)| brackets_match(&text, *open, *close))
        {
            return Err("Mismatched brackets".to_owned());
        }
        match (text.find('['), text.find('{')) {
            (Some(0), _) => parse_ranges(&text),
            (Some(_), _) => Err("Unexpected '[' found".to_owned()),
            (None, Some(0)) => Ok(TextValue::Set(
                text.split(['{', '}', ',', '\n'])
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            )),
            (None, Some(_)) => Err("Unexpected '{' found".to_owned()),
            (None, None) => parse_scalar_or_text(text),
        }
    }
}

fn brackets_match(text: &str, open: char, close: char) -> bool {
    let mut depth = 0_i64;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

fn parse_ranges(text: &str) -> Result<TextValue, String> {
    let tokens: Vec<&str> = text
        .split(['[', ']', '-', ',', '\n'])
        .filter(|token| !token.is_empty())
        .collect();
    if !tokens.len().is_multiple_of(2) {
        return Err("Expecting one or more \"ranges\"".to_owned());
    }
    let mut ranges = Vec::with_capacity(tokens.len() / 2);
    for pair in tokens.chunks_exact(2) {
        let (Ok(begin), Ok(end)) = (pair[0].parse(), pair[1].parse()) else {
            return Err(format!("Expecting non-negative integers in '{}'", pair[0]));
        };
        ranges.push((begin, end));
    }
    // Coalescing needs ordered ends; inverted ranges are kept for validation to reject.
    if ranges.iter().all(|(begin, end)| begin <= end) {
        ranges = coalesce(ranges).to_vec();
    }
    Ok(TextValue::Ranges(ranges))
}

fn parse_scalar_or_text(text: String) -> Result<TextValue, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_subnormal() => Err("Subnormal values not supported".to_owned()),
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(TextValue::Scalar(value)),
        // Mesos takes negative and non-finite numbers for text.
        _ => Ok(TextValue::Text(text)),
    }
}
