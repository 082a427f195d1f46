//! Runs simulated clusters, each from its seed; one that fails is shown, and how to replay it.
//! Simulates nothing itself: `tepui_core::sim` does.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tepui_core::sim::{Counts, Failure, Options, run};

/// Lines of the trace that are shown of a failure, unless asked for more.
const SHOWN_LINES: usize = 60;

/// Seeds between two lines of progress.
const PROGRESS: u64 = 50;

/// What was asked for.
struct Arguments {
    seeds: u64,
    first: u64,
    hours: f64,
    has_faults: bool,
    lines: usize,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: 100,
        first: 0,
        hours: 0.5,
        has_faults: true,
        lines: SHOWN_LINES,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        if name == "--no-faults" {
            arguments.has_faults = false;
            continue;
        }
        let value = given
            .next()
            .ok_or_else(|| format!("{name} needs a value"))?;
        let bad = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
        match name.as_str() {
            "--seeds" => arguments.seeds = value.parse().map_err(|error| bad(&error))?,
            "--first" => arguments.first = value.parse().map_err(|error| bad(&error))?,
            "--lines" => arguments.lines = value.parse().map_err(|error| bad(&error))?,
            "--hours" => arguments.hours = value.parse().map_err(|error| bad(&error))?,
            _ => return Err(format!("{name} is not known")),
        }
    }
    match arguments.hours.is_finite() && arguments.hours > 0.0 {
        true => Ok(arguments),
        false => Err("--hours must be above 0".to_owned()),
    }
}

#[allow(clippy::print_stdout, reason = "this program talks to a terminal")]
fn show(failure: &Failure, arguments: &Arguments) {
    let from = failure.trace.len().saturating_sub(arguments.lines);
    for line in failure.trace.iter().skip(from) {
        println!("{line}");
    }
    println!(
        "\nseed {} failed at step {}, after {:?}: {}",
        failure.seed, failure.step, failure.at, failure.what
    );
    let faults = match arguments.has_faults {
        true => "",
        false => " --no-faults",
    };
    println!(
        "replay it: cargo run --release -p tepui-core --features sim --example sim -- --seeds 1 \
         --first {} --hours {}{faults}",
        failure.seed, arguments.hours
    );
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long the runs took in real time; no run sees it"
)]
#[allow(clippy::print_stdout, reason = "this program talks to a terminal")]
fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            println!(
                "{error}; usage: sim --seeds N [--first K] [--hours H] [--lines L] [--no-faults]"
            );
            return ExitCode::FAILURE;
        }
    };
    let options = Options {
        busy: Duration::from_secs_f64(arguments.hours * 3600.0),
        has_faults: arguments.has_faults,
        ..Options::default()
    };
    let started = Instant::now();
    let (mut simulated, mut steps, mut counts) = (Duration::ZERO, 0, Counts::default());
    for done in 0..arguments.seeds {
        let seed = arguments.first + done;
        match run(seed, &options) {
            Ok(report) => {
                simulated += report.simulated;
                steps += report.steps;
                counts.add(&report.counts);
                if (done + 1).is_multiple_of(PROGRESS) {
                    println!("{} of {} seeds", done + 1, arguments.seeds);
                }
            }
            Err(failure) => {
                show(&failure, &arguments);
                return ExitCode::FAILURE;
            }
        }
    }
    for (name, count) in counts.list() {
        println!("{count:>12} {name}");
    }
    let (hours, seconds) = (
        simulated.as_secs_f64() / 3600.0,
        started.elapsed().as_secs_f64(),
    );
    println!(
        "{} seeds, {hours:.1} simulated hours, {steps} steps in {seconds:.1} s: {:.1} hours per \
         second",
        arguments.seeds,
        hours / seconds.max(1e-9)
    );
    ExitCode::SUCCESS
}
