//! The commands about apps: `tepui app`, `deployment`, `group`, `queue` and `why`.
//! Speak to an app manager only through Marathon's REST API; this module knows none of its paths.

mod app;
mod change;
mod deployment;
mod follow;
mod group;
mod json;
mod logs;
mod manager;
mod queue;
mod read;
mod sandbox;
mod shapes;
mod table;
mod trouble;
mod why;

use std::io::Write as _;

use clap::{Args as ClapArgs, ValueEnum};
use tepui_actors::clock::Clock;

pub use app::Args as AppArgs;
pub use deployment::Args as DeploymentArgs;
pub use group::Args as GroupArgs;
pub use queue::Args as QueueArgs;
pub use why::Args as WhyArgs;

use manager::Manager;
use trouble::Trouble;

/// What every command about apps is given.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Options of all commands about apps")]
struct Common {
    /// URL of an app manager, as http://host:port or https://user:password@host:port
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TEPUI_MARATHON",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080"
    )]
    marathon: String,
    /// User and password, where the URL has none
    #[arg(
        long,
        global = true,
        value_name = "USER:PASSWORD",
        env = "TEPUI_MARATHON_CREDENTIALS",
        hide_env_values = true
    )]
    credentials: Option<String>,
    /// How to print: a table, one with more columns, or the server's JSON
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "table"
    )]
    output: Output,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Wide,
    Json,
}

/// The exit statuses, for those who read `--help`.
const EXIT_STATUSES: &str = "Exit status: 0 when done, 1 when refused or failed, 2 when the command \
                             line or a file is wrong,\n3 when no app manager can be reached.";

/// Runs `tepui app`; gives the status to end with.
pub async fn app(args: AppArgs) -> u8 {
    ended(app::run(args).await)
}

/// Runs `tepui deployment`; gives the status to end with.
pub async fn deployment(args: DeploymentArgs) -> u8 {
    ended(deployment::run(args).await)
}

/// Runs `tepui group`; gives the status to end with.
pub async fn group(args: GroupArgs) -> u8 {
    ended(group::run(args).await)
}

/// Runs `tepui queue`; gives the status to end with.
pub async fn queue(args: QueueArgs) -> u8 {
    ended(queue::run(args).await)
}

/// Runs `tepui why`; gives the status to end with.
pub async fn why(args: WhyArgs) -> u8 {
    ended(why::run(args).await)
}

fn ended(outcome: Result<(), Trouble>) -> u8 {
    let Err(trouble) = outcome else { return 0 };
    if let Some(text) = trouble.text() {
        say(text);
    }
    trouble.exit_status()
}

/// Tells the user something beside the output.
fn say(text: &str) {
    eprintln!("tepui: {text}");
}

/// Writes to the standard output.
fn print(text: &str) -> Result<(), Trouble> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Trouble::output(&error))
}

/// Milliseconds since the epoch, to tell ages from.
fn now() -> i64 {
    i64::try_from(Clock::start().now().wall.0 / 1000).unwrap_or(i64::MAX)
}

/// Prints a server's answer as JSON, or what `shown` makes of it.
fn print_answer(
    output: Output,
    body: &[u8],
    shown: impl FnOnce() -> Result<String, Trouble>,
) -> Result<(), Trouble> {
    match output {
        // Some answers have no body.
        Output::Json if body.is_empty() => Ok(()),
        Output::Json => print(&json::pretty(body)),
        Output::Table | Output::Wide => print(&shown()?),
    }
}

impl Common {
    /// The app manager that is meant.
    fn manager(&self) -> Result<Manager, Trouble> {
        Manager::new(&self.marathon, self.credentials.as_deref())
    }

    fn is_wide(&self) -> bool {
        self.output == Output::Wide
    }
}

#[cfg(test)]
mod tests;
