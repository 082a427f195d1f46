//! The real program takes task groups of a fake agent, which launches no containers for it.
//! What becomes of members is tested with the real agent.

mod support;

use support::{Run, shell};
use tepui_protocol::v1::TaskState;

#[test]
fn a_task_id_cannot_lead_out_of_the_sandbox() {
    let mut run = Run::subscribed(&[]);
    run.launch_group(vec![shell("../x", "true")]);
    run.expect("../x", TaskState::TaskStarting);
    let failed = run.expect("../x", TaskState::TaskFailed);
    let message = "Failed to make the sandbox of task '../x': its id cannot name a file";
    assert_eq!(failed.message(), message);
    assert_eq!(run.exit_code(), Some(0));
}
