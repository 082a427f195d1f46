//! A machine under test, and what every executor does.

mod agent;
mod checks;
mod docker;
mod group;
mod kill;

use super::*;

use tepui_protocol::v1::framework_info::{Capability, capability};
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{
    CheckInfo, DurationInfo, KillPolicy, TaskGroupInfo, TaskId, TaskState, TaskStatus, check_info,
};

/// A machine, its clock, and what it did and nobody looked at yet.
struct Fixture {
    machine: Machine,
    now: Now,
    actions: VecDeque<Action>,
}

const TERMINATED: Ended = Ended::Signaled {
    signal: 15,
    core_dumped: false,
};

impl Fixture {
    fn new(checkpoint: bool) -> Self {
        let settings = Settings {
            docker: None,
            framework_id: "f1".into(),
            executor_id: "e1".into(),
            checkpoint,
            shutdown_grace: Duration::from_secs(5),
            recovery_timeout: Duration::from_secs(900),
            backoff_max: Duration::from_secs(2),
        };
        let now = Now {
            mono: Duration::ZERO,
            wall: Duration::from_secs(1_700_000_000),
        };
        let mut out = Vec::new();
        let machine = Machine::start(now, settings, [1; 16], &mut out);
        Fixture {
            machine,
            now,
            actions: out.into(),
        }
    }

    /// A machine that has subscribed for a framework that knows TASK_KILLING.
    fn subscribed(checkpoint: bool) -> Self {
        let mut fixture = Fixture::new(checkpoint);
        fixture.expect_subscribe();
        fixture.subscribe(true);
        fixture
    }

    fn subscribe(&mut self, task_killing: bool) {
        let capability = Capability {
            r#type: Some(capability::Type::TaskKillingState as i32),
        };
        let capabilities = if task_killing {
            vec![capability]
        } else {
            Vec::new()
        };
        self.event(
            event::Type::Subscribed,
            Event {
                subscribed: Some(event::Subscribed {
                    framework_info: FrameworkInfo {
                        capabilities,
                        ..Default::default()
                    },
                    container_id: Some(ContainerId {
                        value: "c1".into(),
                        parent: None,
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            },
        );
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out);
        self.actions.extend(out);
    }

    fn event(&mut self, kind: event::Type, event: Event) {
        self.input(Input::Event(Box::new(Event {
            r#type: Some(kind as i32),
            ..event
        })));
    }

    /// Lets time pass to the next deadline, which must be after this time from the last one.
    fn tick_after(&mut self, wait: Duration) {
        let deadline = self.machine.next_deadline().expect("a deadline");
        assert_eq!(deadline - self.now.mono, wait);
        self.now.mono = deadline;
        self.input(Input::Tick);
    }

    fn launch(&mut self, task: TaskInfo) {
        let launch = Some(event::Launch { task });
        self.event(
            event::Type::Launch,
            Event {
                launch,
                ..Default::default()
            },
        );
    }

    fn launch_group(&mut self, ids: &[&str]) {
        self.launch_group_of(ids.iter().map(|id| task(id)).collect());
    }

    fn launch_group_of(&mut self, tasks: Vec<TaskInfo>) {
        let launch_group = Some(event::LaunchGroup {
            task_group: TaskGroupInfo { tasks },
        });
        self.event(
            event::Type::LaunchGroup,
            Event {
                launch_group,
                ..Default::default()
            },
        );
    }

    fn kill(&mut self, id: &str, grace_ms: Option<i64>) {
        let kill = event::Kill {
            task_id: TaskId { value: id.into() },
            kill_policy: grace_ms.map(policy),
        };
        self.event(
            event::Type::Kill,
            Event {
                kill: Some(kill),
                ..Default::default()
            },
        );
    }

    fn started(&mut self, id: &str, pid: i32) {
        self.input(Input::Started {
            task: id.into(),
            pid,
        });
    }

    fn acknowledge(&mut self, status: &TaskStatus) {
        let acknowledged = event::Acknowledged {
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap_or_default(),
        };
        let event = Event {
            acknowledged: Some(acknowledged),
            ..Default::default()
        };
        self.event(event::Type::Acknowledged, event);
    }

    fn next(&mut self) -> Action {
        self.actions.pop_front().expect("an action")
    }

    fn expect(&mut self, action: Action) {
        assert_eq!(self.next(), action);
    }

    fn expect_nothing(&self) {
        assert!(self.actions.is_empty(), "{:?}", self.actions);
    }

    fn expect_log(&mut self, part: &str) {
        match self.next() {
            Action::Log(text) => assert!(text.contains(part), "{text}"),
            other => panic!("expected a log line, got {other:?}"),
        }
    }

    fn expect_start(&mut self, id: &str) -> Option<String> {
        match self.next() {
            Action::Start(start) => {
                assert_eq!(start.task.task_id.value, id);
                start.container
            }
            other => panic!("expected a start, got {other:?}"),
        }
    }

    /// The next action must be an update; it is acknowledged unless it ends the executor's work.
    fn expect_update(&mut self, id: &str, state: TaskState) -> TaskStatus {
        match self.next() {
            Action::Send(call) => {
                let status = call.update.expect("an update").status;
                assert_eq!((status.task_id.value.as_str(), status.state()), (id, state));
                status
            }
            other => panic!("expected an update, got {other:?}"),
        }
    }

    fn expect_subscribe(&mut self) -> call::Subscribe {
        match self.next() {
            Action::Subscribe(call) => call.subscribe.expect("a subscription"),
            other => panic!("expected a subscription, got {other:?}"),
        }
    }

    /// Launches a command task and takes it to RUNNING with everything acknowledged.
    fn run(&mut self, task: TaskInfo, pid: i32) {
        let id = task.task_id.value.clone();
        self.launch(task);
        let starting = self.expect_update(&id, TaskState::TaskStarting);
        assert_eq!(self.expect_start(&id), None);
        self.started(&id, pid);
        let running = self.expect_update(&id, TaskState::TaskRunning);
        self.acknowledge(&starting);
        self.acknowledge(&running);
        self.expect_nothing();
    }
}

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        task_id: TaskId { value: id.into() },
        ..Default::default()
    }
}

fn policy(grace_ms: i64) -> KillPolicy {
    KillPolicy {
        grace_period: Some(DurationInfo {
            nanoseconds: grace_ms * 1_000_000,
        }),
    }
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_command_that_succeeds_ends_the_executor_once_acknowledged() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(task("t"), 7);
    fixture.input(Input::Exited {
        pid: 7,
        ended: Ended::Exited(0),
    });
    let finished = fixture.expect_update("t", TaskState::TaskFinished);
    assert_eq!(finished.message(), "Command exited with status 0");
    assert_eq!(finished.timestamp, Some(1_700_000_000.0));
    assert_eq!(finished.container_status, None);
    fixture.expect_nothing();
    fixture.acknowledge(&finished);
    fixture.expect(Action::Exit(0));
}

#[test]
fn a_last_update_that_stays_unacknowledged_is_waited_for_a_minute() {
    let mut fixture = Fixture::subscribed(false);
    fixture.run(task("t"), 7);
    fixture.input(Input::Exited {
        pid: 7,
        ended: Ended::Exited(0),
    });
    fixture.expect_update("t", TaskState::TaskFinished);
    fixture.tick_after(seconds(60));
    fixture.expect_log("did not acknowledge");
    fixture.expect(Action::Exit(1));
}

#[test]
fn words_for_every_end() {
    let signal = |signal, core_dumped| {
        Ended::Signaled {
            signal,
            core_dumped,
        }
        .to_string()
    };
    assert_eq!(Ended::Exited(127).to_string(), "exited with status 127");
    assert_eq!(signal(9, false), "terminated with signal Killed");
    assert_eq!(
        signal(11, true),
        "terminated with signal Segmentation fault (core dumped)"
    );
    assert_eq!(signal(31, false), "terminated with signal Bad system call");
    assert_eq!(
        signal(35, false),
        "terminated with signal Real-time signal 1"
    );
    assert_eq!(
        signal(32, false),
        "terminated with signal Unknown signal 32"
    );
    assert_eq!(signal(0, false), "terminated with signal Unknown signal 0");
    assert_eq!(
        signal(-1, false),
        "terminated with signal Unknown signal -1"
    );
}

#[test]
fn checked_tasks_always_carry_a_check_status() {
    let mut fixture = Fixture::subscribed(false);
    let check = CheckInfo {
        r#type: Some(check_info::Type::Tcp as i32),
        ..Default::default()
    };
    fixture.launch(TaskInfo {
        check: Some(Box::new(check)),
        ..task("t")
    });
    let starting = fixture.expect_update("t", TaskState::TaskStarting);
    let status = starting.check_status.unwrap_or_default();
    assert_eq!(status.r#type(), check_info::Type::Tcp);
    assert!(status.tcp.is_some() && status.http.is_none() && status.command.is_none());
}

#[test]
fn strange_events_are_named_and_survived_if_possible() {
    let mut fixture = Fixture::subscribed(false);
    fixture.kill("t", None);
    fixture.expect_log("task 't', which is not active");
    fixture.acknowledge(&TaskStatus {
        task_id: TaskId { value: "t".into() },
        ..Default::default()
    });
    fixture.expect_log("unknown update of task 't'");
    fixture.input(Input::Event(Box::new(Event {
        r#type: Some(99),
        ..Default::default()
    })));
    fixture.expect_log("type unknown here");
    fixture.event(event::Type::Heartbeat, Event::default());
    fixture.event(event::Type::Message, Event::default());
    fixture.input(Input::Exited {
        pid: 99,
        ended: TERMINATED,
    });
    fixture.expect_nothing();
    fixture.started("t", 99);
    fixture.expect(Action::Kill(99));
    fixture.event(event::Type::Kill, Event::default());
    fixture.expect_log("event KILL lacks its content");
    fixture.expect(Action::Exit(1));
}
