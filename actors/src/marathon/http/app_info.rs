//! Apps as GET answers show them: the definition, and what the client wants to see beside it.
//! Copies no definition: it is written from where the snapshot has it.

use std::collections::HashMap;

use serde::Serialize;
use tepui_core::marathon::definition::Identified;
use tepui_core::marathon::deployment::DeploymentListing;
use tepui_core::marathon::engine::TaskFailure;
use tepui_core::marathon::instance::TaskCounts;
use tepui_core::marathon::manager::Snapshot;
use tepui_core::time::Now;
use tepui_protocol::marathon::{App, PathId, ReadinessCheckResult};

use super::stats::TaskStatsByVersion;
use super::tasks::TaskInfo;

/// What is shown of an app beside its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AppEmbed {
    pub tasks: bool,
    pub counts: bool,
    pub deployments: bool,
    pub readiness: bool,
    pub last_task_failure: bool,
    pub task_stats: bool,
}

impl AppEmbed {
    /// Of lists.
    pub(super) const LIST: AppEmbed = AppEmbed {
        tasks: false,
        counts: true,
        deployments: true,
        readiness: false,
        last_task_failure: false,
        task_stats: false,
    };

    /// Of one app.
    pub(super) const SINGLE: AppEmbed = AppEmbed {
        tasks: true,
        last_task_failure: true,
        ..AppEmbed::LIST
    };

    /// Adds what `embed` parameters ask for; those that say nothing are passed over. Marathon.
    pub(super) fn with<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> AppEmbed {
        for value in values {
            let value = value.strip_prefix("group.").unwrap_or(value);
            let value = value.strip_prefix("apps.").unwrap_or(value);
            match value.strip_prefix("app.").unwrap_or(value) {
                "tasks" => {
                    self.tasks = true;
                    self.deployments = true;
                }
                "failures" => {
                    self.tasks = true;
                    self.last_task_failure = true;
                }
                "counts" => self.counts = true,
                "deployments" => self.deployments = true,
                "readiness" => self.readiness = true,
                "lastTaskFailure" => self.last_task_failure = true,
                "taskStats" => self.task_stats = true,
                _ => {}
            }
        }
        self
    }
}

/// Writes apps of a snapshot.
pub(super) struct Shown<'a> {
    snapshot: &'a Snapshot,
    now: Now,
    embed: AppEmbed,
    deployments: HashMap<&'a PathId, Vec<Identified>>,
    readiness: HashMap<&'a PathId, Vec<&'a ReadinessCheckResult>>,
}

/// What follows a definition.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Tail<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    counts: Option<TaskCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployments: Option<&'a [Identified]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readiness_check_results: Option<&'a [&'a ReadinessCheckResult]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<TaskInfo<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_task_failure: Option<&'a TaskFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks_stats: Option<TaskStatsByVersion>,
}

impl<'a> Shown<'a> {
    /// For many apps: looks up what belongs to which one, once for all of them.
    pub(super) fn new(snapshot: &'a Snapshot, now: Now, embed: AppEmbed) -> Shown<'a> {
        let mut shown = Shown::empty(snapshot, now, embed);
        for listing in &snapshot.deployments {
            for app in listing.stored.changes.keys() {
                shown.note_deployment(app, listing);
            }
            shown.note_readiness(listing, |_| true);
        }
        shown
    }

    /// For one app only, which costs less.
    pub(super) fn of_one(
        snapshot: &'a Snapshot,
        now: Now,
        embed: AppEmbed,
        id: &PathId,
    ) -> Shown<'a> {
        let mut shown = Shown::empty(snapshot, now, embed);
        for listing in &snapshot.deployments {
            if let Some((app, _)) = listing.stored.changes.get_key_value(id) {
                shown.note_deployment(app, listing);
                shown.note_readiness(listing, |app| app == id);
            }
        }
        shown
    }

    fn empty(snapshot: &'a Snapshot, now: Now, embed: AppEmbed) -> Shown<'a> {
        Shown {
            snapshot,
            now,
            embed,
            deployments: HashMap::new(),
            readiness: HashMap::new(),
        }
    }

    fn note_deployment(&mut self, app: &'a PathId, listing: &DeploymentListing) {
        let id = listing.stored.plan.id.clone();
        self.deployments
            .entry(app)
            .or_default()
            .push(Identified { id });
    }

    fn note_readiness(
        &mut self,
        listing: &'a DeploymentListing,
        is_wanted: impl Fn(&PathId) -> bool,
    ) {
        for current in &listing.current_actions {
            let app = current.action.app.as_ref();
            if let Some(app) = app.filter(|app| is_wanted(app)) {
                let results = self.readiness.entry(app).or_default();
                results.extend(&current.readiness_check_results);
            }
        }
    }

    /// Appends an app to `out`.
    pub(super) fn write(&self, app: &App, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let embed = self.embed;
        let id = &app.id;
        let view = self.snapshot.apps.get(id);
        let mut tail = Tail::default();
        if embed.counts {
            tail.counts = Some(view.map(|view| view.counts).unwrap_or_default());
        }
        if embed.deployments {
            tail.deployments = Some(self.deployments.get(id).map_or(&[], Vec::as_slice));
        }
        if embed.readiness {
            let results = self.readiness.get(id).map_or(&[][..], Vec::as_slice);
            tail.readiness_check_results = Some(results);
        }
        let instances = || view.into_iter().flat_map(|view| view.instances.values());
        if embed.tasks {
            let tasks = instances().filter_map(|it| TaskInfo::new(it, Some(app)));
            tail.tasks = Some(tasks.collect());
        }
        if embed.last_task_failure {
            let failure = self.snapshot.failures.get(id);
            tail.last_task_failure = failure.map(|failure| &**failure);
        }
        if embed.task_stats {
            let tasks: Vec<_> = instances().map(|instance| &**instance).collect();
            tail.tasks_stats = Some(TaskStatsByVersion::new(app, &tasks, self.now));
        }
        append(app, &tail, out)
    }

    /// Appends the app that POST /v2/apps answers: it has no tasks yet, and none are shown.
    pub(super) fn write_created(
        app: &App,
        deployment: &str,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let deployments = [Identified {
            id: deployment.to_owned(),
        }];
        let tail = Tail {
            counts: Some(TaskCounts::default()),
            deployments: Some(&deployments),
            ..Tail::default()
        };
        append(app, &tail, out)
    }
}

/// Both have members of their own, which become those of one object.
fn append(app: &App, tail: &Tail<'_>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, app)?;
    let brace = out.len() - 1;
    out.truncate(brace);
    serde_json::to_writer(&mut *out, tail)?;
    if out[brace..] == *b"{}" {
        out.remove(brace);
    } else {
        out[brace] = b',';
    }
    Ok(())
}
