//! `tepui deployment`: deployments that are under way.
//! Those that have ended are not kept by the app manager.

use clap::{Args as ClapArgs, Subcommand};
use tepui_actors::client::{Method, percent_encode};

use super::change::{Options, settle, steps};
use super::find::{self, Candidate};
use super::follow::{self, Wait};
use super::manager::{Manager, parse};
use super::shapes::Deployment;
use super::table::{Table, age, fields};
use super::trouble::Trouble;
use super::{Common, EXIT_STATUSES, Form, Output, now, print, print_answer, say};

/// What `tepui deployment` is given.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, after_help = EXIT_STATUSES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List deployments
    #[command(visible_alias = "ls")]
    List,
    /// Show a deployment with its steps
    Show {
        /// Id of the deployment
        id: String,
    },
    /// Cancel a deployment, leaving everything as it is now
    Cancel {
        /// Id of the deployment
        id: String,
        /// As Marathon calls it; to cancel is always forced
        #[arg(long)]
        force: bool,
    },
    /// Undo a deployment, by another one that goes back to what was before
    Rollback {
        /// Id of the deployment
        id: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Wait until a deployment has ended; fail when it was cancelled
    #[command(after_help = "One that is not under way any more counts as ended.\n\n\
                            Example:\n  tepui deployment wait ID --timeout 10m")]
    Wait {
        /// Id of the deployment
        id: String,
        /// Time to wait at most, as 90, 90s, 10m or 1h; the deployment goes on after it
        #[arg(long, value_name = "TIME", value_parser = follow::duration)]
        timeout: Option<std::time::Duration>,
    },
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    match &args.command {
        Command::List => list(common).await,
        Command::Show { id } => show(common, id).await,
        Command::Cancel { id, .. } => {
            let manager = common.manager()?;
            let id = &meant(&manager, id).await?;
            let path = path(id)?;
            let query = [("force", "true")];
            manager.send(Method::Delete, &path, &query, None).await?;
            match common.output() {
                Output::Json | Output::Yaml => Ok(()),
                Output::Table | Output::Wide => print(&format!("deployment {id} is cancelled\n")),
            }
        }
        Command::Rollback { id, wait } => rollback(common, id, wait).await,
        Command::Wait { id, timeout } => {
            let manager = common.manager()?;
            let id = &meant(&manager, id).await?;
            let listening = follow::listen(&manager).await;
            if follow::find(&manager, id).await?.is_none() {
                say(&format!(
                    "deployment {id} is not under way: it has ended, or there never was one"
                ));
                return Ok(());
            }
            follow::to_end(&manager, listening, id, *timeout).await?;
            say(&format!("deployment {id} has succeeded"));
            Ok(())
        }
    }
}

/// The whole id of the one that is under way and whose id begins so, or what was given.
async fn meant(manager: &Manager, id: &str) -> Result<String, Trouble> {
    let all: Vec<Deployment> = manager.get_as("/v2/deployments", &[]).await?;
    let candidates = all.iter().map(|it| Candidate {
        id: &it.id,
        name: &it.id,
        it,
    });
    let candidates: Vec<_> = candidates.collect();
    let found = find::maybe("deployment", id, &candidates)?;
    Ok(found.map_or(id, |it| &it.id).to_owned())
}

fn path(id: &str) -> Result<String, Trouble> {
    match id {
        "" => Err(Trouble::Usage("the id of a deployment is empty".to_owned())),
        id => Ok(format!("/v2/deployments/{}", percent_encode(id))),
    }
}

async fn list(common: &Common) -> Result<(), Trouble> {
    let body = common.manager()?.get("/v2/deployments", &[]).await?;
    print_answer(common.output(), &body, || {
        let all: Vec<Deployment> = parse(&body)?;
        Ok(text(&all, now(), common.form()))
    })
}

fn text(all: &[Deployment], now: i64, form: Form) -> String {
    let mut table = Table::new(&["ID", "STEP", "DOING", "APPS", "AGE"]);
    for deployment in all {
        let actions = deployment.current_actions.iter();
        let mut actions: Vec<&str> = actions.map(|action| action.action.as_str()).collect();
        actions.dedup();
        table.row(vec![
            deployment.id.clone(),
            format!("{}/{}", deployment.current_step, deployment.total_steps),
            actions.join(","),
            affected(deployment),
            age(&deployment.version, now),
        ]);
    }
    match table.is_empty() {
        true => "no deployment is under way\n".to_owned(),
        false => table.fitted(0, form.columns),
    }
}

fn affected(deployment: &Deployment) -> String {
    let apps = deployment.affected_apps.iter();
    let all: Vec<&str> = apps
        .chain(&deployment.affected_pods)
        .map(String::as_str)
        .collect();
    all.join(",")
}

async fn show(common: &Common, id: &str) -> Result<(), Trouble> {
    let manager = common.manager()?;
    let id = &meant(&manager, id).await?;
    let body = manager.get("/v2/deployments", &[]).await?;
    let all: Vec<Box<serde_json::value::RawValue>> = parse(&body)?;
    for raw in all {
        let deployment: Deployment = parse(raw.get().as_bytes())?;
        if deployment.id != *id {
            continue;
        }
        return print_answer(common.output(), raw.get().as_bytes(), || {
            Ok(details(&deployment, now(), common.form()))
        });
    }
    Err(Trouble::Failed(format!(
        "no deployment {id} is under way; `tepui deployment list` shows those that are"
    )))
}

fn details(deployment: &Deployment, now: i64, form: Form) -> String {
    let mut text = fields(&[
        ("id", deployment.id.clone()),
        ("version", deployment.version.clone()),
        ("age", age(&deployment.version, now)),
        ("apps", affected(deployment)),
        (
            "step",
            format!("{} of {}", deployment.current_step, deployment.total_steps),
        ),
    ]);
    text.push('\n');
    text.push_str(&steps(
        &deployment.steps,
        Some(deployment.current_step),
        form,
    ));
    let actions = deployment.current_actions.iter();
    let mut table = Table::new(&["READINESS CHECK", "READY", "TASK"]);
    for result in actions.flat_map(|action| &action.readiness_check_results) {
        let ready = if result.ready { "yes" } else { "no" };
        table.row(vec![
            result.name.clone(),
            ready.to_owned(),
            result.task_id.clone(),
        ]);
    }
    if !table.is_empty() {
        text.push('\n');
        text.push_str(&table.fitted(0, form.columns));
    }
    text
}

async fn rollback(common: &Common, id: &str, wait: &Wait) -> Result<(), Trouble> {
    let manager = common.manager()?;
    let id = &meant(&manager, id).await?;
    let path = path(id)?;
    let stream = match wait.wait {
        true => Some(follow::listen(&manager).await),
        false => None,
    };
    let query = [("force", "false")];
    let answer = manager.send(Method::Delete, &path, &query, None).await?;
    let options = Options {
        wait: wait.clone(),
        ..Options::default()
    };
    let done = format!("deployment {id} is being undone");
    settle(common, &manager, &answer, &done, &options, stream).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Deployment {
        serde_json::from_value(json!({"id": "d-1", "version": "2021-07-01T10:00:00.000Z",
            "affectedApps": ["/a", "/b"], "affectedPods": [], "currentStep": 2, "totalSteps": 2,
            "steps": [{"actions": [{"action": "StartApplication", "app": "/a"}]},
                {"actions": [{"action": "ScaleApplication", "app": "/a"}]}],
            "currentActions": [{"action": "ScaleApplication", "app": "/a",
                "readinessCheckResults": [{"name": "up", "taskId": "t-1", "ready": false}]}]}))
        .expect("a deployment")
    }

    #[test]
    fn a_list_shows_how_far_each_is() {
        let expected = "ID   STEP  DOING             APPS   AGE\n\
                        d-1  2/2   ScaleApplication  /a,/b  5s\n";
        assert_eq!(
            text(&[deployment()], 1_625_133_605_000, Form::default()),
            expected
        );
        assert!(text(&[], 0, Form::default()).contains("no deployment"));
    }

    #[test]
    fn the_current_step_is_marked_and_readiness_shown() {
        let text = details(&deployment(), 1_625_133_605_000, Form::default());
        for line in [
            "step:     2 of 2",
            "1     StartApplication  /a",
            "2 *   ScaleApplication  /a",
            "up               no     t-1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
