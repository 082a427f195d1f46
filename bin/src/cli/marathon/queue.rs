//! `tepui queue`: apps that wait for offers.
//! Why one waits, `tepui why` tells.

use clap::{Args as ClapArgs, Subcommand};
use tepui_actors::client::{Method, percent_encode};
use tepui_protocol::marathon::PathId;

use super::manager::parse;
use super::shapes::{Queue, Waiting};
use super::table::{NOTHING, Table, age, duration};
use super::trouble::Trouble;
use super::{Common, EXIT_STATUSES, Form, now, print, print_answer};

/// What `tepui queue` is given.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_STATUSES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List apps that wait for offers, which is the default
    #[command(visible_alias = "ls")]
    List,
    /// End the delay that failures have given the launches of an app
    Reset {
        /// Id of the app
        id: String,
    },
}

/// Runs a command.
pub(super) async fn run(args: Args) -> Result<(), Trouble> {
    let common = &args.common;
    let manager = common.manager()?;
    match &args.command {
        None | Some(Command::List) => {
            let body = manager.get("/v2/queue", &[]).await?;
            print_answer(common.output(), &body, || {
                let queue: Queue = parse(&body)?;
                Ok(text(&queue.queue, now(), common.form()))
            })
        }
        Some(Command::Reset { id }) => {
            let id = PathId::new(&manager.whole_id(id, "app").await?);
            let path = format!("/v2/queue{}/delay", percent_encode(id.as_str()));
            manager.send(Method::Delete, &path, &[], None).await?;
            print(&format!("launches of app {id} are not delayed any more\n"))
        }
    }
}

fn text(queue: &[Waiting], now: i64, form: Form) -> String {
    let columns = [
        "APP", "WAITING", "SINCE", "DELAY", "OFFERS", "UNUSED", "MOSTLY", "ROLE",
    ];
    let mut table = Table::new(&columns);
    for waiting in queue {
        let subject = waiting.app.as_ref().or(waiting.pod.as_ref());
        let offers = &waiting.processed_offers_summary;
        let reasons = offers.reject_summary_launch_attempt.iter();
        let reasons = reasons.filter(|reason| reason.declined > 0);
        let mostly = reasons.max_by_key(|reason| reason.declined);
        table.row(vec![
            subject.map_or_else(String::new, |subject| subject.id.clone()),
            waiting.count.to_string(),
            age(&waiting.since, now),
            match waiting.delay.time_left_seconds {
                0 => NOTHING.to_owned(),
                left => duration(left),
            },
            offers.processed_offers_count.to_string(),
            offers.unused_offers_count.to_string(),
            mostly.map_or_else(String::new, |reason| reason.reason.clone()),
            waiting.role.clone(),
        ]);
    }
    match table.is_empty() {
        true => "no app waits\n".to_owned(),
        false => table.fitted(0, form.columns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_tells_what_ends_most_offers() {
        let waiting: Waiting = serde_json::from_value(serde_json::json!({"count": 2, "role": "*",
            "app": {"id": "/a"}, "delay": {"timeLeftSeconds": 130, "overdue": false},
            "since": "2021-07-01T10:00:00.000Z", "processedOffersSummary": {
            "processedOffersCount": 7, "unusedOffersCount": 6, "rejectSummaryLaunchAttempt": [
            {"reason": "InsufficientCpus", "declined": 1, "processed": 6},
            {"reason": "InsufficientPorts", "declined": 5, "processed": 5}]}}))
        .expect("an item");
        let text = text(&[waiting], 1_625_133_605_000, Form::default());
        let line = text.lines().nth(1).expect("a line");
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            cells,
            ["/a", "2", "5s", "2m10s", "7", "6", "InsufficientPorts", "*"]
        );
        assert_eq!(super::text(&[], 0, Form::default()), "no app waits\n");
    }
}
