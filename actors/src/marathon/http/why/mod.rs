//! GET /v2/apps/{id}/why: in words and figures, why instances of an app do not run. Not in Marathon.
//! Decides nothing: it reads the snapshot, and matches remembered offers once more to get their texts.

mod offers;

use serde::Serialize;
use tepui_core::marathon::deployment::DeploymentListing;
use tepui_core::marathon::engine::{QueueItem, TaskFailure};
use tepui_core::marathon::instance::TaskCounts;
use tepui_core::marathon::manager::Snapshot;
use tepui_core::time::Now;
use tepui_protocol::marathon::{App, PathId};

use self::offers::Offers;
use super::queue::time_left;
use super::{Answered, Call, answers};

/// What stands in the way, the first thing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Cause {
    /// Nothing does.
    Nothing,
    /// Launches are delayed after failures.
    LaunchDelay,
    /// This instance is not connected with a master.
    NotRegistered,
    /// No offers came.
    NoOffers,
    /// Offers came, and none was of use.
    UnsuitableOffers,
    /// Offers came and were of use; more are awaited.
    WaitingForOffers,
    /// Tasks were launched and do not run yet.
    Starting,
    /// Tasks run and are not healthy.
    Health,
    /// Tasks run and are not ready.
    Readiness,
    /// Another step of a deployment comes first.
    Deployment,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Why<'a> {
    app_id: &'a PathId,
    cause: Cause,
    /// One sentence per fact, the most important first.
    explanation: Vec<String>,
    /// What would help.
    unblock: Vec<String>,
    instances: u32,
    waiting: u32,
    #[serde(flatten)]
    counts: TaskCounts,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds_left: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_task_failure: Option<&'a TaskFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<Offers<'a>>,
    deployments: Vec<Progress<'a>>,
}

/// How far a deployment is that changes the app.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress<'a> {
    id: &'a str,
    current_step: usize,
    total_steps: usize,
    /// Whether the current step is about this app.
    is_current: bool,
    is_overdue: bool,
    ready: usize,
    not_ready: usize,
}

/// Answers for an app.
pub(super) fn answer(call: &Call<'_>, id: &PathId) -> Answered {
    let snapshot = call.snapshot();
    let app = snapshot.root.app(id).ok_or_else(|| answers::no_app(id))?;
    let now = call.face.clock.now();
    let item = snapshot.queue.iter().find(|item| item.app.id == *id);
    let offers = item.map(|item| {
        let instances = snapshot.view(id).instances;
        let mut settings = call.face.info.matching.clone();
        settings.local_region.clone_from(&snapshot.local_region);
        Offers::of(item, instances.values().map(|it| &**it), &settings, now)
    });
    let why = Why::new(&snapshot, app, item, offers, now);
    answers::ok(&why)
}

impl<'a> Why<'a> {
    fn new(
        snapshot: &'a Snapshot,
        app: &'a App,
        item: Option<&'a QueueItem>,
        offers: Option<Offers<'a>>,
        now: Now,
    ) -> Why<'a> {
        let id = &app.id;
        let left = item.map(|item| time_left(snapshot, item, now));
        let left = left.filter(|left| !left.is_zero());
        let touching = snapshot.deployments.iter();
        let touching = touching.filter(|listing| listing.stored.changes.contains_key(id));
        let counts = snapshot.apps.get(id).map(|view| view.counts);
        let mut why = Why {
            app_id: id,
            cause: Cause::Nothing,
            explanation: Vec::new(),
            unblock: Vec::new(),
            instances: app.instances,
            waiting: item.map_or(0, |item| item.count),
            counts: counts.unwrap_or_default(),
            delay_seconds_left: left.map(|left| left.as_secs_f64()),
            last_task_failure: snapshot.failures.get(id).map(|failure| &**failure),
            offers,
            deployments: touching.map(|it| Progress::of(it, id)).collect(),
        };
        why.judge_waiting(snapshot.framework_id.is_some());
        why.judge_tasks(app);
        why.judge_deployments();
        why.conclude();
        why
    }

    /// Notes a fact; the first one is the cause.
    fn find(&mut self, cause: Cause, explanation: String, unblock: impl Into<Option<String>>) {
        if self.cause == Cause::Nothing {
            self.cause = cause;
        }
        self.explanation.push(explanation);
        if let Some(unblock) = unblock.into()
            && !self.unblock.contains(&unblock)
        {
            self.unblock.push(unblock);
        }
    }

    fn judge_waiting(&mut self, is_registered: bool) {
        let waiting = self.waiting;
        if waiting == 0 {
            return;
        }
        if let Some(left) = self.delay_seconds_left {
            let failure = match self.last_task_failure {
                Some(failure) => format!(
                    "; the last task that failed, {}, ended with {} on {}: {}",
                    failure.task_id, failure.state, failure.host, failure.message
                ),
                None => String::new(),
            };
            let text = format!(
                "{waiting} instances wait, and launches are delayed for {left:.1} s more{failure}"
            );
            let id = self.app_id;
            let help = format!(
                "repair what makes tasks end, then DELETE /v2/queue{id}/delay to launch at once"
            );
            return self.find(Cause::LaunchDelay, text, help);
        }
        let (processed, unused) = self.offers.as_ref().map_or((0, 0), Offers::figures);
        if !is_registered {
            let text = format!("{waiting} instances wait, but no master has taken this framework");
            let help = "see to it that a master runs where --master says".to_owned();
            self.find(Cause::NotRegistered, text, help);
        } else if processed == 0 {
            let text = format!("{waiting} instances wait, and no offers have come since");
            let help = "see whether there are agents, and whether other frameworks hold what they \
                        have; give the app's role quota or weight if so";
            self.find(Cause::NoOffers, text, help.to_owned());
        } else if unused == 0 {
            let text = format!(
                "{waiting} instances wait for further offers; all {processed} that came were used"
            );
            self.find(Cause::WaitingForOffers, text, None);
        } else {
            let text = format!(
                "{waiting} instances wait; of {processed} offers that came, {unused} were of no use"
            );
            self.find(Cause::UnsuitableOffers, text, None);
            let advice = self.offers.as_ref().map(Offers::advice).unwrap_or_default();
            for (text, unblock) in advice {
                self.find(Cause::UnsuitableOffers, text, unblock);
            }
        }
    }

    fn judge_tasks(&mut self, app: &App) {
        let counts = self.counts;
        if counts.tasks_staged > 0 {
            let text = format!(
                "{} tasks were launched and have not said yet that they run",
                counts.tasks_staged
            );
            let help = "see in their sandboxes whether images and files are still being fetched";
            self.find(Cause::Starting, text, help.to_owned());
        }
        let settled = counts.tasks_healthy;
        if !app.health_checks.is_empty() && settled < counts.tasks_running {
            let text = format!(
                "of {} tasks that run, {settled} are healthy and {} are not; the others were not \
                 checked yet",
                counts.tasks_running, counts.tasks_unhealthy
            );
            let help = "see lastFailureCause in healthCheckResults of GET /v2/apps/{id}/tasks";
            self.find(Cause::Health, text, help.to_owned());
        }
    }

    fn judge_deployments(&mut self) {
        let mut facts = Vec::new();
        for deployment in &self.deployments {
            let Progress {
                id,
                current_step,
                total_steps,
                is_current,
                ready,
                not_ready,
                ..
            } = deployment;
            let place = format!("deployment {id} is at step {current_step} of {total_steps}");
            let (cause, text, help) = if *not_ready > 0 {
                let text = format!(
                    "{place} and waits until tasks are ready: {ready} are, {not_ready} are not"
                );
                (
                    Cause::Readiness,
                    text,
                    Some("see what the readiness check of the app is answered"),
                )
            } else if *is_current {
                (
                    Cause::Deployment,
                    format!("{place}, which is about this app"),
                    None,
                )
            } else {
                let text =
                    format!("{place}, which is about other apps; this one's turn is another step");
                (
                    Cause::Deployment,
                    text,
                    Some("ask why the apps of the current step do not run"),
                )
            };
            let late = if deployment.is_overdue {
                "; the step has taken longer than it should"
            } else {
                ""
            };
            facts.push((cause, format!("{text}{late}"), help.map(str::to_owned)));
        }
        for (cause, text, help) in facts {
            self.find(cause, text, help);
        }
    }

    fn conclude(&mut self) {
        if self.cause == Cause::Nothing {
            let (wanted, running) = (self.instances, self.counts.tasks_running);
            self.explanation.push(format!(
                "{wanted} instances are wanted, {running} run, and nothing waits"
            ));
        }
    }
}

impl<'a> Progress<'a> {
    fn of(listing: &'a DeploymentListing, app: &PathId) -> Progress<'a> {
        let current = listing.current_actions.iter();
        let current: Vec<_> = current
            .filter(|current| current.action.app.as_ref() == Some(app))
            .collect();
        let results = current.iter().flat_map(|it| &it.readiness_check_results);
        let (ready, not_ready): (Vec<_>, Vec<_>) = results.partition(|result| result.ready);
        Progress {
            id: &listing.stored.plan.id,
            current_step: listing.current_step,
            total_steps: listing.stored.plan.steps.len(),
            is_current: !current.is_empty(),
            is_overdue: listing.is_overdue,
            ready: ready.len(),
            not_ready: not_ready.len(),
        }
    }
}
