//! CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME, of frameworks and of operators.

use tepui_protocol::v1;
use v1::offer::operation::{Create, Destroy, GrowVolume, ShrinkVolume};
use v1::resource::disk_info::source::Type as SourceType;
use v1::resource::disk_info::{Source, source};

use super::fixtures::{scalar, volume};
use crate::resources::Resources;
use crate::validation::operation::{
    validate_create, validate_destroy, validate_grow_volume, validate_shrink_volume,
};

const TEXT: &str = "disk(reservations: [(DYNAMIC,web)])[v:data]:1";

/// A volume of 1 MB for `web`, not allocated.
fn bare(id: &str) -> v1::Resource {
    v1::Resource {
        allocation_info: None,
        ..volume(id)
    }
}

fn changed(change: impl FnOnce(&mut v1::Resource)) -> v1::Resource {
    let mut volume = bare("v");
    change(&mut volume);
    volume
}

fn with_disk(change: impl FnOnce(&mut v1::resource::DiskInfo)) -> v1::Resource {
    changed(|volume| change(volume.disk.as_mut().unwrap()))
}

fn shared() -> v1::Resource {
    changed(|volume| volume.shared = Some(Default::default()))
}

fn provided() -> v1::Resource {
    changed(|volume| {
        volume.provider_id = Some(v1::ResourceProviderId {
            value: "rp".to_string(),
        });
    })
}

fn on_mount() -> v1::Resource {
    with_disk(|disk| {
        disk.source = Some(Source {
            r#type: SourceType::Mount as i32,
            mount: Some(source::Mount {
                root: Some("/m".to_string()),
            }),
            ..Default::default()
        });
    })
}

/// A disk reserved as the volumes are.
fn disk(size: f64) -> v1::Resource {
    v1::Resource {
        scalar: Some(v1::value::Scalar { value: size }),
        disk: None,
        ..bare("v")
    }
}

fn bag(resources: &[v1::Resource]) -> Resources {
    Resources::from_v1(resources).unwrap()
}

fn refused(text: &str) -> Result<(), String> {
    Err(text.to_string())
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| item.to_string()).collect()
}

/// As an operator without a principal, on an agent without volumes.
fn create(volumes: &[v1::Resource]) -> Result<(), String> {
    let create = Create {
        volumes: volumes.to_vec(),
    };
    validate_create(&create, &Resources::new(), None, &[], None)
}

fn destroy(volume: &v1::Resource, checkpointed: &[v1::Resource]) -> Result<(), String> {
    let destroy = Destroy {
        volumes: vec![volume.clone()],
    };
    validate_destroy(&destroy, &bag(checkpointed), [])
}

#[test]
fn volumes_are_created_on_reserved_disks() {
    assert_eq!(create(&[bare("v"), bare("w")]), Ok(()));
    let start = "Invalid resources: Invalid DiskInfo:";
    let cases = [
        (
            changed(|volume| volume.reservations.clear()),
            format!("{start} Persistent volumes cannot be created from unreserved resources"),
        ),
        (
            changed(|volume| volume.revocable = Some(Default::default())),
            format!("{start} Persistent volumes cannot be created from revocable resources"),
        ),
        (
            with_disk(|disk| disk.volume = None),
            format!("{start} Expecting 'volume' to be set for persistent volume"),
        ),
        (
            with_disk(|disk| {
                disk.volume.as_mut().unwrap().host_path = Some("/h".to_string());
            }),
            format!("{start} Expecting 'host_path' to be unset for persistent volume"),
        ),
        (
            bare("a/b"),
            format!(
                "{start} Invalid persistence ID for persistent volume: 'a/b' contains invalid \
                 characters"
            ),
        ),
        (
            with_disk(|disk| disk.volume.as_mut().unwrap().mode = v1::volume::Mode::Ro as i32),
            "Not a persistent volume: Read-only persistent volume not supported".to_string(),
        ),
        (
            disk(1.0),
            "Not a persistent volume: Resource disk(reservations: [(DYNAMIC,web)]):1 does not \
             have DiskInfo"
                .to_string(),
        ),
        (
            changed(|volume| {
                let source = on_mount().disk.unwrap().source;
                *volume.disk.as_mut().unwrap().as_mut() = v1::resource::DiskInfo {
                    source,
                    ..Default::default()
                };
            }),
            "Not a persistent volume: 'persistence' is not set in DiskInfo".to_string(),
        ),
    ];
    for (volume, text) in cases {
        assert_eq!(create(&[volume]), Err(text));
    }
    let none = "Invalid resources: The resources have multiple resource providers: ";
    assert_eq!(create(&[]), refused(none));
    assert_eq!(
        create(&[bare("v"), provided()]),
        refused("Invalid resources: Some resources have a resource provider and some do not")
    );
}

#[test]
fn persistence_ids_are_unique_among_what_the_agent_has() {
    let check = |volume: v1::Resource, present: &[v1::Resource]| {
        let create = Create {
            volumes: vec![volume],
        };
        validate_create(&create, &bag(present), None, &[], None)
    };
    let taken = refused("Persistence ID 'v' is not unique");
    assert_eq!(create(&[bare("v"), bare("v")]), taken);
    assert_eq!(check(bare("v"), &[bare("v"), disk(4.0)]), taken);
    assert_eq!(check(volume("v"), &[bare("v")]), taken);
    assert_eq!(check(bare("v"), &[bare("w"), disk(4.0)]), Ok(()));
    let other = changed(|volume| volume.reservations[0].role = Some("db".to_string()));
    assert_eq!(check(bare("v"), &[other]), Ok(()));
    let shared = |id: &str| v1::Resource {
        shared: Some(Default::default()),
        ..bare(id)
    };
    assert_eq!(create(&[shared("v"), shared("v")]), taken);
    assert_eq!(check(shared("v"), &[shared("v")]), taken);
    assert_eq!(check(shared("v"), &[bare("v")]), taken);
    assert_eq!(check(shared("v"), &[shared("w")]), Ok(()));
}

#[test]
fn a_framework_shares_volumes_only_if_it_says_so() {
    use v1::framework_info::{Capability, capability};
    let mut framework = v1::FrameworkInfo {
        id: Some(v1::FrameworkId {
            value: "F".to_string(),
        }),
        ..Default::default()
    };
    let create = Create {
        volumes: vec![v1::Resource {
            shared: Some(Default::default()),
            ..volume("v")
        }],
    };
    let check = |framework: Option<&v1::FrameworkInfo>| {
        validate_create(&create, &Resources::new(), None, &[], framework)
    };
    assert_eq!(check(None), Ok(()));
    assert_eq!(
        check(Some(&framework)),
        refused(
            "Create volume operation for \
             'disk(allocated: *)(reservations: [(DYNAMIC,web)])[v:data]<SHARED>:1' has been \
             attempted by framework 'F' with no SHARED_RESOURCES capability"
        )
    );
    framework.capabilities.push(Capability {
        r#type: Some(capability::Type::SharedResources as i32),
    });
    assert_eq!(check(Some(&framework)), Ok(()));
}

#[test]
fn a_framework_creates_volumes_of_one_allocation() {
    let framework = v1::FrameworkInfo::default();
    let check = |volumes: Vec<v1::Resource>| {
        let create = Create { volumes };
        validate_create(&create, &Resources::new(), None, &[], Some(&framework))
    };
    assert_eq!(check(vec![volume("v"), volume("w")]), Ok(()));
    assert_eq!(
        check(vec![bare("v")]),
        refused("Invalid volume resources: The resources are not allocated to a role")
    );
    let mut other = volume("w");
    other.allocation_info.as_mut().unwrap().role = Some("web".to_string());
    assert_eq!(
        check(vec![volume("v"), other]),
        refused(
            "Invalid volume resources: The resources have multiple allocation roles ('web' and \
             '*') but only one allocation role is allowed"
        )
    );
}

#[test]
fn the_principal_of_a_volume_is_its_creator() {
    let check = |named: Option<&str>| {
        let volume = with_disk(|disk| {
            disk.persistence.as_mut().unwrap().principal = named.map(str::to_string);
        });
        let create = Create {
            volumes: vec![volume],
        };
        validate_create(&create, &Resources::new(), Some("p"), &[], None)
    };
    assert_eq!(check(Some("p")), Ok(()));
    assert_eq!(
        check(None),
        refused(
            "Create volume operation attempted by principal 'p', but there is a volume in the \
             operation with no principal set in 'disk.persistence'"
        )
    );
    assert_eq!(
        check(Some("q")),
        refused(
            "Create volume operation attempted by authenticated principal 'p', which does not \
             match a volume in the operation with principal 'q' set in 'disk.persistence'"
        )
    );
}

#[test]
fn agents_must_understand_the_volume() {
    let check = |roles: &[&str], capabilities: &[&str]| {
        let base = bare("v").reservations.remove(0);
        let volume = changed(|volume| {
            volume.reservations = roles
                .iter()
                .map(|role| v1::resource::ReservationInfo {
                    role: Some(role.to_string()),
                    ..base.clone()
                })
                .collect();
        });
        let create = Create {
            volumes: vec![volume],
        };
        let capabilities = strings(capabilities);
        validate_create(&create, &Resources::new(), None, &capabilities, None)
    };
    assert_eq!(
        check(&["a/b"], &["RESERVATION_REFINEMENT"]),
        refused(
            "Volume disk(reservations: [(DYNAMIC,a/b)])[v:data]:1 with reservation for \
             hierarchical role 'a/b' cannot be created on an agent without HIERARCHICAL_ROLE \
             capability"
        )
    );
    assert_eq!(
        check(&["a", "a/b"], &["HIERARCHICAL_ROLE"]),
        refused(
            "Volume disk(reservations: [(DYNAMIC,a),(DYNAMIC,a/b)])[v:data]:1 with reservation \
             refinement cannot be created on an agent without RESERVATION_REFINEMENT capability"
        )
    );
    let both = ["HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"];
    assert_eq!(check(&["a", "a/b"], &both), Ok(()));
}

#[test]
fn destroy_needs_volumes_that_are_there() {
    let missing = refused("Persistent volumes not found");
    assert_eq!(destroy(&bare("v"), &[bare("v"), disk(3.0)]), Ok(()));
    assert_eq!(destroy(&volume("v"), &[bare("v")]), Ok(()));
    assert_eq!(destroy(&shared(), &[shared()]), Ok(()));
    assert_eq!(destroy(&bare("v"), &[bare("w")]), missing);
    assert_eq!(destroy(&bare("v"), &[shared()]), missing);
    let larger = changed(|volume| volume.scalar = Some(v1::value::Scalar { value: 2.0 }));
    assert_eq!(destroy(&bare("v"), &[larger]), missing);
    // What a resource provider has is not among what the agent checkpoints.
    assert_eq!(destroy(&provided(), &[]), Ok(()));
    assert_eq!(
        destroy(&disk(1.0), &[disk(1.0)]),
        refused(
            "Not a persistent volume: Resource disk(reservations: [(DYNAMIC,web)]):1 does not \
             have DiskInfo"
        )
    );
}

#[test]
fn volumes_in_use_are_not_destroyed() {
    let operation = Destroy {
        volumes: vec![shared()],
    };
    let present = bag(&[shared()]);
    let check = |used: &[Resources]| validate_destroy(&operation, &present, used);
    let in_use = refused("Persistent volumes in use");
    let cpus = bag(&[scalar("cpus", 1.0)]);
    let allocated = bag(&[shared()]).allocated_to("web");
    assert_eq!(check(&[cpus.clone(), bag(&[bare("w")])]), Ok(()));
    assert_eq!(check(&[cpus.clone(), bag(&[shared()])]), in_use);
    assert_eq!(check(&[allocated, cpus]), in_use);
}

#[test]
fn grow_has_its_rules() {
    let resize = strings(&["RESIZE_VOLUME"]);
    let check = |volume: v1::Resource, addition: v1::Resource| {
        validate_grow_volume(&GrowVolume { volume, addition }, &resize)
    };
    assert_eq!(check(bare("v"), disk(2.0)), Ok(()));
    let incompatible =
        "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields";
    let cases = [
        (
            disk(-1.0),
            disk(2.0),
            "Invalid resource in the 'GrowVolume.volume' field: Invalid scalar resource: value <= \
             0",
        ),
        (
            bare("v"),
            disk(-1.0),
            "Invalid resource in the 'GrowVolume.addition' field: Invalid scalar resource: value \
             <= 0",
        ),
        (
            bare("v"),
            disk(0.0),
            "The size of 'GrowVolume.addition' field must be greater than zero",
        ),
        (
            provided(),
            disk(2.0),
            "Growing a volume from a resource provider is not supported",
        ),
        (
            disk(1.0),
            disk(2.0),
            "Invalid persistent volume in the 'GrowVolume.volume' field: Resource \
             disk(reservations: [(DYNAMIC,web)]):1 does not have DiskInfo",
        ),
        (
            shared(),
            disk(2.0),
            "Growing a shared persistent volume is not supported",
        ),
        (bare("v"), scalar("disk", 2.0), incompatible),
        (volume("v"), disk(2.0), incompatible),
        (bare("v"), bare("w"), incompatible),
        (on_mount(), disk(2.0), incompatible),
        (
            on_mount(),
            {
                let mut mount = on_mount();
                mount.disk.as_mut().unwrap().persistence = None;
                mount.disk.as_mut().unwrap().volume = None;
                mount
            },
            incompatible,
        ),
    ];
    for (volume, addition, text) in cases {
        assert_eq!(check(volume, addition), refused(text));
    }
    let grow = GrowVolume {
        volume: bare("v"),
        addition: disk(2.0),
    };
    assert_eq!(
        validate_grow_volume(&grow, &[]),
        Err(format!(
            "Volume {TEXT} cannot be grown on an agent without RESIZE_VOLUME capability"
        ))
    );
}

#[test]
fn shrink_has_its_rules() {
    let resize = strings(&["RESIZE_VOLUME"]);
    let shrink = |volume: v1::Resource, by: f64| ShrinkVolume {
        volume,
        subtract: v1::value::Scalar { value: by },
    };
    let check = |volume, by| validate_shrink_volume(&shrink(volume, by), &resize);
    assert_eq!(check(bare("v"), 0.5), Ok(()));
    let zero = "Value of 'ShrinkVolume.subtract' must be greater than zero";
    let whole = "Value of 'ShrinkVolume.subtract' must be smaller than the size of \
                 'ShrinkVolume.volume'";
    let cases = [
        (
            disk(-1.0),
            0.5,
            "Invalid resource in the 'ShrinkVolume.volume' field: Invalid scalar resource: value \
             <= 0",
        ),
        (bare("v"), 0.0, zero),
        (bare("v"), -1.0, zero),
        (bare("v"), 0.0001, zero),
        (bare("v"), f64::NAN, zero),
        (bare("v"), 1.0, whole),
        (bare("v"), 2.0, whole),
        (
            provided(),
            0.5,
            "Shrinking a volume from a resource provider is not supported",
        ),
        (
            on_mount(),
            0.5,
            "Shrinking a volume on a MOUNT disk is not supported",
        ),
        (
            disk(1.0),
            0.5,
            "Invalid persistent volume in the 'ShrinkVolume.volume' field: Resource \
             disk(reservations: [(DYNAMIC,web)]):1 does not have DiskInfo",
        ),
        (
            shared(),
            0.5,
            "Shrinking a shared persistent volume is not supported",
        ),
    ];
    for (volume, by, text) in cases {
        assert_eq!(check(volume, by), refused(text));
    }
    assert_eq!(
        validate_shrink_volume(&shrink(bare("v"), 0.5), &strings(&["MULTI_ROLE"])),
        Err(format!(
            "Volume {TEXT} cannot be shrunk on an agent without RESIZE_VOLUME capability"
        ))
    );
}
