//! What all agents have and use, summed up as it changes: readers need not look at each agent.
//! Decides nothing.

use super::Master;
use super::model::{Agent, AgentState};
use crate::ids::AgentId;
use crate::resources::{Name, Resources};

/// Resources that are summed up.
pub const KINDS: [&str; 4] = ["cpus", "gpus", "mem", "disk"];

/// Amounts in thousandths, in the order of [`KINDS`]; they may be differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Of what is not revocable.
    pub plain: [i64; KINDS.len()],
    /// Of what may be taken back.
    pub revocable: [i64; KINDS.len()],
}

impl Amounts {
    /// What these resources hold.
    pub fn of(resources: &Resources) -> Amounts {
        let mut amounts = Amounts::default();
        for entry in resources {
            let place = match entry.kind() {
                Name::Cpus => 0,
                Name::Gpus => 1,
                Name::Mem => 2,
                Name::Disk => 3,
                Name::Ports | Name::Other(_) => continue,
            };
            let kinds = match entry.is_revocable() {
                true => &mut amounts.revocable,
                false => &mut amounts.plain,
            };
            // Wrapping, so that whatever agents claim is taken off again exactly.
            kinds[place] = kinds[place].wrapping_add(entry.scalar_milli().unwrap_or(0));
        }
        amounts
    }

    /// The difference that `change` makes to `resources`.
    pub(super) fn change(resources: &mut Resources, change: impl FnOnce(&mut Resources)) -> Self {
        let before = Amounts::of(resources);
        change(resources);
        let mut difference = Amounts::of(resources);
        difference.subtract(&before);
        difference
    }

    /// Adds other amounts.
    pub fn add(&mut self, other: &Amounts) {
        self.combine(other, i64::wrapping_add);
    }

    fn subtract(&mut self, other: &Amounts) {
        self.combine(other, i64::wrapping_sub);
    }

    fn combine(&mut self, other: &Amounts, combine: fn(i64, i64) -> i64) {
        for (own, other) in [
            (&mut self.plain, &other.plain),
            (&mut self.revocable, &other.revocable),
        ] {
            for (own, other) in own.iter_mut().zip(other) {
                *own = combine(*own, *other);
            }
        }
    }
}

/// Sums over the admitted agents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentSums {
    /// Agents whose link is up.
    pub connected: usize,
    /// Agents whose link is down.
    pub disconnected: usize,
    /// Agents whose resources may be offered: connected, and not deactivated by an operator.
    pub active: usize,
    /// What they have.
    pub total: Amounts,
    /// What tasks and executors use.
    pub used: Amounts,
}

impl AgentSums {
    /// What one agent adds to the sums.
    pub(super) fn of(agent: &Agent) -> AgentSums {
        let (connected, disconnected) = match agent.state {
            AgentState::Connected(_) => (1, 0),
            AgentState::Disconnected(_) => (0, 1),
        };
        let mut used = Amounts::default();
        for resources in agent.used.values() {
            used.add(&Amounts::of(resources));
        }
        AgentSums {
            connected,
            disconnected,
            active: usize::from(connected == 1 && agent.deactivation.is_none()),
            total: Amounts::of(&agent.total),
            used,
        }
    }

    /// An agent is admitted.
    pub(super) fn add(&mut self, agent: &AgentSums) {
        self.connected += agent.connected;
        self.disconnected += agent.disconnected;
        self.active += agent.active;
        self.total.add(&agent.total);
        self.used.add(&agent.used);
    }

    /// An agent is not admitted any more.
    pub(super) fn subtract(&mut self, agent: &AgentSums) {
        self.connected -= agent.connected;
        self.disconnected -= agent.disconnected;
        self.active -= agent.active;
        self.total.subtract(&agent.total);
        self.used.subtract(&agent.used);
    }
}

impl Master {
    /// Changes an agent's state or what it has, and the sums with it.
    pub(super) fn change_agent<R>(
        &mut self,
        id: &AgentId,
        change: impl FnOnce(&mut Agent) -> R,
    ) -> Option<R> {
        let agent = self.agent_mut(id)?;
        let before = AgentSums::of(agent);
        let result = change(agent);
        let after = AgentSums::of(agent);
        self.agent_sums.subtract(&before);
        self.agent_sums.add(&after);
        Some(result)
    }

    /// Checks the sums by adding everything up.
    pub(super) fn check_agent_sums(&self) -> Result<(), String> {
        let mut sums = AgentSums::default();
        for agent in self.agents.values() {
            sums.add(&AgentSums::of(agent));
        }
        match sums == self.agent_sums {
            true => Ok(()),
            false => Err(format!(
                "agents sum up to {sums:?}, not to {:?}",
                self.agent_sums
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_by_kind_and_in_thousandths() {
        let resources = Resources::parse("cpus:1.5;mem:64;disk(r):1;disk:2;ports:[1-2];x:9", "*");
        let amounts = Amounts::of(&resources.expect("resources"));
        assert_eq!(amounts.plain, [1500, 0, 64_000, 3000]);
        assert_eq!(amounts.revocable, [0; 4]);
    }

    #[test]
    fn a_change_is_the_difference_it_makes() {
        let mut resources = Resources::parse("cpus:2;mem:64", "*").expect("resources");
        let taken = Resources::parse("cpus:0.5", "*").expect("resources");
        let change = Amounts::change(&mut resources, |resources| resources.subtract(&taken));
        assert_eq!(change.plain, [-500, 0, 0, 0]);
    }
}
