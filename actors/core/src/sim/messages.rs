//! Messages between frameworks and their executors, which may get lost but never go astray.
//! Knows nothing of what they say.

use std::collections::BTreeMap;

use tepui_protocol::v1::executor;
use tepui_protocol::v1::scheduler::{Call, call, event};

use super::events::Parcel;
use super::net::Side;
use super::world::World;
use crate::ids::{AgentId, ContainerId, ExecutorId, FrameworkId};

/// A message, whoever sent it.
#[derive(Debug)]
struct Message {
    framework: FrameworkId,
    agent: AgentId,
    executor: ExecutorId,
    /// Otherwise it is for the framework.
    is_for_executor: bool,
    /// How often it was sent: callers that hear no answer repeat themselves.
    sent: u32,
    heard: u32,
}

/// All messages of a run, by what they say.
#[derive(Debug, Default)]
pub(super) struct Messages {
    all: BTreeMap<Vec<u8>, Message>,
}

impl Messages {
    /// A call with this message is sent, perhaps again.
    pub(super) fn sent(&mut self, data: &[u8]) {
        if let Some(message) = self.all.get_mut(data) {
            message.sent += 1;
        }
    }

    /// A message arrives somewhere: at an executor, or from one at its framework.
    fn heard(
        &mut self,
        data: &[u8],
        is_at_executor: bool,
        framework: &FrameworkId,
        executor: (&AgentId, &ExecutorId),
    ) -> Result<(), String> {
        let Some(message) = self.all.get_mut(data) else {
            return Err(format!("nobody has sent the message {data:?}"));
        };
        let is_right = message.is_for_executor == is_at_executor
            && message.framework == *framework
            && (&message.agent, &message.executor) == executor;
        if !is_right {
            return Err(format!(
                "{message:?} is heard of {framework} and {executor:?}"
            ));
        }
        message.heard += 1;
        match message.heard > message.sent {
            true => Err(format!("{message:?} is heard too often")),
            false => Ok(()),
        }
    }
}

impl World {
    /// A framework says something to one of its executors.
    pub(super) fn message_executor(&mut self, framework: usize) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let (Some(id), Some(process)) = (host.id.clone(), &host.process) else {
            return;
        };
        let keys: Vec<_> = process.executors.keys().cloned().collect();
        let Some((agent, executor)) = self.random.pick(&keys).cloned() else {
            return;
        };
        let message = call::Message {
            agent_id: agent.to_v1(),
            executor_id: executor.to_v1(),
            data: self.new_message(id, agent, executor, true),
        };
        let call = Call {
            message: Some(message),
            ..Call::default()
        };
        self.counts.messages_to_executors += 1;
        self.make_call(framework, call::Type::Message, call);
    }

    /// An executor says something to its framework, if it can.
    pub(super) fn message_framework(&mut self, agent: usize, container: &ContainerId) {
        let process = self.agent_process(agent);
        let id = process.and_then(|process| process.core.snapshot().agent_id);
        let executor = self.executor(agent, container);
        let (Some(id), Some(executor)) = (id, executor.filter(|it| it.is_subscribed)) else {
            return;
        };
        let (framework, own) = (executor.framework.clone(), executor.id.clone());
        let Some(conn) = executor.conn else {
            return;
        };
        let data = self.new_message(framework.clone(), id, own.clone(), false);
        self.history.messages.sent(&data);
        self.counts.messages_to_frameworks += 1;
        let call = executor::Call {
            executor_id: own.to_v1(),
            framework_id: framework.to_v1(),
            r#type: Some(executor::call::Type::Message as i32),
            message: Some(executor::call::Message { data }),
            ..executor::Call::default()
        };
        self.send(conn, Side::Server, Parcel::ExecutorCall(Box::new(call)));
    }

    fn new_message(
        &mut self,
        framework: FrameworkId,
        agent: AgentId,
        executor: ExecutorId,
        is_for_executor: bool,
    ) -> Vec<u8> {
        let data = format!("m{}", self.number()).into_bytes();
        let message = Message {
            framework,
            agent,
            executor,
            is_for_executor,
            sent: 0,
            heard: 0,
        };
        self.history.messages.all.insert(data.clone(), message);
        data
    }

    /// An executor hears its framework, and may answer.
    pub(super) fn executor_is_told(&mut self, agent: usize, container: &ContainerId, data: &[u8]) {
        let process = self.agent_process(agent);
        let id = process.and_then(|process| process.core.snapshot().agent_id);
        let (Some(id), Some(executor)) = (id, self.executor(agent, container)) else {
            return;
        };
        let (framework, own) = (executor.framework.clone(), executor.id.clone());
        let messages = &mut self.history.messages;
        if let Err(error) = messages.heard(data, true, &framework, (&id, &own)) {
            return self.fail(error);
        }
        self.counts.heard_by_executors += 1;
        if self.random.per_mille(500) {
            self.message_framework(agent, container);
        }
    }

    /// A framework hears one of its executors.
    pub(super) fn framework_is_told(&mut self, framework: usize, message: &event::Message) {
        let host = self.frameworks.get(framework);
        let Some(id) = host.and_then(|host| host.id.clone()) else {
            return;
        };
        let agent = AgentId::from(&message.agent_id);
        let executor = ExecutorId::from(&message.executor_id);
        let messages = &mut self.history.messages;
        match messages.heard(&message.data, false, &id, (&agent, &executor)) {
            Ok(()) => self.counts.heard_by_frameworks += 1,
            Err(error) => self.fail(error),
        }
    }
}
