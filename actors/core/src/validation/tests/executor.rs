//! Executors: alone, and beside one that runs already.

use tepui_protocol::v1;

use super::fixtures::{
    Cluster, custom_executor, default_executor, mesos_container, scalar, volume,
};
use crate::validation::debug_text;
use crate::validation::executor::{validate, validate_for_launch};
use crate::validation::same_executor::same;

/// Changes a valid executor.
type Change = fn(&mut v1::ExecutorInfo);

#[test]
fn an_executor_matches_its_type() {
    let cases: [(Change, Result<(), &str>); 6] = [
        (|_| {}, Ok(())),
        (
            |e| e.command = Some(Box::default()),
            Err("'ExecutorInfo.command' must not be set for 'DEFAULT' executor"),
        ),
        (
            |e| e.container = Some(Box::default()),
            Err("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"),
        ),
        (
            |e| {
                let mut container = mesos_container();
                container.mesos = Some(v1::container_info::MesosInfo {
                    image: Some(Default::default()),
                });
                e.container = Some(Box::new(container));
            },
            Err("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"),
        ),
        (
            |e| e.r#type = Some(v1::executor_info::Type::Custom as i32),
            Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
        ),
        (
            |e| e.r#type = Some(v1::executor_info::Type::Unknown as i32),
            Ok(()),
        ),
    ];
    for (change, wanted) in cases {
        let mut executor = default_executor();
        change(&mut executor);
        assert_eq!(validate(&executor), wanted.map_err(str::to_string));
    }
}

#[test]
fn an_executors_parts_are_valid() {
    let cases: [(Change, &str); 4] = [
        (|e| e.executor_id.value.clear(), "ID must not be empty"),
        (
            |e| e.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: -1 }),
            "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
        ),
        (
            |e| {
                e.command.as_mut().unwrap().environment = Some(v1::Environment {
                    variables: vec![Default::default()],
                });
            },
            "Executor's `CommandInfo` is invalid: Environment variable '' of type 'VALUE' must \
             have a value set",
        ),
        (
            |e| e.container = Some(Box::default()),
            "Executor's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER \
             typed ContainerInfo",
        ),
    ];
    for (change, text) in cases {
        let mut executor = custom_executor();
        change(&mut executor);
        assert_eq!(validate(&executor), Err(text.to_string()));
    }
}

#[test]
fn an_executor_belongs_to_its_framework_and_has_valid_resources() {
    let cases: [(Change, &str); 6] = [
        (
            |e| e.framework_id = None,
            "'ExecutorInfo.framework_id' must be set",
        ),
        (
            |e| {
                e.framework_id = Some(v1::FrameworkId {
                    value: "G".to_string(),
                })
            },
            "ExecutorInfo has an invalid FrameworkID (Actual: G vs Expected: F)",
        ),
        (
            |e| e.resources.push(scalar("gpus", 1.5)),
            "Executor uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must \
             be an unsigned integer",
        ),
        (
            |e| e.resources.extend([volume("v"), volume("v")]),
            "Executor uses duplicate persistence ID: Persistence ID 'v' is not unique",
        ),
        (
            |e| e.resources[0].allocation_info = None,
            "Invalid executor resources: The resources are not allocated to a role",
        ),
        (
            |e| {
                let mut revocable = scalar("mem", 1.0);
                revocable.revocable = Some(Default::default());
                e.resources.push(revocable);
            },
            "Executor mixes revocable and non-revocable resources: Cannot use both revocable and \
             non-revocable 'mem' at the same time",
        ),
    ];
    let cluster = Cluster::new();
    for (change, text) in cases {
        let mut executor = custom_executor();
        change(&mut executor);
        let result = validate_for_launch(&executor, &cluster.context());
        assert_eq!(result, Err(text.to_string()));
    }
    assert!(validate_for_launch(&custom_executor(), &cluster.context()).is_ok());
}

#[test]
fn a_running_executor_is_joined_only_by_the_same_description() {
    let mut cluster = Cluster::new();
    cluster
        .executors
        .insert("ex".to_string(), custom_executor());
    assert!(validate_for_launch(&custom_executor(), &cluster.context()).is_ok());
    let mut other = custom_executor();
    other.name = Some("another \"name\"\n".to_string());
    let text = validate_for_launch(&other, &cluster.context()).unwrap_err();
    let line = "------------------------------------------------------------\n";
    let existing = debug_text::executor(&custom_executor());
    let new = debug_text::executor(&other);
    assert_eq!(
        text,
        format!(
            "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
             {line}Existing ExecutorInfo:\n{existing}\n{line}ExecutorInfo:\n{new}\n{line}"
        )
    );
    assert!(new.contains("name: \"another \\\"name\\\"\\n\"\n"), "{new}");
}

#[test]
fn what_makes_executors_differ() {
    let differ: [Change; 7] = [
        |e| e.data = Some(vec![1]),
        |e| e.r#type = None,
        |e| e.resources[0] = scalar("cpus", 0.2),
        |e| e.command.as_mut().unwrap().shell = Some(false),
        |e| e.command.as_mut().unwrap().arguments.push("x".to_string()),
        |e| e.container = Some(Box::new(mesos_container())),
        |e| {
            e.discovery = Some(Box::new(v1::DiscoveryInfo {
                name: Some("d".to_string()),
                ..Default::default()
            }));
        },
    ];
    for (index, change) in differ.into_iter().enumerate() {
        let mut other = custom_executor();
        change(&mut other);
        assert!(!same(&custom_executor(), &other), "{index}");
    }
    let equal: [Change; 6] = [
        |e| e.name = Some(String::new()),
        |e| e.resources.reverse(),
        |e| e.labels = Some(Default::default()),
        |e| e.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: 1 }),
        |e| e.command.as_mut().unwrap().shell = Some(true),
        |e| e.data = Some(Vec::new()),
    ];
    for (index, change) in equal.into_iter().enumerate() {
        let mut other = custom_executor();
        change(&mut other);
        assert!(same(&custom_executor(), &other), "{index}");
    }
}

#[test]
fn the_order_of_variables_uris_and_volumes_does_not_matter() {
    let variable = |name: &str| v1::environment::Variable {
        name: name.to_string(),
        value: Some("v".to_string()),
        ..Default::default()
    };
    let uri = |value: &str, cache: bool| v1::command_info::Uri {
        value: value.to_string(),
        cache: Some(cache),
        ..Default::default()
    };
    let volume = |path: &str| v1::Volume {
        container_path: path.to_string(),
        ..Default::default()
    };
    let mut left = custom_executor();
    let mut right = custom_executor();
    for (executor, order, cache) in [
        (&mut left, ["a", "b"], true),
        (&mut right, ["b", "a"], false),
    ] {
        let command = executor.command.as_mut().unwrap();
        command.environment = Some(v1::Environment {
            variables: order.iter().map(|name| variable(name)).collect(),
        });
        command.uris = order.iter().map(|name| uri(name, cache)).collect();
        let mut container = mesos_container();
        container.volumes = order.iter().map(|name| volume(name)).collect();
        executor.container = Some(Box::new(container));
    }
    assert!(same(&left, &right));
    right.command.as_mut().unwrap().uris.pop();
    assert!(!same(&left, &right));
}

#[test]
fn the_debug_text_is_protobufs() {
    let mut executor = custom_executor();
    executor.data = Some(vec![0, 200, b'\'', b'\\']);
    executor.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: -5 });
    executor.resources.truncate(1);
    let mut container = mesos_container();
    container.rlimit_info = Some(v1::RLimitInfo {
        rlimits: vec![v1::r_limit_info::RLimit {
            r#type: Some(v1::r_limit_info::r_limit::Type::RlmtNofile as i32),
            hard: Some(u64::MAX),
            soft: None,
        }],
    });
    executor.container = Some(Box::new(container));
    let text = r#"executor_id {
  value: "ex"
}
data: "\000\310\'\\"
resources {
  name: "cpus"
  type: SCALAR
  scalar {
    value: 0.1
  }
  allocation_info {
    role: "*"
  }
}
command {
  value: "sleep 1"
}
framework_id {
  value: "F"
}
container {
  type: MESOS
  rlimit_info {
    rlimits {
      type: RLMT_NOFILE
      hard: 18446744073709551615
    }
  }
}
shutdown_grace_period {
  nanoseconds: -5
}
type: CUSTOM
"#;
    assert_eq!(debug_text::executor(&executor), text);
}
