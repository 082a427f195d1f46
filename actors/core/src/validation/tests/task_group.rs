//! Groups of tasks and their executor.

use tepui_protocol::v1;

use super::fixtures::{
    Cluster, custom_executor, default_executor, mesos_container, ports, scalar, sharing_container,
    task, volume,
};
use crate::validation::task_group::validate;

/// A group whose tasks carry the executor, as the master fills it in.
struct Launch {
    group: v1::TaskGroupInfo,
    executor: v1::ExecutorInfo,
    cluster: Cluster,
}

/// Breaks a valid launch.
type Change = fn(&mut Launch);

fn launch() -> Launch {
    Launch {
        group: v1::TaskGroupInfo {
            tasks: vec![task("g1"), task("g2")],
        },
        executor: default_executor(),
        cluster: Cluster::new(),
    }
}

fn result(change: Change) -> Result<(), String> {
    let mut launch = launch();
    change(&mut launch);
    for task in &mut launch.group.tasks {
        let executor = &launch.executor;
        task.executor
            .get_or_insert_with(|| Box::new(executor.clone()));
    }
    validate(&launch.group, &launch.executor, &launch.cluster.context())
}

fn check(cases: &[(Change, &str)]) {
    for (change, text) in cases {
        let wanted = match *text {
            "" => Ok(()),
            text => Err(text.to_string()),
        };
        assert_eq!(result(*change), wanted);
    }
}

#[test]
fn each_task_is_valid_and_new() {
    check(&[
        (|_| {}, ""),
        (|l| l.group.tasks.clear(), "Task group contains no tasks"),
        (
            |l| l.group.tasks[1].task_id.value = "g1".to_string(),
            "Task 'g1' is invalid: Task has duplicate ID: g1",
        ),
        (
            |l| l.cluster.active = vec!["g2"],
            "Task 'g2' is invalid: Task has duplicate ID: g2",
        ),
        (
            |l| l.group.tasks[1].resources.clear(),
            "Task 'g2' is invalid: Task uses no resources",
        ),
    ]);
    let bare = launch();
    assert_eq!(
        validate(&bare.group, &bare.executor, &bare.cluster.context()),
        Err("Task 'g1' is invalid: 'TaskInfo.executor' must be set".to_string())
    );
}

#[test]
fn tasks_of_a_group_run_in_mesos_containers() {
    check(&[
        (
            |l| {
                let container = v1::ContainerInfo {
                    r#type: v1::container_info::Type::Docker as i32,
                    docker: Some(Default::default()),
                    ..Default::default()
                };
                l.group.tasks[0].container = Some(Box::new(container));
            },
            "Task 'g1' is invalid: Docker ContainerInfo is not supported on the task",
        ),
        (
            |l| {
                let mut container = mesos_container();
                container.network_infos.push(Default::default());
                l.group.tasks[0].container = Some(Box::new(container));
                l.group.tasks[0].health_check = Some(Box::new(v1::HealthCheck {
                    r#type: Some(v1::health_check::Type::Tcp as i32),
                    tcp: Some(Default::default()),
                    ..Default::default()
                }));
            },
            "Task 'g1' is invalid: HTTP and TCP health checks are not supported for nested \
             containers not joining parent's network",
        ),
        (
            |l| {
                let mut container = mesos_container();
                container.network_infos.push(Default::default());
                l.group.tasks[0].container = Some(Box::new(container));
            },
            "",
        ),
        (
            |l| {
                let limit = v1::value::Scalar { value: 1.0 };
                l.group.tasks[0].limits.insert("cpus".to_string(), limit);
            },
            "Task 'g1' is invalid: Resource limits may only be set for tasks within a task group \
             when the 'share_cgroups' field is set to 'false'.",
        ),
        (
            |l| {
                for task in &mut l.group.tasks {
                    let limit = v1::value::Scalar { value: 1.0 };
                    task.limits.insert("cpus".to_string(), limit);
                    task.container = Some(Box::new(sharing_container(false)));
                }
            },
            "",
        ),
    ]);
}

#[test]
fn the_executor_has_a_type_that_is_known() {
    check(&[
        (
            |l| l.executor.framework_id = None,
            "'ExecutorInfo.framework_id' must be set",
        ),
        (
            |l| l.executor.r#type = None,
            "'ExecutorInfo.type' must be set",
        ),
        (|l| l.executor.r#type = Some(0), "Unknown executor type"),
        (
            |l| l.executor.r#type = Some(v1::executor_info::Type::Custom as i32),
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
        ),
        (
            |l| {
                l.executor.r#type = Some(v1::executor_info::Type::Custom as i32);
                l.executor.command = custom_executor().command;
            },
            "",
        ),
        (
            |l| {
                l.executor.r#type = Some(v1::executor_info::Type::Custom as i32);
                l.executor.command = custom_executor().command;
                l.executor.container = Some(Box::new(v1::ContainerInfo {
                    r#type: v1::container_info::Type::Docker as i32,
                    docker: Some(Default::default()),
                    ..Default::default()
                }));
            },
            "Docker ContainerInfo is not supported on the executor",
        ),
        (
            |l| {
                let mut other = default_executor();
                other.name = Some("other".to_string());
                l.group.tasks[1].executor = Some(Box::new(other));
            },
            "The `ExecutorInfo` of task 'g2' is different from executor 'ex'",
        ),
    ]);
}

#[test]
fn the_executor_has_the_least_resources() {
    check(&[
        (
            |l| l.executor.resources.clear(),
            "Executor 'ex' uses less CPUs (None) than the minimum required (0.01)",
        ),
        (
            |l| l.executor.resources[0] = scalar("cpus", 0.001),
            "Executor 'ex' uses less CPUs (0.001) than the minimum required (0.01)",
        ),
        (|l| l.executor.resources[0] = scalar("cpus", 0.01), ""),
        (
            |l| l.executor.resources[1] = scalar("mem", 31.9),
            "Executor 'ex' uses less memory (31MB) than the minimum required (32MB)",
        ),
        (
            |l| l.executor.resources[1] = scalar("mem", 0.5),
            "Executor 'ex' uses less memory (0B) than the minimum required (32MB)",
        ),
        (
            |l| {
                l.executor.resources.remove(1);
            },
            "Executor 'ex' uses less memory (None) than the minimum required (32MB)",
        ),
        (
            |l| {
                l.executor.resources.pop();
            },
            "Executor 'ex' uses no disk",
        ),
    ]);
}

#[test]
fn tasks_and_executor_fit_together() {
    check(&[
        (
            |l| {
                l.group.tasks[0].resources.push(volume("v1"));
                l.group.tasks[1].resources.push(volume("v1"));
            },
            "Task group and executor use duplicate persistence ID: Persistence ID 'v1' is not \
             unique",
        ),
        (
            |l| l.group.tasks[1].resources[0].revocable = Some(Default::default()),
            "Task group and executor mix revocable and non-revocable resources: Cannot use both \
             revocable and non-revocable 'cpus' at the same time",
        ),
        (
            |l| {
                l.group.tasks[0].resources = vec![ports(31_000, 31_001)];
                l.group.tasks[1].resources = vec![ports(31_001, 31_002)];
            },
            "There are overlapping resources in the task group's task resources [ ports(allocated\
             : *):[31000-31001], ports(allocated: *):[31001-31002] ] and/or executor resources \
             cpus(allocated: *):0.1; mem(allocated: *):32; disk(allocated: *):10",
        ),
    ]);
}

#[test]
fn all_resources_are_offered() {
    let text = result(|l| l.group.tasks[0].resources = vec![scalar("cpus", 3.9)]).unwrap_err();
    assert_eq!(
        text,
        "Total resources cpus(allocated: *):4.1; mem(allocated: *):64; disk(allocated: *):10 \
         required by task group and its executor are more than available cpus(allocated: *):4; \
         mem(allocated: *):2048; disk(allocated: *):4096; ports(allocated: *):[31000-31100]; \
         disk(allocated: *)(reservations: [(DYNAMIC,web)])[v1:data]:1"
    );
    // The resources of an executor that runs already are not needed again.
    check(&[(
        |l| {
            l.group.tasks[0].resources = vec![scalar("cpus", 3.9)];
            l.cluster
                .executors
                .insert("ex".to_string(), default_executor());
        },
        "",
    )]);
}

#[test]
fn all_tasks_of_an_executor_agree_on_sharing_cgroups() {
    let differ = "If set, the value of 'share_cgroups' must be the same for all tasks in each \
                  task group and under a single executor";
    check(&[
        (
            |l| l.executor.container = Some(Box::new(sharing_container(true))),
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
        (
            |l| l.group.tasks[0].container = Some(Box::new(sharing_container(false))),
            differ,
        ),
        (
            |l| l.group.tasks[0].container = Some(Box::new(sharing_container(true))),
            "",
        ),
        (
            |l| {
                l.cluster
                    .executors
                    .insert("ex".to_string(), default_executor());
                l.cluster.executor_tasks.push(v1::Task {
                    executor_id: Some(l.executor.executor_id.clone()),
                    container: Some(Box::new(sharing_container(false))),
                    ..Default::default()
                });
            },
            differ,
        ),
        (
            |l| {
                l.cluster
                    .executors
                    .insert("ex".to_string(), default_executor());
                l.cluster.executor_tasks.push(v1::Task {
                    executor_id: Some(v1::ExecutorId {
                        value: "another".to_string(),
                    }),
                    container: Some(Box::new(sharing_container(false))),
                    ..Default::default()
                });
            },
            "",
        ),
    ]);
}
