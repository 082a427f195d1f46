//! RESERVE and UNRESERVE, of frameworks and of operators.

use tepui_protocol::v1;
use v1::offer::operation::{Reserve, Unreserve};
use v1::resource::ReservationInfo;
use v1::resource::reservation_info::Type::{self, Dynamic, Static};

use super::fixtures::{scalar, volume};
use crate::validation::operation::{validate_reserve, validate_unreserve};

fn reservation(kind: Type, role: &str) -> ReservationInfo {
    ReservationInfo {
        role: Some(role.to_string()),
        r#type: Some(kind as i32),
        principal: Some("p".to_string()),
        labels: None,
    }
}

/// A cpu allocated to `web` and reserved for these roles by `p`.
fn reserved(roles: &[&str]) -> v1::Resource {
    let reserved = v1::Resource {
        reservations: roles
            .iter()
            .map(|role| reservation(Dynamic, role))
            .collect(),
        ..scalar("cpus", 1.0)
    };
    allocated(reserved, "web")
}

fn allocated(resource: v1::Resource, role: &str) -> v1::Resource {
    v1::Resource {
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some(role.to_string()),
        }),
        ..resource
    }
}

fn unallocated(resource: v1::Resource) -> v1::Resource {
    v1::Resource {
        allocation_info: None,
        ..resource
    }
}

fn provided(resource: v1::Resource, id: &str) -> v1::Resource {
    v1::Resource {
        provider_id: Some(v1::ResourceProviderId {
            value: id.to_string(),
        }),
        ..resource
    }
}

#[allow(deprecated)]
fn framework(roles: &[&str]) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability};
    v1::FrameworkInfo {
        roles: roles.iter().map(|role| role.to_string()).collect(),
        capabilities: vec![Capability {
            r#type: Some(capability::Type::MultiRole as i32),
        }],
        ..Default::default()
    }
}

fn capabilities() -> Vec<String> {
    ["HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"]
        .map(str::to_string)
        .to_vec()
}

/// As the framework of role `web` with principal `p`, on an agent that can do everything.
fn by_framework(resources: &[v1::Resource]) -> Result<(), String> {
    let reserve = Reserve {
        resources: resources.to_vec(),
        source: Vec::new(),
    };
    let framework = framework(&["web", "db"]);
    validate_reserve(&reserve, Some("p"), &capabilities(), Some(&framework))
}

fn by_operator(resources: &[v1::Resource], source: &[v1::Resource]) -> Result<(), String> {
    let reserve = Reserve {
        resources: resources.to_vec(),
        source: source.to_vec(),
    };
    validate_reserve(&reserve, Some("p"), &capabilities(), None)
}

fn unreserve(resources: &[v1::Resource]) -> Result<(), String> {
    validate_unreserve(&Unreserve {
        resources: resources.to_vec(),
    })
}

fn refused(text: &str) -> Result<(), String> {
    Err(text.to_string())
}

#[test]
fn a_framework_reserves_what_it_was_offered_for_its_role() {
    assert_eq!(by_framework(&[reserved(&["web"])]), Ok(()));
    let mut mem = reserved(&["web"]);
    mem.name = "mem".to_string();
    assert_eq!(by_framework(&[reserved(&["web"]), mem]), Ok(()));
}

#[test]
fn only_dynamic_reservations_are_made() {
    let mut fixed = reserved(&[]);
    fixed.reservations.push(reservation(Static, "web"));
    assert_eq!(
        by_framework(&[fixed]),
        refused(
            "Resource cpus(allocated: web)(reservations: [(STATIC,web,p)]):1 is not dynamically \
             reserved"
        )
    );
    assert_eq!(
        by_framework(&[reserved(&[])]),
        refused("Resource cpus(allocated: web):1 is not dynamically reserved")
    );
}

#[test]
fn the_form_of_the_resources_is_checked_too() {
    let star = "Resource 'cpus(allocated: web)(reservations: [(DYNAMIC,*,p)]):1' is invalid: \
                Invalid reservation: role \"*\" cannot be reserved";
    assert_eq!(
        by_framework(&[reserved(&["*"])]),
        Err(format!("Invalid resources: Invalid resources: {star}"))
    );
    assert_eq!(
        by_operator(&[unallocated(reserved(&["web"]))], &[reserved(&["*"])]),
        Err(format!("Invalid source: Invalid resources: {star}"))
    );
    let mut revocable = reserved(&["web"]);
    revocable.revocable = Some(Default::default());
    assert_eq!(
        by_framework(&[revocable]),
        refused(
            "Invalid resources: Invalid ReservationInfo: Dynamically reserved resource \
             cpus(allocated: web)(reservations: [(DYNAMIC,web,p)]){REV}:1 cannot be created from \
             revocable resources"
        )
    );
}

#[test]
fn the_principal_is_the_one_who_reserves() {
    let mut other = reserved(&["web"]);
    other.reservations[0].principal = Some("q".to_string());
    assert_eq!(
        by_framework(std::slice::from_ref(&other)),
        refused(
            "A reserve operation was attempted by authenticated principal 'p', which does not \
             match a reserved resource in the request with principal 'q'"
        )
    );
    let mut none = reserved(&["web"]);
    none.reservations[0].principal = None;
    assert_eq!(
        by_framework(&[none]),
        refused(
            "A reserve operation was attempted by principal 'p', but there is a reserved \
             resource in the request with no principal set"
        )
    );
    // Without a principal of one's own, any may be named.
    let reserve = Reserve {
        resources: vec![other],
        source: Vec::new(),
    };
    let framework = framework(&["web"]);
    assert_eq!(
        validate_reserve(&reserve, None, &[], Some(&framework)),
        Ok(())
    );
    // The reservations below are those of others.
    let mut refined = reserved(&["web", "web/x"]);
    refined.reservations[0].principal = Some("q".to_string());
    assert_eq!(by_operator(&[unallocated(refined)], &[]), Ok(()));
}

#[test]
fn the_roles_of_reservation_allocation_and_framework_agree() {
    let mut bare = reserved(&["web"]);
    bare.allocation_info = None;
    assert_eq!(
        by_framework(&[bare]),
        refused(
            "A reserve operation was attempted on unallocated resource \
             cpus(reservations: [(DYNAMIC,web,p)]):1, but frameworks can only perform \
             reservations on allocated resources"
        )
    );
    for role in ["db", "web/x"] {
        assert_eq!(
            by_framework(&[reserved(&[role])]),
            Err(format!(
                "A reserve operation was attempted for a resource with role '{role}', but the \
                 resource was allocated to role 'web'"
            ))
        );
    }
    assert_eq!(
        by_framework(&[allocated(reserved(&["x"]), "x")]),
        refused(
            "A reserve operation was attempted for a resource allocated to role 'x', but the \
             framework only has roles '{ db, web }'"
        )
    );
    assert_eq!(
        by_framework(&[reserved(&["web"]), allocated(reserved(&["db"]), "db")]),
        refused(
            "Invalid reservation resources: The resources have multiple allocation roles ('db' \
             and 'web') but only one allocation role is allowed"
        )
    );
}

#[test]
fn agents_must_understand_the_reservation() {
    let check = |roles: &[&str], capabilities: &[&str]| {
        let capabilities: Vec<String> = capabilities.iter().map(|c| c.to_string()).collect();
        let reserve = Reserve {
            resources: vec![unallocated(reserved(roles))],
            source: Vec::new(),
        };
        validate_reserve(&reserve, Some("p"), &capabilities, None)
    };
    assert_eq!(check(&["web"], &[]), Ok(()));
    assert_eq!(
        check(&["web/x"], &["RESERVATION_REFINEMENT"]),
        refused(
            "Resource cpus(reservations: [(DYNAMIC,web/x,p)]):1 with reservation for hierarchical \
             role 'web/x' cannot be reserved on an agent without HIERARCHICAL_ROLE capability"
        )
    );
    assert_eq!(check(&["web/x"], &["HIERARCHICAL_ROLE"]), Ok(()));
    assert_eq!(
        check(&["web", "web/x"], &["HIERARCHICAL_ROLE"]),
        refused(
            "Resource cpus(reservations: [(DYNAMIC,web,p),(DYNAMIC,web/x,p)]):1 with reservation \
             refinement cannot be reserved on an agent without RESERVATION_REFINEMENT capability"
        )
    );
}

#[test]
fn operators_reserve_what_is_not_allocated() {
    assert_eq!(by_operator(&[unallocated(reserved(&["web"]))], &[]), Ok(()));
    assert_eq!(
        by_operator(&[reserved(&["web"])], &[]),
        refused(
            "A reserve operation was attempted with an allocated resource, but the operator API \
             only allows reservations to be made to unallocated resources"
        )
    );
}

#[test]
fn one_operation_is_for_one_provider() {
    let cases: [(&[v1::Resource], &str); 3] = [
        (&[], "The resources have multiple resource providers: "),
        (
            &[reserved(&["web"]), provided(reserved(&["web"]), "x")],
            "Some resources have a resource provider and some do not",
        ),
        (
            &[
                provided(reserved(&["web"]), "y"),
                provided(reserved(&["web"]), "x"),
            ],
            "The resources have multiple resource providers: x, y",
        ),
    ];
    for (resources, text) in cases {
        let wanted = Err(format!("Invalid resources: {text}"));
        assert_eq!(by_framework(resources), wanted);
        assert_eq!(unreserve(resources), wanted);
    }
    assert_eq!(by_framework(&[provided(reserved(&["web"]), "x")]), Ok(()));
}

#[test]
fn operators_may_replace_reservations() {
    let stack = |roles: &[&str]| unallocated(reserved(roles));
    let change = |target: &[v1::Resource], source: &[v1::Resource]| by_operator(target, source);
    assert_eq!(
        change(&[stack(&["web", "web/x"])], &[stack(&["web", "web/y"])]),
        Ok(())
    );
    assert_eq!(change(&[stack(&["web", "web/x"])], &[stack(&[])]), Ok(()));
    let mut more = stack(&["web"]);
    more.scalar = Some(v1::value::Scalar { value: 2.0 });
    assert_eq!(
        change(&[stack(&["db"])], &[more]),
        refused(
            "Source and target resources should refer to identical resource quantities: cpus:2 \
             vs. cpus:1"
        )
    );
    assert_eq!(
        change(&[], &[stack(&["web"])]),
        refused("Invalid resources: Resource cannot be empty")
    );
    let mixed = [stack(&["web"]), stack(&["db"])];
    let same = [stack(&["web"]), stack(&["web"])];
    let text = |result: Result<(), String>| result.unwrap_err();
    let source = text(change(&same, &mixed));
    let start = "Invalid source: Mixed reservations are not supported[{";
    assert!(source.starts_with(start), "{source}");
    assert!(source.contains(r#""role":"db""#), "{source}");
    let target = text(change(&mixed, &same));
    assert!(
        target.starts_with("Invalid resources: Mixed reservations are not supported[{"),
        "{target}"
    );
}

#[test]
#[allow(deprecated)]
fn the_old_form_is_understood() {
    let old = v1::Resource {
        role: Some("web".to_string()),
        reservation: Some(ReservationInfo {
            principal: Some("p".to_string()),
            ..Default::default()
        }),
        ..allocated(scalar("cpus", 1.0), "web")
    };
    assert_eq!(by_framework(std::slice::from_ref(&old)), Ok(()));
    assert_eq!(unreserve(std::slice::from_ref(&old)), Ok(()));
    let fixed = v1::Resource {
        reservation: None,
        ..old
    };
    assert_eq!(
        unreserve(&[fixed]),
        refused(
            "Resource cpus(allocated: web)(reservations: [(STATIC,web)]):1 is not dynamically \
             reserved"
        )
    );
}

#[test]
fn unreserve_is_for_dynamic_reservations_without_volumes() {
    assert_eq!(unreserve(&[reserved(&["web"])]), Ok(()));
    assert_eq!(unreserve(&[unallocated(reserved(&["a", "a/b"]))]), Ok(()));
    assert_eq!(
        unreserve(&[unallocated(reserved(&[]))]),
        refused("Resource cpus:1 is not dynamically reserved")
    );
    assert_eq!(
        unreserve(&[unallocated(volume("v"))]),
        refused(
            "A dynamically reserved persistent volume \
             disk(reservations: [(DYNAMIC,web)])[v:data]:1 cannot be unreserved directly. Please \
             destroy the persistent volume first then unreserve the resource"
        )
    );
}
