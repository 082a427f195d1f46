//! What the running manager measures: news of the master, the store, what waits for it.
//! Publishes nothing, and changes nothing of what is done.

use tepui_core::marathon::manager::Effect;
use tepui_core::time::Mono;

use super::Run;
use crate::marathon::driver::DriverEvent;
use crate::metrics::marathon::MesosMetrics;

/// News of the master whose handling is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// So many offers.
    Offers(u64),
    /// A status.
    Update,
    /// Something else.
    Other,
}

impl MesosMetrics {
    /// Counts what the driver tells.
    pub(super) fn heard(&self, event: &DriverEvent) -> Heard {
        match event {
            DriverEvent::Offers(offers) => {
                let offers = offers.len() as u64;
                self.offers_incoming.add(offers);
                Heard::Offers(offers)
            }
            DriverEvent::Update(status) => {
                let reason = status.reason.and_then(|reason| reason.try_into().ok());
                self.updated(status.state.try_into().ok(), reason);
                Heard::Update
            }
            DriverEvent::Subscribed { .. }
            | DriverEvent::Message(_)
            | DriverEvent::Failure(_)
            | DriverEvent::Disconnected { .. }
            | DriverEvent::Rescind(_)
            | DriverEvent::InverseOffers(_)
            | DriverEvent::RescindInverseOffer(_)
            | DriverEvent::UpdateOperationStatus(_)
            | DriverEvent::Error(_) => Heard::Other,
        }
    }

    /// The manager has seen what follows from it.
    pub(super) fn dealt_with(&self, heard: Heard, began: Mono, ended: Mono) {
        let time = ended.since(began);
        match heard {
            Heard::Offers(0) | Heard::Other => {}
            Heard::Offers(offers) => {
                let offers = u32::try_from(offers).unwrap_or(u32::MAX);
                self.matching.record_many(ended, time / offers, offers);
            }
            Heard::Update => self.update.record(ended, time),
        }
    }
}

impl Run {
    /// An effect that has waited since then is done now.
    pub(super) fn note_saved(&self, effect: &Effect, since: Mono) {
        if matches!(effect, Effect::Launch { .. }) {
            let now = self.with.clock.now().mono;
            self.with.metrics.mesos.saving.record(now, now.since(since));
        }
    }

    /// A batch goes to the store; what is returned is called when it is durable.
    pub(super) fn storing(&self) -> impl FnOnce() + Send + 'static {
        let (clock, metrics) = (self.with.clock, self.with.metrics.clone());
        let began = clock.now().mono;
        move || {
            let now = clock.now().mono;
            metrics.store.record(now, now.since(began));
        }
    }
}
