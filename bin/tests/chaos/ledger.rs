//! What a framework knows of its tasks, and what it may never be told.
//! Speaks to nobody; whether a task's end has a cause is judged in `verdict`.
//!
//! What is guaranteed, and so is checked at every update:
//!
//! - An update with a uuid comes from the agent (or through it from the executor) and is repeated,
//!   under the same uuid, until its acknowledgement has reached the agent: before and after that
//!   the framework may see it any number of times. So two *different* uuids of terminal updates of
//!   one task, or anything else the agent says after the terminal one, are errors.
//! - Updates without uuid are the master's own words, said once. TASK_UNREACHABLE, TASK_LOST,
//!   TASK_GONE and TASK_UNKNOWN among them are no end: the agent may come back with the task, and
//!   only it can say how the task ended. After a failover the master may know less than the last
//!   one did, but it may not claim that a task runs whose end its framework has seen.
//! - ACCEPT is answered with 202 before anything has happened. A task whose master died, or whose
//!   answer got lost, may therefore have vanished without a trace, which only reconciliation tells.
//!   But while the subscription stays the same, so does the master, and it owes a word on each task
//!   it has accepted.
//! - What the master has refused, or dropped for invalid offers, never runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a task does when nobody interferes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// It ends with status 0.
    Finish,
    /// It ends with status 3.
    Fail,
    /// It runs until its framework kills it, at this time.
    Kill(Instant),
    /// It runs for ever.
    Keep,
}

/// What became of the ACCEPT that was to launch a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// None came: whether the master has read it is unknown.
    Lost,
    Accepted,
    Refused,
}

/// The last word of a task's agent.
#[derive(Debug, Clone)]
pub struct End {
    pub uuid: String,
    pub state: String,
    pub reason: String,
    pub message: String,
    pub by_executor: bool,
    pub at: Instant,
    pub is_acknowledged: bool,
}

/// One task.
#[derive(Debug, Clone)]
pub struct Task {
    pub plan: Plan,
    /// The executor's id; that of the task for a command.
    pub executor: String,
    pub is_grouped: bool,
    pub agent: String,
    pub answer: Answer,
    pub launched: Instant,
    subscription: u64,
    pub was_killed: bool,
    /// Whether its agent has ever spoken of it, to whomever.
    pub is_known: bool,
    /// Whether its executor has.
    pub has_run: bool,
    pub end: Option<End>,
    /// When the master has said last that it does not know it to run.
    pub word: Option<Instant>,
    /// Dropped for good by the master.
    pub is_dropped: bool,
    /// Whether it was given up, and then heard of again.
    pub was_back: bool,
    pub history: Vec<String>,
}

impl Task {
    /// Nothing more is to be expected of it, unless a word of the master turns out to be wrong.
    pub fn is_over(&self) -> bool {
        self.end.is_some() || self.never_ran()
    }

    /// For all that is known, it never reached an agent.
    pub fn never_ran(&self) -> bool {
        !self.is_known && (self.answer == Answer::Refused || self.word.is_some())
    }
}

/// All tasks of a framework.
pub struct Ledger {
    pub name: &'static str,
    started: Instant,
    pub tasks: BTreeMap<String, Task>,
    pub violations: Vec<String>,
    /// The ids of the masters it was subscribed with, in order.
    pub masters: Vec<String>,
    /// Where it is or was subscribed last.
    pub leader: Option<SocketAddr>,
    pub framework_id: Option<String>,
    /// Number of the present subscription.
    subscription: u64,
    pub is_subscribed: bool,
    pub is_torn_down: bool,
}

impl Ledger {
    pub fn new(name: &'static str, started: Instant) -> Ledger {
        Ledger {
            name,
            started,
            tasks: BTreeMap::new(),
            violations: Vec::new(),
            masters: Vec::new(),
            leader: None,
            framework_id: None,
            subscription: 0,
            is_subscribed: false,
            is_torn_down: false,
        }
    }

    /// The framework is subscribed with this master.
    pub fn subscribed(&mut self, framework: &str, master: &str, at: SocketAddr) {
        let known = self
            .framework_id
            .get_or_insert_with(|| framework.to_owned());
        if known != framework {
            self.violations
                .push(format!("{}: its id became {framework}", self.name));
        }
        if self.masters.last().is_none_or(|last| last != master) {
            self.masters.push(master.to_owned());
        }
        self.leader = Some(at);
        self.subscription += 1;
        self.is_subscribed = true;
    }

    /// A task is about to be launched.
    pub fn launching(&mut self, id: &str, plan: Plan, executor: &str, agent: &str, now: Instant) {
        let task = Task {
            plan,
            executor: executor.to_owned(),
            is_grouped: executor != id,
            agent: agent.to_owned(),
            answer: Answer::Lost,
            launched: now,
            subscription: self.subscription,
            was_killed: false,
            is_known: false,
            has_run: false,
            end: None,
            word: None,
            is_dropped: false,
            was_back: false,
            history: Vec::new(),
        };
        let before = self.tasks.insert(id.to_owned(), task);
        assert!(before.is_none(), "{id} is used twice");
        self.note(id, now, format!("launched on {agent} as {plan:?}"));
    }

    pub fn answered(&mut self, id: &str, answer: Answer, now: Instant, text: &str) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.answer = answer;
        }
        self.note(id, now, format!("ACCEPT: {answer:?} {text}"));
    }

    pub fn killed(&mut self, id: &str, now: Instant) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.was_killed = true;
        }
        self.note(id, now, "KILL sent".to_owned());
    }

    pub fn acknowledged(&mut self, id: &str, uuid: &str) {
        let end = self.tasks.get_mut(id).and_then(|task| task.end.as_mut());
        if let Some(end) = end.filter(|end| end.uuid == uuid) {
            end.is_acknowledged = true;
        }
    }

    /// Takes what an UPDATE event says.
    pub fn heard(&mut self, status: &Value, now: Instant) {
        let id = text(&status["task_id"]["value"]);
        let line = format!(
            "{} {} {} {:?} uuid {:?}",
            text(&status["state"]),
            text(&status["source"]),
            text(&status["reason"]),
            text(&status["message"]),
            text(&status["uuid"]),
        );
        self.note(&id, now, line);
        let subscription = self.subscription;
        let Some(task) = self.tasks.get_mut(&id) else {
            let error = format!("{}: an update of a task it has not: {status}", self.name);
            return self.violations.push(error);
        };
        let agent = text(&status["agent_id"]["value"]);
        let judged = match agent == task.agent {
            false => Err(format!("its agent became {agent}")),
            true if status["uuid"].is_string() => task.told_by_agent(status, now),
            true => task.told_by_master(status, subscription, now),
        };
        if let Err(error) = judged {
            self.violation(&id, &error);
        }
    }

    /// Remembers that something that may not happen has, with all that is known of the task.
    pub fn violation(&mut self, id: &str, what: &str) {
        let history = self.tasks.get(id).map(|task| task.history.join("\n    "));
        let history = history.unwrap_or_default();
        self.violations
            .push(format!("{} task {id}: {what}\n    {history}", self.name));
    }

    fn note(&mut self, id: &str, now: Instant, line: String) {
        let at = now.saturating_duration_since(self.started);
        let (subscription, at) = (self.subscription, at.as_secs_f64());
        if let Some(task) = self.tasks.get_mut(id) {
            task.history
                .push(format!("{at:8.3} s, subscription {subscription}: {line}"));
        }
    }

    /// Tasks that count against the limit of what is launched.
    pub fn in_flight(&self) -> usize {
        let open = self.tasks.values().filter(|task| !task.is_over());
        open.filter(|task| task.plan != Plan::Keep).count()
    }

    /// Tasks that have no last word of their agent, with their agents.
    pub fn open(&self) -> Vec<(String, String)> {
        let open = self.tasks.iter().filter(|(_, task)| {
            task.end.is_none() && !task.is_dropped && task.answer != Answer::Refused
        });
        open.map(|(id, task)| (id.clone(), task.agent.clone()))
            .collect()
    }

    pub fn count(&self, state: &str) -> usize {
        let ends = self.tasks.values().filter_map(|task| task.end.as_ref());
        ends.filter(|end| end.state == state).count()
    }
}

impl Task {
    fn told_by_agent(&mut self, status: &Value, now: Instant) -> Result<(), String> {
        let by_executor = match status["source"].as_str() {
            Some("SOURCE_EXECUTOR") => true,
            Some("SOURCE_AGENT") => false,
            other => return Err(format!("an update with a uuid comes from {other:?}")),
        };
        self.is_known = true;
        self.has_run |= by_executor;
        self.was_back |= self.word.take().is_some();
        if self.is_dropped || self.answer == Answer::Refused {
            return Err("it runs though the master had refused it".to_owned());
        }
        let (state, uuid) = (text(&status["state"]), text(&status["uuid"]));
        match &self.end {
            Some(end) if end.uuid == uuid => Ok(()),
            Some(end) => Err(format!(
                "its agent says {state} after {} (uuid {} after {})",
                end.state, uuid, end.uuid
            )),
            None if !is_terminal(&state) => Ok(()),
            None => {
                self.end = Some(End {
                    uuid,
                    state,
                    reason: text(&status["reason"]),
                    message: text(&status["message"]),
                    by_executor,
                    at: now,
                    is_acknowledged: false,
                });
                Ok(())
            }
        }
    }

    fn told_by_master(
        &mut self,
        status: &Value,
        subscription: u64,
        now: Instant,
    ) -> Result<(), String> {
        if status["source"] != "SOURCE_MASTER" {
            return Err("an update without uuid is not the master's".to_owned());
        }
        let (state, reason) = (text(&status["state"]), text(&status["reason"]));
        let asked = reason == "REASON_RECONCILIATION";
        if state == "TASK_ERROR" {
            return Err("the master finds it invalid".to_owned());
        }
        if reason == "REASON_INVALID_OFFERS" {
            self.is_dropped = true;
            if self.is_known {
                return Err("it was dropped though it runs".to_owned());
            }
        }
        if let Some(end) = &self.end {
            // Its end may be told again, and its agent may go before that is acknowledged.
            let is_lost = matches!(&*state, "TASK_UNREACHABLE" | "TASK_LOST" | "TASK_GONE");
            let is_unknown = asked && state == "TASK_UNKNOWN";
            return match state == end.state || is_lost || is_unknown {
                true => Ok(()),
                false => Err(format!("the master says {state} after {}", end.state)),
            };
        }
        if matches!(&*state, "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING") {
            self.is_known = true;
        }
        let is_away = is_terminal(&state) || matches!(&*state, "TASK_UNREACHABLE" | "TASK_UNKNOWN");
        let is_new = self.word.is_none();
        self.was_back |= !is_new && !is_away;
        self.word = is_away.then_some(now);
        let owes_a_word =
            self.answer == Answer::Accepted && self.subscription == subscription && is_new;
        let forgotten = is_away && asked && owes_a_word && !self.is_known;
        match forgotten {
            true => Err(format!(
                "the master that accepted it says {state} without a reason"
            )),
            false => Ok(()),
        }
    }
}

/// A text of an event, or nothing.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn is_terminal(state: &str) -> bool {
    !matches!(
        state,
        "TASK_STAGING"
            | "TASK_STARTING"
            | "TASK_RUNNING"
            | "TASK_KILLING"
            | "TASK_UNREACHABLE"
            | "TASK_UNKNOWN"
    )
}

/// How long ago something was, for messages.
pub fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A ledger with one accepted task.
    fn ledger() -> Ledger {
        let now = Instant::now();
        let mut ledger = Ledger::new("test", now);
        let master = SocketAddr::from(([10, 0, 0, 1], 5050));
        ledger.subscribed("f", "m1", master);
        ledger.launching("t", Plan::Finish, "t", "a", now);
        ledger.answered("t", Answer::Accepted, now, "");
        ledger
    }

    fn hear(ledger: &mut Ledger, state: &str, source: &str, reason: &str, uuid: Option<&str>) {
        let mut status = json!({
            "task_id": {"value": "t"}, "agent_id": {"value": "a"},
            "state": state, "source": source, "reason": reason,
        });
        if let Some(uuid) = uuid {
            status["uuid"] = json!(uuid);
        }
        ledger.heard(&status, Instant::now());
    }

    fn executor_says(ledger: &mut Ledger, state: &str, uuid: &str) {
        hear(ledger, state, "SOURCE_EXECUTOR", "", Some(uuid));
    }

    fn master_says(ledger: &mut Ledger, state: &str, reason: &str) {
        hear(ledger, state, "SOURCE_MASTER", reason, None);
    }

    #[test]
    fn an_end_may_be_repeated_but_not_followed_by_another() {
        let mut ledger = ledger();
        executor_says(&mut ledger, "TASK_RUNNING", "1");
        executor_says(&mut ledger, "TASK_FINISHED", "2");
        executor_says(&mut ledger, "TASK_FINISHED", "2");
        master_says(&mut ledger, "TASK_FINISHED", "REASON_RECONCILIATION");
        assert!(ledger.violations.is_empty(), "{:?}", ledger.violations);
        executor_says(&mut ledger, "TASK_FINISHED", "3");
        assert_eq!(ledger.violations.len(), 1);
    }

    #[test]
    fn what_has_ended_runs_no_more() {
        let mut first = ledger();
        executor_says(&mut first, "TASK_FINISHED", "1");
        executor_says(&mut first, "TASK_RUNNING", "2");
        assert_eq!(first.violations.len(), 1);
        let mut second = ledger();
        executor_says(&mut second, "TASK_FINISHED", "1");
        master_says(&mut second, "TASK_RUNNING", "REASON_RECONCILIATION");
        assert_eq!(second.violations.len(), 1);
    }

    #[test]
    fn a_task_may_be_lost_and_come_back() {
        let mut ledger = ledger();
        executor_says(&mut ledger, "TASK_RUNNING", "1");
        master_says(&mut ledger, "TASK_LOST", "REASON_AGENT_REMOVED");
        assert!(!ledger.tasks["t"].is_over());
        master_says(&mut ledger, "TASK_RUNNING", "REASON_AGENT_REREGISTERED");
        executor_says(&mut ledger, "TASK_FINISHED", "2");
        assert!(ledger.violations.is_empty(), "{:?}", ledger.violations);
        assert!(ledger.tasks["t"].is_over());
    }

    #[test]
    fn a_master_may_not_forget_what_it_has_accepted_but_another_one_may_not_know_it() {
        let mut first = ledger();
        master_says(&mut first, "TASK_GONE", "REASON_RECONCILIATION");
        assert_eq!(first.violations.len(), 1);
        let mut second = ledger();
        let master = SocketAddr::from(([10, 0, 0, 2], 5050));
        second.subscribed("f", "m2", master);
        master_says(&mut second, "TASK_GONE", "REASON_RECONCILIATION");
        assert!(second.violations.is_empty(), "{:?}", second.violations);
        assert!(second.tasks["t"].never_ran());
    }

    #[test]
    fn what_was_dropped_never_runs() {
        let mut ledger = ledger();
        master_says(&mut ledger, "TASK_DROPPED", "REASON_INVALID_OFFERS");
        assert!(ledger.tasks["t"].never_ran());
        executor_says(&mut ledger, "TASK_RUNNING", "1");
        assert_eq!(ledger.violations.len(), 1);
    }
}
