//! Figures as a table for people or JSON for programs.
//! Measures nothing.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::proc::Memory;
use crate::scenario::Outcome;

/// All figures of one call of the program.
#[derive(Debug, Default)]
pub struct Report {
    /// Runs, in order.
    pub runs: Vec<Outcome>,
    /// Memory of named processes.
    pub memory: Vec<(String, Memory)>,
    /// CPU time per task of named processes.
    pub cpu_per_task: Vec<(String, Duration)>,
}

impl Report {
    /// The table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if !self.runs.is_empty() {
            line(
                &mut text,
                [
                    "run", "what", "count", "p50 ms", "p90 ms", "p99 ms", "max ms",
                ],
            );
        }
        for run in &self.runs {
            for (what, histogram) in latencies(run) {
                let count = histogram.len().to_string();
                let [p50, p90, p99, max] = figures(histogram).map(|(_, ms)| format!("{ms:.2}"));
                line(&mut text, [run.name, what, &count, &p50, &p90, &p99, &max]);
            }
        }
        for run in &self.runs {
            let rate = tasks_per_second(run);
            let _ = writeln!(
                text,
                "{}: {} tasks, {rate:.1} tasks/s",
                run.name, run.finished
            );
        }
        for (name, memory) in &self.memory {
            let [rss, pss] = [memory.rss_kib, memory.pss_kib].map(|kib| kib as f64 / 1024.0);
            let _ = writeln!(text, "{name}: RSS {rss:.1} MiB, PSS {pss:.1} MiB");
        }
        for (name, time) in &self.cpu_per_task {
            let _ = writeln!(
                text,
                "{name}: {:.2} ms CPU per task",
                time.as_secs_f64() * 1e3
            );
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let runs = self.runs.iter().map(|run| {
            let mut value = json!({
                "name": run.name,
                "tasks": run.finished,
                "elapsed_s": run.elapsed.as_secs_f64(),
                "tasks_per_s": tasks_per_second(run),
            });
            for (what, histogram) in latencies(run) {
                let pairs = figures(histogram).map(|(name, ms)| (format!("{name}_ms"), json!(ms)));
                value[what.replace(' ', "_")] = Value::Object(pairs.into_iter().collect());
            }
            value
        });
        let memory = self.memory.iter().map(|(name, memory)| {
            json!({ "name": name, "rss_kib": memory.rss_kib, "pss_kib": memory.pss_kib })
        });
        let cpu = self
            .cpu_per_task
            .iter()
            .map(|(name, time)| json!({ "name": name, "ms": time.as_secs_f64() * 1e3 }));
        json!({
            "runs": runs.collect::<Vec<_>>(),
            "memory": memory.collect::<Vec<_>>(),
            "cpu_per_task": cpu.collect::<Vec<_>>(),
        })
    }
}

fn latencies(run: &Outcome) -> [(&'static str, &Histogram<u64>); 2] {
    [
        ("to running", &run.latencies.to_running),
        ("to end", &run.latencies.to_end),
    ]
}

/// Names and milliseconds.
fn figures(histogram: &Histogram<u64>) -> [(&'static str, f64); 4] {
    let ms = |micros: u64| micros as f64 / 1000.0;
    let at = |quantile| ms(histogram.value_at_quantile(quantile));
    [
        ("p50", at(0.5)),
        ("p90", at(0.9)),
        ("p99", at(0.99)),
        ("max", ms(histogram.max())),
    ]
}

fn tasks_per_second(run: &Outcome) -> f64 {
    run.finished as f64 / run.elapsed.as_secs_f64().max(1e-6)
}

fn line(text: &mut String, [run, what, rest @ ..]: [&str; 7]) {
    let _ = write!(text, "{run:<11} {what:<11}");
    for cell in rest {
        let _ = write!(text, " {cell:>9}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Latencies;

    #[test]
    fn tells_the_same_in_both_forms() {
        let mut histogram = Histogram::new(3).unwrap();
        histogram.record_n(2000, 99).unwrap();
        histogram.record(8000).unwrap();
        let latencies = Latencies {
            to_running: histogram.clone(),
            to_end: histogram,
        };
        let elapsed = Duration::from_secs(2);
        let run = Outcome {
            name: "latency",
            finished: 100,
            elapsed,
            latencies,
        };
        let report = Report {
            runs: vec![run],
            memory: vec![(
                "master".into(),
                Memory {
                    rss_kib: 2048,
                    pss_kib: 1024,
                },
            )],
            cpu_per_task: vec![("agent".into(), Duration::from_millis(3))],
        };
        let table = report.table();
        assert!(
            table.contains("latency: 100 tasks, 50.0 tasks/s"),
            "{table}"
        );
        assert!(
            table.contains("master: RSS 2.0 MiB, PSS 1.0 MiB"),
            "{table}"
        );
        assert!(table.contains("agent: 3.00 ms CPU per task"), "{table}");
        let json = report.json();
        assert_eq!(json["runs"][0]["tasks_per_s"], 50.0);
        let p50 = json["runs"][0]["to_running"]["p50_ms"].as_f64().unwrap();
        assert!((p50 - 2.0).abs() < 0.01, "{p50}");
        let max = json["runs"][0]["to_end"]["max_ms"].as_f64().unwrap();
        assert!((max - 8.0).abs() < 0.01, "{max}");
        assert_eq!(json["memory"][0]["rss_kib"], 2048);
    }
}
