//! What of the agent must outlive its process: finds out what has changed since it was recorded
//! last. Writes no file; `restored` reads.
//!
//! Only what belongs to frameworks that ask for it (`FrameworkInfo.checkpoint`) is recorded, as in
//! Mesos; executors of others end with the agent. What is gone belongs to the history, and was
//! recorded before.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tepui_protocol::journal::{self, Record};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;

use super::model::{Drain, Executor, ExecutorKind, ExecutorState, Framework, staged};
pub use super::restored::Restored;
use super::status_updates::{Key, Streams};
pub use super::survivors::Survivor;
use crate::ids::{ContainerId, FrameworkId, TaskId};

/// What was recorded last, to be compared with what is.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The host's present boot.
    boot_id: Option<String>,
    agent: Option<Arc<v1::AgentInfo>>,
    drain: Option<Drain>,
    frameworks: Frameworks,
    /// What happened to the streams of updates since.
    updates: Vec<Record>,
    /// True once the agent has left: then there is nothing to be recorded.
    is_closed: bool,
}

impl Journal {
    /// A journal in which nothing is written yet.
    pub(super) fn new(boot_id: Option<String>) -> Journal {
        Journal {
            boot_id,
            ..Journal::default()
        }
    }

    /// The agent has left the cluster for good.
    pub(super) fn close(&mut self) -> Record {
        self.is_closed = true;
        Record::Left
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// A stream has taken a status.
    pub(super) fn updated(&mut self, framework: &FrameworkId, status: &v1::TaskStatus) {
        self.updates.push(Record::Update {
            framework_id: framework.to_string(),
            status: Pb(status.clone()),
        });
    }

    /// The head of a stream is acknowledged.
    pub(super) fn acknowledged(&mut self, key: &Key, uuid: &[u8]) {
        self.updates.push(Record::Acknowledged {
            framework_id: key.0.to_string(),
            task_id: key.1.to_string(),
            uuid: uuid.to_vec(),
        });
    }

    /// No update of a framework is passed on any more.
    pub(super) fn forgotten(&mut self, framework: &FrameworkId) {
        self.updates.push(Record::UpdatesForgotten {
            framework_id: framework.to_string(),
        });
    }

    /// What has changed since this was asked last. `info` is that of an admitted agent, and
    /// `containers` says what has changed of those that were launched by calls.
    pub(super) fn changes(
        &mut self,
        info: Option<&Arc<v1::AgentInfo>>,
        drain: Option<Drain>,
        frameworks: Frameworks,
        mut containers: Vec<Record>,
    ) -> Vec<Record> {
        if self.is_closed {
            return Vec::new();
        }
        let mut out = Vec::new();
        if let Some(info) = info
            && self.agent.as_ref().is_none_or(|known| known != info)
        {
            self.agent = Some(info.clone());
            out.push(Record::Agent {
                info: Pb(v1::AgentInfo::clone(info)),
                boot_id: self.boot_id.clone(),
            });
        }
        if self.drain != drain {
            self.drain = drain;
            out.push(Record::Drain {
                config: drain.map(|drain| Pb(drain.config)),
                started_us: drain.map_or(0, |drain| drain.started.0),
            });
        }
        out.append(&mut containers);
        if !self.frameworks.is_like(&frameworks) {
            compare_frameworks(&self.frameworks, &frameworks, &mut out);
            self.frameworks = frameworks;
        }
        out.append(&mut self.updates);
        out
    }
}

/// Everything that is to be recorded, as if nothing had been.
pub(super) fn all(
    boot_id: Option<String>,
    info: Option<&Arc<v1::AgentInfo>>,
    drain: Option<Drain>,
    frameworks: Frameworks,
    containers: Vec<Record>,
    streams: &Streams<Key, v1::TaskStatus>,
) -> Vec<Record> {
    let mut journal = Journal::new(boot_id);
    let recorded = |id: &FrameworkId| frameworks.live.get(id).is_some_and(|f| is_recorded(f));
    streams.replay(&mut |key, status, acknowledged| {
        if !recorded(&key.0) {
            return;
        }
        journal.updated(&key.0, status);
        if acknowledged {
            journal.acknowledged(key, status.uuid());
        }
    });
    journal.changes(info, drain, frameworks, containers)
}

/// Whether a framework's doings are recorded.
pub(super) fn is_recorded(framework: &Framework) -> bool {
    framework.info.checkpoint()
}

/// The frameworks of an agent at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Frameworks {
    /// Those with executors or updates.
    pub live: OrdMap<FrameworkId, Arc<Framework>>,
    /// The last completed ones, oldest first.
    pub completed: Vector<Arc<Framework>>,
}

impl Frameworks {
    /// Whether nothing has changed that is recorded. What is added to the history comes last.
    fn is_like(&self, other: &Frameworks) -> bool {
        let last = |frameworks: &Frameworks| frameworks.completed.last().map(Arc::as_ptr);
        self.live.ptr_eq(&other.live) && last(self) == last(other)
    }

    fn completed(&self, id: &FrameworkId) -> Option<&Framework> {
        let mut completed = self.completed.iter();
        completed
            .find(|known| known.id == *id)
            .map(|known| &**known)
    }
}

fn compare_frameworks(old: &Frameworks, new: &Frameworks, out: &mut Vec<Record>) {
    let mut gone = BTreeSet::new();
    for framework in new.completed.iter().filter(|one| is_recorded(one)) {
        if !old.completed.iter().any(|one| Arc::ptr_eq(one, framework)) {
            compare_framework(old, framework, out);
            out.push(framework_gone(&framework.id));
            gone.insert(&framework.id);
        }
    }
    for (id, framework) in &new.live {
        let before = old.live.get(id);
        let same = before.is_some_and(|before| Arc::ptr_eq(before, framework));
        if !same && is_recorded(framework) {
            compare_framework(old, framework, out);
        }
    }
    for (id, framework) in &old.live {
        if is_recorded(framework) && !new.live.contains_key(id) && !gone.contains(id) {
            out.push(framework_gone(id));
        }
    }
}

fn framework_gone(id: &FrameworkId) -> Record {
    Record::FrameworkGone {
        framework_id: id.to_string(),
    }
}

fn compare_framework(old: &Frameworks, new: &Framework, out: &mut Vec<Record>) {
    let live = old.live.get(&new.id).map(|live| &**live);
    if live.is_none_or(|live| live.info != new.info) {
        out.push(Record::Framework {
            info: Pb(v1::FrameworkInfo::clone(&new.info)),
        });
    }
    // One that comes again brings what it has completed before.
    compare_executors(live.or_else(|| old.completed(&new.id)), new, out);
}

fn compare_executors(old: Option<&Framework>, new: &Framework, out: &mut Vec<Record>) {
    let none = OrdMap::new();
    let before = old.map_or(&none, |old| &old.executors);
    // Another run of the same executor is another executor.
    let same_run = |before: Option<&Arc<Executor>>, now: &Executor| {
        before
            .filter(|before| before.container == now.container)
            .cloned()
    };
    let changed = changed(before, &new.executors);
    let ended = added(
        old.map(|old| &old.completed_executors),
        &new.completed_executors,
    );
    let ended: Vec<&Arc<Executor>> = ended.collect();
    let completed: BTreeSet<&ContainerId> = ended.iter().map(|it| &it.container).collect();
    for gone in changed.iter().filter(|change| change.now.is_none()) {
        // It was so many others ago that it is remembered no more.
        let forgotten = |gone: &&Arc<Executor>| !completed.contains(&gone.container);
        if let Some(gone) = gone.before.filter(forgotten) {
            out.push(executor_gone(new, gone));
        }
    }
    for executor in ended {
        let before = same_run(before.get(&executor.id), executor);
        compare_executor(new, before.as_deref(), executor, out);
        out.push(executor_gone(new, executor));
    }
    for Changed { before, now } in changed {
        if let Some(now) = now {
            compare_executor(new, same_run(before, now).as_deref(), now, out);
        }
    }
}

/// What has changed: as it was, and as it is.
struct Changed<'a, T> {
    before: Option<&'a Arc<T>>,
    now: Option<&'a Arc<T>>,
}

/// What has changed of two maps that share most of what they hold. Looks at no more than the keys
/// of what they share.
fn changed<'a, K: Ord, T>(
    old: &'a OrdMap<K, Arc<T>>,
    new: &'a OrdMap<K, Arc<T>>,
) -> Vec<Changed<'a, T>> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut changed = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return changed,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((before, _)), Some((now, _))) => before.cmp(now),
        };
        let before = old.next_if(|_| order.is_le()).map(|(_, before)| before);
        let now = new.next_if(|_| order.is_ge()).map(|(_, now)| now);
        let same = before.zip(now).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            changed.push(Changed { before, now });
        }
    }
}

/// What was added at the end of a history since.
fn added<'a, T>(
    old: Option<&Vector<Arc<T>>>,
    new: &'a Vector<Arc<T>>,
) -> impl Iterator<Item = &'a Arc<T>> {
    let last = old.and_then(|old| old.last());
    let at = last.and_then(|last| new.iter().rposition(|one| Arc::ptr_eq(one, last)));
    new.iter().skip(at.map_or(0, |at| at + 1))
}

fn executor_gone(framework: &Framework, executor: &Executor) -> Record {
    Record::ExecutorGone {
        framework_id: framework.id.to_string(),
        executor_id: executor.id.to_string(),
    }
}

fn compare_executor(
    framework: &Framework,
    old: Option<&Executor>,
    new: &Executor,
    out: &mut Vec<Record>,
) {
    let now = record(&framework.id, new);
    if old.is_none_or(|old| record(&framework.id, old) != now) {
        out.push(Record::Executor(Box::new(now)));
    }
    compare_tasks(framework, old, new, out);
}

fn record(framework: &FrameworkId, executor: &Executor) -> journal::Executor {
    journal::Executor {
        framework_id: framework.to_string(),
        info: Pb(v1::ExecutorInfo::clone(&executor.info)),
        kind: match executor.kind {
            ExecutorKind::Command => journal::ExecutorKind::Command,
            ExecutorKind::Default => journal::ExecutorKind::Default,
            ExecutorKind::Custom => journal::ExecutorKind::Custom,
        },
        container: executor.container.to_string(),
        directory: executor.directory.clone(),
        pid: executor.pid,
        ever_sent: executor.ever_sent,
        ended: executor.state == ExecutorState::Terminated,
        volumes: executor.volumes.clone(),
    }
}

fn compare_tasks(
    framework: &Framework,
    old: Option<&Executor>,
    new: &Executor,
    out: &mut Vec<Record>,
) {
    let task = |task: v1::Task| Record::Task {
        executor_id: new.id.to_string(),
        task: Pb(task),
    };
    for (id, now) in new.launched.iter().chain(&new.terminated) {
        let before = old.and_then(|old| old.task(id));
        if !before.is_some_and(|before| Arc::ptr_eq(before, now)) {
            out.push(task(v1::Task::clone(now)));
        }
    }
    for info in new.queued.iter().flat_map(|queued| queued.tasks()) {
        let id = TaskId::from(&info.task_id);
        if old.is_none_or(|old| old.queued_with(&id).is_none()) {
            out.push(task(staged(info, &framework.info, new)));
        }
    }
    for now in added(old.map(|old| &old.completed), &new.completed) {
        let id = TaskId::from(&now.task_id);
        let before = old.and_then(|old| old.task(&id));
        if !before.is_some_and(|before| Arc::ptr_eq(before, now)) {
            out.push(task(v1::Task::clone(now)));
        }
        out.push(Record::TaskGone {
            framework_id: framework.id.to_string(),
            task_id: id.to_string(),
        });
    }
}
