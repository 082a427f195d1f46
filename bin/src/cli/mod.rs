//! The commands of `tepui`: which there are, and how their outcome becomes an exit status.
//! What a command does is in its own module.

mod backup;
mod local;
mod marathon;
mod run;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Tell why instances of an app do not run, and what would help
    Why(marathon::WhyArgs),
    /// Write the app manager's state into a file, while no app manager is running; a running one
    /// does so when asked by DELETE /v2/leader?backup=file:///path
    Backup(backup::Args),
    /// Replace the app manager's state by that of a file, while no app manager is running
    Restore(backup::Args),
    /// Print the version
    Version,
}

/// Why a command ended early; shown to the user as it is.
#[derive(Debug)]
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    // One thread does: commands mostly wait. The kernel ties the programs that `tepui local` starts
    // to the thread that starts them, so that must be the main thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match (runtime, Cli::parse().command) {
        (Err(error), _) => Err(error.into()),
        (Ok(runtime), Command::Local(args)) => runtime.block_on(local::local(args)),
        (Ok(runtime), Command::Run(args)) => runtime.block_on(run::run(args)),
        (Ok(runtime), Command::App(args)) => Ok(runtime.block_on(marathon::app(args))),
        (Ok(runtime), Command::Deployment(args)) => {
            Ok(runtime.block_on(marathon::deployment(args)))
        }
        (Ok(runtime), Command::Group(args)) => Ok(runtime.block_on(marathon::group(args))),
        (Ok(runtime), Command::Queue(args)) => Ok(runtime.block_on(marathon::queue(args))),
        (Ok(runtime), Command::Why(args)) => Ok(runtime.block_on(marathon::why(args))),
        (Ok(runtime), Command::Backup(args)) => runtime.block_on(backup::backup(args)),
        (Ok(runtime), Command::Restore(args)) => runtime.block_on(backup::restore(args)),
        (Ok(_), Command::Version) => print_version(),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(Failure(why)) => {
            eprintln!("tepui: {why}");
            ExitCode::FAILURE
        }
    }
}

fn print_version() -> Result<u8, Failure> {
    writeln!(std::io::stdout(), "tepui {}", env!("CARGO_PKG_VERSION"))?;
    Ok(0)
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
