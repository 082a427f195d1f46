//! The two forms in which figures are published: Marathon's JSON and the text of Prometheus.
//! Reads and names nothing.

use std::fmt::{self, Display};

use serde_json::{Map, Value, json};

use super::meter::MeterReading;
use super::names::{Figure, Published};
use super::timer::{QUANTILES, TimerReading};
use crate::metrics::text;

/// Version of the form; of Dropwizard's JSON.
const VERSION: &str = "4.0.0";

/// Rates of a meter, each with the end of its name.
fn rates(meter: &MeterReading) -> [(&'static str, f64); 4] {
    let [m1, m5, m15] = meter.rates;
    [
        ("mean_rate", meter.mean_rate),
        ("m1_rate", m1),
        ("m5_rate", m5),
        ("m15_rate", m15),
    ]
}

/// Durations of a timer, each with the end of its name.
fn durations(timer: &TimerReading) -> [(&'static str, f64); 4] {
    [
        ("min", timer.min),
        ("mean", timer.mean),
        ("max", timer.max),
        ("stddev", timer.stddev),
    ]
}

/// The JSON of GET /metrics.
pub fn json(figures: &Published) -> Value {
    let mut counters = Map::new();
    let mut gauges = Map::new();
    let mut meters = Map::new();
    let mut timers = Map::new();
    for (name, figure) in figures {
        let name = name.clone();
        match figure {
            Figure::Counter(count) => counters.insert(name, json!({"count": count})),
            Figure::Gauge(value) => gauges.insert(name, json!({"value": value})),
            Figure::Meter(meter) => {
                let mut shown = meter_json(meter);
                shown.insert("units".into(), "events/second".into());
                meters.insert(name, shown.into())
            }
            Figure::Timer(timer) => timers.insert(name, timer_json(timer)),
        };
    }
    json!({
        "version": VERSION,
        "gauges": gauges,
        "counters": counters,
        "histograms": {},
        "meters": meters,
        "timers": timers,
    })
}

fn meter_json(meter: &MeterReading) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("count".into(), meter.count.into());
    for (end, rate) in rates(meter) {
        shown.insert(end.into(), rate.into());
    }
    shown
}

fn timer_json(timer: &TimerReading) -> Value {
    let mut shown = meter_json(&timer.meter);
    for (end, seconds) in durations(timer) {
        shown.insert(end.into(), seconds.into());
    }
    for ((end, _, _), seconds) in QUANTILES.iter().zip(timer.quantiles) {
        shown.insert((*end).into(), seconds.into());
    }
    shown.insert("duration_units".into(), "seconds".into());
    shown.insert("rate_units".into(), "calls/second".into());
    shown.into()
}

/// The text of GET /metrics/prometheus.
pub fn prometheus(figures: &Published) -> String {
    let mut out = String::new();
    for (name, figure) in figures {
        let name = prometheus_name(name);
        // Writing to a string cannot fail.
        let _ = put(&mut out, &name, figure);
    }
    out
}

/// Characters that Prometheus does not take become `_`. Marathon.
fn prometheus_name(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

fn put(out: &mut String, name: &str, figure: &Figure) -> fmt::Result {
    match figure {
        Figure::Counter(count) => single(out, name, "counter", count),
        Figure::Gauge(value) => single(out, name, "gauge", value),
        Figure::Meter(meter) => {
            single(out, &format!("{name}_count"), "gauge", meter.count)?;
            gauges(out, name, &rates(meter))
        }
        Figure::Timer(timer) => {
            text::family(out, name, "summary", "")?;
            for ((_, quantile, _), seconds) in QUANTILES.iter().zip(timer.quantiles) {
                let labels = [("quantile", *quantile)];
                text::sample(out, name, &labels, format_args!("{seconds:?}"))?;
            }
            text::sample(out, &format!("{name}_count"), &[], timer.meter.count)?;
            gauges(out, name, &durations(timer))?;
            gauges(out, name, &rates(&timer.meter))
        }
    }
}

fn single(out: &mut String, name: &str, kind: &str, value: impl Display) -> fmt::Result {
    text::family(out, name, kind, "")?;
    text::sample(out, name, &[], value)
}

fn gauges(out: &mut String, name: &str, values: &[(&str, f64)]) -> fmt::Result {
    for (end, value) in values {
        let name = format!("{name}_{end}");
        single(out, &name, "gauge", format_args!("{value:?}"))?;
    }
    Ok(())
}
