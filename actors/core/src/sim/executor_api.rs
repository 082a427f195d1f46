//! How played executors speak with their agent: subscriptions, updates and what they hear.
//! What they do about it is in `executors`.

use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::{TaskId, TaskState, TaskStatus, task_status::Source};

use super::events::Parcel;
use super::net::{ConnId, Kind, Side};
use super::world::World;
use crate::agent::messages::{Answer, ConnectionId, Input, Token};
use crate::ids::ContainerId;

impl World {
    /// Opens a stream to the agent, with all that it has not acknowledged.
    pub(super) fn executor_subscribes(&mut self, agent: usize, container: &ContainerId) {
        let Some(life) = self.agent_process(agent).map(|process| process.life) else {
            return self.subscribe_later(agent, container);
        };
        let connection = ConnectionId(self.number());
        let kind = Kind::Executor {
            agent,
            container: container.clone(),
            connection,
        };
        let Some(executor) = self
            .executor(agent, container)
            .filter(|it| it.conn.is_none())
        else {
            return;
        };
        // A task is unacknowledged until any update of it was acknowledged.
        let fresh = executor.tasks.values().filter(|task| {
            let id = &task.info.task_id;
            executor
                .unacknowledged
                .iter()
                .any(|update| update.task_id == *id)
        });
        let subscribe = call::Subscribe {
            unacknowledged_tasks: fresh.map(|task| task.info.clone()).collect(),
            unacknowledged_updates: executor
                .unacknowledged
                .iter()
                .map(|status| call::Update {
                    status: status.clone(),
                })
                .collect(),
        };
        let call = Call {
            executor_id: executor.id.to_v1(),
            framework_id: executor.framework.to_v1(),
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let conn = self.connect(kind, life);
        if let Some(executor) = self.executor(agent, container) {
            executor.conn = Some(conn);
            executor.is_subscribed = false;
        }
        self.send(conn, Side::Server, Parcel::ExecutorCall(Box::new(call)));
    }

    /// An executor says what became of a task.
    pub(super) fn update(
        &mut self,
        agent: usize,
        container: &ContainerId,
        task: &str,
        state: TaskState,
    ) {
        let uuid = self.random.seed().get(..16).map(<[u8]>::to_vec);
        let Some(executor) = self.executor(agent, container) else {
            return;
        };
        let status = TaskStatus {
            task_id: TaskId {
                value: task.to_owned(),
            },
            state: state as i32,
            source: Some(Source::Executor as i32),
            executor_id: Some(executor.id.to_v1()),
            uuid,
            ..TaskStatus::default()
        };
        if let Some(running) = executor.tasks.get_mut(task) {
            running.state = state;
        }
        executor.unacknowledged.push_back(status.clone());
        let framework = executor.framework.clone();
        let is_subscribed = executor.is_subscribed;
        self.history.said(&framework, task, &status);
        // Otherwise it is said once the executor is subscribed.
        if is_subscribed {
            self.say_update(agent, container, status);
        }
    }

    fn say_update(&mut self, agent: usize, container: &ContainerId, status: TaskStatus) {
        let Some(executor) = self.executor(agent, container) else {
            return;
        };
        let call = Call {
            executor_id: executor.id.to_v1(),
            framework_id: executor.framework.to_v1(),
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            ..Call::default()
        };
        if let Some(conn) = executor.conn {
            self.send(conn, Side::Server, Parcel::ExecutorCall(Box::new(call)));
        }
    }

    /// Says again what the subscription may have said, and what has come up since.
    fn say_updates(&mut self, agent: usize, container: &ContainerId) {
        let executor = self.executor(agent, container);
        let open = executor.map(|executor| executor.unacknowledged.clone());
        for status in open.unwrap_or_default() {
            self.say_update(agent, container, status);
        }
    }

    /// An executor's call reaches its agent.
    pub(super) fn executor_calls(
        &mut self,
        agent: usize,
        conn: ConnId,
        connection: ConnectionId,
        call: Call,
    ) {
        let reply = Token(conn.0);
        let is_subscribe = call.r#type() == call::Type::Subscribe;
        let Some(process) = self.agent_process(agent) else {
            return;
        };
        if is_subscribe {
            process.streams.insert(connection, conn);
        }
        self.note(format_args!(
            "executor of {} > agent {agent}: {}",
            call.framework_id.value,
            super::view::executor_call(&call)
        ));
        self.agent_input(
            agent,
            Input::Call {
                call: Box::new(call),
                connection,
                reply,
            },
        );
    }

    /// The agent answers a call; only a refused subscription matters to executors.
    pub(super) fn executor_answered(&mut self, token: Token, answer: &Answer) {
        if let Answer::Refused(status, text) = answer {
            self.note(format_args!("an executor is refused: {status} {text}"));
            self.counts.executors_refused += 1;
            self.send(ConnId(token.0), Side::Client, Parcel::ExecutorRefused);
        }
    }

    pub(super) fn executor_hears(&mut self, agent: usize, container: &ContainerId, event: Event) {
        let Some(executor) = self.executor(agent, container) else {
            return;
        };
        match event.r#type() {
            event::Type::Subscribed => {
                executor.is_subscribed = true;
                self.say_updates(agent, container);
            }
            event::Type::Launch => {
                let task = event.launch.map(|launch| launch.task);
                self.executor_starts(agent, container, task.into_iter().collect());
            }
            event::Type::LaunchGroup => {
                let group = event.launch_group.unwrap_or_default().task_group;
                self.executor_starts(agent, container, group.tasks);
            }
            event::Type::Kill => {
                let task = event.kill.unwrap_or_default().task_id.value;
                self.executor_kills(agent, container, &task);
            }
            event::Type::Acknowledged => {
                let uuid = event.acknowledged.unwrap_or_default().uuid;
                executor
                    .unacknowledged
                    .retain(|status| status.uuid.as_ref() != Some(&uuid));
                self.executor_idles(agent, container);
            }
            event::Type::Shutdown => self.executor_ends(agent, container),
            event::Type::Message => {
                let data = event.message.unwrap_or_default().data;
                self.executor_is_told(agent, container, &data);
            }
            event::Type::Error | event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    /// An agent that does not know the executor answers no call of it: it ends.
    pub(super) fn executor_refused(&mut self, agent: usize, container: &ContainerId) {
        if self
            .executor(agent, container)
            .is_some_and(|executor| !executor.is_subscribed)
        {
            self.executor_ends(agent, container);
        }
    }

    /// An executor's stream is gone: it opens another one.
    pub(super) fn executor_lost_agent(
        &mut self,
        agent: usize,
        container: &ContainerId,
        conn: ConnId,
    ) {
        let Some(executor) = self.executor(agent, container) else {
            return;
        };
        if executor.conn == Some(conn) {
            executor.conn = None;
            executor.is_subscribed = false;
            self.subscribe_later(agent, container);
        }
    }
}
