//! Crashes between the steps of a checkpoint, and volumes that try to lead elsewhere.
//! A crash is what is on disk when the steps end early, and a new start from there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tepui_core::agent::messages::{Checkpoint, MakeVolume};
use tepui_core::agent::recovery::Recovered;
use tepui_core::agent::volumes::{Volume, VolumeKind};
use tepui_core::resources::{Format, Resources};
use tepui_protocol::checkpoint::ResourcesAndOperations;
use tepui_protocol::pb::Pb;
use tepui_protocol::v1;

use super::super::checkpoint::{make, perform, recover, write};
use super::super::volumes;
use super::operations::{STATE, VOLUME, volume};

struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Disk(tempfile::tempdir().unwrap())
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.0.path().join(inner)
    }

    fn v1(&self) -> Volume {
        self.volume(VOLUME, VolumeKind::Directory)
    }

    fn volume(&self, inner: &str, kind: VolumeKind) -> Volume {
        Volume {
            id: "v1".into(),
            path: self.path(inner).to_string_lossy().into_owned(),
            kind,
        }
    }

    fn creating(&self) -> Checkpoint {
        Checkpoint {
            make: vec![MakeVolume {
                volume: self.v1(),
                clear: false,
            }],
            state: with_volume(),
            remove: Vec::new(),
        }
    }

    fn destroying(&self) -> Checkpoint {
        Checkpoint {
            make: Vec::new(),
            state: ResourcesAndOperations {
                removing: with_volume().resources,
                ..Default::default()
            },
            remove: vec![self.v1()],
        }
    }

    fn perform(&self, order: &Checkpoint) -> Result<Vec<String>, String> {
        perform(self.0.path(), order)
    }

    fn start(&self) -> Recovered {
        let given = Resources::parse("disk:100", "*").unwrap();
        recover(self.0.path(), &given.to_v1(Format::PostRefinement)).unwrap()
    }
}

fn with_volume() -> ResourcesAndOperations {
    ResourcesAndOperations {
        resources: vec![Pb(volume("v1", "data"))],
        ..Default::default()
    }
}

fn known(recovered: &Recovered) -> usize {
    recovered.to_make().len()
}

#[test]
fn a_fresh_work_directory_knows_nothing() {
    assert_eq!(known(&Disk::new().start()), 0);
}

#[test]
fn a_crash_after_the_directory_was_made_leaves_no_volume() {
    let disk = Disk::new();
    make(&disk.creating()).unwrap();
    assert!(disk.path(VOLUME).is_dir());
    assert_eq!(known(&disk.start()), 0);
    assert!(!disk.path(VOLUME).exists());
}

#[test]
fn a_crash_after_the_checkpoint_leaves_the_volume() {
    let disk = Disk::new();
    let order = disk.creating();
    make(&order).unwrap();
    write(disk.0.path(), &order.state).unwrap();
    assert_eq!(known(&disk.start()), 1);
    assert!(disk.path(VOLUME).is_dir());
}

#[test]
fn a_crash_within_the_write_leaves_what_was_before() {
    let disk = Disk::new();
    disk.perform(&disk.creating()).unwrap();
    // Half of the next one was written, and never renamed.
    fs::write(disk.path(STATE).with_extension("target"), "half").unwrap();
    assert_eq!(known(&disk.start()), 1);
    assert_eq!(disk.perform(&disk.destroying()), Ok(Vec::new()));
    assert_eq!(known(&disk.start()), 0);
}

#[test]
fn a_crash_before_the_data_was_removed_removes_it_at_the_start() {
    let disk = Disk::new();
    disk.perform(&disk.creating()).unwrap();
    fs::write(disk.path(VOLUME).join("file"), "secret").unwrap();
    write(disk.0.path(), &disk.destroying().state).unwrap();
    let recovered = disk.start();
    assert_eq!(known(&recovered), 0);
    assert_eq!(recovered.to_remove().count(), 0);
    assert!(!disk.path(VOLUME).exists());
}

#[test]
fn a_missing_directory_is_made_at_the_start() {
    let disk = Disk::new();
    disk.perform(&disk.creating()).unwrap();
    fs::remove_dir(disk.path(VOLUME)).unwrap();
    disk.start();
    assert!(disk.path(VOLUME).is_dir());
}

#[test]
fn data_of_no_known_volume_is_kept_but_empty_directories_are_not() {
    let disk = Disk::new();
    fs::create_dir_all(disk.path("volumes/roles/other/empty")).unwrap();
    fs::create_dir_all(disk.path("volumes/roles/other/full")).unwrap();
    fs::write(disk.path("volumes/roles/other/full/file"), "x").unwrap();
    disk.start();
    assert!(!disk.path("volumes/roles/other/empty").exists());
    assert!(disk.path("volumes/roles/other/full/file").exists());
}

#[test]
fn data_left_over_goes_before_the_place_is_used_again() {
    let disk = Disk::new();
    fs::create_dir_all(disk.path(VOLUME)).unwrap();
    fs::write(disk.path(VOLUME).join("file"), "secret").unwrap();
    let mut order = disk.creating();
    order.make[0].clear = true;
    disk.perform(&order).unwrap();
    assert_eq!(fs::read_dir(disk.path(VOLUME)).unwrap().count(), 0);
}

#[test]
fn when_one_directory_fails_the_others_are_taken_back() {
    let disk = Disk::new();
    fs::write(disk.path("file"), "in the way").unwrap();
    let mut order = disk.creating();
    order.make.push(MakeVolume {
        volume: disk.volume("file", VolumeKind::Directory),
        clear: false,
    });
    let why = disk.perform(&order).unwrap_err();
    assert!(
        why.ends_with("something that is not a directory is there"),
        "{why}"
    );
    assert!(!disk.path(VOLUME).exists());
    assert!(!disk.path(STATE).exists());
}

#[test]
fn data_that_cannot_be_removed_is_reported() {
    let disk = Disk::new();
    let mut order = disk.destroying();
    let mount = disk.volume("no/mount", VolumeKind::Mount);
    order.remove = vec![mount.clone()];
    assert_eq!(disk.perform(&order), Ok(vec![mount.path]));
}

#[test]
fn a_missing_mount_point_is_not_made() {
    let disk = Disk::new();
    let why = volumes::make(&disk.volume("mount", VolumeKind::Mount)).unwrap_err();
    assert!(
        why.starts_with("Failed to create the persistent volume v1 at "),
        "{why}"
    );
    assert!(!disk.path("mount").exists());
}

/// Something that no removal may touch, and links to it in `directory`.
fn outside(disk: &Disk, directory: &Path) -> PathBuf {
    let outside = disk.path("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    fs::write(outside.join("sub/file"), "precious").unwrap();
    fs::create_dir_all(directory.join("inner")).unwrap();
    symlink(&outside, directory.join("link")).unwrap();
    symlink("../../..", directory.join("inner/up")).unwrap();
    symlink(outside.join("sub/file"), directory.join("inner/file")).unwrap();
    outside.join("sub/file")
}

#[test]
fn links_within_a_destroyed_volume_are_removed_and_not_followed() {
    let disk = Disk::new();
    disk.perform(&disk.creating()).unwrap();
    let precious = outside(&disk, &disk.path(VOLUME));
    assert_eq!(disk.perform(&disk.destroying()), Ok(Vec::new()));
    assert!(!disk.path(VOLUME).exists());
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn a_volume_that_was_replaced_by_a_link_is_removed_as_a_link() {
    let disk = Disk::new();
    disk.perform(&disk.creating()).unwrap();
    let precious = outside(&disk, &disk.path("elsewhere"));
    fs::remove_dir(disk.path(VOLUME)).unwrap();
    symlink(disk.path("outside"), disk.path(VOLUME)).unwrap();
    assert_eq!(disk.perform(&disk.destroying()), Ok(Vec::new()));
    assert!(fs::symlink_metadata(disk.path(VOLUME)).is_err());
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn a_mount_point_is_emptied_and_stays() {
    let disk = Disk::new();
    let mount = disk.volume("mount", VolumeKind::Mount);
    fs::create_dir(disk.path("mount")).unwrap();
    assert_eq!(volumes::make(&mount), Ok(false));
    let precious = outside(&disk, &disk.path("mount"));
    fs::write(disk.path("mount/file"), "x").unwrap();
    volumes::remove(&mount).unwrap();
    assert!(disk.path("mount").is_dir());
    assert_eq!(fs::read_dir(disk.path("mount")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn what_is_at_a_volumes_place_already_is_kept() {
    let disk = Disk::new();
    fs::create_dir_all(disk.path(VOLUME)).unwrap();
    fs::write(disk.path(VOLUME).join("file"), "x").unwrap();
    disk.perform(&disk.creating()).unwrap();
    assert!(disk.path(VOLUME).join("file").exists());
}

#[test]
fn a_link_in_a_volumes_place_is_refused() {
    let disk = Disk::new();
    fs::create_dir_all(disk.path(VOLUME).parent().unwrap()).unwrap();
    symlink(disk.0.path(), disk.path(VOLUME)).unwrap();
    let why = disk.perform(&disk.creating()).unwrap_err();
    assert!(why.contains("not a directory"), "{why}");
    assert!(!disk.path(STATE).exists());
}

#[test]
fn an_operation_record_survives() {
    let disk = Disk::new();
    let mut order = disk.creating();
    order.state.operations.push(Pb(v1::Operation {
        uuid: v1::Uuid { value: vec![1; 16] },
        ..Default::default()
    }));
    disk.perform(&order).unwrap();
    let bytes = fs::read(disk.path(STATE)).unwrap();
    let read = tepui_protocol::checkpoint::decode(&bytes).unwrap();
    assert_eq!(read, order.state);
}
