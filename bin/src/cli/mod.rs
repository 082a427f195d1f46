//! The commands of `tepui`: which there are, and how their outcome becomes an exit status.
//! What a command does is in its own module.

mod backup;
mod cluster;
mod config;
mod find;
mod json;
mod local;
mod marathon;
mod output;
mod run;
mod sandbox;
mod table;
mod tail;
mod trouble;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use output::{print_plain, say};
use trouble::Trouble;

/// Tepui runs tasks on a cluster of machines.
#[derive(Debug, Parser)]
#[command(
    name = "tepui",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a cluster on this machine: a master and agents, until Ctrl-C or SIGTERM
    Local(local::Args),
    /// Run a command as a task of the cluster, and end with its exit status
    Run(run::Args),
    /// Run apps with an app manager: create, list, scale, change, restart, kill, read logs
    App(marathon::AppArgs),
    /// Follow, cancel and undo deployments of apps
    #[command(visible_alias = "deployments")]
    Deployment(marathon::DeploymentArgs),
    /// Handle groups of apps
    Group(marathon::GroupArgs),
    /// Show which apps wait for offers
    Queue(marathon::QueueArgs),
    /// Tell why an app's instances do not run, why a framework is offered nothing, or what became
    /// of a task
    Why(cluster::WhyArgs),
    /// List, show and drain agents, and take them out of the cluster
    Agent(cluster::AgentArgs),
    /// List and show frameworks, and end them
    Framework(cluster::FrameworkArgs),
    /// List and show tasks, and read what they have written
    Task(cluster::TaskArgs),
    /// List and show roles
    Role(cluster::RoleArgs),
    /// Show and set what roles are guaranteed and limited to
    Quota(cluster::QuotaArgs),
    /// Show and set how large the shares of roles are
    Weights(cluster::WeightsArgs),
    /// Show and set when machines are maintained, and take them down and up
    Maintenance(cluster::MaintenanceArgs),
    /// List what is offered to frameworks now
    Offer(cluster::OfferArgs),
    /// Show the cluster in a few lines
    State(cluster::StateArgs),
    /// Show what happens in the cluster
    Events(cluster::EventsArgs),
    /// Write the app manager's state into a file, while no app manager is running; a running one
    /// does so when asked by DELETE /v2/leader?backup=file:///path
    Backup(backup::Args),
    /// Replace the app manager's state by that of a file, while no app manager is running
    Restore(backup::Args),
    /// Print the version of this program, and of a master
    Version(cluster::VersionArgs),
    /// Print the script that completes this program's commands in a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

const COMPLETIONS: &str = "\
Examples:
  tepui completions bash > ~/.local/share/bash-completion/completions/tepui
  tepui completions zsh > \"${fpath[1]}/_tepui\"
  tepui completions fish > ~/.config/fish/completions/tepui.fish";

/// The shells that completions are made for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Why a command ended early; shown to the user as it is.
#[derive(Debug)]
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Failure(trouble.text().unwrap_or_default().to_owned())
    }
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    // One thread does: commands mostly wait. The kernel ties the programs that `tepui local` starts
    // to the thread that starts them, so that must be the main thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let command = Cli::parse().command;
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run_command(command)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(Failure(why)) => {
            eprintln!("tepui: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Local(args) => local::local(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Backup(args) => backup::backup(args).await,
        Command::Restore(args) => backup::restore(args).await,
        Command::App(args) => Ok(marathon::app(args).await),
        Command::Deployment(args) => Ok(marathon::deployment(args).await),
        Command::Group(args) => Ok(marathon::group(args).await),
        Command::Queue(args) => Ok(marathon::queue(args).await),
        Command::Why(args) => Ok(cluster::why(args).await),
        Command::Agent(args) => Ok(cluster::agent(args).await),
        Command::Framework(args) => Ok(cluster::framework(args).await),
        Command::Task(args) => Ok(cluster::task(args).await),
        Command::Role(args) => Ok(cluster::role(args).await),
        Command::Quota(args) => Ok(cluster::quota(args).await),
        Command::Weights(args) => Ok(cluster::weights(args).await),
        Command::Maintenance(args) => Ok(cluster::maintenance(args).await),
        Command::Offer(args) => Ok(cluster::offer(args).await),
        Command::State(args) => Ok(cluster::state(args).await),
        Command::Events(args) => Ok(cluster::events(args).await),
        Command::Version(args) => Ok(cluster::version(args).await),
        Command::Completions { shell } => Ok(ended(completions(shell))),
    }
}

/// The status to end with, after saying why a command has failed.
fn ended(outcome: Result<(), Trouble>) -> u8 {
    let Err(trouble) = outcome else { return 0 };
    if let Some(text) = trouble.text() {
        say(text);
    }
    trouble.exit_status()
}

fn completions(shell: Shell) -> Result<(), Trouble> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tepui", &mut script);
    print_plain(&String::from_utf8_lossy(&script))
}

/// SIGINT and SIGTERM, which both ask a command to end.
struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    /// Takes both signals from now on.
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Interrupts {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of them, and gives its number.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}
