//! Judges how tasks have ended: each end must have a cause that the record of faults knows.
//! Looks at no master; what must hold in the end is in `quiet`.
//!
//! A cause is never inferred from how long something took, only from what was done before the end
//! was heard of: a slow machine may delay everything.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::driver::{Hit, Record};
use crate::ledger::{End, Ledger, Plan, Task};

/// All that may explain ends.
pub struct Causes<'a> {
    pub record: &'a Record,
    /// Names of agents by their ids.
    pub agents: &'a BTreeMap<String, String>,
}

impl Causes<'_> {
    /// Says what is wrong with each task's end.
    pub fn judge(&self, ledger: &Ledger) -> Vec<String> {
        let ends = ledger
            .tasks
            .iter()
            .filter_map(|(id, task)| Some((id, task, task.end.as_ref()?)));
        let mut wrong = Vec::new();
        for (id, task, end) in ends {
            if !self.is_explained(ledger, id, task, end) {
                let history = task.history.join("\n    ");
                wrong.push(format!(
                    "task {id}, {:?}: nothing explains its end\n    {history}",
                    task.plan
                ));
            }
        }
        wrong
    }

    fn is_explained(&self, ledger: &Ledger, id: &str, task: &Task, end: &End) -> bool {
        let (state, reason) = (end.state.as_str(), end.reason.as_str());
        match (state, reason) {
            ("TASK_FINISHED", _) => task.plan == Plan::Finish && end.by_executor,
            ("TASK_KILLED", _) => task.was_killed || self.is_group_broken(ledger, task),
            ("TASK_FAILED", "REASON_EXECUTOR_TERMINATED") => {
                self.was_hit(&task.executor, task, end, Hit::ExecutorKilled)
                    // It was started and not yet there when its agent went.
                    || (!task.has_run && self.was_restarted(task, end))
            }
            ("TASK_FAILED", "REASON_EXECUTOR_REREGISTRATION_TIMEOUT") => {
                self.was_restarted(task, end)
            }
            ("TASK_FAILED", "REASON_EXECUTOR_REGISTRATION_TIMEOUT") => {
                self.was_hit(&task.executor, task, end, Hit::ExecutorStopped)
                    || self.was_disturbed(task, end)
            }
            ("TASK_FAILED", "") if end.by_executor => {
                (task.plan == Plan::Fail && end.message == "Command exited with status 3")
                    || self.was_hit(id, task, end, Hit::TaskKilled)
                    || self.was_hit(&task.executor, task, end, Hit::ExecutorKilled)
            }
            // It never came to its executor.
            ("TASK_DROPPED" | "TASK_LOST", "REASON_AGENT_RESTARTED") => {
                !task.has_run && self.was_restarted(task, end)
            }
            // It never came to its agent.
            (
                "TASK_DROPPED" | "TASK_LOST",
                "REASON_RECONCILIATION" | "REASON_EXECUTOR_TERMINATED",
            ) => !task.has_run,
            _ => false,
        }
    }

    /// One task of a group that fails or is killed takes the others along.
    fn is_group_broken(&self, ledger: &Ledger, task: &Task) -> bool {
        let mut others = ledger.tasks.values();
        task.is_grouped
            && others.any(|other| {
                let failed = other
                    .end
                    .as_ref()
                    .is_some_and(|end| matches!(&*end.state, "TASK_FAILED" | "TASK_KILLED"));
                other.executor == task.executor && (failed || other.was_killed)
            })
    }

    fn was_hit(&self, id: &str, task: &Task, end: &End, hit: Hit) -> bool {
        let hits = self.record.hits.get(id).into_iter().flatten();
        let mut kinds = hits.filter(|(at, _)| is_within(*at, task, end));
        kinds.any(|(_, kind)| *kind == hit)
    }

    /// Whether its agent was started again while it lived.
    fn was_restarted(&self, task: &Task, end: &End) -> bool {
        self.has_time(&self.record.agent_starts, task, end)
    }

    fn was_disturbed(&self, task: &Task, end: &End) -> bool {
        self.has_time(&self.record.agent_faults, task, end)
    }

    fn has_time(&self, times: &BTreeMap<String, Vec<Instant>>, task: &Task, end: &End) -> bool {
        let name = self.agents.get(&task.agent);
        let times = name.and_then(|name| times.get(name)).into_iter().flatten();
        times.into_iter().any(|at| is_within(*at, task, end))
    }
}

fn is_within(at: Instant, task: &Task, end: &End) -> bool {
    task.launched <= at && at <= end.at
}
