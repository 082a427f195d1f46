//! Runs tasks through a real cluster and measures them.
//! Which tasks start when is decided in `ledger`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tepui_protocol::v1::scheduler::{Call, Event, call, event};
use tepui_protocol::v1::{FrameworkInfo, TaskId, TaskState, TaskStatus};

use crate::clock::Clock;
use crate::framework::{Error, Framework, of_type};
use crate::ledger::{Latencies, Ledger, Plan};

/// What a run showed.
#[derive(Debug)]
pub struct Outcome {
    /// The plan's name.
    pub name: &'static str,
    /// Tasks that finished.
    pub finished: usize,
    /// From the first launch to the last end.
    pub elapsed: Duration,
    /// How long tasks took.
    pub latencies: Latencies,
}

/// The framework all scenarios run as: the user of this process, in the default role.
pub fn framework_info() -> FrameworkInfo {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |user| user.name);
    FrameworkInfo {
        user,
        name: "tepui-loadtest".into(),
        ..FrameworkInfo::default()
    }
}

/// Runs a plan to its end.
///
/// # Errors
/// When the master fails, a task does not finish, or all is not done within `limit`.
pub async fn run(
    framework: &mut Framework,
    clock: Clock,
    name: &'static str,
    plan: Plan,
    limit: Duration,
) -> Result<Outcome, Error> {
    let bar = progress_bar(name, plan.tasks);
    let all = plan.tasks;
    let begun = clock.now();
    let mut ledger = Ledger::new(plan, begun)?;
    let drive = drive(framework, clock, &mut ledger, &bar);
    match tokio::time::timeout(limit, drive).await {
        Ok(result) => result?,
        Err(_) => {
            let text = format!(
                "{name}: only {} of {all} tasks ended in {limit:?}",
                ledger.ended()
            );
            return Err(text.into());
        }
    }
    bar.finish_and_clear();
    if ledger.finished < all {
        let some = ledger.failures.make_contiguous().join("; ");
        return Err(format!(
            "{name}: {} of {all} tasks finished: {some}",
            ledger.finished
        )
        .into());
    }
    Ok(Outcome {
        name,
        finished: ledger.finished,
        elapsed: clock.now().saturating_sub(begun),
        latencies: ledger.latencies,
    })
}

async fn drive(
    framework: &mut Framework,
    clock: Clock,
    ledger: &mut Ledger,
    bar: &ProgressBar,
) -> Result<(), Error> {
    while !ledger.is_done() {
        while let Some(call) = ledger.next_launch(clock.now()) {
            framework.send(call).await?;
        }
        let due = ledger.next_due().filter(|due| *due > clock.now());
        let due = due.map(|due| tokio::time::sleep_until(clock.instant(due)));
        let event = tokio::select! {
            event = framework.next_event() => event?,
            () = async { due.unwrap_or_else(|| tokio::time::sleep(Duration::MAX)).await } => continue,
        };
        if let Some(call) = take(ledger, clock.now(), event) {
            framework.send(call).await?;
        }
        bar.set_position(ledger.ended() as u64);
    }
    Ok(())
}

/// Notes an event; an update gives its acknowledgement.
fn take(ledger: &mut Ledger, now: Duration, event: Event) -> Option<Call> {
    match event.r#type() {
        event::Type::Offers => ledger.offered(event.offers.unwrap_or_default().offers),
        event::Type::Rescind => ledger.rescinded(&event.rescind.unwrap_or_default().offer_id),
        event::Type::Update => {
            return ledger.updated(now, &event.update.unwrap_or_default().status);
        }
        _ => {}
    }
    None
}

/// Launches one long task and waits until it runs.
///
/// # Errors
/// When the master fails or the task does not run within `limit`.
pub async fn start_one(
    framework: &mut Framework,
    clock: Clock,
    plan: Plan,
    limit: Duration,
) -> Result<TaskStatus, Error> {
    let mut ledger = Ledger::new(plan, clock.now())?;
    let wait = async {
        loop {
            if let Some(call) = ledger.next_launch(clock.now()) {
                framework.send(call).await?;
            }
            let event = framework.next_event().await?;
            let update = event.update.as_ref().map(|update| update.status.clone());
            if let Some(call) = take(&mut ledger, clock.now(), event) {
                framework.send(call).await?;
            }
            match update {
                Some(status) if status.state() == TaskState::TaskRunning => return Ok(status),
                Some(status) if crate::ledger::is_terminal(status.state()) => {
                    let state = status.state().as_str_name();
                    return Err(format!("the task ended: {state} {}", status.message()).into());
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(limit, wait)
        .await
        .map_err(|_| "the task did not run in time")?
}

/// Kills a task and waits for its end.
///
/// # Errors
/// When the master fails or the task does not end within `limit`.
pub async fn kill_one(
    framework: &mut Framework,
    task: &TaskStatus,
    limit: Duration,
) -> Result<(), Error> {
    let mut kill = of_type(call::Type::Kill);
    kill.kill = Some(call::Kill {
        task_id: TaskId {
            value: task.task_id.value.clone(),
        },
        agent_id: task.agent_id.clone(),
        kill_policy: None,
    });
    framework.send(kill).await?;
    let wait = async {
        loop {
            let Some(update) = framework.next_event().await?.update else {
                continue;
            };
            let status = update.status;
            let terminal = crate::ledger::is_terminal(status.state());
            let mut acknowledge = of_type(call::Type::Acknowledge);
            acknowledge.acknowledge = Some(call::Acknowledge {
                agent_id: status.agent_id.unwrap_or_default(),
                task_id: status.task_id,
                uuid: status.uuid.unwrap_or_default(),
            });
            framework.send(acknowledge).await?;
            if terminal {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(limit, wait)
        .await
        .map_err(|_| "the task did not end in time")?
}

/// A bar on a terminal; nothing elsewhere.
fn progress_bar(name: &'static str, tasks: usize) -> ProgressBar {
    let bar = ProgressBar::new(tasks as u64).with_message(name);
    match ProgressStyle::with_template("{msg:12} {bar:40} {pos}/{len} {per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
