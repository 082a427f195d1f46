//! Moves calls and events between frameworks and ledgers until the ledgers are done.
//! Which tasks start when is decided in `ledger`.

use std::time::Duration;

use indicatif::ProgressBar;
use tepui_protocol::v1::scheduler::{Call, Event, event};

use crate::clock::Clock;
use crate::framework::{Error, Framework};
use crate::ledger::Ledger;

/// Runs a ledger to its end on one framework.
///
/// # Errors
/// When the master fails, or a task ends otherwise than it should.
pub async fn drive(
    framework: &mut Framework,
    clock: Clock,
    ledger: &mut Ledger,
    bar: &ProgressBar,
) -> Result<(), Error> {
    let mut counted = ledger.reached();
    while !ledger.is_done() {
        while let Some(call) = ledger.next_call(clock.now()) {
            framework.send(call).await?;
        }
        let due = ledger.next_due().filter(|due| *due > clock.now());
        let due = due.map(|due| tokio::time::sleep_until(clock.instant(due)));
        let first = tokio::select! {
            event = framework.next_event() => event?,
            () = async { due.unwrap_or_else(|| tokio::time::sleep(Duration::MAX)).await } => continue,
        };
        let mut event = Some(first);
        while let Some(present) = event {
            if let Some(call) = take(ledger, clock.now(), present) {
                framework.send(call).await?;
            }
            event = framework.ready_event();
        }
        bar.inc((ledger.reached().saturating_sub(counted)) as u64);
        counted = ledger.reached();
        if let Some(why) = ledger.failure() {
            return Err(why.into());
        }
    }
    // What is left is given back, so that the next run finds it.
    while let Some(call) = ledger.next_call(clock.now()) {
        framework.send(call).await?;
    }
    framework.settle().await
}

/// Notes an event; an update gives its acknowledgement.
pub fn take(ledger: &mut Ledger, now: Duration, event: Event) -> Option<Call> {
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
