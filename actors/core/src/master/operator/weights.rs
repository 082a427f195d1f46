//! STUB of w-registry.
use crate::time::Now;
use tepui_protocol::v1::WeightInfo;

use super::super::Master;
use super::super::messages::{Answer, Effect, Token};

impl Master {
    pub(super) fn update_weights(
        &mut self,
        _now: Now,
        _weights: Vec<WeightInfo>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Reply(
            reply,
            Answer::Refused(501, "not built yet".to_string()),
        ));
    }
}
