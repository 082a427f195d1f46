//! The machine's side towards checks: beginning looks, taking results, telling the agent.
//! What a result means is decided in `checker`.

use tepui_protocol::v1::task_status::Reason;

use super::checker::{Checker, Found, Verdict};
use super::status::Report;
use super::task::Cause;
use super::{Action, Check, Link, Machine, Start};
use crate::clock::Now;

impl Machine {
    /// Begins to check a task whose process was started now.
    ///
    /// Masters refuse checks that say too little; one that comes through is named and left out.
    pub(super) fn start_checks(&mut self, now: Now, id: &str, out: &mut Vec<Action>) {
        let paused = self.link != Link::Subscribed;
        let Some(task) = self.task_mut(id) else {
            return;
        };
        let check = task.info.check.as_deref();
        let health = task.info.health_check.as_deref();
        let all = [
            check.map(|check| Checker::of_check(now, check)),
            health.map(|check| Checker::of_health_check(now, check)),
        ];
        for checker in all.into_iter().flatten() {
            match checker {
                Ok(mut checker) => {
                    if paused {
                        checker.pause();
                    }
                    task.checkers.push(checker);
                }
                Err(what) => out.push(Action::Log(format!("task '{id}' is not checked: {what}"))),
            }
        }
    }

    /// Nobody could be told of results: all checks wait for the agent to come back.
    pub(super) fn pause_checks(&mut self, out: &mut Vec<Action>) {
        for task in &mut self.tasks {
            let runs = task.checkers.iter_mut().filter_map(Checker::pause);
            out.extend(runs.map(Action::StopCheck));
        }
    }

    pub(super) fn resume_checks(&mut self, now: Now) {
        let checkers = self.tasks.iter_mut().flat_map(|task| &mut task.checkers);
        checkers.for_each(|checker| checker.resume(now));
    }

    /// Begins the looks that are due and gives up those that take too long.
    pub(super) fn tick_checks(&mut self, now: Now, out: &mut Vec<Action>) {
        let late: Vec<(u64, String)> = self
            .tasks
            .iter()
            .flat_map(|task| &task.checkers)
            .filter_map(|checker| checker.timed_out(now))
            .collect();
        for (run, why) in late {
            out.push(Action::StopCheck(run));
            self.on_checked(now, run, &Err(why), out);
        }
        for task in &mut self.tasks {
            for checker in &mut task.checkers {
                if let Some(probe) = checker.begin(now, self.runs) {
                    out.push(Action::Check(Box::new(Check {
                        run: self.runs,
                        probe,
                        of: Start {
                            task: task.info.clone(),
                            container: task.container.as_ref().map(|id| id.value.clone()),
                            parent: task.container.as_ref().and_then(|id| id.parent.clone()),
                        },
                    })));
                    self.runs += 1;
                }
            }
        }
    }

    /// Takes the result of a look; one of a look that was stopped is ignored.
    pub(super) fn on_checked(&mut self, now: Now, run: u64, found: &Found, out: &mut Vec<Action>) {
        let looks = |checker: &Checker| checker.run() == Some(run);
        let Some(task) = self
            .tasks
            .iter_mut()
            .find(|task| task.checkers.iter().any(looks))
        else {
            return;
        };
        let Some(checker) = task.checkers.iter_mut().find(|checker| looks(checker)) else {
            return;
        };
        let id = task.info.task_id.value.clone();
        let failure = checker.failure(found);
        let name = checker.name().to_owned();
        let verdict = checker.conclude(now, found);
        if let Some(why) = &failure {
            out.push(Action::Log(format!("{name} of task '{id}' failed: {why}")));
        }
        let message = failure.map(|why| format!("{name} failed: {why}"));
        let (reason, kill) = match verdict {
            None => return,
            Some(Verdict::Changed) => (Reason::TaskCheckStatusUpdated, false),
            Some(Verdict::Healthy) => {
                task.healthy = Some(true);
                (Reason::TaskHealthCheckStatusUpdated, false)
            }
            Some(Verdict::Unhealthy { kill }) => {
                task.healthy = Some(false);
                (Reason::TaskHealthCheckStatusUpdated, kill)
            }
        };
        let report = Report {
            reason: Some(reason),
            text: message,
            ..task.checked_report()
        };
        let group = task.group;
        self.report(now, report, out);
        if kill {
            self.kill_unhealthy(now, &id, group, out);
        }
    }

    /// The last failure a task may have: it is killed, and with it later its group, whose members
    /// all end as unhealthy.
    fn kill_unhealthy(&mut self, now: Now, id: &str, group: Option<u64>, out: &mut Vec<Action>) {
        for task in &mut self.tasks {
            task.unhealthy |= task.is(id) || (group.is_some() && task.group == group);
        }
        let default = self.settings.kill_grace();
        let grace = self.task_mut(id).map(|task| task.kill_grace(None, default));
        if let Some(grace) = grace {
            self.kill(now, id, Cause::Asked, grace, out);
        }
    }
}
