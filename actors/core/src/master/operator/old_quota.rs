//! Quotas as they were set and removed before UPDATE_QUOTA: one role at a time, with one amount
//! for guarantee and limit. What follows once they are stored is in `quota`.

use std::collections::BTreeMap;

use tepui_protocol::v1::quota::{QuotaConfig, QuotaRequest};
use tepui_protocol::v1::value;

use super::super::messages::{Answer, Effect, Token};
use super::super::registrations::Pending;
use super::super::{Master, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::Role;
use crate::quota::Quota;
use crate::registry::Operation;
use crate::resources;
use crate::validation::{quota as rules, roles};

/// How the refusal of a request to set quota begins.
const NOT_SET: &str = "Failed to validate set quota request";

impl Master {
    /// SET_QUOTA; Mesos: `QuotaHandler::_set`.
    pub(super) fn set_quota(&mut self, request: QuotaRequest, reply: Token, out: &mut Vec<Effect>) {
        let force = request.force();
        let checked = self
            .read_quota_request(request)
            .map_err(|error| Answer::Refused(400, error))
            .and_then(|quotas| match force {
                true => Ok(quotas),
                false => self.room_for(quotas),
            });
        match checked {
            Ok(quotas) => {
                let operation = Operation::UpdateQuota(quotas.clone());
                self.apply(operation, Pending::Quota { quotas, reply }, out);
            }
            Err(refused) => out.push(Effect::Reply(reply, refused)),
        }
    }

    fn read_quota_request(&self, request: QuotaRequest) -> Result<Vec<(Role, Quota)>, String> {
        let role = request.role.unwrap_or_default();
        let mut guarantee = request.guarantee;
        resources::validate(&guarantee)
            .map_err(|error| format!("{NOT_SET}: QuotaInfo with invalid resource: {error}"))?;
        resources::upgrade(&mut guarantee);
        rules::validate_info(&role, &guarantee).map_err(|error| format!("{NOT_SET}: {error}"))?;
        if !roles::is_whitelisted(self.settings.roles.as_ref(), &role) {
            return Err(format!("{NOT_SET}: Unknown role '{role}'"));
        }
        if self.quotas.contains_key(role.as_str()) {
            return Err(format!(
                "{NOT_SET}: Cannot set quota for role '{role}' which already has quota"
            ));
        }
        if role.contains('/') {
            return Err(format!(
                "Setting quota on nested role '{role}' is not supported yet"
            ));
        }
        let amounts = guarantee.into_iter().map(|resource| {
            let value = resource.scalar.map_or(0.0, |scalar| scalar.value);
            (resource.name, value::Scalar { value })
        });
        let amounts: BTreeMap<_, _> = amounts.collect();
        let config = QuotaConfig {
            role,
            guarantees: amounts.clone(),
            limits: amounts,
        };
        // Mesos's process ends upon amounts that its registry refuses.
        let quota = rules::validate(&config).map_err(|error| format!("{NOT_SET}: {error}"))?;
        Ok(vec![(Role::from(config.role.as_str()), quota)])
    }

    /// Lets quotas pass whose guarantees the cluster could meet.
    fn room_for(&self, quotas: Vec<(Role, Quota)>) -> Result<Vec<(Role, Quota)>, Answer> {
        let (guarantees, capacity) = self.guarantees_and_capacity(&quotas);
        if capacity.contains(&guarantees) {
            return Ok(quotas);
        }
        let error = format!(
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total \
             quota guarantees '{guarantees}' exceed cluster capacity '{capacity}'"
        );
        Err(Answer::Refused(409, error))
    }

    /// REMOVE_QUOTA; Mesos: `QuotaHandler::remove`.
    pub(super) fn remove_quota(
        &mut self,
        role: Role,
        path: Option<String>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        let of = path.map_or_else(String::new, |path| format!(" for path '{path}'"));
        let error = if !roles::is_whitelisted(self.settings.roles.as_ref(), &role) {
            format!("Failed to validate remove quota request{of}: Unknown role '{role}'")
        } else if !self.quotas.contains_key(&role) {
            // Mesos's process ends when the operator API asks for this.
            format!("Failed to remove quota{of}: Role '{role}' has no quota set")
        } else {
            let operation = Operation::UpdateQuota(vec![(role.clone(), Quota::default())]);
            return self.apply(operation, Pending::QuotaRemoval { role, reply }, out);
        };
        out.push(Effect::Reply(reply, Answer::Refused(400, error)));
    }

    /// The registry holds no quota of this role any more. No offer is in the way of that.
    pub(in crate::master) fn quota_removed(
        &mut self,
        role: Role,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        self.quotas.remove(&role);
        let quota = Quota::default();
        out.push(to_allocator(Command::SetQuota { role, quota }));
        out.push(Effect::Reply(reply, Answer::Ok));
    }
}
