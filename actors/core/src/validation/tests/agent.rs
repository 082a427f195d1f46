//! Agents that register and re-register.

use tepui_protocol::v1;

use super::fixtures::{custom_executor, scalar, volume};
use crate::validation::agent::{
    Reregistration, validate_info, validate_registration, validate_reregistration,
};

fn info() -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "host".to_string(),
        id: Some(v1::AgentId {
            value: "A".to_string(),
        }),
        resources: vec![scalar("cpus", 4.0)],
        ..Default::default()
    }
}

#[test]
fn an_agent_has_a_host_name_a_valid_id_and_valid_resources() {
    assert_eq!(validate_info(&info()), Ok(()));
    assert_eq!(validate_info(&v1::AgentInfo { id: None, ..info() }), Ok(()));
    let nameless = v1::AgentInfo {
        hostname: String::new(),
        ..info()
    };
    assert_eq!(
        validate_info(&nameless),
        Err("Agent hostname must not be empty".to_string())
    );
    let mut unsafe_id = info();
    unsafe_id.id.as_mut().unwrap().value = "a/b".to_string();
    assert_eq!(
        validate_info(&unsafe_id),
        Err("'a/b' contains invalid characters".to_string())
    );
    let mut poor = info();
    poor.resources.push(scalar("mem", -1.0));
    assert_eq!(
        validate_info(&poor),
        Err(
            "Resource 'mem(allocated: *):-1' is invalid: Invalid scalar resource: value <= 0"
                .to_string()
        )
    );
}

#[test]
fn checkpointed_resources_need_checkpointing() {
    assert_eq!(validate_registration(&info(), &[], false), Ok(()));
    assert_eq!(validate_registration(&info(), &[volume("v")], true), Ok(()));
    assert_eq!(
        validate_registration(&info(), &[volume("v")], false),
        Err("Checkpointed resources provided when checkpointing is not enabled".to_string())
    );
    let text = validate_registration(&info(), &[scalar("cpus", -1.0)], true).unwrap_err();
    assert!(text.starts_with("Resource 'cpus"), "{text}");
}

/// What an agent reports, owned.
struct Report {
    info: v1::AgentInfo,
    checkpointed: Vec<v1::Resource>,
    frameworks: Vec<v1::FrameworkInfo>,
    executors: Vec<v1::ExecutorInfo>,
    tasks: Vec<v1::Task>,
}

fn report() -> Report {
    let framework_id = custom_executor().framework_id;
    Report {
        info: info(),
        checkpointed: vec![volume("v")],
        frameworks: vec![v1::FrameworkInfo {
            id: framework_id.clone(),
            ..Default::default()
        }],
        executors: vec![custom_executor()],
        tasks: vec![v1::Task {
            task_id: v1::TaskId {
                value: "t".to_string(),
            },
            framework_id: framework_id.unwrap(),
            agent_id: info().id.unwrap(),
            executor_id: Some(custom_executor().executor_id),
            state: v1::TaskState::TaskRunning as i32,
            resources: vec![scalar("cpus", 1.0)],
            ..Default::default()
        }],
    }
}

/// Breaks a valid report.
type Change = fn(&mut Report);

#[test]
fn what_an_agent_reports_belongs_together() {
    let cases: [(Change, &str); 14] = [
        (|_| {}, ""),
        (
            |r| r.info.hostname.clear(),
            "Agent hostname must not be empty",
        ),
        (
            |r| r.checkpointed[0].name.clear(),
            "Resource '(allocated: *)(reservations: [(DYNAMIC,web)])[v:data]:1' is invalid: Empty \
             resource name",
        ),
        (
            |r| r.frameworks[0].failover_timeout = Some(1e30),
            "The framework failover_timeout (1e+30) is invalid",
        ),
        (
            |r| r.frameworks.push(r.frameworks[0].clone()),
            "Framework has a duplicate FrameworkID: 'F'",
        ),
        (
            |r| r.executors[0].command = None,
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
        ),
        (
            |r| r.executors[0].framework_id = None,
            "Executor has an invalid FrameworkID ''",
        ),
        (
            |r| r.executors.push(r.executors[0].clone()),
            "Framework 'F' has a duplicate ExecutorID 'ex'",
        ),
        (
            |r| r.tasks[0].task_id.value.clear(),
            "Task has an invalid TaskID: ID must not be empty",
        ),
        (
            |r| r.tasks[0].agent_id.value = "B".to_string(),
            "Task has an invalid SlaveID 'B'",
        ),
        (
            |r| r.tasks[0].framework_id.value = "G".to_string(),
            "Task has an invalid FrameworkID 'G'",
        ),
        (
            |r| r.executors.clear(),
            "Task has an invalid ExecutorID 'ex'",
        ),
        (
            |r| {
                r.executors.clear();
                r.tasks[0].state = v1::TaskState::TaskFinished as i32;
            },
            "",
        ),
        (
            |r| r.tasks[0].resources[0] = scalar("cpus", -1.0),
            "Task uses invalid resources: Resource 'cpus(allocated: *):-1' is invalid: Invalid \
             scalar resource: value <= 0",
        ),
    ];
    for (change, text) in cases {
        let mut report = report();
        change(&mut report);
        let result = validate_reregistration(&Reregistration {
            info: &report.info,
            checkpointed_resources: &report.checkpointed,
            frameworks: &report.frameworks.iter().collect::<Vec<_>>(),
            executors: &report.executors.iter().collect::<Vec<_>>(),
            tasks: &report.tasks.iter().collect::<Vec<_>>(),
        });
        let wanted = match text {
            "" => Ok(()),
            text => Err(text.to_string()),
        };
        assert_eq!(result, wanted);
    }
}
