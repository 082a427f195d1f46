//! What frameworks do on their own: answer offers, kill, reconcile, suppress, revive, leave.
//! What they launch is put together in `launches`.

use tepui_protocol::v1::scheduler::{Call, call};
use tepui_protocol::v1::{Offer, OperationId};

use super::events::Event;
use super::frameworks::Known;
use super::orders;
use super::world::{SECOND, World};
use crate::ids::{OfferId, TaskId};

impl World {
    /// A framework does something, and will again.
    pub(super) fn act(&mut self, framework: usize, life: u64) {
        if !self.is_running(framework, life) {
            return;
        }
        self.soon(self.pace_us, Event::Act { framework, life });
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let has_offers = !process.offers.is_empty();
        if !process.is_subscribed || self.is_calm {
            return;
        }
        match self.random.below(40) {
            0..=19 if has_offers => self.answer_offer(framework),
            20..=24 => self.kill_one(framework),
            25 => self.suppress(framework),
            26 | 27 => self.revive(framework),
            28 => self.shut_executor_down(framework),
            29 if self.random.per_mille(100) => self.tear_down(framework),
            30..=33 => self.answer_inverse_offer(framework),
            34 => self.change_framework(framework),
            35..=37 => self.message_executor(framework),
            _ if has_offers => self.answer_offer(framework),
            _ => {}
        }
    }

    /// Accepts or declines one offer, now and then two of one agent at once.
    fn answer_offer(&mut self, framework: usize) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let ids: Vec<OfferId> = process.offers.keys().cloned().collect();
        let Some(id) = self.random.pick(&ids).cloned() else {
            return;
        };
        let both = self.random.per_mille(200);
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let Some(offer) = process.offers.remove(&id) else {
            return;
        };
        let mut offers = vec![offer];
        if both && let Some(more) = alike(&offers, process.offers.values()) {
            offers.extend(process.offers.remove(&more));
        }
        let refuse = match self.random.below(4) {
            0 => 0.0,
            1 => 60.0,
            _ => 5.0,
        };
        let ids = offers.iter().map(|offer| offer.id.clone()).collect();
        if self.random.per_mille(250) {
            let decline = orders::decline(ids, refuse);
            return self.make_call(framework, call::Type::Decline, decline);
        }
        let operations = self.operations_on(framework, &offers);
        let accept = orders::accept(ids, operations, refuse);
        self.counts.accepts += 1;
        self.make_call(framework, call::Type::Accept, accept);
    }

    fn kill_one(&mut self, framework: usize) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let running = host.tasks.iter().filter(|(_, known)| !known.is_over);
        let running: Vec<TaskId> = running.map(|(id, _)| id.clone()).collect();
        let Some(task) = self.random.pick(&running).cloned() else {
            return;
        };
        self.order_kill(framework, &task);
    }

    fn order_kill(&mut self, framework: usize, task: &TaskId) {
        let names_agent = self.random.per_mille(500);
        let host = self.frameworks.get_mut(framework);
        let Some(known) = host.and_then(|host| host.tasks.get_mut(task)) else {
            return;
        };
        known.is_killed = true;
        let agent = names_agent.then(|| known.agent.to_v1());
        self.counts.kills += 1;
        self.make_call(framework, call::Type::Kill, orders::kill(task, agent));
    }

    fn shut_executor_down(&mut self, framework: usize) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let keys: Vec<_> = process.executors.keys().cloned().collect();
        let Some((agent, executor)) = self.random.pick(&keys).cloned() else {
            return;
        };
        let shutdown = Call {
            shutdown: Some(call::Shutdown {
                executor_id: executor.to_v1(),
                agent_id: agent.to_v1(),
            }),
            ..Call::default()
        };
        self.make_call(framework, call::Type::Shutdown, shutdown);
    }

    fn tear_down(&mut self, framework: usize) {
        if let Some(host) = self.frameworks.get_mut(framework) {
            host.is_leaving = true;
            self.counts.teardowns += 1;
            self.make_call(framework, call::Type::Teardown, Call::default());
        }
    }

    /// Asks after all tasks that may still run, repeats kills, and now and then asks for all.
    pub(super) fn reconcile(&mut self, framework: usize, life: u64) {
        if !self.is_running(framework, life) {
            return;
        }
        let again = self.random.between(60 * SECOND, 120 * SECOND);
        self.after(again, Event::Reconcile { framework, life });
        self.ask_after_tasks(framework);
    }

    pub(super) fn ask_after_tasks(&mut self, framework: usize) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let open: Vec<(TaskId, Known)> = host
            .tasks
            .iter()
            .filter(|(_, known)| !known.is_over)
            .map(|(id, known)| (id.clone(), known.clone()))
            .collect();
        if host.is_leaving {
            return self.make_call(framework, call::Type::Teardown, Call::default());
        }
        if self.is_calm {
            self.open_framework(framework);
        }
        if self.is_calm || self.random.per_mille(300) {
            let all = orders::reconcile(std::iter::empty());
            self.make_call(framework, call::Type::Reconcile, all);
        }
        self.ask_after_operations(framework);
        if !open.is_empty() {
            let explicit = orders::reconcile(open.iter().map(|(id, known)| (id, known)));
            self.make_call(framework, call::Type::Reconcile, explicit);
        }
        for (task, _) in open.iter().filter(|(_, known)| known.is_killed) {
            self.order_kill(framework, task);
        }
    }
}

impl World {
    /// Asks after the operations of which it has heard no end, and now and then after all.
    fn ask_after_operations(&mut self, framework: usize) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let asked = host.operations.iter();
        let asked = asked.map(|(id, agent)| call::reconcile_operations::Operation {
            operation_id: OperationId { value: id.clone() },
            agent_id: Some(agent.to_v1()),
            resource_provider_id: None,
        });
        let operations: Vec<_> = asked.collect();
        if operations.is_empty() && !self.random.per_mille(100) {
            return;
        }
        let reconcile = Call {
            reconcile_operations: Some(call::ReconcileOperations { operations }),
            ..Call::default()
        };
        self.make_call(framework, call::Type::ReconcileOperations, reconcile);
    }
}

/// Another offer that may be accepted together with the first of these.
fn alike<'a>(first: &[Offer], mut others: impl Iterator<Item = &'a Offer>) -> Option<OfferId> {
    let first = first.first()?;
    let other = others.find(|offer| {
        offer.agent_id == first.agent_id && offer.allocation_info == first.allocation_info
    });
    other.map(|offer| OfferId::from(&offer.id))
}
