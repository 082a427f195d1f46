//! A part's cluster: master, simulated agents, app manager, and what is known of its deployments.
//! Scales down what does not fit, and says so; plays no part itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use reqwest::Method;
use serde_json::{Value, json};
use tepui_core::resources::Resources;
use tokio::task::JoinHandle;

use super::super::{FOREVER, Stage, within};
use super::{Apps, Tokens};
use crate::apps::{Api, Deployments};
use crate::cluster::Marathon;
use crate::fleet::{FleetHandle, TaskCount};
use crate::framework::Error;
use crate::machine;
use crate::prober::{Pace, Prober, Question};
use crate::report::Run;
use crate::sampler::Sampler;

/// CPUs of each task, the least that Mesos tells from none.
const CPUS: f64 = 0.01;

/// Memory of each task in MiB.
const MEM_MB: u64 = 16;

/// Deployments that may be under way; Marathon's own limit of 100 is for people.
const MAX_DEPLOYMENTS: u64 = 1_000_000;

/// Time between two looks at the number of tasks.
const LOOK: Duration = Duration::from_millis(2);

/// Time between two reads of what is long, such as an app with all its tasks.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a task too many has to show itself after all is done.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long lists may lag behind.
const COUNT_LIMIT: Duration = Duration::from_secs(10);

/// Time between two points of the number of tasks over time.
const GROWTH_INTERVAL: Duration = Duration::from_millis(250);

/// Time between two looks at lists.
const COUNT_LOOK: Duration = Duration::from_millis(100);

/// A part's cluster.
pub struct Scene<'a> {
    stage: &'a Stage,
    fleet: FleetHandle,
    marathon: Marathon,
    samplers: Vec<Sampler>,
    growth: Growth,
    /// Tasks there is room for.
    room: u64,
    /// The app manager.
    pub api: Api,
    /// Ends of deployments.
    pub deployments: Deployments,
}

impl<'a> Scene<'a> {
    /// Starts the agents and an app manager at the stage's master.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn set(
        stage: &'a Stage,
        arguments: &Apps,
        tokens: Tokens,
        run: &mut Run,
    ) -> Result<Self, Error> {
        let most = machine::most_agents()?;
        let agents = fitting(run, "agents", arguments.agents, most);
        let room = agents.saturating_mul(tasks_per_agent(&stage.common.resources)?);
        let fleet = stage.registered_fleet(agents).await?;
        let fleet = fleet.ok_or("this scenario simulates the agents itself")?;
        let mut flags = vec![format!("--max_running_deployments={MAX_DEPLOYMENTS}")];
        match tokens {
            Tokens::Default => run.parameter("launch tokens", "default"),
            Tokens::Many(tokens) => {
                flags.push(format!("--launch_tokens={tokens}"));
                run.parameter("launch tokens", tokens)
            }
        };
        flags.extend_from_slice(&arguments.marathon_flags);
        if !arguments.marathon_flags.is_empty() {
            run.parameter("flags", arguments.marathon_flags.join(" "));
        }
        let marathon = Marathon::start(&stage.target.master, &flags).await?;
        let api = Api::new(marathon.address())?;
        let mut samplers = vec![Sampler::start(stage.clock, "marathon", marathon.pid()?)?];
        samplers.extend(stage.watch_master()?);
        Ok(Scene {
            growth: Growth::start(stage, fleet.figures().tasks().clone()),
            deployments: Deployments::listen(api.clone(), stage.clock).await?,
            stage,
            fleet,
            marathon,
            samplers,
            room,
            api,
        })
    }

    /// Tells what was seen of the processes and ends the app manager.
    ///
    /// # Errors
    /// When the part has failed or a process has ended.
    pub async fn clear(self, played: Result<(), Error>, run: &mut Run) -> Result<(), Error> {
        let told = played.and_then(|()| {
            let lost = self.deployments.lost();
            if lost > 0 {
                run.note(format!(
                    "{lost} events were lost on the way; ends of deployments were read instead"
                ));
            }
            let stored = self.marathon.stored_bytes() as f64 / 1e6;
            run.measure("marathon files", stored, "MB");
            run.series("tasks", "tasks", self.growth.points());
            for sampler in self.samplers {
                sampler.finish(run)?;
            }
            Ok(())
        });
        let log = self.marathon.last_lines();
        self.marathon.end().await;
        told.map_err(|error: Error| format!("{error}\n{log}").into())
    }

    /// Time since the load test started.
    pub fn now(&self) -> Duration {
        self.stage.clock.now()
    }

    /// Longest duration of a step.
    pub fn limit(&self) -> Duration {
        self.stage.limit()
    }

    /// The number of tasks on all agents.
    pub fn tasks(&self) -> &Arc<TaskCount> {
        self.fleet.figures().tasks()
    }

    /// As many of something as there is room for, where each has so many tasks.
    pub fn fit(&self, run: &mut Run, name: &str, wanted: u64, tasks_each: u64) -> u64 {
        fitting(run, name, wanted, self.room / tasks_each.max(1))
    }

    /// Reads a path so often that stalls show.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn probe(&self, path: &str) -> Result<Prober, Error> {
        self.read(path, Pace::Every(super::super::PROBE_INTERVAL), 1)
    }

    /// Reads a path whose answer is long, as often as those do who wait for something.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn watch(&self, path: &str) -> Result<Prober, Error> {
        self.read(path, Pace::Every(WATCH_INTERVAL), 1)
    }

    /// Reads a path with so many readers.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn read(&self, path: &str, pace: Pace, readers: usize) -> Result<Prober, Error> {
        let question = Question::get(self.api.url(path));
        Prober::start(self.stage.clock, &question, pace, readers)
    }

    /// Makes a change and waits for its end; gives how long both took.
    ///
    /// # Errors
    /// When it is refused or fails, or takes longer than a step may.
    pub async fn deploy(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Duration, Error> {
        let begun = self.now();
        let id = self.api.change(method, path, body).await?;
        self.ended(what, &[id]).await?;
        Ok(self.now() - begun)
    }

    /// Waits for the ends of deployments; gives when each was.
    ///
    /// # Errors
    /// When one fails, or they take longer than a step may.
    pub async fn ended(&self, what: &str, ids: &[String]) -> Result<Vec<Duration>, Error> {
        let over = self.deployments.over(ids);
        let over = within(what, self.stage.limit(), over).await;
        over.map_err(|error| format!("{error} ({} tasks exist)", self.tasks().now()).into())
    }

    /// Waits until so many tasks exist.
    ///
    /// # Errors
    /// When that takes longer than a step may.
    pub async fn reached(&self, what: &str, tasks: u64) -> Result<(), Error> {
        let wait = async {
            while self.tasks().now() != tasks {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let waited = within(what, self.stage.limit(), wait).await;
        waited.map_err(|error| format!("{error} ({} tasks exist)", self.tasks().now()).into())
    }

    /// Wants so many instances of an app and waits until they are there and the deployment is over;
    /// gives how long each of both took.
    ///
    /// # Errors
    /// When the change is refused or late.
    pub async fn scale(&self, app: &str, instances: u64) -> Result<(Duration, Duration), Error> {
        let what = format!("scaling {app} to {instances}");
        let begun = self.now();
        let id = self.api.scale(app, instances).await?;
        let there = async {
            self.reached(&what, instances).await?;
            Ok::<_, Error>(self.now() - begun)
        };
        let over = async {
            self.ended(&what, &[id]).await?;
            Ok::<_, Error>(self.now() - begun)
        };
        futures_util::future::try_join(there, over).await
    }

    /// Fails when there were, since the last mark, or are a moment later, more or fewer tasks than
    /// there may be.
    ///
    /// # Errors
    /// When there were, with the number.
    pub async fn expect(&self, what: &str, fewest: u64, most: u64) -> Result<(), Error> {
        tokio::time::sleep(AFTERMATH).await;
        self.bounded(what, fewest, most)
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// When there were more or fewer tasks, with the numbers.
    pub fn bounded(&self, what: &str, fewest: u64, most: u64) -> Result<(), Error> {
        let tasks = self.tasks();
        within_bounds(what, (tasks.fewest(), tasks.most()), (fewest, most))
    }

    /// Waits until the app manager tells of these apps that exactly the wanted tasks run.
    ///
    /// # Errors
    /// When it does not.
    pub async fn expect_counts(&self, apps: u64, tasks: u64) -> Result<(), Error> {
        let begun = self.now();
        loop {
            let counts = self.api.count_all().await?;
            let is_right = (counts.apps, counts.instances, counts.running, counts.staged)
                == (apps, tasks, tasks, 0);
            if is_right {
                return Ok(());
            }
            if self.now() - begun > COUNT_LIMIT {
                return Err(format!(
                    "{apps} apps with {tasks} running tasks were expected, and the app manager \
                     tells of {counts:?}"
                )
                .into());
            }
            tokio::time::sleep(COUNT_LOOK).await;
        }
    }
}

/// The number of tasks over time; it is no longer watched when dropped.
struct Growth {
    points: Arc<Mutex<Vec<(f64, f64)>>>,
    task: JoinHandle<()>,
}

impl Growth {
    fn start(stage: &Stage, tasks: Arc<TaskCount>) -> Self {
        let points = Arc::new(Mutex::new(Vec::new()));
        let own = points.clone();
        let clock = stage.clock;
        let begun = clock.now();
        let task = tokio::spawn(async move {
            loop {
                let at = (clock.now() - begun).as_secs_f64();
                let point = (at, tasks.now() as f64);
                own.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(point);
                tokio::time::sleep(GROWTH_INTERVAL).await;
            }
        });
        Growth { points, task }
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let points = self.points.lock();
        points.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The definition of an app whose tasks run until they are killed.
pub fn app(id: &str, instances: u64) -> Value {
    json!({
        "id": id,
        "cmd": FOREVER,
        "cpus": CPUS,
        "mem": MEM_MB,
        "disk": 0,
        "instances": instances,
        "portDefinitions": [],
    })
}

/// Writes how long each of some things took, from when it was begun.
pub fn latencies(begun: &[Duration], ended: &[Duration]) -> Histogram<u64> {
    let mut times = crate::histogram();
    for (begun, ended) in begun.iter().zip(ended) {
        crate::record(&mut times, ended.saturating_sub(*begun));
    }
    times
}

/// As much as is wanted, or the most there may be, with a note.
fn fitting(run: &mut Run, name: &str, wanted: u64, most: u64) -> u64 {
    let fits = wanted.min(most);
    run.parameter(name, fits);
    if fits < wanted {
        run.note(format!(
            "Scaled down: {wanted} {name} were wanted, and {fits} fit."
        ));
    }
    fits
}

fn within_bounds(what: &str, seen: (u64, u64), allowed: (u64, u64)) -> Result<(), Error> {
    let is_right = seen.0 >= allowed.0 && seen.1 <= allowed.1;
    match is_right {
        true => Ok(()),
        false => Err(format!(
            "{what}: there were {} to {} tasks, and there may be {} to {}",
            seen.0, seen.1, allowed.0, allowed.1
        )
        .into()),
    }
}

/// Tasks there is room for on an agent with these resources.
fn tasks_per_agent(resources: &str) -> Result<u64, Error> {
    let parsed = Resources::parse(resources, "*");
    let parsed = parsed.map_err(|error| format!("--resources: {error}"))?;
    let milli = |name: &str| u64::try_from(parsed.scalar_milli(name)).unwrap_or(0);
    let by_cpus = milli("cpus") / ((CPUS * 1000.0) as u64).max(1);
    let by_mem = milli("mem") / (MEM_MB * 1000);
    Ok(by_cpus.min(by_mem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_scaled_down_and_told() {
        let mut run = Run::new("x");
        assert_eq!(fitting(&mut run, "apps", 7, 9), 7);
        assert!(run.notes.is_empty());
        assert_eq!(fitting(&mut run, "apps", 7, 5), 5);
        assert_eq!(run.number("apps"), Some(5.0));
        assert!(
            run.notes[0].contains("7 apps were wanted, and 5 fit"),
            "{:?}",
            run.notes
        );
    }

    #[test]
    fn the_scarcer_resource_bounds_the_tasks_of_an_agent() {
        assert_eq!(tasks_per_agent("cpus:1;mem:65536").unwrap(), 100);
        assert_eq!(tasks_per_agent("cpus:24;mem:160").unwrap(), 10);
        assert!(tasks_per_agent("cpus").is_err());
    }

    #[test]
    fn a_task_too_many_or_too_few_is_an_error() {
        assert!(within_bounds("x", (5, 12), (5, 12)).is_ok());
        for seen in [(4, 12), (5, 13)] {
            assert!(within_bounds("x", seen, (5, 12)).is_err());
        }
    }

    #[test]
    fn times_are_from_the_own_beginning() {
        let s = Duration::from_secs;
        let times = latencies(&[s(1), s(2)], &[s(4), s(3)]);
        assert_eq!(times.len(), 2);
        assert!(times.equivalent(times.max(), 3_000_000));
        assert!(times.equivalent(times.min(), 1_000_000));
    }
}
