//! The exit status of a task, read from its last status.
//! Sends and prints nothing.

use tepui_protocol::v1;
use v1::TaskState;

/// The status to end with when a task ended in another way than by its command.
const OTHER_END: u8 = 1;

/// What the kernel's signals are called in a status's message, by number from 1 on.
const SIGNALS: [&str; 31] = [
    "Hangup",
    "Interrupt",
    "Quit",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Aborted",
    "Bus error",
    "Floating point exception",
    "Killed",
    "User defined signal 1",
    "Segmentation fault",
    "User defined signal 2",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "Stack fault",
    "Child exited",
    "Continued",
    "Stopped (signal)",
    "Stopped",
    "Stopped (tty input)",
    "Stopped (tty output)",
    "Urgent I/O condition",
    "CPU time limit exceeded",
    "File size limit exceeded",
    "Virtual timer expired",
    "Profiling timer expired",
    "Window changed",
    "I/O possible",
    "Power failure",
    "Bad system call",
];

/// Whether a task in this state has ended for good. A state of a newer master is taken for one that
/// may still change.
pub(super) fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// The status a shell would give: the command's own, or 128 and the signal that ended it; 1 when
/// the task ended otherwise.
pub(super) fn exit_status(state: TaskState, message: &str) -> u8 {
    if let Some(status) = message.strip_prefix("Command exited with status ") {
        return status.trim().parse().unwrap_or(OTHER_END);
    }
    if let Some(signal) = message.strip_prefix("Command terminated with signal ") {
        let signal = signal.trim_end_matches(" (core dumped)").trim();
        let index = SIGNALS.iter().position(|name| *name == signal);
        let number = index.and_then(|index| u8::try_from(index + 1).ok());
        return number.map_or(OTHER_END, |number| 128 + number);
    }
    if state == TaskState::TaskFinished {
        0
    } else {
        OTHER_END
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_commands_or_tells_its_signal() {
        for (state, message, status) in [
            (TaskState::TaskFinished, "Command exited with status 0", 0),
            (TaskState::TaskFinished, "", 0),
            (TaskState::TaskFailed, "Command exited with status 3", 3),
            (TaskState::TaskFailed, "Command exited with status 127", 127),
            (
                TaskState::TaskKilled,
                "Command terminated with signal Terminated",
                143,
            ),
            (
                TaskState::TaskKilled,
                "Command terminated with signal Killed",
                137,
            ),
            (
                TaskState::TaskFailed,
                "Command terminated with signal Aborted (core dumped)",
                134,
            ),
            (
                TaskState::TaskFailed,
                "Command terminated with signal Unheard of",
                1,
            ),
            (TaskState::TaskFailed, "Executor terminated", 1),
            (TaskState::TaskError, "Task uses no resources", 1),
            (TaskState::TaskGone, "", 1),
        ] {
            assert_eq!(exit_status(state, message), status, "{message}");
        }
    }

    #[test]
    fn an_unreachable_task_may_come_back() {
        assert!(!is_terminal(TaskState::TaskUnreachable));
        assert!(!is_terminal(TaskState::TaskKilling));
        assert!(is_terminal(TaskState::TaskLost) && is_terminal(TaskState::TaskDropped));
    }
}
