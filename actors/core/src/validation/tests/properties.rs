//! Whatever arrives, validation answers; it never panics.

use proptest::prelude::*;
use tepui_protocol::prost::Message;
use tepui_protocol::v1;

use super::fixtures::{Cluster, default_executor, scalar, task};
use crate::ids::{AgentId, FrameworkId};
use crate::validation::framework::{SubscriptionOptions, resubscription, subscription, update};
use crate::validation::re2::Limits;
use crate::validation::{
    agent, executor_call, ids, normalise, operation, scheduler_call, task as tasks, task_group,
};

/// Bytes of a message, some of them changed: mostly well formed, with values nobody would choose.
fn mutated(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = bytes.len().max(1);
    proptest::collection::vec((0..length, any::<u8>()), 0..6).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes
    })
}

fn launch() -> v1::offer::Operation {
    let mut first = task("t1");
    first.health_check = Some(Box::default());
    first.container = Some(Box::default());
    first
        .limits
        .insert("cpus".to_string(), v1::value::Scalar { value: 1.0 });
    first.resources.push(scalar("gpus", 1.0));
    v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::LaunchGroup as i32),
        launch: Some(v1::offer::operation::Launch {
            task_infos: vec![first.clone(), task("t2")],
        }),
        launch_group: Some(v1::offer::operation::LaunchGroup {
            executor: default_executor(),
            task_group: v1::TaskGroupInfo {
                tasks: vec![first, task("t2")],
            },
        }),
        ..Default::default()
    }
}

fn framework() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "u".to_string(),
        name: "n".to_string(),
        failover_timeout: Some(1.0),
        roles: vec!["a/b".to_string(), "c".to_string()],
        capabilities: vec![v1::framework_info::Capability { r#type: Some(6) }],
        ..Default::default()
    }
}

proptest! {
    #[test]
    fn ids_and_calls(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,20}") {
        let _ = ids::validate(&text);
        let _ = ids::validate_uuid(&bytes);
        if let Ok(call) = v1::scheduler::Call::decode(bytes.as_slice()) {
            let _ = scheduler_call::validate(&call, Some(&text));
        }
        if let Ok(call) = v1::executor::Call::decode(bytes.as_slice()) {
            let _ = executor_call::validate(&call);
        }
    }

    #[test]
    fn launches(bytes in mutated(launch().encode_to_vec())) {
        let Ok(mut operation) = v1::offer::Operation::decode(bytes.as_slice()) else {
            return Ok(());
        };
        let cluster = Cluster::new();
        let _ = operation::validate(&operation, &AgentId::from("A"), &cluster.capabilities);
        let _ = operation::validate_payload(&operation);
        normalise::operation(&mut operation, &FrameworkId::from("F"), "*");
        for task in operation.launch.iter().flat_map(|launch| &launch.task_infos) {
            let _ = tasks::validate(task, &cluster.context());
        }
        if let Some(group) = &operation.launch_group {
            let _ = task_group::validate(&group.task_group, &group.executor, &cluster.context());
        }
    }

    #[test]
    fn frameworks_and_agents(bytes in mutated(framework().encode_to_vec())) {
        let Ok(mut info) = v1::FrameworkInfo::decode(bytes.as_slice()) else {
            return Ok(());
        };
        let options = SubscriptionOptions {
            role_whitelist: None,
            root_submissions: false,
            completed: false,
            constraint_limits: Limits::default(),
        };
        let _ = subscription(&info, &["c".to_string()], None, &options);
        let _ = update(&framework(), &info, &[], None, &options);
        let _ = resubscription(&framework(), &mut info);
        let _ = agent::validate_reregistration(&agent::Reregistration {
            info: &v1::AgentInfo { hostname: info.user.clone(), ..Default::default() },
            checkpointed_resources: &[],
            frameworks: &[&info],
            executors: &[&default_executor()],
            tasks: &[],
        });
    }
}
