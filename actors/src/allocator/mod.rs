//! The allocator's actor: applies the master's commands and runs the allocator soon afterwards.
//! Decides nothing; who gets what is decided in `tepui_core::allocator`.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use tepui_core::allocator::AllocatorFigures;
use tepui_core::allocator::messages::{Command, Notice, Proposals};
use tepui_core::allocator::reasons::Explanation;
use tepui_core::ids::{FrameworkId, Role};
use tepui_core::master::messages::Input;
use tepui_core::time::{Mono, Now};

use crate::clock::Clock;
use crate::master::MasterMailbox;
use crate::metrics::AllocatorMetrics;

/// Proposals that the master is given at a time. While it makes offers of those, the ones before
/// are on their way to their frameworks.
const MAX_PROPOSED: usize = 1_000;

/// Time from the first change to the run that takes it into account. Changes that arrive
/// together, such as the ends of many tasks, share one run.
pub const DEBOUNCE: Duration = Duration::from_millis(2);

/// Longest time that the end of a filter may wait for others to share its run.
pub const FILTER_SLACK: Duration = Duration::from_millis(50);

/// A run is followed by a rest of so many times its length, so that a cluster in which every
/// change concerns thousands of agents does not keep a whole core busy. Runs that concern a few
/// agents take microseconds, and so does the rest.
pub const REST_FACTOR: u32 = 4;

/// Publishing the core's figures takes time in proportion to roles and frameworks, and is followed by
/// so many times that time without.
const FIGURES_REST_FACTOR: u32 = 50;

/// The decisions behind the actor.
pub trait AllocatorCore: Send {
    /// Takes a change into account.
    fn apply(&mut self, now: Now, command: Command) -> Option<Notice>;
    /// Sets resources aside for frameworks.
    fn allocate(&mut self, now: Now) -> Proposals;
    /// Whether a run could propose anything now.
    fn wants_run(&self) -> bool;
    /// When something that only time changes, the end of a filter, makes a run due.
    fn next_deadline(&self) -> Option<Mono>;
    /// Figures for metrics.
    fn figures(&self) -> AllocatorFigures;
    /// Why agents are not offered to a framework in a role; none for an unknown framework.
    fn explain(&self, framework: &FrameworkId, role: &Role) -> Option<Vec<Explanation>>;
}

/// Changes, in the order the master made them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Commands(pub Vec<Command>);

/// Asks why agents are not offered to a framework in a role; the answer is none for an unknown
/// framework. Takes time in proportion to the number of agents.
#[derive(Debug, Message)]
#[rtype(result = "Option<Vec<Explanation>>")]
pub struct Explain {
    /// The framework.
    pub framework: FrameworkId,
    /// The role.
    pub role: Role,
}

/// The allocator's actor. It runs soon after a change and when a filter ends, which is always
/// before `--allocation_interval` is over; when nothing happens it does nothing at all.
pub struct AllocatorActor {
    core: Box<dyn AllocatorCore>,
    clock: Clock,
    /// Longest time to wait with a run, whatever else says.
    interval: Duration,
    master: MasterMailbox,
    metrics: Arc<AllocatorMetrics>,
    /// The armed timer, and when it fires.
    timer: Option<(Mono, SpawnHandle)>,
    /// When the oldest change that no run has seen arrived.
    changed: Option<Mono>,
    /// No run before that.
    rests_until: Mono,
    /// Figures are not published before that.
    figures_rest_until: Mono,
    /// Whether a timer is armed that publishes them again.
    figures_due: bool,
}

impl AllocatorActor {
    /// An actor that runs the given core at the latest `interval` after a run became due.
    pub fn new(
        core: Box<dyn AllocatorCore>,
        clock: Clock,
        interval: Duration,
        master: MasterMailbox,
        metrics: Arc<AllocatorMetrics>,
    ) -> Self {
        AllocatorActor {
            core,
            clock,
            interval,
            master,
            metrics,
            timer: None,
            changed: None,
            rests_until: Mono::default(),
            figures_rest_until: Mono::default(),
            figures_due: false,
        }
    }

    /// One timer: soon after a change, else soon after the next end of a filter.
    fn arm_timer(&mut self, ctx: &mut Context<Self>, now: Mono) {
        let changed = self
            .changed
            .map(|changed| changed + DEBOUNCE.min(self.interval));
        let filter = self
            .core
            .next_deadline()
            .map(|end| end + FILTER_SLACK.min(self.interval));
        let Some(due) = [changed, filter].into_iter().flatten().min() else {
            return;
        };
        let due = due.max(self.rests_until);
        if let Some((armed, handle)) = &self.timer {
            if *armed <= due {
                return;
            }
            ctx.cancel_future(*handle);
        }
        let handle = ctx.run_later(due.since(now), |actor, ctx| {
            actor.timer = None;
            actor.run(ctx);
        });
        self.timer = Some((due, handle));
    }

    fn run(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let changed = self.changed.take();
        let proposals = self.core.allocate(now);
        let end = self.clock.now().mono;
        self.rests_until = end + rest_after(end.since(now.mono), self.interval);
        self.metrics.runs.fetch_add(1, Ordering::Relaxed);
        self.metrics.run.record(end, end.since(now.mono));
        if let Some(changed) = changed {
            self.metrics.latency.record(end, now.mono.since(changed));
        }
        let mut offers = proposals.offers.into_iter();
        while offers.len() > 0 {
            let some = offers.by_ref().take(MAX_PROPOSED).collect();
            self.master.input(Input::Proposed(some));
        }
        if !proposals.inverse_offers.is_empty() {
            self.master
                .input(Input::ProposedInverse(proposals.inverse_offers));
        }
        self.arm_timer(ctx, end);
        self.publish_figures_soon(ctx, end);
    }

    /// Something has changed: whoever reads figures finds it soon.
    fn publish_figures_soon(&mut self, ctx: &mut Context<Self>, now: Mono) {
        if self.figures_due {
            return;
        }
        if now >= self.figures_rest_until {
            return self.publish_figures();
        }
        self.figures_due = true;
        ctx.run_later(self.figures_rest_until.since(now), |actor, _ctx| {
            actor.figures_due = false;
            actor.publish_figures();
        });
    }

    fn publish_figures(&mut self) {
        let start = self.clock.now().mono;
        self.metrics.figures.store(Arc::new(self.core.figures()));
        let end = self.clock.now().mono;
        let rest = end.since(start).saturating_mul(FIGURES_REST_FACTOR);
        self.figures_rest_until = end + rest;
    }
}

/// How long to rest after a run of this length: never longer than Mesos waits in any case.
fn rest_after(run: Duration, interval: Duration) -> Duration {
    run.saturating_mul(REST_FACTOR).min(interval)
}

impl Actor for AllocatorActor {
    type Context = Context<Self>;

    fn started(&mut self, _ctx: &mut Context<Self>) {
        self.publish_figures();
    }
}

impl Handler<Commands> for AllocatorActor {
    type Result = ();

    fn handle(&mut self, Commands(commands): Commands, ctx: &mut Context<Self>) {
        self.metrics.dispatches.remove(1);
        let now = self.clock.now();
        for command in commands {
            match self.core.apply(now, command) {
                Some(Notice::Transformed { token, result }) => {
                    self.master.input(Input::Transformed { token, result });
                }
                None => {}
            }
        }
        if self.core.wants_run() && self.changed.is_none() {
            self.changed = Some(now.mono);
        }
        self.arm_timer(ctx, now.mono);
        self.publish_figures_soon(ctx, now.mono);
    }
}

impl Handler<Explain> for AllocatorActor {
    type Result = MessageResult<Explain>;

    fn handle(&mut self, asked: Explain, _ctx: &mut Context<Self>) -> MessageResult<Explain> {
        MessageResult(self.core.explain(&asked.framework, &asked.role))
    }
}
