//! Reaching the master, (re-)registering, silence, leaving.

use tepui_protocol::link::TaskRef;
use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::task_status::Reason;

use super::*;

#[test]
fn a_new_agent_registers_and_repeats_itself_until_admitted() {
    let mut agent = Fixture::new(settings());
    let first = agent.agent.next_deadline().unwrap().since(agent.now().mono);
    assert!(
        first <= Duration::from_secs(1),
        "first attempt within the backoff factor"
    );
    agent.link_up(9);
    let Effect::ToMaster(_, frame) = agent.effect() else {
        panic!("nothing sent")
    };
    assert_eq!(frame.epoch, 9);
    let AgentToMaster::Register(register) = frame.body else {
        panic!("no registration")
    };
    assert_eq!(register.info.hostname, "host");
    assert_eq!(register.info.id, None);
    assert_eq!(register.version, "1.12.0");
    assert_eq!(register.resource_version.len(), 16);
    assert!(register.capabilities.contains(&"MULTI_ROLE".to_owned()));
    agent.wait_for_deadline();
    assert!(matches!(agent.told_master(), AgentToMaster::Register(_)));
    assert!(!agent.snapshot().registered);
    agent.master_says(MasterToAgent::Registered {
        agent_id: "S7".into(),
        ping_timeout_ms: 0,
    });
    assert_eq!(agent.effect(), Effect::Admitted("S7".into()));
    assert!(agent.snapshot().registered);
    assert_eq!(agent.snapshot().info.id.as_ref().unwrap().value, "S7");
}

#[test]
fn attempts_are_spaced_out_but_never_more_than_a_minute() {
    let mut agent = Fixture::new(settings());
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        longest = longest.max(agent.wait_for_deadline());
        let Effect::Connect(link) = agent.effect() else {
            panic!("no attempt")
        };
        agent.input(Input::LinkClosed { link });
    }
    assert!(
        longest > Duration::from_secs(30) && longest <= Duration::from_secs(60),
        "{longest:?}"
    );
}

#[test]
fn a_new_leader_is_reached_at_once_however_long_there_was_none() {
    let mut agent = Fixture::new(settings());
    let factor = settings().registration_backoff_factor;
    for _ in 0..20 {
        agent.wait_for_deadline();
        let Effect::Connect(link) = agent.effect() else {
            panic!("no attempt")
        };
        agent.input(Input::LinkClosed { link });
    }
    agent.input(Input::MasterChanged);
    assert!(agent.wait_for_deadline() <= factor);
    let Effect::Connect(link) = agent.effect() else {
        panic!("no attempt")
    };
    // A link to the old master is given up, even one that is open.
    agent.input(Input::MasterChanged);
    assert_eq!(agent.effect(), Effect::CloseLink(link));
    assert!(agent.wait_for_deadline() <= factor);
    assert!(matches!(agent.effect(), Effect::Connect(next) if next != link));
}

#[test]
fn a_link_without_greeting_is_given_up() {
    let mut agent = Fixture::new(settings());
    agent.wait_for_deadline();
    let Effect::Connect(link) = agent.effect() else {
        panic!("no attempt")
    };
    agent.pass(super::super::registration::GREETING_TIMEOUT);
    assert_eq!(agent.effect(), Effect::CloseLink(link));
    agent.wait_for_deadline();
    assert_eq!(agent.effect(), Effect::Connect(LinkNumber(link.0 + 1)));
}

#[test]
fn pings_are_answered_and_silence_ends_the_link() {
    let mut agent = Fixture::registered();
    let link = agent.link.unwrap();
    agent.pass(PING_TIMEOUT - Duration::from_secs(1));
    agent.master_says(MasterToAgent::Ping { connected: true });
    assert_eq!(agent.told_master(), AgentToMaster::Pong);
    agent.pass(PING_TIMEOUT - Duration::from_secs(1));
    agent.nothing();
    agent.pass(Duration::from_secs(1));
    assert_eq!(agent.effect(), Effect::CloseLink(link));
    assert!(!agent.snapshot().registered);
    agent.link_up(4);
    assert!(matches!(agent.told_master(), AgentToMaster::Reregister(_)));
}

#[test]
fn a_master_that_lost_the_agent_is_told_again() {
    let mut agent = Fixture::registered();
    agent.master_says(MasterToAgent::Ping { connected: false });
    assert_eq!(agent.told_master(), AgentToMaster::Pong);
    assert!(matches!(agent.told_master(), AgentToMaster::Reregister(_)));
    assert!(!agent.snapshot().registered);
}

#[test]
fn frames_and_ends_of_old_links_do_not_count() {
    let mut agent = Fixture::registered();
    let old = agent.link.unwrap();
    agent.link_down();
    agent.link_up(4);
    agent.told_master();
    agent.input(Input::LinkClosed { link: old });
    let shutdown = MasterToAgent::Shutdown {
        message: "old".into(),
    };
    agent.input(Input::FromMaster {
        link: old,
        message: Box::new(shutdown),
    });
    agent.nothing();
}

#[test]
fn reregistration_tells_all_that_is_here_but_made_executors() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    agent.executor_update("ex", status("t1", TaskState::TaskRunning, 1));
    agent.update();
    agent.event(1);
    agent.run(command_task("t2", "true"));
    agent.launch();
    agent.link_down();
    agent.link_up(8);
    let AgentToMaster::Reregister(message) = agent.told_master() else {
        panic!("no message")
    };
    assert_eq!(message.register.info.id.as_ref().unwrap().value, AGENT);
    let tasks: Vec<_> = message
        .tasks
        .iter()
        .map(|task| (task.task_id.value.as_str(), task.state()))
        .collect();
    assert_eq!(
        tasks,
        [
            ("t1", TaskState::TaskRunning),
            ("t2", TaskState::TaskStaging)
        ]
    );
    assert_eq!(message.tasks[0].executor_id.as_ref().unwrap().value, "ex");
    assert_eq!(message.tasks[1].executor_id, None);
    let executors: Vec<_> = message
        .executors
        .iter()
        .map(|known| known.executor_id.value.as_str())
        .collect();
    assert_eq!(executors, ["ex"]);
    assert_eq!(message.frameworks.len(), 1);
    agent.master_says(MasterToAgent::Reregistered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 1000,
        reconcile: vec![],
    });
    // What was in flight is sent again at once.
    assert_eq!(agent.updates(), [("t1".to_owned(), TaskState::TaskRunning)]);
}

#[test]
fn tasks_only_the_master_knows_are_reported_lost() {
    let mut agent = Fixture::registered();
    agent.run_as(
        framework(&[Capability::PartitionAware]),
        custom_task("here", "ex"),
        true,
    );
    agent.launch();
    agent.link_down();
    agent.link_up(4);
    agent.told_master();
    let reference = |framework: &str, task: &str| TaskRef {
        framework_id: framework.into(),
        task_id: task.into(),
    };
    agent.master_says(MasterToAgent::Reregistered {
        agent_id: AGENT.into(),
        ping_timeout_ms: 0,
        reconcile: vec![
            reference(FRAMEWORK, "here"),
            reference(FRAMEWORK, "gone"),
            reference("other", "lost"),
        ],
    });
    let gone = agent.update();
    assert_eq!(gone.status.state(), TaskState::TaskDropped);
    assert_eq!(gone.status.reason(), Reason::Reconciliation);
    assert_eq!(
        gone.status.message(),
        "Reconciliation: task unknown to the agent"
    );
    assert_eq!(agent.updates(), [("lost".to_owned(), TaskState::TaskLost)]);
}

#[test]
fn an_unusable_or_different_id_ends_the_agent() {
    for (known, given) in [(false, "../x"), (false, ""), (true, "another")] {
        let mut agent = if known {
            Fixture::registered()
        } else {
            Fixture::new(settings())
        };
        if known {
            agent.link_down();
        }
        agent.link_up(4);
        agent.told_master();
        let agent_id = given.to_owned();
        agent.master_says(MasterToAgent::Registered {
            agent_id,
            ping_timeout_ms: 0,
        });
        assert!(matches!(agent.effect(), Effect::Fail(_)), "{given}");
    }
}

#[test]
fn shutdown_by_the_master_ends_frameworks_then_the_agent() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.master_says(MasterToAgent::Shutdown {
        message: "removed".into(),
    });
    assert_eq!(agent.told_master(), AgentToMaster::Unregister);
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    assert!(matches!(agent.effect(), Effect::Exit(_)));
}

#[test]
fn leaving_says_so_and_an_idle_agent_ends_at_once() {
    let mut agent = Fixture::registered();
    agent.input(Input::Leave);
    assert_eq!(agent.told_master(), AgentToMaster::Unregister);
    assert!(matches!(agent.effect(), Effect::Exit(_)));
}

#[test]
fn stopping_ends_executors_and_passes_on_their_last_words() {
    let (mut agent, container) = Fixture::with_careless_executor("t1");
    agent.input(Input::Stop);
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.executor_update("ex", status("t1", TaskState::TaskKilled, 1));
    assert_eq!(agent.update().status.state(), TaskState::TaskKilled);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    agent.run(command_task("late", "true"));
    agent.nothing();
    agent.input(Input::Exited {
        container,
        status: Some(0),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    assert!(matches!(agent.effect(), Effect::Exit(_)));
}

#[test]
fn framework_data_is_replaced() {
    let (mut agent, _) = Fixture::with_running_executor("t1");
    let info = v1::FrameworkInfo {
        name: "renamed".into(),
        ..framework(&[])
    };
    agent.master_says(MasterToAgent::UpdateFramework { info: Pb(info) });
    assert_eq!(
        agent
            .snapshot()
            .frameworks
            .get(FRAMEWORK)
            .unwrap()
            .info
            .name,
        "renamed"
    );
}
