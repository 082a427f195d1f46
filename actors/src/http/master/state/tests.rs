//! Tests of how single things are shown in `/state`.
//! The whole answer is tested over a real connection.

use serde_json::{Value, json};
use tepui_core::ids::{AgentId, FrameworkId, TaskId};
use tepui_core::master::messages::{Effect, Input, LinkId};
use tepui_core::master::model::{Snapshot, Task};
use tepui_core::master::{Master, MasterSettings};
use tepui_core::memo::Memo;
use tepui_core::resources::{Format, Resources};
use tepui_core::time::Now;
use tepui_protocol::link::{AgentToMaster, Register};
use tepui_protocol::v1;

use super::agent::agent;
use super::resources::{ResourcesView, attributes, reserved, unreserved};
use super::task;

fn shown(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn text(name: &str, text: &str) -> v1::Attribute {
    v1::Attribute {
        name: name.to_owned(),
        r#type: v1::value::Type::Text.into(),
        text: Some(v1::value::Text {
            value: text.to_owned(),
        }),
        ..Default::default()
    }
}

#[test]
fn resources_of_one_name_are_summed_without_rounding_errors() {
    let text = "cpus:0.1;cpus(eng):0.2;mem:64;ports:[1-2,5-6];ports(eng):[3-3];zone:{b,a}";
    let resources = Resources::parse(text, "*").unwrap();
    assert_eq!(
        shown(ResourcesView::of(&resources)),
        json!({
            "cpus": 0.3, "gpus": 0.0, "mem": 64.0, "disk": 0.0,
            "ports": "[1-3, 5-6]", "zone": "{a, b}"
        })
    );
}

#[test]
fn reservations_are_shown_by_role() {
    let resources = Resources::parse("cpus:1;cpus(eng):2;mem(ops):8", "*").unwrap();
    let none = json!({"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0});
    let mut eng = none.clone();
    eng["cpus"] = json!(2.0);
    let mut ops = none.clone();
    ops["mem"] = json!(8.0);
    let mut free = none;
    free["cpus"] = json!(1.0);
    assert_eq!(shown(reserved(&resources)), json!({"eng": eng, "ops": ops}));
    assert_eq!(shown(unreserved(&resources)), free);
}

/// A resource reserved to `web` at run time.
pub(super) fn reserved_to_web(name: &str, amount: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: amount }),
        reservations: vec![v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some("web".to_owned()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A master with an agent of 4 CPUs and 64 MB of disk, of which these are reserved.
pub(super) fn master_of(made: Vec<v1::Resource>) -> Snapshot {
    let now = Now::default();
    let info = v1::MasterInfo {
        id: "M".to_owned(),
        ..Default::default()
    };
    let mut master = Master::new(MasterSettings::default(), info, now);
    let given = Resources::parse("cpus:4;disk:64", "*").unwrap();
    let register = Register {
        info: v1::AgentInfo {
            hostname: "host".to_owned(),
            resources: given.to_v1(Format::PostRefinement),
            ..Default::default()
        }
        .into(),
        version: "1.12.0".to_owned(),
        link_version: tepui_protocol::link::VERSION,
        capabilities: Vec::new(),
        checkpointed_resources: made.into_iter().map(Into::into).collect(),
        resource_version: vec![0; 16],
    };
    let link = LinkId(1);
    let mut effects = Vec::new();
    for input in [
        Input::Recovered(Box::default()),
        Input::LinkOpened {
            link,
            peer_ip: "127.0.0.1".to_owned(),
        },
        Input::FromAgent {
            link,
            message: Box::new(AgentToMaster::Register(Box::new(register))),
        },
    ] {
        master.handle(now, input, &mut effects);
    }
    let token = effects.iter().find_map(|effect| match effect {
        Effect::Apply(token, _) => Some(*token),
        _ => None,
    });
    let stored = Input::Applied {
        token: token.unwrap(),
        result: Ok(true),
    };
    master.handle(now, stored, &mut effects);
    master.snapshot()
}

#[test]
fn reservations_and_volumes_made_at_run_time_are_shown() {
    let mut volume = reserved_to_web("disk", 16.0);
    volume.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: "v".to_owned(),
            ..Default::default()
        }),
        volume: Some(v1::Volume {
            mode: v1::volume::Mode::Rw.into(),
            container_path: "data".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    let snapshot = master_of(vec![reserved_to_web("cpus", 1.5), volume]);
    let one = snapshot.agents.values().next().unwrap();
    let mut bytes = Vec::new();
    agent(&mut bytes, one, &snapshot).unwrap().end().unwrap();
    let shown: Value = serde_json::from_slice(&bytes).unwrap();
    let amounts =
        |cpus: f64, disk: f64| json!({"cpus": cpus, "gpus": 0.0, "mem": 0.0, "disk": disk});
    assert_eq!(shown["resources"], amounts(4.0, 64.0));
    assert_eq!(
        shown["reserved_resources"],
        json!({"web": amounts(1.5, 16.0)})
    );
    assert_eq!(shown["unreserved_resources"], amounts(2.5, 48.0));
}

#[test]
fn revocable_resources_have_names_of_their_own() {
    let mut list = Resources::parse("cpus:1", "*")
        .unwrap()
        .to_v1(Format::PostRefinement);
    let mut revocable = list[0].clone();
    revocable.revocable = Some(v1::resource::RevocableInfo::default());
    list.push(revocable);
    let all = Resources::from_v1(&list).unwrap();
    let shown = shown(ResourcesView::of(&all));
    assert_eq!(
        (&shown["cpus"], &shown["cpus_revocable"]),
        (&json!(1.0), &json!(1.0))
    );
}

#[test]
fn attributes_are_shown_by_kind() {
    let ranges = v1::Attribute {
        name: "range".to_owned(),
        r#type: v1::value::Type::Ranges.into(),
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range { begin: 1, end: 5 }],
        }),
        ..Default::default()
    };
    let level = v1::Attribute {
        name: "level".to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value: 1.0 }),
        ..Default::default()
    };
    let list = [text("rack", "r1"), level, ranges];
    let expected = json!({"rack": "r1", "level": 1.0, "range": "[1-5]"});
    assert_eq!(shown(attributes(&list)), expected);
}

fn some_task() -> Task {
    let status = v1::TaskStatus {
        task_id: v1::TaskId {
            value: "t".to_owned(),
        },
        state: v1::TaskState::TaskRunning.into(),
        timestamp: Some(2.5),
        healthy: Some(true),
        container_status: Some(Box::new(v1::ContainerStatus {
            container_id: Some(v1::ContainerId {
                value: "c".to_owned(),
                ..Default::default()
            }),
            network_infos: vec![v1::NetworkInfo {
                ip_addresses: vec![v1::network_info::IpAddress {
                    ip_address: Some("127.0.0.1".to_owned()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        })),
        ..Default::default()
    };
    let info = v1::Task {
        name: "name".to_owned(),
        task_id: v1::TaskId {
            value: "t".to_owned(),
        },
        framework_id: v1::FrameworkId {
            value: "F".to_owned(),
        },
        agent_id: v1::AgentId {
            value: "S".to_owned(),
        },
        state: v1::TaskState::TaskRunning.into(),
        statuses: vec![status],
        limits: [(
            "mem".to_owned(),
            v1::value::Scalar {
                value: f64::INFINITY,
            },
        )]
        .into(),
        labels: Some(v1::Labels {
            labels: vec![v1::Label {
                key: "tier".to_owned(),
                value: Some("web".to_owned()),
            }],
        }),
        ..Default::default()
    };
    let resources = Resources::parse("cpus:0.5", "*")
        .unwrap()
        .allocated_to("eng");
    let key = (FrameworkId::from("F"), TaskId::from("t"));
    Task::new(key, AgentId::from("S"), info, resources)
}

#[test]
fn a_task_is_shown_as_mesos_shows_it() {
    let task = Memo::from(some_task());
    assert_eq!(
        shown(task::task(&task)),
        json!({
            "id": "t",
            "name": "name",
            "framework_id": "F",
            "executor_id": "",
            "slave_id": "S",
            "state": "TASK_RUNNING",
            "resources": {"cpus": 0.5, "gpus": 0.0, "mem": 0.0, "disk": 0.0},
            "limits": {"mem": "Infinity"},
            "role": "eng",
            "statuses": [{
                "state": "TASK_RUNNING",
                "timestamp": 2.5,
                "container_status": {
                    "container_id": {"value": "c"},
                    "network_infos": [
                        {"ip_addresses": [{"protocol": "IPv4", "ip_address": "127.0.0.1"}]}
                    ]
                },
                "healthy": true
            }],
            "labels": [{"key": "tier", "value": "web"}]
        })
    );
}
