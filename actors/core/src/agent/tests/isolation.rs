//! What containers are given, are asked for, and are ended for when they take more.

use tepui_protocol::v1::task_status::Reason;

use super::super::container_resources::ContainerResources;
use super::super::messages::Limitation;
use super::*;

/// The settings of an agent that limits what containers use.
fn limiting() -> Settings {
    Settings {
        isolation: Isolation {
            limits: true,
            ..Isolation::default()
        },
        ..settings()
    }
}

fn limited_task(id: &str, mem: f64, limit: Option<f64>) -> v1::TaskInfo {
    let limit = limit.map(|value| ("mem".to_owned(), v1::value::Scalar { value }));
    v1::TaskInfo {
        resources: vec![scalar("cpus", 1.0), scalar("mem", mem)],
        limits: limit.into_iter().collect(),
        ..custom_task(id, "ex")
    }
}

fn amounts(resources: &ContainerResources) -> (i64, i64, Option<f64>) {
    let requests = &resources.requests;
    let limit = resources.limits.get("mem").copied();
    (
        requests.scalar_milli("cpus"),
        requests.scalar_milli("mem"),
        limit,
    )
}

impl Fixture {
    #[track_caller]
    fn container_update(&mut self) -> ContainerResources {
        match self.effect() {
            Effect::UpdateContainer(_, resources) => *resources,
            other => panic!("no update of a container: {other:?}"),
        }
    }
}

#[test]
fn a_container_has_what_its_tasks_have() {
    let mut agent = Fixture::registered_with(limiting());
    agent.run(limited_task("t1", 64.0, None));
    let launch = agent.launch();
    assert_eq!(amounts(&launch.resources), (1000, 64_000, None));
    let container = launch.container;
    let result = Ok(4711);
    agent.input(Input::Launched { container, result });
    agent.subscribe("ex", 1);
    assert_eq!(agent.event_type(1), event::Type::Subscribed);
    assert_eq!(agent.event_type(1), event::Type::Launch);

    // A second one has a limit; the first is limited to what it was given.
    agent.run_as(framework(&[]), limited_task("t2", 32.0, Some(128.0)), false);
    assert_eq!(
        amounts(&agent.container_update()),
        (2000, 96_000, Some(192.0))
    );
    assert_eq!(agent.event_type(1), event::Type::Launch);

    // One of them without any limit lifts it.
    let infinite = limited_task("t3", 1.0, Some(f64::INFINITY));
    agent.run_as(framework(&[]), infinite, false);
    let given = amounts(&agent.container_update());
    assert_eq!(given, (3000, 97_000, Some(f64::INFINITY)));
    assert_eq!(agent.event_type(1), event::Type::Launch);

    agent.executor_update("ex", status("t3", TaskState::TaskFinished, 1));
    agent.update();
    assert_eq!(
        amounts(&agent.container_update()),
        (2000, 96_000, Some(192.0))
    );
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
}

#[test]
fn a_container_that_goes_on_is_given_what_it_has_again() {
    let (agent, container) = Fixture::with_running_executor("t1");
    let mut agent = agent.crashed(limiting());
    let result = Ok(4711);
    agent.input(Input::Launched { container, result });
    assert_eq!(amounts(&agent.container_update()).0, 1000);
}

fn too_much() -> Limitation {
    Limitation {
        reason: Reason::ContainerLimitationMemory,
        message: "Memory limit exceeded".to_owned(),
        resources: vec![scalar("mem", 64.0)],
    }
}

#[test]
fn tasks_of_a_container_that_takes_too_much_fail_for_that() {
    let (mut agent, container) = Fixture::with_running_executor("t1");
    agent.input(Input::Limited {
        container: container.clone(),
        limitation: too_much(),
    });
    assert_eq!(agent.effect(), Effect::Kill(container.clone()));
    // The executor has seen its task die, and does not know why.
    agent.executor_update("ex", status("t1", TaskState::TaskFailed, 1));
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    agent.nothing();
    agent.input(Input::Exited {
        container,
        status: Some(9),
    });
    assert_eq!(agent.effect(), Effect::CloseConnection(ConnectionId(1)));
    assert!(matches!(
        agent.told_master(),
        AgentToMaster::ExecutorExited { .. }
    ));
    let update = agent.update().status.0;
    assert_eq!(update.state(), TaskState::TaskFailed);
    assert_eq!(update.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(update.message(), "Memory limit exceeded");
    let limitation = update.limitation.unwrap();
    assert_eq!(limitation.resources, [scalar("mem", 64.0)]);
}

#[test]
fn a_container_that_has_ended_cannot_take_too_much() {
    let mut agent = Fixture::registered();
    agent.input(Input::Limited {
        container: ContainerId::from("nobody"),
        limitation: too_much(),
    });
    agent.nothing();
}

fn asking(info: v1::ContainerInfo) -> v1::TaskInfo {
    let mut task = custom_task("t1", "ex");
    if let Some(executor) = &mut task.executor {
        executor.container = Some(Box::new(info));
    }
    task
}

#[test]
fn what_no_isolator_can_do_is_refused() {
    let volume = v1::Volume {
        container_path: "data".into(),
        host_path: Some("/data".into()),
        mode: v1::volume::Mode::Rw as i32,
        ..Default::default()
    };
    let info = v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos as i32,
        rlimit_info: Some(v1::RLimitInfo::default()),
        ..Default::default()
    };
    for (info, isolator) in [
        (info.clone(), "posix/rlimits"),
        (
            v1::ContainerInfo {
                rlimit_info: None,
                volumes: vec![volume],
                ..info.clone()
            },
            "volume/host_path",
        ),
    ] {
        let mut agent = Fixture::registered();
        agent.run(asking(info));
        assert!(matches!(
            agent.told_master(),
            AgentToMaster::ExecutorExited { .. }
        ));
        let update = agent.update().status.0;
        assert_eq!(update.reason(), Reason::ContainerLaunchFailed);
        assert!(update.message().contains(isolator), "{}", update.message());
    }
    let mut agent = Fixture::registered_with(Settings {
        isolation: Isolation {
            rlimits: true,
            ..Isolation::default()
        },
        ..settings()
    });
    agent.run(asking(info.clone()));
    assert_eq!(agent.launch().info.as_deref(), Some(&info));
}

fn with_docker() -> Settings {
    Settings {
        isolation: Isolation {
            docker: true,
            ..Isolation::default()
        },
        ..settings()
    }
}

fn in_docker(task: v1::TaskInfo) -> v1::TaskInfo {
    let mut task = task;
    let docker = v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        ..Default::default()
    };
    let own = v1::environment::Variable {
        name: "LD_PRELOAD".into(),
        value: Some("/evil.so".into()),
        ..Default::default()
    };
    let environment = Some(v1::Environment {
        variables: vec![own],
    });
    match &mut task.executor {
        Some(executor) => {
            executor.container = Some(Box::new(docker));
            executor.command.as_mut().unwrap().environment = environment;
        }
        None => {
            task.container = Some(Box::new(docker));
            task.command.as_mut().unwrap().environment = environment;
        }
    }
    task
}

#[test]
fn what_runs_in_docker_is_told_nothing_to_what_runs_outside() {
    for (task, is_executor) in [
        (command_task("t", "x"), false),
        (custom_task("t", "t"), true),
    ] {
        let mut agent = Fixture::registered_with(with_docker());
        agent.run(in_docker(task));
        let launch = agent.launch();
        assert!(launch.program.ends_with("/tepui-executor"), "{launch:?}");
        assert!(!launch.environment.contains_key("LD_PRELOAD"));
        let inside = launch.docker.unwrap();
        assert_eq!(inside.is_executor, is_executor);
        assert_eq!(inside.environment["LD_PRELOAD"], "/evil.so");
        let is_told = inside.environment.contains_key("MESOS_EXECUTOR_ID");
        assert_eq!(is_told, is_executor);
        // A task's container has what the task was given, and not what is beside it.
        let cpus = launch.resources.requests.scalar_milli("cpus");
        assert_eq!(cpus % 1000, 0, "{cpus}");
    }
}

#[test]
fn a_command_in_docker_keeps_what_it_was_given() {
    let both = Settings {
        isolation: Isolation {
            docker: true,
            limits: true,
            ..Isolation::default()
        },
        ..settings()
    };
    let mut agent = Fixture::registered_with(both.clone());
    agent.run(in_docker(command_task("t", "x")));
    let launch = agent.launch();
    let given = |agent: &Fixture| {
        let snapshot = agent.snapshot();
        let framework = snapshot.frameworks.values().next().unwrap();
        ContainerResources::of(framework.executors.values().next().unwrap())
    };
    // What is shown of it, too, is without what is beside it.
    assert_eq!(given(&agent), launch.resources);
    let mut agent = agent.crashed(both);
    agent.input(Input::Launched {
        container: launch.container,
        result: Ok(4711),
    });
    agent.nothing();
    assert_eq!(given(&agent), launch.resources);
}

fn in_image(task: v1::TaskInfo) -> v1::TaskInfo {
    let info = v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos as i32,
        mesos: Some(v1::container_info::MesosInfo {
            image: Some(v1::Image::default()),
        }),
        ..Default::default()
    };
    let mut task = task;
    match &mut task.executor {
        Some(executor) => executor.container = Some(Box::new(info)),
        None => task.container = Some(Box::new(info)),
    }
    task
}

#[test]
fn an_image_may_say_what_runs_and_who_runs_it() {
    let settings = Settings {
        isolation: Isolation {
            images: true,
            ..Isolation::default()
        },
        executor_environment: [("HOME".to_owned(), "/home".to_owned())].into(),
        switch_user: true,
        ..settings()
    };
    for (task, is_task) in [
        (command_task("t", "x"), true),
        (custom_task("t", "ex"), false),
    ] {
        let mut open = in_image(task);
        let command = match &mut open.executor {
            Some(executor) => &mut executor.command,
            None => &mut open.command,
        };
        let command = command.as_mut().unwrap();
        command.shell = Some(false);
        command.value = None;
        let mut named = open.clone();
        let command = match &mut named.executor {
            Some(executor) => &mut executor.command,
            None => &mut named.command,
        };
        command.as_mut().unwrap().user = Some("app".into());
        for (task, may_name_user) in [(open, true), (named, false)] {
            let mut agent = Fixture::registered_with(settings.clone());
            agent.run(task);
            let launch = agent.launch();
            assert_eq!(launch.program.ends_with("/tepui-executor"), is_task);
            let image = launch.image.unwrap();
            assert_eq!(image.is_task, is_task);
            assert_eq!(image.may_name_user, may_name_user);
            assert_eq!(image.command.value, None);
            // The image's variables come between these and those of the launch.
            assert_eq!(image.inherited["HOME"], "/home");
            for absent in ["HOME", "PATH"] {
                assert!(!launch.environment.contains_key(absent), "{absent}");
            }
        }
    }
    let mut agent = Fixture::registered();
    agent.run(in_image(command_task("t", "x")));
    let update = agent.update().status.0;
    assert_eq!(update.state(), v1::TaskState::TaskFailed);
    assert!(
        update.message().contains("--image_providers"),
        "{}",
        update.message()
    );
}
