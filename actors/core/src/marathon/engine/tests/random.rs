//! Seeded random runs against a cluster that loses launches, kills, agents and the engine itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tepui_protocol::marathon::UpgradeStrategy;
use tepui_protocol::v1::TaskState;

use super::super::app::Mode;
use super::super::*;
use super::fixture::*;
use crate::ids::IdSource;
use crate::marathon::ids::instance_of;

/// The cluster: what really runs.
struct World {
    f: Fixture,
    random: IdSource,
    tasks: BTreeMap<TaskId, TaskState>,
    /// Nothing is lost any more.
    is_quiet: bool,
}

impl World {
    fn new(seed: u8) -> World {
        World {
            f: Fixture::new(),
            random: IdSource::from_seed([seed; 32]),
            tasks: BTreeMap::new(),
            is_quiet: false,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn is_lost(&mut self) -> bool {
        !self.is_quiet && self.below(5) == 0
    }

    fn tell(&mut self, task: &TaskId, state: TaskState) {
        let update = StatusUpdate {
            task: task.clone(),
            agent: Some("agent".into()),
            state,
            reason: None,
            message: String::new(),
            healthy: None,
            ip_addresses: Vec::new(),
            uuid: Some(vec![1]),
        };
        self.f.send(&update);
    }

    /// Mesos answers what the engine asked of it.
    fn answer(&mut self) {
        loop {
            let effects = self.f.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Kill { task, .. } => self.asked_to_kill(&task),
                    Effect::Reconcile(tasks) if tasks.is_empty() => {
                        for (task, state) in self.tasks.clone() {
                            self.tell(&task, state);
                        }
                    }
                    Effect::Reconcile(tasks) => {
                        for (task, _) in tasks {
                            let state = self.tasks.get(&task).copied();
                            self.tell(&task, state.unwrap_or(TaskState::TaskUnknown));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn asked_to_kill(&mut self, task: &TaskId) {
        if self.is_lost() {
            return;
        }
        match self.tasks.remove(task) {
            Some(_) => self.tell(task, TaskState::TaskKilled),
            None => self.tell(task, TaskState::TaskUnknown),
        }
    }

    fn launch(&mut self, id: &str) {
        let waiting = self.f.engine.waiting(self.f.now);
        let item = waiting.iter().find(|item| item.app.id == path(id));
        let Some(version) = item.map(|item| item.version) else {
            return;
        };
        let instance = self.f.new_id(id);
        if self.f.launch(id, version, &instance).is_err() {
            return;
        }
        self.check_capacity(id);
        if !self.is_lost() {
            let task = crate::marathon::ids::task_id(&instance, 1);
            let twice = self.tasks.insert(task.clone(), TaskState::TaskStaging);
            assert_eq!(twice, None, "launched twice");
            self.tell(&task, TaskState::TaskStaging);
        }
    }

    /// No launch goes beyond what is wanted, or an upgrade's capacity.
    fn check_capacity(&self, id: &str) {
        let app = &self.f.engine.apps[&path(id)];
        let spec = app.spec.as_deref().expect("a definition");
        let n = f64::from(spec.instances);
        let over = (n * (1.0 + spec.upgrade_strategy.maximum_over_capacity)).floor();
        let min = (n * spec.upgrade_strategy.minimum_health_capacity).ceil();
        let limit = match app.mode {
            Mode::Upgrade if min == over => over + 1.0,
            Mode::Upgrade => over,
            _ => n,
        };
        let tasks = app.entries().filter(|entry| entry.instance.has_task());
        let tasks = tasks.count();
        assert!(
            tasks as f64 <= limit,
            "{tasks} tasks of {id} in {:?}",
            app.mode
        );
    }

    fn progress(&mut self) {
        let tasks: Vec<TaskId> = self.tasks.keys().cloned().collect();
        let Some(count) = u64::try_from(tasks.len()).ok().filter(|n| *n > 0) else {
            return;
        };
        let task = tasks[usize::try_from(self.below(count)).expect("an index")].clone();
        let state = match self.below(10) {
            0 => TaskState::TaskFailed,
            1 => TaskState::TaskUnreachable,
            2 => TaskState::TaskGone,
            _ => TaskState::TaskRunning,
        };
        match state {
            TaskState::TaskFailed | TaskState::TaskGone => {
                self.tasks.remove(&task);
            }
            _ => {
                self.tasks.insert(task.clone(), state);
            }
        }
        self.tell(&task, state);
    }

    fn deploy(&mut self, id: &str) {
        let instances = u32::try_from(self.below(5)).expect("few");
        let known = self.f.root.contains_key(&path(id));
        let target = match self.below(4) {
            0 if known => self.f.root.without(&path(id)),
            1 if known => {
                let app = self.f.scaled(id, instances);
                self.f.root.update(path(id), Arc::new(app))
            }
            _ => {
                let mut app = app(id, instances);
                app.upgrade_strategy = UpgradeStrategy {
                    maximum_over_capacity: self.below(3) as f64 / 2.0,
                    minimum_health_capacity: self.below(3) as f64 / 2.0,
                };
                let app = self.f.stamp(app);
                self.f.root.update(path(id), Arc::new(app))
            }
        };
        let force = self.below(2) == 0;
        // Refused ones change nothing.
        let _ = self.f.deploy_root(target, BTreeMap::new(), force);
    }

    fn step(&mut self) {
        let id = ["/a", "/b", "/c"][usize::try_from(self.below(3)).expect("an index")];
        match self.below(20) {
            0 => self.deploy(id),
            1 => {
                self.f.restart();
                self.f.connect();
            }
            2 => {
                let plan = self.f.deployments.first().map(|d| d.plan.id.clone());
                if let Some(plan) = plan.filter(|_| self.random.next_u64().is_multiple_of(3)) {
                    self.f.engine.cancel(&plan, self.f.now, &mut self.f.out);
                }
            }
            3..=9 => self.launch(id),
            10..=16 => self.progress(),
            _ => {
                let seconds = self.below(20);
                self.f.seconds(seconds);
            }
        }
        self.answer();
        self.f.check();
    }

    /// Everything works from now on; whatever is wanted must come about.
    fn quiet(&mut self, seed: u8) {
        self.is_quiet = true;
        for _ in 0..300 {
            self.f.seconds(10);
            self.answer();
            for id in ["/a", "/b", "/c"] {
                self.launch(id);
                self.launch(id);
            }
            for (task, _) in self.tasks.clone() {
                self.tasks.insert(task.clone(), TaskState::TaskRunning);
                self.tell(&task, TaskState::TaskRunning);
            }
            self.answer();
        }
        let left = self.f.engine.deployments();
        assert!(left.is_empty(), "seed {seed}: {left:?}");
        for id in ["/a", "/b", "/c"] {
            let wanted = self.f.root.get(&path(id)).map_or(0, |app| app.instances);
            let held = self.f.conditions(id);
            let running = held.get("Running Running").copied().unwrap_or(0);
            assert_eq!(
                (running, held.len()),
                (wanted as usize, wanted.min(1) as usize),
                "seed {seed}"
            );
        }
        let real = self.tasks.keys().filter_map(instance_of);
        let held: Vec<_> = self.f.engine.instances().map(|i| i.id.clone()).collect();
        assert_eq!(real.collect::<Vec<_>>(), held, "seed {seed}");
    }
}

#[test]
fn whatever_is_lost_nothing_is_doubled_and_all_that_is_wanted_comes_about() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        world.quiet(seed);
    }
}
