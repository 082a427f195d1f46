//! STUB of w-registry.
use super::Master;
use super::messages::Effect;
use crate::allocator::messages::InverseProposal;
use crate::time::Now;

impl Master {
    pub(super) fn proposed_inverse(
        &mut self,
        _now: Now,
        _proposals: Vec<InverseProposal>,
        _out: &mut Vec<Effect>,
    ) {
    }
}
