//! What was wrong with the offers an app has seen: per reason, and per agent with texts and advice.
//! Uses none of them.

use serde::Serialize;
use tepui_core::ids::IdSource;
use tepui_core::marathon::constraint::{Rules, Spread};
use tepui_core::marathon::engine::QueueItem;
use tepui_core::marathon::instance::{Instance, config_version};
use tepui_core::marathon::matching::{
    MatchRequest, MatchSettings, OpenOffer, Problem, Reason, Refusal, match_offer,
};
use tepui_core::marathon::queue::{RejectStep, UnusedOffer};
use tepui_core::time::Now;
use tepui_protocol::marathon::{App, Timestamp};

/// Offers that an app has seen since it began to wait.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offers<'a> {
    processed: u32,
    unused: u32,
    /// Only reasons that occurred; an offer counts under its first one.
    reasons: Vec<RejectStep>,
    /// The latest unused offer of each agent.
    agents: Vec<Agent<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent<'a> {
    agent_id: &'a str,
    hostname: &'a str,
    timestamp: Timestamp,
    /// The reasons of that time.
    reasons: &'a [Reason],
    /// What would stand in the way now; nothing if the offer would do.
    problems: Vec<Stated>,
}

#[derive(Serialize)]
struct Stated {
    reason: Reason,
    text: String,
    unblock: String,
}

impl<'a> Offers<'a> {
    /// Matches the offers that are remembered once more, with the app's present instances.
    pub(super) fn of<'i>(
        item: &'a QueueItem,
        instances: impl Iterator<Item = &'i Instance>,
        settings: &MatchSettings,
        now: Now,
    ) -> Offers<'a> {
        let rules = Rules::of(&item.app);
        let spread = spread(&item.app, instances);
        let request = MatchRequest {
            app: &item.app,
            rules: &rules,
            spread: &spread,
            settings,
            now,
        };
        let reasons = item.stats.launch_attempt().into_iter();
        Offers {
            processed: item.stats.processed,
            unused: item.stats.unused,
            reasons: reasons.filter(|step| step.declined > 0).collect(),
            agents: item
                .stats
                .last_unused()
                .map(|unused| Agent::of(unused, &request))
                .collect(),
        }
    }

    /// How many were seen, and how many of them not used.
    pub(super) fn figures(&self) -> (u32, u32) {
        (self.processed, self.unused)
    }

    /// A sentence per reason, with what would help on some agent.
    pub(super) fn advice(&self) -> Vec<(String, Option<String>)> {
        let sentence = |step: &RejectStep| {
            let RejectStep {
                reason,
                declined,
                processed,
            } = step;
            let name = reason.as_str();
            let mut text = format!("{name} ended {declined} of the {processed} that came so far");
            let agents = self.agents.iter();
            let mut stated = agents.flat_map(|agent| {
                let problems = agent.problems.iter();
                problems.map(move |problem| (agent.hostname, problem))
            });
            let Some((host, problem)) = stated.find(|(_, stated)| stated.reason == *reason) else {
                return (text, None);
            };
            text.push_str(&format!(", as on {host}: {}", problem.text));
            (text, Some(problem.unblock.clone()))
        };
        self.reasons.iter().map(sentence).collect()
    }
}

impl<'a> Agent<'a> {
    fn of(unused: &'a UnusedOffer, request: &MatchRequest<'_>) -> Agent<'a> {
        // Which ports would be drawn does not matter here.
        let mut random = IdSource::from_seed([0; 32]);
        let problems = match OpenOffer::read(&unused.offer) {
            Ok(open) => match match_offer(&open, request, &mut random) {
                Ok(_) => Vec::new(),
                Err(Refusal { problems }) => problems.iter().map(Stated::of).collect(),
            },
            Err(_) => Vec::new(),
        };
        Agent {
            agent_id: &unused.offer.agent_id.value,
            hostname: &unused.offer.hostname,
            timestamp: unused.timestamp,
            reasons: &unused.reasons,
            problems,
        }
    }
}

impl Stated {
    fn of(problem: &Problem) -> Stated {
        Stated {
            reason: problem.reason(),
            text: problem.to_string(),
            unblock: problem.unblock(),
        }
    }
}

/// Where the instances of the present configuration are, as constraints count them.
fn spread<'i>(app: &App, instances: impl Iterator<Item = &'i Instance>) -> Spread {
    let config = config_version(app);
    let mut spread = Spread::new(&app.constraints);
    for instance in instances.filter(|it| it.version >= config && it.has_task()) {
        spread.add(&instance.place);
    }
    spread
}
