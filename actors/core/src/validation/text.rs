//! Prints numbers, sets and sizes the way Mesos prints them inside its messages.
//! Knows nothing about what is printed.

use std::collections::BTreeSet;

/// Significant digits of a C++ stream's default number format (`%g`).
const DIGITS: i32 = 6;

/// A number as a C++ stream writes it: six significant digits, exponent when it is short of that.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_string();
    }
    if value == 0.0 {
        return "0".to_string();
    }
    let rounded = format!("{:.*e}", (DIGITS - 1) as usize, value);
    let Some((mantissa, exponent)) = rounded.split_once('e') else {
        return rounded;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let decimals = (DIGITS - 1 - exponent).max(0) as usize;
        return trim_zeros(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "{}e{sign}{:02}",
        trim_zeros(mantissa),
        exponent.unsigned_abs()
    )
}

/// A set as Mesos writes it, `{ a, b }`, in order.
pub(super) fn set(items: &BTreeSet<&str>) -> String {
    let items: Vec<&str> = items.iter().copied().collect();
    format!("{{ {} }}", items.join(", "))
}

/// A whole number of megabytes in the largest unit that loses nothing, e.g. `32MB` or `1GB`.
pub(super) fn megabytes(count: u64) -> String {
    const UNITS: [&str; 3] = ["MB", "GB", "TB"];
    if count == 0 {
        return "0B".to_string();
    }
    let mut count = count;
    let mut unit = 0;
    while unit + 1 < UNITS.len() && count.is_multiple_of(1024) {
        count /= 1024;
        unit += 1;
    }
    format!("{count}{}", UNITS.get(unit).copied().unwrap_or("TB"))
}

fn trim_zeros(text: &str) -> String {
    if !text.contains('.') {
        return text.to_string();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
