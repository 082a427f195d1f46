//! Faults that no cluster should have: what is broken on purpose so that a checker must find it.
//! Without an order to do so, everything passes unchanged.

use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent, StatusUpdate};
use tepui_protocol::v1::offer::{Operation, operation};
use tepui_protocol::v1::{TaskInfo, executor, scheduler};

use super::events::Event;
use super::net::ConnId;
use super::world::{SECOND, World};
use crate::agent::messages::Input;
use crate::agent::model::is_terminal;
use crate::allocator::messages::Command;
use crate::resources::{Format, Resources};

/// What is broken. Each happens once or, where that heals, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Acknowledgements of updates never reach an agent.
    LoseAcknowledgements,
    /// The allocator is not told that resources came back.
    ForgetRelease,
    /// The allocator is told twice that resources are held.
    ChargeTwice,
    /// An executor is handed a task twice.
    LaunchTwice,
    /// Ends of tasks are lost although they count as acknowledged.
    LoseUpdate,
    /// An agent sends an update again although it was acknowledged.
    RepeatUpdate,
    /// A write of the registry is answered although it was not done.
    LoseWrite,
    /// A master that leads no more can still write the registry.
    OpenFence,
    /// Agents are told to end everything of a framework that is there.
    ShutFrameworkDown,
    /// An agent is told to kill a task that nobody wants to be killed.
    KillUnasked,
    /// A framework is asked to leave an agent at another time than planned.
    ForgeInverseOffer,
    /// An agent is shut down although its machine is up.
    ShutAgentDown,
    /// Executors hear a message twice.
    DoubleMessage,
    /// Frameworks hear messages as if from other executors.
    MisdirectMessage,
    /// Agents are not told what became of a framework.
    LoseFrameworkUpdates,
    /// Agents never hear of the operations that they are to carry out.
    LoseOperations,
    /// An agent is told that its checkpoint is written, but it is not.
    LoseCheckpoints,
    /// An agent is told to destroy a volume that a task uses.
    DestroyUnderTask,
}

/// Which chance is used: the first ones come before there is much to break.
const USED_CHANCE: u64 = 3;

impl World {
    /// Whether this is the time for it.
    fn is_sabotaged(&mut self, what: Sabotage) -> bool {
        if self.options.sabotage != Some(what) {
            return false;
        }
        self.chances += 1;
        // A lost update heals when its task is killed, so all are lost from then on.
        match what {
            Sabotage::LoseUpdate => self.chances >= USED_CHANCE,
            Sabotage::ForgeInverseOffer | Sabotage::DoubleMessage | Sabotage::MisdirectMessage => {
                true
            }
            _ => self.chances == USED_CHANCE,
        }
    }

    /// Adds a command, changed if need be, to those for the allocator.
    pub(super) fn sabotaged_command(&mut self, command: Command, commands: &mut Vec<Command>) {
        let copy = command.clone();
        match &command {
            Command::Release { refusal: None, .. }
                if self.is_sabotaged(Sabotage::ForgetRelease) =>
            {
                return;
            }
            Command::Release {
                framework,
                agent,
                resources,
                refusal: None,
            } if self.is_sabotaged(Sabotage::ChargeTwice) => commands.push(Command::Charge {
                framework: framework.clone(),
                agent: agent.clone(),
                resources: resources.clone(),
            }),
            _ => {}
        }
        commands.push(copy);
    }

    /// The order that is sent in place of this one, if any.
    pub(super) fn sabotaged_order(
        &mut self,
        order: Box<MasterToAgent>,
    ) -> Option<Box<MasterToAgent>> {
        let is_lost = match self.options.sabotage {
            Some(Sabotage::LoseAcknowledgements) => {
                matches!(*order, MasterToAgent::AcknowledgeStatus { .. })
            }
            Some(Sabotage::LoseFrameworkUpdates) => {
                matches!(*order, MasterToAgent::UpdateFramework { .. })
            }
            Some(Sabotage::LoseOperations) => {
                matches!(*order, MasterToAgent::ApplyOperation { .. })
            }
            _ => false,
        };
        (!is_lost).then_some(order)
    }

    /// An order that no master has given, along with the launch of a task.
    pub(super) fn forged_order(&mut self, order: &MasterToAgent) -> Option<Box<MasterToAgent>> {
        let MasterToAgent::RunTask(run) = order else {
            return None;
        };
        let framework_id = run.framework.id.as_ref()?.value.clone();
        // Others may be given up at any time.
        let is_patient = self.frameworks.iter().any(|host| {
            let id = host.id.as_ref();
            host.wanted.is_patient() && id.is_some_and(|id| id.as_str() == framework_id)
        });
        if !is_patient {
            return None;
        }
        let task_id = run.task.task_id.value.clone();
        let forged = match self.options.sabotage {
            Some(Sabotage::ShutFrameworkDown) => MasterToAgent::ShutdownFramework { framework_id },
            Some(Sabotage::ShutAgentDown) => MasterToAgent::Shutdown {
                message: "no need".to_owned(),
            },
            Some(Sabotage::KillUnasked) => MasterToAgent::KillTask {
                framework_id,
                task_id,
                kill_policy: None,
            },
            _ => return None,
        };
        self.chances += 1;
        (self.chances >= USED_CHANCE).then(|| Box::new(forged))
    }

    /// The event that is sent in place of this one.
    pub(super) fn sabotaged_event(
        &mut self,
        mut event: Box<scheduler::Event>,
    ) -> Box<scheduler::Event> {
        if let Some(message) = &mut event.message
            && self.is_sabotaged(Sabotage::MisdirectMessage)
        {
            "other".clone_into(&mut message.executor_id.value);
        }
        if let Some(asked) = &mut event.inverse_offers
            && self.is_sabotaged(Sabotage::ForgeInverseOffer)
        {
            for offer in &mut asked.inverse_offers {
                offer.unavailability.start.nanoseconds += 1;
            }
        }
        event
    }

    /// Whether a checkpoint that an agent believes to be written is not.
    pub(super) fn is_checkpoint_lost(&mut self) -> bool {
        self.options.sabotage == Some(Sabotage::LoseCheckpoints)
    }

    /// A task begins; its volumes may be gone soon.
    pub(super) fn task_begins(&mut self, agent: usize, task: &TaskInfo) {
        if self.options.sabotage != Some(Sabotage::DestroyUnderTask) {
            return;
        }
        let used = Resources::from_v1(&task.resources).unwrap_or_default();
        let volumes = used.persistent_volumes().unallocated();
        let Some(process) = self.agent_process(agent).filter(|_| !volumes.is_empty()) else {
            return;
        };
        let (life, link) = (process.life, process.link.map(|(number, _)| number));
        let operation = Operation {
            r#type: Some(operation::Type::Destroy as i32),
            destroy: Some(operation::Destroy {
                volumes: volumes.to_v1(Format::PostRefinement),
            }),
            ..Operation::default()
        };
        let message = Box::new(MasterToAgent::ApplyOperation {
            framework_id: None,
            operation: operation.into(),
            operation_uuid: vec![7; 16],
        });
        if let Some(link) = link {
            let input = Box::new(Input::FromMaster { link, message });
            self.after(1, Event::ToAgent { agent, life, input });
        }
    }

    /// Whether this event is to be sent twice.
    pub(super) fn is_event_doubled(&mut self, event: &executor::Event) -> bool {
        (event.launch.is_some() && self.is_sabotaged(Sabotage::LaunchTwice))
            || (event.message.is_some() && self.is_sabotaged(Sabotage::DoubleMessage))
    }

    /// The frame that is sent in place of this one, if any.
    pub(super) fn sabotaged_frame(
        &mut self,
        agent: usize,
        conn: ConnId,
        frame: Box<Frame<AgentToMaster>>,
    ) -> Option<Box<Frame<AgentToMaster>>> {
        let AgentToMaster::StatusUpdate(update) = &frame.body else {
            return Some(frame);
        };
        if is_terminal(update.status.state()) && self.is_sabotaged(Sabotage::LoseUpdate) {
            self.feign_acknowledgement(agent, update);
            return None;
        }
        if self.is_sabotaged(Sabotage::RepeatUpdate) {
            let life = self.agent_process(agent).map_or(0, |process| process.life);
            let frame = frame.clone();
            let event = Event::Repeat {
                agent,
                life,
                conn,
                frame,
            };
            self.after(90 * SECOND, event);
        }
        Some(frame)
    }

    /// The agent believes that an update was acknowledged.
    fn feign_acknowledgement(&mut self, agent: usize, update: &StatusUpdate) {
        let Some(process) = self.agent_process(agent) else {
            return;
        };
        let (life, link) = (process.life, process.link.map(|(number, _)| number));
        let Some(link) = link else {
            return;
        };
        let message = Box::new(MasterToAgent::AcknowledgeStatus {
            framework_id: update.framework_id.clone(),
            task_id: update.status.task_id.value.clone(),
            uuid: update.status.uuid.clone().unwrap_or_default(),
        });
        let input = Box::new(Input::FromMaster { link, message });
        self.after(1, Event::ToAgent { agent, life, input });
    }

    /// Whether a master that leads no more may write.
    pub(super) fn is_fence_open(&self) -> bool {
        self.options.sabotage == Some(Sabotage::OpenFence)
    }

    /// Whether a write is to be lost.
    pub(super) fn is_write_lost(&mut self) -> bool {
        self.is_sabotaged(Sabotage::LoseWrite)
    }
}
