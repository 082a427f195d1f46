//! Operations on reservations and volumes: what they change, in which order, and how they fail.
//! This file also holds what the other tests of operations share.

use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{
    Create, Destroy, GrowVolume, Launch as LaunchTasks, Reserve, ShrinkVolume, Type, Unreserve,
};
use tepui_protocol::v1::resource::disk_info::{Persistence, Source as DiskSource, source};
use tepui_protocol::v1::resource::{
    AllocationInfo, DiskInfo, ReservationInfo, SharedInfo, reservation_info,
};
use tepui_protocol::v1::{OperationState, OperationStatus};

use super::super::volumes::{Volume, VolumeKind};
use super::*;
use crate::resources::{Format, Resources};

pub(super) const ROLE: &str = "eng/web";
pub(super) const DIRECTORY: &str = "/var/lib/tepui/volumes/roles/eng web/v1";

/// An agent with something to reserve, and a PATH and a MOUNT disk.
pub(super) fn rich() -> Settings {
    let plain = Resources::parse("cpus:4;mem:1024;disk:1000", "*").unwrap();
    let mut resources = plain.to_v1(Format::PostRefinement);
    for (kind, root) in [
        (source::Type::Path, "/disks/path"),
        (source::Type::Mount, "/disks/mount"),
    ] {
        resources.push(v1::Resource {
            disk: Some(Box::new(DiskInfo {
                source: Some(disk_source(kind, root)),
                ..Default::default()
            })),
            ..bare("disk", 500.0)
        });
    }
    let mut settings = settings();
    settings.info.resources = resources;
    settings
}

pub(super) fn disk_source(kind: source::Type, root: &str) -> DiskSource {
    let root = Some(root.to_owned());
    DiskSource {
        r#type: kind as i32,
        path: (kind == source::Type::Path).then(|| source::Path { root: root.clone() }),
        mount: (kind == source::Type::Mount).then_some(source::Mount { root }),
        ..Default::default()
    }
}

pub(super) fn bare(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        allocation_info: None,
        ..scalar(name, value)
    }
}

/// Reserved for [`ROLE`] and, as in an offer, allocated to it.
pub(super) fn reserved(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        reservations: vec![ReservationInfo {
            role: Some(ROLE.into()),
            r#type: Some(reservation_info::Type::Dynamic as i32),
            ..Default::default()
        }],
        allocation_info: Some(AllocationInfo {
            role: Some(ROLE.into()),
        }),
        ..bare(name, value)
    }
}

/// A volume on `source` that is to be seen as `data`.
pub(super) fn volume_on(source: Option<DiskSource>, id: &str, size: f64) -> v1::Resource {
    v1::Resource {
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id: id.into(),
                ..Default::default()
            }),
            volume: Some(v1::Volume {
                mode: v1::volume::Mode::Rw as i32,
                container_path: "data".into(),
                ..Default::default()
            }),
            source,
        })),
        ..reserved("disk", size)
    }
}

pub(super) fn volume(id: &str, size: f64) -> v1::Resource {
    volume_on(None, id, size)
}

pub(super) fn shared(resource: v1::Resource) -> v1::Resource {
    v1::Resource {
        shared: Some(SharedInfo {}),
        ..resource
    }
}

pub(super) fn reserve(resources: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(Type::Reserve as i32),
        id: Some(v1::OperationId { value: "op".into() }),
        reserve: Some(Reserve {
            resources,
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn create(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(Type::Create as i32),
        create: Some(Create { volumes }),
        ..Default::default()
    }
}

pub(super) fn destroy(volumes: Vec<v1::Resource>) -> Operation {
    Operation {
        r#type: Some(Type::Destroy as i32),
        destroy: Some(Destroy { volumes }),
        ..Default::default()
    }
}

impl Fixture {
    pub(super) fn apply(&mut self, operation: Operation, number: u8) {
        self.master_says(MasterToAgent::ApplyOperation {
            framework_id: Some(FRAMEWORK.into()),
            operation: Pb(operation),
            operation_uuid: vec![number; 16],
        });
    }

    /// The status of operation `number`, which must be the next message to the master.
    #[track_caller]
    pub(super) fn operation_status(&mut self, number: u8) -> OperationStatus {
        match self.told_master() {
            AgentToMaster::OperationStatus {
                operation_uuid,
                status,
                framework_id,
            } => {
                assert_eq!(operation_uuid, vec![number; 16]);
                assert_eq!(framework_id.as_deref(), Some(FRAMEWORK));
                status.0
            }
            other => panic!("no operation status: {other:?}"),
        }
    }

    /// Carries an operation out that must succeed, and acknowledges it.
    #[track_caller]
    pub(super) fn done(&mut self, operation: Operation, number: u8) -> Checkpoint {
        self.apply(operation, number);
        let order = self.checkpoint();
        self.written();
        let status = self.operation_status(number);
        assert_eq!(status.state(), OperationState::OperationFinished);
        self.acknowledge_operation(&status, number);
        self.checkpoint();
        self.written();
        order
    }

    pub(super) fn acknowledge_operation(&mut self, status: &OperationStatus, number: u8) {
        self.master_says(MasterToAgent::AcknowledgeOperation {
            status_uuid: status.uuid.clone().unwrap().value,
            operation_uuid: vec![number; 16],
        });
    }

    /// An operation that must fail without a change, with the message.
    #[track_caller]
    pub(super) fn refused(&mut self, operation: Operation) -> (OperationState, String) {
        let before = self.snapshot().total;
        self.apply(operation, 99);
        let order = self.checkpoint();
        assert!(order.make.is_empty() && order.remove.is_empty());
        self.written();
        let status = self.operation_status(99);
        assert!(status.converted_resources.is_empty());
        assert_eq!(self.snapshot().total, before);
        (status.state(), status.message().to_owned())
    }
}

pub(super) fn text(resources: &Resources) -> String {
    resources.to_string()
}

pub(super) fn bag(resources: &[v1::Resource]) -> Resources {
    Resources::from_v1(resources).unwrap().unallocated()
}

fn stored(order: &Checkpoint) -> Resources {
    let list: Vec<v1::Resource> = order.state.resources.iter().map(|r| r.0.clone()).collect();
    bag(&list)
}

#[test]
fn a_reservation_is_checkpointed_before_it_is_reported() {
    let mut agent = Fixture::registered_with(rich());
    agent.apply(reserve(vec![reserved("cpus", 1.5)]), 1);
    let order = agent.checkpoint();
    // Nothing else may happen before the checkpoint is durable.
    agent.nothing();
    assert_eq!(stored(&order), bag(&[reserved("cpus", 1.5)]));
    assert!(order.make.is_empty() && order.remove.is_empty());
    let kept = &order.state.operations[0];
    assert_eq!(
        kept.latest_status.state(),
        OperationState::OperationFinished
    );
    assert_eq!(agent.snapshot().total.reserved(), Resources::new());
    agent.written();
    let status = agent.operation_status(1);
    assert_eq!(status.state(), OperationState::OperationFinished);
    assert_eq!(status.operation_id.unwrap().value, "op");
    assert_eq!(status.agent_id.unwrap().value, AGENT);
    assert_eq!(status.uuid.unwrap().value.len(), 16);
    let converted = Resources::from_v1(&status.converted_resources).unwrap();
    assert_eq!(converted, bag(&[reserved("cpus", 1.5)]));
    let total = agent.snapshot().total;
    assert_eq!(total.reserved(), bag(&[reserved("cpus", 1.5)]));
    assert_eq!(total.unreserved().scalar_milli("cpus"), 2_500);
}

#[test]
fn reserving_and_unreserving_leaves_nothing_behind() {
    let mut agent = Fixture::registered_with(rich());
    let before = agent.snapshot().total;
    agent.done(
        reserve(vec![reserved("cpus", 1.0), reserved("mem", 64.0)]),
        1,
    );
    let unreserve = Operation {
        r#type: Some(Type::Unreserve as i32),
        unreserve: Some(Unreserve {
            resources: vec![reserved("mem", 64.0), reserved("cpus", 1.0)],
        }),
        ..Default::default()
    };
    let order = agent.done(unreserve, 2);
    assert!(order.state.resources.is_empty());
    assert_eq!(agent.snapshot().total, before);
}

#[test]
fn a_volume_has_its_directory_made_and_removed() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    let order = agent.done(create(vec![volume("v1", 64.0)]), 2);
    let place = Volume {
        id: "v1".into(),
        path: DIRECTORY.into(),
        kind: VolumeKind::Directory,
    };
    assert_eq!(order.make.len(), 1);
    assert_eq!(order.make[0].volume, place);
    assert!(!order.make[0].clear && order.remove.is_empty());
    assert_eq!(
        stored(&order),
        bag(&[volume("v1", 64.0), reserved("disk", 36.0)])
    );
    let order = agent.done(destroy(vec![volume("v1", 64.0)]), 3);
    assert_eq!(order.remove, [place]);
    // A crash before the data has gone must not keep it for ever.
    assert_eq!(order.state.removing.len(), 1);
    assert_eq!(stored(&order), bag(&[reserved("disk", 100.0)]));
}

#[test]
fn volumes_on_other_disks_have_their_places_there() {
    let mut agent = Fixture::registered_with(rich());
    for (number, kind, root, path, place) in [
        (
            10,
            source::Type::Path,
            "/disks/path",
            "/disks/path/volumes/roles/eng web/v1",
            VolumeKind::Directory,
        ),
        (
            20,
            source::Type::Mount,
            "/disks/mount",
            "/disks/mount",
            VolumeKind::Mount,
        ),
    ] {
        let on_disk = volume_on(Some(disk_source(kind, root)), "v1", 500.0);
        let mut plain = on_disk.clone();
        let disk = plain.disk.as_mut().unwrap();
        (disk.persistence, disk.volume) = (None, None);
        agent.done(reserve(vec![plain]), number);
        let order = agent.done(create(vec![on_disk.clone()]), number + 1);
        assert_eq!(order.make[0].volume.path, path);
        assert_eq!(order.make[0].volume.kind, place);
        let order = agent.done(destroy(vec![on_disk]), number + 2);
        assert_eq!(order.remove[0].path, path);
        assert_eq!(order.remove[0].kind, place);
    }
}

#[test]
fn growing_and_shrinking_keep_the_directory() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    agent.done(create(vec![volume("v1", 64.0)]), 2);
    let grow = Operation {
        r#type: Some(Type::GrowVolume as i32),
        grow_volume: Some(GrowVolume {
            volume: volume("v1", 64.0),
            addition: reserved("disk", 16.0),
        }),
        ..Default::default()
    };
    let order = agent.done(grow, 3);
    assert!(order.make.is_empty() && order.remove.is_empty());
    assert_eq!(
        stored(&order),
        bag(&[volume("v1", 80.0), reserved("disk", 20.0)])
    );
    let shrink = Operation {
        r#type: Some(Type::ShrinkVolume as i32),
        shrink_volume: Some(ShrinkVolume {
            volume: volume("v1", 80.0),
            subtract: v1::value::Scalar { value: 30.0 },
        }),
        ..Default::default()
    };
    let order = agent.done(shrink, 4);
    assert!(order.make.is_empty() && order.remove.is_empty());
    assert_eq!(
        stored(&order),
        bag(&[volume("v1", 50.0), reserved("disk", 50.0)])
    );
}

#[test]
fn what_does_not_fit_fails_and_changes_nothing() {
    let mut agent = Fixture::registered_with(rich());
    let (state, why) = agent.refused(reserve(vec![reserved("cpus", 5.0)]));
    assert_eq!(state, OperationState::OperationFailed);
    assert!(why.contains("does not contain cpus:5"), "{why}");
}

#[test]
fn a_second_volume_for_the_same_directory_fails() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    agent.done(create(vec![volume("v1", 10.0)]), 2);
    let (state, why) = agent.refused(create(vec![volume("v1", 20.0)]));
    assert_eq!(state, OperationState::OperationFailed);
    assert!(why.contains("would have the same directory"), "{why}");
}

#[test]
fn a_persistence_id_that_leads_elsewhere_fails() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    let (state, why) = agent.refused(create(vec![volume("../../../etc", 10.0)]));
    assert_eq!(state, OperationState::OperationFailed);
    assert!(why.contains("cannot name a directory"), "{why}");
}

#[test]
fn what_no_agent_can_do_is_an_error() {
    for operation in [
        Operation::default(),
        Operation {
            r#type: Some(Type::CreateDisk as i32),
            ..Default::default()
        },
        Operation {
            r#type: Some(Type::Launch as i32),
            launch: Some(LaunchTasks::default()),
            ..Default::default()
        },
        // The payload is missing.
        Operation {
            r#type: Some(Type::Reserve as i32),
            ..Default::default()
        },
    ] {
        let mut agent = Fixture::registered_with(rich());
        let (state, why) = agent.refused(operation);
        assert_eq!(state, OperationState::OperationError, "{why}");
    }
}

#[test]
fn a_failed_checkpoint_fails_the_operation_and_that_is_checkpointed() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    let before = agent.snapshot().total;
    agent.apply(create(vec![volume("v1", 64.0)]), 2);
    agent.checkpoint();
    agent.input(Input::Checkpointed {
        result: Err("no space left".into()),
    });
    let order = agent.checkpoint();
    assert!(order.make.is_empty() && order.remove.is_empty());
    assert_eq!(stored(&order), bag(&[reserved("disk", 100.0)]));
    let kept = &order.state.operations[0].latest_status;
    assert_eq!(kept.state(), OperationState::OperationFailed);
    // Even when that cannot be written, the framework learns of the failure.
    agent.input(Input::Checkpointed {
        result: Err("still none".into()),
    });
    let status = agent.operation_status(2);
    assert_eq!(status.state(), OperationState::OperationFailed);
    assert_eq!(status.message(), "no space left");
    assert!(status.converted_resources.is_empty());
    assert_eq!(agent.snapshot().total, before);
    // What was made for it is not known to a new master either.
    agent.link_down();
    agent.link_up(8);
    let AgentToMaster::Reregister(report) = agent.told_master() else {
        panic!("no re-registration")
    };
    assert_eq!(report.register.checkpointed_resources.len(), 1);
    assert_eq!(report.operations[0].latest_status.uuid, status.uuid);
}

#[test]
fn what_the_master_says_waits_for_the_checkpoint_in_order() {
    let mut agent = Fixture::registered_with(rich());
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.checkpoint();
    // A task that counts on the reservation, and an operation on top of it.
    let task = v1::TaskInfo {
        resources: vec![reserved("cpus", 1.0)],
        ..command_task("t1", "true")
    };
    agent.run(task);
    agent.apply(reserve(vec![reserved("mem", 1.0)]), 2);
    agent.nothing();
    agent.master_says(MasterToAgent::Ping { connected: true });
    assert_eq!(agent.told_master(), AgentToMaster::Pong);
    agent.written();
    agent.operation_status(1);
    agent.launch();
    let order = agent.checkpoint();
    assert_eq!(
        stored(&order),
        bag(&[reserved("cpus", 1.0), reserved("mem", 1.0)])
    );
    agent.written();
    agent.operation_status(2);
}

#[test]
fn a_link_that_says_more_than_the_disk_can_follow_is_given_up() {
    let mut agent = Fixture::registered_with(rich());
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.checkpoint();
    let link = agent.link.unwrap();
    for _ in 0..super::super::MAX_DEFERRED {
        agent.apply(reserve(vec![reserved("cpus", 1.0)]), 2);
    }
    agent.nothing();
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 2);
    assert_eq!(agent.effect(), Effect::CloseLink(link));
    agent.written();
    agent.nothing();
}

#[test]
fn data_that_could_not_be_removed_goes_before_its_place_is_used_again() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    agent.done(create(vec![volume("v1", 64.0)]), 2);
    agent.apply(destroy(vec![volume("v1", 64.0)]), 3);
    agent.checkpoint();
    agent.input(Input::Checkpointed {
        result: Ok(vec![DIRECTORY.into()]),
    });
    let status = agent.operation_status(3);
    assert_eq!(status.state(), OperationState::OperationFinished);
    agent.acknowledge_operation(&status, 3);
    assert_eq!(agent.checkpoint().state.removing.len(), 1);
    agent.written();
    let order = agent.done(create(vec![volume("v1", 32.0)]), 4);
    assert!(order.make[0].clear);
    assert!(order.state.removing.is_empty());
    // Removed this time, it is not remembered.
    agent.done(destroy(vec![volume("v1", 32.0)]), 5);
    let order = agent.done(reserve(vec![reserved("cpus", 1.0)]), 6);
    assert!(order.state.removing.is_empty());
}

#[test]
fn a_shared_volume_is_one_volume() {
    let mut agent = Fixture::registered_with(rich());
    agent.done(reserve(vec![reserved("disk", 100.0)]), 1);
    let order = agent.done(create(vec![shared(volume("v1", 64.0))]), 2);
    assert_eq!(order.make[0].volume.path, DIRECTORY);
    assert_eq!(
        text(&agent.snapshot().total.shared()).matches("v1").count(),
        1
    );
    let order = agent.done(destroy(vec![shared(volume("v1", 64.0))]), 3);
    assert_eq!(order.remove[0].path, DIRECTORY);
}

#[test]
fn an_agent_that_ends_drops_operations() {
    let (mut agent, _) = Fixture::with_careless_executor("t1");
    agent.input(Input::Stop);
    assert_eq!(agent.event_type(1), event::Type::Shutdown);
    agent.apply(reserve(vec![reserved("cpus", 1.0)]), 1);
    agent.checkpoint();
    agent.written();
    let status = agent.operation_status(1);
    assert_eq!(status.state(), OperationState::OperationDropped);
    assert_eq!(status.message(), "the agent is about to end");
    // The last words of executors still reach the master.
    agent.executor_update("ex", super::status("t1", TaskState::TaskKilled, 1));
    assert_eq!(agent.update().status.state(), TaskState::TaskKilled);
    assert_eq!(agent.event_type(1), event::Type::Acknowledged);
}
