//! The frames of the agent link in msgpack.
//! When which frame is sent does not matter here.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

mod support;

use proptest::prelude::*;
use support::Source;
use tepui_protocol::link::{
    self, AgentToMaster, Frame, FrameError, MasterToAgent, Register, Reregister, RunTask,
    RunTaskGroup, StatusUpdate, TaskRef,
};
use tepui_protocol::pb::Pb;
use tepui_protocol::schema::Message;
use tepui_protocol::wire;

/// An arbitrary message of the wanted type.
fn pb<M: Message>(source: &mut Source) -> Pb<M> {
    let descriptor = support::descriptor(M::SCHEMA.name);
    let message = support::arbitrary(&descriptor, source, 2);
    let bytes = prost_reflect::prost::Message::encode_to_vec(&message);
    Pb(wire::decode(&bytes).unwrap())
}

fn list<M: Message>(source: &mut Source) -> Vec<Pb<M>> {
    (0..source.below(3)).map(|_| pb(source)).collect()
}

fn text(source: &mut Source) -> String {
    format!("{:x}é", source.next())
}

fn bytes(source: &mut Source) -> Vec<u8> {
    (0..source.below(20)).map(|_| source.next() as u8).collect()
}

fn register(source: &mut Source) -> Register {
    Register {
        info: pb(source),
        version: text(source),
        link_version: source.next() as u32,
        capabilities: vec![text(source)],
        checkpointed_resources: list(source),
        resource_version: bytes(source),
    }
}

fn reregister(source: &mut Source) -> Reregister {
    Reregister {
        register: register(source),
        tasks: list(source),
        executors: list(source),
        frameworks: list(source),
        completed_frameworks: vec![text(source)],
        operations: list(source),
    }
}

/// One frame body of every kind an agent sends.
fn from_agent(source: &mut Source) -> Vec<AgentToMaster> {
    vec![
        AgentToMaster::Register(Box::new(register(source))),
        AgentToMaster::Reregister(Box::new(reregister(source))),
        AgentToMaster::Pong,
        AgentToMaster::StatusUpdate(Box::new(StatusUpdate {
            framework_id: text(source),
            executor_id: (source.below(2) == 0).then(|| "e".to_owned()),
            status: pb(source),
            latest_state: source.next() as i32,
        })),
        AgentToMaster::ExecutorExited {
            framework_id: text(source),
            executor_id: text(source),
            status: source.next() as i32,
        },
        AgentToMaster::ExecutorMessage {
            framework_id: text(source),
            executor_id: text(source),
            data: bytes(source),
        },
        AgentToMaster::OperationStatus {
            framework_id: (source.below(2) == 0).then(|| "f".to_owned()),
            operation_uuid: bytes(source),
            status: pb(source),
        },
        AgentToMaster::Unregister,
    ]
}

/// One frame body of every kind a master sends.
fn from_master(source: &mut Source) -> Vec<MasterToAgent> {
    let mut all = master_to_tasks(source);
    all.extend([
        MasterToAgent::Hello {
            epoch: source.next(),
            master: pb(source),
        },
        MasterToAgent::Registered {
            agent_id: text(source),
            ping_timeout_ms: source.next(),
        },
        MasterToAgent::Reregistered {
            agent_id: text(source),
            ping_timeout_ms: source.next(),
            reconcile: vec![TaskRef {
                framework_id: text(source),
                task_id: text(source),
            }],
        },
        MasterToAgent::Shutdown {
            message: text(source),
        },
        MasterToAgent::Ping {
            connected: source.below(2) == 0,
        },
        MasterToAgent::ShutdownFramework {
            framework_id: text(source),
        },
        MasterToAgent::UpdateFramework { info: pb(source) },
        MasterToAgent::ApplyOperation {
            framework_id: (source.below(2) == 0).then(|| "f".to_owned()),
            operation: pb(source),
            operation_uuid: bytes(source),
        },
        MasterToAgent::AcknowledgeOperation {
            status_uuid: bytes(source),
            operation_uuid: bytes(source),
        },
    ]);
    all
}

fn master_to_tasks(source: &mut Source) -> Vec<MasterToAgent> {
    vec![
        MasterToAgent::RunTask(Box::new(RunTask {
            framework: pb(source),
            task: pb(source),
            launch_executor: source.below(2) == 0,
        })),
        MasterToAgent::RunTaskGroup(Box::new(RunTaskGroup {
            framework: pb(source),
            executor: pb(source),
            group: pb(source),
            launch_executor: source.below(2) == 0,
        })),
        MasterToAgent::KillTask {
            framework_id: text(source),
            task_id: text(source),
            kill_policy: (source.below(2) == 0).then(|| pb(source)),
        },
        MasterToAgent::AcknowledgeStatus {
            framework_id: text(source),
            task_id: text(source),
            uuid: bytes(source),
        },
        MasterToAgent::ShutdownExecutor {
            framework_id: text(source),
            executor_id: text(source),
        },
        MasterToAgent::FrameworkMessage {
            framework_id: text(source),
            executor_id: text(source),
            data: bytes(source),
        },
    ]
}

/// True when a frame comes back as it was, and does no harm when it is cut or damaged.
fn survives<T>(body: T, source: &mut Source) -> bool
where
    T: Clone + PartialEq + serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    let epoch = source.next();
    let frame = Frame { epoch, body };
    let mut bytes = link::encode(&frame).unwrap();
    let is_same = link::decode::<T>(&bytes).is_ok_and(|decoded| decoded == frame);
    let at = source.below(bytes.len());
    let is_cut_refused = link::decode::<T>(&bytes[..at]).is_err();
    bytes[at] = source.next() as u8;
    // A damaged frame may still be one; it must only not panic.
    let _ = link::decode::<T>(&bytes);
    is_same && is_cut_refused
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_survives(seed in any::<u64>()) {
        let mut source = Source(seed);
        for body in from_agent(&mut source) {
            let name = format!("{body:?}");
            prop_assert!(survives(body, &mut source), "{name}");
        }
        for body in from_master(&mut source) {
            let name = format!("{body:?}");
            prop_assert!(survives(body, &mut source), "{name}");
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = link::decode::<AgentToMaster>(&bytes);
        let _ = link::decode::<MasterToAgent>(&bytes);
    }
}

#[test]
fn a_frame_from_a_newer_peer_is_read() {
    // Named fields: an unknown one is passed over.
    #[derive(serde::Serialize)]
    struct Newer {
        epoch: u64,
        trace: &'static str,
        body: AgentToMaster,
    }
    let newer = Newer {
        epoch: 7,
        trace: "x",
        body: AgentToMaster::Pong,
    };
    let bytes = rmp_serde::to_vec_named(&newer).unwrap();
    let frame = link::decode::<AgentToMaster>(&bytes).unwrap();
    assert_eq!((frame.epoch, frame.body), (7, AgentToMaster::Pong));
}

#[test]
fn deep_nesting_is_refused_and_does_no_harm() {
    for opening in [0x91_u8, 0x81] {
        let bytes = vec![opening; 10_000];
        assert!(link::decode::<AgentToMaster>(&bytes).is_err());
        // Below an unknown key, where the value is passed over.
        let mut frame = vec![0x81, 0xa1, b'x'];
        frame.extend(&bytes);
        assert!(link::decode::<AgentToMaster>(&frame).is_err());
    }
}

#[test]
fn a_frame_beyond_the_limit_is_refused() {
    let bytes = vec![0; link::MAX_FRAME_BYTES + 1];
    let error = link::decode::<AgentToMaster>(&bytes).unwrap_err();
    assert!(matches!(error, FrameError::TooLarge(_)));
    let frame = Frame {
        epoch: 1,
        body: AgentToMaster::ExecutorMessage {
            framework_id: String::new(),
            executor_id: String::new(),
            data: bytes,
        },
    };
    assert!(matches!(link::encode(&frame), Err(FrameError::TooLarge(_))));
}

#[test]
fn inner_bytes_that_are_no_protobuf_are_refused() {
    let bytes = rmp_serde::to_vec(serde_bytes::Bytes::new(&[0xff; 4])).unwrap();
    let status = rmp_serde::from_slice::<Pb<tepui_protocol::v1::TaskStatus>>(&bytes);
    assert!(status.is_err());
}
