//! `tepui app`: its commands, and which request each of them makes.
//! What is read, printed and waited for is done elsewhere.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};
use tepui_actors::client::Method;
use tepui_protocol::marathon::PathId;

use super::change::{Change, Options, deployment_of, settle};
use super::find::{self, Candidate};
use super::manager::{Manager, app_path, parse};
use super::shapes::Tasks;
use super::trouble::Trouble;
use super::{Common, EXIT_STATUSES, follow, json, logs, print_answer, read};

/// What `tepui app` is given.
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
    #[command(after_help = CREATE_EXAMPLES)]
    /// Create an app, several apps, or a group of apps
    Create(CreateArgs),
    /// List apps
    #[command(visible_alias = "ls", after_help = LIST_EXAMPLES)]
    List(read::ListArgs),
    /// Show an app with its tasks
    Show(read::ShowArgs),
    /// Change how many instances an app has
    #[command(after_help = "Example:\n  tepui app scale /shop/cart 5 --wait --timeout 5m")]
    Scale(ScaleArgs),
    /// Change an app
    #[command(after_help = UPDATE_EXAMPLES)]
    Update(UpdateArgs),
    /// Replace all tasks of an app, keeping its definition
    Restart(ChangeArgs),
    /// Remove an app and kill its tasks
    #[command(visible_alias = "rm")]
    Delete(ChangeArgs),
    /// List the versions of an app, the newest first
    Versions(read::IdArgs),
    /// List the tasks of an app
    #[command(visible_alias = "ps")]
    Tasks(read::IdArgs),
    /// Kill tasks; others take their place unless --scale is given
    #[command(after_help = KILL_EXAMPLES)]
    Kill(KillArgs),
    /// Print what the tasks of an app have written
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::Args),
}

const CREATE_EXAMPLES: &str = "\
A document with \"apps\" or \"groups\" is a group. An array of apps is one deployment; those of its apps
that are there already are changed.

Examples:
  tepui app create cart.json --wait
  echo '{\"id\": \"/hello\", \"cmd\": \"sleep 600\", \"cpus\": 0.1, \"mem\": 32}' | tepui app create -
  tepui app create shop.json --dry-run";

const LIST_EXAMPLES: &str = "\
Examples:
  tepui app list
  tepui app list --label 'tier==front,zone in (a, b)' -o wide
  tepui app list --id shop -o json";

const UPDATE_EXAMPLES: &str = "\
Members that the document leaves out stay as they are, unless --replace is given.

Examples:
  echo '{\"mem\": 64, \"env\": {\"LEVEL\": \"debug\"}}' | tepui app update /shop/cart - --wait
  tepui app update /shop/cart cart.json --replace --dry-run
  echo '{\"version\": \"2021-07-01T10:00:00.123Z\"}' | tepui app update /shop/cart -    # back to it";

const KILL_EXAMPLES: &str = "\
Examples:
  tepui app kill shop_cart.instance-6f7bb2a0-d9f1-11eb-9c1c-0242ac110002._app.1
  tepui app kill --scale TASK_ID TASK_ID --wait";

#[derive(Debug, ClapArgs)]
struct CreateArgs {
    /// JSON of an app, an array of apps or a group; - reads the standard input
    file: String,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, ClapArgs)]
struct ScaleArgs {
    /// Id of the app
    id: String,
    /// Number of instances
    instances: u32,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, ClapArgs)]
struct UpdateArgs {
    /// Id of the app
    id: String,
    /// JSON of what is to change; - reads the standard input
    file: String,
    /// Change only what the document names, which is the default
    #[arg(long)]
    partial: bool,
    /// Replace the whole definition by the document, and create the app if it is not there
    #[arg(long, conflicts_with = "partial")]
    replace: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, ClapArgs)]
struct ChangeArgs {
    /// Id of the app
    id: String,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, ClapArgs)]
struct KillArgs {
    /// Ids of tasks or unique beginnings of them, as `tepui app tasks` lists them
    #[arg(required = true, value_name = "TASK_ID")]
    tasks: Vec<String>,
    /// Have as many instances less afterwards
    #[arg(long)]
    scale: bool,
    /// Also give up the reservations and volumes of the tasks
    #[arg(long, conflicts_with = "scale")]
    wipe: bool,
    /// Cancel deployments that are in the way
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: follow::Wait,
}

impl Command {
    /// The id of the app that it is about.
    fn app_id(&mut self) -> Option<&mut String> {
        match self {
            Command::Create(_) | Command::List(_) | Command::Kill(_) => None,
            Command::Show(args) => Some(&mut args.id),
            Command::Scale(args) => Some(&mut args.id),
            Command::Update(args) => Some(&mut args.id),
            Command::Restart(args) | Command::Delete(args) => Some(&mut args.id),
            Command::Versions(args) | Command::Tasks(args) => Some(&mut args.id),
            Command::Logs(args) => Some(&mut args.id),
        }
    }
}

/// Runs a command.
pub(super) async fn run(mut args: Args) -> Result<(), Trouble> {
    if let Some(id) = args.command.app_id() {
        *id = args.common.manager()?.whole_id(id, "app").await?;
    }
    let common = &args.common;
    match &args.command {
        Command::Create(args) => create(common, args).await,
        Command::List(args) => read::list(common, args).await,
        Command::Show(args) => read::show(common, args).await,
        Command::Scale(args) => scale(common, args).await,
        Command::Update(args) => update(common, args).await,
        Command::Restart(args) => restart(common, args).await,
        Command::Delete(args) => delete(common, args).await,
        Command::Versions(args) => read::versions(common, args).await,
        Command::Tasks(args) => read::tasks(common, args).await,
        Command::Kill(args) => kill(common, args).await,
        Command::Logs(args) => logs::run(common, args).await,
    }
}

/// What a document is to become.
#[derive(Debug, PartialEq, Eq)]
struct Creation {
    method: Method,
    path: String,
    done: String,
}

/// Judges a document by its outer form; all else is the server's.
fn creation(document: &Value) -> Result<Creation, Trouble> {
    let id = || document["id"].as_str().unwrap_or_default();
    let is_group = document.get("apps").is_some() || document.get("groups").is_some();
    match document {
        Value::Array(apps) if apps.is_empty() => {
            Err(Trouble::Usage("the array of apps is empty".to_owned()))
        }
        Value::Array(apps) => Ok(Creation {
            method: Method::Put,
            path: "/v2/apps".to_owned(),
            done: format!("{} apps are created or changed", apps.len()),
        }),
        Value::Object(_) if is_group => Ok(Creation {
            method: Method::Post,
            path: "/v2/groups".to_owned(),
            done: format!("group {} is created", PathId::new(id())),
        }),
        Value::Object(_) => Ok(Creation {
            method: Method::Post,
            path: "/v2/apps".to_owned(),
            done: format!("app {} is created", PathId::new(id())),
        }),
        _ => Err(Trouble::Usage(
            "expected an app, an array of apps or a group, as {\"id\": \"/a\", \"cmd\": \"...\"}"
                .to_owned(),
        )),
    }
}

async fn create(common: &Common, args: &CreateArgs) -> Result<(), Trouble> {
    let (body, document) = json::read(&args.file, super::AN_APP)?;
    let Creation { method, path, done } = creation(&document)?;
    let change = Change {
        method,
        path,
        query: Vec::new(),
        body: Some(body),
        done,
        options: &args.options,
    };
    change.send(common).await
}

async fn scale(common: &Common, args: &ScaleArgs) -> Result<(), Trouble> {
    let ScaleArgs { id, instances, .. } = args;
    let change = Change {
        method: Method::Patch,
        path: app_path(id)?,
        query: Vec::new(),
        body: Some(json!({"instances": instances}).to_string().into_bytes()),
        done: format!("app {} is scaled to {instances}", PathId::new(id)),
        options: &args.options,
    };
    let path = change.path.clone();
    missing_said(common, &path, change.send(common).await).await
}

async fn update(common: &Common, args: &UpdateArgs) -> Result<(), Trouble> {
    let (body, document) = json::read(&args.file, super::AN_APP)?;
    if !document.is_object() {
        let text = "expected an object of what is to change, as {\"mem\": 64}".to_owned();
        return Err(Trouble::Usage(text));
    }
    let (method, query) = match args.replace {
        true => (Method::Put, vec![("partialUpdate", "false")]),
        false => (Method::Patch, Vec::new()),
    };
    let change = Change {
        method,
        path: app_path(&args.id)?,
        query,
        body: Some(body),
        done: format!("app {} is changed", PathId::new(&args.id)),
        options: &args.options,
    };
    let path = change.path.clone();
    missing_said(common, &path, change.send(common).await).await
}

/// Marathon judges a partial document as a new app where there is none to be changed, and complains
/// of what it lacks. That there is none is what the user should hear.
async fn missing_said(
    common: &Common,
    path: &str,
    outcome: Result<(), Trouble>,
) -> Result<(), Trouble> {
    if let Err(Trouble::Refused { status: 422, .. }) = &outcome
        && let Err(missing @ Trouble::Refused { status: 404, .. }) =
            common.manager()?.get(path, &[]).await
    {
        return Err(missing);
    }
    outcome
}

async fn restart(common: &Common, args: &ChangeArgs) -> Result<(), Trouble> {
    let change = Change {
        method: Method::Post,
        path: format!("{}/restart", app_path(&args.id)?),
        query: Vec::new(),
        body: None,
        done: format!("app {} is restarted", PathId::new(&args.id)),
        options: &args.options,
    };
    change.send(common).await
}

async fn delete(common: &Common, args: &ChangeArgs) -> Result<(), Trouble> {
    let change = Change {
        method: Method::Delete,
        path: app_path(&args.id)?,
        query: Vec::new(),
        body: None,
        done: format!("app {} is removed", PathId::new(&args.id)),
        options: &args.options,
    };
    change.send(common).await
}

/// The app manager passes over tasks it does not know; they are named here.
async fn kill(common: &Common, args: &KillArgs) -> Result<(), Trouble> {
    let manager = common.manager()?;
    let known: Tasks = manager.get_as("/v2/tasks", &[]).await?;
    let candidates = known.tasks.iter().map(|task| Candidate {
        id: &task.id,
        name: &task.id,
        it: &task.id,
    });
    let candidates: Vec<_> = candidates.collect();
    let (mut there, mut missing): (Vec<&String>, Vec<&String>) = Default::default();
    for given in &args.tasks {
        match find::maybe("task", given, &candidates)? {
            Some(id) => there.push(id),
            None => missing.push(given),
        }
    }
    if !there.is_empty() {
        kill_known(common, &manager, args, &there).await?;
    }
    match missing.as_slice() {
        [] => Ok(()),
        missing => {
            let missing: Vec<&str> = missing.iter().map(|id| id.as_str()).collect();
            Err(Trouble::Failed(format!(
                "there are no such tasks: {}; `tepui app tasks` lists those of an app",
                missing.join(", ")
            )))
        }
    }
}

async fn kill_known(
    common: &Common,
    manager: &Manager,
    args: &KillArgs,
    tasks: &[&String],
) -> Result<(), Trouble> {
    let mut query = vec![("force", if args.force { "true" } else { "false" })];
    for (name, wished) in [("scale", args.scale), ("wipe", args.wipe)] {
        if wished {
            query.push((name, "true"));
        }
    }
    let options = Options {
        force: args.force,
        dry_run: false,
        wait: args.wait.clone(),
    };
    let stream = match args.wait.wait {
        true => Some(follow::listen(manager).await),
        false => None,
    };
    let body = json!({"ids": tasks}).to_string().into_bytes();
    let path = "/v2/tasks/delete";
    let answer = manager.send(Method::Post, path, &query, Some(body)).await?;
    if deployment_of(&answer).is_some() {
        let done = format!("{} tasks are killed for good", tasks.len());
        return settle(common, manager, &answer, &done, &options, stream).await;
    }
    print_answer(common.output(), &answer.body, || {
        let killed: Tasks = parse(&answer.body)?;
        let said = killed.tasks.iter();
        Ok(said
            .map(|task| format!("task {} is killed\n", task.id))
            .collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lead_to_apps_or_groups() {
        let of = |document| creation(&document).expect("a document");
        let app = of(json!({"id": "a", "cmd": "x"}));
        assert_eq!((app.method, app.path.as_str()), (Method::Post, "/v2/apps"));
        assert_eq!(app.done, "app /a is created");
        let apps = of(json!([{"id": "a"}, {"id": "b"}]));
        assert_eq!((apps.method, apps.path.as_str()), (Method::Put, "/v2/apps"));
        for group in [
            json!({"id": "/g", "apps": []}),
            json!({"id": "/g", "groups": []}),
        ] {
            let group = of(group);
            assert_eq!(
                (group.method, group.path.as_str()),
                (Method::Post, "/v2/groups")
            );
        }
        for wrong in [json!([]), json!("a"), json!(null)] {
            assert_eq!(creation(&wrong).expect_err("wrong").exit_status(), 2);
        }
    }
}
