//! A report as a table for a terminal.
//! Leaves out what needs a picture: series and distributions.

use super::{Latency, Measure, Report, Run, format};

/// No line is longer.
const WIDTH: usize = 100;

impl Report {
    /// The figures for people to read on a terminal, at most 100 columns wide.
    pub fn table(&self) -> String {
        let mut lines = Vec::new();
        let facts = self.machine.facts().into_iter();
        let facts = facts.map(|(label, text)| format!("{label}: {text}"));
        wrap(&mut lines, "", &facts.collect::<Vec<_>>());
        for run in &self.runs {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            write_run(&mut lines, run);
        }
        let clipped = lines
            .iter()
            .map(|line| format::shortened(line, WIDTH) + "\n");
        clipped.collect()
    }
}

fn write_run(lines: &mut Vec<String>, run: &Run) {
    let mut headline = vec![run.scenario.clone()];
    headline.extend(format::parameters(run));
    wrap(lines, "", &headline);
    let rows: Vec<Vec<String>> = run.measures.iter().map(measure_row).collect();
    // The unit stands left, next to its number.
    align(lines, &rows, &[false, true, false]);
    if !run.latencies.is_empty() {
        let head = [
            "latency in ms",
            "count",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
        ];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(run.latencies.iter().map(latency_row));
        align(lines, &rows, &[false, true, true, true, true, true, true]);
    }
    for note in &run.notes {
        let words: Vec<_> = note.split_whitespace().map(String::from).collect();
        wrap_with(lines, "  note: ", "        ", " ", &words);
    }
}

fn measure_row(measure: &Measure) -> Vec<String> {
    let value = format::number(measure.value);
    vec![measure.name.clone(), value, measure.unit.clone()]
}

fn latency_row(latency: &Latency) -> Vec<String> {
    let mut row = vec![latency.name.clone(), format::count(latency.count)];
    row.extend(latency.figures().map(format::milliseconds));
    row
}

/// Appends rows with columns padded to the same width; true for those that stand right.
/// If they are too wide together, the first is shortened: names can bear it, figures cannot.
fn align(lines: &mut Vec<String>, rows: &[Vec<String>], right: &[bool]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..right.len()).map(width).collect();
    let total: usize = widths.iter().map(|width| width + 2).sum();
    if let Some(first) = widths.first_mut() {
        *first = first.saturating_sub(total.saturating_sub(WIDTH)).max(8);
    }
    for row in rows {
        let mut line = String::new();
        for ((cell, right), width) in row.iter().zip(right).zip(&widths) {
            let cell = format::shortened(cell, *width);
            line.push_str("  ");
            match right {
                true => line.push_str(&format!("{cell:>width$}")),
                false => line.push_str(&format!("{cell:<width$}")),
            }
        }
        lines.push(line.trim_end().into());
    }
}

/// Appends the parts, two blanks apart, in as many lines as they need.
fn wrap(lines: &mut Vec<String>, indent: &str, parts: &[String]) {
    wrap_with(lines, indent, "    ", "  ", parts);
}

fn wrap_with(lines: &mut Vec<String>, first: &str, further: &str, gap: &str, parts: &[String]) {
    let mut line = first.to_owned();
    let mut fresh = true;
    for part in parts {
        let room = WIDTH.saturating_sub(line.chars().count() + gap.len());
        if !fresh && part.chars().count() > room {
            lines.push(std::mem::replace(&mut line, further.into()));
            fresh = true;
        }
        if !fresh {
            line.push_str(gap);
        }
        line.push_str(part);
        fresh = false;
    }
    if !fresh {
        lines.push(line);
    }
}
