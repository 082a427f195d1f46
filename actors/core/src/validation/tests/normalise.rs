//! What is filled in before validation.

use tepui_protocol::v1;
use v1::offer::Operation;
use v1::offer::operation::{GrowVolume, Launch, LaunchGroup, Reserve, Type};

use super::fixtures::{command, custom_executor, default_executor, scalar, task};
use crate::ids::FrameworkId;
use crate::validation::normalise;

fn bare(name: &str) -> v1::Resource {
    v1::Resource {
        allocation_info: None,
        ..scalar(name, 1.0)
    }
}

fn role(resource: &v1::Resource) -> Option<&str> {
    resource.allocation_info.as_ref()?.role.as_deref()
}

fn launch(tasks: Vec<v1::TaskInfo>) -> Vec<v1::TaskInfo> {
    let mut operation = Operation {
        r#type: Some(Type::Launch as i32),
        launch: Some(Launch { task_infos: tasks }),
        ..Default::default()
    };
    normalise::operation(&mut operation, &FrameworkId::from("F"), "web");
    operation.launch.unwrap().task_infos
}

#[test]
fn a_launch_gets_allocation_roles_and_framework_ids() {
    let mut with_executor = task("t");
    with_executor.resources = vec![bare("cpus"), scalar("mem", 1.0)];
    with_executor.executor = Some(Box::new(v1::ExecutorInfo {
        framework_id: None,
        resources: vec![bare("cpus")],
        ..custom_executor()
    }));
    let mut foreign = task("u");
    foreign.executor = Some(Box::new(v1::ExecutorInfo {
        framework_id: Some(v1::FrameworkId {
            value: "G".to_string(),
        }),
        ..custom_executor()
    }));
    let tasks = launch(vec![with_executor, foreign]);
    let roles: Vec<_> = tasks[0].resources.iter().map(role).collect();
    assert_eq!(roles, [Some("web"), Some("*")]);
    let executor = tasks[0].executor.as_ref().unwrap();
    assert_eq!(role(&executor.resources[0]), Some("web"));
    assert_eq!(executor.framework_id.as_ref().unwrap().value, "F");
    let executor = tasks[1].executor.as_ref().unwrap();
    assert_eq!(executor.framework_id.as_ref().unwrap().value, "G");
}

#[test]
fn a_health_check_gets_the_type_of_its_only_payload() {
    use v1::health_check::Type;
    let cases = [
        (None, true, false, Some(Type::Command)),
        (None, false, true, Some(Type::Http)),
        (None, true, true, None),
        (None, false, false, None),
        (Some(Type::Tcp), true, false, Some(Type::Tcp)),
    ];
    for (kind, with_command, with_http, wanted) in cases {
        let mut task = task("t");
        task.health_check = Some(Box::new(v1::HealthCheck {
            r#type: kind.map(|kind| kind as i32),
            command: with_command.then(command),
            http: with_http.then(Default::default),
            ..Default::default()
        }));
        let tasks = launch(vec![task]);
        let check = tasks[0].health_check.as_ref().unwrap();
        assert_eq!(check.r#type, wanted.map(|kind| kind as i32));
    }
}

#[test]
fn tasks_of_a_group_get_its_executor_but_not_a_framework_id() {
    let executor = v1::ExecutorInfo {
        framework_id: None,
        resources: vec![bare("cpus")],
        ..default_executor()
    };
    let mut own = task("g2");
    own.executor = Some(Box::new(custom_executor()));
    let mut operation = Operation {
        r#type: Some(Type::LaunchGroup as i32),
        launch_group: Some(LaunchGroup {
            executor,
            task_group: v1::TaskGroupInfo {
                tasks: vec![task("g1"), own],
            },
        }),
        ..Default::default()
    };
    normalise::operation(&mut operation, &FrameworkId::from("F"), "web");
    let group = operation.launch_group.unwrap();
    assert_eq!(role(&group.executor.resources[0]), Some("web"));
    assert_eq!(group.executor.framework_id, None);
    let tasks = group.task_group.tasks;
    assert_eq!(tasks[0].executor.as_deref(), Some(&group.executor));
    assert_eq!(tasks[1].executor.as_deref(), Some(&custom_executor()));
}

#[test]
fn other_operations_get_allocation_roles() {
    let mut reserve = Operation {
        r#type: Some(Type::Reserve as i32),
        reserve: Some(Reserve {
            resources: vec![bare("cpus")],
            source: vec![bare("cpus")],
        }),
        ..Default::default()
    };
    normalise::operation(&mut reserve, &FrameworkId::from("F"), "web");
    let reserve = reserve.reserve.unwrap();
    assert_eq!(role(&reserve.resources[0]), Some("web"));
    assert_eq!(role(&reserve.source[0]), None);
    let mut grow = Operation {
        r#type: Some(Type::GrowVolume as i32),
        grow_volume: Some(GrowVolume {
            volume: bare("disk"),
            addition: bare("disk"),
        }),
        ..Default::default()
    };
    normalise::operation(&mut grow, &FrameworkId::from("F"), "web");
    let grow = grow.grow_volume.unwrap();
    assert_eq!([role(&grow.volume), role(&grow.addition)], [Some("web"); 2]);
}

#[test]
fn an_operation_without_payload_stays_as_it_is() {
    for kind in 0..20 {
        let mut operation = Operation {
            r#type: Some(kind),
            ..Default::default()
        };
        let before = operation.clone();
        normalise::operation(&mut operation, &FrameworkId::from("F"), "web");
        assert_eq!(operation, before);
    }
}

#[test]
fn an_absent_principal_becomes_the_authenticated_one() {
    let mut info = v1::FrameworkInfo::default();
    normalise::principal(&mut info, None);
    assert_eq!(info.principal, None);
    normalise::principal(&mut info, Some("p"));
    assert_eq!(info.principal.as_deref(), Some("p"));
    normalise::principal(&mut info, Some("q"));
    assert_eq!(info.principal.as_deref(), Some("p"));
}
