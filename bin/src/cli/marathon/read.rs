//! `tepui app list`, `show`, `versions` and `tasks`: what is printed of apps and tasks.
//! Changes nothing.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::manager::{app_path, parse};
use super::shapes::{App, Apps, OneApp, Task, Tasks, Versions};
use super::table::{NOTHING, Table, age, amount, fields, short};
use super::trouble::Trouble;
use super::{Common, Form, now, print_answer};

#[derive(Debug, ClapArgs)]
pub(super) struct ListArgs {
    /// Only apps with these labels, as 'tier==front,zone in (a, b)'
    #[arg(long, value_name = "SELECTOR")]
    label: Option<String>,
    /// Only apps with this in their id
    #[arg(long, value_name = "PART")]
    id: Option<String>,
    /// Only apps with this in their command
    #[arg(long, value_name = "PART")]
    cmd: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ShowArgs {
    /// Id of the app
    pub id: String,
    /// Show the definition of this version, as `tepui app versions` lists them
    #[arg(long)]
    version: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct IdArgs {
    /// Id of the app
    pub id: String,
}

/// Lists apps.
pub(super) async fn list(common: &Common, args: &ListArgs) -> Result<(), Trouble> {
    let filters = [("label", &args.label), ("id", &args.id), ("cmd", &args.cmd)];
    let filters = filters.iter();
    let query: Vec<_> = filters
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
        .collect();
    let body = common.manager()?.get("/v2/apps", &query).await?;
    print_answer(common.output(), &body, || {
        let found: Apps = parse(&body)?;
        let all: Vec<&App> = found.apps.iter().collect();
        Ok(apps(&all, now(), common.form()))
    })
}

/// A table of apps.
pub(super) fn apps(apps: &[&App], now: i64, form: Form) -> String {
    let mut columns = vec![
        "ID",
        "RUNNING",
        "HEALTHY",
        "CPUS",
        "MEM",
        "DEPLOYING",
        "CHANGED",
    ];
    if form.is_wide {
        columns.extend(["DISK", "GPUS", "ROLE", "RUNS", "LABELS"]);
    }
    let mut table = Table::new(&columns);
    for app in apps {
        let mut row = vec![
            app.id.clone(),
            running(app),
            healthy(app),
            amount(app.cpus),
            amount(app.mem),
            match app.deployments.is_empty() {
                true => NOTHING.to_owned(),
                false => "yes".to_owned(),
            },
            age(&app.version, now),
        ];
        if form.is_wide {
            row.extend([
                amount(app.disk),
                amount(app.gpus),
                app.role.clone(),
                short(&runs(app)),
                short(&labels(app)),
            ]);
        }
        table.row(row);
    }
    match table.is_empty() {
        true => "there are no such apps\n".to_owned(),
        false => table.fitted(0, form.columns),
    }
}

/// How many of the wanted instances run. A version alone tells of none that run.
fn running(app: &App) -> String {
    match (app.tasks_running, app.tasks_staged) {
        (None, _) => app.instances.to_string(),
        (Some(running), None | Some(0)) => format!("{running}/{}", app.instances),
        (Some(running), Some(staged)) => {
            format!("{running}/{} (+{staged})", app.instances)
        }
    }
}

fn healthy(app: &App) -> String {
    match app.health_checks.is_empty() {
        true => NOTHING.to_owned(),
        false => format!("{}/{}", app.tasks_healthy, app.instances),
    }
}

/// What the app runs: a command, or an image.
fn runs(app: &App) -> String {
    let image = app.container.as_ref().and_then(image);
    match (&app.cmd, &app.args, image) {
        (Some(cmd), _, None) => cmd.clone(),
        (Some(cmd), _, Some(image)) => format!("{image}: {cmd}"),
        (None, Some(args), None) => args.join(" "),
        (None, _, Some(image)) => image,
        (None, None, None) => String::new(),
    }
}

fn image(container: &Value) -> Option<String> {
    let docker = container.get("docker")?;
    docker["image"].as_str().map(str::to_owned)
}

fn labels(app: &App) -> String {
    let labels = app.labels.iter();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}

/// Shows an app.
pub(super) async fn show(common: &Common, args: &ShowArgs) -> Result<(), Trouble> {
    let path = app_path(&args.id)?;
    let manager = common.manager()?;
    if let Some(version) = &args.version {
        let version = tepui_actors::client::percent_encode(version);
        let path = format!("{path}/versions/{version}");
        let body = manager.get(&path, &[]).await?;
        return print_answer(common.output(), &body, || {
            let app: App = parse(&body)?;
            Ok(definition(&app, now()))
        });
    }
    let body = manager.get(&path, &[]).await?;
    print_answer(common.output(), &body, || {
        let OneApp { app } = parse(&body)?;
        Ok(details(&app, now(), common.form()))
    })
}

/// What was asked for.
fn definition(app: &App, now: i64) -> String {
    let constraints = app.constraints.iter().map(|parts| {
        let parts = parts.iter().map(|part| match part {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        parts.collect::<Vec<_>>().join(":")
    });
    let constraints: Vec<String> = constraints.collect();
    let resources = [
        ("cpus", app.cpus),
        ("mem", app.mem),
        ("disk", app.disk),
        ("gpus", app.gpus),
    ];
    let resources = resources.iter().filter(|(_, value)| *value > 0.0);
    let resources: Vec<_> = resources
        .map(|(name, value)| format!("{name}:{}", amount(*value)))
        .collect();
    fields(&[
        ("id", app.id.clone()),
        (
            "version",
            format!("{} ({} ago)", app.version, age(&app.version, now)),
        ),
        ("instances", running(app)),
        ("healthy", healthy(app)),
        ("runs", runs(app)),
        ("user", app.user.clone().unwrap_or_default()),
        ("resources", resources.join(";")),
        ("role", app.role.clone()),
        ("constraints", constraints.join(", ")),
        ("dependencies", app.dependencies.join(", ")),
        ("labels", labels(app)),
    ])
}

/// What was asked for and what there is.
fn details(app: &App, now: i64, form: Form) -> String {
    let mut text = definition(app, now);
    let deployments: Vec<_> = app.deployments.iter().map(|it| it.id.as_str()).collect();
    text.push_str(&fields(&[("deployments", deployments.join(", "))]));
    if let Some(failure) = &app.last_task_failure {
        text.push_str(&format!(
            "\nlast failure, {} ago:\n{}",
            age(&failure.timestamp, now),
            fields(&[
                ("  task", failure.task_id.clone()),
                ("  state", failure.state.clone()),
                ("  host", failure.host.clone()),
                ("  message", failure.message.clone()),
            ])
        ));
    }
    text.push_str(&format!("\n{}", task_table(&app.tasks, now, form)));
    if app.tasks_running.unwrap_or_default() < app.instances {
        text.push_str(&format!(
            "\nnot all instances run; `tepui why {}` tells why\n",
            app.id
        ));
    }
    text
}

/// Lists versions.
pub(super) async fn versions(common: &Common, args: &IdArgs) -> Result<(), Trouble> {
    let path = format!("{}/versions", app_path(&args.id)?);
    let body = common.manager()?.get(&path, &[]).await?;
    print_answer(common.output(), &body, || {
        let found: Versions = parse(&body)?;
        let now = now();
        let mut table = Table::new(&["VERSION", "AGE"]);
        for version in &found.versions {
            table.row(vec![version.clone(), age(version, now)]);
        }
        Ok(table.fitted(0, common.form().columns))
    })
}

/// Lists tasks.
pub(super) async fn tasks(common: &Common, args: &IdArgs) -> Result<(), Trouble> {
    let path = format!("{}/tasks", app_path(&args.id)?);
    let body = common.manager()?.get(&path, &[]).await?;
    print_answer(common.output(), &body, || {
        let found: Tasks = parse(&body)?;
        Ok(task_table(&found.tasks, now(), common.form()))
    })
}

/// A table of tasks.
fn task_table(tasks: &[Task], now: i64, form: Form) -> String {
    let mut columns = vec!["TASK", "STATE", "HEALTHY", "HOST", "PORTS", "AGE"];
    if form.is_wide {
        columns.extend([
            "ADDRESSES",
            "AGENT",
            "VERSION",
            "ROLE",
            "LAST HEALTH FAILURE",
        ]);
    }
    let mut table = Table::new(&columns);
    for task in tasks {
        let ports: Vec<_> = task.ports.iter().map(u16::to_string).collect();
        let since = task.started_at.as_ref().or(task.staged_at.as_ref());
        let mut row = vec![
            task.id.clone(),
            task.state.clone(),
            match task.health() {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => NOTHING.to_owned(),
            },
            task.host.clone(),
            ports.join(","),
            since.map_or_else(|| NOTHING.to_owned(), |since| age(since, now)),
        ];
        if form.is_wide {
            let addresses = task.ip_addresses.iter();
            let addresses: Vec<_> = addresses.map(|it| it.ip_address.as_str()).collect();
            let mut causes = task.health_check_results.iter();
            let cause = causes.find_map(|result| result.last_failure_cause.as_deref());
            row.extend([
                addresses.join(","),
                task.slave_id.clone().unwrap_or_default(),
                task.version.clone().unwrap_or_default(),
                task.role.clone(),
                short(cause.unwrap_or_default()),
            ]);
        }
        table.row(row);
    }
    match table.is_empty() {
        true => "there are no tasks\n".to_owned(),
        false => table.fitted(0, form.columns),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_625_133_605_000;

    const WIDE: Form = Form {
        is_wide: true,
        columns: None,
    };

    fn app() -> App {
        serde_json::from_value(
            json!({"id": "/a", "cmd": "sleep 9", "cpus": 0.1, "mem": 32.0,
            "instances": 3, "version": "2021-07-01T10:00:00.000Z", "tasksRunning": 1,
            "tasksStaged": 1, "tasksHealthy": 1, "healthChecks": [{"protocol": "HTTP"}],
            "labels": {"tier": "front"}, "constraints": [["hostname", "UNIQUE"]], "role": "*",
            "deployments": [{"id": "d-1"}], "lastTaskFailure": {"taskId": "t-0",
            "state": "TASK_FAILED", "host": "h", "message": "exit 1",
            "timestamp": "2021-07-01T10:00:01.000Z"}, "tasks": [{"id": "t-1", "host": "h",
            "state": "TASK_RUNNING", "ports": [31000, 31001], "slaveId": "S1",
            "stagedAt": "2021-07-01T10:00:00.000Z", "startedAt": "2021-07-01T10:00:03.000Z",
            "healthCheckResults": [{"alive": true}]}]}),
        )
        .expect("an app")
    }

    #[test]
    fn a_list_shows_counts_and_more_when_wide() {
        let app = app();
        let expected = "\
ID  RUNNING   HEALTHY  CPUS  MEM  DEPLOYING  CHANGED
/a  1/3 (+1)  1/3      0.1   32   yes        5s
";
        assert_eq!(apps(&[&app], NOW, Form::default()), expected);
        let wide = apps(&[&app], NOW, WIDE);
        assert!(
            wide.contains("sleep 9") && wide.contains("tier=front"),
            "{wide}"
        );
        assert!(apps(&[], NOW, Form::default()).contains("no such apps"));
    }

    #[test]
    fn details_show_definition_failure_and_tasks() {
        let text = details(&app(), NOW, Form::default());
        for line in [
            "id:           /a",
            "resources:    cpus:0.1;mem:32",
            "constraints:  hostname:UNIQUE",
            "deployments:  d-1",
            "last failure, 4s ago:",
            "  message:  exit 1",
            "t-1   TASK_RUNNING  yes      h     31000,31001  2s",
            "not all instances run; `tepui why /a` tells why",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_version_alone_counts_no_tasks() {
        let app: App = serde_json::from_value(json!({"id": "/a", "args": ["x", "y"],
            "instances": 2, "version": "2021-07-01T10:00:00.000Z"}))
        .expect("an app");
        let text = definition(&app, NOW);
        assert!(
            text.contains("instances:  2\n") && text.contains("runs:       x y\n"),
            "{text}"
        );
        let image = json!({"type": "DOCKER", "docker": {"image": "nginx"}});
        let app = App {
            container: Some(image),
            ..App::default()
        };
        assert_eq!(runs(&app), "nginx");
    }
}
