//! Where the instances of a plan would go: offers are filled as they would be, without launching.
//! Knows no manager; whoever asked may do it on another thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tepui_protocol::marathon::{App, PathId, Timestamp};

use crate::ids::IdSource;
use crate::marathon::constraint::{Rules, Spread};
use crate::marathon::matching::{
    MatchRequest, MatchSettings, OpenOffer, Reason, Refusal, match_offer,
};
use crate::time::Now;

/// So often an offer is held against an app; what is not placed by then is not looked at further.
const MAX_TRIES: u32 = 1_000_000;

/// All that is needed to see where instances would go.
#[derive(Debug, Clone)]
pub struct Placing {
    /// What is offered.
    pub(super) offers: Vec<Arc<OpenOffer>>,
    /// When the oldest of the offers came.
    pub(super) as_of: Option<Timestamp>,
    /// Why offers may be lacking.
    pub(super) note: Option<&'static str>,
    /// What is to be placed, in the order of the plan.
    pub(super) apps: Vec<Wanted>,
    pub(super) matching: MatchSettings,
    /// `--max_instances_per_offer`.
    pub(super) most_per_offer: u32,
}

/// Instances of one app.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) app: Arc<App>,
    /// New ones.
    pub(super) launch: u32,
    /// Older ones that these take the place of.
    pub(super) replace: u32,
    /// Where those are that stay.
    pub(super) spread: Spread,
}

/// Where instances would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// So many offers were looked at.
    pub offers: usize,
    /// When the oldest of them came; none without offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// What makes this less than sure, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Apps that get new instances.
    pub apps: Vec<AppPlacement>,
}

/// Where the instances of one app would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppPlacement {
    /// The app.
    pub id: PathId,
    /// Instances that would be launched.
    pub launch: u32,
    /// Older instances that would end for them; what these use is not counted as free.
    pub replace: u32,
    /// Agents that would get some, by their host names.
    pub hosts: Vec<HostPlacement>,
    /// Instances that nothing offered would carry.
    pub unplaced: u32,
    /// Why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Lack>,
}

/// Instances on one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPlacement {
    /// Host name of the agent.
    pub hostname: String,
    /// The agent.
    pub agent_id: String,
    /// How many.
    pub instances: u32,
}

/// One reason for which offers would carry no further instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lack {
    /// Marathon's name for it.
    pub reason: Reason,
    /// Offers it is true of, once all that fits is placed.
    pub offers: u32,
    /// What it is on one of them.
    pub example: String,
    /// What would help there.
    pub unblock: String,
}

/// One app while it is being placed.
struct Open {
    wanted: Wanted,
    rules: Rules,
    left: u32,
    hosts: BTreeMap<(String, String), u32>,
}

impl Placing {
    /// Fills the offers as the manager does: one instance of each app in turn, until nothing more
    /// fits or `--max_instances_per_offer` are on it; what is left is offered again.
    pub fn place(self, now: Now) -> Placement {
        let count = self.offers.len();
        let mut work = Work {
            offers: self.offers,
            matching: self.matching,
            most_per_offer: self.most_per_offer,
            // Which ports would be drawn does not matter here.
            random: IdSource::from_seed([0; 32]),
            tries: MAX_TRIES,
            now,
        };
        let mut apps: Vec<Open> = self.apps.into_iter().map(Open::new).collect();
        while work.round(&mut apps) {}
        let apps = apps.into_iter().map(|app| work.tell(app)).collect();
        let note = match work.tries {
            0 => Some("there is too much to look at: not every offer was held against every app"),
            _ => self.note,
        };
        Placement {
            offers: count,
            as_of: self.as_of,
            note: note.map(str::to_owned),
            apps,
        }
    }
}

struct Work {
    offers: Vec<Arc<OpenOffer>>,
    matching: MatchSettings,
    most_per_offer: u32,
    random: IdSource,
    tries: u32,
    now: Now,
}

impl Work {
    /// Uses each offer once; whether anything was placed.
    fn round(&mut self, apps: &mut [Open]) -> bool {
        let mut has_placed = false;
        for at in 0..self.offers.len() {
            if apps.iter().all(|app| app.left == 0) || self.tries == 0 {
                return false;
            }
            let Some(offer) = self.offers.get(at).cloned() else {
                break;
            };
            let mut offer = Arc::unwrap_or_clone(offer);
            offer.launches = 0;
            has_placed |= self.fill(&mut offer, apps);
            self.offers[at] = Arc::new(offer);
        }
        has_placed
    }

    fn fill(&mut self, offer: &mut OpenOffer, apps: &mut [Open]) -> bool {
        let mut asked: Vec<usize> = (0..apps.len()).collect();
        while !asked.is_empty() {
            let mut again = Vec::new();
            for at in asked {
                if offer.launches >= self.most_per_offer || self.tries == 0 {
                    return offer.launches > 0;
                }
                let Some(app) = apps.get_mut(at).filter(|app| app.left > 0) else {
                    continue;
                };
                if self.put(offer, app).is_ok() {
                    again.push(at);
                }
            }
            asked = again;
        }
        offer.launches > 0
    }

    /// Places one instance, if it fits.
    fn put(&mut self, offer: &mut OpenOffer, app: &mut Open) -> Result<(), Refusal> {
        self.tries = self.tries.saturating_sub(1);
        let request = MatchRequest {
            app: &app.wanted.app,
            rules: &app.rules,
            spread: &app.wanted.spread,
            settings: &self.matching,
            now: self.now,
        };
        let matched = match_offer(offer, &request, &mut self.random)?;
        offer.take(&matched);
        app.wanted.spread.add(&matched.place);
        app.left -= 1;
        let host = (matched.place.host, matched.place.agent_id);
        *app.hosts.entry(host).or_default() += 1;
        Ok(())
    }

    fn tell(&mut self, mut app: Open) -> AppPlacement {
        let (launch, unplaced) = (app.wanted.launch, app.left);
        let hosts = std::mem::take(&mut app.hosts);
        let hosts = hosts.into_iter();
        AppPlacement {
            id: app.wanted.app.id.clone(),
            launch,
            replace: app.wanted.replace,
            hosts: hosts
                .map(|((hostname, agent_id), instances)| HostPlacement {
                    hostname,
                    agent_id,
                    instances,
                })
                .collect(),
            unplaced,
            reasons: match unplaced {
                0 => Vec::new(),
                _ => self.lacks(&mut app),
            },
        }
    }

    /// What each offer that is left lacks for one more instance.
    fn lacks(&mut self, app: &mut Open) -> Vec<Lack> {
        let mut lacks: BTreeMap<Reason, Lack> = BTreeMap::new();
        for at in 0..self.offers.len() {
            if self.tries == 0 {
                break;
            }
            let mut offer = OpenOffer::clone(&self.offers[at]);
            let Err(refusal) = self.put(&mut offer, app) else {
                continue;
            };
            let host = &offer.place.host;
            let mut counted = Vec::new();
            for problem in &refusal.problems {
                let reason = problem.reason();
                if counted.contains(&reason) {
                    continue;
                }
                counted.push(reason);
                let lack = lacks.entry(reason).or_insert_with(|| Lack {
                    reason,
                    offers: 0,
                    example: format!("{host}: {problem}"),
                    unblock: problem.unblock(),
                });
                lack.offers += 1;
            }
        }
        lacks.into_values().collect()
    }
}

impl Open {
    fn new(wanted: Wanted) -> Open {
        Open {
            rules: Rules::of(&wanted.app),
            left: wanted.launch,
            hosts: BTreeMap::new(),
            wanted,
        }
    }
}
