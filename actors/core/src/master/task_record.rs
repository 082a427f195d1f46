//! What the master keeps of a task: little, as there may be half a million of them.
//! Does not say when a task changes; `tasks.rs` does.

use tepui_protocol::packed::Packed;
use tepui_protocol::v1::{self, TaskStatus};
use tepui_protocol::wire;
use uuid::Uuid;

use crate::ids::{AgentId, ExecutorId, FrameworkId, TaskId};
use crate::resources::{Format, Resources};

/// Number of the only field of every id.
const ID_VALUE: u32 = 1;
// Numbers of the fields of `mesos.v1.Task` that are not kept as they were described; all but the
// name have lower numbers than those that are.
const TASK_ID: u32 = 2;
const FRAMEWORK_ID: u32 = 3;
const EXECUTOR_ID: u32 = 4;
const AGENT_ID: u32 = 5;
const STATE: u32 = 6;
const RESOURCES: u32 = 7;
const STATUSES: u32 = 8;
const STATUS_UPDATE_STATE: u32 = 9;
const STATUS_UPDATE_UUID: u32 = 10;

/// A task the master knows of.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub framework: FrameworkId,
    /// Where it runs.
    pub agent: AgentId,
    /// Its executor, unless it is a command task.
    pub executor: Option<ExecutorId>,
    /// The number of its latest known state; one that this version does not know is kept too.
    pub state: i32,
    /// The state of the last update that was passed on to its framework.
    pub forwarded_state: Option<i32>,
    /// The name of that update.
    pub forwarded_uuid: Option<Uuid>,
    /// Its resources, with allocation role.
    pub resources: Resources,
    /// True once its resources went back to the allocator.
    pub recovered: bool,
    /// The last status of each state, the latest at the end.
    statuses: Vec<(i32, Packed<TaskStatus>)>,
    /// All else its description says.
    details: Packed<v1::Task>,
}

/// Number of the field `timestamp` of a status.
const TIMESTAMP: u32 = 6;

impl Task {
    /// A task as it was described; ids and resources were read of that already, and the ids are
    /// shared with whoever else has them.
    pub fn new(
        (framework, id): (FrameworkId, TaskId),
        agent: AgentId,
        mut info: v1::Task,
        resources: Resources,
    ) -> Task {
        let executor = info.executor_id.take();
        let statuses = std::mem::take(&mut info.statuses);
        let uuid = info.status_update_uuid.take();
        let mut task = Task {
            id,
            framework,
            agent,
            executor: executor.as_ref().map(ExecutorId::from),
            state: info.state,
            forwarded_state: info.status_update_state.take(),
            forwarded_uuid: uuid.and_then(|uuid| Uuid::from_slice(&uuid).ok()),
            resources,
            recovered: false,
            statuses: Vec::new(),
            details: Packed::new(&v1::Task {
                task_id: Default::default(),
                framework_id: Default::default(),
                agent_id: Default::default(),
                state: 0,
                resources: Vec::new(),
                ..info
            }),
        };
        for status in statuses {
            task.push_status(&status);
        }
        task
    }

    /// What its description says beside ids, state, statuses and resources.
    pub fn details(&self) -> v1::Task {
        self.details.unpack()
    }

    /// The last status of each state, oldest first.
    pub fn statuses(&self) -> impl DoubleEndedIterator<Item = TaskStatus> + '_ {
        self.statuses.iter().map(|(_, status)| status.unpack())
    }

    /// When its first status was made, in seconds since the Unix epoch, if it has one. Nothing else
    /// of the status is read: whoever sorts tasks asks this of very many.
    pub fn first_status_time(&self) -> Option<f64> {
        let (_, status) = self.statuses.first()?;
        Some(status.double(TIMESTAMP).unwrap_or_default())
    }

    /// The whole task in the form of the API.
    pub fn to_v1(&self) -> v1::Task {
        v1::Task {
            task_id: self.id.to_v1(),
            framework_id: self.framework.to_v1(),
            agent_id: self.agent.to_v1(),
            executor_id: self.executor.as_ref().map(ExecutorId::to_v1),
            state: self.state,
            status_update_state: self.forwarded_state,
            status_update_uuid: self.forwarded_uuid.map(|uuid| uuid.as_bytes().to_vec()),
            statuses: self.statuses().collect(),
            resources: self.resources.to_v1(Format::PostRefinement),
            ..self.details()
        }
    }

    /// Appends the whole task as protobuf: the bytes of [`Task::to_v1`], without making that.
    pub fn put_protobuf(&self, out: &mut Vec<u8>) {
        let mut id = Vec::new();
        let mut put_id = |number, value: &str, out: &mut Vec<u8>| {
            id.clear();
            wire::put_bytes(ID_VALUE, value.as_bytes(), &mut id);
            wire::put_bytes(number, &id, out);
        };
        // What is not in the description stands between the name and all else.
        let mut details = wire::raw_fields(self.details.bytes()).peekable();
        if let Some((_, name)) = details.next_if(|(number, _)| *number < TASK_ID) {
            out.extend_from_slice(name);
        }
        put_id(TASK_ID, self.id.as_str(), out);
        put_id(FRAMEWORK_ID, self.framework.as_str(), out);
        if let Some(executor) = &self.executor {
            put_id(EXECUTOR_ID, executor.as_str(), out);
        }
        put_id(AGENT_ID, self.agent.as_str(), out);
        // A negative number is extended to 64 bits.
        wire::put_varint(STATE, i64::from(self.state) as u64, out);
        for entry in &self.resources {
            entry.put_protobuf(RESOURCES, Format::PostRefinement, out);
        }
        for (_, status) in &self.statuses {
            wire::put_bytes(STATUSES, status.bytes(), out);
        }
        if let Some(state) = self.forwarded_state {
            wire::put_varint(STATUS_UPDATE_STATE, i64::from(state) as u64, out);
        }
        if let Some(uuid) = self.forwarded_uuid {
            wire::put_bytes(STATUS_UPDATE_UUID, uuid.as_bytes(), out);
        }
        for (number, field) in details {
            if number > STATUS_UPDATE_UUID {
                out.extend_from_slice(field);
            }
        }
    }

    /// Takes in a status; of several in a row of one state the last is kept, and never the
    /// framework's own data. Says whether it is of another state than the one before.
    pub fn push_status(&mut self, status: &TaskStatus) -> bool {
        let packed = match &status.data {
            None => Packed::new(status),
            Some(_) => Packed::new(&TaskStatus {
                data: None,
                ..status.clone()
            }),
        };
        match self.statuses.last_mut() {
            Some((state, last)) if *state == status.state => {
                *last = packed;
                false
            }
            _ => {
                self.statuses.reserve_exact(1);
                self.statuses.push((status.state, packed));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: v1::TaskState, message: &str) -> TaskStatus {
        TaskStatus {
            state: state as i32,
            message: Some(message.to_owned()),
            data: Some(b"the framework's own".to_vec()),
            ..Default::default()
        }
    }

    fn reported() -> v1::Task {
        let running = TaskStatus {
            data: None,
            ..status(v1::TaskState::TaskRunning, "healthy")
        };
        v1::Task {
            name: "name".to_owned(),
            task_id: TaskId::from("t").to_v1(),
            framework_id: FrameworkId::from("F").to_v1(),
            agent_id: AgentId::from("S").to_v1(),
            executor_id: Some(ExecutorId::from("e").to_v1()),
            state: v1::TaskState::TaskRunning as i32,
            status_update_state: Some(v1::TaskState::TaskRunning as i32),
            status_update_uuid: Some(vec![7; 16]),
            statuses: vec![running],
            resources: Resources::parse("cpus:0.5;ports:[1-2]", "*")
                .unwrap()
                .allocated_to("*")
                .to_v1(Format::PostRefinement),
            user: Some("root".to_owned()),
            limits: [("mem".to_owned(), v1::value::Scalar { value: 0.0 })].into(),
            ..Default::default()
        }
    }

    fn kept(info: v1::Task) -> Task {
        let key = (FrameworkId::from("F"), TaskId::from("t"));
        let resources = Resources::from_v1(&info.resources).unwrap();
        Task::new(key, AgentId::from("S"), info, resources)
    }

    #[test]
    fn nothing_of_a_description_is_lost() {
        assert_eq!(kept(reported()).to_v1(), reported());
    }

    #[test]
    fn as_protobuf_it_is_what_the_message_is() {
        let bytes = |task: &Task| {
            let mut out = Vec::new();
            task.put_protobuf(&mut out);
            out
        };
        let mut task = kept(reported());
        assert_eq!(bytes(&task), wire::encode(&reported()));
        task.push_status(&status(v1::TaskState::TaskKilled, "end"));
        task.state = -5;
        assert_eq!(bytes(&task), wire::encode(&task.to_v1()));
        let bare = kept(v1::Task {
            limits: Default::default(),
            user: None,
            executor_id: None,
            statuses: Vec::new(),
            status_update_state: None,
            status_update_uuid: None,
            ..reported()
        });
        assert_eq!(bytes(&bare), wire::encode(&bare.to_v1()));
    }

    #[test]
    fn the_first_status_tells_when_it_was_made() {
        let mut task = kept(v1::Task {
            statuses: Vec::new(),
            ..reported()
        });
        assert_eq!(task.first_status_time(), None);
        for timestamp in [1.5, 2.5] {
            let made = |state| TaskStatus {
                timestamp: Some(timestamp),
                ..status(state, "text")
            };
            task.push_status(&made(v1::TaskState::TaskStarting));
            task.push_status(&made(v1::TaskState::TaskRunning));
        }
        assert_eq!(task.first_status_time(), Some(1.5));
        assert_eq!(kept(reported()).first_status_time(), Some(0.0));
    }

    #[test]
    fn the_last_status_of_each_state_is_kept_without_data() {
        let mut task = kept(reported());
        task.push_status(&status(v1::TaskState::TaskRunning, "again"));
        task.push_status(&status(v1::TaskState::TaskKilled, "end"));
        let kept: Vec<TaskStatus> = task.statuses().collect();
        let messages: Vec<&str> = kept.iter().map(|status| status.message()).collect();
        assert_eq!(messages, ["again", "end"]);
        assert!(kept.iter().all(|status| status.data.is_none()));
    }
}
