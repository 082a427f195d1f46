//! A report as one page of HTML with plots.
//! Needs no script and asks no host for anything.

use std::fmt::Write;

use super::format::{self, escape};
use super::growth::{Growth, growths};
use super::plot::{self, Axis, Line, Plot, Style};
use super::scale::Kind;
use super::{Latency, Report, Run};

/// How the page looks, besides its plots.
const STYLE: &str = include_str!("page.css");
/// More points than this cannot be told apart on a plot.
const POINTS: usize = 800;

impl Report {
    /// A self-contained page with all figures, the distribution of latencies, series and growth.
    pub fn html(&self) -> String {
        let growths = growths(&self.runs);
        let title = match self.machine.date.is_empty() {
            true => "Tepui load test".into(),
            false => format!("Tepui load test, {}", escape(&self.machine.date)),
        };
        // The policy makes sure of what this module promises; the empty icon keeps browsers
        // from asking for one.
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; img-src data:\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n\
             <style>\n{}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
            plot::STYLE
        );
        page.push_str("<dl class=\"machine\">\n");
        for (label, fact) in self.machine.facts() {
            let _ = writeln!(page, "<dt>{label}</dt><dd>{}</dd>", escape(&fact));
        }
        page.push_str("</dl>\n");
        write_contents(&mut page, &self.runs, !growths.is_empty());
        for (at, run) in self.runs.iter().enumerate() {
            write_run(&mut page, at + 1, run);
        }
        if !growths.is_empty() {
            write_growth(&mut page, &growths);
        }
        page.push_str("</body>\n</html>\n");
        page
    }
}

fn write_contents(page: &mut String, runs: &[Run], growth: bool) {
    page.push_str("<nav>\n<h2>Contents</h2>\n<ol>\n");
    for (at, run) in runs.iter().enumerate() {
        let _ = writeln!(
            page,
            "<li><a href=\"#run-{}\">{}</a> <small>{}</small></li>",
            at + 1,
            escape(&run.scenario),
            escape(&format::parameters(run).join(" "))
        );
    }
    if growth {
        page.push_str("<li><a href=\"#growth\">Growth</a></li>\n");
    }
    page.push_str("</ol>\n</nav>\n");
}

fn write_run(page: &mut String, number: usize, run: &Run) {
    let scenario = escape(&run.scenario);
    let _ = writeln!(page, "<section id=\"run-{number}\">\n<h2>{scenario}</h2>");
    write_list(page, "parameters", &format::parameters(run));
    if !run.measures.is_empty() {
        page.push_str("<h3>Measures</h3>\n");
        let rows = run.measures.iter().map(|measure| {
            vec![
                measure.name.clone(),
                format::number(measure.value),
                measure.unit.clone(),
            ]
        });
        write_table(
            page,
            &["what", "value", "unit"],
            &["wide", "right", "unit"],
            rows,
        );
    }
    if !run.latencies.is_empty() {
        page.push_str("<h3>Latencies in milliseconds</h3>\n");
        let head = ["what", "count", "mean", "p50", "p90", "p99", "p99.9", "max"];
        let [name, figure] = ["wide", "right"];
        let classes = [name, figure, figure, figure, figure, figure, figure, figure];
        write_table(page, &head, &classes, run.latencies.iter().map(latency_row));
    }
    for plot in percentiles(run).into_iter().chain(series(run)) {
        write_plot(page, &plot);
    }
    if !run.notes.is_empty() {
        page.push_str("<h3>Notes</h3>\n");
        write_list(page, "notes", &run.notes);
    }
    page.push_str("</section>\n");
}

fn latency_row(latency: &Latency) -> Vec<String> {
    let mean = match latency.mean_us.is_finite() {
        true => format::milliseconds(latency.mean_us.round() as u64),
        false => format::NONE.into(),
    };
    let mut row = vec![latency.name.clone(), format::count(latency.count), mean];
    row.extend(latency.figures().map(format::milliseconds));
    row
}

/// How the latencies of a run are distributed, as HDR histograms are commonly plotted.
fn percentiles(run: &Run) -> Option<Plot> {
    // A latency below a microsecond reads as one: a logarithm cannot show zero.
    let milliseconds = |us: u64| us.max(1) as f64 / 1e3;
    let line = |latency: &Latency| Line {
        name: latency.name.clone(),
        points: latency
            .distribution
            .iter()
            .map(|(q, us)| (*q, milliseconds(*us)))
            .collect(),
        style: Style::Solid,
    };
    let known = run
        .latencies
        .iter()
        .filter(|latency| !latency.distribution.is_empty());
    let lines: Vec<Line> = known.map(line).collect();
    if lines.is_empty() {
        return None;
    }
    let times = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.1)
    };
    let lowest = times().fold(f64::INFINITY, f64::min);
    let highest = times().fold(0.0, f64::max);
    Some(Plot {
        title: "Latency by percentile".into(),
        x: Axis {
            label: "percentile".into(),
            kind: Kind::Percentile,
        },
        y: Axis {
            label: "ms".into(),
            kind: if highest > 100.0 * lowest {
                Kind::Log
            } else {
                Kind::Linear
            },
        },
        lines,
    })
}

/// One plot for each unit.
fn series(run: &Run) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    for series in &run.series {
        let line = Line {
            name: series.name.clone(),
            points: series.thinned(POINTS).points,
            style: Style::Solid,
        };
        match plots.iter_mut().find(|plot| plot.y.label == series.unit) {
            Some(plot) => plot.lines.push(line),
            None => plots.push(Plot {
                title: match series.unit.is_empty() {
                    true => "Over time".into(),
                    false => format!("Over time, in {}", series.unit),
                },
                x: Axis {
                    label: "seconds since the run began".into(),
                    kind: Kind::Linear,
                },
                y: Axis {
                    label: series.unit.clone(),
                    kind: Kind::Linear,
                },
                lines: vec![line],
            }),
        }
    }
    plots
}

fn write_growth(page: &mut String, growths: &[Growth]) {
    page.push_str(
        "<section id=\"growth\">\n<h2>Growth</h2>\n\
         <p>A power of the parameter is fitted to each measure. Exponent 1 is proportional \
         growth, 2 quadratic, 0 none. R² tells how well the power fits, at best 1.</p>\n",
    );
    let head = [
        "scenario", "what", "against", "from", "to", "exponent", "R²",
    ];
    let classes = ["wide", "", "", "right", "right", "right", "right"];
    let rows = growths.iter().map(|growth| {
        let [from, to] = growth.ends();
        let exponent = format!("{:.2}", growth.fit.exponent);
        let r_squared = format!("{:.3}", growth.fit.r_squared);
        let [scenario, what, against] = [&growth.scenario, &growth.what, &growth.against];
        vec![
            scenario.clone(),
            what.clone(),
            against.clone(),
            from,
            to,
            exponent,
            r_squared,
        ]
    });
    write_table(page, &head, &classes, rows);
    for growth in growths {
        write_plot(page, &growth.plot());
    }
    page.push_str("</section>\n");
}

fn write_plot(page: &mut String, plot: &Plot) {
    let _ = writeln!(page, "<figure>\n{}\n</figure>", plot.inline());
}

fn write_list(page: &mut String, class: &str, items: &[String]) {
    let _ = writeln!(page, "<ul class=\"{class}\">");
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", escape(item));
    }
    page.push_str("</ul>\n");
}

/// A table with one class for each column.
fn write_table(
    page: &mut String,
    head: &[&str],
    classes: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (name, class) in head.iter().zip(classes) {
        let _ = write!(page, "<th class=\"{class}\">{name}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (cell, class) in row.iter().zip(classes) {
            let _ = write!(page, "<td class=\"{class}\">{}</td>", escape(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}
