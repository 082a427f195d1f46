//! Draws lines and points on a pair of axes as SVG.
//! Knows nothing of load tests, and picks no ticks.

use std::fmt::Write;

use super::format::{escape, shortened};
use super::scale::{Kind, Scale, Tick};

/// How plots look, for the page or file around them. Colours are variables with fallbacks.
pub const STYLE: &str = include_str!("plot.css");

/// Lines and points on a pair of axes.
#[derive(Debug)]
pub struct Plot {
    /// Headline.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the last on top.
    pub lines: Vec<Line>,
}

/// One axis. Its range follows from the points.
#[derive(Debug)]
pub struct Axis {
    /// What it shows.
    pub label: String,
    /// How it spreads values.
    pub kind: Kind,
}

/// Points that belong together. Those that an axis cannot show are left out.
#[derive(Debug)]
pub struct Line {
    /// Shown in the legend.
    pub name: String,
    /// Abscissa and ordinate.
    pub points: Vec<(f64, f64)>,
    /// How they are drawn.
    pub style: Style,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Style {
    /// A line through them.
    Solid,
    /// A dashed line through them.
    Dashed,
    /// A dot for each.
    Dots,
}

const WIDTH: f64 = 760.0;
/// Height of the area between the axes.
const HEIGHT: f64 = 280.0;
/// Distance between lines of text.
const ROW: f64 = 18.0;
const MARGIN: f64 = 16.0;
/// Colours in plot.css. Lines beyond share them, dashed.
const COLOURS: usize = 8;
/// Longer names are shortened in the legend.
const NAME_LETTERS: usize = 60;

impl Plot {
    /// The plot as an element of an HTML page that has `STYLE`.
    pub fn inline(&self) -> String {
        self.draw("", "")
    }

    /// The plot as the text of a file.
    pub fn file(&self) -> String {
        let size = format!(" xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\"");
        self.draw(&size, &format!("<style>\n{STYLE}</style>\n")) + "\n"
    }

    fn draw(&self, attributes: &str, style: &str) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Scale::new(self.x.kind, points().map(|point| point.0), 8);
        let y = Scale::new(self.y.kind, points().map(|point| point.1), 6);
        let (legend, rows) = self.legend();
        let area = Area::around(&x, &y, rows);
        let height = area.bottom + 2.0 * ROW + MARGIN;
        let title = escape(&self.title);
        let mut svg = format!(
            "<svg{attributes} class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
             <title>{title}</title>\n{style}\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
        );
        let shown = escape(&shortened(&self.title, 90));
        text(&mut svg, "class=\"title\"", (MARGIN, 24.0), &shown);
        svg.push_str(&legend);
        self.axes(&mut svg, &area, &x.ticks, &y.ticks);
        for (at, line) in self.lines.iter().enumerate() {
            let places = line.points.iter().filter_map(|point| area.place(point));
            line.draw(&mut svg, at, &places.collect::<Vec<_>>());
        }
        svg.push_str("</svg>");
        svg
    }

    /// The legend, and how many rows it takes.
    fn legend(&self) -> (String, usize) {
        let mut svg = String::new();
        let (mut x, mut row) = (MARGIN, 0);
        for (at, line) in self.lines.iter().enumerate() {
            let name = shortened(&line.name, NAME_LETTERS);
            let width = 30.0 + text_width(&name);
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, row) = (MARGIN, row + 1);
            }
            let y = 44.0 + ROW * row as f64;
            let sample = match line.style {
                Style::Dots => vec![(x + 11.0, y)],
                Style::Solid | Style::Dashed => vec![(x, y), (x + 22.0, y)],
            };
            // Marked apart from the data: it is a sample of the style.
            svg.push_str("<g class=\"sample\">");
            line.draw(&mut svg, at, &sample);
            text(
                &mut svg,
                "class=\"name\"",
                (x + 28.0, y + 4.0),
                &escape(&name),
            );
            svg.push_str("</g>\n");
            x += width + 20.0;
        }
        (svg, row + 1)
    }

    /// Grid, ticks and labels.
    fn axes(&self, svg: &mut String, area: &Area, across: &[Tick], up: &[Tick]) {
        let Area {
            left,
            right,
            top,
            bottom,
            ..
        } = *area;
        let mut taken = f64::NEG_INFINITY;
        for tick in across {
            let Some(x) = area.x(tick.value) else {
                continue;
            };
            rule(svg, "grid", (x, top), (x, bottom));
            let half = text_width(&tick.label) / 2.0;
            if x - half < taken {
                continue;
            }
            taken = x + half + 8.0;
            text(
                svg,
                "text-anchor=\"middle\"",
                (x, bottom + ROW),
                &escape(&tick.label),
            );
        }
        let mut taken = f64::INFINITY;
        for tick in up {
            let Some(y) = area.y(tick.value) else {
                continue;
            };
            rule(svg, "grid", (left, y), (right, y));
            if y + 7.0 > taken {
                continue;
            }
            taken = y - 7.0;
            text(
                svg,
                "text-anchor=\"end\"",
                (left - 8.0, y + 4.0),
                &escape(&tick.label),
            );
        }
        rule(svg, "axis", (left, bottom), (right, bottom));
        rule(svg, "axis", (left, top), (left, bottom));
        let middle = (left + right) / 2.0;
        let label = escape(&shortened(&self.x.label, NAME_LETTERS));
        text(
            svg,
            "text-anchor=\"middle\"",
            (middle, bottom + 2.0 * ROW + 2.0),
            &label,
        );
        let label = escape(&shortened(&self.y.label, NAME_LETTERS));
        text(svg, "", (MARGIN, top - 12.0), &label);
    }
}

impl Line {
    /// Draws through places in the image.
    fn draw(&self, svg: &mut String, at: usize, places: &[(f64, f64)]) {
        let dash = match self.style {
            Style::Dashed => " stroke-dasharray=\"6 5\"",
            Style::Solid if at >= COLOURS => " stroke-dasharray=\"2 4\"",
            Style::Solid | Style::Dots => "",
        };
        let _ = write!(svg, "<g class=\"c{}\">", at % COLOURS);
        // A line through a single point would be invisible.
        if self.style == Style::Dots || places.len() == 1 {
            for (x, y) in places {
                let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
            }
        } else if !places.is_empty() {
            let places: Vec<_> = places
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let _ = write!(svg, "<polyline points=\"{}\"{dash}/>", places.join(" "));
        }
        svg.push_str("</g>\n");
    }
}

/// The area between the axes, in the image.
struct Area<'a> {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    across: &'a Scale,
    up: &'a Scale,
}

impl<'a> Area<'a> {
    /// The area that leaves room for the labels and the legend.
    fn around(across: &'a Scale, up: &'a Scale, legend_rows: usize) -> Area<'a> {
        let widths = up.ticks.iter().map(|tick| text_width(&tick.label));
        let last = across
            .ticks
            .last()
            .map_or(0.0, |tick| text_width(&tick.label));
        let top = 50.0 + ROW * (legend_rows as f64 + 1.0);
        Area {
            left: MARGIN + 8.0 + widths.fold(24.0, f64::max),
            right: WIDTH - MARGIN - last / 2.0,
            top,
            bottom: top + HEIGHT,
            across,
            up,
        }
    }

    fn x(&self, value: f64) -> Option<f64> {
        Some(self.left + self.across.place(value)? * (self.right - self.left))
    }

    fn y(&self, value: f64) -> Option<f64> {
        Some(self.bottom - self.up.place(value)? * (self.bottom - self.top))
    }

    fn place(&self, (x, y): &(f64, f64)) -> Option<(f64, f64)> {
        Some((self.x(*x)?, self.y(*y)?))
    }
}

/// About how wide a text is: nothing here knows the font.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

fn text(svg: &mut String, attributes: &str, (x, y): (f64, f64), escaped: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{escaped}</text>"
    );
}

fn rule(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(kind: Kind, lines: &[&[(f64, f64)]]) -> Plot {
        let axis = |label: &str| Axis {
            label: label.into(),
            kind,
        };
        let line = |points: &&[(f64, f64)]| Line {
            name: "<b>".into(),
            points: points.to_vec(),
            style: Style::Solid,
        };
        Plot {
            title: "a & b".into(),
            x: axis("across"),
            y: axis("up"),
            lines: lines.iter().map(line).collect(),
        }
    }

    /// How many points each line of the plot has, without the samples in the legend.
    fn drawn(svg: &str) -> Vec<usize> {
        let data = svg.lines().filter(|line| !line.contains("sample"));
        let lines = data.filter_map(|line| line.split_once("points=\"")?.1.split_once('"'));
        lines.map(|(points, _)| points.split(' ').count()).collect()
    }

    #[test]
    fn every_point_is_drawn() {
        let svg = plot(
            Kind::Linear,
            &[&[(0.0, 1.0), (1.0, 2.0), (2.0, 0.0)], &[(0.0, 0.0); 2]],
        );
        assert_eq!(drawn(&svg.inline()), [3, 2]);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let points = [
            (0.0, 1.0),
            (1.0, f64::NAN),
            (f64::INFINITY, 2.0),
            (3.0, 4.0),
        ];
        let svg = plot(Kind::Linear, &[&points]).inline();
        assert_eq!(drawn(&svg), [2]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let svg = plot(
            Kind::Log,
            &[&[(0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (2.0, 2.0)]],
        )
        .inline();
        assert_eq!(drawn(&svg), [2]);
        let svg = plot(Kind::Log, &[&[]]).inline();
        assert!(drawn(&svg).is_empty());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_single_point_is_a_dot() {
        let svg = plot(Kind::Log, &[&[(5.0, 5.0)]]).inline();
        assert_eq!(svg.matches("<circle").count(), 1);
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        let plot = plot(Kind::Linear, &[&[(0.0, 0.0), (10.0, 10.0)]]);
        let svg = plot.inline();
        // One row of legend: the area ends 280 below 50 + 2 * 18. Left of it: "10" and margins.
        assert!(svg.contains("points=\"48.0,366.0 737.0,86.0\""), "{svg}");
    }

    #[test]
    fn only_a_file_names_its_format_and_brings_its_style() {
        let plot = plot(Kind::Linear, &[&[(0.0, 0.0), (1.0, 1.0)]]);
        assert!(!plot.inline().contains("http") && !plot.inline().contains("<style"));
        let file = plot.file();
        assert!(file.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(file.contains("prefers-color-scheme"));
        assert!(file.contains("a &amp; b") && file.contains("&lt;b&gt;") && !file.contains("<b>"));
    }

    #[test]
    fn labels_that_would_overlap_are_left_out() {
        // Long labels: a large value with many decimals.
        let plot = plot(Kind::Linear, &[&[(1e6, 0.0), (1e6 + 0.008, 1.0)]]);
        let svg = plot.inline();
        let labels = svg
            .lines()
            .filter(|line| line.contains("text-anchor=\"middle\""));
        let labels: Vec<_> = labels.filter(|line| !line.contains("across")).collect();
        assert!((2..8).contains(&labels.len()), "{labels:?}");
        let mut end = f64::NEG_INFINITY;
        for label in labels {
            let x: f64 = label.split('"').nth(1).unwrap().parse().unwrap();
            let text = label.split_once('>').unwrap().1.trim_end_matches("</text>");
            assert!(x - text_width(text) / 2.0 > end, "{label}");
            end = x + text_width(text) / 2.0;
        }
    }
}
