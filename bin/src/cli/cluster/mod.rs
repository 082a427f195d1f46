//! The commands about the cluster itself: agents, frameworks, tasks, roles, quota, maintenance.
//! Speak to a master only through its public HTTP APIs; this module knows none of its calls.

mod agent;
mod doubt;
mod events;
mod framework;
mod maintenance;
mod master;
mod offer;
mod quota;
mod role;
mod state;
mod task;
mod value;
mod version;
mod weights;
mod why;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;

pub use agent::Args as AgentArgs;
pub use events::Args as EventsArgs;
pub use framework::Args as FrameworkArgs;
pub use maintenance::Args as MaintenanceArgs;
pub use offer::Args as OfferArgs;
pub use quota::Args as QuotaArgs;
pub use role::Args as RoleArgs;
pub use state::Args as StateArgs;
pub use task::Args as TaskArgs;
pub use version::Args as VersionArgs;
pub use weights::Args as WeightsArgs;
pub use why::Args as WhyArgs;

use super::output::{Output, OutputArg, print, print_answer};
use super::table::Table;
use super::trouble::Trouble;
use super::{config, ended, find};
use master::Master;

/// What every command about the cluster is given.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Options of all commands about the cluster")]
struct Common {
    #[command(flatten)]
    place: MasterArg,
    #[command(flatten)]
    output: OutputArg,
}

/// What a command about the cluster is given that has commands of its own.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, after_help = ABOUT)]
pub struct Noun<C: Subcommand> {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: C,
}

/// The option that names the master.
#[derive(Debug, Clone, ClapArgs)]
struct MasterArg {
    /// Any of the masters as host:port, http://host:port or https://user:password@host:port, or
    /// zk://host:port,.../path; else the setting `master`, else 127.0.0.1:5050
    #[arg(
        long,
        global = true,
        value_name = "MASTER",
        env = "TEPUI_MASTER",
        hide_env_values = true
    )]
    master: Option<String>,
}

/// What the commands about the cluster have in common, for those who read `--help`.
const ABOUT: &str = "\
A unique beginning of an id is enough, as is an agent's hostname or a framework's name.
Settings are in $XDG_CONFIG_HOME/tepui/config.toml, else in ~/.config/tepui/config.toml, as
  master = \"host:5050\"
  marathon = \"http://host:8080\"

Exit status: 0 when done, 1 when refused or failed, 2 when the command line or a file is wrong,
3 when no master can be reached.";

/// Defines how a command is run.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($args:ty);)*) => {$(
        $(#[$doc])*
        pub async fn $name(args: $args) -> u8 {
            ended($name::run(args).await)
        }
    )*};
}

commands! {
    /// Runs `tepui agent`; gives the status to end with.
    agent(AgentArgs);
    /// Runs `tepui framework`; gives the status to end with.
    framework(FrameworkArgs);
    /// Runs `tepui task`; gives the status to end with.
    task(TaskArgs);
    /// Runs `tepui role`; gives the status to end with.
    role(RoleArgs);
    /// Runs `tepui quota`; gives the status to end with.
    quota(QuotaArgs);
    /// Runs `tepui weights`; gives the status to end with.
    weights(WeightsArgs);
    /// Runs `tepui maintenance`; gives the status to end with.
    maintenance(MaintenanceArgs);
    /// Runs `tepui offer`; gives the status to end with.
    offer(OfferArgs);
    /// Runs `tepui state`; gives the status to end with.
    state(StateArgs);
    /// Runs `tepui events`; gives the status to end with.
    events(EventsArgs);
    /// Runs `tepui why`; gives the status to end with.
    why(WhyArgs);
    /// Runs `tepui version`; gives the status to end with.
    version(VersionArgs);
}

impl MasterArg {
    /// The master that is meant.
    async fn find(&self) -> Result<Master, Trouble> {
        Master::find(&config::master(self.master.as_deref())?).await
    }
}

impl Common {
    async fn master(&self) -> Result<Master, Trouble> {
        self.place.find().await
    }

    fn output(&self) -> Output {
        self.output.output
    }

    fn is_wide(&self) -> bool {
        self.output() == Output::Wide
    }

    /// Characters that a line of a table may have.
    fn columns(&self) -> Option<usize> {
        self.output.columns()
    }

    /// Prints a document, or what `shown` makes of it.
    fn show(&self, value: &Value, shown: impl FnOnce() -> String) -> Result<(), Trouble> {
        print_answer(self.output(), value.to_string().as_bytes(), || Ok(shown()))
    }

    /// Prints a document, or a table; words when the table is empty.
    fn show_table(&self, value: &Value, empty: &str, table: &Table) -> Result<(), Trouble> {
        self.show(value, || match table.is_empty() {
            true => format!("{empty}\n"),
            false => table.fitted(0, self.columns()),
        })
    }

    /// Says that something is done, as a line or as a document.
    fn done(&self, text: &str) -> Result<(), Trouble> {
        match self.output() {
            Output::Table | Output::Wide => print(&format!("{text}\n")),
            Output::Json | Output::Yaml => {
                self.show(&serde_json::json!({"done": text}), String::new)
            }
        }
    }
}

#[cfg(test)]
mod tests;
