//! Watches a process while a scenario runs: CPU time, memory, open files.
//! Watches nothing but what `/proc` tells.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::framework::Error;
use crate::proc;
use crate::report::Run;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// One look.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    cpu: Duration,
    rss_mib: f64,
    files: f64,
}

/// A watch over one process; it ends when dropped.
pub struct Sampler {
    clock: Clock,
    name: &'static str,
    pid: u32,
    begun: Duration,
    cpu_before: Duration,
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Sampler {
    /// Starts to watch.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn start(clock: Clock, name: &'static str, pid: u32) -> Result<Self, Error> {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let own = samples.clone();
        let begun = clock.now();
        let cpu_before = proc::cpu(pid)?;
        let task = tokio::spawn(async move {
            while let Ok(sample) = sample(clock, pid) {
                own.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sample);
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Ok(Sampler {
            clock,
            name,
            pid,
            begun,
            cpu_before,
            samples,
            task,
        })
    }

    /// CPU time since the start.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu(&self) -> Result<Duration, Error> {
        Ok(proc::cpu(self.pid)?.saturating_sub(self.cpu_before))
    }

    /// Writes what was seen into a run; gives the resident memory of each look in MiB.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn finish(self, run: &mut Run) -> Result<Vec<f64>, Error> {
        self.task.abort();
        let last = sample(self.clock, self.pid)?;
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push(last);
        let name = self.name;
        let memory: Vec<f64> = samples.iter().map(|sample| sample.rss_mib).collect();
        let peak = memory.iter().copied().fold(0.0, f64::max);
        run.measure(&format!("{name} cpu"), self.cpu()?.as_secs_f64(), "s");
        run.measure(&format!("{name} memory, at most"), peak, "MiB");
        let seconds = |at: Duration| at.saturating_sub(self.begun).as_secs_f64();
        let cores = samples.windows(2).filter_map(|pair| match pair {
            [a, b] => {
                let time = b.at.saturating_sub(a.at).as_secs_f64();
                let spent = b.cpu.saturating_sub(a.cpu).as_secs_f64();
                (time > 0.1).then(|| (seconds(b.at), spent / time))
            }
            _ => None,
        });
        run.series(&format!("{name} cpu"), "cores", cores.collect());
        let points = |value: fn(&Sample) -> f64| {
            samples
                .iter()
                .map(|it| (seconds(it.at), value(it)))
                .collect()
        };
        run.series(&format!("{name} memory"), "MiB", points(|it| it.rss_mib));
        run.series(
            &format!("{name} open files"),
            "files",
            points(|it| it.files),
        );
        Ok(memory)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn sample(clock: Clock, pid: u32) -> Result<Sample, Error> {
    Ok(Sample {
        at: clock.now(),
        cpu: proc::cpu(pid)?,
        rss_mib: proc::rss_kib(pid)? as f64 / 1024.0,
        files: proc::open_files(pid)? as f64,
    })
}
