//! New quotas of roles, set by an operator.
//! Enforcing them is the allocator's; here offers are taken back so that it can.

use tepui_protocol::v1::quota::QuotaConfig;

use super::super::messages::{Answer, Effect, Token};
use super::super::model::Offer;
use super::super::registrations::Pending;
use super::super::{Master, to_allocator};
use crate::allocator::messages::Command;
use crate::ids::{OfferId, Role};
use crate::quota::Quota;
use crate::registry::Operation;
use crate::resources::roles::is_in_subtree;
use crate::resources::{Entry, Quantities, Resources};
use crate::validation::{quota, roles};

impl Master {
    /// UPDATE_QUOTA; a role named twice gets the last quota. Mesos: `QuotaHandler::update`.
    pub(super) fn update_quota(
        &mut self,
        configs: &[QuotaConfig],
        force: bool,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        match self.read_quotas(configs, force) {
            Ok(quotas) => {
                let operation = Operation::UpdateQuota(quotas.clone());
                self.apply(operation, Pending::Quota { quotas, reply }, out);
            }
            Err(error) => out.push(Effect::Reply(reply, Answer::Refused(400, error))),
        }
    }

    fn read_quotas(
        &self,
        configs: &[QuotaConfig],
        force: bool,
    ) -> Result<Vec<(Role, Quota)>, String> {
        let mut quotas = Vec::with_capacity(configs.len());
        for config in configs {
            let role = config.role.as_str();
            if !roles::is_whitelisted(self.settings.roles.as_ref(), role) {
                return Err(format!(
                    "Invalid QuotaConfig: '{role}' is not on the roles whitelist"
                ));
            }
            if role.contains('/') {
                return Err(format!(
                    "Updating quota on nested role '{role}' is not supported yet"
                ));
            }
            let quota = quota::validate(config);
            let quota = quota.map_err(|error| format!("Invalid QuotaConfig: {error}"))?;
            quotas.push((Role::from(role), quota));
        }
        if !force {
            self.check_consumption(&quotas)?;
            self.check_capacity(&quotas)?;
        }
        Ok(quotas)
    }

    fn check_consumption(&self, quotas: &[(Role, Quota)]) -> Result<(), String> {
        for (role, quota) in quotas {
            let consumed = self.consumed_quota(role);
            if !quota.allows(&consumed) {
                return Err(format!(
                    "Invalid QuotaConfig: Role '{role}' is already consuming '{consumed}'; this \
                     is more than the requested limits '{}' (use 'force' flag to bypass this \
                     check)",
                    quota.limits
                ));
            }
        }
        Ok(())
    }

    /// Whether the cluster could meet all guarantees.
    fn check_capacity(&self, quotas: &[(Role, Quota)]) -> Result<(), String> {
        let (guarantees, capacity) = self.guarantees_and_capacity(quotas);
        match capacity.contains(&guarantees) {
            true => Ok(()),
            false => Err(format!(
                "Invalid QuotaConfig: total quota guarantees '{guarantees}' exceed cluster \
                 capacity '{capacity}' (use 'force' flag to bypass this check)"
            )),
        }
    }

    /// What would be guaranteed with these quotas, and what the cluster has; disconnected agents
    /// count, as they mostly come back.
    pub(super) fn guarantees_and_capacity(
        &self,
        quotas: &[(Role, Quota)],
    ) -> (Quantities, Quantities) {
        let mut all = self.quotas.clone();
        all.extend(quotas.iter().cloned());
        let mut guarantees = Quantities::default();
        for quota in all.values() {
            guarantees.add(&quota.guarantees);
        }
        let mut capacity = Quantities::default();
        for agent in self.agents.values() {
            capacity.add(&agent.total.non_revocable().quantities());
        }
        (guarantees, capacity)
    }

    /// What counts against a role's quota: what its subtree uses, and its unused reservations.
    ///
    /// Mesos: `RoleResourceBreakdown::consumedQuota`.
    fn consumed_quota(&self, role: &str) -> Quantities {
        let mut consumed = Quantities::default();
        for agent in self.agents.values() {
            let mut unused = counted(&agent.total, |entry| is_reserved_to(entry, role));
            for used in agent.used.values() {
                unused.subtract(&counted(used, |entry| is_reserved_to(entry, role)));
                consumed.add(&counted(used, |entry| is_allocated_to(entry, role)));
            }
            consumed.add(&unused);
        }
        consumed
    }

    /// The registry holds new quotas: the allocator learns of them, then offers are taken back.
    pub(in crate::master) fn quotas_stored(
        &mut self,
        quotas: Vec<(Role, Quota)>,
        reply: Token,
        out: &mut Vec<Effect>,
    ) {
        for (role, quota) in &quotas {
            self.quotas.insert(role.clone(), quota.clone());
            out.push(to_allocator(Command::SetQuota {
                role: role.clone(),
                quota: quota.clone(),
            }));
        }
        for (role, quota) in &quotas {
            self.rescind_for_quota(role, quota, out);
        }
        out.push(Effect::Reply(reply, Answer::Ok));
    }

    /// Takes back offers until the role's limits hold, then those of other roles until its
    /// guarantees could be met if nothing else were free.
    ///
    /// Reservations that are offered count twice, so too much rather than too little is taken
    /// back, as in Mesos (`QuotaHandler::_update`).
    fn rescind_for_quota(&mut self, role: &str, quota: &Quota, out: &mut Vec<Effect>) {
        let (own, others) = self.offers_by_role(role);
        let mut held = self.consumed_quota(role);
        for (_, offered) in &own {
            held.add(offered);
        }
        for (id, offered) in own {
            if quota.allows(&held) {
                break;
            }
            held.subtract(&offered);
            self.rescind_offer(&id, out);
        }
        for (id, offered) in others {
            if held.contains(&quota.guarantees) {
                break;
            }
            held.add(&offered);
            self.rescind_offer(&id, out);
        }
    }

    /// All offers with their amounts: those to the role's subtree by framework, the others by
    /// agent.
    fn offers_by_role(&self, role: &str) -> (Vec<Offered>, Vec<Offered>) {
        let own = |offer: &&Offer| is_in_subtree(role, &offer.role);
        let of_frameworks = self
            .frameworks
            .values()
            .flat_map(|framework| &framework.offers);
        let of_agents = self.agents.values().flat_map(|agent| &agent.offers);
        let amount = |offer: &Offer| (offer.id.clone(), counted(&offer.resources, |_| true));
        (
            self.known_offers(of_frameworks)
                .filter(own)
                .map(amount)
                .collect(),
            self.known_offers(of_agents)
                .filter(|offer| !own(offer))
                .map(amount)
                .collect(),
        )
    }

    fn known_offers<'a>(
        &'a self,
        ids: impl Iterator<Item = &'a OfferId> + 'a,
    ) -> impl Iterator<Item = &'a Offer> + 'a {
        ids.filter_map(|id| self.offers.get(id).map(|offer| &**offer))
    }
}

/// An offer and how much is in it.
type Offered = (OfferId, Quantities);

/// The amounts of some entries; each number of a range and each item of a set counts one.
fn counted(resources: &Resources, choose: impl Fn(&Entry) -> bool) -> Quantities {
    let mut amounts = Quantities::default();
    for entry in resources.iter().filter(|entry| choose(entry)) {
        amounts.add_milli(entry.name(), entry.amount().count_milli());
    }
    amounts
}

fn is_reserved_to(entry: &Entry, role: &str) -> bool {
    let owner = entry.reservation_role();
    owner.is_some_and(|owner| is_in_subtree(role, owner))
}

fn is_allocated_to(entry: &Entry, role: &str) -> bool {
    let to = entry.allocation_role();
    to.is_some_and(|to| is_in_subtree(role, to))
}
