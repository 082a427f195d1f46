//! STUB of w-registry.
use crate::time::Now;
use tepui_protocol::v1::MachineId;
use tepui_protocol::v1::maintenance::Schedule;

use super::super::Master;
use super::super::messages::{Answer, Effect, Token};

impl Master {
    pub(super) fn update_maintenance_schedule(
        &mut self,
        _now: Now,
        _schedule: Schedule,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Reply(
            reply,
            Answer::Refused(501, "not built yet".to_string()),
        ));
    }
    pub(super) fn start_maintenance(
        &mut self,
        _now: Now,
        _machines: Vec<MachineId>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Reply(
            reply,
            Answer::Refused(501, "not built yet".to_string()),
        ));
    }
    pub(super) fn stop_maintenance(
        &mut self,
        _now: Now,
        _machines: Vec<MachineId>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Reply(
            reply,
            Answer::Refused(501, "not built yet".to_string()),
        ));
    }
}
