//! What the agent's core is told and what it wants done.
//! Whoever runs it performs the effects in order.

use std::collections::BTreeMap;
use std::time::Duration;

use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::journal::Record;
use tepui_protocol::link::{AgentToMaster, Frame, MasterToAgent};
use tepui_protocol::v1::agent::call::LaunchContainer;
use tepui_protocol::v1::agent::response::WaitContainer;
use tepui_protocol::v1::{self, command_info, executor};

use super::container_resources::ContainerResources;
use super::garbage::{Place, Removals};
use super::volumes::{Volume, VolumeLink, VolumesUpdate};
use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId};

/// One attempt to reach the master, numbered by the agent and rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkNumber(pub u64);

/// One event stream of an executor; the skin draws the numbers and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Ties an answer to the HTTP request that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Something happened that the agent must decide upon.
#[derive(Debug)]
pub enum Input {
    /// The link could not be opened, or ended.
    LinkClosed {
        /// Which link.
        link: LinkNumber,
    },
    /// A frame arrived.
    FromMaster {
        /// On which link.
        link: LinkNumber,
        /// The frame's message.
        message: Box<MasterToAgent>,
    },
    /// An executor called; the call passed the stateless checks.
    Call {
        /// The call.
        call: Box<executor::Call>,
        /// The stream that a SUBSCRIBE would open.
        connection: ConnectionId,
        /// Where the answer goes.
        reply: Token,
    },
    /// The operator API was called about a container; the call passed the stateless checks.
    ContainerCall {
        /// The call.
        call: Box<ContainerCall>,
        /// Names the caller, who may leave before the answer.
        connection: ConnectionId,
        /// Where the answer goes.
        reply: Token,
    },
    /// The sandbox of a `RemoveContainer` is gone, or could not be removed.
    ContainerRemoved {
        /// The container.
        container: ContainerId,
        /// Why not.
        result: Result<(), String>,
    },
    /// An executor's event stream ended, or who called about a container has left.
    ConnectionClosed {
        /// The stream.
        connection: ConnectionId,
    },
    /// A container's process was started, or could not be.
    Launched {
        /// The container.
        container: ContainerId,
        /// Its process id, or why there is none.
        result: Result<u32, String>,
    },
    /// A container used more than it may: it is to be ended.
    Limited {
        /// The container.
        container: ContainerId,
        /// What it used too much of.
        limitation: Limitation,
    },
    /// A container's process ended, and nothing is left of what it has started.
    Exited {
        /// The container.
        container: ContainerId,
        /// Wait status as given by the kernel; `None` when it could not be had.
        status: Option<i32>,
    },
    /// The checkpoint that was ordered last is written and durable, with the paths of destroyed
    /// volumes whose data could not be removed; or it is not, and nothing has changed.
    Checkpointed {
        /// What became of it.
        result: Result<Vec<String>, String>,
    },
    /// The links of an `UpdateVolumes` were made or removed, or could not be.
    VolumesUpdated {
        /// The container.
        container: ContainerId,
        /// Why not.
        result: Result<(), String>,
    },
    /// Directories with sandboxes that were on the disk when the agent started, and how long ago
    /// something was last made in each, or in those within it.
    SandboxesFound {
        /// All of them.
        found: Vec<(Place, Duration)>,
    },
    /// What became of directories of a `Remove`.
    SandboxesRemoved {
        /// How many.
        removals: Removals,
    },
    /// The disk of the work directory was looked at.
    DiskUsed {
        /// How much of it is used, from 0 to 1.
        share: f64,
    },
    /// Another master leads now: the next link goes to it.
    MasterChanged,
    /// End executors, then this agent; the master is not told that the agent leaves.
    Stop,
    /// Leave the cluster for good, ending every executor.
    Leave,
    /// The deadline of `next_deadline` has passed.
    Tick,
}

/// A call of the operator API about a container in another one, or one that stands alone.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerCall {
    /// Launch it.
    Launch(LaunchContainer),
    /// Tell when it has ended, and how.
    Wait(ContainerId),
    /// Send a signal to its first process.
    Kill(ContainerId, i32),
    /// Remove what is left of it.
    Remove(ContainerId),
}

/// An HTTP answer that depends on the agent's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// 200 with an empty body.
    Done,
    /// 200 and how a container has ended.
    Ended(Box<WaitContainer>),
    /// 202 with an empty body.
    Accepted,
    /// 200 and a stream of events, which follow as effects.
    Stream,
    /// An error: status and plain text.
    Refused(u16, String),
}

/// Why a container is ended that used more than it may (Mesos: `ContainerLimitation`).
#[derive(Debug, Clone, PartialEq)]
pub struct Limitation {
    /// What its tasks' last updates give as their reason.
    pub reason: v1::task_status::Reason,
    /// A text with the figures.
    pub message: String,
    /// What it used.
    pub resources: Vec<v1::Resource>,
}

/// What runs in a container of type DOCKER, with the agent's own executor beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct InDocker {
    /// What the framework wants run: a task's command, or an executor's.
    pub command: v1::CommandInfo,
    /// The container's environment.
    pub environment: BTreeMap<String, String>,
    /// Whether it is an executor.
    pub is_executor: bool,
}

/// What runs in the root file system of an image, which has a word in it.
#[derive(Debug, Clone, PartialEq)]
pub struct InImage {
    /// What the framework wants run: a task's command, or that of an executor or container. The
    /// image says what it leaves open.
    pub command: v1::CommandInfo,
    /// Variables that the image's own win over; the launch's environment wins over both.
    pub inherited: BTreeMap<String, String>,
    /// Whether it is a task, so that the agent's own executor runs in the image too.
    pub is_task: bool,
    /// Whether the image may say who runs it: users are switched, and the command names none.
    pub may_name_user: bool,
}

/// A process to start as an executor's container.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// The container.
    pub container: ContainerId,
    /// The framework, for logs.
    pub framework: FrameworkId,
    /// The executor, for logs.
    pub executor: ExecutorId,
    /// Absolute path of the sandbox to make.
    pub directory: String,
    /// Program to run: absolute, relative to the sandbox, or a name to look for in `PATH`.
    pub program: String,
    /// All arguments, the program's own name first.
    pub arguments: Vec<String>,
    /// The complete environment.
    pub environment: BTreeMap<String, String>,
    /// User to run as; `None` means the agent's own.
    pub user: Option<String>,
    /// Persistent volumes to be seen in the sandbox before the program starts.
    pub volumes: Vec<VolumeLink>,
    /// What the container is given at first.
    pub resources: ContainerResources,
    /// What the framework asks of the container besides.
    pub info: Option<Box<v1::ContainerInfo>>,
    /// What runs inside, if it is of type DOCKER; then the program runs outside.
    pub docker: Option<Box<InDocker>>,
    /// What runs inside, if its root file system is that of an image; then program and arguments
    /// are those of the agent's own executor, or empty where the command is for the image to
    /// complete.
    pub image: Option<Box<InImage>>,
    /// What is to be fetched into the sandbox before the program starts.
    pub uris: Vec<command_info::Uri>,
    /// What else is to be known of one that was launched by a call.
    pub called: Option<Called>,
}

/// A container that was launched by a call of the operator API. How it ends is written down by its
/// own first process, for an agent that was not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The container it is in; none of one that stands alone.
    pub parent: Option<Parent>,
    /// The container whose limits it has: itself, or one that it is in.
    pub limits_of: ContainerId,
    /// Whether it looks at the container it is in, of which it shares all it can (Mesos:
    /// `ContainerClass::DEBUG`).
    pub is_debug: bool,
}

impl Launch {
    /// The container that this one looks at, if it was made for that.
    pub fn looks_at(&self) -> Option<&Parent> {
        let called = self.called.as_ref().filter(|called| called.is_debug)?;
        called.parent.as_ref()
    }
}

/// The container that another one is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub container: ContainerId,
    /// Its sandbox.
    pub directory: String,
    /// Its first process.
    pub pid: u32,
    /// The sandbox of the outermost container.
    pub root_directory: String,
}

/// The sandbox of a container that was launched by a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Where it is.
    pub directory: String,
    /// A directory above it that only the agent writes to, or that of the outermost container.
    pub root_directory: String,
}

/// A volume whose directory is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeVolume {
    /// The volume; what is at its path already is kept.
    pub volume: Volume,
    /// Whether data of a destroyed volume may be at its path, which must go first.
    pub clear: bool,
}

/// Steps in this order: directories are made, the file is replaced durably, data is removed.
/// When a step before the last fails, what was made is taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// New volumes.
    pub make: Vec<MakeVolume>,
    /// What the file says from now on.
    pub state: ResourcesAndOperations,
    /// Destroyed volumes.
    pub remove: Vec<Volume>,
}

/// Something the agent wants done.
///
/// What follows [`Effect::Record`] may be done only once the records are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append to the journal, which a restarted agent reads.
    Record(Vec<Record>),
    /// Open a link to the master.
    Connect(LinkNumber),
    /// Close a link; its end need not be reported.
    CloseLink(LinkNumber),
    /// Send to the master.
    ToMaster(LinkNumber, Box<Frame<AgentToMaster>>),
    /// Send an event to an executor; the skin encodes it.
    ToExecutor(ConnectionId, Box<executor::Event>),
    /// End an executor's stream after what was sent before.
    CloseConnection(ConnectionId),
    /// Answer a call.
    Reply(Token, Answer),
    /// Start a container and report `Launched`.
    Launch(Box<Launch>),
    /// Change what a container may use; it need not be reported.
    UpdateContainer(ContainerId, Box<ContainerResources>),
    /// Change the links to volumes in a sandbox and report `VolumesUpdated`.
    UpdateVolumes(Box<VolumesUpdate>),
    /// Write the checkpoint of resources and operations and report `Checkpointed`; there is never
    /// more than one at a time.
    Checkpoint(Box<Checkpoint>),
    /// Kill all processes of a container and report `Exited` as ever.
    Kill(ContainerId),
    /// Send a signal to the first process of a container that was launched by a call.
    Signal(ContainerId, i32),
    /// Forget how a container has ended. Where a sandbox is named, remove it, and report
    /// `ContainerRemoved`.
    RemoveContainer(ContainerId, Option<Box<Sandbox>>),
    /// Remove directories of sandboxes, and report `SandboxesRemoved`. A launch that follows may use
    /// the same paths.
    Remove(Vec<Place>),
    /// The agent has this id: point `slaves/latest` to its directory.
    Admitted(AgentId),
    /// Nothing is left to do: end the process, for this reason.
    Exit(String),
    /// The agent cannot go on: end the process with an error.
    Fail(String),
}
