//! The isolators of an agent in their order: each step of a container's life goes through all.
//! Knows none of them, and starts no process.

use tepui_core::agent::container_resources::ContainerResources;
use tepui_core::agent::messages::Limitation;
use tepui_core::ids::ContainerId;
use tepui_protocol::v1;

use super::cgroups::Wait;
use super::isolator::{Container, Isolator, Plan};

/// The isolators, those first that others build upon.
pub(in super::super) struct Ladder {
    isolators: Vec<Box<dyn Isolator>>,
}

impl Ladder {
    pub(super) fn new(isolators: Vec<Box<dyn Isolator>>) -> Self {
        Ladder { isolators }
    }

    /// Prepares a container, one isolator after the other; adds to `plan` what is to be done to
    /// its process. `is_killed` is asked before each step.
    ///
    /// # Errors
    /// When one refuses, or the container was killed meanwhile; what was prepared is taken back.
    pub(super) fn prepare(
        &self,
        container: &Container,
        plan: &mut Plan,
        is_killed: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        for (at, isolator) in self.isolators.iter().enumerate() {
            let prepared = match is_killed() {
                true => Err("Container destroyed during preparing".to_owned()),
                false => isolator
                    .prepare(container, plan)
                    .map_err(|why| format!("isolator '{}': {why}", isolator.name())),
            };
            if let Err(why) = prepared {
                self.take_back(&container.id, at + 1);
                return Err(why);
            }
        }
        Ok(())
    }

    /// Takes up a container of an earlier run.
    pub(super) fn recover(&self, container: &Container) {
        for isolator in &self.isolators {
            isolator.recover(container);
        }
    }

    /// What may end the container.
    pub(super) fn watches(&self, container: &Container) -> Vec<Wait<Limitation>> {
        let watches = self.isolators.iter().map(|it| it.watch(container));
        watches.flatten().collect()
    }

    /// Gives a container other resources, as far as it can be done.
    pub(super) fn update(&self, id: &ContainerId, resources: &ContainerResources) {
        for isolator in &self.isolators {
            if let Err(error) = isolator.update(id, resources) {
                let isolator = isolator.name();
                tracing::warn!(container = %id, isolator, error, "a container is not updated");
            }
        }
    }

    /// Adds what the isolators know of the use of resources.
    pub(super) fn usage(&self, id: &ContainerId, statistics: &mut v1::ResourceStatistics) {
        for isolator in &self.isolators {
            isolator.usage(id, statistics);
        }
    }

    /// Takes back what was prepared, in reverse order; an isolator that fails stops no other.
    ///
    /// # Errors
    /// What is left.
    pub(super) fn cleanup(&self, id: &ContainerId) -> Result<(), String> {
        self.undo(id, self.isolators.len())
    }

    fn take_back(&self, id: &ContainerId, count: usize) {
        if let Err(error) = self.undo(id, count) {
            tracing::warn!(container = %id, error, "something of a container is left over");
        }
    }

    fn undo(&self, id: &ContainerId, count: usize) -> Result<(), String> {
        let mut left = Vec::new();
        for isolator in self.isolators.iter().take(count).rev() {
            if let Err(why) = isolator.cleanup(id) {
                left.push(format!("isolator '{}': {why}", isolator.name()));
            }
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(left.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Writes down what is asked of it.
    struct Recorder {
        name: &'static str,
        fails: bool,
        log: Arc<Mutex<Vec<String>>>,
    }

    impl Recorder {
        fn note(&self, step: &str) {
            let entry = format!("{step} {}", self.name);
            self.log.lock().unwrap().push(entry);
        }
    }

    impl Isolator for Recorder {
        fn name(&self) -> &'static str {
            self.name
        }

        fn prepare(&self, _: &Container, plan: &mut Plan) -> Result<(), String> {
            self.note("prepare");
            plan.no_new_privs = true;
            match self.fails {
                true => Err("it is broken".to_owned()),
                false => Ok(()),
            }
        }

        fn update(&self, _: &ContainerId, _: &ContainerResources) -> Result<(), String> {
            self.note("update");
            match self.fails {
                true => Err("it is broken".to_owned()),
                false => Ok(()),
            }
        }

        fn cleanup(&self, _: &ContainerId) -> Result<(), String> {
            self.note("cleanup");
            match self.fails {
                true => Err("it is stuck".to_owned()),
                false => Ok(()),
            }
        }
    }

    const NAMES: [&str; 3] = ["a", "b", "c"];

    fn ladder(broken: Option<&str>) -> (Ladder, Arc<Mutex<Vec<String>>>) {
        let log = Arc::default();
        let isolators = NAMES.into_iter().map(|name| -> Box<dyn Isolator> {
            Box::new(Recorder {
                name,
                fails: broken == Some(name),
                log: Arc::clone(&log),
            })
        });
        (Ladder::new(isolators.collect()), log)
    }

    fn container() -> Container {
        Container {
            id: ContainerId::from("c1"),
            directory: "/sandbox".into(),
            owner: None,
            resources: ContainerResources::default(),
            info: None,
            called: None,
            has_image: false,
        }
    }

    fn said(log: &Mutex<Vec<String>>) -> Vec<String> {
        std::mem::take(&mut *log.lock().unwrap())
    }

    #[test]
    fn it_is_climbed_in_order_and_descended_in_reverse() {
        let (ladder, log) = ladder(None);
        let mut plan = Plan::default();
        ladder.prepare(&container(), &mut plan, &|| false).unwrap();
        assert!(plan.no_new_privs);
        assert_eq!(said(&log), ["prepare a", "prepare b", "prepare c"]);
        ladder.cleanup(&container().id).unwrap();
        assert_eq!(said(&log), ["cleanup c", "cleanup b", "cleanup a"]);
    }

    #[test]
    fn what_was_prepared_before_a_failure_is_taken_back() {
        for (at, name) in NAMES.into_iter().enumerate() {
            let (ladder, log) = ladder(Some(name));
            let refused = ladder.prepare(&container(), &mut Plan::default(), &|| false);
            let why = format!("isolator '{name}': it is broken");
            assert_eq!(refused, Err(why));
            let up = NAMES[..=at].iter().map(|name| format!("prepare {name}"));
            let down = NAMES[..=at].iter().rev();
            let down = down.map(|name| format!("cleanup {name}"));
            assert_eq!(said(&log), up.chain(down).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_kill_while_it_is_prepared_takes_back_what_was_prepared() {
        let (ladder, log) = ladder(None);
        let asked = Cell::new(0);
        let is_killed = || {
            asked.set(asked.get() + 1);
            asked.get() > 2
        };
        let refused = ladder.prepare(&container(), &mut Plan::default(), &is_killed);
        assert_eq!(refused, Err("Container destroyed during preparing".into()));
        let said = said(&log);
        assert_eq!(said[..2], ["prepare a", "prepare b"]);
        assert!(!said.contains(&"prepare c".to_owned()));
        assert_eq!(said[said.len() - 2..], ["cleanup b", "cleanup a"]);
    }

    #[test]
    fn one_that_fails_stops_no_other() {
        let (ladder, log) = ladder(Some("b"));
        ladder.update(&container().id, &ContainerResources::default());
        assert_eq!(said(&log), ["update a", "update b", "update c"]);
        let left = ladder.cleanup(&container().id);
        assert_eq!(left, Err("isolator 'b': it is stuck".to_owned()));
        assert_eq!(said(&log), ["cleanup c", "cleanup b", "cleanup a"]);
    }
}
