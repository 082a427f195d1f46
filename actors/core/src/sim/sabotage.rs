//! Faults that no cluster should have: what is broken on purpose so that a checker must find it.
//! Without an order to do so, everything passes unchanged.

use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent, StatusUpdate};
use tepui_protocol::v1::executor;

use super::events::Event;
use super::net::ConnId;
use super::world::{SECOND, World};
use crate::agent::messages::Input;
use crate::agent::model::is_terminal;
use crate::allocator::messages::Command;

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
        let loses = self.options.sabotage == Some(Sabotage::LoseAcknowledgements);
        let is_acknowledgement = matches!(*order, MasterToAgent::AcknowledgeStatus { .. });
        (!(loses && is_acknowledgement)).then_some(order)
    }

    /// Whether this event is to be sent twice.
    pub(super) fn is_event_doubled(&mut self, event: &executor::Event) -> bool {
        event.launch.is_some() && self.is_sabotaged(Sabotage::LaunchTwice)
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

    /// Whether a write is to be lost.
    pub(super) fn is_write_lost(&mut self) -> bool {
        self.is_sabotaged(Sabotage::LoseWrite)
    }
}
