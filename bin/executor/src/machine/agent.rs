//! The machine's side towards the agent: subscribing, reporting, losing it.
//! What happens to tasks is decided in `life`.

use tepui_protocol::v1::executor::{Call, call, event};
use tepui_protocol::v1::{ExecutorId, FrameworkId};

use super::status::Report;
use super::{Action, HEARTBEAT, Link, MAX_UNACKNOWLEDGED, Machine, Unacknowledged};
use crate::clock::Now;

impl Machine {
    pub(super) fn on_subscribed(
        &mut self,
        now: Now,
        subscribed: event::Subscribed,
        out: &mut Vec<Action>,
    ) {
        self.framework = subscribed.framework_info;
        self.container = subscribed.container_id;
        self.link = Link::Subscribed;
        self.give_up_at = None;
        self.exit_at = None;
        self.heartbeat_at = Some(now.mono + HEARTBEAT);
        self.resume_checks(now);
        // What was reported after the SUBSCRIBE had been written.
        let mut late = Vec::new();
        for known in self.unacknowledged.iter_mut().filter(|known| !known.sent) {
            known.sent = true;
            late.push(known.update.clone());
        }
        out.extend(late.into_iter().map(|update| self.update(update)));
    }

    pub(super) fn on_acknowledged(&mut self, task: &str, uuid: &[u8], out: &mut Vec<Action>) {
        let Some(index) = self
            .unacknowledged
            .iter()
            .position(|known| known.uuid == uuid)
        else {
            out.push(Action::Log(format!(
                "ignoring the acknowledgement of an unknown update of task '{task}'"
            )));
            return;
        };
        self.unacknowledged.remove(index);
        if let Some(task) = self
            .tasks
            .iter_mut()
            .find(|known| known.info.task_id.value == task)
        {
            task.acknowledged = true;
        }
    }

    pub(super) fn on_lost(&mut self, now: Now, why: &str, out: &mut Vec<Action>) {
        if self.link == Link::Gone {
            return;
        }
        self.heartbeat_at = None;
        if self.settings.checkpoint {
            if self.link == Link::Subscribed {
                out.push(Action::Log(format!(
                    "lost the agent ({why}), trying to reach it again"
                )));
            }
            self.retry(now, out);
            return;
        }
        out.push(Action::Log(format!("lost the agent ({why}), ending")));
        self.give_up(now, out);
    }

    pub(super) fn retry(&mut self, now: Now, out: &mut Vec<Action>) {
        self.pause_checks(out);
        self.give_up_at
            .get_or_insert(now.mono + self.settings.recovery_timeout);
        self.exit_at = None;
        let delay = self.ids.delay_up_to(self.settings.backoff_max);
        self.link = Link::Waiting(now.mono + delay);
    }

    pub(super) fn give_up(&mut self, now: Now, out: &mut Vec<Action>) {
        self.link = Link::Gone;
        self.give_up_at = None;
        self.shut_down(now, out);
    }

    pub(super) fn report(&mut self, now: Now, report: Report, out: &mut Vec<Action>) {
        if self.unacknowledged.len() >= MAX_UNACKNOWLEDGED {
            out.push(Action::Log(format!(
                "the agent left {MAX_UNACKNOWLEDGED} status updates unacknowledged"
            )));
            out.push(Action::Exit(1));
            return;
        }
        let uuid = self.ids.uuid().to_vec();
        let status = report.status(&self.settings.executor_id, uuid.clone(), now);
        let update = call::Update { status };
        let sent = self.link == Link::Subscribed;
        if sent {
            out.push(self.update(update.clone()));
        }
        self.unacknowledged
            .push_back(Unacknowledged { uuid, update, sent });
    }

    fn update(&self, update: call::Update) -> Action {
        let mut call = self.call(call::Type::Update);
        call.update = Some(update);
        Action::Send(call)
    }

    pub(super) fn subscribe(&mut self, out: &mut Vec<Action>) {
        self.link = Link::Subscribing;
        self.unacknowledged
            .iter_mut()
            .for_each(|known| known.sent = true);
        let mut call = self.call(call::Type::Subscribe);
        call.subscribe = Some(call::Subscribe {
            unacknowledged_tasks: self
                .tasks
                .iter()
                .filter(|task| !task.acknowledged)
                .map(|task| task.info.clone())
                .collect(),
            unacknowledged_updates: self
                .unacknowledged
                .iter()
                .map(|known| known.update.clone())
                .collect(),
        });
        out.push(Action::Subscribe(call));
    }

    pub(super) fn call(&self, kind: call::Type) -> Box<Call> {
        Box::new(Call {
            executor_id: ExecutorId {
                value: self.settings.executor_id.clone(),
            },
            framework_id: FrameworkId {
                value: self.settings.framework_id.clone(),
            },
            r#type: Some(kind as i32),
            ..Call::default()
        })
    }
}
