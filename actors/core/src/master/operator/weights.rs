//! New weights of roles, set by an operator.
//! Shares are computed by the allocator.

use tepui_protocol::v1::WeightInfo;

use super::super::messages::{Answer, Effect, Token};
use super::super::registrations::Pending;
use super::super::{Master, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::Role;
use crate::registry::Operation;
use crate::validation;

impl Master {
    /// Mesos: `WeightsHandler::_updateWeights`.
    pub(super) fn update_weights(
        &mut self,
        infos: &[WeightInfo],
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let whitelist = self.settings.roles.as_ref();
        let read = infos.iter();
        let read = read.map(|info| validation::weights::validate(info, whitelist));
        let weights: Vec<(Role, f64)> = match read.collect() {
            Ok(weights) => weights,
            Err(error) => return out.push(Effect::Reply(reply, Answer::Refused(400, error))),
        };
        let operation = Operation::UpdateWeights(weights.clone());
        let reply = Some(reply);
        self.apply(operation, Pending::Weights { weights, reply }, out);
    }

    /// The registry holds new weights. The allocator knows them already when they came from a
    /// flag at start, and then nobody waits for an answer.
    ///
    /// The allocator is told before offers are taken back, so that it does not give them away
    /// anew by the old weights.
    pub(in crate::master) fn weights_stored(
        &mut self,
        weights: Vec<(Role, f64)>,
        reply: Option<Token>,
        out: &mut Vec<Effect>,
    ) {
        let Some(reply) = reply else {
            return;
        };
        let in_use = self.any_role_in_use(&weights);
        self.weights.extend(weights.iter().cloned());
        if !weights.is_empty() {
            out.push(to_allocator(Command::UpdateWeights(weights)));
        }
        if in_use {
            let offers: Vec<_> = self.offers.keys().cloned().collect();
            for offer in offers {
                self.rescind_offer(&offer, out);
            }
        }
        out.push(Effect::Reply(reply, Answer::Ok));
    }

    /// Whether frameworks are subscribed to one of these very roles; subroles do not count, as in
    /// Mesos.
    fn any_role_in_use(&self, weights: &[(Role, f64)]) -> bool {
        let mut frameworks = self.frameworks.values();
        frameworks.any(|framework| {
            let mut changed = weights.iter();
            changed.any(|(role, _)| framework.roles.contains(role))
        })
    }
}
