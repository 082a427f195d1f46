//! Figures of load-test runs: the model, JSON, and how runs are merged.
//! Measures nothing and does no IO: strings in, strings out.

mod format;
mod growth;
mod html;
mod markdown;
mod plot;
mod scale;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize};

/// All runs of one or more calls of the program, and where they ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The machine the runs were made on.
    #[serde(default)]
    pub machine: Machine,
    /// Runs, in the order they were made.
    pub runs: Vec<Run>,
}

/// What figures depend on besides the scenario. Empty and zero mean unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Model name of the processor.
    pub cpu: String,
    /// Processor cores that were available.
    pub cores: u32,
    /// Main memory in MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Whether the kernel tracks connections for a firewall, `on` or `off`: it then looks up each
    /// packet, and everything takes longer.
    pub connection_tracking: String,
    /// Version of Tepui.
    pub tepui: String,
    /// Day of the runs, YYYY-MM-DD.
    pub date: String,
    /// Anything else a reader should know.
    pub note: String,
}

/// One run of one scenario with one set of parameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the scenario.
    pub scenario: String,
    /// What the scenario was called with.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Single figures.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// How long things took.
    #[serde(default)]
    pub latencies: Vec<Latency>,
    /// How figures changed during the run.
    #[serde(default)]
    pub series: Vec<Series>,
    /// Remarks for readers.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One figure of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What was measured.
    pub name: String,
    /// The figure, in `unit`.
    #[serde(deserialize_with = "number_or_null")]
    pub value: f64,
    /// Unit, such as `MiB`, `s` or `agents/s`. A rate ends in `/s`.
    #[serde(default)]
    pub unit: String,
}

/// How long something took, over all its occurrences. Times are in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// What took this long.
    pub name: String,
    /// How often it was measured.
    pub count: u64,
    /// Arithmetic mean.
    #[serde(default, deserialize_with = "number_or_null")]
    pub mean_us: f64,
    /// Half of all took at most this.
    #[serde(default)]
    pub p50_us: u64,
    /// 90% took at most this.
    #[serde(default)]
    pub p90_us: u64,
    /// 99% took at most this.
    #[serde(default)]
    pub p99_us: u64,
    /// 99.9% took at most this.
    #[serde(default)]
    pub p999_us: u64,
    /// The longest.
    #[serde(default)]
    pub max_us: u64,
    /// Quantile (0 to below 1) and the time in microseconds, ascending.
    #[serde(default)]
    pub distribution: Vec<(f64, u64)>,
}

/// A figure over the time of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What was measured.
    pub name: String,
    /// Unit of the values.
    #[serde(default)]
    pub unit: String,
    /// Seconds since the run began, and the value then.
    #[serde(default, deserialize_with = "points_or_null")]
    pub points: Vec<(f64, f64)>,
}

/// A page in Markdown and the plots it links to.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The Markdown text.
    pub text: String,
    /// File name and SVG text of each plot. The page links to them as files next to itself.
    pub plots: Vec<(String, String)>,
}

impl Report {
    /// The report as JSON, indented. `parse` reads it back.
    pub fn json(&self) -> String {
        // Writing into a string fails for maps with odd keys only, which the model lacks.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads what `json` wrote, now or in an older version.
    pub fn parse(text: &str) -> Result<Report, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// One report with the runs of all, in order, and the machine of the first.
    /// Runs made on a different machine say so in their notes.
    pub fn merge(reports: Vec<Report>) -> Report {
        let mut reports = reports.into_iter();
        let Some(mut merged) = reports.next() else {
            return Report::default();
        };
        let mut differ = false;
        for Report { machine, mut runs } in reports {
            if !machine.is_like(&merged.machine) {
                differ = true;
                let other = format!("Made on another machine: {}.", machine.summary());
                runs.iter_mut()
                    .for_each(|run| run.notes.push(other.clone()));
            } else if !merged.machine.note.contains(&machine.note) {
                merged.machine.remark(&machine.note);
            }
            merged.runs.extend(runs);
        }
        if differ {
            merged
                .machine
                .remark("Some runs were made on other machines; their notes say which.");
        }
        merged
    }
}

impl Run {
    /// A run of a scenario, without figures.
    pub fn new(scenario: impl Into<String>) -> Run {
        Run {
            scenario: scenario.into(),
            ..Run::default()
        }
    }

    /// Sets a parameter.
    pub fn parameter(&mut self, name: &str, value: impl ToString) -> &mut Run {
        self.parameters.insert(name.into(), value.to_string());
        self
    }

    /// Adds a figure.
    pub fn measure(&mut self, name: &str, value: f64, unit: &str) -> &mut Run {
        self.measures.push(Measure {
            name: name.into(),
            value,
            unit: unit.into(),
        });
        self
    }

    /// Adds the figures of a histogram of microseconds.
    pub fn latency(&mut self, name: &str, histogram: &Histogram<u64>) -> &mut Run {
        self.latencies.push(Latency::of(name, histogram));
        self
    }

    /// Adds a figure over time: seconds since the run began, and the value then.
    pub fn series(&mut self, name: &str, unit: &str, points: Vec<(f64, f64)>) -> &mut Run {
        self.series.push(Series {
            name: name.into(),
            unit: unit.into(),
            points,
        });
        self
    }

    /// Adds a remark.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Run {
        self.notes.push(text.into());
        self
    }

    /// The figure of this name, in its unit.
    pub fn measured(&self, name: &str) -> Option<f64> {
        let measure = self.measures.iter().find(|measure| measure.name == name)?;
        Some(measure.value)
    }

    /// The value of a parameter, if it is a finite number.
    pub fn number(&self, parameter: &str) -> Option<f64> {
        let number: f64 = self.parameters.get(parameter)?.trim().parse().ok()?;
        number.is_finite().then_some(number)
    }
}

impl Latency {
    /// The figures of a histogram of microseconds.
    pub fn of(name: &str, histogram: &Histogram<u64>) -> Latency {
        Latency {
            name: name.into(),
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
            distribution: distribution(histogram),
        }
    }

    /// What tables show: p50, p90, p99, p99.9 and the longest, in microseconds.
    fn figures(&self) -> [u64; 5] {
        [
            self.p50_us,
            self.p90_us,
            self.p99_us,
            self.p999_us,
            self.max_us,
        ]
    }
}

impl Series {
    /// The series with at most this many points. The first and the last stay, and so do the
    /// lowest and the highest of each stretch between, so that no peak is lost.
    /// Values that are no finite numbers are left out.
    pub fn thinned(&self, most: usize) -> Series {
        let finite = |(time, value): &(f64, f64)| time.is_finite() && value.is_finite();
        let mut points: Vec<_> = self.points.iter().copied().filter(finite).collect();
        if points.len() > most {
            points = thin(&points, most);
        }
        Series {
            points,
            ..self.clone()
        }
    }
}

impl Machine {
    /// Label and text of everything known.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let count = |count: u64| match count {
            0 => String::new(),
            count => format::count(count),
        };
        let memory = match self.memory_mib {
            0 => String::new(),
            mib => format!("{} MiB", format::count(mib)),
        };
        let mut facts = vec![
            ("CPU", self.cpu.clone()),
            ("cores", count(self.cores.into())),
            ("memory", memory),
            ("kernel", self.kernel.clone()),
            ("connection tracking", self.connection_tracking.clone()),
            ("Tepui", self.tepui.clone()),
            ("date", self.date.clone()),
            ("note", self.note.clone()),
        ];
        facts.retain(|(_, text)| !text.is_empty());
        facts
    }

    fn summary(&self) -> String {
        let facts = self.facts().into_iter();
        let facts: Vec<_> = facts
            .map(|(label, text)| format!("{label} {text}"))
            .collect();
        match facts.is_empty() {
            true => "unknown".into(),
            false => facts.join(", "),
        }
    }

    /// Whether figures are comparable. Day and note do not matter.
    fn is_like(&self, other: &Machine) -> bool {
        let neutral = Machine {
            date: other.date.clone(),
            note: other.note.clone(),
            ..self.clone()
        };
        neutral == *other
    }

    fn remark(&mut self, text: &str) {
        if !self.note.is_empty() {
            self.note.push(' ');
        }
        self.note.push_str(text);
    }
}

/// Scenarios in the order of their first run, each with its runs.
fn scenarios(runs: &[Run]) -> Vec<(&str, Vec<&Run>)> {
    let mut found: Vec<(&str, Vec<&Run>)> = Vec::new();
    for run in runs {
        match found.iter_mut().find(|(name, _)| *name == run.scenario) {
            Some((_, same)) => same.push(run),
            None => found.push((&run.scenario, vec![run])),
        }
    }
    found
}

/// Values at quantiles that halve the distance to 1 in two steps each.
/// It ends where less than half an occurrence would lie above: the last value is then the
/// longest, and further ones would only repeat it.
fn distribution(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    let steps = (0..34).map(|step| {
        let halved = 0.5_f64.powi(step / 2);
        1.0 - if step % 2 == 0 { halved } else { 0.75 * halved }
    });
    let supported = |quantile: &f64| (1.0 - quantile) * histogram.len() as f64 >= 0.5;
    steps
        .chain([0.99999])
        .take_while(supported)
        .map(|quantile| (quantile, histogram.value_at_quantile(quantile)))
        .collect()
}

fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let [first, inner @ .., last] = points else {
        return points.iter().copied().take(most).collect();
    };
    if most < 2 {
        return points.iter().copied().take(most).collect();
    }
    let buckets = (most - 2) / 2;
    let mut kept = vec![*first];
    for bucket in 0..buckets {
        let part = &inner[bucket * inner.len() / buckets..(bucket + 1) * inner.len() / buckets];
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let lowest = part.iter().min_by(by_value);
        let highest = part.iter().max_by(by_value);
        let mut pair: Vec<_> = lowest.into_iter().chain(highest).copied().collect();
        pair.sort_by(|a, b| a.0.total_cmp(&b.0));
        pair.dedup();
        kept.extend(pair);
    }
    kept.push(*last);
    kept
}

/// JSON has no NaN and no infinity; they are written as null and read back as NaN.
fn number_or_null<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or(f64::NAN))
}

fn points_or_null<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let points: Vec<(Option<f64>, Option<f64>)> = Vec::deserialize(input)?;
    let or_nan = |number: Option<f64>| number.unwrap_or(f64::NAN);
    Ok(points
        .into_iter()
        .map(|(time, value)| (or_nan(time), or_nan(value)))
        .collect())
}
