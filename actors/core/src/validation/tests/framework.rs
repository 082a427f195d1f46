//! Subscriptions and their changes.

use std::collections::BTreeSet;

use tepui_protocol::v1;
use v1::framework_info::capability::Type as Capability;

use crate::validation::framework::{
    SubscriptionOptions, resubscription, roles_of, subscription, update, validate,
};
use crate::validation::re2::Limits;

fn info() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "nobody".to_string(),
        name: "f".to_string(),
        ..Default::default()
    }
}

fn multi_role(roles: &[&str]) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        roles: roles.iter().map(|role| role.to_string()).collect(),
        capabilities: vec![v1::framework_info::Capability {
            r#type: Some(Capability::MultiRole as i32),
        }],
        ..info()
    }
}

#[allow(deprecated)]
fn single_role(role: &str) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        role: Some(role.to_string()),
        ..info()
    }
}

fn options() -> SubscriptionOptions<'static> {
    SubscriptionOptions {
        role_whitelist: None,
        root_submissions: true,
        completed: false,
        constraint_limits: Limits::default(),
    }
}

fn refused(info: &v1::FrameworkInfo, options: &SubscriptionOptions<'_>) -> String {
    subscription(info, &[], None, options).unwrap_err()
}

#[test]
fn roles_are_in_the_field_of_the_capability() {
    #[allow(deprecated)]
    let both = v1::FrameworkInfo {
        role: Some("a".to_string()),
        ..multi_role(&["a"])
    };
    assert_eq!(
        validate(&both),
        Err(
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
                .to_string()
        )
    );
    let incapable = v1::FrameworkInfo {
        capabilities: Vec::new(),
        ..multi_role(&["a"])
    };
    assert_eq!(
        validate(&incapable),
        Err(
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
                .to_string()
        )
    );
    for good in [
        info(),
        single_role("a/b"),
        multi_role(&[]),
        multi_role(&["*", "a"]),
    ] {
        assert_eq!(validate(&good), Ok(()));
    }
}

#[test]
fn role_names_are_valid_and_distinct() {
    assert_eq!(
        validate(&single_role("a b")),
        Err(
            "'FrameworkInfo.role' is not a valid role: Role component 'a b' is invalid because it \
             contains backspace or whitespace"
                .to_string()
        )
    );
    assert_eq!(
        validate(&single_role("")),
        Err(
            "'FrameworkInfo.role' is not a valid role: Role names cannot be the empty string"
                .to_string()
        )
    );
    assert_eq!(
        validate(&multi_role(&["a", "/b"])),
        Err(
            "'FrameworkInfo.roles' contains invalid role: Role '/b' cannot start with a slash"
                .to_string()
        )
    );
    assert_eq!(
        validate(&multi_role(&["b", "a", "a", "b", "c"])),
        Err("'FrameworkInfo.roles' contains duplicate items: { a, b }".to_string())
    );
}

#[test]
fn an_id_may_be_empty_but_not_unsafe() {
    for (id, wanted) in [
        ("", Ok(())),
        ("x", Ok(())),
        ("..", Err("'..' is disallowed".to_string())),
    ] {
        let info = v1::FrameworkInfo {
            id: Some(v1::FrameworkId {
                value: id.to_string(),
            }),
            ..info()
        };
        assert_eq!(validate(&info), wanted);
    }
}

/// Names and amounts.
type Quantities = &'static [(&'static str, f64)];

#[test]
fn offer_filters_hold_positive_quantities() {
    let with = |quantities: &[(&str, f64)]| {
        let quantities = quantities.iter();
        let filters = v1::OfferFilters {
            min_allocatable_resources: Some(v1::offer_filters::MinAllocatableResources {
                quantities: vec![v1::offer_filters::ResourceQuantities {
                    quantities: quantities
                        .map(|(name, value)| {
                            (name.to_string(), v1::value::Scalar { value: *value })
                        })
                        .collect(),
                }],
            }),
        };
        v1::FrameworkInfo {
            offer_filters: [("*".to_string(), filters)].into(),
            ..info()
        }
    };
    let cases: [(Quantities, Result<(), &str>); 7] = [
        (&[("cpus", 1.0), ("mem", 0.0)], Ok(())),
        (
            &[],
            Err("Resource quantities must contain at least one quantity"),
        ),
        (
            &[("cpus", -1.0)],
            Err("Invalid resource quantity for 'cpus': Negative values not supported"),
        ),
        (
            &[("cpus", f64::NAN)],
            Err("Invalid resource quantity for 'cpus': NaN not supported"),
        ),
        (
            &[("cpus", f64::INFINITY)],
            Err("Invalid resource quantity for 'cpus': Infinite values not supported"),
        ),
        (
            &[("cpus", f64::NEG_INFINITY)],
            Err("Invalid resource quantity for 'cpus': Infinite values not supported"),
        ),
        (
            &[("cpus", 1e-310)],
            Err("Invalid resource quantity for 'cpus': Subnormal values not supported"),
        ),
    ];
    for (quantities, wanted) in cases {
        assert_eq!(validate(&with(quantities)), wanted.map_err(str::to_string));
    }
}

#[test]
fn a_failover_timeout_is_a_duration() {
    let text = |number: &str| {
        Err(format!(
            "The framework failover_timeout ({number}) is invalid"
        ))
    };
    for (seconds, wanted) in [
        (0.0, Ok(())),
        (604_800.0, Ok(())),
        (-1.0, Ok(())),
        (1e30, text("1e+30")),
        (-1e10, text("-1e+10")),
        (f64::NAN, text("nan")),
        (f64::INFINITY, text("inf")),
    ] {
        let info = v1::FrameworkInfo {
            failover_timeout: Some(seconds),
            ..info()
        };
        assert_eq!(validate(&info), wanted);
    }
}

#[test]
fn the_whitelist_admits_its_roles_and_the_default_one() {
    let whitelist = BTreeSet::from(["a".to_string()]);
    let options = SubscriptionOptions {
        role_whitelist: Some(&whitelist),
        ..options()
    };
    for good in [info(), single_role("a"), multi_role(&["a", "*"])] {
        assert!(subscription(&good, &[], None, &options).is_ok());
    }
    assert_eq!(
        refused(&multi_role(&["c", "a", "b"]), &options),
        "Roles { b, c } are not present in the master's --roles"
    );
    assert_eq!(
        refused(&single_role("b"), &options),
        "Roles { b } are not present in the master's --roles"
    );
}

#[test]
fn root_and_completed_frameworks_are_refused_on_request() {
    let root = v1::FrameworkInfo {
        user: "root".to_string(),
        ..info()
    };
    assert!(subscription(&root, &[], None, &options()).is_ok());
    let unprivileged = SubscriptionOptions {
        root_submissions: false,
        ..options()
    };
    assert!(subscription(&info(), &[], None, &unprivileged).is_ok());
    assert_eq!(
        refused(&root, &unprivileged),
        "User 'root' is not allowed to run frameworks without --root_submissions set"
    );
    let completed = SubscriptionOptions {
        completed: true,
        ..options()
    };
    assert_eq!(refused(&info(), &completed), "Framework has been removed");
}

#[test]
fn a_subscription_tells_its_roles_and_suppressed_roles() {
    let suppressed = ["b".to_string(), "b".to_string()];
    let both = multi_role(&["b", "a"]);
    let subscription = subscription(&both, &suppressed, None, &options()).unwrap();
    let texts =
        |roles: &[crate::ids::Role]| roles.iter().map(|r| r.to_string()).collect::<Vec<_>>();
    assert_eq!(texts(&subscription.roles), ["a", "b"]);
    assert_eq!(texts(&subscription.suppressed), ["b"]);
    assert_eq!(subscription.constraints, None);
    assert_eq!(roles_of(&single_role("x")), BTreeSet::from(["x"]));
    assert_eq!(roles_of(&info()), BTreeSet::from(["*"]));
}

#[test]
fn suppressed_and_constrained_roles_are_subscribed_ones() {
    let suppressed = ["b".to_string(), "c".to_string()];
    assert_eq!(
        subscription(&single_role("a"), &suppressed, None, &options()).unwrap_err(),
        "Suppressed roles { b, c } are not contained in the set of roles"
    );
    let constraints = v1::scheduler::OfferConstraints {
        role_constraints: [("b".to_string(), Default::default())].into(),
    };
    assert_eq!(
        subscription(&single_role("a"), &[], Some(&constraints), &options()).unwrap_err(),
        "Offer constraints specify `role_constraints` for a role 'b'not contained in the set of \
         roles"
    );
    assert_eq!(
        subscription(&single_role("b"), &[], Some(&constraints), &options()).unwrap_err(),
        "Offer constraints are not valid: 'OfferConstraints::role_constraints' has an empty \
         'RoleConstraints::groups' for role b"
    );
}

#[test]
fn a_resubscription_keeps_user_and_checkpoint_but_not_another_principal() {
    let old = info();
    let mut new = v1::FrameworkInfo {
        user: "root".to_string(),
        checkpoint: Some(true),
        name: "new".to_string(),
        ..info()
    };
    assert_eq!(resubscription(&old, &mut new), Ok(()));
    assert_eq!(new.user, "nobody");
    assert!(!new.checkpoint());
    assert_eq!(new.name, "new");
    let mut other = v1::FrameworkInfo {
        principal: Some("p".to_string()),
        ..info()
    };
    assert_eq!(
        resubscription(&old, &mut other),
        Err("Changing framework's principal is not allowed.".to_string())
    );
}

#[test]
fn an_update_says_in_which_part_it_is_wrong() {
    let old = info();
    let principal = v1::FrameworkInfo {
        principal: Some("p".to_string()),
        ..info()
    };
    let user = v1::FrameworkInfo {
        user: "root".to_string(),
        ..info()
    };
    let checkpoint = v1::FrameworkInfo {
        checkpoint: Some(true),
        ..info()
    };
    let cases = [
        (
            single_role("-"),
            "Supplied FrameworkInfo is not valid: 'FrameworkInfo.role' is not a valid role: Role \
             component '-' is invalid because it starts with a dash",
        ),
        (
            principal,
            "FrameworkInfo update is not valid: Changing framework's principal is not allowed.",
        ),
        (
            user,
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; \
             attempted to update from 'nobody' to 'root'",
        ),
        (
            checkpoint,
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.checkpoint' is \
             unsupported; attempted to update from 'false' to 'true'",
        ),
    ];
    for (new, text) in cases {
        assert_eq!(update(&old, &new, &[], None, &options()).unwrap_err(), text);
    }
    let suppressed = ["x".to_string()];
    assert_eq!(
        update(&old, &info(), &suppressed, None, &options()).unwrap_err(),
        "'UpdateFramework' call is not valid: Suppressed roles { x } are not contained in the set \
         of roles"
    );
    assert!(update(&old, &multi_role(&["a"]), &[], None, &options()).is_ok());
}
