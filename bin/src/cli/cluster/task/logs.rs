//! `tepui task logs`: prints what a task has written, and what it goes on to write.
//! Reads files through the task's agent.

use clap::Args as ClapArgs;

use super::super::super::sandbox::MasterState;
use super::super::super::tail::{LOOK_INTERVAL, Source, Stop, unreadable};
use super::super::super::trouble::Trouble;
use super::super::master::Master;
use super::super::value::text;
use super::{TaskArg, find, id, listed};

/// Looks at the file between two looks at the task.
const LOOKS_PER_TASK: u32 = 10;

/// The states that tasks end in.
const ENDS: [&str; 8] = [
    "TASK_FINISHED",
    "TASK_FAILED",
    "TASK_KILLED",
    "TASK_ERROR",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
];

pub(super) const EXAMPLES: &str = "\
Examples:
  tepui task logs web.1 -n 20
  tepui task logs web.1 -f --stderr";

/// What `tepui task logs` is given.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    task: TaskArg,
    /// Go on with what is written, until the task has ended or this is interrupted
    #[arg(short, long)]
    follow: bool,
    /// What was written to stderr instead of stdout
    #[arg(long)]
    stderr: bool,
    /// Begin with the last lines only [default: all]
    #[arg(short = 'n', long = "lines", value_name = "LINES")]
    lines: Option<usize>,
}

/// Runs the command.
pub(super) async fn run(master: &Master, args: &Args) -> Result<(), Trouble> {
    let task = find(master, &args.task.task, args.task.framework.as_deref()).await?;
    let (task_id, framework) = (id(&task), text(&task, "/framework_id/value"));
    let state = MasterState::read(&master.get("/state", &[]).await?);
    let agent = text(&task, "/agent_id/value");
    let agent = Some(agent).filter(|agent| !agent.is_empty());
    let found = state.sandbox(task_id, agent).await?;
    let mut source = Source::open(task_id, &found, None, args.stderr, args.lines)?;
    let mut is_over = !args.follow;
    loop {
        for look in 0..LOOKS_PER_TASK {
            match source.print().await {
                Ok(()) => {}
                // The file of a task that is being launched is not there yet, and an agent may be
                // starting again.
                Err(Stop::Agent(_)) if !is_over => {}
                Err(Stop::Agent(error)) => return Err(unreadable(task_id, &error)),
                Err(Stop::Output(trouble)) => return Err(trouble),
            }
            if is_over {
                return source.finish().await;
            }
            if look + 1 < LOOKS_PER_TASK {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
        // What was written before its end is printed once more.
        is_over = has_ended(master, task_id, framework).await?;
    }
}

/// Whether a task has ended. A master that is away for a while ends nothing.
async fn has_ended(master: &Master, task: &str, framework: &str) -> Result<bool, Trouble> {
    let tasks = match master.ask("GET_TASKS").await {
        Ok(tasks) => tasks,
        Err(trouble) if trouble.may_pass() => return Ok(false),
        Err(trouble) => return Err(trouble),
    };
    // One whose framework has not heard of its end yet is still among the others.
    let mut there = listed(&tasks)
        .into_iter()
        .filter(|it| !it.has_ended && !ENDS.contains(&text(it.task, "/state")));
    Ok(!there.any(|it| id(it.task) == task && text(it.task, "/framework_id/value") == framework))
}
