//! `tepui task`: lists and shows tasks, and tells what became of them.
//! Kills none: the operator API has no way to.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;

use super::super::output::now;
use super::super::table::{Table, amount, fields};
use super::super::trouble::Trouble;
use super::find::{Candidate, one};
use super::master::Master;
use super::value::{age_ms, list, number, resources, scalar, text};
use super::{Common, Noun, framework, why};

mod logs;

/// What `tepui task` is given.
pub type Args = Noun<Command>;

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List tasks
    #[command(visible_alias = "ls", after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show a task with its status updates
    #[command(after_help = "Examples:\n  tepui task show web.1\n  tepui task show web.1 -o json")]
    Show(TaskArg),
    /// Tell who can kill a task: an operator cannot, but its framework can
    #[command(after_help = KILL_HELP)]
    Kill(TaskArg),
    /// Print what a task has written
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::Args),
    /// Tell what has become of a task
    #[command(after_help = "Example:\n  tepui task why web.1")]
    Why(TaskArg),
}

const LIST_EXAMPLES: &str = "\
Examples:
  tepui task list
  tepui task list --framework marathon --agent host-a.example
  tepui task list --completed --state TASK_FAILED -o wide";

const KILL_HELP: &str = "\
Mesos lets only the framework that launched a task kill it. So this says what to use instead, and fails.

Example:
  tepui task kill web.1";

#[derive(Debug, ClapArgs)]
pub struct ListArgs {
    /// Those that have ended, too
    #[arg(short, long)]
    completed: bool,
    /// Only those of this framework
    #[arg(long)]
    framework: Option<String>,
    /// Only those on this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only those in this state, as TASK_RUNNING
    #[arg(long)]
    state: Option<String>,
}

/// Names a task.
#[derive(Debug, ClapArgs)]
pub struct TaskArg {
    /// Id of the task or its beginning, or its name
    task: String,
    /// The framework that launched it, where several have such a task
    #[arg(long)]
    framework: Option<String>,
}

/// A task as GET_TASKS tells of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'a> {
    /// The task.
    pub task: &'a Value,
    /// Whether it has ended.
    pub has_ended: bool,
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let master = common.master().await?;
    match &args.command {
        Command::List(args) => all(common, &master, args).await,
        Command::Show(args) => show(common, &master, args).await,
        Command::Kill(args) => kill(&master, args).await,
        Command::Logs(args) => logs::run(&master, args).await,
        Command::Why(args) => {
            let found = find(&master, &args.task, args.framework.as_deref()).await?;
            let (task, framework) = (id(&found), text(&found, "/framework_id/value"));
            why::of_task(common, &master, framework, task).await
        }
    }
}

fn id(task: &Value) -> &str {
    text(task, "/task_id/value")
}

/// All tasks of an answer; those that have not ended come first.
pub(super) fn listed(tasks: &Value) -> Vec<Listed<'_>> {
    let mut all = Vec::new();
    for (member, has_ended) in [
        ("/pending_tasks", false),
        ("/tasks", false),
        ("/unreachable_tasks", false),
        ("/orphan_tasks", false),
        ("/completed_tasks", true),
    ] {
        let of_member = list(tasks, member).iter();
        all.extend(of_member.map(|task| Listed { task, has_ended }));
    }
    all
}

/// The task that is meant. One that has ended is meant only if no other is; of several with the same
/// id of one framework, the last.
async fn find(master: &Master, wanted: &str, framework: Option<&str>) -> Result<Value, Trouble> {
    let framework = match framework {
        Some(wanted) => Some(framework::meant(master, wanted).await?),
        None => None,
    };
    let tasks = master.ask("GET_TASKS").await?;
    chosen(&tasks, wanted, framework.as_deref()).cloned()
}

fn chosen<'a>(
    tasks: &'a Value,
    wanted: &str,
    framework: Option<&str>,
) -> Result<&'a Value, Trouble> {
    let of_framework =
        |it: &Listed<'_>| framework.is_none_or(|id| text(it.task, "/framework_id/value") == id);
    let (mut there, mut ended) = (Vec::new(), Vec::new());
    for it in listed(tasks).into_iter().filter(of_framework) {
        let kind = if it.has_ended { &mut ended } else { &mut there };
        let is_same = |known: &&Value| {
            let same = |pointer| text(known, pointer) == text(it.task, pointer);
            same("/task_id/value") && same("/framework_id/value")
        };
        kind.retain(|known| !is_same(known));
        kind.push(it.task);
    }
    match meant(wanted, &there) {
        Err(Trouble::Failed(text)) if text.starts_with("there is no") => meant(wanted, &ended),
        found => found,
    }
}

fn meant<'a>(wanted: &str, tasks: &[&'a Value]) -> Result<&'a Value, Trouble> {
    let candidates = tasks.iter().map(|task| Candidate {
        id: id(task),
        name: text(task, "/name"),
        it: *task,
    });
    let candidates: Vec<_> = candidates.collect();
    one("task", wanted, &candidates).map_err(|trouble| match trouble {
        Trouble::Failed(text) if text.starts_with("there is no") => {
            Trouble::Failed(format!("{text}, those that have ended with --completed"))
        }
        other => other,
    })
}

/// When a task came into its state, in milliseconds since the epoch.
fn changed_ms(task: &Value) -> Option<i64> {
    let status = list(task, "/statuses").last()?;
    let seconds = number(status, "/timestamp")?;
    Some((seconds * 1000.0) as i64)
}

async fn all(common: &Common, master: &Master, args: &ListArgs) -> Result<(), Trouble> {
    let framework = match &args.framework {
        Some(wanted) => framework::meant(master, wanted).await?,
        None => String::new(),
    };
    let agent = match &args.agent {
        Some(wanted) => {
            let agents = master.ask("GET_AGENTS").await?;
            let found = super::agent::candidates(&agents);
            let agent = one("agent", wanted, &found)?;
            let meant = found.iter().find(|it| std::ptr::eq(it.it, agent));
            meant.map(|it| it.id.to_owned()).unwrap_or_default()
        }
        None => String::new(),
    };
    let mut tasks = master.ask("GET_TASKS").await?;
    let is_wanted = |task: &Value, has_ended: bool| {
        let is = |wanted: &str, pointer| wanted.is_empty() || text(task, pointer) == wanted;
        (args.completed || !has_ended)
            && is(&framework, "/framework_id/value")
            && is(&agent, "/agent_id/value")
            && is(args.state.as_deref().unwrap_or_default(), "/state")
    };
    for (member, list) in tasks.as_object_mut().into_iter().flatten() {
        let has_ended = member == "completed_tasks";
        if let Some(list) = list.as_array_mut() {
            list.retain(|task| is_wanted(task, has_ended));
        }
    }
    let table = table(&tasks, now(), common.is_wide(), |_| true);
    common.show_table(&tasks, "there are no such tasks", &table)
}

/// A table of some of the tasks of an answer.
pub(super) fn table(
    tasks: &Value,
    now: i64,
    is_wide: bool,
    is_wanted: impl Fn(&Listed<'_>) -> bool,
) -> Table {
    let mut columns = vec!["ID", "NAME", "STATE", "FOR", "CPUS", "MEM", "AGENT"];
    if is_wide {
        columns.extend(["FRAMEWORK", "EXECUTOR", "HEALTH"]);
    }
    let mut table = Table::new(&columns);
    for it in listed(tasks).into_iter().filter(is_wanted) {
        let of = |pointer: &str| text(it.task, pointer).to_owned();
        let held = list(it.task, "/resources");
        let mut row = vec![
            of("/task_id/value"),
            of("/name"),
            of("/state"),
            changed_ms(it.task).map_or_else(String::new, |then| age_ms(then, now)),
            amount(scalar(held, "cpus")),
            amount(scalar(held, "mem")),
            of("/agent_id/value"),
        ];
        if is_wide {
            row.extend([
                of("/framework_id/value"),
                of("/executor_id/value"),
                health(it.task),
            ]);
        }
        table.row(row);
    }
    table
}

fn health(task: &Value) -> String {
    let status = list(task, "/statuses").last();
    let healthy = status.and_then(|it| it["healthy"].as_bool());
    match healthy {
        Some(true) => "healthy",
        Some(false) => "unhealthy",
        None => "",
    }
    .to_owned()
}

async fn show(common: &Common, master: &Master, args: &TaskArg) -> Result<(), Trouble> {
    let task = find(master, &args.task, args.framework.as_deref()).await?;
    common.show(&task, || described(&task, now(), common.columns()))
}

fn described(task: &Value, now: i64, columns: Option<usize>) -> String {
    let of = |pointer: &str| text(task, pointer).to_owned();
    let mut shown = fields(&[
        ("id", of("/task_id/value")),
        ("name", of("/name")),
        ("state", of("/state")),
        ("health", health(task)),
        ("framework", of("/framework_id/value")),
        ("executor", of("/executor_id/value")),
        ("agent", of("/agent_id/value")),
        ("user", of("/user")),
        ("resources", resources(list(task, "/resources"))),
    ]);
    let mut updates = Table::new(&["STATE", "AGO", "SOURCE", "REASON", "MESSAGE"]);
    for status in list(task, "/statuses") {
        let of = |pointer: &str| text(status, pointer).to_owned();
        let then = number(status, "/timestamp").map(|seconds| (seconds * 1000.0) as i64);
        updates.row(vec![
            of("/state"),
            then.map_or_else(String::new, |then| age_ms(then, now)),
            of("/source"),
            of("/reason"),
            of("/message"),
        ]);
    }
    if !updates.is_empty() {
        shown.push_str(&format!(
            "\nstatus updates:\n{}",
            updates.fitted(2, columns)
        ));
    }
    shown
}

/// Says who can kill the task.
async fn kill(master: &Master, args: &TaskArg) -> Result<(), Trouble> {
    let task = find(master, &args.task, args.framework.as_deref()).await?;
    let frameworks = master.ask("GET_FRAMEWORKS").await?;
    let owner = text(&task, "/framework_id/value");
    let known = framework::candidates(&frameworks);
    let name = known.iter().find(|it| it.id == owner).map(|it| it.name);
    Err(Trouble::Failed(refusal(
        id(&task),
        owner,
        name.unwrap_or_default(),
    )))
}

fn refusal(task: &str, framework: &str, name: &str) -> String {
    let mut text = format!(
        "task {task} belongs to framework {framework} ({name}), and Mesos lets nobody else kill it; "
    );
    // So are the ids that Marathon gives: app, instance, container, attempt.
    match task.contains(".instance-") || task.contains(".marathon-") {
        true => text.push_str(&format!(
            "it looks like an app's instance, which `tepui app kill {task}` kills"
        )),
        false => text.push_str(&format!(
            "ask that framework to, or end it with all of its tasks by `tepui framework teardown \
             {framework}`"
        )),
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tasks() -> Value {
        let task = |id: &str, framework: &str, state: &str| {
            json!({"task_id": {"value": id}, "name": "n", "state": state,
                "framework_id": {"value": framework}})
        };
        json!({"tasks": [task("a1", "f", "TASK_RUNNING"), task("b", "f", "TASK_RUNNING"),
            task("b", "g", "TASK_RUNNING")], "completed_tasks": [task("a2", "f", "TASK_FAILED"),
            task("c", "f", "TASK_FAILED"), task("c", "f", "TASK_FINISHED")]})
    }

    #[test]
    fn tasks_that_have_ended_are_meant_only_if_no_other_is() {
        let tasks = tasks();
        let state = |wanted, framework| {
            chosen(&tasks, wanted, framework).map(|task| (id(task), text(task, "/state")))
        };
        assert_eq!(state("a", None).expect("one"), ("a1", "TASK_RUNNING"));
        assert_eq!(state("a2", None).expect("one"), ("a2", "TASK_FAILED"));
        assert_eq!(state("c", None).expect("the last"), ("c", "TASK_FINISHED"));
        assert_eq!(state("b", Some("g")).expect("one"), ("b", "TASK_RUNNING"));
        let said = |wanted, framework| {
            let trouble = state(wanted, framework).expect_err(wanted);
            trouble.text().expect("a text").to_owned()
        };
        assert!(said("b", None).contains("2 tasks"));
        assert!(said("x", None).ends_with("with --completed"));
        assert!(said("b", Some("h")).contains("no task 'b'"));
    }

    #[test]
    fn who_can_kill_a_task_is_said() {
        let own = refusal("t", "f-1", "batch");
        assert!(own.contains("`tepui framework teardown f-1`"), "{own}");
        let app = refusal("a.instance-6f7b._app.1", "f-2", "marathon");
        assert!(
            app.contains("`tepui app kill a.instance-6f7b._app.1`"),
            "{app}"
        );
    }

    #[test]
    fn tables_hold_what_is_wanted() {
        let tasks = tasks();
        let text = table(&tasks, 0, false, |it| !it.has_ended).text(0);
        assert_eq!(text.lines().count(), 4, "{text}");
        let wide = table(&tasks, 0, true, |it| it.has_ended).text(0);
        assert!(
            wide.contains("FRAMEWORK") && wide.contains("TASK_FAILED"),
            "{wide}"
        );
    }
}
