//! Where figures go: under Mesos's keys as `/metrics/snapshot` has them, or as text for Prometheus.
//! Whoever has figures tells them once, under both names; measures nothing itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Arguments, Write as _};

use tepui_core::time::Mono;

use super::text;
use super::timer::{MIN_SAMPLES, PERCENTILES, Timer};

/// Figures by Mesos's keys.
pub type Published = BTreeMap<Cow<'static, str>, f64>;

/// What kind of figures a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers that only grow.
    Counter,
    /// Numbers as they are now.
    Gauge,
    /// Durations.
    Summary,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
        }
    }
}

/// What Prometheus knows figures by; those of one family differ by their labels.
#[derive(Debug)]
pub struct Family {
    /// Its name, in base units.
    pub name: &'static str,
    /// The kind of its figures.
    pub kind: Kind,
    /// What they say.
    pub help: &'static str,
    /// How many base units one of Mesos's units is.
    pub scale: f64,
}

/// A family of numbers that only grow.
pub const fn counter(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Counter,
        help,
        scale: 1.0,
    }
}

/// A family of numbers as they are now.
pub const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        help,
        scale: 1.0,
    }
}

/// A family of durations.
pub const fn summary(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: Kind::Summary,
        help,
        scale: 1.0,
    }
}

impl Family {
    /// The same, where Mesos has other units.
    pub const fn scaled(self, scale: f64) -> Family {
        Family { scale, ..self }
    }
}

/// Labels and their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Takes figures, in Mesos's units.
pub trait Sink {
    /// Takes a figure by its key; one that only Mesos has, as Prometheus sums up by itself.
    fn key(&mut self, key: Arguments<'_>, value: f64);

    /// Takes a figure by its family and labels; one that Mesos does not have.
    fn sample(&mut self, family: &'static Family, labels: Labels<'_>, value: f64);

    /// Takes a figure by both its names.
    fn put(&mut self, key: Arguments<'_>, family: &'static Family, labels: Labels<'_>, value: f64) {
        self.key(key, value);
        self.sample(family, labels, value);
    }

    /// Takes what a timer shows at `now`; `key` ends with `_ms`.
    fn timer(&mut self, key: &'static str, family: &'static Family, timer: &Timer, now: Mono);
}

impl Sink for Published {
    fn key(&mut self, key: Arguments<'_>, value: f64) {
        let key = match key.as_str() {
            Some(key) => Cow::Borrowed(key),
            None => Cow::Owned(key.to_string()),
        };
        self.insert(key, value);
    }

    fn sample(&mut self, _family: &'static Family, _labels: Labels<'_>, _value: f64) {}

    /// The latest value under the key itself, the summary of the window below it. Mesos.
    fn timer(&mut self, key: &'static str, _family: &'static Family, timer: &Timer, now: Mono) {
        let Some(summary) = timer.summary(now) else {
            return;
        };
        let ms = |seconds: f64| seconds * 1000.0;
        self.insert(Cow::Borrowed(key), ms(summary.last));
        if summary.count < MIN_SAMPLES {
            return;
        }
        let mut add =
            |end: &str, value: f64| self.insert(Cow::Owned(format!("{key}/{end}")), value);
        add("count", summary.count as f64);
        add("min", ms(summary.min));
        add("max", ms(summary.max));
        for ((end, _, _), seconds) in PERCENTILES.iter().zip(summary.percentiles) {
            add(end, ms(seconds));
        }
    }
}

/// Collects figures for Prometheus, which wants those of a family together.
#[derive(Debug, Default)]
pub struct Exposition(BTreeMap<&'static str, (&'static Family, String)>);

impl Exposition {
    /// The text of all that was collected.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (family, samples) in self.0.values() {
            // Writing to a string cannot fail.
            let _ = text::family(&mut out, family.name, family.kind.name(), family.help);
            out.push_str(samples);
        }
        out
    }

    fn samples(&mut self, family: &'static Family) -> &mut String {
        let empty = || (family, String::new());
        &mut self.0.entry(family.name).or_insert_with(empty).1
    }
}

impl Sink for Exposition {
    fn key(&mut self, _key: Arguments<'_>, _value: f64) {}

    fn sample(&mut self, family: &'static Family, labels: Labels<'_>, value: f64) {
        let value = value * family.scale;
        // Writing to a string cannot fail.
        let _ = text::sample(self.samples(family), family.name, labels, value);
    }

    fn timer(&mut self, _key: &'static str, family: &'static Family, timer: &Timer, now: Mono) {
        // Prometheus wants to hear of what has not happened yet, too.
        let summary = timer.summary(now).unwrap_or_default();
        let name = family.name;
        let out = self.samples(family);
        // Writing to a string cannot fail.
        for ((_, share, _), seconds) in PERCENTILES.iter().zip(summary.percentiles) {
            let labels = [("quantile", *share)];
            let _ = match summary.count {
                // Prometheus's word for a quantile of nothing.
                0 => text::sample(out, name, &labels, "NaN"),
                _ => text::sample(out, name, &labels, seconds),
            };
        }
        let _ = writeln!(out, "{name}_sum {}", summary.total_sum);
        let _ = writeln!(out, "{name}_count {}", summary.total_count);
    }
}

/// A figure that needs no labels of its own: its key, its family, its labels, and where it is read.
pub type Entry<T> = (
    &'static str,
    &'static Family,
    Labels<'static>,
    fn(&T) -> f64,
);

/// Tells what a table of figures reads of `from`.
pub fn put_all<T>(entries: &[Entry<T>], from: &T, out: &mut impl Sink) {
    for (key, family, labels, read) in entries {
        out.put(format_args!("{key}"), family, labels, read(from));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    static TASKS: Family = gauge("tepui_tasks", "Tasks.");
    static BYTES: Family = gauge("tepui_bytes", "Bytes.").scaled(1024.0);
    static RUN: Family = summary("tepui_run_seconds", "Runs.");

    fn tell(out: &mut impl Sink) {
        out.put(format_args!("a/b"), &TASKS, &[("state", "x")], 2.0);
        out.sample(&BYTES, &[], 3.0);
        out.key(format_args!("a/d"), 4.0);
        out.put(format_args!("a/{}", "c"), &TASKS, &[("state", "y")], 0.5);
        let timer = Timer::new(Duration::from_secs(60));
        timer.record(Mono::default(), Duration::from_millis(250));
        out.timer("run_ms", &RUN, &timer, Mono::default());
    }

    #[test]
    fn the_snapshot_has_mesoss_keys_and_units() {
        let mut published = Published::new();
        tell(&mut published);
        let found: Vec<_> = published
            .iter()
            .map(|(key, value)| (&**key, *value))
            .collect();
        assert_eq!(
            found,
            [("a/b", 2.0), ("a/c", 0.5), ("a/d", 4.0), ("run_ms", 250.0)]
        );
    }

    #[test]
    fn a_timer_without_samples_is_told_to_prometheus_alone() {
        let timer = Timer::new(Duration::from_secs(60));
        let mut published = Published::new();
        published.timer("run_ms", &RUN, &timer, Mono::default());
        assert!(published.is_empty());
        let mut exposition = Exposition::default();
        exposition.timer("run_ms", &RUN, &timer, Mono::default());
        let text = exposition.text();
        assert!(
            text.contains("tepui_run_seconds{quantile=\"0.5\"} NaN\n"),
            "{text}"
        );
        let end = "tepui_run_seconds_sum 0\ntepui_run_seconds_count 0\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn the_text_has_families_in_base_units() {
        let mut exposition = Exposition::default();
        tell(&mut exposition);
        let text = exposition.text();
        let begin = "# HELP tepui_bytes Bytes.\n# TYPE tepui_bytes gauge\ntepui_bytes 3072\n\
                     # HELP tepui_run_seconds Runs.\n# TYPE tepui_run_seconds summary\n\
                     tepui_run_seconds{quantile=\"0.5\"} 0.2";
        assert!(text.starts_with(begin), "{text}");
        let end = "tepui_run_seconds_sum 0.25\ntepui_run_seconds_count 1\n\
                   # HELP tepui_tasks Tasks.\n# TYPE tepui_tasks gauge\n\
                   tepui_tasks{state=\"x\"} 2\ntepui_tasks{state=\"y\"} 0.5\n";
        assert!(text.ends_with(end), "{text}");
    }
}
