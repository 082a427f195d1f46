//! Counts what happens in runs, so that one sees what they are worth.
//! Judges nothing.

use tepui_protocol::v1::offer::operation::Type;
use tepui_protocol::v1::{Operation, OperationState};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened how often.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each says by its name what it counts")]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Adds what happened in another run.
            pub fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }

            /// Each count and its name.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counts! {
    subscriptions,
    resubscriptions,
    accepts,
    tasks_launched,
    tasks_started,
    tasks_ended,
    task_errors,
    executors,
    executors_refused,
    kills,
    operations,
    operations_ended,
    /// Changes of resources that agents have carried out, by kind.
    reserves,
    unreserves,
    creates,
    shared_creates,
    destroys,
    grows,
    shrinks,
    /// How many of them operators wanted.
    operator_changes,
    /// Those that agents could not carry out.
    changes_failed,
    /// Tasks with a persistent volume, and with a shared one.
    volume_uses,
    shared_uses,
    suppresses,
    revives,
    framework_updates,
    messages_to_executors,
    messages_to_frameworks,
    heard_by_executors,
    heard_by_frameworks,
    /// TASK_KILLING that frameworks have heard.
    tasks_killing,
    /// Calls that arrived after later ones, and that were made again for want of an answer.
    overtaken_calls,
    repeated_calls,
    /// Agents that operators marked gone, and those they gave up of too many.
    agents_gone,
    /// Agents that operators drained or deactivated.
    agents_deactivated,
    agents_released,
    teardowns,
    schedules,
    machines_down,
    machines_up,
    inverse_offers,
    inverse_accepts,
    inverse_declines,
    frameworks_removed,
    operator_requests,
    writes,
    master_crashes,
    /// Masters elected while an older one went on.
    overlaps,
    /// What an older master was told, or decided, after another one was elected.
    outdated_inputs,
    /// Frameworks that subscribed to such a one.
    outdated_subscriptions,
    /// Agents that such a one welcomed.
    outdated_welcomes,
    /// Writes of such a one, which the registry's store refused.
    fenced_writes,
    agent_crashes,
    /// Agents that ended by themselves.
    agent_exits,
    framework_crashes,
    unresponsive,
    /// Agents that answered after all.
    responsive,
    broken_connections,
    held_connections,
    pauses,
    clock_jumps,
}

impl Counts {
    /// An agent has recorded the end of an operation.
    pub(super) fn operation(&mut self, operation: &Operation) {
        if operation.latest_status.state() != OperationState::OperationFinished {
            self.changes_failed += 1;
            return;
        }
        self.operator_changes += u64::from(operation.framework_id.is_none());
        let info = &operation.info;
        let created = info.create.iter().flat_map(|create| &create.volumes);
        let is_shared = created.into_iter().any(|volume| volume.shared.is_some());
        self.shared_creates += u64::from(is_shared);
        let count = match info.r#type() {
            Type::Reserve => &mut self.reserves,
            Type::Unreserve => &mut self.unreserves,
            Type::Create => &mut self.creates,
            Type::Destroy => &mut self.destroys,
            Type::GrowVolume => &mut self.grows,
            Type::ShrinkVolume => &mut self.shrinks,
            _ => return,
        };
        *count += 1;
    }
}
