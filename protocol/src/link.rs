//! Messages of the agent link: one WebSocket from agent to master, one msgpack frame per message.
//! Decides nothing; who sends what when is up to the cores of master and agent.

use serde::{Deserialize, Serialize};

use crate::pb::Pb;
use crate::v1;

/// Path of the agent link on the master's ordinary port.
pub const PATH: &str = "/api/tepui/v1/agent-link";

/// Version of this message set; a master refuses an agent that speaks another one.
pub const VERSION: u32 = 1;

/// Largest accepted frame in bytes; a larger one ends the link.
pub const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;

/// Deepest nesting inside a frame; a deeper one ends the link. Inner messages count as one level.
pub const MAX_FRAME_DEPTH: usize = 64;

/// One frame: a message and the epoch of the link it was meant for.
///
/// The master numbers links; a frame that carries the epoch of an older link is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame<T> {
    /// Epoch the master gave this link in [`MasterToAgent::Hello`]; 0 before that.
    pub epoch: u64,
    /// The message itself.
    pub body: T,
}

/// What an agent tells the master.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AgentToMaster {
    /// A new agent asks to be admitted and given an id.
    Register(Box<Register>),
    /// A known agent comes back after a lost link, a restart or a change of master.
    Reregister(Box<Reregister>),
    /// The agent's answer to a ping; proves it is alive.
    Pong,
    /// A task changed state. Sent again until acknowledged by the framework.
    StatusUpdate(Box<StatusUpdate>),
    /// An executor ended.
    ExecutorExited {
        /// Framework the executor belonged to.
        framework_id: String,
        /// The executor.
        executor_id: String,
        /// Wait status as given by the kernel, or -1 when unknown.
        status: i32,
    },
    /// Data an executor sends to its framework; best effort.
    ExecutorMessage {
        /// Framework that is to receive it.
        framework_id: String,
        /// Executor that sent it.
        executor_id: String,
        /// Opaque bytes.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// State of an operation on reservations or volumes.
    OperationStatus {
        /// Framework that asked for the operation, if any.
        framework_id: Option<String>,
        /// The master's own id of the operation (16 bytes).
        #[serde(with = "serde_bytes")]
        operation_uuid: Vec<u8>,
        /// The new status.
        status: Pb<v1::OperationStatus>,
    },
    /// The agent leaves for good: its tasks are shut down.
    Unregister,
}

/// First registration of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// The agent without an id.
    pub info: Pb<v1::AgentInfo>,
    /// Version of Mesos's interfaces the agent speaks, e.g. `1.12.0`.
    pub version: String,
    /// [`VERSION`] of the agent.
    pub link_version: u32,
    /// Names of `mesos.v1` agent capabilities, e.g. `MULTI_ROLE`.
    pub capabilities: Vec<String>,
    /// Dynamic reservations and volumes the agent has on disk.
    pub checkpointed_resources: Vec<Pb<v1::Resource>>,
    /// Identifies the state of the agent's resources (16 bytes).
    #[serde(with = "serde_bytes")]
    pub resource_version: Vec<u8>,
}

/// Re-registration of an agent that already has an id, with all it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reregister {
    /// As in [`Register`], but `info.id` is set.
    pub register: Register,
    /// Tasks the agent knows, with their latest state; terminal ones until acknowledged.
    pub tasks: Vec<Pb<v1::Task>>,
    /// Live executors.
    pub executors: Vec<Pb<v1::ExecutorInfo>>,
    /// Frameworks the tasks and executors belong to.
    pub frameworks: Vec<Pb<v1::FrameworkInfo>>,
    /// Frameworks that ended on this agent.
    pub completed_frameworks: Vec<String>,
    /// Unfinished or unacknowledged operations.
    pub operations: Vec<Pb<v1::Operation>>,
}

/// A task's new state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// Framework of the task.
    pub framework_id: String,
    /// Executor of the task, if it has one.
    pub executor_id: Option<String>,
    /// The status to pass on; its `uuid` is set when it must be acknowledged.
    pub status: Pb<v1::TaskStatus>,
    /// State the task has reached meanwhile (`TaskState` number).
    pub latest_state: i32,
}

/// What the master tells an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MasterToAgent {
    /// First frame on every link.
    Hello {
        /// Epoch of this link; the agent puts it in every frame.
        epoch: u64,
        /// The master at the other end.
        master: Pb<v1::MasterInfo>,
    },
    /// The agent is to end all its tasks, and takes no more until it has, or until the drain is
    /// called off.
    Drain {
        /// How long tasks may take at most, and what is told of them; none when it is called off.
        config: Option<Pb<v1::DrainConfig>>,
    },
    /// The agent is admitted under this id.
    Registered {
        /// The agent's id from now on.
        agent_id: String,
        /// Silence of the master after which the agent gives the link up, in milliseconds.
        ping_timeout_ms: u64,
    },
    /// The agent is known again.
    Reregistered {
        /// The agent's id.
        agent_id: String,
        /// As in [`MasterToAgent::Registered`].
        ping_timeout_ms: u64,
        /// Tasks the master expects here: those the agent does not know are to be reported lost.
        reconcile: Vec<TaskRef>,
    },
    /// The agent must end itself and its tasks (it is gone, removed or not welcome).
    Shutdown {
        /// Why.
        message: String,
    },
    /// Liveness probe.
    Ping {
        /// False when the master believes this agent is disconnected: it must re-register.
        connected: bool,
    },
    /// Launch one task.
    RunTask(Box<RunTask>),
    /// Launch a group, all or nothing.
    RunTaskGroup(Box<RunTaskGroup>),
    /// Kill a task.
    KillTask {
        /// Framework of the task.
        framework_id: String,
        /// The task.
        task_id: String,
        /// Overrides the task's own policy.
        kill_policy: Option<Pb<v1::KillPolicy>>,
    },
    /// The framework has seen an update.
    AcknowledgeStatus {
        /// Framework of the task.
        framework_id: String,
        /// The task.
        task_id: String,
        /// Uuid of the update (16 bytes).
        #[serde(with = "serde_bytes")]
        uuid: Vec<u8>,
    },
    /// Shut an executor down.
    ShutdownExecutor {
        /// Framework of the executor.
        framework_id: String,
        /// The executor.
        executor_id: String,
    },
    /// Shut everything of a framework down.
    ShutdownFramework {
        /// The framework.
        framework_id: String,
    },
    /// A framework's data changed.
    UpdateFramework {
        /// The new data; `id` is set.
        info: Pb<v1::FrameworkInfo>,
    },
    /// Data a framework sends to an executor; best effort.
    FrameworkMessage {
        /// Framework that sent it.
        framework_id: String,
        /// Executor that is to receive it.
        executor_id: String,
        /// Opaque bytes.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// Carry out an operation on reservations or volumes.
    ApplyOperation {
        /// Framework that asked for it, if any.
        framework_id: Option<String>,
        /// What to do.
        operation: Pb<v1::offer::Operation>,
        /// The master's own id of it (16 bytes).
        #[serde(with = "serde_bytes")]
        operation_uuid: Vec<u8>,
    },
    /// An operation's status was seen.
    AcknowledgeOperation {
        /// Uuid of the status (16 bytes).
        #[serde(with = "serde_bytes")]
        status_uuid: Vec<u8>,
        /// The master's own id of the operation (16 bytes).
        #[serde(with = "serde_bytes")]
        operation_uuid: Vec<u8>,
    },
}

/// Names one task of one framework.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskRef {
    /// The framework.
    pub framework_id: String,
    /// The task.
    pub task_id: String,
}

/// Order to launch one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunTask {
    /// The task's framework; `id` is set.
    pub framework: Pb<v1::FrameworkInfo>,
    /// The task, validated by the master; its resources carry their allocation role.
    pub task: Pb<v1::TaskInfo>,
    /// True when the master counted a new executor for this launch; the agent drops the task
    /// otherwise than expected rather than start a second executor or join a dead one.
    pub launch_executor: bool,
}

/// Order to launch a task group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunTaskGroup {
    /// The group's framework; `id` is set.
    pub framework: Pb<v1::FrameworkInfo>,
    /// The group's executor, filled in by the master.
    pub executor: Pb<v1::ExecutorInfo>,
    /// The tasks, each with its executor filled in.
    pub group: Pb<v1::TaskGroupInfo>,
    /// As in [`RunTask`].
    pub launch_executor: bool,
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than [`MAX_FRAME_BYTES`].
    #[error("frame of {0} bytes exceeds the limit of {MAX_FRAME_BYTES}")]
    TooLarge(usize),
    /// The bytes are no such message.
    #[error("frame is not a link message: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// The message cannot be written.
    #[error("message cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// Encodes one frame.
///
/// # Errors
/// When the result would exceed [`MAX_FRAME_BYTES`].
pub fn encode<T: Serialize>(frame: &Frame<T>) -> Result<Vec<u8>, FrameError> {
    let bytes = rmp_serde::to_vec_named(frame)?;
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes one frame.
///
/// # Errors
/// When the bytes are too many or no such message.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Frame<T>, FrameError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_FRAME_DEPTH);
    Ok(Frame::deserialize(&mut deserializer)?)
}
