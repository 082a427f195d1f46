//! The commands about apps: `tepui app`, `deployment`, `group`, `queue` and `why`.
//! Speak to an app manager only through Marathon's REST API; this module knows none of its paths.

mod app;
mod change;
mod deployment;
mod follow;
mod group;
mod logs;
mod manager;
mod queue;
mod read;
mod shapes;
mod trouble;
mod why;

use clap::Args as ClapArgs;

use super::output::{Form, Output, OutputArg, now, print, print_answer, say};
use super::{config, ended, find, json, table, tail};

pub use app::Args as AppArgs;
pub use deployment::Args as DeploymentArgs;
pub(super) use follow::duration as span;
pub use group::Args as GroupArgs;
pub use queue::Args as QueueArgs;

use manager::Manager;
use trouble::Trouble;

/// What every command about apps is given.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Options of all commands about apps")]
pub(super) struct Common {
    /// URL of an app manager, as http://host:port or https://user:password@host:port; else the
    /// setting `marathon`, else http://127.0.0.1:8080
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TEPUI_MARATHON",
        hide_env_values = true
    )]
    marathon: Option<String>,
    /// User and password, where the URL has none
    #[arg(
        long,
        global = true,
        value_name = "USER:PASSWORD",
        env = "TEPUI_MARATHON_CREDENTIALS",
        hide_env_values = true
    )]
    credentials: Option<String>,
    #[command(flatten)]
    output: OutputArg,
}

/// What a document should be, for those who give something else.
const AN_APP: &str = r#"an app, as {"id": "/a", "cmd": "..."}"#;

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

/// Tells why instances of an app do not run.
pub(super) async fn why(app: &str, common: &Common) -> Result<(), Trouble> {
    why::run(app, common).await
}

impl Common {
    /// The app manager that is meant.
    fn manager(&self) -> Result<Manager, Trouble> {
        Manager::new(
            &config::marathon(self.marathon.as_deref())?,
            self.credentials.as_deref(),
        )
    }

    /// How to print, for others who print by the same option.
    pub(super) fn output_arg(&self) -> OutputArg {
        self.output.clone()
    }

    fn output(&self) -> Output {
        self.output.output
    }

    fn form(&self) -> Form {
        self.output.form()
    }
}

#[cfg(test)]
mod tests;
