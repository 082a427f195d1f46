//! A look at what is offered, for dry runs: offers are asked for although nothing waits for them.
//! Places nothing; what is seen is given to whoever asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tepui_protocol::marathon::{ActionKind, DeploymentPlan, PathId, Timestamp};

use super::messages::{Answer, DryRun, Effect, Token};
use super::placing::{Placing, Wanted};
use super::{Manager, stamp};
use crate::ids::{AgentId, Role};
use crate::marathon::constraint::Spread;
use crate::marathon::engine;
use crate::marathon::group::RootGroup;
use crate::marathon::matching::OpenOffer;
use crate::time::{Mono, Now};

/// How long offers are waited for.
const LONGEST: Duration = Duration::from_secs(1);

/// After offers have come, others may follow within this time.
const SETTLE: Duration = Duration::from_millis(100);

/// What was seen is still good after this time.
const FRESH: Duration = Duration::from_secs(2);

/// So many agents' offers are remembered at most.
const MAX_OFFERS: usize = 50_000;

/// So many dry runs wait at most; others are answered with what was seen last.
const MAX_PENDING: usize = 1_000;

/// What is offered, and who waits to know it.
#[derive(Debug, Default)]
pub(super) struct Look {
    pending: Vec<(Token, DryRun)>,
    /// When those who wait are answered.
    due: Option<Mono>,
    ended: Option<Mono>,
    /// The latest offer of each agent to each role, without what was launched on it.
    seen: BTreeMap<(AgentId, Option<Role>), (Arc<OpenOffer>, Timestamp)>,
}

impl Look {
    /// When the manager is to be told the time.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.due
    }

    /// Notes what is left of an offer.
    pub(super) fn note(&mut self, now: Now, offer: OpenOffer) {
        if self.due.is_none() || self.seen.len() >= MAX_OFFERS {
            return;
        }
        let key = (offer.agent_id.clone(), offer.role.clone());
        self.seen.insert(key, (Arc::new(offer), stamp(now)));
        let settled = now.mono + SETTLE;
        self.due = self.due.map(|due| due.min(settled));
    }

    fn is_fresh(&self, now: Now) -> bool {
        let ended = self.ended;
        ended.is_some_and(|ended| now.mono < ended + FRESH)
    }
}

impl Manager {
    /// Answers a dry run, or has it wait until offers have been looked at.
    pub(super) fn show_places(
        &mut self,
        now: Now,
        token: Token,
        plan: DeploymentPlan,
        root: &RootGroup,
        out: &mut Vec<Effect>,
    ) {
        let placing = self.placing(&plan, root);
        let placing = (!placing.apps.is_empty()).then_some(placing);
        let mut run = DryRun { plan, placing };
        let wanted = run.placing.iter().flat_map(|placing| &placing.apps);
        let roles: BTreeSet<Role> = wanted
            .filter_map(|it| self.roles.get(it.app.role.as_str()).cloned())
            .collect();
        let is_known = self.look.due.is_none() && self.look.is_fresh(now);
        if run.placing.is_none() || is_known || self.look.pending.len() >= MAX_PENDING {
            self.put_offers(&mut run);
            out.push(Effect::Reply(token, Answer::Plan(Box::new(run))));
            return;
        }
        let until = now.mono + LONGEST;
        let mut wanted: Vec<engine::Effect> = Vec::new();
        let mut is_looking = false;
        for role in roles {
            is_looking |= self.engine.look(&role, until, now, &mut wanted);
        }
        self.perform(&mut wanted, out);
        if !is_looking {
            self.put_offers(&mut run);
            out.push(Effect::Reply(token, Answer::Plan(Box::new(run))));
            return;
        }
        if self.look.due.is_none() {
            self.look.seen.clear();
            self.look.due = Some(until);
        }
        self.look.pending.push((token, run));
    }

    /// Answers those who wait, if it is time.
    pub(super) fn end_look(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.look.due.is_none_or(|due| now.mono < due) {
            return;
        }
        self.look.due = None;
        self.look.ended = Some(now.mono);
        for (token, mut run) in std::mem::take(&mut self.look.pending) {
            self.put_offers(&mut run);
            out.push(Effect::Reply(token, Answer::Plan(Box::new(run))));
        }
    }

    fn put_offers(&self, run: &mut DryRun) {
        let Some(placing) = &mut run.placing else {
            return;
        };
        let seen = self.look.seen.values();
        placing.offers = seen.clone().map(|(offer, _)| offer.clone()).collect();
        placing.as_of = seen.map(|(_, at)| *at).min();
        placing.note = self.note_on(placing);
    }

    /// Why what is offered may not tell all.
    fn note_on(&self, placing: &Placing) -> Option<&'static str> {
        let mut apps = placing.apps.iter();
        let is_new = |it: &Wanted| !self.roles.contains(it.app.role.as_str());
        if !self.engine.is_connected() {
            return Some(
                "there is no connection to the master, so nothing is known of what is free",
            );
        }
        if apps.any(is_new) {
            return Some(
                "this framework does not have every one of the apps' roles yet; what is offered \
                 to a new role is not known before",
            );
        }
        placing.offers.is_empty().then_some(
            "no offers came within a second: nothing is free, or others are being offered it",
        )
    }

    fn placing(&self, plan: &DeploymentPlan, root: &RootGroup) -> Placing {
        let actions = plan.steps.iter().flat_map(|step| &step.actions);
        let mut apps = Vec::new();
        for action in actions {
            let app = action.app.as_ref();
            if let Some(wanted) = app.and_then(|app| self.wanted(action.action, app, root)) {
                apps.push(wanted);
            }
        }
        Placing {
            offers: Vec::new(),
            as_of: None,
            note: None,
            apps,
            matching: self.settings.matching.clone(),
            most_per_offer: self.settings.max_instances_per_offer,
        }
    }

    /// What an action launches; none if it is nothing.
    fn wanted(&self, action: ActionKind, id: &PathId, root: &RootGroup) -> Option<Wanted> {
        let app = root.app(id)?;
        let instances = self.views.get(id).map(|view| &view.instances);
        let instances = instances.into_iter().flat_map(imbl::OrdMap::values);
        let stay = instances.filter(|it| it.counts() && it.has_task()).count();
        let stay = u32::try_from(stay).unwrap_or(u32::MAX);
        let (launch, replace, spread) = match action {
            ActionKind::ScaleApplication => {
                let spread = self.placements.spread(id).cloned();
                (app.instances.saturating_sub(stay), 0, spread)
            }
            ActionKind::RestartApplication => (app.instances, stay, None),
            ActionKind::StartApplication
            | ActionKind::StopApplication
            | ActionKind::StartPod
            | ActionKind::StopPod
            | ActionKind::ScalePod
            | ActionKind::RestartPod => return None,
        };
        (launch > 0).then(|| Wanted {
            app: app.clone(),
            launch,
            replace,
            spread: spread.unwrap_or_else(|| Spread::new(&app.constraints)),
        })
    }
}
