//! `tepui`: the command line.
//! Only starts it; the commands are in `cli`.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
