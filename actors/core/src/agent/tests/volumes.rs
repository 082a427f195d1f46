//! Tasks with reservations and volumes: what is refused, what is seen in sandboxes.

use tepui_protocol::v1::framework_info::capability::Type as Capability;
use tepui_protocol::v1::task_status::Reason;

use super::super::messages::ContainerCall;
use super::super::volumes::VolumesUpdate;
use super::operations::{DIRECTORY, create, reserve, reserved, rich, shared, volume};
use super::*;

/// A registered agent with the volumes `v1` and `v2`, shared if asked for.
fn with_volumes(is_shared: bool) -> Fixture {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 200.0)]), 1);
    agent.done(create(vec![one(is_shared, "v1"), one(is_shared, "v2")]), 2);
    agent
}

fn one(is_shared: bool, id: &str) -> v1::Resource {
    let plain = volume(id, 64.0);
    match is_shared {
        true => shared(plain),
        false => plain,
    }
}

fn seen_as(name: &str, mut volume: v1::Resource) -> v1::Resource {
    let disk = volume.disk.as_mut().unwrap();
    disk.volume.as_mut().unwrap().container_path = name.into();
    volume
}

fn using(task: v1::TaskInfo, resource: v1::Resource) -> v1::TaskInfo {
    v1::TaskInfo {
        resources: vec![resource],
        ..task
    }
}

fn updated(agent: &mut Fixture) -> VolumesUpdate {
    match agent.effect() {
        Effect::UpdateVolumes(order) => *order,
        other => panic!("no links: {other:?}"),
    }
}

impl Fixture {
    /// Starts `task` on the custom executor `ex`, which gets it on connection 1.
    fn run_to_delivery(&mut self, task: v1::TaskInfo) -> Launch {
        self.run(task);
        let launch = self.launch();
        self.input(Input::Launched {
            container: launch.container.clone(),
            result: Ok(4711),
        });
        self.subscribe("ex", 1);
        assert_eq!(self.event_type(1), event::Type::Subscribed);
        assert_eq!(self.event_type(1), event::Type::Launch);
        launch
    }

    fn links_done(&mut self, container: &ContainerId, result: Result<(), String>) {
        self.input(Input::VolumesUpdated {
            container: container.clone(),
            result,
        });
    }

    /// The task on `ex` ends, and all is told.
    fn finish(&mut self, task: &str, number: u8) {
        self.executor_update("ex", status(task, TaskState::TaskFinished, number));
        assert_eq!(self.update().status.state(), TaskState::TaskFinished);
    }
}

#[test]
fn a_task_on_resources_the_agent_does_not_know_is_dropped() {
    let capable = framework(&[Capability::PartitionAware]);
    for (framework, state) in [
        (framework(&[]), TaskState::TaskLost),
        (capable, TaskState::TaskDropped),
    ] {
        let mut agent = Fixture::registered_with(rich());
        agent.run_as(
            framework,
            using(command_task("t1", "true"), reserved("cpus", 1.0)),
            true,
        );
        let update = agent.update();
        assert_eq!(update.status.state(), state);
        assert_eq!(update.status.reason(), Reason::ResourcesUnknown);
        assert_eq!(
            update.status.message(),
            "The checkpointed resources being used by the task or task group are unknown to the \
             agent"
        );
        assert!(matches!(
            agent.told_master(),
            AgentToMaster::ExecutorExited { status: -1, .. }
        ));
    }
}

#[test]
fn an_executor_on_resources_the_agent_does_not_know_is_dropped() {
    let mut agent = Fixture::registered_with(rich());
    let mut task = custom_task("t1", "ex");
    task.executor.as_mut().unwrap().resources = vec![volume("v1", 64.0)];
    agent.run(task);
    let update = agent.update();
    assert_eq!(update.status.reason(), Reason::ResourcesUnknown);
    assert_eq!(
        update.status.message(),
        "The checkpointed resources being used by the executor are unknown to the agent"
    );
    agent.told_master();
}

#[test]
fn more_than_was_reserved_is_unknown() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.run(using(command_task("t1", "true"), reserved("cpus", 1.5)));
    assert_eq!(agent.update().status.reason(), Reason::ResourcesUnknown);
    agent.told_master();
    agent.run(using(command_task("t2", "true"), reserved("cpus", 0.5)));
    agent.launch();
}

#[test]
fn a_tasks_volume_is_linked_before_its_executor_starts() {
    let mut agent = with_volumes(false);
    agent.run(using(command_task("t1", "true"), volume("v1", 64.0)));
    let launch = agent.launch();
    assert_eq!(launch.volumes.len(), 1);
    let link = &launch.volumes[0];
    assert_eq!(link.name, "data");
    assert_eq!(link.volume.path, DIRECTORY);
    assert!(link.chown);
}

#[test]
fn a_container_path_that_is_no_name_in_the_sandbox_fails_the_task() {
    for path in ["/abs", "../up", "a//b", "a/../b", "..", ".", ""] {
        let mut agent = with_volumes(false);
        let task = command_task("t1", "true");
        agent.run(using(task, seen_as(path, volume("v1", 64.0))));
        let update = agent.update();
        assert_eq!(update.status.state(), TaskState::TaskFailed, "{path}");
        assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
        let text = update.status.message();
        assert!(
            text.starts_with("Failed to launch container: The container path"),
            "{text}"
        );
    }
}

#[test]
fn two_volumes_cannot_have_one_name() {
    let mut agent = with_volumes(false);
    let task = v1::TaskInfo {
        resources: vec![volume("v1", 64.0), volume("v2", 64.0)],
        ..command_task("t1", "true")
    };
    agent.run(task);
    let update = agent.update();
    assert_eq!(update.status.reason(), Reason::ContainerLaunchFailed);
    assert!(
        update
            .status
            .message()
            .contains("The existing symlink 'data' points to")
    );
}

#[test]
fn a_later_task_gets_its_volume_before_it_is_delivered_and_loses_it_at_its_end() {
    let mut agent = with_volumes(false);
    let launch = agent.run_to_delivery(custom_task("t1", "ex"));
    assert!(launch.volumes.is_empty());
    agent.run_as(
        framework(&[]),
        using(custom_task("t2", "ex"), volume("v1", 64.0)),
        false,
    );
    let order = updated(&mut agent);
    assert_eq!(order.container, launch.container);
    assert_eq!(order.directory, launch.directory);
    assert_eq!(order.add[0].volume.path, DIRECTORY);
    assert!(order.remove.is_empty());
    // A task without a volume keeps its place behind the one with.
    agent.run_as(framework(&[]), custom_task("t3", "ex"), false);
    agent.nothing();
    agent.links_done(&launch.container, Ok(()));
    assert_eq!(agent.event_type(1), event::Type::Launch);
    assert_eq!(agent.event_type(1), event::Type::Launch);
    agent.finish("t2", 1);
    let order = updated(&mut agent);
    assert_eq!(order.remove, [("data".to_owned(), DIRECTORY.to_owned())]);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    // The next task's link is made after the old one has gone.
    agent.run_as(
        framework(&[]),
        using(custom_task("t4", "ex"), volume("v1", 64.0)),
        false,
    );
    assert_eq!(updated(&mut agent).add.len(), 1);
    agent.links_done(&launch.container, Ok(()));
    agent.nothing();
    agent.links_done(&launch.container, Ok(()));
    assert_eq!(agent.event_type(1), event::Type::Launch);
}

#[test]
fn a_link_stays_while_another_task_of_the_executor_uses_it() {
    let mut agent = with_volumes(true);
    let launch = agent.run_to_delivery(using(custom_task("t1", "ex"), one(true, "v1")));
    assert_eq!(launch.volumes.len(), 1);
    agent.run_as(
        framework(&[]),
        using(custom_task("t2", "ex"), one(true, "v1")),
        false,
    );
    assert_eq!(agent.event_type(1), event::Type::Launch);
    agent.finish("t1", 1);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
    agent.finish("t2", 2);
    assert_eq!(updated(&mut agent).remove.len(), 1);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
}

#[test]
fn a_shared_volume_keeps_its_owner_while_others_use_it() {
    let mut agent = with_volumes(true);
    agent.run(using(command_task("t1", "true"), one(true, "v1")));
    let first = agent.launch();
    assert!(first.volumes[0].chown);
    agent.run(using(command_task("t2", "true"), one(true, "v1")));
    let second = agent.launch();
    assert!(!second.volumes[0].chown);
    // Nobody sees it any more when both have ended.
    for launch in [first, second] {
        agent.input(Input::Exited {
            container: launch.container,
            status: Some(0),
        });
        agent.update();
        assert_eq!(updated(&mut agent).remove.len(), 1);
    }
    agent.run(using(command_task("t3", "true"), one(true, "v1")));
    assert!(agent.launch().volumes[0].chown);
}

#[test]
fn a_link_that_cannot_be_made_ends_the_container() {
    for (capabilities, state) in [
        (vec![], TaskState::TaskLost),
        (vec![Capability::PartitionAware], TaskState::TaskGone),
    ] {
        let mut agent = with_volumes(false);
        let framework = framework(&capabilities);
        agent.run_as(framework.clone(), custom_task("t1", "ex"), true);
        let container = agent.launch().container;
        agent.run_as(
            framework,
            using(custom_task("t2", "ex"), volume("v1", 64.0)),
            false,
        );
        updated(&mut agent);
        agent.links_done(&container, Err("it is in the way".into()));
        assert_eq!(agent.effect(), Effect::Kill(container.clone()));
        agent.input(Input::Exited {
            container,
            status: Some(9),
        });
        agent.told_master();
        for _ in 0..2 {
            let update = agent.update();
            assert_eq!(update.status.state(), state);
            assert_eq!(update.status.reason(), Reason::ContainerUpdateFailed);
            assert_eq!(
                update.status.message(),
                "Failed to update resources for container: it is in the way"
            );
            if update.status.task_id.value == "t2" {
                assert_eq!(updated(&mut agent).remove.len(), 1);
            }
        }
    }
}

#[test]
fn a_name_that_another_volume_has_ends_the_container() {
    let mut agent = with_volumes(false);
    let launch = agent.run_to_delivery(using(custom_task("t1", "ex"), volume("v1", 64.0)));
    agent.run_as(
        framework(&[]),
        using(custom_task("t2", "ex"), volume("v2", 64.0)),
        false,
    );
    assert_eq!(agent.effect(), Effect::Kill(launch.container));
}

fn in_docker(task: v1::TaskInfo) -> v1::TaskInfo {
    let mut task = task;
    let docker = v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        ..Default::default()
    };
    task.executor.as_mut().unwrap().container = Some(Box::new(docker));
    task
}

#[test]
fn a_volume_that_comes_too_late_for_a_docker_container_costs_its_task_only() {
    let mut settings = rich();
    settings.isolation.docker = true;
    let mut agent = Fixture::registered_with(settings);
    agent.done(reserve(vec![reserved("disk", 200.0)]), 1);
    agent.done(create(vec![one(true, "v1"), one(false, "v2")]), 2);
    let mut read_only = one(true, "v1");
    let disk = read_only.disk.as_mut().unwrap();
    disk.volume.as_mut().unwrap().mode = v1::volume::Mode::Ro as i32;
    let task = |id: &str, volume| using(in_docker(custom_task(id, "ex")), volume);
    let launch = agent.run_to_delivery(task("t1", read_only));
    assert!(launch.volumes[0].read_only);

    agent.run_as(framework(&[]), task("t2", volume("v2", 64.0)), false);
    let update = agent.update().status.0;
    assert_eq!(update.state(), TaskState::TaskLost);
    assert_eq!(update.reason(), Reason::ContainerUpdateFailed);
    assert!(update.message().contains("cannot be added"), "{update:?}");
    agent.nothing();
    // What the container has, another task may use.
    agent.run_as(framework(&[]), task("t3", one(true, "v1")), false);
    assert_eq!(agent.event_type(1), event::Type::Launch);
}

#[test]
fn the_volumes_of_a_group_are_all_linked() {
    let mut agent = with_volumes(false);
    agent.run_group(vec![
        using(command_task("t1", "true"), volume("v1", 64.0)),
        using(
            command_task("t2", "true"),
            seen_as("more", volume("v2", 64.0)),
        ),
    ]);
    let launch = agent.launch();
    let names: Vec<&str> = launch
        .volumes
        .iter()
        .map(|link| link.name.as_str())
        .collect();
    assert_eq!(names, ["data", "more"]);
}

/// A call that launches a container in another one, with this resource.
fn launch_within(outer: &ContainerId, resource: v1::Resource) -> Input {
    let command = v1::CommandInfo {
        value: Some("true".into()),
        ..Default::default()
    };
    let launch = v1::agent::call::LaunchContainer {
        container_id: ContainerId::new(format!("{outer}.in")).to_chain(),
        command: Some(command),
        resources: vec![resource],
        ..Default::default()
    };
    Input::ContainerCall {
        call: Box::new(ContainerCall::Launch(launch)),
        connection: ConnectionId(9),
        reply: Token(9),
    }
}

#[test]
fn a_container_in_that_of_an_executor_is_shown_its_volumes_and_no_others() {
    let mut agent = with_volumes(false);
    let launch = agent.run_to_delivery(using(custom_task("t1", "ex"), volume("v1", 64.0)));
    agent.input(launch_within(&launch.container, volume("v2", 64.0)));
    let Effect::Reply(_, Answer::Refused(400, why)) = agent.effect() else {
        panic!("it is shown a volume of nobody's")
    };
    assert!(
        why.contains("volume 'v2' is none of the executor's"),
        "{why}"
    );
    let wanted = seen_as("deep/data", volume("v1", 64.0));
    agent.input(launch_within(&launch.container, wanted));
    let inner = agent.launch();
    assert_eq!(inner.volumes.len(), 1);
    let link = &inner.volumes[0];
    assert_eq!(
        (link.name.as_str(), link.volume.path.as_str()),
        ("deep/data", DIRECTORY)
    );
    assert!(!link.chown, "its owner was chosen with the executor's");
}
