//! Offers: which waiting apps use them, and how instances are spread.
//! Whether one offer fits one app is judged by the room of matching.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use tepui_protocol::marathon::{App, PathId, Timestamp};
use tepui_protocol::v1;
use uuid::Uuid;

use super::messages::Effect;
use super::{AppView, Manager, stamp};
use crate::ids::OfferId;
use crate::marathon::constraint::Spread;
use crate::marathon::engine::{self, LaunchRefused, Waiting};
use crate::marathon::ids::InstanceId;
use crate::marathon::instance::{Instance, config_version};
use crate::marathon::matching::{MatchRequest, OpenOffer, Refusal, match_offer};
use crate::marathon::queue::UnusedOffer;
use crate::marathon::task::{self, task_info};
use crate::time::Now;

/// How long offers are refused that only a launch token is missing for.
const SHORT_REFUSAL: Duration = Duration::from_secs(1);

/// Compiled constraints of so many apps are kept.
pub(super) const MAX_COMPILED: usize = 10_000;

impl Manager {
    /// Uses offers for what waits, and declines the rest.
    pub(super) fn offers(&mut self, now: Now, offers: Vec<v1::Offer>, out: &mut Vec<Effect>) {
        let mut waiting = self.engine.waiting(now);
        waiting.retain(|app| app.delay.is_none() && app.launch > 0);
        let mut tokens = self.engine.launch_tokens(now);
        let mut useless = Vec::new();
        for offer in offers {
            let id = OfferId::from(&offer.id);
            let launched = self.use_offer(now, offer, &mut waiting, &mut tokens, out);
            if launched.is_empty() {
                useless.push(id);
                continue;
            }
            out.push(Effect::Launch {
                offer: id,
                tasks: launched,
            });
        }
        if !useless.is_empty() {
            // Each task that begins to run gives its token back, and offers must be there then.
            let is_short = tokens == 0 && waiting.iter().any(|app| app.launch > 0);
            let long = self.settings.decline_offer_duration;
            let time = if is_short {
                long.min(SHORT_REFUSAL)
            } else {
                long
            };
            out.push(Effect::Decline(useless, time.as_secs_f64()));
        }
    }

    /// Launches what fits on one offer.
    fn use_offer(
        &mut self,
        now: Now,
        offer: v1::Offer,
        waiting: &mut [Waiting],
        tokens: &mut u32,
        out: &mut Vec<Effect>,
    ) -> Vec<v1::TaskInfo> {
        let offer = Arc::new(offer);
        let Ok(mut open) = OpenOffer::read(&offer) else {
            self.figures.offers_unprocessable += 1;
            return Vec::new();
        };
        let launched = self.fill(now, &offer, &mut open, (waiting, tokens), out);
        self.look.note(now, open);
        launched
    }

    /// One instance of each waiting app in turn, until nothing more fits.
    fn fill(
        &mut self,
        now: Now,
        offer: &Arc<v1::Offer>,
        open: &mut OpenOffer,
        (waiting, tokens): (&mut [Waiting], &mut u32),
        out: &mut Vec<Effect>,
    ) -> Vec<v1::TaskInfo> {
        let mut launched = Vec::new();
        let most = self.settings.max_instances_per_offer;
        // All are asked once, and then those that took something; an offer that is full asks nobody,
        // since thousands of apps may wait and thousands of offers may come.
        let mut asked: Vec<usize> = (0..waiting.len()).collect();
        while !asked.is_empty() {
            let mut again = Vec::new();
            for at in asked {
                if *tokens == 0 || open.launches >= most {
                    return launched;
                }
                let Some(app) = waiting.get_mut(at).filter(|app| app.launch > 0) else {
                    continue;
                };
                match self.launch(now, open, app, out) {
                    Ok(task) => {
                        launched.push(task);
                        app.launch -= 1;
                        *tokens -= 1;
                        again.push(at);
                    }
                    Err(Some(refusal)) => self.note_unused(now, &app.app.id, offer, &refusal),
                    Err(None) => {}
                }
            }
            asked = again;
        }
        launched
    }

    /// Launches one instance; the error is why the offer does not fit, or none when the app is not
    /// to be launched at all.
    fn launch(
        &mut self,
        now: Now,
        offer: &mut OpenOffer,
        waiting: &mut Waiting,
        out: &mut Vec<Effect>,
    ) -> Result<v1::TaskInfo, Option<Refusal>> {
        let app = waiting.app.clone();
        let rules = self.rules.get(&app);
        let no_spread = Spread::default();
        let request = MatchRequest {
            app: &app,
            rules: &rules,
            spread: self.placements.spread(&app.id).unwrap_or(&no_spread),
            settings: &self.settings.matching,
            now,
        };
        let matched = match_offer(offer, &request, &mut self.random).map_err(Some)?;
        let launch = engine::Launch {
            app: app.id.clone(),
            version: waiting.version,
            instance: self.new_instance_id(&app.id),
            place: matched.place.clone(),
            host_ports: matched.ports.iter().filter_map(|port| port.host).collect(),
        };
        let mut wanted = Vec::new();
        let result = self.engine.launched(launch, now, &mut wanted);
        self.perform(&mut wanted, out);
        let instance = match result {
            Ok(instance) => instance,
            Err(
                LaunchRefused::Outdated
                | LaunchRefused::NotWanted
                | LaunchRefused::Delayed
                | LaunchRefused::NoToken,
            ) => {
                waiting.launch = 0;
                return Err(None);
            }
        };
        let Some(task_id) = instance.task() else {
            return Err(None);
        };
        offer.take(&matched);
        Ok(task_info(&task::Launch {
            app: &app,
            task_id: &task_id,
            matched: &matched,
            enforce_role: self.root.enforces_role(&app.id),
            settings: &self.settings.task,
        }))
    }

    fn new_instance_id(&mut self, app: &PathId) -> InstanceId {
        let uuid: Uuid = self.random.uuid();
        InstanceId::new(app, uuid)
    }

    fn note_unused(&mut self, now: Now, app: &PathId, offer: &Arc<v1::Offer>, refusal: &Refusal) {
        let unused = UnusedOffer {
            offer: offer.clone(),
            reasons: refusal.reasons(),
            timestamp: stamp(now),
        };
        self.engine.offer_unused(app, unused);
    }
}

/// Where the instances of apps with constraints are, counted as constraints count.
#[derive(Debug, Default)]
pub(super) struct Placements {
    apps: BTreeMap<PathId, Placement>,
}

#[derive(Debug)]
struct Placement {
    /// Instances of older configurations do not count.
    config: Timestamp,
    spread: Spread,
    counted: BTreeSet<InstanceId>,
}

impl Placements {
    /// How the instances of an app are spread; none when its constraints do not ask.
    pub(super) fn spread(&self, app: &PathId) -> Option<&Spread> {
        self.apps.get(app).map(|placement| &placement.spread)
    }

    /// An app is new, or has another definition.
    pub(super) fn set_app(&mut self, app: &App, instances: &OrdMap<InstanceId, Arc<Instance>>) {
        if app.constraints.is_empty() {
            self.apps.remove(&app.id);
            return;
        }
        let config = config_version(app);
        let is_known = self.apps.get(&app.id).is_some_and(|it| it.config == config);
        if is_known {
            return;
        }
        let mut placement = Placement {
            config,
            spread: Spread::new(&app.constraints),
            counted: BTreeSet::new(),
        };
        for instance in instances.values() {
            placement.count(None, Some(instance));
        }
        self.apps.insert(app.id.clone(), placement);
    }

    /// An app is gone.
    pub(super) fn forget(&mut self, app: &PathId) {
        self.apps.remove(app);
    }

    /// An instance came, went, or changed.
    pub(super) fn changed(
        &mut self,
        before: Option<&Arc<Instance>>,
        after: Option<&Arc<Instance>>,
    ) {
        let Some(instance) = after.or(before) else {
            return;
        };
        if let Some(placement) = self.apps.get_mut(&instance.app) {
            placement.count(before, after);
        }
    }

    /// Whether counting all instances anew gives the same.
    pub(super) fn sanity_check(&self, views: &OrdMap<PathId, AppView>) -> Result<(), String> {
        for (app, placement) in &self.apps {
            let instances = views.get(app).map(|view| &view.instances);
            let counting = instances.into_iter().flat_map(OrdMap::values);
            let counting = counting.filter(|instance| placement.counts(instance));
            let counting: BTreeSet<InstanceId> = counting.map(|it| it.id.clone()).collect();
            if counting != placement.counted {
                return Err(format!("{app}: {counting:?} count, not {placement:?}"));
            }
        }
        Ok(())
    }
}

impl Placement {
    fn counts(&self, instance: &Instance) -> bool {
        instance.version >= self.config && instance.has_task()
    }

    fn count(&mut self, before: Option<&Arc<Instance>>, after: Option<&Arc<Instance>>) {
        if let Some(before) = before
            && self.counted.remove(&before.id)
        {
            self.spread.remove(&before.place);
        }
        if let Some(after) = after
            && self.counts(after)
        {
            self.spread.add(&after.place);
            self.counted.insert(after.id.clone());
        }
    }
}
