//! `tepui-executor`: runs the commands of tasks and task groups for an agent.
//! Holds nothing; all of it is in the library, which the agent's helper runs too.

use std::process::ExitCode;

fn main() -> ExitCode {
    tepui_executor::main()
}
