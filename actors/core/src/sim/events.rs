//! What can happen in a simulated cluster.
//! Says nothing of what follows.

use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent};
use tepui_protocol::v1::{TaskStatus, executor, scheduler};

use super::net::{ConnId, Side};
use crate::agent;
use crate::allocator::messages::Command;
use crate::ids::ContainerId;
use crate::master::messages::{Answer, Input, LinkId, StreamId, Token};
use crate::registry::Operation;

/// Something that can crash, pause, and has a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// A master with its allocator and registrar, by its life.
    Master(u64),
    /// An agent.
    Agent(usize),
    /// A framework.
    Framework(usize),
}

/// What goes over connections.
#[derive(Debug)]
pub(super) enum Parcel {
    /// An agent opens a link.
    Open,
    /// An agent's frame.
    FromAgent(Box<Frame<AgentToMaster>>),
    /// A message for an agent.
    ToAgent(Box<MasterToAgent>),
    /// A framework subscribes.
    Subscribe(Box<scheduler::call::Subscribe>),
    /// The head of the answer to that.
    Streaming(StreamId),
    /// An event for a framework.
    Event(Box<scheduler::Event>),
    /// A framework's call, with its `Mesos-Stream-Id` and its number.
    Call(Box<scheduler::Call>, StreamId, u64),
    /// The answer to that.
    Answer(Answer),
    /// An executor's call.
    ExecutorCall(Box<executor::Call>),
    /// An event for an executor.
    ExecutorEvent(Box<executor::Event>),
    /// An executor's SUBSCRIBE was refused.
    ExecutorRefused,
    /// The other end has closed the connection.
    End,
}

/// What an executor is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Open its stream.
    Subscribe,
    /// End a task by itself.
    Finish(String),
    /// End a task it was told to kill.
    Killed(String),
    /// End its process.
    Exit,
    /// The agent did not come back in time.
    GiveUp,
}

/// Which line between the master and its helpers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// Commands.
    ToAllocator,
    /// Proposals and answers.
    FromAllocator,
    /// Operations.
    ToRegistrar,
    /// Answers.
    FromRegistrar,
}

/// What can happen. A `life` numbers the lives of a process: what was meant for an earlier one is
/// lost.
#[derive(Debug)]
pub(super) enum Event {
    /// The first parcel of a lane arrives.
    Arrive(ConnId, Side),
    /// One end learns that the connection is gone.
    Closed(ConnId, Side),
    /// What was held on a connection may arrive.
    Heal(ConnId),
    /// A paused node goes on.
    Resume(Node),
    /// A master is elected, if none leads.
    StartMaster,
    /// ZooKeeper gives up a master that is paused.
    Expire { life: u64 },
    /// A master learns that it was given up.
    LearnExpired { life: u64 },
    /// A node learns who leads.
    Detect { node: Node, leader: u64 },
    /// The master's timer.
    MasterTimer { life: u64 },
    /// Something from its helpers.
    ToMaster { life: u64, input: Box<Input> },
    /// Commands reach the allocator.
    Commands { life: u64, commands: Vec<Command> },
    /// The allocator's timer.
    AllocatorTimer { life: u64 },
    /// An operation reaches the registrar.
    Apply {
        life: u64,
        token: Token,
        operation: Box<Operation>,
    },
    /// A write reaches the registry's store.
    Commit { life: u64 },
    /// A master learns what became of its write.
    Written { life: u64 },
    /// A link's next ping is due.
    Ping { life: u64, link: LinkId },
    /// An agent's process starts.
    StartAgent(usize),
    /// An agent's timer.
    AgentTimer { agent: usize, life: u64 },
    /// Something from its helpers.
    ToAgent {
        agent: usize,
        life: u64,
        input: Box<agent::messages::Input>,
    },
    /// An agent's checkpoint is written, or could not be.
    DiskDone { agent: usize, life: u64 },
    /// A container's process starts, or cannot be started.
    Spawn {
        agent: usize,
        life: u64,
        launch: Box<agent::messages::Launch>,
    },
    /// An executor does something.
    Executor {
        agent: usize,
        container: ContainerId,
        deed: Deed,
    },
    /// A framework's process starts.
    StartFramework(usize),
    /// A framework subscribes.
    Dial { framework: usize, life: u64 },
    /// A framework does something on its own.
    Act { framework: usize, life: u64 },
    /// A framework asks after its tasks.
    Reconcile { framework: usize, life: u64 },
    /// A framework acknowledges an update.
    Acknowledge {
        framework: usize,
        life: u64,
        status: Box<TaskStatus>,
    },
    /// An agent says something again that it should not; see `sabotage`.
    Repeat {
        agent: usize,
        life: u64,
        conn: ConnId,
        frame: Box<Frame<AgentToMaster>>,
    },
    /// Something goes wrong.
    Fault,
    /// An operator changes something, and will again.
    Operate,
    /// An operator changes something.
    Ask,
}
