//! How many operations there are in each state, kept current; those that have ended add up.
//! Decides nothing about operations.

use tepui_protocol::v1::OperationState as State;
use tepui_protocol::v1::offer::operation::Type;

use super::Master;
use super::model::{Operation, is_terminal};
use crate::ids::AgentId;
use crate::validation::operation::known_type;

/// Types that are counted one by one, in the order of Mesos's metrics.
pub const TYPES: [Type; 8] = [
    Type::Reserve,
    Type::Unreserve,
    Type::Create,
    Type::Destroy,
    Type::GrowVolume,
    Type::ShrinkVolume,
    Type::CreateDisk,
    Type::DestroyDisk,
];

/// States that are counted. Of the first three there are so many now, of the others so many came to
/// that since the start.
pub const STATES: [State; 8] = [
    State::OperationPending,
    State::OperationRecovering,
    State::OperationUnreachable,
    State::OperationFinished,
    State::OperationFailed,
    State::OperationError,
    State::OperationDropped,
    State::OperationGoneByOperator,
];

/// Counts by type, those of other types last, and by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCounts([[u64; STATES.len()]; TYPES.len() + 1]);

impl OperationCounts {
    /// Operations of one type, in the order of [`STATES`].
    pub fn of(&self, kind: Type) -> [u64; STATES.len()] {
        self.0[place(kind)]
    }

    /// Operations of all types, in the order of [`STATES`].
    pub fn all(&self) -> [u64; STATES.len()] {
        let mut all = [0; STATES.len()];
        for counts in &self.0 {
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        all
    }

    /// One more is in this state.
    pub(super) fn add(&mut self, kind: Type, state: State) {
        if let Some(count) = self.count(kind, state) {
            *count += 1;
        }
    }

    /// One in this state is in another, or gone; one that had ended is still counted.
    pub(super) fn remove(&mut self, kind: Type, state: State) {
        if is_terminal(state) {
            return;
        }
        if let Some(count) = self.count(kind, state) {
            *count = count.saturating_sub(1);
        }
    }

    fn count(&mut self, kind: Type, state: State) -> Option<&mut u64> {
        let state = STATES.iter().position(|known| *known == state)?;
        Some(&mut self.0[place(kind)][state])
    }
}

fn place(kind: Type) -> usize {
    let known = TYPES.iter().position(|known| *known == kind);
    known.unwrap_or(TYPES.len())
}

/// What an operation is counted as.
pub(super) fn counted_as(operation: &Operation) -> (Type, State) {
    let state = operation.info.latest_status.state();
    (known_type(&operation.info.info), state)
}

impl Master {
    /// The operations of an agent that is lost go with it in this state, but for those that ended.
    ///
    /// Mesos: `__removeSlave`, where those that ended are counted, too.
    pub(super) fn count_operations_lost(&mut self, agent: &AgentId, state: State) {
        let Some(agent) = self.agents.get(agent) else {
            return;
        };
        for operation in agent.operations.values().filter(|it| !it.is_terminal()) {
            let (kind, _) = counted_as(operation);
            self.counters.operations.add(kind, state);
        }
    }

    /// Checks how many operations wait for their end.
    pub(super) fn check_operation_counts(&self) -> Result<(), String> {
        let mut pending = OperationCounts::default();
        for agent in self.agents.values() {
            for operation in agent.operations.values() {
                let (kind, state) = counted_as(operation);
                pending.add(kind, state);
            }
        }
        let own = &self.counters.operations;
        for (found, counted) in pending.0.iter().zip(&own.0) {
            // Only of these two there are as many as agents hold.
            if found[..2] != counted[..2] {
                return Err(format!("operations are counted wrong: {own:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_stays_counted() {
        let mut counts = OperationCounts::default();
        counts.add(Type::Reserve, State::OperationPending);
        counts.remove(Type::Reserve, State::OperationPending);
        counts.add(Type::Reserve, State::OperationFinished);
        counts.remove(Type::Reserve, State::OperationFinished);
        counts.add(Type::Launch, State::OperationError);
        counts.add(Type::Create, State::OperationUnknown);
        assert_eq!(counts.of(Type::Reserve), [0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(counts.of(Type::Create), [0; 8]);
        assert_eq!(counts.all(), [0, 0, 0, 1, 0, 1, 0, 0]);
    }
}
