//! Played executors: what an executor would call, without a process.
//! Starts nothing and reads no clock; inputs for the agent's core come out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tepui_core::agent::messages::{ConnectionId, Input, Launch, Token};
use tepui_core::ids::{ContainerId, IdSource};
use tepui_core::time::{Mono, Now};
use tepui_protocol::v1::executor::{Call, Event, call, event};
use tepui_protocol::v1::{
    ExecutorId, FrameworkId, TaskId, TaskInfo, TaskState, TaskStatus, task_status::Source,
};

use super::TaskCount;

/// Wait status of a process that ended by itself.
const EXITED: i32 = 0;

/// Wait status of a process that was killed by SIGKILL.
const KILLED: i32 = 9;

/// Commands longer than this run for ever, as far as a load test is concerned.
const LONGEST_RUN: Duration = Duration::from_secs(86_400);

/// How played tasks behave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// Share of tasks that end in TASK_FAILED instead of TASK_FINISHED, 0 to 1.
    pub failing: f64,
}

/// One played executor.
struct Player {
    framework: FrameworkId,
    executor: ExecutorId,
    container: ContainerId,
    /// Tasks that have started and whose end is not acknowledged yet, with their ends once told.
    tasks: BTreeMap<String, bool>,
    /// Tasks it was given so far.
    given: u64,
}

/// The end of a task, due at a time; the number keeps ends of the same time in order.
type End = Reverse<(Mono, u64, ConnectionId, String)>;

/// All played executors of one agent.
pub struct Players {
    behaviour: Behaviour,
    by_connection: HashMap<ConnectionId, Player>,
    by_container: HashMap<ContainerId, ConnectionId>,
    ends: BinaryHeap<End>,
    ids: IdSource,
    count: Arc<TaskCount>,
    next: u64,
}

impl Players {
    /// Nobody plays yet; tasks will be counted in `count`.
    pub fn new(behaviour: Behaviour, seed: [u8; 32], count: Arc<TaskCount>) -> Self {
        Players {
            behaviour,
            by_connection: HashMap::new(),
            by_container: HashMap::new(),
            ends: BinaryHeap::new(),
            ids: IdSource::from_seed(seed),
            count,
            next: 0,
        }
    }

    /// A container is started: its executor subscribes at once.
    pub fn launch(&mut self, launch: Launch, inputs: &mut VecDeque<Input>) {
        let connection = ConnectionId(self.number());
        let player = Player {
            framework: launch.framework.to_v1(),
            executor: launch.executor.to_v1(),
            container: launch.container.clone(),
            tasks: BTreeMap::new(),
            given: 0,
        };
        // Process ids are only shown; any number that is one will do.
        let pid = u32::try_from(connection.0 % 4_000_000).unwrap_or(1) + 2;
        inputs.push_back(Input::Launched {
            container: launch.container.clone(),
            result: Ok(pid),
        });
        let subscribe = Call {
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(call::Subscribe::default()),
            ..player.call()
        };
        inputs.push_back(self.input(connection, subscribe));
        self.by_container.insert(launch.container, connection);
        self.by_connection.insert(connection, player);
    }

    /// A container is killed.
    pub fn kill(&mut self, container: &ContainerId, inputs: &mut VecDeque<Input>) {
        if let Some(connection) = self.by_container.get(container).copied() {
            self.exit(connection, KILLED, inputs);
        }
    }

    /// The agent says something to an executor.
    pub fn event(
        &mut self,
        now: Now,
        connection: ConnectionId,
        event: Event,
        inputs: &mut VecDeque<Input>,
    ) {
        match event.r#type() {
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.start(now, connection, &launch.task, inputs);
                }
            }
            event::Type::LaunchGroup => {
                let group = event.launch_group.unwrap_or_default().task_group;
                for task in &group.tasks {
                    self.start(now, connection, task, inputs);
                }
            }
            event::Type::Kill => {
                let task = event.kill.unwrap_or_default().task_id.value;
                self.end(now, connection, &task, TaskState::TaskKilled, inputs);
            }
            event::Type::Acknowledged => {
                let task = event.acknowledged.unwrap_or_default().task_id.value;
                self.acknowledged(connection, &task, inputs);
            }
            event::Type::Shutdown => self.exit(connection, EXITED, inputs),
            event::Type::Subscribed
            | event::Type::Message
            | event::Type::Error
            | event::Type::Heartbeat
            | event::Type::Unknown => {}
        }
    }

    /// When [`Self::due`] has something to do next.
    pub fn next_due(&self) -> Option<Mono> {
        self.ends.peek().map(|Reverse((at, ..))| *at)
    }

    /// Ends the tasks whose time has come.
    pub fn due(&mut self, now: Now, inputs: &mut VecDeque<Input>) {
        while self.next_due().is_some_and(|at| at <= now.mono) {
            let Some(Reverse((_, _, connection, task))) = self.ends.pop() else {
                return;
            };
            self.finish(now, connection, &task, inputs);
        }
    }

    /// Ends all running tasks.
    pub fn finish_all(&mut self, now: Now, inputs: &mut VecDeque<Input>) {
        let running = |(connection, player): (&ConnectionId, &Player)| {
            let tasks: Vec<String> = player.tasks.keys().cloned().collect();
            (*connection, tasks)
        };
        let all: Vec<_> = self.by_connection.iter().map(running).collect();
        for (connection, tasks) in all {
            for task in tasks {
                self.finish(now, connection, &task, inputs);
            }
        }
    }

    fn start(
        &mut self,
        now: Now,
        connection: ConnectionId,
        task: &TaskInfo,
        inputs: &mut VecDeque<Input>,
    ) {
        let Some(player) = self.by_connection.get_mut(&connection) else {
            return;
        };
        let id = task.task_id.value.clone();
        if player.tasks.insert(id.clone(), false) != Some(false) {
            self.count.started();
        }
        player.given += 1;
        self.update(now, connection, &id, TaskState::TaskRunning, inputs);
        let time = run_time(task);
        if time.is_zero() {
            self.finish(now, connection, &id, inputs);
        } else if time < LONGEST_RUN {
            let number = self.number();
            self.ends
                .push(Reverse((now.mono + time, number, connection, id)));
        }
    }

    fn finish(
        &mut self,
        now: Now,
        connection: ConnectionId,
        task: &str,
        inputs: &mut VecDeque<Input>,
    ) {
        let fails = share(self.ids.next_u64()) < self.behaviour.failing;
        let state = match fails {
            true => TaskState::TaskFailed,
            false => TaskState::TaskFinished,
        };
        self.end(now, connection, task, state, inputs);
    }

    /// Tells the end of a task, once.
    fn end(
        &mut self,
        now: Now,
        connection: ConnectionId,
        task: &str,
        state: TaskState,
        inputs: &mut VecDeque<Input>,
    ) {
        let player = self.by_connection.get_mut(&connection);
        let Some(told) = player.and_then(|player| player.tasks.get_mut(task)) else {
            return;
        };
        if !std::mem::replace(told, true) {
            self.count.ended(1);
            self.update(now, connection, task, state, inputs);
        }
    }

    /// An executor whose tasks have all ended, and were acknowledged, ends too.
    fn acknowledged(&mut self, connection: ConnectionId, task: &str, inputs: &mut VecDeque<Input>) {
        let Some(player) = self.by_connection.get_mut(&connection) else {
            return;
        };
        if player.tasks.get(task) == Some(&true) {
            player.tasks.remove(task);
        }
        if player.given > 0 && player.tasks.is_empty() {
            self.exit(connection, EXITED, inputs);
        }
    }

    fn exit(&mut self, connection: ConnectionId, status: i32, inputs: &mut VecDeque<Input>) {
        let Some(player) = self.by_connection.remove(&connection) else {
            return;
        };
        self.by_container.remove(&player.container);
        let cut_short = player.tasks.values().filter(|told| !**told).count();
        self.count.ended(cut_short as u64);
        inputs.push_back(Input::Exited {
            container: player.container,
            status: Some(status),
        });
    }

    fn update(
        &mut self,
        now: Now,
        connection: ConnectionId,
        task: &str,
        state: TaskState,
        inputs: &mut VecDeque<Input>,
    ) {
        let uuid = self.ids.uuid().as_bytes().to_vec();
        let Some(player) = self.by_connection.get(&connection) else {
            return;
        };
        let status = TaskStatus {
            task_id: TaskId {
                value: task.to_owned(),
            },
            state: state as i32,
            source: Some(Source::Executor as i32),
            executor_id: Some(player.executor.clone()),
            uuid: Some(uuid),
            timestamp: Some(now.wall.as_secs_f64()),
            ..TaskStatus::default()
        };
        let update = Call {
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            ..player.call()
        };
        inputs.push_back(self.input(connection, update));
    }

    fn input(&mut self, connection: ConnectionId, call: Call) -> Input {
        Input::Call {
            call: Box::new(call),
            connection,
            reply: Token(self.number()),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Player {
    fn call(&self) -> Call {
        Call {
            executor_id: self.executor.clone(),
            framework_id: self.framework.clone(),
            ..Call::default()
        }
    }
}

/// How long a task's command would run: `sleep SECONDS`, or no time at all.
fn run_time(task: &TaskInfo) -> Duration {
    let command = task.command.as_deref().and_then(|it| it.value.as_deref());
    let seconds = command
        .and_then(|text| text.trim().strip_prefix("sleep "))
        .and_then(|text| text.trim().parse::<f64>().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.unwrap_or_default()
}

/// A random number as a share from 0 up to 1.
pub fn share(random: u64) -> f64 {
    // The 53 upper bits are what a double can hold.
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use tepui_protocol::v1::CommandInfo;

    fn task(id: &str, command: &str) -> TaskInfo {
        TaskInfo {
            task_id: TaskId { value: id.into() },
            command: Some(Box::new(CommandInfo {
                value: Some(command.into()),
                ..CommandInfo::default()
            })),
            ..TaskInfo::default()
        }
    }

    fn players(failing: f64) -> (Players, VecDeque<Input>) {
        let mut players = Players::new(Behaviour { failing }, [3; 32], Arc::default());
        let mut inputs = VecDeque::new();
        let launch = Launch {
            container: ContainerId::new("c"),
            framework: tepui_core::ids::FrameworkId::new("f"),
            executor: tepui_core::ids::ExecutorId::new("e"),
            directory: String::new(),
            program: String::new(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            user: None,
            volumes: Vec::new(),
            resources: Default::default(),
            info: None,
            uris: Vec::new(),
            docker: None,
            image: None,
            called: None,
        };
        players.launch(launch, &mut inputs);
        (players, inputs)
    }

    fn launch_event(task: TaskInfo) -> Event {
        Event {
            r#type: Some(event::Type::Launch as i32),
            launch: Some(event::Launch { task }),
            ..Event::default()
        }
    }

    fn acknowledged(task: &str) -> Event {
        Event {
            r#type: Some(event::Type::Acknowledged as i32),
            acknowledged: Some(event::Acknowledged {
                task_id: TaskId { value: task.into() },
                uuid: Vec::new(),
            }),
            ..Event::default()
        }
    }

    fn at(micros: u64) -> Now {
        Now {
            mono: Mono(micros),
            ..Now::default()
        }
    }

    /// The states told, or what else came.
    fn states(inputs: &mut VecDeque<Input>) -> Vec<String> {
        let name = |input: Input| match input {
            Input::Call { call, .. } => match call.update {
                Some(update) => update.status.state().as_str_name().to_owned(),
                None => call.r#type().as_str_name().to_owned(),
            },
            Input::Launched { .. } => "launched".to_owned(),
            Input::Exited { status, .. } => format!("exited {status:?}"),
            other => format!("{other:?}"),
        };
        inputs.drain(..).map(name).collect()
    }

    #[test]
    fn a_command_runs_as_long_as_it_says_and_its_executor_ends_when_that_is_acknowledged() {
        let (mut players, mut inputs) = players(0.0);
        let connection = ConnectionId(1);
        assert_eq!(states(&mut inputs), ["launched", "SUBSCRIBE"]);
        players.event(
            at(0),
            connection,
            launch_event(task("t", "sleep 0.5")),
            &mut inputs,
        );
        assert_eq!(states(&mut inputs), ["TASK_RUNNING"]);
        players.event(at(0), connection, acknowledged("t"), &mut inputs);
        assert_eq!(players.next_due(), Some(Mono(500_000)));
        players.due(at(499_999), &mut inputs);
        assert!(inputs.is_empty());
        players.due(at(500_000), &mut inputs);
        assert_eq!(states(&mut inputs), ["TASK_FINISHED"]);
        players.event(at(0), connection, acknowledged("t"), &mut inputs);
        assert_eq!(states(&mut inputs), ["exited Some(0)"]);
        assert!(players.by_connection.is_empty());
    }

    #[test]
    fn a_kill_ends_a_task_once() {
        let (mut players, mut inputs) = players(0.0);
        let connection = ConnectionId(1);
        players.event(
            at(0),
            connection,
            launch_event(task("t", "sleep 5")),
            &mut inputs,
        );
        inputs.clear();
        let kill = Event {
            r#type: Some(event::Type::Kill as i32),
            kill: Some(event::Kill {
                task_id: TaskId { value: "t".into() },
                kill_policy: None,
            }),
            ..Event::default()
        };
        players.event(at(1), connection, kill.clone(), &mut inputs);
        players.event(at(2), connection, kill, &mut inputs);
        players.due(at(10_000_000), &mut inputs);
        assert_eq!(states(&mut inputs), ["TASK_KILLED"]);
    }

    #[test]
    fn tasks_count_from_their_start_to_their_told_end_or_that_of_their_container() {
        let (mut players, mut inputs) = players(0.0);
        let count = players.count.clone();
        let connection = ConnectionId(1);
        for (id, command) in [("a", "sleep 5"), ("b", "true"), ("c", "sleep 5")] {
            let launch = launch_event(task(id, command));
            players.event(at(0), connection, launch, &mut inputs);
        }
        assert_eq!((count.now(), count.most()), (2, 2));
        players.due(at(5_000_000), &mut inputs);
        assert_eq!(count.now(), 0);
        let again = launch_event(task("d", "sleep 5"));
        players.event(at(6_000_000), connection, again, &mut inputs);
        players.kill(&ContainerId::new("c"), &mut inputs);
        assert_eq!((count.now(), count.most()), (0, 2));
    }

    #[test]
    fn tasks_fail_when_told_to_and_a_killed_container_says_so() {
        let (mut players, mut inputs) = players(1.0);
        let connection = ConnectionId(1);
        inputs.clear();
        players.event(
            at(0),
            connection,
            launch_event(task("t", "true")),
            &mut inputs,
        );
        assert_eq!(states(&mut inputs), ["TASK_RUNNING", "TASK_FAILED"]);
        players.kill(&ContainerId::new("c"), &mut inputs);
        players.kill(&ContainerId::new("c"), &mut inputs);
        assert_eq!(states(&mut inputs), ["exited Some(9)"]);
    }

    #[test]
    fn shares_lie_between_zero_and_one() {
        assert_eq!(share(0), 0.0);
        assert!(share(u64::MAX) < 1.0 && share(u64::MAX) > 0.999);
    }
}
