//! Scheduler and executor calls.

use tepui_protocol::v1;
use v1::executor::call as executor_payload;
use v1::scheduler::call as payload;

use crate::validation::{executor_call, ids, scheduler_call};

const RANDOM_UUID: [u8; 16] = [1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16];

fn framework_id(value: &str) -> v1::FrameworkId {
    v1::FrameworkId {
        value: value.to_string(),
    }
}

fn call(kind: payload::Type) -> v1::scheduler::Call {
    v1::scheduler::Call {
        framework_id: Some(framework_id("F")),
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

#[test]
fn each_call_needs_its_payload() {
    let needs = [
        (payload::Type::Subscribe, "subscribe"),
        (payload::Type::Accept, "accept"),
        (payload::Type::Decline, "decline"),
        (payload::Type::AcceptInverseOffers, "accept_inverse_offers"),
        (
            payload::Type::DeclineInverseOffers,
            "decline_inverse_offers",
        ),
        (payload::Type::Kill, "kill"),
        (payload::Type::Shutdown, "shutdown"),
        (payload::Type::Acknowledge, "acknowledge"),
        (
            payload::Type::AcknowledgeOperationStatus,
            "acknowledge_operation_status",
        ),
        (payload::Type::Reconcile, "reconcile"),
        (payload::Type::ReconcileOperations, "reconcile_operations"),
        (payload::Type::Message, "message"),
        (payload::Type::Request, "request"),
        (payload::Type::UpdateFramework, "update_framework"),
    ];
    for (kind, name) in needs {
        let text = format!("Expecting '{name}' to be present");
        assert_eq!(scheduler_call::validate(&call(kind), None), Err(text));
    }
}

#[test]
fn calls_without_payload_and_with_theirs_pass() {
    use payload::Type::*;
    for kind in [Teardown, Revive, Suppress, Unknown] {
        assert_eq!(scheduler_call::validate(&call(kind), None), Ok(()));
    }
    let full = v1::scheduler::Call {
        accept: Some(Default::default()),
        decline: Some(Default::default()),
        accept_inverse_offers: Some(Default::default()),
        decline_inverse_offers: Some(Default::default()),
        kill: Some(Default::default()),
        shutdown: Some(Default::default()),
        reconcile: Some(Default::default()),
        reconcile_operations: Some(Default::default()),
        message: Some(Default::default()),
        request: Some(Default::default()),
        ..call(Accept)
    };
    for kind in [
        Accept,
        Decline,
        AcceptInverseOffers,
        DeclineInverseOffers,
        Kill,
        Shutdown,
        Reconcile,
        ReconcileOperations,
        Message,
        Request,
    ] {
        let call = v1::scheduler::Call {
            r#type: Some(kind as i32),
            ..full.clone()
        };
        assert_eq!(scheduler_call::validate(&call, None), Ok(()), "{kind:?}");
    }
}

#[test]
fn a_call_needs_a_known_type_and_then_a_framework_id() {
    let text = Err("Expecting 'type' to be present".to_string());
    for kind in [None, Some(4711)] {
        let call = v1::scheduler::Call {
            r#type: kind,
            ..Default::default()
        };
        assert_eq!(scheduler_call::validate(&call, None), text);
    }
    let call = v1::scheduler::Call {
        framework_id: None,
        ..call(payload::Type::Kill)
    };
    assert_eq!(
        scheduler_call::validate(&call, None),
        Err("Expecting 'framework_id' to be present".to_string())
    );
}

fn subscribe(call_id: Option<&str>, info_id: Option<&str>) -> v1::scheduler::Call {
    v1::scheduler::Call {
        framework_id: call_id.map(framework_id),
        subscribe: Some(payload::Subscribe {
            framework_info: v1::FrameworkInfo {
                id: info_id.map(framework_id),
                principal: Some("p".to_string()),
                ..Default::default()
            },
            ..Default::default()
        }),
        ..call(payload::Type::Subscribe)
    }
}

#[test]
fn subscribe_names_one_framework_and_one_principal() {
    let differs = Err("'framework_id' differs from 'subscribe.framework_info.id'".to_string());
    let cases = [
        (None, None, Ok(())),
        (None, Some(""), Ok(())),
        (Some("a"), Some("a"), Ok(())),
        (Some("a"), Some("b"), differs.clone()),
        (Some("a"), None, differs.clone()),
        (None, Some("a"), differs),
    ];
    for (call_id, info_id, wanted) in cases {
        let call = subscribe(call_id, info_id);
        assert_eq!(scheduler_call::validate(&call, None), wanted);
    }
    let call = subscribe(None, None);
    assert_eq!(scheduler_call::validate(&call, Some("p")), Ok(()));
    assert_eq!(
        scheduler_call::validate(&call, Some("q")),
        Err(
            "Authenticated principal 'q' does not match principal 'p' set in `FrameworkInfo`"
                .to_string()
        )
    );
}

#[test]
fn update_framework_names_one_framework() {
    let update = |id: &str| v1::scheduler::Call {
        update_framework: Some(payload::UpdateFramework {
            framework_info: v1::FrameworkInfo {
                id: Some(framework_id(id)),
                ..Default::default()
            },
            ..Default::default()
        }),
        ..call(payload::Type::UpdateFramework)
    };
    assert_eq!(scheduler_call::validate(&update("F"), None), Ok(()));
    assert_eq!(
        scheduler_call::validate(&update("G"), None),
        Err("'framework_id' differs from 'update_framework.framework_info.id'".to_string())
    );
}

#[test]
fn acknowledgements_carry_a_uuid_with_a_version() {
    let acknowledge = |uuid: &[u8]| v1::scheduler::Call {
        acknowledge: Some(payload::Acknowledge {
            uuid: uuid.to_vec(),
            ..Default::default()
        }),
        acknowledge_operation_status: Some(payload::AcknowledgeOperationStatus {
            uuid: uuid.to_vec(),
            agent_id: Some(Default::default()),
            ..Default::default()
        }),
        ..call(payload::Type::Acknowledge)
    };
    let counting: Vec<u8> = (0..16).collect();
    let no_uuid = Err("Not a valid UUID".to_string());
    for kind in [
        payload::Type::Acknowledge,
        payload::Type::AcknowledgeOperationStatus,
    ] {
        for (uuid, wanted) in [
            (&RANDOM_UUID[..], Ok(())),
            (&[][..], no_uuid.clone()),
            (&RANDOM_UUID[..15], no_uuid.clone()),
            (&counting[..], no_uuid.clone()),
            (&[0xFF; 16][..], no_uuid.clone()),
            (&[0x40; 17][..], no_uuid.clone()),
        ] {
            let mut call = acknowledge(uuid);
            call.r#type = Some(kind as i32);
            assert_eq!(scheduler_call::validate(&call, None), wanted, "{uuid:?}");
        }
    }
    let mut call = acknowledge(&RANDOM_UUID);
    call.r#type = Some(payload::Type::AcknowledgeOperationStatus as i32);
    call.acknowledge_operation_status.as_mut().unwrap().agent_id = None;
    assert_eq!(
        scheduler_call::validate(&call, None),
        Err("Expecting 'agent_id' to be present".to_string())
    );
}

fn executor_call(kind: Option<executor_payload::Type>) -> v1::executor::Call {
    v1::executor::Call {
        executor_id: v1::ExecutorId {
            value: "e".to_string(),
        },
        framework_id: framework_id("F"),
        r#type: kind.map(|kind| kind as i32),
        ..Default::default()
    }
}

#[test]
fn executor_calls_need_a_type_and_their_payload() {
    use executor_payload::Type;
    let cases = [
        (None, Err("Expecting 'type' to be present")),
        (
            Some(Type::Subscribe),
            Err("Expecting 'subscribe' to be present"),
        ),
        (Some(Type::Update), Err("Expecting 'update' to be present")),
        (
            Some(Type::Message),
            Err("Expecting 'message' to be present"),
        ),
        (Some(Type::Heartbeat), Ok(())),
        (Some(Type::Unknown), Ok(())),
    ];
    for (kind, wanted) in cases {
        let result = executor_call::validate(&executor_call(kind));
        assert_eq!(result, wanted.map_err(str::to_string), "{kind:?}");
    }
    let mut call = executor_call(Some(Type::Subscribe));
    call.subscribe = Some(Default::default());
    assert_eq!(executor_call::validate(&call), Ok(()));
    let mut call = executor_call(Some(Type::Message));
    call.message = Some(Default::default());
    assert_eq!(executor_call::validate(&call), Ok(()));
}

/// Changes a valid status.
type Change = fn(&mut v1::TaskStatus);

#[test]
fn an_executors_update_is_its_own_and_complete() {
    let cases: [(Change, Result<(), &str>); 9] = [
        (|_| {}, Ok(())),
        (|s| s.uuid = None, Err("Expecting 'uuid' to be present")),
        (|s| s.uuid = Some(vec![1]), Err("Not a valid UUID")),
        (
            |s| {
                s.executor_id = Some(v1::ExecutorId {
                    value: "e".to_string(),
                })
            },
            Ok(()),
        ),
        (
            |s| {
                s.executor_id = Some(v1::ExecutorId {
                    value: "x".to_string(),
                })
            },
            Err("ExecutorID in Call: e does not match ExecutorID in TaskStatus: x"),
        ),
        (
            |s| s.source = None,
            Err(
                "Received Call from executor e of framework F with invalid source, expecting \
                 'SOURCE_EXECUTOR'",
            ),
        ),
        (
            |s| s.source = Some(v1::task_status::Source::Master as i32),
            Err(
                "Received Call from executor e of framework F with invalid source, expecting \
                 'SOURCE_EXECUTOR'",
            ),
        ),
        (
            |s| s.state = v1::TaskState::TaskStaging as i32,
            Err("Received TASK_STAGING from executor e of framework F which is not allowed"),
        ),
        (
            |s| s.check_status = Some(Default::default()),
            Err("CheckStatusInfo must specify 'type'"),
        ),
    ];
    for (change, wanted) in cases {
        let mut status = v1::TaskStatus {
            state: v1::TaskState::TaskRunning as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            uuid: Some(RANDOM_UUID.to_vec()),
            ..Default::default()
        };
        change(&mut status);
        let mut call = executor_call(Some(executor_payload::Type::Update));
        call.update = Some(executor_payload::Update { status });
        let result = executor_call::validate(&call);
        assert_eq!(result, wanted.map_err(str::to_string));
    }
}

#[test]
fn ids_are_safe_file_names() {
    for id in ["a", "a b", "é", "...", "a.b-c_d", &"x".repeat(255)] {
        assert_eq!(ids::validate(id), Ok(()));
    }
    let long = "x".repeat(256);
    let cases = [
        ("", "ID must not be empty"),
        (&long, "ID must not be greater than 255 characters"),
        (".", "'.' is disallowed"),
        ("..", "'..' is disallowed"),
        ("a/b", "'a/b' contains invalid characters"),
        ("a\\b", "'a\\b' contains invalid characters"),
        ("a\nb", "'a\nb' contains invalid characters"),
        ("a\0", "'a\0' contains invalid characters"),
        ("\x7f", "'\x7f' contains invalid characters"),
    ];
    for (id, text) in cases {
        assert_eq!(ids::validate(id), Err(text.to_string()));
    }
}
