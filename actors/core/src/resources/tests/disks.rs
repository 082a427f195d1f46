//! Disks of all kinds: what merges, what can be cut, what is the same.

use v1::resource::disk_info::source::Type as SourceType;

use super::*;

const KINDS: [SourceType; 4] = [
    SourceType::Path,
    SourceType::Mount,
    SourceType::Block,
    SourceType::Raw,
];

fn sized(disk: v1::Resource, size: f64) -> v1::Resource {
    v1::Resource {
        scalar: Some(v1::value::Scalar { value: size }),
        ..disk
    }
}

/// A disk that only says where it is to be mounted.
fn mounted_at(path: &str) -> v1::Resource {
    let mut disk = scalar("disk", 10.0);
    disk.disk = Some(Box::new(v1::resource::DiskInfo {
        volume: Some(v1::Volume {
            container_path: path.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }));
    disk
}

fn one(resource: v1::Resource) -> Resources {
    read(&[resource])
}

#[test]
fn the_kind_of_source_and_its_identity_decide_what_can_be_divided() {
    for kind in KINDS {
        for bits in 0..8 {
            let mut disk = sourced(kind, "/d");
            let source = disk.disk.as_mut().unwrap().source.as_mut().unwrap();
            source.vendor = (bits & 1 != 0).then(|| "vendor".to_owned());
            source.profile = (bits & 2 != 0).then(|| "profile".to_owned());
            source.id = (bits & 4 != 0).then(|| "id".to_owned());
            let divisible = match kind {
                SourceType::Path => true,
                SourceType::Raw => source.id.is_none(),
                _ => false,
            };
            let (small, large) = (one(disk.clone()), one(sized(disk, 20.0)));
            let mut twice = small.clone();
            twice.add(&small);
            assert!(small.contains(&small));
            assert_eq!(large.contains(&small), divisible, "{kind:?} {bits}");
            assert_eq!(twice == large, divisible, "{kind:?} {bits}");
            let entries = if divisible { 1 } else { 2 };
            assert_eq!(twice.iter().count(), entries, "{kind:?} {bits}");
            twice.subtract(&small);
            assert_eq!(twice, small);
            let mut rest = large.clone();
            rest.subtract(&small);
            assert_eq!(rest == small, divisible, "{kind:?} {bits}");
            assert_eq!(rest == large, !divisible, "{kind:?} {bits}");
        }
    }
}

#[test]
fn every_part_of_a_source_tells_disks_apart() {
    let change = |change: fn(&mut v1::resource::disk_info::Source)| {
        let mut disk = sourced(SourceType::Path, "/d");
        change(disk.disk.as_mut().unwrap().source.as_mut().unwrap());
        one(disk)
    };
    let all = [
        one(scalar("disk", 10.0)),
        change(|_| {}),
        change(|source| source.path = None),
        change(|source| source.path.as_mut().unwrap().root = Some("/e".to_owned())),
        change(|source| source.r#type = SourceType::Mount as i32),
        change(|source| source.vendor = Some("v".to_owned())),
        change(|source| source.id = Some("i".to_owned())),
        change(|source| source.profile = Some("p".to_owned())),
        change(|source| {
            source.metadata = Some(v1::Labels {
                labels: vec![v1::Label {
                    key: "k".to_owned(),
                    value: None,
                }],
            });
        }),
    ];
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_eq!(a == b, i == j, "{a} {b}");
            assert_eq!(a.contains(b), i == j, "{a} {b}");
        }
    }
}

#[test]
fn where_a_disk_is_mounted_is_no_part_of_it() {
    assert_eq!(one(mounted_at("a")), one(mounted_at("b")));
    assert_ne!(one(mounted_at("a")), one(scalar("disk", 10.0)));
    let mut sum = one(mounted_at("a"));
    sum.add(&one(mounted_at("b")));
    assert_eq!(sum.iter().count(), 1);
    assert_eq!(sum.scalar_milli("disk"), 20_000);
    sum.subtract(&one(scalar("disk", 10.0)));
    assert_eq!(sum.scalar_milli("disk"), 20_000);
}

#[test]
fn volumes_of_one_id_are_whole_and_counted() {
    let (v, w) = (one(volume("v", "a")), one(volume("w", "a")));
    let mut both = v.clone();
    both.add(&w);
    assert!(both.contains(&v) && both.contains(&w));
    assert!(!both.contains(&one(sized(volume("v", "a"), 5.0))));
    assert!(!both.contains(&one(sized(volume("v", "a"), 20.0))));
    // The same id twice is what the sum of two agents looks like.
    let mut twice = v.clone();
    twice.add(&v);
    assert_eq!(twice.iter().count(), 2);
    assert!(!v.contains(&twice) && twice.contains(&twice));
    twice.subtract(&v);
    assert_eq!(twice, v);
    both.subtract(&one(sized(volume("v", "a"), 5.0)));
    assert_eq!(both.scalar_milli("disk"), 20_000);
    assert!(v.iter().all(|entry| !entry.is_divisible()));
}

#[test]
fn a_volume_keeps_the_source_of_its_disk() {
    for kind in KINDS {
        let with = |id: &str| {
            let mut disk = sourced(kind, "/d");
            disk.disk.as_mut().unwrap().persistence = Some(v1::resource::disk_info::Persistence {
                id: id.to_owned(),
                principal: None,
            });
            one(disk)
        };
        let (v, plain) = (with("v"), one(sourced(kind, "/d")));
        assert!(v.iter().all(Entry::is_persistent_volume));
        assert_ne!(v, plain);
        assert_ne!(v, with("w"));
        let stripped: Resources = v.iter().map(Entry::without_persistence).collect();
        assert_eq!(stripped, plain, "{kind:?}");
    }
}

#[test]
fn prints_what_is_special_about_a_disk() {
    let mut disk = volume("hadoop", "alice");
    let text = |disk: &v1::Resource| one(disk.clone()).to_string();
    let start = "disk(reservations: [(DYNAMIC,alice)])";
    let info = disk.disk.as_mut().unwrap();
    info.volume = Some(v1::Volume {
        container_path: "/data".to_owned(),
        mode: v1::volume::Mode::Rw as i32,
        ..Default::default()
    });
    assert_eq!(text(&disk), format!("{start}[hadoop:/data]:10"));
    disk.revocable = Some(v1::resource::RevocableInfo::default());
    assert_eq!(text(&disk), format!("{start}[hadoop:/data]{{REV}}:10"));
    disk.revocable = None;
    let info = disk.disk.as_mut().unwrap();
    info.volume.as_mut().unwrap().host_path = Some("/hdfs".to_owned());
    assert_eq!(text(&disk), format!("{start}[hadoop:/hdfs:/data:rw]:10"));
    for (kind, printed) in [
        (SourceType::Mount, "MOUNT:/mnt"),
        (SourceType::Path, "PATH:/mnt"),
        (SourceType::Block, "BLOCK"),
        (SourceType::Raw, "RAW"),
    ] {
        disk.disk.as_mut().unwrap().source = sourced(kind, "/mnt").disk.unwrap().source;
        assert_eq!(
            text(&disk),
            format!("{start}[{printed},hadoop:/hdfs:/data:rw]:10")
        );
        let source = disk.disk.as_mut().unwrap().source.as_mut().unwrap();
        source.profile = Some("fast".to_owned());
        let kind = kind.as_str_name();
        assert_eq!(
            text(&disk),
            format!("{start}[{kind}(,,fast),hadoop:/hdfs:/data:rw]:10")
        );
    }
}
