//! How frameworks make calls: over several connections, so that calls overtake each other, and
//! again when they hear no answer. What calls there are is elsewhere.

use std::collections::VecDeque;

use tepui_protocol::v1::scheduler::{Call, call};

use super::events::Parcel;
use super::net::{ConnId, Kind, Side};
use super::world::World;
use crate::ids::FrameworkId;
use crate::master::messages::Answer;

/// A connection for calls.
#[derive(Debug)]
pub(super) struct CallLine {
    pub(super) conn: ConnId,
    /// Calls without an answer yet; answers come in their order.
    open: VecDeque<Call>,
}

impl World {
    pub(super) fn new_line(&mut self, framework: usize, leader: u64) -> CallLine {
        CallLine {
            conn: self.connect(Kind::Calls { framework }, leader),
            open: VecDeque::new(),
        }
    }

    /// Makes a call, if the framework is subscribed.
    pub(super) fn make_call(&mut self, framework: usize, kind: call::Type, call: Call) {
        let Some(host) = self.frameworks.get(framework) else {
            return;
        };
        let id = host.id.as_ref().map(FrameworkId::to_v1);
        let process = host.process.as_ref();
        let Some(process) = process.filter(|process| process.is_subscribed) else {
            return;
        };
        let line = self.random.index(process.calls.len());
        let call = Call {
            framework_id: id,
            r#type: Some(kind as i32),
            ..call
        };
        if let Some(kill) = &call.kill {
            self.history.killed.insert(kill.task_id.value.clone());
        }
        if let Some(line) = line {
            self.send_call(framework, line, call);
        }
    }

    fn send_call(&mut self, framework: usize, line: usize, call: Call) {
        let number = self.number();
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let stream = process.stream_id.clone();
        if let (Some(line), Some(stream)) = (process.calls.get_mut(line), stream) {
            let conn = line.conn;
            line.open.push_back(call.clone());
            if let Some(message) = &call.message {
                self.history.messages.sent(&message.data);
            }
            let parcel = Parcel::Call(Box::new(call), stream, number);
            self.send(conn, Side::Server, parcel);
        }
    }

    /// A call has arrived: was it overtaken by a later one?
    pub(super) fn notice_order(&mut self, framework: usize, number: u64) {
        let last = self.history.last_calls.entry(framework).or_default();
        self.counts.overtaken_calls += u64::from(*last > number);
        *last = (*last).max(number);
    }

    /// A connection for calls is gone. Some calls may not have arrived, and some answers: all are
    /// made again, or the framework begins anew.
    pub(super) fn line_lost(&mut self, framework: usize, lost: ConnId) {
        let repeats = self.random.per_mille(700);
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let stream = process.stream.filter(|_| process.is_subscribed && repeats);
        let leader = stream
            .and_then(|conn| self.net.get(conn))
            .map(|conn| conn.life);
        let Some(leader) = leader.filter(|life| self.masters.contains_key(life)) else {
            return self.resubscribe(framework);
        };
        let fresh = self.new_line(framework, leader);
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let Some(at) = process.calls.iter().position(|line| line.conn == lost) else {
            return;
        };
        let old = process.calls.get_mut(at);
        let old = old.map(|line| std::mem::replace(line, fresh).open);
        for call in old.unwrap_or_default() {
            self.counts.repeated_calls += 1;
            self.send_call(framework, at, call);
        }
    }

    pub(super) fn answered(&mut self, framework: usize, conn: ConnId, answer: &Answer) {
        let Some(process) = self.framework_process(framework) else {
            return;
        };
        let line = process.calls.iter_mut().find(|line| line.conn == conn);
        let Some(line) = line else {
            return;
        };
        let Some(call) = line.open.pop_front() else {
            return self.fail(format!(
                "framework {framework} has made no call: {answer:?}"
            ));
        };
        match answer {
            Answer::Accepted | Answer::Ok => {}
            Answer::Refused(403, _) => self.resubscribe(framework),
            Answer::Refused(503, _) => {}
            Answer::Refused(400, text) if text.contains("cannot be found") => {
                self.resubscribe(framework);
            }
            Answer::Refused(400, text) if text.contains("stream ID") => {}
            Answer::Refused(status, text) => {
                let kind = call.r#type().as_str_name();
                self.fail(format!("{kind} of framework {framework}: {status} {text}"));
            }
        }
    }
}
