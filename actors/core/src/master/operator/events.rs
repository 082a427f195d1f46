//! What subscribers of the operator API are told, and when the master has something to tell them.
//! Encodes nothing, and builds nothing while nobody subscribes.

use std::sync::Arc;

use tepui_protocol::v1::master::{Event, event};
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{FrameworkInfo, TaskStatus};

use super::super::Master;
use super::super::messages::Effect;
use super::super::model::{Agent, Framework, FrameworkState, Task};
use super::views;
use crate::ids::{AgentId, FrameworkId};
use crate::memo::Memo;

/// A change that subscribers of the operator API are told of. It shares what it tells of with the
/// master's state, so that making one costs nearly nothing.
#[derive(Debug, Clone)]
pub enum OperatorEvent {
    /// A task was launched, or an agent brought it.
    TaskAdded(Arc<Memo<Task>>),
    /// A task is in another state, or its checks have another result.
    TaskUpdated {
        /// Whose it is.
        framework: FrameworkId,
        /// What was said of it.
        status: Box<TaskStatus>,
        /// The number of its latest known state.
        state: i32,
    },
    /// An agent was admitted.
    AgentAdded(Arc<Memo<Agent>>),
    /// An agent left for good.
    AgentRemoved(AgentId),
    /// A framework subscribed for the first time, or an agent brought it.
    FrameworkAdded(Arc<Framework>),
    /// A framework came back, or changed what it says of itself.
    FrameworkUpdated(Arc<Framework>),
    /// A framework has ended.
    FrameworkRemoved(Arc<FrameworkInfo>),
}

impl OperatorEvent {
    /// The event in the form of the API. Mesos: `protobuf::master::event`.
    pub fn to_v1(&self) -> Event {
        let of = |kind: event::Type| Event {
            r#type: Some(kind as i32),
            ..Event::default()
        };
        match self {
            OperatorEvent::TaskAdded(task) => Event {
                task_added: Some(event::TaskAdded { task: task.to_v1() }),
                ..of(event::Type::TaskAdded)
            },
            OperatorEvent::TaskUpdated {
                framework,
                status,
                state,
            } => Event {
                task_updated: Some(event::TaskUpdated {
                    framework_id: framework.to_v1(),
                    status: TaskStatus::clone(status),
                    state: *state,
                }),
                ..of(event::Type::TaskUpdated)
            },
            OperatorEvent::AgentAdded(agent) => Event {
                agent_added: Some(event::AgentAdded {
                    // Nothing of it was offered yet.
                    agent: views::agent(agent, std::iter::empty()),
                }),
                ..of(event::Type::AgentAdded)
            },
            OperatorEvent::AgentRemoved(id) => Event {
                agent_removed: Some(event::AgentRemoved {
                    agent_id: id.to_v1(),
                }),
                ..of(event::Type::AgentRemoved)
            },
            OperatorEvent::FrameworkAdded(framework) => Event {
                framework_added: Some(event::FrameworkAdded {
                    framework: views::framework_itself(framework),
                }),
                ..of(event::Type::FrameworkAdded)
            },
            OperatorEvent::FrameworkUpdated(framework) => Event {
                framework_updated: Some(event::FrameworkUpdated {
                    framework: views::framework_itself(framework),
                }),
                ..of(event::Type::FrameworkUpdated)
            },
            OperatorEvent::FrameworkRemoved(info) => Event {
                framework_removed: Some(event::FrameworkRemoved {
                    framework_info: FrameworkInfo::clone(info),
                }),
                ..of(event::Type::FrameworkRemoved)
            },
        }
    }
}

impl PartialEq for OperatorEvent {
    /// Whether both tell the same.
    fn eq(&self, other: &Self) -> bool {
        self.to_v1() == other.to_v1()
    }
}

impl Master {
    /// Tells subscribers, if there are any.
    pub(in crate::master) fn tell_subscribers(
        &self,
        event: impl FnOnce() -> OperatorEvent,
        out: &mut Vec<Effect>,
    ) {
        if self.watched {
            out.push(Effect::ToSubscribers(event()));
        }
    }

    /// Tells subscribers what was said of a task, unless it is nothing new. Mesos: `updateTask`.
    pub(in crate::master) fn tell_task_updated(
        &self,
        framework: &FrameworkId,
        status: &TaskStatus,
        state: i32,
        is_new_state: bool,
        out: &mut Vec<Effect>,
    ) {
        let is_of_check = matches!(
            status.reason(),
            Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated
        );
        if !is_new_state && !is_of_check {
            return;
        }
        let event = || OperatorEvent::TaskUpdated {
            framework: framework.clone(),
            status: Box::new(status.clone()),
            state,
        };
        self.tell_subscribers(event, out);
    }

    /// Tells subscribers of a new framework. One that names an id of which nothing is known is
    /// recovered first, and comes back then, as in Mesos.
    pub(in crate::master) fn tell_framework_added(&self, id: &FrameworkId, out: &mut Vec<Effect>) {
        let Some(framework) = self.frameworks.get(id).filter(|_| self.watched) else {
            return;
        };
        let comes_back = framework.stream().is_some() && framework.reregistered_time.is_some();
        if !comes_back {
            let event = OperatorEvent::FrameworkAdded(framework.clone());
            return out.push(Effect::ToSubscribers(event));
        }
        let mut recovered = Framework::clone(framework);
        recovered.state = FrameworkState::Recovered;
        for event in [
            OperatorEvent::FrameworkAdded(Arc::new(recovered)),
            OperatorEvent::FrameworkUpdated(framework.clone()),
        ] {
            out.push(Effect::ToSubscribers(event));
        }
    }

    /// Tells subscribers of a framework that is not what it was.
    pub(in crate::master) fn tell_framework_updated(
        &self,
        id: &FrameworkId,
        out: &mut Vec<Effect>,
    ) {
        if let Some(framework) = self.frameworks.get(id) {
            let event = || OperatorEvent::FrameworkUpdated(framework.clone());
            self.tell_subscribers(event, out);
        }
    }
}
