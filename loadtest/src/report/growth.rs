//! Finds how figures grow with a parameter, as a power of it.
//! Draws nothing, and judges nothing: the exponent is for the reader.

use std::collections::{BTreeMap, BTreeSet};

use super::plot::{Axis, Line, Plot, Style};
use super::scale::Kind;
use super::{Measure, Run, format, scenarios};

/// How one measure grows with one parameter, all other parameters alike.
#[derive(Debug, PartialEq)]
pub struct Growth {
    /// The scenario, with the parameters that tell these runs from others of it.
    pub scenario: String,
    /// The measure.
    pub what: String,
    /// Unit of the measure.
    pub unit: String,
    /// The parameter that varies.
    pub against: String,
    /// Parameter and measure of each run, by ascending parameter.
    pub points: Vec<(f64, f64)>,
    /// The curve through the points.
    pub fit: Fit,
}

/// The curve `factor * n ^ exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The value at one.
    pub factor: f64,
    /// 1 for proportional growth, 2 for quadratic.
    pub exponent: f64,
    /// How much of the variation of the logarithms the curve explains, 0 to 1.
    pub r_squared: f64,
}

impl Growth {
    /// What is plotted, as a headline.
    pub fn title(&self) -> String {
        format!("{}: {} against {}", self.scenario, self.what, self.against)
    }

    /// First and last point as text, such as `12.5 MiB at 100`.
    pub fn ends(&self) -> [String; 2] {
        [self.points.first(), self.points.last()].map(|point| match point {
            None => String::new(),
            Some((n, value)) => {
                let value = format::with_unit(&format::number(*value), &self.unit);
                format!("{value} at {}", format::number(*n))
            }
        })
    }

    /// The points and the curve on logarithmic axes, where the curve is a straight line.
    pub fn plot(&self) -> Plot {
        let curve = |n: f64| (n, self.fit.factor * n.powf(self.fit.exponent));
        let ends = self.points.first().into_iter().chain(self.points.last());
        let formula = format!(
            "{} × {}^{:.2}",
            format::number(self.fit.factor),
            self.against,
            self.fit.exponent
        );
        let line = |name: String, points, style| Line {
            name,
            points,
            style,
        };
        Plot {
            title: self.title(),
            x: Axis {
                label: self.against.clone(),
                kind: Kind::Log,
            },
            y: Axis {
                label: self.unit.clone(),
                kind: Kind::Log,
            },
            lines: vec![
                line(self.what.clone(), self.points.clone(), Style::Dots),
                line(
                    formula,
                    ends.map(|(n, _)| curve(*n)).collect(),
                    Style::Dashed,
                ),
            ],
        }
    }
}

/// All growth that runs of the same scenario show. Runs belong together that agree in all
/// parameters but one, of which there are at least three different positive values.
pub fn growths(runs: &[Run]) -> Vec<Growth> {
    let mut found = Vec::new();
    for (scenario, same) in scenarios(runs) {
        let names: BTreeSet<_> = same.iter().flat_map(|run| run.parameters.keys()).collect();
        for against in names {
            for (others, group) in groups(&same, against) {
                let telling = telling(&same, &others, against);
                let scenario = format!("{scenario}{telling}");
                found.extend(growths_of(&scenario, against, &group));
            }
        }
    }
    found
}

/// The least-squares line through the logarithms. None for fewer than three different
/// abscissae, for anything not positive, and if the values do not vary.
pub fn fit(points: &[(f64, f64)]) -> Option<Fit> {
    let usable = |value: f64| value.is_finite() && value > 0.0;
    if !points.iter().all(|(n, value)| usable(*n) && usable(*value)) {
        return None;
    }
    let mut different: Vec<f64> = points.iter().map(|(n, _)| *n).collect();
    different.sort_by(f64::total_cmp);
    different.dedup();
    let lowest = points
        .iter()
        .map(|point| point.1)
        .fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|point| point.1).fold(0.0, f64::max);
    if different.len() < 3 || highest <= lowest * (1.0 + 1e-9) {
        return None;
    }
    let count = points.len() as f64;
    let logs: Vec<_> = points
        .iter()
        .map(|(n, value)| (n.ln(), value.ln()))
        .collect();
    let mean_x = logs.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = logs.iter().map(|(_, y)| y).sum::<f64>() / count;
    let xx: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let yy: f64 = logs.iter().map(|(_, y)| (y - mean_y).powi(2)).sum();
    let xy: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let exponent = xy / xx;
    Some(Fit {
        factor: (mean_y - exponent * mean_x).exp(),
        exponent,
        r_squared: xy * xy / (xx * yy),
    })
}

/// Parameters by name.
type Parameters = BTreeMap<String, String>;

/// Runs in which the parameter is a positive number, by all their other parameters.
fn groups<'a>(runs: &[&'a Run], against: &str) -> Vec<(Parameters, Vec<&'a Run>)> {
    let mut found: Vec<(Parameters, Vec<&Run>)> = Vec::new();
    for run in runs {
        if !run.number(against).is_some_and(|number| number > 0.0) {
            continue;
        }
        let mut others = run.parameters.clone();
        others.remove(against);
        match found
            .iter_mut()
            .find(|(parameters, _)| *parameters == others)
        {
            Some((_, group)) => group.push(run),
            None => found.push((others, vec![run])),
        }
    }
    found
}

/// The parameters of a group in which runs of the scenario differ, in brackets.
fn telling(runs: &[&Run], others: &Parameters, against: &str) -> String {
    let differs = |name: &str, value: &str| {
        let mut values = runs.iter().map(|run| run.parameters.get(name));
        values.any(|other| other.is_none_or(|other| other != value))
    };
    let telling = others
        .iter()
        .filter(|(name, value)| differs(name, value) && *name != against);
    let pairs: Vec<_> = telling
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!(" ({})", pairs.join(", ")),
    }
}

/// The growth of each measure that all runs of a group have.
fn growths_of(scenario: &str, against: &str, group: &[&Run]) -> Vec<Growth> {
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let growth = |measure: &Measure| {
        // A rate is a quotient already: a power law of it says little.
        if measure.unit.ends_with("/s") || measure.unit.ends_with("per second") {
            return None;
        }
        let point = |run: &&Run| Some((run.number(against)?, run.measured(&measure.name)?));
        let mut points: Vec<_> = group.iter().map(point).collect::<Option<_>>()?;
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Some(Growth {
            scenario: scenario.into(),
            what: measure.name.clone(),
            unit: measure.unit.clone(),
            against: against.into(),
            fit: fit(&points)?,
            points,
        })
    };
    first.measures.iter().filter_map(growth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(agents: &str, mode: &str, rss: f64) -> Run {
        let mut run = Run::new("agents");
        run.parameter("agents", agents)
            .parameter("mode", mode)
            .parameter("seed", 1);
        run.measure("rss", rss, "MiB")
            .measure("rate", rss, "agents/s")
            .measure("flat", 3.0, "s");
        run
    }

    #[test]
    fn a_known_power_is_recovered() {
        let points = [1.0, 10.0, 100.0, 1000.0].map(|n: f64| (n, 0.25 * n.powf(1.5)));
        let fit = fit(&points).unwrap();
        assert!((fit.exponent - 1.5).abs() < 1e-9, "{fit:?}");
        assert!((fit.factor - 0.25).abs() < 1e-9, "{fit:?}");
        assert!((fit.r_squared - 1.0).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn r_squared_is_that_of_the_logarithms() {
        // Logarithms to base 10: (0, 0), (1, 2), (2, 1). Slope 1/2, R² = (1/2)² * 2 / 2.
        let fit = fit(&[(1.0, 1.0), (10.0, 100.0), (100.0, 10.0)]).unwrap();
        assert!((fit.exponent - 0.5).abs() < 1e-9, "{fit:?}");
        assert!((fit.r_squared - 0.25).abs() < 1e-9, "{fit:?}");
        assert!((fit.factor.log10() - 0.5).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn too_little_or_unusable_data_is_no_growth() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0), (2.0, 2.1)]), None);
        assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0), (3.0, 0.0)]), None);
        assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN)]), None);
        assert_eq!(fit(&[(0.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), None);
        assert_eq!(fit(&[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]), None);
    }

    #[test]
    fn runs_are_grouped_by_what_else_they_were_called_with() {
        let mut runs = vec![
            run("400", "a", 80.0),
            run("100", "a", 20.0),
            run("200", "a", 40.0),
        ];
        runs.extend([
            run("100", "b", 9.0),
            run("200", "b", 10.0),
            run("many", "b", 11.0),
        ]);
        let found = growths(&runs);
        let [growth] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(growth.title(), "agents (mode=a): rss against agents");
        assert_eq!(growth.points, [(100.0, 20.0), (200.0, 40.0), (400.0, 80.0)]);
        assert!((growth.fit.exponent - 1.0).abs() < 1e-9);
        assert_eq!(growth.ends(), ["20 MiB at 100", "80 MiB at 400"]);
    }

    #[test]
    fn a_measure_that_a_run_lacks_is_left_out() {
        let mut runs = [run("1", "a", 1.0), run("2", "a", 2.0), run("3", "a", 3.0)];
        assert_eq!(growths(&runs).len(), 1);
        runs[2].measures.remove(0);
        assert_eq!(growths(&runs), []);
    }
}
