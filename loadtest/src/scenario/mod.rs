//! The scenarios, and what they share: a master, fleets, frameworks, watches.
//! Each scenario is one file; nothing here measures by itself.

pub mod agent_restart;
pub mod apps;
pub mod bench;
pub mod bounds;
pub mod containers;
pub mod failover;
pub mod flap;
pub mod launch;
pub mod offers;
pub mod quota;
pub mod register;
pub mod soak;
pub mod state;
pub mod steady;
pub mod tasks;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tepui_protocol::media::MediaType;
use tepui_protocol::v1::{FrameworkId, FrameworkInfo};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::cluster::Master;
use crate::driver::drive;
use crate::fleet::{Behaviour, FleetHandle, Network, Options};
use crate::framework::{Error, Framework, Target, framework_info};
use crate::ledger::{Goal, Latencies, Ledger, Plan, REFUSE_SECONDS, decline};
use crate::prober::{Found, Pace, Prober, Question};
use crate::report::Run;
use crate::sampler::Sampler;

/// Most agents of one fleet.
const MAX_AGENTS: u64 = 200_000;

/// A command that runs until it is killed, as far as a load test is concerned.
pub const FOREVER: &str = "sleep 1000000";

/// Time between two reads of a figure that must stay quick under load.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Options of every scenario.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// What the frameworks speak to: `tepui` starts a master of its own unless --master is given,
    /// `mesos-v1` is any running master with the v1 API, and has agents of its own.
    #[arg(long, value_enum, default_value_t = TargetKind::Tepui)]
    pub target: TargetKind,
    /// A running master, as host:port.
    #[arg(long, required_if_eq("target", "mesos-v1"))]
    pub master: Option<String>,
    /// Encoding of calls and events.
    #[arg(long, value_enum, default_value_t = Wire::Protobuf)]
    pub wire: Wire,
    /// Longest duration of each step of a scenario in seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout_secs: u64,
    /// A flag for the master that is started, such as --master-flag=--registry=file; may be
    /// repeated.
    #[arg(long = "master-flag", allow_hyphen_values = true)]
    pub master_flags: Vec<String>,
    /// Threads of the simulated agents.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub fleet_threads: u64,
    /// Base of the random delay before a simulated agent connects, in ms, also after a lost link.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_ms: u64,
    /// Resources of each simulated agent.
    #[arg(
        long,
        default_value = "cpus:24;mem:65536;disk:1048576;ports:[31000-32000]"
    )]
    pub resources: String,
    /// Delay of every message between master and simulated agents, each way, in ms.
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub delay_ms: f64,
    /// Further random delay, up to this, in ms.
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub jitter_ms: f64,
    /// Mean time after which the link of a simulated agent is cut, in seconds; 0 means never.
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub mean_time_to_cut_secs: f64,
    /// Share of simulated tasks that fail, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub failing_tasks: f64,
}

impl Common {
    /// Refuses what only simulated agents could do, where there are none.
    fn refuse_fleet_options(&self) -> Result<(), Error> {
        let given = [
            ("--delay-ms", self.delay_ms),
            ("--jitter-ms", self.jitter_ms),
            ("--mean-time-to-cut-secs", self.mean_time_to_cut_secs),
            ("--failing-tasks", self.failing_tasks),
        ];
        match given.iter().find(|(_, value)| *value > 0.0) {
            None => Ok(()),
            Some((option, _)) => Err(format!(
                "{option} is about simulated agents, and --target=mesos-v1 has none; leave it out"
            )
            .into()),
        }
    }
}

/// What the frameworks speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// A Tepui master with simulated agents.
    Tepui,
    /// Any master with Mesos's v1 API and agents of its own.
    MesosV1,
}

/// Encodings.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Wire {
    /// application/x-protobuf
    Protobuf,
    /// application/json
    Json,
}

impl From<Wire> for MediaType {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Protobuf => MediaType::Protobuf,
            Wire::Json => MediaType::Json,
        }
    }
}

/// Where a scenario plays: a master and how to reach it.
pub struct Stage {
    /// The clock.
    pub clock: Clock,
    /// The options.
    pub common: Common,
    /// How frameworks reach the master.
    pub target: Target,
    master: Option<Master>,
}

impl Stage {
    /// A stage with the master the options name, or one of its own.
    ///
    /// # Errors
    /// When the master does not come up.
    pub async fn set(clock: Clock, common: &Common) -> Result<Self, Error> {
        let (master, address) = match &common.master {
            Some(address) => (None, address.clone()),
            None => {
                let mut flags = common.master_flags.clone();
                if !flags.iter().any(|flag| flag.starts_with("--registry")) {
                    flags.push("--registry=in_memory".into());
                }
                let master = Master::start(flags).await?;
                let address = master.address().to_string();
                (Some(master), address)
            }
        };
        Ok(Stage {
            clock,
            common: common.clone(),
            target: Target {
                master: address,
                media: common.wire.into(),
                clock,
            },
            master,
        })
    }

    /// Plays a scenario and ends the master; a failure shows the end of the master's log.
    ///
    /// # Errors
    /// When the scenario fails.
    pub async fn play<F>(mut self, scenario: F) -> Result<Run, Error>
    where
        F: AsyncFnOnce(&mut Stage) -> Result<Run, Error>,
    {
        let result = scenario(&mut self).await;
        let log = self.master.as_ref().map(Master::last_lines);
        if let Some(master) = self.master {
            master.end().await;
        }
        result.map_err(|error| format!("{error}\n{}", log.unwrap_or_default()).into())
    }

    /// Longest duration of a step.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.common.timeout_secs)
    }

    /// The master this load test started.
    ///
    /// # Errors
    /// When it did not start it.
    pub fn own_master(&mut self) -> Result<&mut Master, Error> {
        let own = self.master.as_mut();
        own.ok_or_else(|| {
            "this scenario needs a master that it may kill: leave --master out".into()
        })
    }

    /// Watches the master, if it was started here.
    ///
    /// # Errors
    /// When it has ended.
    pub fn watch_master(&self) -> Result<Option<Sampler>, Error> {
        let Some(master) = &self.master else {
            return Ok(None);
        };
        Ok(Some(Sampler::start(self.clock, "master", master.pid()?)?))
    }

    /// Resident memory of the master in MiB, if it was started here.
    ///
    /// # Errors
    /// When it has ended.
    pub fn master_memory(&self) -> Result<Option<f64>, Error> {
        let Some(master) = &self.master else {
            return Ok(None);
        };
        Ok(Some(crate::proc::rss_kib(master.pid()?)? as f64 / 1024.0))
    }

    /// Starts simulated agents; against a master with agents of its own there are none.
    ///
    /// # Errors
    /// When the master's address is wrong or the fleet cannot be started.
    pub fn fleet(&self, agents: u64) -> Result<Option<FleetHandle>, Error> {
        if self.common.target == TargetKind::MesosV1 {
            self.common.refuse_fleet_options()?;
            return Ok(None);
        }
        crate::machine::enough_files(agents)?;
        Ok(Some(FleetHandle::start(
            self.clock,
            self.fleet_options(agents)?,
        )?))
    }

    fn fleet_options(&self, agents: u64) -> Result<Options, Error> {
        let common = &self.common;
        let address: SocketAddr = self.target.master.parse().map_err(|_| {
            format!(
                "--master={}: simulated agents need ip:port",
                self.target.master
            )
        })?;
        let ms = |ms: f64| Duration::try_from_secs_f64(ms / 1000.0);
        Ok(Options {
            master: address,
            agents: usize::try_from(agents)?,
            threads: usize::try_from(common.fleet_threads)?,
            resources: common.resources.clone(),
            backoff: Duration::from_millis(common.backoff_ms),
            network: Network {
                delay: ms(common.delay_ms)?,
                jitter: ms(common.jitter_ms)?,
                mean_time_to_cut: Duration::try_from_secs_f64(common.mean_time_to_cut_secs)?,
            },
            behaviour: Behaviour {
                failing: common.failing_tasks,
            },
        })
    }

    /// Starts simulated agents and waits until all are registered.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn registered_fleet(&self, agents: u64) -> Result<Option<FleetHandle>, Error> {
        let Some(fleet) = self.fleet(agents)? else {
            return Ok(None);
        };
        let bar = progress("agents", agents);
        let limit = self.limit();
        let wait = fleet.wait_for(usize::try_from(agents)?, limit);
        watched(&bar, || fleet.figures().registered() as u64, wait).await?;
        Ok(Some(fleet))
    }

    /// Subscribes a framework in the default role.
    ///
    /// # Errors
    /// When the master refuses.
    pub async fn framework(&self, name: &str) -> Result<Framework, Error> {
        Framework::subscribe(&self.target, framework_info(name)).await
    }

    /// Reads a path of the master at an interval that shows stalls.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn probe(&self, path: &str) -> Result<Prober, Error> {
        let url = format!("http://{}{path}", self.target.master);
        let question = Question::get(url);
        Prober::start(self.clock, &question, Pace::Every(PROBE_INTERVAL), 1)
    }

    /// Runs plans side by side, one framework in the default role each.
    ///
    /// # Errors
    /// When a framework fails, a task ends otherwise than it should, or not all is done in time.
    pub async fn run_plans(&self, name: &str, plans: Vec<Plan>) -> Result<Outcome, Error> {
        let info = |index: usize| framework_info(&format!("{name}-{index}"));
        let plans = plans.into_iter().enumerate();
        let plans = plans.map(|(index, plan)| (info(index), plan)).collect();
        self.run_as(name, plans).await
    }

    /// The same with frameworks of this description.
    ///
    /// # Errors
    /// As [`Self::run_plans`].
    pub async fn run_as(
        &self,
        name: &str,
        plans: Vec<(FrameworkInfo, Plan)>,
    ) -> Result<Outcome, Error> {
        let tasks: usize = plans.iter().map(|(_, plan)| plan.tasks).sum();
        let bar = progress(name, tasks as u64);
        let mut frameworks = Vec::new();
        for (info, plan) in plans {
            frameworks.push((Framework::subscribe(&self.target, info).await?, plan));
        }
        let begun = self.clock.now();
        let clock = self.clock;
        let runs = frameworks.into_iter().map(|(mut framework, plan)| {
            let bar = bar.clone();
            async move {
                let mut ledger = Ledger::new(plan, clock.now());
                drive(&mut framework, clock, &mut ledger, &bar).await?;
                Ok::<_, Error>((framework, ledger))
            }
        });
        let all = futures_util::future::try_join_all(runs);
        let done = tokio::time::timeout(self.limit(), all).await;
        let reached = bar.position();
        bar.finish_and_clear();
        let late = |_| {
            format!(
                "{name}: only {reached} of {tasks} tasks in {:?}",
                self.limit()
            )
        };
        let done = done.map_err(late)??;
        let mut outcome = Outcome {
            elapsed: Duration::ZERO,
            finished: 0,
            failed: 0,
            latencies: Latencies::new(),
            call_times: crate::histogram(),
            frameworks: Vec::new(),
        };
        for (framework, ledger) in done {
            outcome.elapsed = outcome.elapsed.max(ledger.reached.saturating_sub(begun));
            outcome.finished += ledger.finished;
            outcome.failed += ledger.failed;
            outcome.latencies.add(&ledger.latencies);
            crate::add(&mut outcome.call_times, &framework.take_call_times());
            outcome.frameworks.push(framework);
        }
        Ok(outcome)
    }

    /// Starts so many tasks that run until they are killed, so many on each agent.
    ///
    /// # Errors
    /// When they do not all run in time.
    pub async fn populate(
        &self,
        info: FrameworkInfo,
        tasks: u64,
        per_agent: u64,
    ) -> Result<Resident, Error> {
        let tasks = usize::try_from(tasks)?;
        let plan = Plan {
            tasks,
            command: FOREVER.into(),
            concurrency: tasks,
            per_accept: usize::try_from(per_agent)?,
            prefix: "resident".into(),
            goal: Goal::Running,
            ..Plan::default()
        };
        let outcome = self.run_as("resident", vec![(info, plan)]).await?;
        let framework = outcome.frameworks.into_iter().next();
        let framework = framework.ok_or("there is no framework")?;
        Ok(Resident {
            id: framework.id().clone(),
            elapsed: outcome.elapsed,
            task: tokio::spawn(stay(framework)),
        })
    }
}

/// A framework whose tasks run on; it goes away, without a word, when dropped.
pub struct Resident {
    /// Its id.
    pub id: FrameworkId,
    /// How long it took until all its tasks ran.
    pub elapsed: Duration,
    task: JoinHandle<()>,
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Wants no more offers, and says so to those that were on their way.
async fn stay(mut framework: Framework) {
    while let Ok(event) = framework.next_event().await {
        let offers = event.offers.unwrap_or_default().offers;
        if offers.is_empty() {
            continue;
        }
        let ids = offers.into_iter().map(|offer| offer.id).collect();
        if framework.send(decline(ids, REFUSE_SECONDS)).await.is_err() {
            return;
        }
    }
}

/// What plans came to.
pub struct Outcome {
    /// From the beginning until the last task reached the goal.
    pub elapsed: Duration,
    /// Tasks that finished.
    pub finished: usize,
    /// Tasks that ended otherwise, where they may.
    pub failed: usize,
    /// How long tasks took.
    pub latencies: Latencies,
    /// How long calls took to be answered.
    pub call_times: hdrhistogram::Histogram<u64>,
    /// The frameworks, still subscribed.
    pub frameworks: Vec<Framework>,
}

impl Outcome {
    /// Writes latencies and rates into a run.
    pub fn tell(&self, run: &mut Run) {
        let seconds = self.elapsed.as_secs_f64();
        let tasks = (self.finished + self.failed) as f64;
        run.measure("elapsed", seconds, "s");
        run.measure("tasks", tasks / seconds.max(1e-6), "tasks/s");
        if self.failed > 0 {
            run.measure("failed tasks", self.failed as f64, "tasks");
        }
        run.latency("to TASK_RUNNING", &self.latencies.to_running);
        run.latency("to terminal state", &self.latencies.to_end);
        run.latency("calls", &self.call_times);
    }

    /// Ends the frameworks and all their tasks.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn tear_down(self) -> Result<(), Error> {
        for framework in self.frameworks {
            framework.tear_down().await?;
        }
        Ok(())
    }
}

/// Writes what a prober found into a run.
pub fn tell_probe(run: &mut Run, name: &str, found: &Found) {
    run.latency(name, &found.times);
    if found.failures.0 > 0 {
        let (count, why) = &found.failures;
        run.note(format!(
            "{name}: {count} reads failed, the last with: {why}"
        ));
    }
    if found.unanswered > 0 {
        run.note(format!(
            "{name}: {} reads that were due had no answer at the end; they count with the time \
             they had waited until then",
            found.unanswered
        ));
    }
}

/// Runs something bounded by the limit of a step.
///
/// # Errors
/// When it fails or takes longer.
pub async fn within<T>(
    what: &str,
    limit: Duration,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(format!("{what}: not done in {limit:?}").into()),
    }
}

/// Waits for something while a bar shows a number that is looked up now and then.
pub async fn watched<T>(
    bar: &ProgressBar,
    number: impl Fn() -> u64,
    future: impl Future<Output = T>,
) -> T {
    let show = async {
        loop {
            bar.set_position(number());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let result = tokio::select! {
        result = future => result,
        () = show => std::future::pending().await,
    };
    bar.finish_and_clear();
    result
}

/// A bar on a terminal; nothing elsewhere.
pub fn progress(name: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(name.to_owned());
    match ProgressStyle::with_template("{msg:12} {bar:40} {pos}/{len} {per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Reads a number of agents.
pub fn agents() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=MAX_AGENTS)
}

/// Reads a number above zero.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("'{text}' is not a number above zero")),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..1e9).contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is not a number from zero to a billion")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is not a number from 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        common: Common,
    }

    #[test]
    fn options_of_simulated_agents_are_refused_where_there_are_none() {
        let given = |option: &str| {
            let line = ["test", "--target=mesos-v1", "--master=h:1", option];
            let common = Line::try_parse_from(line).unwrap().common;
            common.refuse_fleet_options()
        };
        assert!(given("--wire=json").is_ok());
        for option in ["--jitter-ms=1", "--failing-tasks=0.5"] {
            let error = given(option).unwrap_err().to_string();
            assert!(
                error.starts_with(option.split('=').next().unwrap()),
                "{error}"
            );
        }
    }
}
