//! What frameworks do about events and answers of the master.
//! What they do on their own is in `framework_acts`.

use tepui_protocol::v1::scheduler::{Call, Event, call, event};
use tepui_protocol::v1::{OperationState, OperationStatus, TaskState, TaskStatus};

use super::events::Event as Happening;
use super::orders;
use super::world::{SECOND, World};
use crate::agent::model::is_terminal;
use crate::ids::{FrameworkId, OfferId, TaskId};
use crate::master::model::is_terminal as is_over;

impl World {
    pub(super) fn framework_hears(&mut self, framework: usize, event: Event) {
        match event.r#type() {
            event::Type::Subscribed => {
                let id = event
                    .subscribed
                    .map(|it| FrameworkId::from(&it.framework_id));
                self.subscribed(framework, id);
            }
            event::Type::Offers => {
                let offers = event.offers.map(|it| it.offers).unwrap_or_default();
                let Some(process) = self.framework_process(framework) else {
                    return;
                };
                for offer in offers {
                    process.offers.insert(OfferId::from(&offer.id), offer);
                }
            }
            event::Type::Rescind => {
                let id = event.rescind.map(|it| OfferId::from(&it.offer_id));
                if let (Some(process), Some(id)) = (self.framework_process(framework), id) {
                    process.offers.remove(&id);
                }
            }
            event::Type::Update => {
                if let Some(update) = event.update {
                    self.updated(framework, update.status);
                }
            }
            event::Type::UpdateOperationStatus => {
                if let Some(update) = event.update_operation_status {
                    self.operation_updated(framework, update.status);
                }
            }
            event::Type::Error => {
                let text = event.error.unwrap_or_default().message;
                self.refused(framework, &text);
            }
            event::Type::InverseOffers => {
                let offers = event.inverse_offers.unwrap_or_default().inverse_offers;
                if let Some(process) = self.framework_process(framework) {
                    let ids = offers.iter().map(|offer| OfferId::from(&offer.id));
                    process.inverse_offers.extend(ids);
                }
            }
            event::Type::RescindInverseOffer => {
                let id = event.rescind_inverse_offer.map(|it| it.inverse_offer_id);
                if let (Some(process), Some(id)) = (self.framework_process(framework), id) {
                    process.inverse_offers.remove(&OfferId::from(&id));
                }
            }
            event::Type::Message => {
                if let Some(message) = event.message {
                    self.framework_is_told(framework, &message);
                }
            }
            event::Type::Failure | event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    fn subscribed(&mut self, framework: usize, id: Option<FrameworkId>) {
        let Some(host) = self.frameworks.get_mut(framework) else {
            return;
        };
        let before = host.id.clone();
        host.id.clone_from(&id);
        let Some(process) = &mut host.process else {
            return;
        };
        process.is_subscribed = true;
        if let (Some(before), Some(id)) = (&before, &id)
            && before != id
        {
            return self.fail(format!("framework {before} was given the id {id}"));
        }
        self.counts.subscriptions += 1;
        self.ask_after_tasks(framework);
    }

    /// The master refuses a framework: one whose id is used up takes a new one.
    fn refused(&mut self, framework: usize, text: &str) {
        let Some(host) = self.frameworks.get_mut(framework) else {
            return;
        };
        if text.contains("removed") || text.contains("completed") {
            host.id = None;
            host.tasks.clear();
            host.operations.clear();
            // Most that were torn down are followed by another one.
            if std::mem::take(&mut host.is_leaving) {
                host.is_gone = self.is_calm || self.random.per_mille(200);
            }
            self.counts.frameworks_removed += 1;
        } else if !text.contains("failed over") && !text.contains("not finished recovery") {
            return self.fail(format!("framework {framework} is refused: {text}"));
        }
        self.note(format_args!("framework {framework} is told: {text}"));
        self.resubscribe(framework);
    }

    fn updated(&mut self, framework: usize, status: TaskStatus) {
        let Some(host) = self.frameworks.get_mut(framework) else {
            return;
        };
        let Some(id) = host.id.clone() else {
            return;
        };
        let task = TaskId::from(&status.task_id);
        let state = status.state();
        // What nobody knows of any more is given up.
        let ends = is_terminal(state) || state == TaskState::TaskUnknown;
        let mut is_unwanted = false;
        match host.tasks.get_mut(&task) {
            Some(known) if known.is_over => is_unwanted = !ends,
            Some(known) => {
                known.state = state;
                known.is_over = ends;
            }
            None => is_unwanted = !ends,
        }
        if let Err(error) = self.history.delivered(&id, &task, &status) {
            return self.fail(error);
        }
        match state {
            TaskState::TaskError => {
                self.counts.task_errors += 1;
                self.note(format_args!("TASK_ERROR: {}", status.message()));
            }
            TaskState::TaskKilling => self.counts.tasks_killing += 1,
            _ if ends => self.counts.tasks_ended += 1,
            _ => {}
        }
        if is_unwanted && state != TaskState::TaskUnreachable {
            let kill = orders::kill(&task, status.agent_id.clone());
            self.make_call(framework, call::Type::Kill, kill);
        }
        self.acknowledge_some_time(framework, status);
    }

    /// Most updates are acknowledged at once, some late, some twice.
    fn acknowledge_some_time(&mut self, framework: usize, status: TaskStatus) {
        let Some(life) = self
            .framework_process(framework)
            .map(|process| process.life)
        else {
            return;
        };
        if status.uuid.is_none() {
            return;
        }
        let times = 1 + u64::from(self.random.per_mille(100));
        for _ in 0..times {
            let delay = match self.random.below(10) {
                0 => self.random.below(30 * SECOND),
                _ => self.random.below(SECOND / 20),
            };
            let status = Box::new(status.clone());
            let event = Happening::Acknowledge {
                framework,
                life,
                status,
            };
            self.after(delay, event);
        }
    }

    pub(super) fn acknowledge(&mut self, framework: usize, life: u64, status: &TaskStatus) {
        if !self.is_running(framework, life) {
            return;
        }
        if let Some(acknowledge) = orders::acknowledge(status) {
            self.make_call(framework, call::Type::Acknowledge, acknowledge);
        }
    }

    fn operation_updated(&mut self, framework: usize, status: OperationStatus) {
        let state = status.state();
        let named = status.operation_id.as_ref();
        if let (Some(id), Some(host)) = (named, self.frameworks.get_mut(framework)) {
            // What nobody knows of any more is given up.
            if is_over(state) || state == OperationState::OperationUnknown {
                host.operations.remove(&id.value);
            }
            let owner = host.id.clone();
            if let (Some(owner), true) = (owner, status.uuid.is_some())
                && let Err(error) = self.history.operation_ended(&owner, &id.value, state)
            {
                return self.fail(error);
            }
        }
        self.counts.operations_ended += u64::from(is_over(state));
        let (Some(uuid), Some(id)) = (status.uuid, status.operation_id) else {
            return;
        };
        let acknowledge = Call {
            acknowledge_operation_status: Some(call::AcknowledgeOperationStatus {
                agent_id: status.agent_id,
                resource_provider_id: None,
                uuid: uuid.value,
                operation_id: id,
            }),
            ..Call::default()
        };
        let kind = call::Type::AcknowledgeOperationStatus;
        self.make_call(framework, kind, acknowledge);
    }
}
