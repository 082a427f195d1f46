//! Places values along an axis and picks ticks.
//! Draws nothing.

use super::format;

/// How an axis spreads values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Evenly.
    Linear,
    /// By their logarithm. Only positive values can be shown.
    Log,
    /// Quantiles from 0 to below 1, by the logarithm of 1 / (1 - quantile).
    Percentile,
}

/// A marked value.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// The value.
    pub value: f64,
    /// The value as text.
    pub label: String,
}

/// An axis fitted to values.
#[derive(Debug)]
pub struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    /// Ticks, ascending.
    pub ticks: Vec<Tick>,
}

impl Scale {
    /// An axis that shows all values that can be shown, with about this many ticks.
    pub fn new(kind: Kind, values: impl Iterator<Item = f64>, about: usize) -> Scale {
        let shown = values.filter(|value| kind.spread(*value).is_some());
        let range = shown.fold(None, |range, value| match range {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        });
        let ticks = match kind {
            Kind::Linear => linear(from_zero(range.unwrap_or((0.0, 0.0))), about),
            Kind::Log => logarithmic(range.unwrap_or((1.0, 10.0)), about),
            Kind::Percentile => percentiles(range.map_or(0.0, |(_, high)| high)),
        };
        let ends = ticks.first().zip(ticks.last());
        let (low, high) = ends.map_or((0.0, 1.0), |(first, last)| (first.value, last.value));
        let mut high = kind.spread(high).unwrap_or(1.0);
        if let (Kind::Percentile, Some((_, last))) = (kind, range) {
            // The axis ends with the data: a whole decade of emptiness would waste the space.
            high = high.max(kind.spread(last).unwrap_or(high));
        }
        Scale {
            kind,
            low: kind.spread(low).unwrap_or(0.0),
            high,
            ticks,
        }
    }

    /// Where on the axis a value lies, 0 to 1. None if it cannot be shown.
    pub fn place(&self, value: f64) -> Option<f64> {
        let spread = self.kind.spread(value)?;
        Some((spread - self.low) / (self.high - self.low))
    }
}

impl Kind {
    /// The value in the measure that the axis is even in.
    fn spread(self, value: f64) -> Option<f64> {
        // Beyond these, differences overflow or lose all digits. No figure comes near.
        let bearable = value == 0.0 || (1e-290..1e290).contains(&value.abs());
        match self {
            _ if !bearable => None,
            Kind::Linear => Some(value),
            Kind::Log if value > 0.0 => Some(value.log10()),
            Kind::Percentile if (0.0..1.0).contains(&value) => Some(-(1.0 - value).log10()),
            Kind::Log | Kind::Percentile => None,
        }
    }
}

/// A range that begins at zero unless that would squeeze the values into less than half of it.
fn from_zero((low, high): (f64, f64)) -> (f64, f64) {
    if low > 0.0 && low <= high / 2.0 {
        return (0.0, high);
    }
    if high < 0.0 && high >= low / 2.0 {
        return (low, 0.0);
    }
    (low, high)
}

/// Multiples of 1, 2 or 5 times a power of ten; the first and last enclose the range.
fn linear((low, high): (f64, f64), about: usize) -> Vec<Tick> {
    let size = low.abs().max(high.abs());
    if size == 0.0 {
        return linear((0.0, 1.0), about);
    }
    if high - low <= size * 1e-9 {
        // A constant: it is shown against zero.
        return linear((low.min(0.0), high.max(0.0)), about);
    }
    let (mantissa, exponent) = step_of((high - low) / about.max(1) as f64);
    // Dividing by a power of ten is exact where multiplying by its inverse is not.
    let multiple = |count: i64| match exponent {
        ..0 => (count * mantissa) as f64 / 10_f64.powi(-exponent),
        _ => (count * mantissa) as f64 * 10_f64.powi(exponent),
    };
    let step = multiple(1);
    // A bound on a tick, but for rounding, needs no further tick.
    let first = (low / step + 1e-6).floor() as i64;
    let last = (high / step - 1e-6).ceil() as i64;
    let tick = |count| Tick {
        value: multiple(count),
        label: format::tick(multiple(count), step),
    };
    (first..=last).map(tick).collect()
}

/// The least of 1, 2 or 5 times a power of ten that is no less than the size.
fn step_of(size: f64) -> (i64, i32) {
    let exponent = size.log10().floor() as i32;
    let fraction = size / 10_f64.powi(exponent);
    match fraction {
        ..1.0001 => (1, exponent),
        ..2.0001 => (2, exponent),
        ..5.0001 => (5, exponent),
        _ => (1, exponent + 1),
    }
}

/// Ticks for a positive range on a logarithmic axis; the first and last enclose it.
fn logarithmic((low, high): (f64, f64), about: usize) -> Vec<Tick> {
    if high / low > 1.0 + 1e-6 && high / low <= 3.0 {
        // Powers of ten are too coarse for this.
        return linear((low, high), about.min(5));
    }
    let decades = (high / low).log10();
    let mantissas: &[i64] = if decades <= 3.0 { &[1, 2, 5] } else { &[1] };
    let every = (decades / about.max(1) as f64).ceil().max(1.0) as usize;
    let (from, to) = (
        low.log10().floor() as i32 - 1,
        high.log10().ceil() as i32 + 1,
    );
    let candidates = (from..=to).step_by(every);
    let candidates = candidates.flat_map(|exponent| {
        mantissas.iter().map(move |mantissa| match exponent {
            ..0 => *mantissa as f64 / 10_f64.powi(-exponent),
            _ => *mantissa as f64 * 10_f64.powi(exponent),
        })
    });
    // Overlong steps may end before the range does, hence one more beyond `to`.
    let beyond = 10_f64.powi(to + every as i32);
    let candidates: Vec<f64> = candidates.chain([beyond]).collect();
    let apart = if high == low { 1e-6 } else { -1e-6 };
    let below = |value: &&f64| **value <= low * (1.0 - apart);
    let above = |value: &&f64| **value >= high * (1.0 + apart);
    let first = candidates.iter().rev().find(below).copied().unwrap_or(low);
    let last = candidates.iter().find(above).copied().unwrap_or(high);
    let within = candidates
        .into_iter()
        .filter(|value| (first..=last).contains(value));
    let label = |value: f64| match value {
        1e-6..1e15 => format::tick(value, 10_f64.powf(value.log10().floor())),
        _ => format!("{value:.0e}"),
    };
    within
        .map(|value| Tick {
            value,
            label: label(value),
        })
        .collect()
}

/// The percentiles people name, up to the highest quantile and at least to 90%.
fn percentiles(highest: f64) -> Vec<Tick> {
    let named = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
    let labels = [
        "0%", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%",
    ];
    let ticks = named.into_iter().zip(labels);
    let ticks = ticks.filter(|(quantile, _)| *quantile <= highest.max(0.9));
    ticks
        .map(|(value, label)| Tick {
            value,
            label: label.into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(ticks: &[Tick]) -> Vec<f64> {
        ticks.iter().map(|tick| tick.value).collect()
    }

    /// Asserts that ticks ascend, differ in text and enclose the values.
    fn check(kind: Kind, data: &[f64]) -> Scale {
        let scale = Scale::new(kind, data.iter().copied(), 7);
        let ticks = &scale.ticks;
        assert!((2..=16).contains(&ticks.len()), "{data:?}: {ticks:?}");
        for pair in ticks.windows(2) {
            assert!(pair[0].value < pair[1].value, "{data:?}: {ticks:?}");
            assert_ne!(pair[0].label, pair[1].label, "{data:?}");
        }
        for place in data.iter().filter_map(|value| scale.place(*value)) {
            assert!(
                (-1e-5..=1.00001).contains(&place),
                "{data:?}: {place}, {ticks:?}"
            );
        }
        scale
    }

    #[test]
    fn ticks_ascend_and_enclose_any_data() {
        let cases: [&[f64]; 15] = [
            &[68.0, 97.0],
            &[0.0, 97.0],
            &[3.0, 61.3, 12.0],
            &[-5.0, 5.0],
            &[-900.0, -870.0],
            &[42.0, 42.0],
            &[-7.0],
            &[0.0, 0.0],
            &[1e-12, 3e-12],
            &[1e-280, 2e-280],
            &[1e15, 1e15 + 1.0],
            &[1_000_000.0, 1_000_001.0],
            &[-1e200, 1e200],
            &[
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MAX,
                3.0,
                9.0,
            ],
            &[],
        ];
        for data in cases {
            check(Kind::Linear, data);
        }
        let cases: [&[f64]; 12] = [
            &[10.0, 20.0, 40.0, 80.0],
            &[100.0, 130.0],
            &[1.0, 3.0],
            &[100.0],
            &[7.0, 7.0],
            &[0.001, 5000.0],
            &[1e-9, 1e9],
            &[1e-200, 1e200],
            &[99.0, 101.0, 5e4],
            &[0.0, -1.0],
            &[f64::NAN, f64::INFINITY, 0.0, 3.0, 900.0],
            &[],
        ];
        for data in cases {
            check(Kind::Log, data);
        }
        check(Kind::Percentile, &[0.0, 0.5, 0.99]);
        check(Kind::Percentile, &[0.0, f64::NAN, 1.0, 2.0]);
        check(Kind::Percentile, &[]);
    }

    #[test]
    fn linear_ticks_are_nice() {
        let scale = check(Kind::Linear, &[0.0, 0.97]);
        assert_eq!(values(&scale.ticks), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        let scale = check(Kind::Linear, &[0.1, 0.3]);
        assert_eq!(scale.ticks[3].label, "0.15");
    }

    #[test]
    fn an_axis_begins_at_zero_unless_that_hides_the_values() {
        assert_eq!(check(Kind::Linear, &[30.0, 70.0]).ticks[0].value, 0.0);
        assert_eq!(check(Kind::Linear, &[60.0, 70.0]).ticks[0].value, 60.0);
        assert_eq!(check(Kind::Linear, &[70.0, 70.0]).ticks[0].value, 0.0);
    }

    #[test]
    fn logarithmic_ticks_are_nice() {
        let scale = check(Kind::Log, &[10.0, 80.0]);
        assert_eq!(values(&scale.ticks), [10.0, 20.0, 50.0, 100.0]);
        let scale = check(Kind::Log, &[0.01, 1000.0]);
        assert_eq!(values(&scale.ticks), [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]);
        let scale = check(Kind::Log, &[100.0]);
        assert_eq!(values(&scale.ticks), [50.0, 100.0, 200.0]);
    }

    #[test]
    fn each_nine_is_as_wide_as_the_last() {
        let scale = check(Kind::Percentile, &[0.0, 0.999]);
        let place = |quantile| scale.place(quantile).unwrap();
        assert!((place(0.9) - 1.0 / 3.0).abs() < 1e-9);
        assert!((place(0.99) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(scale.place(1.0), None);
    }

    #[test]
    fn what_cannot_be_shown_has_no_place() {
        let scale = Scale::new(Kind::Log, [1.0, 10.0].into_iter(), 5);
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(scale.place(value), None);
        }
        assert_eq!(scale.place(10.0), Some(1.0));
    }
}
