//! The helper that stays: hands signals on to the program, waits for its end, and writes it down.
//! Ends nothing but what was handed to it, where nobody else could find that.

use std::fs::File;
use std::io::Write;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Added to the number of the signal that has ended a process, as shells do.
const SIGNALED: i32 = 128;

/// Where the kernel keeps the exit status in a wait status, and the mark of a core dump.
const EXITED_SHIFT: i32 = 8;
const CORE_DUMPED: i32 = 0x80;

/// How often what is left over is killed: something that starts processes faster than they are
/// killed must not keep its container from ending.
const MAX_ROUNDS: u32 = 2000;

/// Keeps signals until they are handed on. None if that cannot be done: then each does to this
/// process what it does by default.
pub(super) fn prepare() -> Option<SigSet> {
    let all = SigSet::all();
    all.thread_block().ok().map(|()| all)
}

/// Waits for all processes that are handed to this one until the program has ended, and gives the
/// status to end with. What the program leaves behind is up to the kernel or the agent.
pub(super) fn until_end_of(program: Pid, status: Option<File>, signals: Option<SigSet>) -> i32 {
    loop {
        let how = signals.as_ref().map(|_| WaitPidFlag::WNOHANG);
        match waitpid(Pid::from_raw(-1), how) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => {
                write(status, code << EXITED_SHIFT);
                return code;
            }
            Ok(WaitStatus::Signaled(pid, signal, dumped)) if pid == program => {
                let mark = if dumped { CORE_DUMPED } else { 0 };
                write(status, signal as i32 | mark);
                return SIGNALED + signal as i32;
            }
            Ok(WaitStatus::StillAlive) => hand_on(program, signals.as_ref()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return SIGNALED,
        }
    }
}

/// Ends all that was handed to this process when its own parent had ended. What one of them has
/// started comes here, too, when that one is killed.
pub(super) fn end_the_rest() {
    for _ in 0..MAX_ROUNDS {
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        // Waits for the first of them to end, and takes all that have ended by then.
        let mut how = None;
        loop {
            match waitpid(Pid::from_raw(-1), how) {
                Err(Errno::ECHILD) => return,
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(_) => how = Some(WaitPidFlag::WNOHANG),
            }
        }
    }
}

/// The children of this process, which has one thread.
fn children() -> Vec<Pid> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let numbers = list.split_ascii_whitespace();
    numbers
        .filter_map(|text| text.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// Waits for a signal, and gives it to the program if it was meant for that.
fn hand_on(program: Pid, signals: Option<&SigSet>) {
    match signals.map(SigSet::wait) {
        Some(Ok(Signal::SIGCHLD)) | None => {}
        // Its end is noticed by whoever waits for it.
        Some(Ok(signal)) => {
            let _ = kill(program, signal);
        }
        // One that has no name here, such as a real-time signal.
        Some(Err(_)) => {}
    }
}

/// An agent that reads nothing knows that nobody could say how the program has ended.
fn write(file: Option<File>, status: i32) {
    if let Some(mut file) = file {
        let _ = file.write_all(status.to_string().as_bytes());
    }
}
