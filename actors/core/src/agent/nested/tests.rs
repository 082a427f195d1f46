//! Tests of containers that are launched by calls.

use tepui_protocol::v1::agent::call::LaunchContainer;
use tepui_protocol::v1::agent::response::WaitContainer;
use tepui_protocol::v1::executor::event;
use tepui_protocol::v1::task_status::Reason;
use tepui_protocol::v1::{CommandInfo, LinuxInfo, TaskState};

use super::super::messages::{
    Answer, ConnectionId, ContainerCall, Effect, Input, Launch, Limitation, Token,
};
use super::super::tests::{Fixture, custom_task, settings};
use super::*;

/// The container of the executor that [`Fixture::with_running_executor`] starts.
fn with_executor() -> (Fixture, ContainerId) {
    Fixture::with_running_executor("t")
}

fn command(script: &str) -> CommandInfo {
    CommandInfo {
        value: Some(script.to_owned()),
        ..CommandInfo::default()
    }
}

fn launch(id: &ContainerId) -> LaunchContainer {
    LaunchContainer {
        container_id: id.to_chain(),
        command: Some(command("true")),
        ..LaunchContainer::default()
    }
}

fn within(outer: &ContainerId, name: &str) -> ContainerId {
    ContainerId::new(format!("{outer}.{name}"))
}

impl Fixture {
    fn call_about(&mut self, token: u64, call: ContainerCall) {
        self.input(Input::ContainerCall {
            call: Box::new(call),
            connection: ConnectionId(token),
            reply: Token(token),
        });
    }

    #[track_caller]
    fn answer_to(&mut self, token: u64) -> Answer {
        match self.effect() {
            Effect::Reply(Token(to), answer) if to == token => answer,
            other => panic!("no answer to {token}: {other:?}"),
        }
    }

    #[track_caller]
    fn call_refused(&mut self, call: ContainerCall) -> (u16, String) {
        self.call_about(99, call);
        match self.answer_to(99) {
            Answer::Refused(status, why) => (status, why),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[track_caller]
    fn ordered(&mut self, call: LaunchContainer) -> Launch {
        self.call_about(1, ContainerCall::Launch(call));
        self.launch()
    }

    /// Launches a container, which then runs.
    #[track_caller]
    fn run_in(&mut self, id: &ContainerId, pid: u32) -> Launch {
        let order = self.ordered(launch(id));
        self.runs_as(id, pid);
        assert_eq!(self.answer_to(1), Answer::Done);
        order
    }

    fn runs_as(&mut self, id: &ContainerId, pid: u32) {
        self.input(Input::Launched {
            container: id.clone(),
            result: Ok(pid),
        });
    }

    fn has_exited(&mut self, id: &ContainerId, status: Option<i32>) {
        self.input(Input::Exited {
            container: id.clone(),
            status,
        });
    }
}

fn ended(status: i32) -> Answer {
    Answer::Ended(Box::new(WaitContainer {
        exit_status: Some(status),
        ..WaitContainer::default()
    }))
}

#[test]
fn one_in_an_executors_container_runs_and_is_waited_for() {
    let (mut agent, root) = with_executor();
    let id = within(&root, "a");
    let order = agent.run_in(&id, 4712);
    assert_eq!(order.container, id);
    assert!(
        order
            .directory
            .ends_with(&format!("runs/{root}/containers/a"))
    );
    assert_eq!(order.environment["MESOS_SANDBOX"], order.directory);
    assert!(order.environment.contains_key("PATH"));
    let called = order.called.unwrap();
    assert_eq!(called.limits_of, root);
    let parent = called.parent.unwrap();
    assert_eq!((&parent.container, parent.pid), (&root, 4711));
    // It is there already.
    agent.call_about(2, ContainerCall::Launch(launch(&id)));
    assert_eq!(agent.answer_to(2), Answer::Accepted);

    agent.call_about(3, ContainerCall::Wait(id.clone()));
    agent.call_about(4, ContainerCall::Wait(id.clone()));
    // Who leaves waits no more.
    agent.input(Input::ConnectionClosed {
        connection: ConnectionId(4),
    });
    assert!(matches!(agent.answer_to(4), Answer::Refused(404, _)));
    agent.call_about(5, ContainerCall::Kill(id.clone(), 15));
    assert_eq!(agent.effect(), Effect::Signal(id.clone(), 15));
    assert_eq!(agent.answer_to(5), Answer::Done);
    assert_eq!(
        agent.call_refused(ContainerCall::Remove(id.clone())),
        (500, "Nested container has not terminated yet".into())
    );
    agent.has_exited(&id, Some(7 << 8));
    assert_eq!(agent.answer_to(3), ended(7 << 8));
    agent.call_about(6, ContainerCall::Wait(id.clone()));
    assert_eq!(agent.answer_to(6), ended(7 << 8));
    let gone = format!("Container '{id}' cannot be found (or is already killed)");
    assert_eq!(
        agent.call_refused(ContainerCall::Kill(id.clone(), 9)),
        (404, gone)
    );

    agent.call_about(7, ContainerCall::Remove(id.clone()));
    let Effect::RemoveContainer(removed, Some(sandbox)) = agent.effect() else {
        panic!("nothing is removed")
    };
    assert_eq!((&removed, sandbox.directory), (&id, order.directory));
    agent.input(Input::ContainerRemoved {
        container: id.clone(),
        result: Ok(()),
    });
    assert_eq!(agent.answer_to(7), Answer::Done);
    assert_eq!(
        agent.call_refused(ContainerCall::Wait(id.clone())),
        (404, format!("Container {id} cannot be found"))
    );
}

#[test]
fn whoever_calls_before_it_is_told_to_run_is_told_to_try_again() {
    let mut agent = Fixture::registered();
    agent.run(custom_task("t", "ex"));
    let root = agent.launch().container;
    let inner = within(&root, "a");
    let again = |of: &ContainerId| {
        (
            503,
            format!("Parent container {of} is being started; try again"),
        )
    };
    agent.subscribe("ex", 1);
    assert_eq!(agent.event_type(1), event::Type::Subscribed);
    assert_eq!(agent.event_type(1), event::Type::Launch);
    let call = || ContainerCall::Launch(launch(&inner));
    assert_eq!(agent.call_refused(call()), again(&root));
    agent.input(Input::Launched {
        container: root,
        result: Ok(4711),
    });
    agent.call_about(98, call());
    assert_eq!(agent.launch().container, inner);
    // The same within that one.
    let innermost = ContainerCall::Launch(launch(&within(&inner, "b")));
    assert_eq!(agent.call_refused(innermost), again(&inner));
}

#[test]
fn what_cannot_be_launched_is_refused() {
    let (mut agent, root) = with_executor();
    let refused = |agent: &mut Fixture, call| agent.call_refused(ContainerCall::Launch(call));
    let unknown = ContainerId::from("nobody.a");
    let why = "Parent container nobody does not exist".to_owned();
    assert_eq!(refused(&mut agent, launch(&unknown)), (400, why));
    let nobody = within(&within(&root, "none"), "a");
    let why = format!("Parent container {root}.none does not exist");
    assert_eq!(refused(&mut agent, launch(&nobody)), (400, why));
    let mut docker = launch(&within(&root, "a"));
    docker.container = Some(Default::default());
    if let Some(info) = &mut docker.container {
        info.r#type = container_type_docker();
    }
    let why = "The provided ContainerInfo is not supported".to_owned();
    assert_eq!(refused(&mut agent, docker), (400, why));
    let mut nothing = launch(&within(&root, "a"));
    nothing.command = None;
    let (status, why) = refused(&mut agent, nothing);
    assert!(
        status == 400 && why.contains("'CommandInfo.value' is missing"),
        "{why}"
    );
    let long = within(&root, &"x".repeat(MAX_CHAIN_BYTES));
    assert_eq!(refused(&mut agent, launch(&long)).0, 400);
    assert_eq!(
        agent.call_refused(ContainerCall::Remove(ContainerId::from("nobody.a"))),
        (500, "Unknown root container".into())
    );
    let id = within(&root, "a");
    agent.run_in(&id, 5);
    for signal in [-1, 0, 65, i32::MAX] {
        assert_eq!(
            agent
                .call_refused(ContainerCall::Kill(id.clone(), signal))
                .0,
            400
        );
    }
}

fn container_type_docker() -> i32 {
    tepui_protocol::v1::container_info::Type::Docker as i32
}

#[test]
fn they_nest_only_so_deep_and_only_so_many_run() {
    // Nothing is recorded of them, which makes this fast.
    let (mut agent, root) = Fixture::with_careless_executor("t");
    let mut id = root.clone();
    for pid in 0..u32::try_from(MAX_DEPTH).unwrap() {
        id = within(&id, "a");
        agent.run_in(&id, 100 + pid);
    }
    let deeper = within(&id, "a");
    let (status, why) = agent.call_refused(ContainerCall::Launch(launch(&deeper)));
    assert!(status == 400 && why.contains("31 levels deep"), "{why}");
    for number in MAX_DEPTH..MAX_RUNNING {
        agent.run_in(&within(&root, &number.to_string()), 7);
    }
    let more = agent.call_refused(ContainerCall::Launch(launch(&within(&root, "more"))));
    assert_eq!(more.0, 400);
    // One that has ended makes room.
    agent.has_exited(&within(&root, "40"), Some(0));
    agent.run_in(&within(&root, "more"), 8);
}

#[test]
fn a_failed_launch_is_told_and_remembered() {
    let (mut agent, root) = with_executor();
    let id = within(&root, "a");
    agent.ordered(launch(&id));
    agent.call_about(2, ContainerCall::Wait(id.clone()));
    agent.input(Input::Launched {
        container: id.clone(),
        result: Err("no such program".into()),
    });
    let Answer::Ended(how) = agent.answer_to(2) else {
        panic!("it has ended")
    };
    assert_eq!(how.state(), TaskState::TaskFailed);
    assert_eq!(how.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(
        agent.answer_to(1),
        Answer::Refused(400, "no such program".into())
    );
    // It may be tried again.
    agent.run_in(&id, 5);
}

#[test]
fn one_that_has_no_process_yet_is_killed_without_signal() {
    let (mut agent, root) = with_executor();
    let id = within(&root, "a");
    agent.ordered(launch(&id));
    agent.call_about(2, ContainerCall::Kill(id.clone(), 15));
    assert_eq!(agent.effect(), Effect::Kill(id.clone()));
    assert_eq!(agent.answer_to(2), Answer::Done);
    agent.runs_as(&id, 5);
    assert_eq!(agent.effect(), Effect::Kill(id));
    assert_eq!(agent.answer_to(1), Answer::Done);
}

#[test]
fn one_that_takes_too_much_says_so() {
    let (mut agent, root) = with_executor();
    let id = within(&root, "a");
    agent.run_in(&id, 5);
    agent.input(Input::Limited {
        container: id.clone(),
        limitation: Limitation {
            reason: Reason::ContainerLimitationMemory,
            message: "Memory limit exceeded".into(),
            resources: vec![tepui_protocol::v1::Resource::default()],
        },
    });
    assert_eq!(agent.effect(), Effect::Kill(id.clone()));
    // What is in it could not stay.
    let inner = agent.call_refused(ContainerCall::Launch(launch(&within(&id, "b"))));
    assert_eq!(
        inner,
        (
            400,
            format!("Parent container {id} is in 'DESTROYING' state")
        )
    );
    agent.has_exited(&id, Some(9));
    agent.call_about(2, ContainerCall::Wait(id));
    let Answer::Ended(how) = agent.answer_to(2) else {
        panic!("it has ended")
    };
    assert_eq!(how.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(how.exit_status, Some(9));
    assert_eq!(how.limitation.unwrap().resources.len(), 1);
}

#[test]
fn limits_are_those_of_the_next_that_has_its_own() {
    let (mut agent, root) = with_executor();
    let id = within(&root, "a");
    let mut own = launch(&id);
    let mut info = tepui_protocol::v1::ContainerInfo {
        r#type: tepui_protocol::v1::container_info::Type::Mesos as i32,
        ..Default::default()
    };
    info.linux_info = Some(LinuxInfo {
        share_cgroups: Some(false),
        ..LinuxInfo::default()
    });
    own.container = Some(info);
    let order = agent.ordered(own);
    agent.runs_as(&id, 5);
    assert_eq!(agent.answer_to(1), Answer::Done);
    assert_eq!(order.called.unwrap().limits_of, id);
    let inner = agent.run_in(&within(&id, "b"), 6);
    assert_eq!(inner.called.unwrap().limits_of, id);
    let beside = agent.run_in(&within(&root, "c"), 7);
    assert_eq!(beside.called.unwrap().limits_of, root);
}

#[test]
fn they_are_forgotten_with_the_executor() {
    let (mut agent, root) = with_executor();
    let (a, b) = (within(&root, "a"), within(&root, "b"));
    agent.run_in(&a, 5);
    agent.run_in(&b, 6);
    agent.has_exited(&a, Some(0));
    agent.call_about(2, ContainerCall::Wait(b.clone()));
    agent.has_exited(&root, Some(0));
    assert_eq!(agent.effect(), Effect::RemoveContainer(a.clone(), None));
    assert_eq!(agent.effect(), Effect::Kill(b.clone()));
    while !agent.is_quiet() {
        agent.effect();
    }
    assert_eq!(agent.call_refused(ContainerCall::Wait(a)).0, 404);
    agent.has_exited(&b, Some(9));
    assert_eq!(agent.answer_to(2), ended(9));
    assert_eq!(agent.effect(), Effect::RemoveContainer(b.clone(), None));
    assert_eq!(agent.call_refused(ContainerCall::Wait(b)).0, 404);
}

#[test]
fn an_executors_own_container_is_signalled_and_waited_for() {
    let (mut agent, root) = with_executor();
    agent.call_about(2, ContainerCall::Wait(root.clone()));
    agent.call_about(3, ContainerCall::Kill(root.clone(), 10));
    assert_eq!(agent.effect(), Effect::Signal(root.clone(), 10));
    assert_eq!(agent.answer_to(3), Answer::Done);
    let remove = agent.call_refused(ContainerCall::Remove(root.clone()));
    assert_eq!(remove, (500, "Container has not terminated yet".into()));
    agent.has_exited(&root, Some(10));
    assert_eq!(agent.answer_to(2), ended(10));
    while !agent.is_quiet() {
        agent.effect();
    }
    assert_eq!(agent.call_refused(ContainerCall::Wait(root)).0, 404);
}

#[test]
fn one_stands_alone_and_outlives_the_agent() {
    let mut agent = Fixture::registered();
    let id = ContainerId::from("alone");
    let order = agent.run_in(&id, 5);
    assert_eq!(order.directory, "/var/lib/tepui/containers/alone");
    assert_eq!(order.called.unwrap().parent, None);
    let inner = within(&id, "in");
    agent.run_in(&inner, 6);
    let gone = within(&id, "gone");
    agent.run_in(&gone, 7);
    agent.has_exited(&gone, Some(256));

    let mut agent = agent.crashed(settings());
    agent.runs_as(&id, 5);
    agent.has_exited(&inner, Some(512));
    for (container, status) in [(&gone, 256), (&inner, 512)] {
        agent.call_about(2, ContainerCall::Wait(container.clone()));
        assert_eq!(agent.answer_to(2), ended(status));
    }
    agent.call_about(3, ContainerCall::Kill(id.clone(), 9));
    assert_eq!(agent.effect(), Effect::Kill(id.clone()));
    assert_eq!(agent.answer_to(3), Answer::Done);
    agent.has_exited(&id, Some(9));
    let forgotten = [agent.effect(), agent.effect()];
    assert!(forgotten.contains(&Effect::RemoveContainer(gone, None)));
    agent.call_about(4, ContainerCall::Wait(id.clone()));
    assert_eq!(agent.answer_to(4), ended(9));
    agent.call_about(5, ContainerCall::Remove(id.clone()));
    assert!(matches!(
        agent.effect(),
        Effect::RemoveContainer(_, Some(_))
    ));
    agent.input(Input::ContainerRemoved {
        container: id,
        result: Err("it is busy".into()),
    });
    let why = "Failed to remove the sandbox directory: it is busy".to_owned();
    assert_eq!(agent.answer_to(5), Answer::Refused(500, why));
}

#[test]
fn an_agent_without_a_master_launches_nothing() {
    let mut agent = Fixture::new(settings());
    let alone = ContainerId::from("alone");
    let refused = agent.call_refused(ContainerCall::Launch(launch(&alone)));
    assert_eq!(refused.0, 503);
    assert_eq!(agent.call_refused(ContainerCall::Wait(alone)).0, 404);
}

#[test]
fn only_so_many_wait_and_only_so_many_ends_are_remembered() {
    let (mut agent, root) = Fixture::with_careless_executor("t");
    let id = within(&root, "a");
    agent.run_in(&id, 5);
    for token in 100..100 + u64::try_from(MAX_WAITERS).unwrap() {
        agent.call_about(token, ContainerCall::Wait(id.clone()));
    }
    assert_eq!(agent.call_refused(ContainerCall::Wait(id.clone())).0, 503);
    for number in 0..=MAX_ENDED {
        let id = within(&root, &format!("n{number}"));
        agent.run_in(&id, 6);
        agent.has_exited(&id, Some(0));
        if number == MAX_ENDED {
            let oldest = within(&root, "n0");
            assert_eq!(agent.effect(), Effect::RemoveContainer(oldest, None));
        }
    }
    assert_eq!(agent.snapshot().containers.len(), MAX_ENDED + 1);
}

#[test]
fn what_has_ended_goes_after_its_time_if_the_operator_wants_that() {
    use super::super::garbage::GarbageSettings;
    use std::time::Duration;
    for wanted in [false, true] {
        let delay = Duration::from_millis(500);
        let mut agent = Fixture::registered_with(super::super::Settings {
            garbage: Some(GarbageSettings {
                delay,
                disk_headroom: 0.1,
                containers: wanted,
            }),
            ..settings()
        });
        let (ends, stays) = (ContainerId::from("ends"), ContainerId::from("stays"));
        agent.run_in(&ends, 5);
        agent.run_in(&stays, 6);
        agent.has_exited(&ends, Some(0));
        agent.pass(delay / 2);
        agent.nothing();
        agent.pass(delay);
        if !wanted {
            agent.nothing();
            continue;
        }
        let Effect::RemoveContainer(removed, Some(sandbox)) = agent.effect() else {
            panic!("nothing is removed")
        };
        assert_eq!(removed, ends);
        assert!(sandbox.directory.ends_with("containers/ends"));
        agent.input(Input::ContainerRemoved {
            container: ends.clone(),
            result: Ok(()),
        });
        agent.call_about(2, ContainerCall::Wait(ends.clone()));
        assert!(matches!(agent.answer_to(2), Answer::Refused(404, _)));
    }
}

#[test]
fn what_looks_at_a_member_sees_what_that_sees() {
    let (mut agent, root) = with_executor();
    let member = within(&root, "m");
    let order = agent.run_in(&member, 5);
    assert_eq!(order.looks_at(), None);
    let check = agent.run_in(&within(&member, "check-1"), 6);
    let seen = check.looks_at().expect("its member");
    assert_eq!((&seen.container, seen.pid), (&member, 5));
    assert_eq!(check.environment["MESOS_SANDBOX"], order.directory);
    assert_ne!(check.directory, order.directory);
    // An executor is not looked at so.
    let other = agent.run_in(&within(&root, "check-1"), 7);
    assert_eq!(other.looks_at(), None);
}

#[test]
fn nothing_is_launched_in_an_executor_that_is_ended_for_what_it_took() {
    let (mut agent, root) = with_executor();
    agent.input(Input::Limited {
        container: root.clone(),
        limitation: Limitation {
            reason: Reason::ContainerLimitationMemory,
            message: "Memory limit exceeded".into(),
            resources: Vec::new(),
        },
    });
    assert_eq!(agent.effect(), Effect::Kill(root.clone()));
    let refused = agent.call_refused(ContainerCall::Launch(launch(&within(&root, "a"))));
    let why = format!("Parent container {root} is in 'DESTROYING' state");
    assert_eq!(refused, (400, why));
}
