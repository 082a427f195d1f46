//! Durations and sizes in Mesos's text form (`10secs`, `1.5mins`, `4KB`).
//! Knows nothing of flags.

use std::time::Duration;

/// Units of time with their nanoseconds, largest first.
const TIME_UNITS: [(&str, u64); 8] = [
    ("weeks", 604_800_000_000_000),
    ("days", 86_400_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("mins", 60_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size with their bytes, largest first.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("KB", 1 << 10),
    ("B", 1),
];

/// The longest duration Mesos can hold, in nanoseconds.
const MAX_NANOS: f64 = i64::MAX as f64;

/// Reads a number and a unit, such as `10secs` or `1.5mins`. Negative durations do not exist.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, factor) = TIME_UNITS.into_iter().find(|(name, _)| *name == unit)?;
    if let Ok(whole) = number.parse::<u64>() {
        let nanos = whole
            .checked_mul(factor)
            .filter(|nanos| i64::try_from(*nanos).is_ok())?;
        return Some(Duration::from_nanos(nanos));
    }
    let nanos = number.parse::<f64>().ok()? * factor as f64;
    (nanos < MAX_NANOS).then(|| Duration::from_nanos(nanos as u64))
}

/// Writes a duration as Mesos does: in the largest unit not longer than it, or one unit below when
/// only that one makes the number whole.
pub fn format_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let fit = TIME_UNITS.iter().position(|(_, factor)| nanos >= *factor);
    let mut index = fit.unwrap_or(TIME_UNITS.len() - 1);
    if let (Some((_, factor)), Some((_, below))) =
        (TIME_UNITS.get(index), TIME_UNITS.get(index + 1))
        && nanos % factor != 0
        && nanos % below == 0
    {
        index += 1;
    }
    match TIME_UNITS.get(index) {
        Some((unit, factor)) if nanos % factor == 0 => format!("{}{unit}", nanos / factor),
        Some((unit, factor)) => format!("{}{unit}", nanos as f64 / *factor as f64),
        None => format!("{nanos}ns"),
    }
}

/// Reads a whole number and a unit, such as `4KB`; units may be written in small letters.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = unit.to_ascii_uppercase();
    let (_, factor) = SIZE_UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a size as Mesos does: in the largest unit that makes it a whole number.
pub fn format_bytes(bytes: u64) -> String {
    let fit = SIZE_UNITS
        .iter()
        .find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    fit.map_or_else(
        || format!("{bytes}B"),
        |(unit, factor)| format!("{}{unit}", bytes / factor),
    )
}

/// Splits a text behind its leading digits and dots.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    (end > 0).then(|| text.split_at(end))
}
