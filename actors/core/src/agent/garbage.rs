//! Which directories of sandboxes nobody needs any more, and when each of them may go.
//! Removes nothing itself, and looks at no disk.

use std::time::Duration;

use super::messages::Effect;
use super::timers::Timers;
use super::{Agent, paths};
use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId};
use crate::time::{Mono, Now};

/// Directories that may wait for their removal. With more of them, those go first that would go
/// first.
pub const MAX_GARBAGE: usize = 500_000;

/// How long sandboxes outlive what ran in them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GarbageSettings {
    /// Longest time after the end.
    pub delay: Duration,
    /// Share of the disk, from 0 to 1, that is to stay free: the fuller it is, the shorter the time.
    pub disk_headroom: f64,
    /// Whether this holds for containers that were launched by calls, too; else their sandboxes stay
    /// until a call removes them, or those around them go.
    pub containers: bool,
}

/// A directory with sandboxes, named by whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// One run of an executor: a sandbox.
    Run(AgentId, FrameworkId, ExecutorId, ContainerId),
    /// All runs of an executor.
    Executor(AgentId, FrameworkId, ExecutorId),
    /// All executors of a framework.
    Framework(AgentId, FrameworkId),
    /// Everything of an agent id.
    Agent(AgentId),
}

impl Place {
    /// Its path.
    pub fn path(&self, work_dir: &str) -> String {
        match self {
            Place::Run(agent, framework, executor, run) => {
                paths::run(work_dir, agent, framework, executor, run)
            }
            Place::Executor(agent, framework, executor) => {
                paths::executor_dir(work_dir, agent, framework, executor)
            }
            Place::Framework(agent, framework) => paths::framework_dir(work_dir, agent, framework),
            Place::Agent(agent) => paths::agent_dir(work_dir, agent),
        }
    }
}

/// What became of directories that were to be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removals {
    /// Those that are gone now.
    pub succeeded: u64,
    /// Those of which something is left.
    pub failed: u64,
    /// Those that were not there.
    pub missing: u64,
}

/// Counts of removals since the agent started, for its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GarbageFigures {
    /// Directories that were removed.
    pub succeeded: u64,
    /// Directories of which something could not be removed.
    pub failed: u64,
    /// Directories that will be removed.
    pub pending: u64,
    /// The age that a sandbox may have on a disk as full as it was last; zero before it was looked
    /// at.
    pub allowed_age: Duration,
}

/// All that waits for its removal. (Mesos: `GarbageCollector`.)
#[derive(Debug)]
pub(super) struct Garbage {
    /// None where there is no disk with sandboxes.
    settings: Option<GarbageSettings>,
    deadlines: Timers<Place>,
    /// Of containers that were launched by calls.
    containers: Timers<ContainerId>,
    /// What has ended just now.
    ended: Vec<Place>,
    ended_containers: Vec<ContainerId>,
    /// How much earlier all goes, this once.
    early: Duration,
    allowed_age: Duration,
    /// How many are being removed.
    removing: u64,
    done: Removals,
}

impl Garbage {
    pub(super) fn new(settings: Option<GarbageSettings>) -> Self {
        Garbage {
            settings,
            deadlines: Timers::new(),
            containers: Timers::new(),
            ended: Vec::new(),
            ended_containers: Vec::new(),
            early: Duration::ZERO,
            allowed_age: Duration::ZERO,
            removing: 0,
            done: Removals::default(),
        }
    }

    /// What it was for has ended.
    pub(super) fn ended(&mut self, place: Place) {
        if self.settings.is_some() {
            self.ended.push(place);
        }
    }

    /// A container that was launched by a call has ended.
    pub(super) fn container_ended(&mut self, id: &ContainerId) {
        if self.settings.is_some_and(|settings| settings.containers) {
            self.ended_containers.push(id.clone());
        }
    }

    /// What ended in an earlier process: the disk tells how long ago.
    pub(super) fn leave_to_the_disk(&mut self) {
        self.ended.clear();
    }

    /// It is used again.
    pub(super) fn cancel(&mut self, place: &Place) {
        self.deadlines.cancel(place);
        self.ended.retain(|ended| ended != place);
    }

    /// Something of this age was found on disk. What is scheduled already stays as it is.
    fn found(&mut self, now: Now, place: Place, age: Duration) {
        if let Some(settings) = self.settings
            && !self.deadlines.has(&place)
        {
            let delay = settings.delay.saturating_sub(age);
            self.deadlines.set(place, now.mono + delay);
        }
    }

    /// The disk is used to this share, from 0 to 1: what is older than may be then goes.
    /// (Mesos: `Slave::_checkDiskUsage`.)
    fn disk_is_used(&mut self, share: f64) {
        let Some(settings) = self.settings else {
            return;
        };
        let factor = (1.0 - settings.disk_headroom - share).clamp(0.0, 1.0);
        let allowed = settings.delay.mul_f64(factor);
        self.allowed_age = allowed;
        self.early = settings.delay.saturating_sub(allowed);
    }

    /// Takes all that is to be removed now.
    fn take_due(&mut self, now: Now) -> Vec<Place> {
        if let Some(settings) = self.settings {
            for place in std::mem::take(&mut self.ended) {
                self.deadlines.set(place, now.mono + settings.delay);
            }
        }
        let mut due = Vec::new();
        // A full disk is a matter of this moment only.
        let limit = now.mono + std::mem::take(&mut self.early);
        while let Some(place) = self.deadlines.pop_due(limit) {
            due.push(place);
        }
        while self.deadlines.len() > MAX_GARBAGE {
            due.extend(self.deadlines.pop_due(Mono(u64::MAX)));
        }
        self.removing += due.len() as u64;
        due
    }

    /// Takes all containers whose sandboxes are to be removed now; before [`Self::take_due`].
    fn take_due_containers(&mut self, now: Now) -> Vec<ContainerId> {
        if let Some(settings) = self.settings {
            for id in std::mem::take(&mut self.ended_containers) {
                self.containers.set(id, now.mono + settings.delay);
            }
        }
        let limit = now.mono + self.early;
        std::iter::from_fn(|| self.containers.pop_due(limit)).collect()
    }

    fn removed(&mut self, removals: Removals) {
        let Removals {
            succeeded,
            failed,
            missing,
        } = removals;
        self.done.succeeded += succeeded;
        self.done.failed += failed;
        self.removing = self.removing.saturating_sub(succeeded + failed + missing);
    }

    pub(super) fn next(&self) -> Option<Mono> {
        let all = [self.deadlines.next(), self.containers.next()];
        all.into_iter().flatten().min()
    }

    pub(super) fn figures(&self) -> GarbageFigures {
        GarbageFigures {
            succeeded: self.done.succeeded,
            failed: self.done.failed,
            pending: (self.deadlines.len() + self.containers.len()) as u64 + self.removing,
            allowed_age: self.allowed_age,
        }
    }
}

impl Agent {
    /// Takes what was found on disk when the agent started; what is in use stays.
    pub(super) fn sandboxes_found(&mut self, now: Now, found: Vec<(Place, Duration)>) {
        for (place, age) in found {
            if !self.is_used(&place) {
                self.garbage.found(now, place, age);
            }
        }
        // How long ago these have ended, nobody has written down.
        let ended = self.nested.all().iter().filter(|(_, one)| one.has_ended());
        for (id, _) in ended {
            self.garbage.container_ended(id);
        }
    }

    fn is_used(&self, place: &Place) -> bool {
        let own = |agent| self.agent_id.as_ref() == Some(agent);
        match place {
            Place::Agent(agent) => own(agent),
            Place::Framework(agent, framework) => {
                own(agent) && self.frameworks.contains_key(framework)
            }
            Place::Executor(agent, framework, executor) => {
                own(agent) && self.executor(framework, executor).is_some()
            }
            Place::Run(agent, framework, executor, run) => {
                let known = self.executor(framework, executor);
                own(agent) && known.is_some_and(|known| known.container == *run)
            }
        }
    }

    pub(super) fn disk_is_used(&mut self, share: f64) {
        self.garbage.disk_is_used(share);
    }

    pub(super) fn sandboxes_removed(&mut self, removals: Removals) {
        self.garbage.removed(removals);
    }

    /// An executor's run has ended, and nothing of it is left to do.
    pub(super) fn executor_is_garbage(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        run: &ContainerId,
    ) {
        let Some(agent) = self.agent_id.clone() else {
            return;
        };
        let (framework, executor) = (framework.clone(), executor.clone());
        let all = Place::Executor(agent.clone(), framework.clone(), executor.clone());
        self.garbage
            .ended(Place::Run(agent, framework, executor, run.clone()));
        self.garbage.ended(all);
    }

    pub(super) fn framework_is_garbage(&mut self, framework: &FrameworkId) {
        if let Some(agent) = self.agent_id.clone() {
            self.garbage
                .ended(Place::Framework(agent, framework.clone()));
        }
    }

    /// A framework comes again.
    pub(super) fn keep_framework(&mut self, framework: &FrameworkId) {
        if let Some(agent) = self.agent_id.clone() {
            self.garbage
                .cancel(&Place::Framework(agent, framework.clone()));
        }
    }

    /// An executor comes again; its earlier runs still go.
    pub(super) fn keep_executor(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        if let Some(agent) = self.agent_id.clone() {
            let all = Place::Executor(agent, framework.clone(), executor.clone());
            self.garbage.cancel(&all);
        }
    }

    /// Has all removed that is to go now.
    pub(super) fn collect_garbage(&mut self, now: Now, out: &mut Vec<Effect>) {
        for id in self.garbage.take_due_containers(now) {
            self.collect_nested(&id, out);
        }
        let due = self.garbage.take_due(now);
        if !due.is_empty() {
            out.push(Effect::Remove(due));
        }
    }
}
