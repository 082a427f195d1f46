//! The processes of executors and tasks, found in `/proc` as the agent finds them.
//! Signals none.

use std::fs;
use std::path::Path;

/// The variable by which the processes of a task are known; its value is the task's id.
pub const MARK: &str = "TEPUI_CHAOS_TASK";

/// How a kernel shows the executor's name.
const EXECUTOR: &str = "tepui-executor";

/// A process that has not ended and whose environment names a sandbox.
#[derive(Debug, Clone)]
pub struct Process {
    pub pid: i32,
    parent: i32,
    #[allow(dead_code, reason = "shown where a process is left over")]
    sandbox: String,
    /// What the agent calls its executor; tasks of groups are not told.
    pub executor: Option<String>,
    /// The task it belongs to, or that is to be run by it.
    pub task: Option<String>,
    pub is_executor: bool,
}

/// All processes with a sandbox below a directory, by pid.
pub fn below(dir: &Path) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut all: Vec<Process> = pids.filter_map(|pid| process(pid, dir)).collect();
    all.sort_by_key(|process| process.pid);
    all
}

/// Those that executors have started for tasks: each stands for all that descends from it.
pub fn tasks(all: &[Process]) -> impl Iterator<Item = &Process> {
    all.iter().filter(|process| {
        let parent = all.iter().find(|other| other.pid == process.parent);
        let is_inner = parent.is_some_and(|it| !it.is_executor && it.task == process.task);
        !process.is_executor && !is_inner
    })
}

/// One that ends meanwhile is not seen.
fn process(pid: i32, dir: &Path) -> Option<Process> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let value = |name: &str| {
        let mut variables = environment.split('\0');
        let found = variables.find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let sandbox = value("MESOS_SANDBOX").filter(|sandbox| Path::new(sandbox).starts_with(dir))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    // A zombie has ended.
    (!matches!(state, "Z" | "X")).then_some(())?;
    Some(Process {
        pid,
        parent: fields.next()?.parse().ok()?,
        sandbox,
        executor: value("MESOS_EXECUTOR_ID"),
        task: value(MARK),
        is_executor: name == EXECUTOR,
    })
}
