//! Containers that are launched by calls of the operator API: in another container, or standing
//! alone. Starts no process and keeps no time; what the calls mean is in `calls`.
//!
//! They are known by one word: the ids of all containers they are in, and their own, with dots
//! between. One in another container ends with it, and is forgotten with the outermost one.

mod calls;
mod counts;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use tepui_protocol::journal::{self, Record};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::TaskState;
use tepui_protocol::v1::agent::call::LaunchContainer;
use tepui_protocol::v1::agent::response::WaitContainer;
use tepui_protocol::v1::{TaskResourceLimitation, task_status::Reason};

use counts::Counts;

use super::Agent;
use super::container_resources::ContainerResources;
use super::messages::{Answer, ConnectionId, Effect, Limitation, Token};
use super::model::Termination;
use crate::ids::ContainerId;
use crate::resources::Resources;

/// Containers within one outermost container that may run at a time, and containers that stand
/// alone.
/// An executor of groups may have 1024 members, each of which may have one for its check and one
/// for its health check.
pub const MAX_RUNNING: usize = 4096;

/// Containers within one outermost container whose end is remembered, and of those that stand
/// alone; the oldest are forgotten.
pub const MAX_ENDED: usize = 1024;

/// In how many containers one can be: the kernel nests no more pid namespaces.
pub const MAX_DEPTH: usize = 31;

/// Longest id with those of all outer containers, in bytes: it names a file.
pub const MAX_CHAIN_BYTES: usize = 250;

/// Callers that may wait for one container.
pub const MAX_WAITERS: usize = 64;

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Its process was ordered.
    Starting,
    /// It has a process.
    Running {
        /// The first one.
        pid: u32,
    },
    /// It has ended.
    Ended {
        /// How.
        how: Arc<WaitContainer>,
        /// Counts the ends of containers, to tell which came first.
        order: u64,
    },
}

/// A container that was launched by a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its id, with those of the containers it is in.
    pub id: ContainerId,
    /// What was asked for.
    pub launch: Arc<LaunchContainer>,
    /// Its sandbox.
    pub directory: String,
    /// Who it runs as, where that is not the agent's own user.
    pub user: Option<String>,
    /// Whether it outlives the agent: it stands alone, or what it is in does.
    pub is_recorded: bool,
    /// Where it is in its life.
    pub state: State,
    /// What it used too much of, if it is ended for that.
    limited: Option<Arc<Limitation>>,
    /// Whether it is being ended.
    is_ending: bool,
    /// Whether the outermost container has ended, so that nobody will ask for this one.
    is_abandoned: bool,
}

impl Container {
    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        match self.state {
            State::Running { pid } => Some(pid),
            State::Starting | State::Ended { .. } => None,
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    /// In which order it has ended, if it has.
    fn ended(&self) -> Option<u64> {
        match self.state {
            State::Ended { order, .. } => Some(order),
            State::Starting | State::Running { .. } => None,
        }
    }

    /// What it was given.
    pub fn given(&self) -> ContainerResources {
        given(&self.launch)
    }

    /// What of it must be recorded.
    pub(super) fn record(&self) -> journal::Container {
        journal::Container {
            launch: Pb((*self.launch).clone()),
            directory: self.directory.clone(),
            user: self.user.clone(),
            pid: self.pid(),
            ended: match &self.state {
                State::Ended { how, .. } => Some(Pb((**how).clone())),
                State::Starting | State::Running { .. } => None,
            },
        }
    }

    /// Whether it has limits of its own; else it has those of the container it is in.
    pub(super) fn has_own_limits(&self) -> bool {
        let shares = crate::validation::container::share_cgroups(self.launch.container.as_ref());
        self.id.depth() == 0 || shares == Some(false)
    }

    fn restored(id: ContainerId, record: journal::Container) -> Self {
        Container {
            id,
            launch: Arc::new(record.launch.0),
            directory: record.directory,
            user: record.user,
            is_recorded: true,
            state: match (record.ended, record.pid) {
                (Some(how), _) => State::Ended {
                    how: Arc::new(how.0),
                    order: 0,
                },
                (None, Some(pid)) => State::Running { pid },
                (None, None) => State::Starting,
            },
            limited: None,
            is_ending: false,
            is_abandoned: false,
        }
    }
}

/// All containers that were launched by calls, and who waits for what of them.
#[derive(Debug, Default)]
pub(super) struct Nested {
    containers: OrdMap<ContainerId, Arc<Container>>,
    /// Who waits for a launch, and who for an end.
    launches: BTreeMap<ContainerId, Token>,
    waiters: BTreeMap<ContainerId, Vec<(ConnectionId, Token)>>,
    /// What each connection waits for, to find it when it closes.
    waiting: BTreeMap<ConnectionId, ContainerId>,
    counts: Counts,
    /// What is not as it was recorded last, and whether it was recorded.
    touched: BTreeMap<ContainerId, bool>,
    /// Who waits for a sandbox to be removed.
    removals: BTreeMap<ContainerId, Vec<Token>>,
    ends: u64,
}

impl Nested {
    pub(super) fn get(&self, id: &ContainerId) -> Option<&Arc<Container>> {
        self.containers.get(id)
    }

    pub(super) fn all(&self) -> &OrdMap<ContainerId, Arc<Container>> {
        &self.containers
    }

    pub(super) fn any_runs(&self) -> bool {
        self.containers.values().any(|one| !one.has_ended())
    }

    /// Takes up what an earlier process has recorded.
    pub(super) fn restore(&mut self, records: BTreeMap<ContainerId, journal::Container>) {
        for (id, record) in records {
            let mut container = Container::restored(id.clone(), record);
            self.counts.begins(&id);
            if let State::Ended { order, .. } = &mut container.state {
                self.ends += 1;
                *order = self.ends;
                self.counts.ends(&id, *order);
            }
            self.containers.insert(id, Arc::new(container));
        }
    }

    /// What is to be recorded of all containers.
    pub(super) fn records(&self) -> Vec<Record> {
        let recorded = self.containers.values().filter(|one| one.is_recorded);
        recorded
            .map(|one| Record::Container(Box::new(one.record())))
            .collect()
    }

    /// What is to be recorded since this was asked last: it costs no more than what has changed.
    pub(super) fn changes(&mut self) -> Vec<Record> {
        let touched = std::mem::take(&mut self.touched);
        let (mut changes, mut gone) = (Vec::new(), Vec::new());
        for (id, was_recorded) in touched {
            match self.containers.get(&id) {
                Some(now) if now.is_recorded => {
                    changes.push(Record::Container(Box::new(now.record())));
                }
                _ if was_recorded => gone.push(Record::ContainerGone {
                    container: id.to_string(),
                }),
                _ => {}
            }
        }
        changes.append(&mut gone);
        changes
    }

    /// What is recorded of a container is about to change.
    fn touch(&mut self, id: &ContainerId) {
        let was_recorded = self.containers.get(id).is_some_and(|one| one.is_recorded);
        self.touched.entry(id.clone()).or_insert(was_recorded);
    }

    /// Takes in one that is launched, maybe in the place of one that has ended.
    fn insert(&mut self, container: Container) {
        let id = container.id.clone();
        self.remove(&id);
        self.touch(&id);
        self.counts.begins(&id);
        self.containers.insert(id, Arc::new(container));
    }

    fn remove(&mut self, id: &ContainerId) {
        self.touch(id);
        if let Some(container) = self.containers.remove(id) {
            self.counts.is_gone(id, container.ended());
        }
    }

    fn get_mut(&mut self, id: &ContainerId) -> Option<&mut Container> {
        self.containers.get_mut(id).map(Arc::make_mut)
    }

    /// The containers within one, innermost first.
    fn within(&self, outer: &ContainerId) -> Vec<ContainerId> {
        let from_there = self.containers.range(outer.clone()..);
        let near = from_there.take_while(|(id, _)| id.as_str().starts_with(outer.as_str()));
        let mut within: Vec<ContainerId> = near
            .map(|(id, _)| id)
            .filter(|id| id.is_within(outer))
            .cloned()
            .collect();
        within.sort_by_key(|id| std::cmp::Reverse(id.depth()));
        within
    }

    /// Takes out all who wait for a container.
    fn take_waiters(&mut self, id: &ContainerId) -> Vec<Token> {
        let waiters = self.waiters.remove(id).unwrap_or_default().into_iter();
        let tokens = waiters.map(|(connection, token)| {
            self.waiting.remove(&connection);
            token
        });
        tokens.collect()
    }

    /// The container of an executor has ended: those who wait are told.
    pub(super) fn executor_exited(
        &mut self,
        id: &ContainerId,
        status: Option<i32>,
        why: Option<&Termination>,
        out: &mut Vec<Effect>,
    ) {
        let how = WaitContainer {
            exit_status: status,
            state: why.map(|why| why.state as i32),
            reason: why.map(|why| why.reason as i32),
            message: why.map(|why| why.message.clone()),
            limitation: None,
        };
        for token in self.take_waiters(id) {
            let ended = Answer::Ended(Box::new(how.clone()));
            out.push(Effect::Reply(token, ended));
        }
    }

    /// An outermost container has ended, and nobody asks for what was in it any more.
    pub(super) fn root_is_gone(&mut self, root: &ContainerId, out: &mut Vec<Effect>) {
        for id in self.within(root) {
            let Some(container) = self.get_mut(&id) else {
                continue;
            };
            if container.has_ended() {
                self.forget(&id, out);
            } else {
                container.is_abandoned = true;
                out.push(Effect::Kill(id));
            }
        }
    }

    /// Kills all that stands alone, with what is in it.
    pub(super) fn end_all(&self, out: &mut Vec<Effect>) {
        let alone = self.containers.values().filter(|one| one.id.depth() == 0);
        let running = alone.filter(|one| !one.has_ended());
        out.extend(running.map(|one| Effect::Kill(one.id.clone())));
    }

    /// One that ran has ended; tells whether nobody will ask for it.
    fn end(&mut self, id: &ContainerId, how: Arc<WaitContainer>) -> Option<bool> {
        let runs = self.containers.get(id).filter(|one| !one.has_ended());
        runs?;
        self.touch(id);
        self.ends += 1;
        let order = self.ends;
        self.counts.ends(id, order);
        let container = self.get_mut(id)?;
        container.state = State::Ended { how, order };
        Some(container.is_abandoned)
    }

    fn forget(&mut self, id: &ContainerId, out: &mut Vec<Effect>) {
        self.remove(id);
        for token in self.take_waiters(id) {
            out.push(Effect::Reply(token, not_found(id)));
        }
        out.push(Effect::RemoveContainer(id.clone(), None));
    }

    /// Forgets the ends that are the oldest when there are too many beside this one.
    fn forget_oldest(&mut self, id: &ContainerId, out: &mut Vec<Effect>) {
        while let Some(oldest) = self.counts.oldest(id, MAX_ENDED) {
            self.forget(&oldest, out);
        }
    }

    /// Whoever waits under this number has left; it is used by no other caller.
    pub(super) fn caller_left(&mut self, connection: ConnectionId, out: &mut Vec<Effect>) {
        let Some(id) = self.waiting.remove(&connection) else {
            return;
        };
        let Some(waiters) = self.waiters.get_mut(&id) else {
            return;
        };
        waiters.retain(|(waiting, token)| {
            let stays = *waiting != connection;
            if !stays {
                // Nobody hears it; it only ends the wait.
                out.push(Effect::Reply(*token, not_found(&id)));
            }
            stays
        });
        if waiters.is_empty() {
            self.waiters.remove(&id);
        }
    }
}

/// What a container is given, which counts only if it shares no limits.
fn given(launch: &LaunchContainer) -> ContainerResources {
    let limits = launch.limits.iter();
    ContainerResources {
        requests: Resources::from_v1(&launch.resources).unwrap_or_default(),
        limits: limits
            .map(|(kind, limit)| (kind.clone(), limit.value))
            .collect(),
    }
}

fn not_found(id: &ContainerId) -> Answer {
    Answer::Refused(404, format!("Container {id} cannot be found"))
}

impl Agent {
    /// The process of a container runs, or could not be started.
    pub(super) fn nested_launched(
        &mut self,
        id: &ContainerId,
        result: Result<u32, String>,
        out: &mut Vec<Effect>,
    ) {
        let reply = self.nested.launches.remove(id);
        let limits = self.settings.isolation.limits;
        if self.nested.get(id).is_none() {
            return;
        }
        let answer = match result {
            Ok(pid) => {
                self.nested.touch(id);
                let Some(container) = self.nested.get_mut(id) else {
                    return;
                };
                container.state = State::Running { pid };
                // The isolators of an agent that has started again do not know it yet.
                if reply.is_none() && limits && container.has_own_limits() {
                    let given = Box::new(container.given());
                    out.push(Effect::UpdateContainer(id.clone(), given));
                }
                if container.is_ending || container.is_abandoned {
                    out.push(Effect::Kill(id.clone()));
                }
                Answer::Done
            }
            Err(why) => {
                tracing::warn!(container = %id, why, "a container could not be launched");
                let how = WaitContainer {
                    state: Some(TaskState::TaskFailed as i32),
                    reason: Some(Reason::ContainerLaunchFailed as i32),
                    message: Some(why.clone()),
                    ..WaitContainer::default()
                };
                self.counters.container_launch_errors += 1;
                self.nested_ended(id, how, out);
                Answer::Refused(400, why)
            }
        };
        out.extend(reply.map(|token| Effect::Reply(token, answer)));
    }

    /// A container used more than it may.
    pub(super) fn nested_limited(
        &mut self,
        id: &ContainerId,
        limitation: Limitation,
        out: &mut Vec<Effect>,
    ) {
        let Some(container) = self.nested.get_mut(id) else {
            return;
        };
        // Several may tell of one limit.
        if container.has_ended() || container.limited.is_some() {
            return;
        }
        tracing::warn!(
            container = %id, reason = limitation.reason.as_str_name(),
            "the container used more than it may; it is killed"
        );
        container.limited = Some(Arc::new(limitation));
        container.is_ending = true;
        out.push(Effect::Kill(id.clone()));
    }

    /// Nothing is left of a container's processes.
    pub(super) fn nested_exited(
        &mut self,
        id: &ContainerId,
        status: Option<i32>,
        out: &mut Vec<Effect>,
    ) {
        let Some(container) = self.nested.get(id) else {
            return;
        };
        let mut how = WaitContainer {
            exit_status: status,
            ..WaitContainer::default()
        };
        if let Some(limited) = &container.limited {
            how.state = Some(TaskState::TaskFailed as i32);
            how.reason = Some(limited.reason as i32);
            how.message = Some(limited.message.clone());
            how.limitation = (!limited.resources.is_empty()).then(|| TaskResourceLimitation {
                resources: limited.resources.clone(),
            });
        }
        self.nested_ended(id, how, out);
        // Its own end is not the end of those in it if an earlier run of the agent has left them.
        if id.depth() == 0 {
            self.nested.root_is_gone(id, out);
        }
    }

    fn nested_ended(&mut self, id: &ContainerId, how: WaitContainer, out: &mut Vec<Effect>) {
        let how = Arc::new(how);
        let Some(is_abandoned) = self.nested.end(id, how.clone()) else {
            return;
        };
        for token in self.nested.take_waiters(id) {
            let ended = Answer::Ended(Box::new((*how).clone()));
            out.push(Effect::Reply(token, ended));
        }
        match is_abandoned {
            true => self.nested.forget(id, out),
            false => {
                self.garbage.container_ended(id);
                self.nested.forget_oldest(id, out);
            }
        }
    }

    /// The sandbox of a container is gone, or could not be removed.
    pub(super) fn nested_removed(
        &mut self,
        id: &ContainerId,
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let answer = match result {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Refused(
                500,
                format!("Failed to remove the sandbox directory: {why}"),
            ),
        };
        for token in self.nested.removals.remove(id).unwrap_or_default() {
            out.push(Effect::Reply(token, answer.clone()));
        }
    }
}
