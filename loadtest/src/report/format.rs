//! Numbers and text as readers see them.
//! Lays nothing out.

use super::Run;

/// Shown where there is no number.
pub const NONE: &str = "–";

/// A whole number with commas between thousands.
pub fn count(number: u64) -> String {
    with_commas(&number.to_string())
}

/// A number with about four digits that matter and commas between thousands.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return NONE.into();
    }
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-6..1e15).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits_before = size.log10().floor() as i32 + 1;
    let decimals = if digits_before > 0 {
        4 - digits_before
    } else {
        3 - digits_before
    };
    let text = format!("{value:.*}", decimals.max(0) as usize);
    with_commas(without_zeros(&text))
}

/// Microseconds as milliseconds, without the unit.
pub fn milliseconds(us: u64) -> String {
    let ms = us as f64 / 1e3;
    let decimals = match us {
        0..10_000 => 3,
        10_000..100_000 => 2,
        100_000..1_000_000_000_000 => 1,
        // More than a decade: certainly a mistake, but it must not tear the columns apart.
        _ => return format!("{ms:.2e}"),
    };
    with_commas(&format!("{ms:.decimals$}"))
}

/// A number at a tick; neighbouring ticks are a step apart and get different texts.
pub fn tick(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let exponent = step.log10().floor();
    if !(1e-6..1e15).contains(&step) || value.abs() >= 1e15 {
        let digits = (value.abs().log10().floor() - exponent).max(0.0);
        return format!("{value:.*e}", digits as usize);
    }
    let (unit, suffix) = match step {
        1e12.. => (1e12, "T"),
        1e9.. => (1e9, "G"),
        1e6.. => (1e6, "M"),
        _ => (1.0, ""),
    };
    let decimals = (-exponent).max(0.0) as usize;
    with_commas(&format!("{:.decimals$}", value / unit)) + suffix
}

/// Text for HTML and SVG, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML forbids most of them, and none means anything here.
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The text, or its beginning and an ellipsis if it has more letters than `most`.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

/// The parameters of a run as `name=value` texts.
pub fn parameters(run: &Run) -> Vec<String> {
    let pairs = run.parameters.iter();
    pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// The text followed by its unit, if it has one.
pub fn with_unit(text: &str, unit: &str) -> String {
    format!("{text} {unit}").trim_end().into()
}

/// Puts commas into the digits before the point.
fn with_commas(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits = whole.trim_start_matches('-');
    let mut grouped = whole[..whole.len() - digits.len()].to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Removes zeros that end a fraction.
fn without_zeros(text: &str) -> &str {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        let cases = [
            (9800.0, "9,800"),
            (1_234_567.8, "1,234,568"),
            (120.5, "120.5"),
            (2.5, "2.5"),
            (999.96, "1,000"),
            (-12345.0, "-12,345"),
            (0.012345, "0.0123"),
            (0.0, "0"),
            (1.5e-9, "1.50e-9"),
            (f64::NAN, NONE),
            (f64::INFINITY, NONE),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn milliseconds_keep_microseconds_while_they_matter() {
        assert_eq!(milliseconds(0), "0.000");
        assert_eq!(milliseconds(35), "0.035");
        assert_eq!(milliseconds(12_345), "12.35");
        assert_eq!(milliseconds(1_234_567), "1,234.6");
        assert_eq!(milliseconds(u64::MAX), "1.84e16");
    }

    #[test]
    fn ticks_a_step_apart_read_differently() {
        assert_eq!(tick(0.30000000000000004, 0.1), "0.3");
        assert_eq!(tick(1500.0, 500.0), "1,500");
        assert_eq!(tick(2e7, 1e7), "20M");
        assert_eq!(tick(2.5e7, 5e6), "25M");
        assert_eq!(tick(1.21e-7, 1e-9), "1.21e-7");
    }

    #[test]
    fn long_text_is_shortened_by_letters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }

    #[test]
    fn nothing_that_opens_a_tag_or_ends_an_attribute_survives() {
        assert_eq!(
            escape("<a b=\"c\" d='e'>&\u{0}"),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp; "
        );
    }
}
