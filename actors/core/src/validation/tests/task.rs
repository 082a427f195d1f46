//! Single tasks and the executors they bring.

use tepui_protocol::v1;

use super::fixtures::{
    Cluster, command, custom_executor, mesos_container, ports, scalar, sharing_container, task,
    volume,
};
use crate::resources::Resources;
use crate::validation::task::validate;

/// Breaks a valid task or the cluster it is for.
type Change = fn(&mut v1::TaskInfo, &mut Cluster);

fn check(cases: &[(Change, &str)]) {
    for (change, text) in cases {
        let mut task = task("t1");
        let mut cluster = Cluster::new();
        change(&mut task, &mut cluster);
        let wanted = match *text {
            "" => Ok(()),
            text => Err(text.to_string()),
        };
        assert_eq!(validate(&task, &cluster.context()), wanted);
    }
}

fn seconds(seconds: i64) -> Option<v1::DurationInfo> {
    Some(v1::DurationInfo {
        nanoseconds: seconds * 1_000_000_000,
    })
}

fn limit(task: &mut v1::TaskInfo, name: &str, value: f64) {
    let limits = &mut task.limits;
    limits.insert(name.to_string(), v1::value::Scalar { value });
}

fn with_executor(task: &mut v1::TaskInfo, executor: v1::ExecutorInfo) {
    task.command = None;
    task.executor = Some(Box::new(executor));
}

#[test]
fn ids_are_valid_new_and_for_this_agent() {
    check(&[
        (|_, _| {}, ""),
        (|t, _| t.task_id.value.clear(), "ID must not be empty"),
        (|_, c| c.active = vec!["t1"], "Task has duplicate ID: t1"),
        (
            |_, c| c.unreachable = vec!["t1"],
            "Task reuses the ID of an unreachable task: t1",
        ),
        (
            |t, _| t.agent_id.value = "B".to_string(),
            "Task uses invalid agent B while agent A is expected",
        ),
    ]);
}

#[test]
fn times_are_not_negative() {
    check(&[
        (
            |t, _| {
                t.kill_policy = Some(v1::KillPolicy {
                    grace_period: seconds(-1),
                })
            },
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        (
            |t, _| {
                t.kill_policy = Some(v1::KillPolicy {
                    grace_period: seconds(0),
                })
            },
            "",
        ),
        (
            |t, _| t.max_completion_time = seconds(-1),
            "Task's `max_completion_time` must be non-negative",
        ),
        (|t, _| t.max_completion_time = seconds(1), ""),
    ]);
}

#[test]
fn checks_command_and_container_are_named_in_the_text() {
    check(&[
        (
            |t, _| t.check = Some(Box::default()),
            "Task uses invalid check: CheckInfo must specify 'type'",
        ),
        (
            |t, _| t.health_check = Some(Box::default()),
            "Task uses invalid health check: HealthCheck must specify 'type'",
        ),
        (
            |t, _| {
                let variable = v1::environment::Variable {
                    name: "A".to_string(),
                    ..Default::default()
                };
                t.command.as_mut().unwrap().environment = Some(v1::Environment {
                    variables: vec![variable],
                });
            },
            "Task's `CommandInfo` is invalid: Environment variable 'A' of type 'VALUE' must have \
             a value set",
        ),
        (
            |t, _| t.container = Some(Box::default()),
            "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed \
             ContainerInfo",
        ),
        (|t, _| t.container = Some(Box::new(mesos_container())), ""),
    ]);
}

#[test]
fn resources_are_valid_and_allocated_to_one_role() {
    check(&[
        (|t, _| t.resources.clear(), "Task uses no resources"),
        (
            |t, _| t.resources.push(scalar("gpus", 0.5)),
            "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an \
             unsigned integer",
        ),
        (
            |t, _| t.resources.push(scalar("disk", -1.0)),
            "Task uses invalid resources: Invalid resources: Resource 'disk(allocated: *):-1' is \
             invalid: Invalid scalar resource: value <= 0",
        ),
        (
            |t, _| t.resources.extend([volume("v1"), volume("v1")]),
            "Task uses duplicate persistence ID: Persistence ID 'v1' is not unique",
        ),
        (|t, _| t.resources.push(volume("v1")), ""),
        (
            |t, _| t.resources[1].allocation_info = None,
            "Invalid task resources: The resources are not allocated to a role",
        ),
        (
            |t, _| {
                let allocation = t.resources[1].allocation_info.as_mut().unwrap();
                allocation.role = Some("x".to_string());
            },
            "Invalid task resources: The resources have multiple allocation roles ('x' and '*') \
             but only one allocation role is allowed",
        ),
        (
            |t, _| {
                let mut revocable = scalar("cpus", 1.0);
                revocable.revocable = Some(Default::default());
                t.resources.push(revocable);
            },
            "Task mixes revocable and non-revocable resources: Cannot use both revocable and \
             non-revocable 'cpus' at the same time",
        ),
    ]);
}

#[test]
fn limits_are_at_least_what_is_requested() {
    check(&[
        (
            |t, c| {
                c.capabilities.clear();
                limit(t, "cpus", 1.0);
            },
            "Agent is not capable of handling task resource limits",
        ),
        (
            |t, _| limit(t, "disk", 1.0),
            "Only cpus and mem may be included in a task's resource limits",
        ),
        (
            |t, _| limit(t, "cpus", 0.05),
            "The cpu limit must be greater than or equal to the cpu request",
        ),
        (
            |t, _| limit(t, "cpus", f64::NAN),
            "The cpu limit must be greater than or equal to the cpu request",
        ),
        (
            |t, _| {
                t.resources.remove(0);
                limit(t, "cpus", 1.0);
            },
            "When a CPU limit is specified, a CPU request must also be specified",
        ),
        (
            |t, _| limit(t, "mem", 31.0),
            "The memory limit must be greater than or equal to the memory request",
        ),
        (
            |t, _| limit(t, "mem", f64::NAN),
            "The memory limit must be greater than or equal to the memory request",
        ),
        (
            |t, _| {
                t.resources.remove(1);
                limit(t, "mem", 64.0);
            },
            "When a memory limit is specified, a memory request must also be specified",
        ),
        (
            |t, _| {
                limit(t, "cpus", 0.1);
                limit(t, "mem", f64::INFINITY);
            },
            "",
        ),
        (|t, _| limit(t, "cpus", f64::INFINITY), ""),
    ]);
}

#[test]
fn a_task_has_a_command_or_an_executor_with_one() {
    let one = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present";
    check(&[
        (|t, _| t.command = None, one),
        (|t, _| t.executor = Some(Box::new(custom_executor())), one),
        (|t, _| with_executor(t, custom_executor()), ""),
        (
            |t, _| {
                let executor = v1::ExecutorInfo {
                    r#type: None,
                    command: None,
                    ..custom_executor()
                };
                with_executor(t, executor);
            },
            "'ExecutorInfo.command' must be set",
        ),
        (
            |t, _| {
                let executor = v1::ExecutorInfo {
                    r#type: Some(v1::executor_info::Type::Default as i32),
                    command: None,
                    ..custom_executor()
                };
                with_executor(t, executor);
            },
            "'ExecutorInfo.type' must be 'CUSTOM'",
        ),
        (
            |t, _| {
                let executor = v1::ExecutorInfo {
                    r#type: Some(99),
                    ..custom_executor()
                };
                with_executor(t, executor);
            },
            "",
        ),
    ]);
}

#[test]
fn executors_do_not_share_resources_or_cgroups() {
    let mut shared = volume("v1");
    shared.shared = Some(Default::default());
    let mut executor = custom_executor();
    executor.resources = vec![shared];
    let resources = Resources::from_v1(&executor.resources).unwrap();
    let mut sharing = task("t1");
    with_executor(&mut sharing, executor);
    assert_eq!(
        validate(&sharing, &Cluster::new().context()),
        Err(format!(
            "Executor resources {resources} should not contain any shared resources"
        ))
    );
    check(&[
        (
            |t, _| {
                let mut executor = custom_executor();
                executor.container = Some(Box::new(sharing_container(true)));
                with_executor(t, executor);
            },
            "The 'share_cgroups' field cannot be set to 'true' on executor containers",
        ),
        (
            |t, _| t.container = Some(Box::new(sharing_container(false))),
            "Only tasks in a task group may have 'share_cgroups' set to 'false'",
        ),
        (
            |t, _| t.container = Some(Box::new(sharing_container(true))),
            "",
        ),
    ]);
}

#[test]
fn task_and_executor_fit_together() {
    check(&[
        (
            |t, _| {
                t.resources.push(ports(31_000, 31_005));
                let mut executor = custom_executor();
                executor.resources.push(ports(31_005, 31_009));
                with_executor(t, executor);
            },
            "There are overlapping resources in the task resources cpus(allocated: *):0.1; \
             mem(allocated: *):32; ports(allocated: *):[31000-31005] and executor resources \
             cpus(allocated: *):0.1; mem(allocated: *):32; ports(allocated: *):[31005-31009]",
        ),
        (
            |t, _| {
                t.resources.push(ports(31_000, 31_005));
                let mut executor = custom_executor();
                executor.resources.push(ports(31_006, 31_009));
                with_executor(t, executor);
            },
            "",
        ),
        (
            |t, _| {
                t.resources.push(volume("v1"));
                let mut executor = custom_executor();
                executor.resources.push(volume("v1"));
                with_executor(t, executor);
            },
            "Task and its executor use duplicate persistence ID: Persistence ID 'v1' is not unique",
        ),
        (
            |t, _| {
                let mut executor = custom_executor();
                executor.resources[0].revocable = Some(Default::default());
                with_executor(t, executor);
            },
            "Task and its executor mix revocable and non-revocable resources: Cannot use both \
             revocable and non-revocable 'cpus' at the same time",
        ),
    ]);
}

#[test]
fn all_resources_are_offered() {
    let offered = "cpus(allocated: *):4; mem(allocated: *):2048; disk(allocated: *):4096; \
                   ports(allocated: *):[31000-31100]; \
                   disk(allocated: *)(reservations: [(DYNAMIC,web)])[v1:data]:1";
    let refused = |change: Change, total: &str| {
        let mut task = task("t1");
        let mut cluster = Cluster::new();
        change(&mut task, &mut cluster);
        let text = format!(
            "Total resources {total} required by task and its executor is more than available \
             {offered}"
        );
        assert_eq!(validate(&task, &cluster.context()), Err(text));
    };
    refused(
        |t, _| t.resources[0] = scalar("cpus", 100_000.0),
        "cpus(allocated: *):100000; mem(allocated: *):32",
    );
    refused(
        |t, _| {
            t.resources[0] = scalar("cpus", 3.95);
            with_executor(t, custom_executor());
        },
        "cpus(allocated: *):4.05; mem(allocated: *):64",
    );
    // An executor that runs already has its resources.
    check(&[(
        |t, c| {
            t.resources[0] = scalar("cpus", 3.95);
            with_executor(t, custom_executor());
            c.executors.insert("ex".to_string(), custom_executor());
        },
        "",
    )]);
}

#[test]
fn the_first_broken_rule_decides() {
    let mut task = task("t1");
    task.command = None;
    task.resources.clear();
    task.agent_id.value = "B".to_string();
    let cluster = Cluster::new();
    let mut errors = Vec::new();
    for _ in 0..4 {
        let error = validate(&task, &cluster.context());
        errors.push(error.clone().err().unwrap_or_default());
        match errors.len() {
            1 => task.agent_id.value = "A".to_string(),
            2 => task.resources = vec![scalar("cpus", 1.0)],
            _ => task.command = Some(Box::new(command())),
        }
    }
    let starts = [
        "Task uses invalid agent",
        "Task uses no",
        "Task should have",
        "",
    ];
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
    assert_eq!(errors.last().map(String::as_str), Some(""));
}
