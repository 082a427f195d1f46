//! What a program does first: reads its flags, starts logging, says what is noteworthy.
//! Starts no actor and opens no socket.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::error::FlagError;
use super::values::Values;
use super::{BAD_FLAG_STATUS, Parsed, Startup};
use crate::agent::config::AgentConfig;
use crate::logging;
use crate::marathon::config::MarathonConfig;
use crate::marathon::loggers::{self, MarathonLoggers};
use crate::master::config::MasterConfig;

/// The first argument that `tepui local` gives the programs it starts: `--die_with_parent=PID`.
///
/// The program then asks the kernel to be ended when that parent is gone, so that nothing is left
/// running when `tepui local` is killed. It is an argument and not an environment variable because
/// tasks would inherit the latter.
pub const PARENT_ARG: &str = "--die_with_parent=";

/// Reads the process's arguments and environment for a master and starts logging.
///
/// # Errors
/// The status to end with at once: success after `--help`, failure (explained on stderr) when the
/// flags are wrong.
pub fn start_master() -> Result<MasterConfig, ExitCode> {
    let args = program_args("tepui-master")?;
    start(
        "tepui-master",
        super::master_with_startup(args.into_iter(), std::env::vars_os()),
    )
}

/// Reads the process's arguments and environment for an agent and starts logging.
///
/// # Errors
/// As `start_master`.
pub fn start_agent() -> Result<AgentConfig, ExitCode> {
    let args = program_args("tepui-agent")?;
    start(
        "tepui-agent",
        super::agent_with_startup(args.into_iter(), std::env::vars_os()),
    )
}

/// Reads the process's arguments and environment for an app manager and starts logging.
///
/// # Errors
/// The status to end with at once: success after `--help`, [`BAD_FLAG_STATUS`] (explained on stderr)
/// when the flags are wrong.
pub fn start_marathon() -> Result<(MarathonConfig, MarathonLoggers), ExitCode> {
    let args = program_args("tepui-marathon")?;
    let flags = super::marathon(args.into_iter(), std::env::vars_os());
    let wrong = ExitCode::from(BAD_FLAG_STATUS);
    let (config, startup) = read("tepui-marathon", flags, wrong)?;
    let loggers = loggers::start(startup.log_level);
    startup.tell_notes();
    Ok((config, loggers))
}

/// The flags `logging_level` and `quiet`.
pub(super) fn log_level(values: &Values) -> Result<Option<tracing::Level>, FlagError> {
    let read = |text: &str| match text {
        "INFO" => Some(tracing::Level::INFO),
        "WARNING" => Some(tracing::Level::WARN),
        "ERROR" => Some(tracing::Level::ERROR),
        _ => None,
    };
    let level = values.parse("logging_level", "'INFO', 'WARNING' or 'ERROR'", read)?;
    Ok((!values.bool("quiet")?).then_some(level))
}

/// Acts on what the flags ask for before the program proper runs.
fn start<C>(program: &str, parsed: Result<Parsed<(C, Startup)>, FlagError>) -> Result<C, ExitCode> {
    let (config, startup) = read(program, parsed, ExitCode::FAILURE)?;
    start_logging(&startup);
    Ok(config)
}

/// What is to be run; `wrong` is the status for flags that are wrong.
fn read<C, E: Display>(
    program: &str,
    parsed: Result<Parsed<C>, E>,
    wrong: ExitCode,
) -> Result<C, ExitCode> {
    match parsed {
        Ok(Parsed::Run(run)) => Ok(run),
        Ok(Parsed::Print(text)) => {
            let printed = std::io::stdout().write_all(text.as_bytes());
            Err(if printed.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) => {
            eprintln!("{program}: {error}\n\nSee `{program} --help` for all flags.");
            Err(wrong)
        }
    }
}

/// Logs to stderr from now on, beginning with the notes.
fn start_logging(startup: &Startup) {
    // Its levels are the process's own, where whoever changes them finds them.
    let _ = logging::start(startup.log_level);
    startup.tell_notes();
}

impl Startup {
    /// Logs the notes.
    fn tell_notes(&self) {
        for note in &self.notes {
            tracing::warn!("{note}");
        }
    }
}

/// The arguments after the program's name, with `PARENT_ARG` obeyed and taken away.
fn program_args(program: &str) -> Result<Vec<OsString>, ExitCode> {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let first = args.first().and_then(|arg| arg.to_str());
    let Some(parent) = first.and_then(|arg| arg.strip_prefix(PARENT_ARG)) else {
        return Ok(args);
    };
    let bound = parent
        .parse()
        .map_err(|_| "it is no process id".to_owned())
        .and_then(bind_to);
    if let Err(why) = bound {
        eprintln!("{program}: cannot be bound to the parent process '{parent}': {why}");
        return Err(ExitCode::FAILURE);
    }
    args.remove(0);
    Ok(args)
}

/// Has the kernel end this process when `parent` ends.
fn bind_to(parent: i32) -> Result<(), String> {
    prctl::set_pdeathsig(Signal::SIGTERM).map_err(|error| error.to_string())?;
    // The parent may have ended before the line above; then no signal would ever come.
    if nix::unistd::getppid() != Pid::from_raw(parent) {
        return Err("it has ended already".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_flags_end_a_program_with_its_status() {
        let wrong: Result<Parsed<()>, &str> = Err("a flag is wrong");
        let status = ExitCode::from(BAD_FLAG_STATUS);
        let ended = read("program", wrong, status).expect_err("wrong flags");
        assert_eq!(format!("{ended:?}"), format!("{:?}", ExitCode::from(112)));
        let text: Result<Parsed<()>, &str> = Ok(Parsed::Print(String::new()));
        let ended = read("program", text, status).expect_err("nothing to run");
        assert_eq!(format!("{ended:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}
