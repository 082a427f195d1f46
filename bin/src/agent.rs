//! `tepui-agent`: reads the flags, runs an agent until it is told to end.
//! Holds nothing else; the agent is in `tepui_actors::agent`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use tepui_actors::agent::{run_as_helper, run_in_foreground};
use tepui_actors::flags;

fn main() -> ExitCode {
    // The agent starts its own program again for each container that is isolated.
    if let Some(status) = run_as_helper(executor) {
        return status;
    }
    let config = match flags::start_agent() {
        Ok(config) => config,
        Err(status) => return status,
    };
    match run_in_foreground(config, announce) {
        Ok(_reason) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may be switched off; why an agent ended must not be lost.
            let _ = writeln!(std::io::stderr(), "tepui-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What runs the commands of tasks that have an image.
fn executor(
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
) -> u8 {
    tepui_executor::run_as(tepui_executor::Told {
        arguments,
        environment,
        directory,
    })
}

/// Scripts that let the agent choose its port read this line.
fn announce(address: SocketAddr) {
    // A closed standard output is no reason to end.
    let _ = writeln!(std::io::stdout(), "listening on {address}");
}
