//! `tepui-master`: reads the flags, runs a master until it is told to end.
//! Holds nothing else; the master is in `tepui_actors::master`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use tepui_actors::flags;
use tepui_actors::master::run_in_foreground;

#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let config = match flags::start_master() {
        Ok(config) => config,
        Err(status) => return status,
    };
    match run_in_foreground(config, announce) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may be switched off; why a master ended must not be lost.
            let _ = writeln!(std::io::stderr(), "tepui-master: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Scripts that let the master choose its port read this line.
fn announce(address: SocketAddr) {
    // A closed standard output is no reason to end.
    let _ = writeln!(std::io::stdout(), "listening on {address}");
}
