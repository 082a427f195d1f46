//! Operations of a real agent: directories, checkpoint and statuses, across restarts.
//! This file also holds what the other tests of operations share.

use std::fs;
use std::path::PathBuf;

use tepui_protocol::link::{AgentToMaster, MasterToAgent};
use tepui_protocol::pb::Pb;
use tepui_protocol::v1::offer::Operation;
use tepui_protocol::v1::offer::operation::{Create, Destroy, Reserve, Type};
use tepui_protocol::v1::resource::disk_info::Persistence;
use tepui_protocol::v1::resource::{DiskInfo, ReservationInfo, reservation_info};
use tepui_protocol::v1::{self, OperationState, OperationStatus};

use super::super::config::AgentConfig;
use super::{FRAMEWORK, Fixture, config};

pub(super) const STATE: &str = "meta/resources/resources_and_operations.state";
pub(super) const VOLUME: &str = "volumes/roles/eng web/v1";

/// Reserved for `eng/web`.
pub(super) fn reserved(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        reservations: vec![ReservationInfo {
            role: Some("eng/web".into()),
            r#type: Some(reservation_info::Type::Dynamic as i32),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A volume of 64 MB that is to be seen as `name`.
pub(super) fn volume(id: &str, name: &str) -> v1::Resource {
    v1::Resource {
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id: id.into(),
                ..Default::default()
            }),
            volume: Some(v1::Volume {
                mode: v1::volume::Mode::Rw as i32,
                container_path: name.into(),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..reserved("disk", 64.0)
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

pub(super) fn create(volume: v1::Resource) -> Operation {
    Operation {
        r#type: Some(Type::Create as i32),
        create: Some(Create {
            volumes: vec![volume],
        }),
        ..Default::default()
    }
}

pub(super) fn destroy(volume: v1::Resource) -> Operation {
    Operation {
        r#type: Some(Type::Destroy as i32),
        destroy: Some(Destroy {
            volumes: vec![volume],
        }),
        ..Default::default()
    }
}

impl Fixture {
    pub(super) async fn apply(&mut self, operation: Operation, number: u8) -> OperationStatus {
        self.send(MasterToAgent::ApplyOperation {
            framework_id: Some(FRAMEWORK.into()),
            operation: Pb(operation),
            operation_uuid: vec![number; 16],
        })
        .await;
        self.operation_status(number).await
    }

    async fn operation_status(&mut self, number: u8) -> OperationStatus {
        match self.receive().await {
            AgentToMaster::OperationStatus {
                operation_uuid,
                status,
                ..
            } => {
                assert_eq!(operation_uuid, vec![number; 16]);
                status.0
            }
            other => panic!("no operation status: {other:?}"),
        }
    }

    /// Applies an operation that must succeed, and acknowledges it.
    pub(super) async fn done(&mut self, operation: Operation, number: u8) {
        let status = self.apply(operation, number).await;
        assert_eq!(
            status.state(),
            OperationState::OperationFinished,
            "{status:?}"
        );
        self.send(MasterToAgent::AcknowledgeOperation {
            status_uuid: status.uuid.unwrap().value,
            operation_uuid: vec![number; 16],
        })
        .await;
    }

    /// An agent with a reservation and the volume `v1` that is to be seen as `name`.
    pub(super) async fn with_volume(name: &str) -> Self {
        let mut fixture = Fixture::start().await;
        fixture.give_volume(name).await;
        fixture
    }

    pub(super) async fn give_volume(&mut self, name: &str) {
        self.done(reserve(vec![reserved("disk", 100.0)]), 1).await;
        self.done(create(volume("v1", name)), 2).await;
    }

    pub(super) fn path(&self, inner: &str) -> PathBuf {
        self.work.path().join(inner)
    }
}

/// Why an agent in this work directory does not start.
async fn refusal(work: &tempfile::TempDir, change: impl FnOnce(&mut AgentConfig)) -> String {
    let mut config = config("127.0.0.1:1".into(), work.path().to_owned());
    change(&mut config);
    match super::run(config).await {
        Ok(_) => panic!("the agent has started"),
        Err(error) => error.to_string(),
    }
}

#[actix_web::test]
async fn reservations_volumes_and_unacknowledged_statuses_survive_a_restart() {
    let mut fixture = Fixture::with_volume("data").await;
    let status = fixture.apply(reserve(vec![reserved("cpus", 1.5)]), 3).await;
    assert_eq!(status.state(), OperationState::OperationFinished);
    assert!(fixture.path(STATE).is_file());
    fs::write(fixture.path(VOLUME).join("file"), "kept").unwrap();
    let work = fixture.end().await;

    let mut fixture = Fixture::start_in(work, |_| {}).await;
    let registration = fixture.registration.take().unwrap();
    let mut told: Vec<(String, f64)> = registration
        .checkpointed_resources
        .iter()
        .map(|r| (r.name.clone(), r.scalar.unwrap().value))
        .collect();
    told.sort_by(|a, b| a.1.total_cmp(&b.1));
    let expected = [("cpus", 1.5), ("disk", 36.0), ("disk", 64.0)];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value)));
    let again = fixture.operation_status(3).await;
    assert_eq!(again.uuid, status.uuid);
    let kept = fs::read_to_string(fixture.path(VOLUME).join("file")).unwrap();
    assert_eq!(kept, "kept");
    let state = fixture.json("/state").await;
    assert_eq!(state["resources"]["cpus"], 4.0);
    assert_eq!(state["unreserved_resources"]["cpus"], 2.5);
    assert_eq!(state["reserved_resources"]["eng/web"]["cpus"], 1.5);
    assert_eq!(state["reserved_resources"]["eng/web"]["disk"], 100.0);
    let full = state["reserved_resources_full"]["eng/web"].to_string();
    assert!(full.contains(r#""persistence":{"id":"v1""#), "{full}");
    fixture.stop().await;
}

#[actix_web::test]
async fn a_destroyed_volume_is_gone_when_that_is_told() {
    let mut fixture = Fixture::with_volume("data").await;
    let directory = fixture.path(VOLUME);
    fs::create_dir_all(directory.join("sub/deep")).unwrap();
    fs::write(directory.join("sub/deep/file"), "x").unwrap();
    fixture.done(destroy(volume("v1", "data")), 3).await;
    assert!(!directory.exists());
    fixture.stop().await;
}

#[actix_web::test]
async fn a_directory_that_cannot_be_made_fails_the_operation_and_changes_nothing() {
    let mut fixture = Fixture::start().await;
    fixture
        .done(reserve(vec![reserved("disk", 100.0)]), 1)
        .await;
    fs::create_dir(fixture.path("volumes")).unwrap();
    fs::write(fixture.path("volumes/roles"), "in the way").unwrap();
    let status = fixture.apply(create(volume("v1", "data")), 2).await;
    assert_eq!(status.state(), OperationState::OperationFailed);
    let text = status.message();
    let start = "Failed to create the persistent volume v1 at '";
    assert!(text.starts_with(start), "{text}");
    assert!(status.converted_resources.is_empty());
    let state = fixture.json("/state").await;
    let full = state["reserved_resources_full"].to_string();
    assert!(!full.contains("persistence"), "{full}");
    // The way is free again: the same operation succeeds.
    fs::remove_file(fixture.path("volumes/roles")).unwrap();
    fixture.done(create(volume("v1", "data")), 3).await;
    assert!(fixture.path(VOLUME).is_dir());
    fixture.stop().await;
}

#[actix_web::test]
async fn a_checkpoint_that_cannot_be_written_fails_the_operation_and_changes_nothing() {
    let mut fixture = Fixture::with_volume("data").await;
    let meta = fixture.path("meta/resources");
    fixture.settle_checkpoint(1).await;
    fs::remove_dir_all(&meta).unwrap();
    fs::write(&meta, "in the way").unwrap();
    let status = fixture.apply(create(other()), 3).await;
    assert_eq!(status.state(), OperationState::OperationFailed);
    let text = status.message();
    assert!(
        text.starts_with("Failed to checkpoint resources: "),
        "{text}"
    );
    assert!(!fixture.path("volumes/roles/eng web/v2").exists());
    assert!(fixture.path(VOLUME).exists());
    fixture.stop().await;
}

fn other() -> v1::Resource {
    v1::Resource {
        scalar: Some(v1::value::Scalar { value: 36.0 }),
        ..volume("v2", "data")
    }
}

impl Fixture {
    /// Waits until no checkpoint is being written: an operation's status comes after all before.
    async fn settle_checkpoint(&mut self, cpus: u8) {
        let status = self
            .apply(reserve(vec![reserved("cpus", f64::from(cpus))]), 200)
            .await;
        assert_eq!(status.state(), OperationState::OperationFinished);
    }
}

#[actix_web::test]
async fn a_damaged_checkpoint_stops_the_agent_with_advice() {
    let work = Fixture::with_volume("data").await.end().await;
    let file = work.path().join(STATE);
    let good = fs::read(&file).unwrap();
    for bad in [&good[..good.len() - 1], b"", b"something else"] {
        fs::write(&file, bad).unwrap();
        let why = refusal(&work, |_| {}).await;
        assert!(
            why.contains("resources_and_operations.state is damaged"),
            "{why}"
        );
        assert!(why.contains("or remove it to give up"), "{why}");
    }
    assert!(work.path().join(VOLUME).exists());
    // The advice helps, and the data stays.
    fs::write(work.path().join(VOLUME).join("file"), "x").unwrap();
    fs::remove_file(&file).unwrap();
    let fixture = Fixture::start_in(work, |_| {}).await;
    assert!(
        fixture
            .registration
            .as_ref()
            .unwrap()
            .checkpointed_resources
            .is_empty()
    );
    assert!(fixture.path(VOLUME).join("file").exists());
    fixture.stop().await;
}

#[actix_web::test]
async fn resources_below_what_is_reserved_stop_the_agent_with_advice() {
    let work = Fixture::with_volume("data").await.end().await;
    let why = refusal(&work, |config| {
        config.resources = Some("cpus:4;mem:2048;disk:99;ports:[31000-31100]".into());
    })
    .await;
    assert!(
        why.contains("are incompatible with the agent's resources"),
        "{why}"
    );
    assert!(why.contains("does not contain disk:"), "{why}");
    assert!(
        why.contains("start the agent with --resources that contain them"),
        "{why}"
    );
    // Just enough is enough, for an agent that does not go on as what it was.
    fs::remove_file(work.path().join("meta/agent.journal")).unwrap();
    let fixture = Fixture::start_in(work, |config| {
        config.resources = Some("cpus:4;mem:2048;disk:100;ports:[31000-31100]".into());
    })
    .await;
    fixture.stop().await;
}
