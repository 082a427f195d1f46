//! Operations of an ACCEPT before they are carried out.

use tepui_protocol::v1;
use v1::offer::Operation;
use v1::offer::operation as payload;
use v1::offer::operation::Type;

use super::fixtures::{custom_executor, default_executor, scalar, task, volume};
use crate::ids::AgentId;
use crate::validation::operation::{
    Refusal, invalid_offers_message, known_type, validate, validate_payload,
};

const ALL: [Type; 10] = [
    Type::Launch,
    Type::LaunchGroup,
    Type::Reserve,
    Type::Unreserve,
    Type::Create,
    Type::Destroy,
    Type::GrowVolume,
    Type::ShrinkVolume,
    Type::CreateDisk,
    Type::DestroyDisk,
];

fn agent() -> AgentId {
    AgentId::from("A")
}

/// An operation of this kind that names `resource` wherever it can.
fn operation(kind: Type, resource: &v1::Resource) -> Operation {
    let list = || vec![resource.clone()];
    let mut bad_task = task("t");
    bad_task.resources = list();
    Operation {
        r#type: Some(kind as i32),
        launch: Some(payload::Launch {
            task_infos: vec![bad_task.clone()],
        }),
        launch_group: Some(payload::LaunchGroup {
            executor: default_executor(),
            task_group: v1::TaskGroupInfo {
                tasks: vec![bad_task],
            },
        }),
        reserve: Some(payload::Reserve {
            resources: list(),
            source: Vec::new(),
        }),
        unreserve: Some(payload::Unreserve { resources: list() }),
        create: Some(payload::Create { volumes: list() }),
        destroy: Some(payload::Destroy { volumes: list() }),
        grow_volume: Some(payload::GrowVolume {
            volume: resource.clone(),
            addition: scalar("disk", 1.0),
        }),
        shrink_volume: Some(payload::ShrinkVolume {
            volume: resource.clone(),
            ..Default::default()
        }),
        create_disk: Some(payload::CreateDisk {
            source: resource.clone(),
            ..Default::default()
        }),
        destroy_disk: Some(payload::DestroyDisk {
            source: resource.clone(),
        }),
        id: None,
    }
}

fn with_id(operation: Operation) -> Operation {
    Operation {
        id: Some(v1::OperationId {
            value: "op".to_string(),
        }),
        ..operation
    }
}

#[test]
fn well_formed_operations_without_id_pass() {
    for kind in ALL {
        let operation = operation(kind, &volume("v"));
        assert_eq!(validate(&operation, &agent(), &[]), Ok(()), "{kind:?}");
        assert_eq!(known_type(&operation), kind);
    }
}

#[test]
fn each_operation_needs_its_payload() {
    let texts = [
        (Type::Reserve, "A RESERVE offer", "reserve", "."),
        (Type::Unreserve, "An UNRESERVE offer", "unreserve", "."),
        (Type::Create, "A CREATE offer", "create", "."),
        (Type::Destroy, "A DESTROY offer", "destroy", "."),
        (Type::GrowVolume, "A GROW_VOLUME", "grow_volume", ""),
        (
            Type::ShrinkVolume,
            "A SHRINK_VOLUME offer",
            "shrink_volume",
            "",
        ),
        (Type::CreateDisk, "A CREATE_DISK offer", "create_disk", "."),
        (
            Type::DestroyDisk,
            "A DESTROY_DISK offer",
            "destroy_disk",
            ".",
        ),
        (Type::Launch, "A LAUNCH offer", "launch", "."),
        (
            Type::LaunchGroup,
            "A LAUNCH_GROUP offer",
            "launch_group",
            ".",
        ),
    ];
    for (kind, name, field, end) in texts {
        let text = format!("{name} operation must have the Offer.Operation.{field} field set{end}");
        let wanted = match kind {
            Type::Launch => Refusal::Tasks(text),
            Type::LaunchGroup => Refusal::TaskGroup(text),
            _ => Refusal::Operation(format!(
                "Operation attempted with invalid resources: {text}"
            )),
        };
        let empty = Operation {
            r#type: Some(kind as i32),
            ..Default::default()
        };
        assert_eq!(validate(&empty, &agent(), &[]), Err(wanted));
    }
    for kind in [None, Some(0), Some(99)] {
        let unknown = Operation {
            r#type: kind,
            ..Default::default()
        };
        assert_eq!(validate(&unknown, &agent(), &[]), Err(Refusal::Unknown));
        assert_eq!(
            validate(&with_id(unknown), &agent(), &[]),
            Err(Refusal::Unknown)
        );
    }
}

#[test]
fn every_resource_is_well_formed() {
    let mut bad = scalar("cpus", -1.0);
    bad.allocation_info = None;
    let one = "Invalid scalar resource: value <= 0";
    let listed = format!("Resource 'cpus:-1' is invalid: {one}");
    for kind in ALL {
        let wanted = match kind {
            Type::Launch => Refusal::Tasks(listed.clone()),
            Type::LaunchGroup => Refusal::TaskGroup(listed.clone()),
            Type::GrowVolume | Type::ShrinkVolume | Type::CreateDisk | Type::DestroyDisk => {
                Refusal::Operation(format!("Operation attempted with invalid resources: {one}"))
            }
            _ => Refusal::Operation(format!(
                "Operation attempted with invalid resources: {listed}"
            )),
        };
        let result = validate(&operation(kind, &bad), &agent(), &[]);
        assert_eq!(result, Err(wanted), "{kind:?}");
    }
    let mut executor = custom_executor();
    executor.resources.push(bad.clone());
    let mut launch = operation(Type::Launch, &volume("v"));
    let task = &mut launch.launch.as_mut().unwrap().task_infos[0];
    task.executor = Some(Box::new(executor.clone()));
    assert_eq!(
        validate(&launch, &agent(), &[]),
        Err(Refusal::Tasks(listed.clone()))
    );
    let mut group = operation(Type::LaunchGroup, &volume("v"));
    group.launch_group.as_mut().unwrap().executor = executor;
    assert_eq!(
        validate(&group, &agent(), &[]),
        Err(Refusal::TaskGroup(listed))
    );
}

#[test]
fn frameworks_do_not_update_reservations() {
    let mut reserve = operation(Type::Reserve, &volume("v"));
    reserve.reserve.as_mut().unwrap().source.push(volume("v"));
    assert_eq!(
        validate(&reserve, &agent(), &[]),
        Err(Refusal::Operation(
            "Operation attempted with invalid resources: Reservation updates are not yet \
             implemented for the scheduler API."
                .to_string()
        ))
    );
}

#[test]
fn an_id_is_for_operations_whose_outcome_the_agent_can_tell() {
    let provider = "RESOURCE_PROVIDER".to_string();
    let feedback = "AGENT_OPERATION_FEEDBACK".to_string();
    let no_provider = "Operation requested feedback, but agent A does not have the required \
                       RESOURCE_PROVIDER capability";
    let no_feedback = "Operation on agent default resources requested feedback, but agent A does \
                       not have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER \
                       capabilities";
    let provided = v1::Resource {
        provider_id: Some(v1::ResourceProviderId {
            value: "rp".to_string(),
        }),
        ..volume("v")
    };
    for kind in ALL {
        let check = |resource: &v1::Resource, capabilities: &[String]| {
            validate(&with_id(operation(kind, resource)), &agent(), capabilities)
        };
        let both = [provider.clone(), feedback.clone()];
        let launch = "The `id` field cannot be set on LAUNCH operations".to_string();
        let group = "The `id` field cannot be set on LAUNCH_GROUP operations".to_string();
        match kind {
            Type::Launch => assert_eq!(check(&volume("v"), &both), Err(Refusal::Tasks(launch))),
            Type::LaunchGroup => {
                assert_eq!(check(&volume("v"), &both), Err(Refusal::TaskGroup(group)));
            }
            _ => {
                let refused = |text: &str| Err(Refusal::Operation(text.to_string()));
                assert_eq!(check(&volume("v"), &both), Ok(()));
                assert_eq!(check(&volume("v"), &[]), refused(no_provider));
                assert_eq!(check(&volume("v"), &both[1..]), refused(no_provider));
                assert_eq!(check(&volume("v"), &both[..1]), refused(no_feedback));
                assert_eq!(check(&provided, &both[..1]), Ok(()));
            }
        }
    }
}

#[test]
fn only_operators_may_say_what_is_to_be_reserved_anew() {
    let mut plain = volume("v");
    plain.disk = None;
    let mut reserve = operation(Type::Reserve, &plain);
    if let Some(reserve) = &mut reserve.reserve {
        reserve.source.push(plain);
    }
    assert_eq!(validate_payload(&reserve), Ok(()));
    let text = "Operation attempted with invalid resources: Reservation updates are not yet \
                implemented for the scheduler API.";
    let refused = validate(&reserve, &agent(), &[]);
    assert_eq!(refused, Err(Refusal::Operation(text.to_string())));
}

#[test]
fn invalid_offers_are_named_after_the_operation() {
    assert_eq!(
        invalid_offers_message(Type::Launch, "No offers specified"),
        "Task launched with invalid offers: No offers specified"
    );
    assert_eq!(
        invalid_offers_message(Type::Reserve, "No offers specified"),
        "Operation attempted with invalid offers: No offers specified"
    );
}
