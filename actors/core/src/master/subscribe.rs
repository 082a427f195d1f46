//! SUBSCRIBE: new frameworks, frameworks that come back, and their failover to a new stream.
//! The rules a FrameworkInfo must keep are `validation`'s.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use tepui_protocol::v1::FrameworkInfo;
use tepui_protocol::v1::scheduler::call::{Subscribe, Type};

use super::messages::{Effect, StreamId};
use super::model::{Framework, FrameworkState, Phase, TaskCounts};
use super::{Deadline, Master, call, events, to_allocator};
use crate::allocator::messages::{Command, FrameworkFacts};
use crate::ids::{FrameworkId, Role};
use crate::time::{Now, Wall};
use crate::validation::constraints::OfferConstraintsFilter;
use crate::validation::framework::{self as rules, Subscription, SubscriptionOptions};
use crate::validation::{normalise, re2};

impl Master {
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        stream: StreamId,
        mut subscribe: Subscribe,
        principal: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        if self.phase == Phase::Recovering {
            return refuse(stream, call::NOT_RECOVERED.to_string(), out);
        }
        let info = &mut subscribe.framework_info;
        let id = info.id.as_ref().filter(|id| !id.value.is_empty());
        let id = id.map(FrameworkId::from);
        match id {
            None => self.counters.messages_register_framework += 1,
            Some(_) => self.counters.messages_reregister_framework += 1,
        }
        let completed = id
            .as_ref()
            .is_some_and(|id| self.completed_ids.contains(id));
        let wanted = match rules::subscription(
            info,
            &subscribe.suppressed_roles,
            subscribe.offer_constraints.as_ref(),
            &self.subscription_options(completed),
        ) {
            Ok(wanted) => wanted,
            Err(error) => return refuse(stream, error, out),
        };
        normalise::principal(info, principal.as_deref());
        let known = id.as_ref().and_then(|id| self.frameworks.get(id));
        if let Some(Err(error)) = known.map(|old| rules::resubscription(&old.info, info)) {
            return refuse(stream, error, out);
        }
        match (id, known.is_some()) {
            (Some(id), true) => self.resubscribe(now, &id, stream, subscribe, wanted, out),
            (id, _) => self.add_framework(now, id, stream, subscribe, wanted, out),
        }
    }

    pub(super) fn subscription_options(&self, completed: bool) -> SubscriptionOptions<'_> {
        SubscriptionOptions {
            role_whitelist: self.settings.roles.as_ref(),
            root_submissions: self.settings.root_submissions,
            completed,
            constraint_limits: re2::Limits {
                max_mem_bytes: self.settings.offer_constraints_re2_max_mem,
                max_program_size: self.settings.offer_constraints_re2_max_program_size,
            },
        }
    }

    /// Adds a framework that is new, or that names an id of which nothing is known.
    fn add_framework(
        &mut self,
        now: Now,
        id: Option<FrameworkId>,
        stream: StreamId,
        mut subscribe: Subscribe,
        wanted: Subscription,
        out: &mut Vec<Effect>,
    ) {
        let comes_back = id.is_some();
        let id = id.unwrap_or_else(|| self.new_framework_id());
        subscribe.framework_info.id = Some(id.to_v1());
        let generation = self.new_generation();
        let mut framework = blank(&id, subscribe.framework_info, wanted.roles, now.wall);
        framework.suppressed = wanted.suppressed.into_iter().collect();
        framework.constraints = subscribe.offer_constraints.map(Arc::new);
        framework.generation = generation;
        framework.state = FrameworkState::Active(stream.clone());
        framework.reregistered_time = comes_back.then_some(now.wall);
        let facts = facts_of(&framework, wanted.constraints);
        framework.counters.calls.count(Type::Subscribe as i32);
        self.frameworks.insert(id.clone(), Arc::new(framework));
        self.adopt_orphans(&id);
        self.streams.insert(stream, id.clone());
        self.send(&id, events::subscribed(&id, &self.info), out);
        self.tell_framework_added(&id, out);
        out.push(to_allocator(Command::AddFramework {
            id,
            generation,
            facts,
            used: Vec::new(),
            active: true,
        }));
    }

    /// A framework known from an earlier subscription, or from an agent that runs its tasks.
    fn resubscribe(
        &mut self,
        now: Now,
        id: &FrameworkId,
        stream: StreamId,
        subscribe: Subscribe,
        wanted: Subscription,
        out: &mut Vec<Effect>,
    ) {
        self.end_old_stream(id, out);
        for offer in self.offers_of_framework(id) {
            self.discard_offer(&offer, None, out);
        }
        self.end_inverse_offers_to(id, out);
        self.deadlines.clear(&Deadline::Framework(id.clone()));
        let generation = self.new_generation();
        let Some(framework) = self.framework_mut(id) else {
            return;
        };
        let was_recovered = framework.state == FrameworkState::Recovered;
        framework.state = FrameworkState::Active(stream.clone());
        framework.generation = generation;
        framework.reregistered_time = Some(now.wall);
        framework.unregistered_time = None;
        if was_recovered {
            framework.registered_time = now.wall;
        }
        let facts = replace_info(framework, subscribe, wanted);
        framework.counters.calls.count(Type::Subscribe as i32);
        self.streams.insert(stream, id.clone());
        out.push(to_allocator(Command::UpdateFramework {
            id: id.clone(),
            facts,
        }));
        out.push(to_allocator(Command::ActivateFramework {
            id: id.clone(),
            generation,
        }));
        self.send(id, events::subscribed(id, &self.info), out);
        self.tell_framework_updated(id, out);
        self.tell_agents_of_framework(id, out);
    }

    /// The latest subscription wins: the one before is told so, and ended.
    fn end_old_stream(&mut self, id: &FrameworkId, out: &mut Vec<Effect>) {
        let Some(old) = self.frameworks.get(id).and_then(|f| f.stream()).cloned() else {
            return;
        };
        self.send(id, events::error("Framework failed over"), out);
        self.forget_stream(&old);
        out.push(Effect::CloseStream(old));
    }

    /// Adds a framework that is known only from an agent that re-registered with its tasks.
    pub(super) fn recover_framework(
        &mut self,
        now: Now,
        info: FrameworkInfo,
        out: &mut Vec<Effect>,
    ) {
        let Some(id) = info.id.as_ref().map(FrameworkId::from) else {
            return;
        };
        let roles = rules::roles_of(&info).into_iter().map(Role::from).collect();
        let generation = self.new_generation();
        let mut framework = blank(&id, info, roles, now.wall);
        framework.generation = generation;
        let facts = facts_of(&framework, None);
        self.frameworks.insert(id.clone(), Arc::new(framework));
        self.tell_framework_added(&id, out);
        self.adopt_orphans(&id);
        out.push(to_allocator(Command::AddFramework {
            id,
            generation,
            facts,
            used: Vec::new(),
            active: false,
        }));
    }

    fn new_framework_id(&mut self) -> FrameworkId {
        let number = self.next_framework;
        self.next_framework += 1;
        FrameworkId::new(format!("{}-{number:04}", self.info.id))
    }
}

fn refuse(stream: StreamId, error: String, out: &mut Vec<Effect>) {
    let event = Box::new(events::error(error));
    out.push(Effect::ToFramework(stream.clone(), event));
    out.push(Effect::CloseStream(stream));
}

/// Replaces what a framework says of itself, and tells what the allocator must know of that.
///
/// The framework's id and state stay.
pub(super) fn replace_info(
    framework: &mut Framework,
    subscribe: Subscribe,
    wanted: Subscription,
) -> FrameworkFacts {
    framework.info = Arc::new(subscribe.framework_info);
    framework.roles = wanted.roles;
    framework.suppressed = wanted.suppressed.into_iter().collect();
    framework.constraints = subscribe.offer_constraints.map(Arc::new);
    facts_of(framework, wanted.constraints)
}

/// What the allocator must know of a framework; the filter is its constraints compiled.
fn facts_of(
    framework: &Framework,
    constraints: Option<Arc<OfferConstraintsFilter>>,
) -> FrameworkFacts {
    FrameworkFacts {
        info: framework.info.clone(),
        roles: framework.roles.clone(),
        suppressed: framework.suppressed.iter().cloned().collect(),
        constraints,
    }
}

fn blank(id: &FrameworkId, info: FrameworkInfo, roles: Vec<Role>, at: Wall) -> Framework {
    Framework {
        id: id.clone(),
        info: Arc::new(info),
        roles,
        suppressed: OrdSet::new(),
        constraints: None,
        generation: 0,
        state: FrameworkState::Recovered,
        tasks: OrdMap::new(),
        task_counts: TaskCounts::default(),
        unreachable_tasks: OrdMap::new(),
        completed_tasks: Vector::new(),
        executors: OrdMap::new(),
        operations: OrdMap::new(),
        operation_ids: OrdMap::new(),
        offers: OrdSet::new(),
        registered_time: at,
        reregistered_time: None,
        unregistered_time: None,
        counters: Arc::default(),
    }
}
