//! What the allocator believes, from its commands alone: who holds what, and what there is.
//! A real allocator may follow them too; then both must agree.

use std::collections::BTreeMap;

use crate::allocator::Allocator;
use crate::allocator::messages::{Command, Notice, Proposal};
use crate::ids::{AgentId, FrameworkId};
use crate::resources::Resources;
use crate::resources::conversion::Conversion;
use crate::time::Now;

/// The answer to a change of free resources, and what it changed.
pub struct Answer {
    pub token: u64,
    pub agent: AgentId,
    pub result: Result<(), String>,
    pub change: Conversion,
}

/// The allocator's books.
#[derive(Default)]
pub struct Ledger {
    pub held: BTreeMap<AgentId, BTreeMap<FrameworkId, Resources>>,
    pub totals: BTreeMap<AgentId, Resources>,
    /// On their way to the master.
    pub answers: Vec<Answer>,
    pub allocator: Option<Allocator>,
}

impl Ledger {
    pub fn add(&mut self, agent: &AgentId, framework: &FrameworkId, resources: &Resources) {
        let of_agent = self.held.entry(agent.clone()).or_default();
        of_agent
            .entry(framework.clone())
            .or_default()
            .add(resources);
    }

    /// What nobody holds; shared volumes are always among it.
    pub fn free(&self, agent: &AgentId) -> Resources {
        let total = &self.totals[agent];
        let mut free = total.non_shared();
        for held in self.held[agent].values() {
            free.subtract(&held.non_shared().unallocated());
        }
        free.add(&total.shared());
        free
    }

    fn release(&mut self, agent: &AgentId, framework: &FrameworkId, resources: &Resources) {
        let of_agent = self.held.get_mut(agent).unwrap();
        let held = of_agent.get_mut(framework).unwrap();
        assert!(
            held.contains(resources),
            "{held} does not contain {resources}"
        );
        held.subtract(resources);
        of_agent.retain(|_, held| !held.is_empty());
    }

    /// What a real allocator proposes, if there is one; it holds that from now on.
    pub fn propose(&mut self, now: Now) -> Option<Vec<Proposal>> {
        let proposals = self.allocator.as_mut()?.allocate(now).offers;
        for proposal in &proposals {
            let free = self.free(&proposal.agent);
            let wanted = proposal.resources.unallocated();
            assert!(free.contains(&wanted), "{free} does not contain {wanted}");
            self.add(&proposal.agent, &proposal.framework, &proposal.resources);
        }
        Some(proposals)
    }

    pub fn follow(&mut self, now: Now, command: Command) {
        let allocator = self.allocator.as_mut();
        let notice = allocator.and_then(|allocator| {
            let notice = allocator.apply(now, command.clone());
            allocator.sanity_check().unwrap();
            notice
        });
        match command {
            Command::AddAgent {
                id, used, total, ..
            } => {
                assert!(
                    self.held.insert(id.clone(), BTreeMap::new()).is_none(),
                    "{id} added twice"
                );
                self.totals.insert(id.clone(), total);
                used.iter()
                    .for_each(|(framework, used)| self.add(&id, framework, used));
            }
            Command::UpdateAgent { id, total, .. } => {
                self.totals.insert(id, total).unwrap();
            }
            Command::RemoveAgent(id) => {
                self.held.remove(&id).unwrap();
                self.totals.remove(&id).unwrap();
            }
            Command::Charge {
                framework,
                agent,
                resources,
            } => self.add(&agent, &framework, &resources),
            Command::Release {
                framework,
                agent,
                resources,
                ..
            } => self.release(&agent, &framework, &resources),
            Command::Transform {
                framework,
                agent,
                consumed,
                converted,
            } => {
                self.release(&agent, &framework, &consumed);
                self.add(&agent, &framework, &converted);
                let change = Conversion {
                    consumed: consumed.unallocated(),
                    converted: converted.unallocated(),
                };
                let total = self.totals.get_mut(&agent).unwrap();
                total.convert(&[change]).unwrap();
            }
            Command::TransformFree {
                agent,
                consumed,
                converted,
                token,
            } => {
                let free = self.free(&agent);
                let change = Conversion {
                    consumed,
                    converted,
                };
                let result = match free.contains(&change.consumed) {
                    true => self
                        .totals
                        .get_mut(&agent)
                        .unwrap()
                        .convert(std::slice::from_ref(&change)),
                    false => Err(crate::resources::ResourceError(format!(
                        "{free} does not contain {}",
                        change.consumed
                    ))),
                };
                if let Some(Notice::Transformed { result: other, .. }) = notice {
                    assert_eq!(other.is_ok(), result.is_ok(), "{other:?}, {result:?}");
                }
                self.answers.push(Answer {
                    token,
                    agent,
                    result: result.map_err(|error| error.0),
                    change,
                });
            }
            _ => {}
        }
    }
}
