//! /v2/queue: apps that wait for offers, what became of those they saw, and an end of their delay.
//! Launches nothing.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde::Serialize;
use tepui_core::marathon::engine::QueueItem;
use tepui_core::marathon::manager::{Request, Snapshot};
use tepui_core::marathon::matching::Reason;
use tepui_core::marathon::queue::{OfferStats, RejectStep, UnusedOffer};
use tepui_core::time::Now;
use tepui_protocol::marathon::{App, Timestamp};

use super::change::Said;
use super::offers::OfferInfo;
use super::{Answered, Call, answers, path};

#[derive(Serialize)]
struct Queue<'a> {
    queue: Vec<Item<'a>>,
}

/// An app that waits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    count: u32,
    role: &'a str,
    delay: Delay,
    since: Timestamp,
    processed_offers_summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_unused_offers: Option<Vec<Unused<'a>>>,
    app: &'a App,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delay {
    time_left_seconds: u64,
    overdue: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    processed_offers_count: u32,
    unused_offers_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_unused_offer_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_offer_at: Option<Timestamp>,
    reject_summary_last_offers: Vec<RejectStep>,
    reject_summary_launch_attempt: Vec<RejectStep>,
}

#[derive(Serialize)]
struct Unused<'a> {
    offer: OfferInfo<'a>,
    reason: &'a [Reason],
    timestamp: Timestamp,
}

impl Summary {
    fn of(stats: &OfferStats) -> Summary {
        Summary {
            processed_offers_count: stats.processed,
            unused_offers_count: stats.unused,
            last_unused_offer_at: stats.last_unused_at,
            last_used_offer_at: stats.last_used_at,
            reject_summary_last_offers: stats.last_offers(),
            reject_summary_launch_attempt: stats.launch_attempt(),
        }
    }
}

/// How long launches are still delayed, since a snapshot may be older than the question.
pub(super) fn time_left(snapshot: &Snapshot, item: &QueueItem, now: Now) -> Duration {
    let passed = now.mono.since(snapshot.taken.mono);
    item.time_left.saturating_sub(passed)
}

fn item<'a>(snapshot: &Snapshot, item: &'a QueueItem, now: Now, with_offers: bool) -> Item<'a> {
    // Seconds that have begun count, so that none are left only when it is over.
    let left = time_left(snapshot, item, now);
    let left = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let unused = |unused: &'a UnusedOffer| Unused {
        offer: OfferInfo::of(&unused.offer),
        reason: &unused.reasons,
        timestamp: unused.timestamp,
    };
    Item {
        count: item.count,
        role: &item.app.role,
        delay: Delay {
            time_left_seconds: left,
            overdue: left == 0,
        },
        since: item.since,
        processed_offers_summary: Summary::of(&item.stats),
        last_unused_offers: with_offers.then(|| item.stats.last_unused().map(unused).collect()),
        app: &item.app,
    }
}

/// Routes of /v2/queue.
pub(super) async fn route(call: &Call<'_>, rest: &[&str]) -> Answered {
    match (rest, call.method()) {
        ([], "GET") => list(call).await,
        ([app @ .., "delay"], "DELETE") if !app.is_empty() => {
            let id = path::id(app);
            let said = Said::Nothing(StatusCode::NO_CONTENT);
            call.ask(Request::ResetDelay { id }, said).await
        }
        ([] | [.., "delay"], _) => Err(answers::not_allowed()),
        _ => Err(answers::no_uri()),
    }
}

async fn list(call: &Call<'_>) -> Answered {
    let with_offers = call
        .query
        .all("embed")
        .any(|value| value == "lastUnusedOffers");
    let (snapshot, now) = (call.snapshot(), call.face.clock.now());
    let write = move |body: &mut _| {
        let items = snapshot.queue.iter();
        let queue = items.map(|waiting| item(&snapshot, waiting, now, with_offers));
        let queue = Queue {
            queue: queue.collect(),
        };
        serde_json::to_writer::<&mut crate::http::pieces::PieceWriter, _>(body, &queue)
    };
    answers::long(write).await
}
