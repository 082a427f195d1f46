//! Checks every call but SUBSCRIBE in Mesos's order and hands it to the file of its duty.
//! Shape and content of calls were checked before they came here.

use tepui_protocol::v1::scheduler::{Call, call};

use super::Master;
use super::messages::{Answer, Effect, Token};
use super::model::{Phase, Snapshot};
use crate::ids::{FrameworkId, Role};
use crate::resources;
use crate::time::Now;

/// Whether a call that passes the stateless checks is answered 202 whatever becomes of it, as far
/// as this view of the master tells.
///
/// Such a call need not wait for the master. A caller may thus be told 202 for a call that arrives
/// a moment after its subscription has ended, and then counts for nothing, as if it had been lost
/// on its way; frameworks are made for that.
pub fn is_accepted_at_once(
    view: &Snapshot,
    call: &Call,
    stream: Option<&str>,
    principal: Option<&str>,
) -> bool {
    use call::Type;
    let must_wait = match call.r#type.and_then(|kind| Type::try_from(kind).ok()) {
        Some(
            Type::Accept
            | Type::Decline
            | Type::AcceptInverseOffers
            | Type::DeclineInverseOffers
            | Type::Suppress
            | Type::Kill
            | Type::Shutdown
            | Type::Acknowledge
            | Type::AcknowledgeOperationStatus
            | Type::Message
            | Type::Request,
        ) => false,
        // Short calls that are much work: whoever makes them one after the other must not be able
        // to make them faster than they are carried out.
        Some(Type::Reconcile | Type::Revive) => true,
        // Whoever is told that its framework is gone must not find it there any more.
        Some(Type::Teardown) => true,
        // The rest may be refused, or is answered with more than a status.
        Some(
            Type::Unknown | Type::Subscribe | Type::UpdateFramework | Type::ReconcileOperations,
        )
        | None => true,
    };
    let framework = call
        .framework_id
        .as_ref()
        .and_then(|id| view.frameworks.get(id.value.as_str()));
    let Some(framework) = framework.filter(|_| !must_wait) else {
        return false;
    };
    let is_own = principal.is_none() || principal == framework.info.principal.as_deref();
    let current = framework.stream().map(|current| &*current.0);
    view.phase == Phase::Serving && is_own && stream.is_some() && stream == current
}

/// Body of the 503 that is answered until the registry was read.
pub(super) const NOT_RECOVERED: &str = "Master has not finished recovery";

impl Master {
    pub(super) fn call(
        &mut self,
        now: Now,
        call: Call,
        stream: Option<String>,
        principal: Option<String>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let answer = match self.check_call(&call, stream.as_deref(), principal.as_deref()) {
            Ok((id, kind)) => {
                if let Some(framework) = self.frameworks.get(&id) {
                    framework.counters.calls.count(kind as i32);
                }
                self.dispatch(now, &id, kind, call, out)
                    .unwrap_or_else(|refused| refused)
            }
            Err(refused) => refused,
        };
        out.push(Effect::Reply(reply, answer));
    }

    /// Steps 10 to 15 of the order of checks; `scheduler` in Mesos's `http.cpp`.
    fn check_call(
        &self,
        call: &Call,
        stream: Option<&str>,
        principal: Option<&str>,
    ) -> Result<(FrameworkId, call::Type), Answer> {
        if self.phase == Phase::Recovering {
            return Err(Answer::Refused(503, NOT_RECOVERED.to_string()));
        }
        let bad = |text: String| Err(Answer::Refused(400, text));
        let id = call
            .framework_id
            .as_ref()
            .map_or("", |id| id.value.as_str());
        let Some(framework) = self.frameworks.get(id) else {
            return bad("Framework cannot be found".to_string());
        };
        let expected = framework.info.principal.as_deref();
        if let Some(principal) = principal.filter(|principal| Some(*principal) != expected) {
            return bad(format!(
                "Authenticated principal '{principal}' does not match principal '{}' set in \
                 `FrameworkInfo`",
                expected.unwrap_or_default()
            ));
        }
        let Some(current) = framework.stream() else {
            return Err(Answer::Refused(
                403,
                "Framework is not subscribed".to_string(),
            ));
        };
        let Some(stream) = stream else {
            return bad(
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header".to_string(),
            );
        };
        if stream != &*current.0 {
            return bad(format!(
                "The stream ID '{stream}' included in this request didn't match the stream ID \
                 currently associated with framework ID {id}"
            ));
        }
        match call.r#type.and_then(|kind| call::Type::try_from(kind).ok()) {
            // Mesos's process ends upon such a call; we refuse it.
            None | Some(call::Type::Unknown | call::Type::Subscribe) => Err(unknown_type()),
            Some(kind) => Ok((framework.id.clone(), kind)),
        }
    }

    fn dispatch(
        &mut self,
        now: Now,
        id: &FrameworkId,
        kind: call::Type,
        call: Call,
        out: &mut Vec<Effect>,
    ) -> Result<Answer, Answer> {
        use call::Type;
        match kind {
            Type::UpdateFramework => {
                let payload = present(call.update_framework, "update_framework")?;
                return Ok(self.update_framework(id, payload, out));
            }
            Type::Teardown => {
                self.counters.messages_unregister_framework += 1;
                self.remove_framework(now, id, out);
            }
            Type::Accept => self.accept(now, id, present(call.accept, "accept")?, out),
            Type::Decline => self.decline(id, present(call.decline, "decline")?, out),
            Type::AcceptInverseOffers => {
                let payload = present(call.accept_inverse_offers, "accept_inverse_offers")?;
                let (ids, filters) = (payload.inverse_offer_ids, payload.filters);
                self.answer_inverse_offers(now, id, true, &ids, filters.as_ref(), out);
            }
            Type::DeclineInverseOffers => {
                let payload = present(call.decline_inverse_offers, "decline_inverse_offers")?;
                let (ids, filters) = (payload.inverse_offer_ids, payload.filters);
                self.answer_inverse_offers(now, id, false, &ids, filters.as_ref(), out);
            }
            Type::Revive => self.revive(id, call.revive.unwrap_or_default().roles, out),
            Type::Suppress => self.suppress(id, call.suppress.unwrap_or_default().roles, out),
            Type::Kill => self.kill(now, id, present(call.kill, "kill")?, out),
            Type::Shutdown => {
                let payload = present(call.shutdown, "shutdown")?;
                self.shutdown_executor(id, &payload, out);
            }
            Type::Acknowledge => {
                self.acknowledge(id, present(call.acknowledge, "acknowledge")?, out);
            }
            Type::AcknowledgeOperationStatus => {
                let payload = call.acknowledge_operation_status;
                let payload = present(payload, "acknowledge_operation_status")?;
                self.acknowledge_operation(id, payload, out);
            }
            Type::Reconcile => {
                let payload = present(call.reconcile, "reconcile")?;
                self.reconcile(now, id, &payload.tasks, out);
            }
            Type::ReconcileOperations => {
                let payload = present(call.reconcile_operations, "reconcile_operations")?;
                self.reconcile_operations(id, payload, out);
            }
            Type::Message => self.message_to_executor(id, present(call.message, "message")?, out),
            // Mesos's built-in allocator ignores requests, and so does ours.
            Type::Request => self.counters.messages_resource_request += 1,
            // Refused by `check_call`.
            Type::Unknown | Type::Subscribe => return Err(unknown_type()),
        }
        Ok(Answer::Accepted)
    }

    /// Whether REVIVE or SUPPRESS may name these roles; one bad role voids the whole call.
    pub(super) fn may_name_roles(&self, id: &FrameworkId, roles: &[Role]) -> bool {
        let known = self
            .frameworks
            .get(id)
            .map_or(&[][..], |framework| &framework.roles);
        let good =
            |role: &Role| resources::roles::validate_role(role).is_ok() && known.contains(role);
        roles.iter().all(good)
    }
}

/// The skin refuses calls without their payload; the same text, should one come through.
fn present<T>(payload: Option<T>, field: &str) -> Result<T, Answer> {
    let text = || format!("Failed to validate scheduler::Call: Expecting '{field}' to be present");
    payload.ok_or_else(|| Answer::Refused(400, text()))
}

fn unknown_type() -> Answer {
    let text = "Expecting 'type' to be a known call other than SUBSCRIBE";
    Answer::Refused(400, format!("Failed to validate scheduler::Call: {text}"))
}
