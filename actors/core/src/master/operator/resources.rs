//! STUB of w-ops.
use crate::ids::AgentId;
use crate::time::Now;
use tepui_protocol::v1::offer::Operation;

use super::super::Master;
use super::super::messages::{Answer, Effect, Token};

impl Master {
    pub(super) fn change_resources(
        &mut self,
        _now: Now,
        _agent: &AgentId,
        _operation: Operation,
        _principal: Option<String>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Reply(
            reply,
            Answer::Refused(501, "not built yet".to_string()),
        ));
    }

    /// The allocator answered TransformFree.
    pub(in crate::master) fn transformed(
        &mut self,
        _now: Now,
        _token: u64,
        _result: Result<(), String>,
        _out: &mut Vec<Effect>,
    ) {
    }
}
