//! `/tasks`: tasks of all frameworks, sorted by age and by the page.
//! What is shown of a task is in `task`.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use tepui_core::master::model::{Framework, Snapshot, Task};
use tepui_core::memo::Memo;

use super::Seq;
use super::task::task;

/// Tasks of a page that does not say how many it wants.
pub const DEFAULT_LIMIT: usize = 100;

/// What `/tasks` tells.
pub struct TaskList {
    /// The master's state.
    pub snapshot: Arc<Snapshot>,
    /// Which tasks, and in which order.
    pub page: Page,
}

/// Which tasks are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Only those of this framework.
    pub framework: Option<String>,
    /// Only those with this id.
    pub task: Option<String>,
    /// No more than so many.
    pub limit: usize,
    /// Without so many first ones.
    pub offset: usize,
    /// Oldest first, otherwise youngest first.
    pub ascending: bool,
}

impl Page {
    /// Reads a query. Numbers that are none count as not given. A limit below zero is none, and
    /// nothing is beyond an offset below zero: Mesos takes both for very large numbers.
    pub fn read(field: impl Fn(&str) -> Option<String>) -> Page {
        let number = |name| field(name)?.parse::<i32>().ok();
        let size = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
        Page {
            framework: field("framework_id"),
            task: field("task_id"),
            limit: number("limit").map_or(DEFAULT_LIMIT, size),
            offset: number("offset").map_or(0, size),
            ascending: field("order").as_deref() == Some("asc"),
        }
    }
}

impl TaskList {
    /// The tasks of the page in their order.
    ///
    /// A task is as old as its first status; those without one are the oldest. Of equal age they
    /// stay in the order of frameworks and ids, so that no page repeats what another shows.
    ///
    /// Mesos: `ReadOnlyHandler::tasks`.
    fn sorted(&self) -> Vec<&Memo<Task>> {
        let page = &self.page;
        let accepts = |wanted: &Option<String>, id: &str| wanted.as_ref().is_none_or(|w| w == id);
        let running = self.snapshot.frameworks.values();
        let frameworks = running.chain(self.snapshot.completed_frameworks.iter());
        let wanted = frameworks.filter(|one| accepts(&page.framework, one.id.as_str()));
        let mut tasks: Vec<Aged<'_>> = wanted
            .flat_map(|framework| of(framework))
            .filter(|task| accepts(&page.task, task.id.as_str()))
            .enumerate()
            .map(|(place, task)| (task.first_status_time(), place, task))
            .collect();
        let order = |(a, at, _): &Aged<'_>, (b, bt, _): &Aged<'_>| {
            let by_age = match page.ascending {
                true => compare(*a, *b),
                false => compare(*b, *a),
            };
            by_age.then(at.cmp(bt))
        };
        // A page of a few does not need all the others sorted.
        let end = page.offset.saturating_add(page.limit);
        if end < tasks.len() {
            tasks.select_nth_unstable_by(end, order);
            tasks.truncate(end);
        }
        tasks.sort_unstable_by(order);
        let tasks = tasks.into_iter().map(|(_, _, task)| task);
        tasks.skip(page.offset).collect()
    }
}

/// A task with the time of its first status and its place among those of equal age.
type Aged<'a> = (Option<f64>, usize, &'a Memo<Task>);

fn compare(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

impl Serialize for TaskList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tasks<L> {
            tasks: L,
        }
        let sorted = self.sorted();
        let tasks = Seq(|| sorted.iter().map(|one| task(one)));
        Tasks { tasks }.serialize(serializer)
    }
}

/// All tasks of a framework that are known: running, unreachable, completed.
pub(super) fn of(framework: &Framework) -> impl Iterator<Item = &Memo<Task>> {
    let running = framework.tasks.values();
    let unreachable = framework.unreachable_tasks.values();
    let all = running.chain(unreachable);
    all.chain(framework.completed_tasks.iter())
        .map(|task| &**task)
}
