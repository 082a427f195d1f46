//! Status updates: what they say and in which words.
//! Decides no state; sends nothing.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use tepui_protocol::v1::check_status_info;
use tepui_protocol::v1::task_status::{Reason, Source};
use tepui_protocol::v1::{
    CheckInfo, CheckStatusInfo, ContainerId, ContainerStatus, ExecutorId, NetworkInfo, TaskId,
    TaskInfo, TaskResourceLimitation, TaskState, TaskStatus, check_info,
};

use crate::clock::Now;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether it left a core dump.
        core_dumped: bool,
    },
}

impl Ended {
    /// What a wait status of the kernel says.
    pub fn of_wait_status(status: i32) -> Self {
        let status = ExitStatus::from_raw(status);
        match status.code() {
            Some(code) => Ended::Exited(code),
            None => Ended::Signaled {
                signal: status.signal().unwrap_or_default(),
                core_dumped: status.core_dumped(),
            },
        }
    }
}

impl fmt::Display for Ended {
    /// In Mesos's words, which are those of `strsignal(3)` of the GNU C library.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited(status) => write!(f, "exited with status {status}"),
            Ended::Signaled {
                signal,
                core_dumped,
            } => {
                f.write_str("terminated with signal ")?;
                write_signal(f, *signal)?;
                f.write_str(if *core_dumped { " (core dumped)" } else { "" })
            }
        }
    }
}

/// Words for the signals 1 to 31.
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

/// First real-time signal a program may use on Linux.
const FIRST_REAL_TIME: i32 = 34;

/// Last signal on Linux.
const LAST_REAL_TIME: i32 = 64;

fn write_signal(f: &mut fmt::Formatter<'_>, signal: i32) -> fmt::Result {
    let index = usize::try_from(signal)
        .ok()
        .and_then(|number| number.checked_sub(1));
    if let Some(words) = index.and_then(|index| SIGNALS.get(index)) {
        return f.write_str(words);
    }
    if (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(&signal) {
        return write!(f, "Real-time signal {}", signal - FIRST_REAL_TIME);
    }
    write!(f, "Unknown signal {signal}")
}

/// What there is to say about a task.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) task_id: TaskId,
    pub(super) state: TaskState,
    pub(super) reason: Option<Reason>,
    pub(super) text: Option<String>,
    pub(super) container: Option<ContainerId>,
    pub(super) check: Option<CheckStatusInfo>,
    pub(super) healthy: Option<bool>,
    pub(super) limitation: Option<TaskResourceLimitation>,
    pub(super) data: Option<Vec<u8>>,
    pub(super) network: Option<NetworkInfo>,
}

impl Report {
    /// A task is in a state.
    pub(super) fn of(task: &TaskInfo, state: TaskState) -> Self {
        Report {
            task_id: task.task_id.clone(),
            state,
            reason: None,
            text: None,
            container: None,
            check: task.check.as_deref().map(empty_result),
            healthy: None,
            limitation: None,
            data: None,
            network: None,
        }
    }

    /// The same with words for people.
    pub(super) fn message(self, text: &str) -> Self {
        Report {
            text: Some(text.to_owned()),
            ..self
        }
    }

    /// The status that says it.
    pub(super) fn status(self, executor: &str, uuid: Vec<u8>, now: Now) -> TaskStatus {
        let has_container = self.container.is_some() || self.network.is_some();
        TaskStatus {
            task_id: self.task_id,
            state: self.state as i32,
            message: self.text,
            source: Some(Source::Executor as i32),
            reason: self.reason.map(|reason| reason as i32),
            executor_id: Some(ExecutorId {
                value: executor.to_owned(),
            }),
            healthy: self.healthy,
            timestamp: Some(now.wall.as_secs_f64()),
            uuid: Some(uuid),
            limitation: self.limitation.map(Box::new),
            check_status: self.check.map(Box::new),
            data: self.data,
            container_status: has_container.then(|| {
                Box::new(ContainerStatus {
                    container_id: self.container,
                    network_infos: self.network.into_iter().collect(),
                    ..ContainerStatus::default()
                })
            }),
            ..TaskStatus::default()
        }
    }
}

/// A check's status before its first result; Mesos wants one in every update of a checked task.
pub(super) fn empty_result(check: &CheckInfo) -> CheckStatusInfo {
    let mut status = CheckStatusInfo {
        r#type: check.r#type,
        ..CheckStatusInfo::default()
    };
    match check.r#type() {
        check_info::Type::Command => status.command = Some(check_status_info::Command::default()),
        check_info::Type::Http => status.http = Some(check_status_info::Http::default()),
        check_info::Type::Tcp => status.tcp = Some(check_status_info::Tcp::default()),
        check_info::Type::Unknown => {}
    }
    status
}
