//! `tepui-loadtest`: loads real masters over the wire and reports how fast and how large they are.
//! Agents may be simulated, thousands to a process; their decisions are those of the real agent.

mod apps;
mod calls;
mod cli;
mod clock;
mod cluster;
mod driver;
mod fleet;
mod framework;
mod ledger;
mod machine;
mod prober;
mod proc;
mod report;
mod sampler;
mod scenario;
mod subscribers;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hdrhistogram::Histogram;

#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Digits that histograms tell apart.
const DIGITS: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    machine::allow_many_files();
    match cli::run(cli::Cli::parse()).await {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tepui-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A histogram of microseconds that grows as needed.
fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(DIGITS).unwrap_or_else(|_| {
        // Only a number of digits beyond five is refused, and this one is fixed.
        unreachable!("{DIGITS} digits are allowed")
    });
    histogram.auto(true);
    histogram
}

/// Records a time in a histogram of microseconds.
fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    // Fails only when the histogram may not grow; ours may.
    let _ = histogram.record(micros);
}

/// Takes all of one histogram into another.
fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Fails only when the target may not grow; ours may.
    let _ = to.add(from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_take_any_time() {
        let mut some = histogram();
        for seconds in [0, 1, 3_600, 1_000_000] {
            record(&mut some, Duration::from_secs(seconds));
        }
        let mut sum = histogram();
        add(&mut sum, &some);
        assert_eq!(sum.len(), 4);
        assert!(sum.equivalent(sum.max(), 1_000_000_000_000));
    }
}
