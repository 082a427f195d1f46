//! One who subscribes to the operator API's events and holds the master to what it was told.

use std::collections::BTreeMap;

use tepui_protocol::v1::master::Event;

use super::super::model::Snapshot;
use super::super::operator::OperatorEvent;

/// What events have told so far.
#[derive(Default)]
pub struct Watcher {
    /// The latest state of each task, by framework and task.
    tasks: BTreeMap<(String, String), i32>,
    /// Names of frameworks that have not ended, by id.
    frameworks: BTreeMap<String, String>,
}

impl Watcher {
    /// Takes in an event, which must be about something that is known.
    pub fn follow(&mut self, event: &OperatorEvent) {
        let event: Event = event.to_v1();
        if let Some(added) = event.framework_added {
            let info = added.framework.framework_info;
            let before = self.frameworks.insert(info.id.unwrap().value, info.name);
            assert!(before.is_none(), "added twice");
        }
        if let Some(updated) = event.framework_updated {
            let info = updated.framework.framework_info;
            let before = self.frameworks.insert(info.id.unwrap().value, info.name);
            assert!(before.is_some(), "updated, but never added");
        }
        if let Some(removed) = event.framework_removed {
            let id = removed.framework_info.id.unwrap().value;
            assert!(self.frameworks.remove(&id).is_some(), "removed twice");
        }
        if let Some(added) = event.task_added {
            let task = added.task;
            assert!(self.frameworks.contains_key(&task.framework_id.value));
            let key = (task.framework_id.value, task.task_id.value);
            self.tasks.insert(key, task.state);
        }
        if let Some(updated) = event.task_updated {
            let key = (
                updated.framework_id.value,
                updated.status.task_id.value.clone(),
            );
            let before = self.tasks.insert(key, updated.state);
            assert!(before.is_some(), "updated, but never added");
        }
    }

    /// Checks that all that there is was told as it is.
    pub fn check(&self, state: &Snapshot) {
        let told = |id: &str, task: &str| {
            let key = (id.to_owned(), task.to_owned());
            self.tasks.get(&key).copied()
        };
        for (id, framework) in &state.frameworks {
            let name = self.frameworks.get(id.as_str());
            assert_eq!(name, Some(&framework.info.name), "name of {id}");
            for task in framework.tasks.values() {
                let state = told(id.as_str(), task.id.as_str());
                assert_eq!(state, Some(task.state), "state of {} of {id}", task.id);
            }
        }
        assert_eq!(self.frameworks.len(), state.frameworks.len());
    }
}
