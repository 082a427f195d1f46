//! `tepui-marathon`: reads the flags, runs an app manager until it is told to end.
//! Holds nothing else; the app manager is in `tepui_actors::marathon`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use tepui_actors::flags;
use tepui_actors::marathon::process::run_in_foreground;

#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let (config, loggers) = match flags::start_marathon() {
        Ok(started) => started,
        Err(status) => return status,
    };
    match run_in_foreground(config, loggers, announce) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may be switched off; why an app manager ended must not be lost.
            let _ = writeln!(std::io::stderr(), "tepui-marathon: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Scripts that let the app manager choose its port read this line.
fn announce(address: SocketAddr) {
    // A closed standard output is no reason to end.
    let _ = writeln!(std::io::stdout(), "listening on {address}");
}
