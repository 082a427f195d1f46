//! Tests of whole reports, as people and programs get them.
//! Parts have their own tests.

use super::*;

fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap();
    for value in values {
        histogram.record(value).unwrap();
    }
    histogram
}

/// Runs of one scenario that grow, and one run with everything that can go wrong.
fn report() -> Report {
    let mut runs = Vec::new();
    for agents in [100, 1000, 10_000] {
        let mut run = Run::new("agents");
        run.parameter("agents", agents).parameter("mode", "steady");
        run.measure("registered", 9800.0, "agents/s");
        run.measure("master rss", 0.0125 * f64::from(agents), "MiB");
        run.latency(
            "registration",
            &histogram((1..=1000).map(|step| step * 250)),
        );
        run.series(
            "rss",
            "MiB",
            vec![(0.0, 10.0), (1.0, 20.5), (2.5, 15.0), (4.0, 30.0)],
        );
        run.series("cpu", "%", vec![(0.0, 3.0), (4.0, 90.0), (5.0, 12.0)]);
        runs.push(run);
    }
    let mut odd = Run::new("odd | <script>alert(1)</script>");
    odd.parameter("<script>", "\"><script>")
        .measure("<script> | `x`", 1.5, "<script>");
    odd.measure("broken", f64::NAN, "s")
        .latency("<script>", &histogram([7]));
    odd.series(
        "<script>",
        "<script>",
        vec![(0.0, f64::NAN), (1.0, 2.0), (2.0, 3.0)],
    );
    odd.note("A note with <script> and with so many words that no line of a terminal can hold it.");
    runs.push(odd);
    let machine = Machine {
        cpu: "AMD EPYC 7B13".into(),
        cores: 8,
        memory_mib: 32_000,
        kernel: "6.1.0".into(),
        connection_tracking: "off".into(),
        tepui: "0.9.0".into(),
        date: "2026-07-01".into(),
        note: "<script>".into(),
    };
    Report { machine, runs }
}

#[test]
fn json_is_read_back_as_it_was() {
    let mut report = report();
    report.runs.pop();
    assert_eq!(Report::parse(&report.json()).unwrap(), report);
}

#[test]
fn numbers_that_json_lacks_are_read_back_as_none() {
    let mut run = Run::new("odd");
    run.measure("broken", f64::NAN, "s")
        .series("s", "s", vec![(1.0, f64::INFINITY)]);
    let report = Report {
        runs: vec![run],
        ..Report::default()
    };
    let read = Report::parse(&report.json()).unwrap();
    assert!(read.runs[0].measured("broken").unwrap().is_nan());
    assert_eq!(read.runs[0].series[0].points[0].0, 1.0);
    assert!(read.runs[0].series[0].points[0].1.is_nan());
}

#[test]
fn older_files_may_lack_fields_but_not_runs() {
    let text = r#"{"runs": [{"scenario": "a", "latencies": [{"name": "b", "count": 3}]}]}"#;
    let report = Report::parse(text).unwrap();
    assert_eq!(report.runs[0].latencies[0].count, 3);
    assert_eq!(report.machine, Machine::default());
    assert!(Report::parse("{}").is_err());
}

#[test]
fn figures_of_a_known_histogram() {
    // Up to 2047 three digits keep every value apart.
    let latency = Latency::of("l", &histogram(1..=2000));
    let figures = (
        latency.count,
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
    );
    assert_eq!(figures, (2000, 1000, 1800, 1980));
    assert_eq!((latency.p999_us, latency.max_us), (1998, 2000));
    assert!(
        (latency.mean_us - 1000.5).abs() < 1.0,
        "{}",
        latency.mean_us
    );
    let of = |quantile| {
        latency
            .distribution
            .iter()
            .find(|(other, _)| *other == quantile)
    };
    assert_eq!(of(0.5), Some(&(0.5, 1000)));
    assert_eq!(of(0.75), Some(&(0.75, 1500)));
    assert_eq!(of(0.875), Some(&(0.875, 1750)));
    assert_eq!(latency.distribution[0], (0.0, 1));
    // The last stands for less than a whole occurrence, and the longest is in it.
    let (quantile, longest) = latency.distribution.last().unwrap();
    assert!((0.9995..0.99975).contains(quantile), "{quantile}");
    assert_eq!(*longest, 2000);
    assert!(
        latency
            .distribution
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0)
    );
}

#[test]
fn a_distribution_ends_where_the_count_does() {
    assert_eq!(Latency::of("none", &histogram([])).distribution, []);
    assert_eq!(
        Latency::of("one", &histogram([7])).distribution.last(),
        Some(&(0.5, 7))
    );
    let mut many = histogram([1]);
    many.record_n(5, 10_000_000).unwrap();
    let many = Latency::of("many", &many).distribution;
    assert_eq!(many.len(), 35);
    assert_eq!(many.last(), Some(&(0.99999, 5)));
}

#[test]
fn thinning_keeps_ends_and_extremes() {
    let mut points: Vec<_> = (0..1000)
        .map(|at| (f64::from(at), f64::from(at % 7)))
        .collect();
    points[333].1 = 50.0;
    points[666].1 = -50.0;
    points[500].1 = f64::NAN;
    let series = Series {
        points,
        ..Series::default()
    };
    for most in [4, 5, 20, 100, 999] {
        let thinned = series.thinned(most).points;
        assert!(thinned.len() <= most, "{} of {most}", thinned.len());
        for kept in [(0.0, 0.0), (333.0, 50.0), (666.0, -50.0), (999.0, 5.0)] {
            assert!(thinned.contains(&kept), "{kept:?} of {most}");
        }
        assert!(
            thinned.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "{most}"
        );
    }
    assert_eq!(series.thinned(20).points.len(), 20);
    assert_eq!(series.thinned(2).points, [(0.0, 0.0), (999.0, 5.0)]);
    assert_eq!(series.thinned(1).points, [(0.0, 0.0)]);
    assert_eq!(series.thinned(0).points, []);
    assert_eq!(series.thinned(5000).points.len(), 999);
}

#[test]
fn merging_keeps_the_first_machine_and_tells_the_others() {
    let mut one = report();
    // It has a figure that is no number, and so does not equal itself.
    one.runs.pop();
    let [mut same, mut other] = [one.clone(), one.clone()];
    same.machine.date = "2026-07-02".into();
    other.machine.cores = 4;
    let merged = Report::merge(vec![one.clone(), same, other]);
    assert_eq!(merged.runs.len(), 9);
    assert_eq!(merged.machine.cores, 8);
    assert_eq!(merged.machine.date, "2026-07-01");
    assert_eq!(merged.runs[3..6], one.runs);
    assert!(
        merged.runs[6].notes[0].contains("cores 4"),
        "{:?}",
        merged.runs[6].notes
    );
    assert!(merged.machine.note.contains("other machines"));
    assert_eq!(Report::merge(vec![one.clone()]), one);
    assert_eq!(Report::merge(Vec::new()), Report::default());
}

#[test]
fn the_table_has_the_figures_in_columns_and_fits() {
    let mut report = report();
    report.runs[0].latency(&"long name ".repeat(20), &histogram([123_456_789, 3]));
    report.runs[0].measure(&"endless name ".repeat(20), 3.0, "MiB");
    for number in 0..30 {
        report.runs[0].parameter(&format!("parameter{number}"), number);
    }
    report.runs[0].parameter("endless", "x".repeat(300));
    let table = report.table();
    for line in table.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(
        table.contains("\nagents  agents=1000  mode=steady\n"),
        "{table}"
    );
    let line = |beginning: &'static str| {
        let mut lines = table.lines().map(str::trim_start);
        let found = lines.find(|line| line.starts_with(beginning));
        found.unwrap_or_default()
    };
    let cells = |beginning: &'static str| line(beginning).split_whitespace().collect::<Vec<_>>();
    assert_eq!(cells("registered"), ["registered", "9,800", "agents/s"]);
    let (count, p50, p90, p99) = ("1,000", "125.1", "225.0", "247.6");
    assert_eq!(
        cells("registration"),
        ["registration", count, p50, p90, p99, "249.9", "250.1"]
    );
    assert!(
        line("long name long name long name").ends_with("123,469.8"),
        "{table}"
    );
    assert!(table.contains("\nodd | <script>alert(1)</script>"));
    // Columns end at the same place.
    let rows = table
        .lines()
        .filter(|line| line.contains("250.1") || line.contains("p99.9"));
    let ends: Vec<_> = rows.take(2).map(|line| line.chars().count()).collect();
    assert_eq!(ends[0], ends[1], "{table}");
}

/// How many points each line drawn from data has.
fn polylines(html: &str) -> Vec<usize> {
    let data = html.lines().filter(|line| !line.contains("sample"));
    let lines = data.filter_map(|line| line.split_once("<polyline points=\"")?.1.split_once('"'));
    lines.map(|(points, _)| points.split(' ').count()).collect()
}

#[test]
fn the_html_escapes_asks_no_host_and_draws_every_point() {
    let report = report();
    let html = report.html();
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("<h2>odd | &lt;script&gt;alert(1)&lt;/script&gt;</h2>"));
    for address in ["http://", "https://", "url(", "@import", "src=", "NaN"] {
        assert!(!html.contains(address), "{address}");
    }
    let run = &report.runs[0];
    let distribution = run.latencies[0].distribution.len();
    let steady = [distribution, 4, 3];
    // The odd run: a distribution of two quantiles, and a series with one value that is no number.
    let mut expected = steady.repeat(3);
    assert_eq!(report.runs[3].latencies[0].distribution.len(), 3);
    expected.extend([3, 2]);
    // Growth: the curve through both ends. The points are dots.
    expected.push(2);
    assert_eq!(polylines(&html), expected);
    let growth = html.split_once("id=\"growth\"").unwrap().1;
    let dots = growth
        .lines()
        .filter(|line| !line.contains("sample") && line.contains("<circle"));
    assert_eq!(
        dots.map(|line| line.matches("<circle").count())
            .sum::<usize>(),
        3
    );
    for section in 1..=4 {
        assert!(html.contains(&format!("<a href=\"#run-{section}\">")));
        assert!(html.contains(&format!("<section id=\"run-{section}\">")));
    }
}

#[test]
fn the_html_balances_its_elements() {
    let html = report().html();
    for name in [
        "section", "table", "tr", "td", "svg", "g", "figure", "text", "ul", "li", "nav",
    ] {
        let opened = html.matches(&format!("<{name} ")).count();
        let opened = opened + html.matches(&format!("<{name}>")).count();
        assert_eq!(
            opened,
            html.matches(&format!("</{name}>")).count(),
            "{name}"
        );
        assert!(opened > 0, "{name}");
    }
}

#[test]
fn an_empty_report_is_a_page_too() {
    let report = Report::default();
    assert!(report.html().ends_with("</html>\n"));
    assert_eq!(report.table(), "");
    assert_eq!(report.markdown("Empty", "").plots, []);
    assert!(Run::new("nothing").measured("x").is_none());
}

/// Cells of a row: text between bars that are not escaped.
fn cells(row: &str) -> usize {
    row.replace("\\|", "").matches('|').count() - 1
}

#[test]
fn markdown_rows_have_as_many_cells_as_their_head() {
    let page = report().markdown("Load tests", "As measured.");
    let first = page.text.lines().next().unwrap();
    assert!(
        first.starts_with("<!--") && first.contains("`tepui-loadtest report`"),
        "{first}"
    );
    assert!(page.text.contains("\n# Load tests\n\nAs measured.\n"));
    let lines: Vec<&str> = page.text.lines().collect();
    let tables: Vec<_> = lines.split(|line| !line.starts_with('|')).collect();
    let tables: Vec<_> = tables.into_iter().filter(|rows| !rows.is_empty()).collect();
    let rows: Vec<_> = tables.iter().map(|rows| rows.len()).collect();
    // Head and rule; three runs, one run, one growth.
    assert_eq!(rows, [5, 3, 3]);
    for table in &tables {
        for row in *table {
            assert_eq!(cells(row), cells(table[0]), "{row}");
        }
    }
    assert!(
        page.text
            .contains("| 1000 | steady | 9,800 | 12.5 | 125.1 | 247.6 | 250.1 |")
    );
    assert!(!page.text.contains("<script"), "{}", page.text);
}

#[test]
fn markdown_links_to_each_growth_plot() {
    let mut report = report();
    let mut doubled = report.runs.clone();
    for run in &mut doubled {
        run.parameter("mode", "steady!");
    }
    report.runs.extend(doubled);
    let page = report.markdown("Load tests", "");
    let names: Vec<_> = page.plots.iter().map(|(name, _)| name.as_str()).collect();
    let stem = "growth-agents-mode-steady-master-rss-against-agents";
    assert_eq!(names, [format!("{stem}.svg"), format!("{stem}-2.svg")]);
    for (name, svg) in &page.plots {
        assert!(page.text.contains(&format!("({name})")), "{name}");
        assert!(svg.contains("xmlns=\"http://www.w3.org/2000/svg\"") && svg.contains("<style>"));
        assert_eq!(polylines(svg), [2]);
    }
    let row = "| master rss | agents | 1.25 MiB at 100 | 125 MiB at 10,000 | 1.00 | 1.000 |";
    assert!(page.text.contains(row), "{}", page.text);
}
