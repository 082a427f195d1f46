//! Offers that are refused for every reason, and what is taken from those that are not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::*;
use super::*;
use crate::marathon::ports::PortsLacking;
use crate::resources::tests::strategies;
use crate::time::Mono;

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono(0),
        wall: Wall(seconds * 1_000_000),
    }
}

fn bag(text: &str) -> Resources {
    Resources::parse(text, "*")
        .expect("resources")
        .allocated_to("web")
}

fn reasons(app: &App, offer: &v1::Offer) -> Vec<Reason> {
    try_match(app, offer).map_or_else(|refusal| refusal.reasons(), |_| Vec::new())
}

#[test]
fn an_offer_that_has_all_is_matched() {
    let app = app(json!({
        "cpus": 0.5, "disk": 10.0,
        "portDefinitions": [{"port": 10000, "protocol": "tcp"}],
    }));
    let offer = offer("cpus:2;mem:1024;disk:100;ports:[31000-31000]", "rack:r1");
    let found = try_match(&app, &offer).expect("a match");
    assert_eq!(
        found.resources,
        bag("cpus:0.5;mem:128;disk:10;ports:[31000-31000]")
    );
    assert!(found.executor_resources.is_empty());
    assert_eq!(found.ports[0].host, Some(31000));
    assert_eq!(found.place.field("rack"), Some("r1"));
}

#[test]
fn every_reason_is_given_alone() {
    use Reason::*;
    let enough = "cpus:2;mem:1024;disk:100;ports:[31000-31001]";
    let cases: &[(Value, &str, Reason)] = &[
        (json!({"role": "db"}), enough, UnfulfilledRole),
        (
            json!({"constraints": [["rack", "IS", "r2"]]}),
            enough,
            UnfulfilledConstraint,
        ),
        (
            json!({"container": {"type": "MESOS", "volumes": [{"containerPath": "data",
                "persistent": {"type": "root", "size": 5}, "mode": "RW"}]}}),
            enough,
            NoCorrespondingReservationFound,
        ),
        (json!({"cpus": 2.001}), enough, InsufficientCpus),
        (json!({"mem": 1024.5}), enough, InsufficientMemory),
        (json!({"disk": 101.0}), enough, InsufficientDisk),
        (json!({"gpus": 1}), enough, InsufficientGpus),
        (
            json!({"requirePorts": true, "portDefinitions": [{"port": 80, "protocol": "tcp"}]}),
            enough,
            InsufficientPorts,
        ),
        (json!({}), "cpus:2;mem:1024;gpus:1", DeclinedScarceResources),
    ];
    for (changes, resources, reason) in cases {
        let found = reasons(&app(changes.clone()), &offer(resources, "rack:r1"));
        assert_eq!(found, [*reason], "{changes}");
    }
}

#[test]
fn all_reasons_come_in_marathons_order_with_figures() {
    let app = app(json!({
        "cpus": 2.0, "mem": 64.0, "disk": 1.0, "constraints": [["rack", "UNLIKE", "r.*"]],
        "portDefinitions": [{"port": 0, "protocol": "tcp"}],
    }));
    let offer = offer("cpus:0.5;gpus:2", "rack:r1");
    let refusal = try_match(&app, &offer).expect_err("much is lacking");
    let texts: Vec<String> = refusal.problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        texts,
        [
            "rack is r1, which matches r.*",
            "wanted 2 cpus, offered 0.5",
            "wanted 64 mem, offered 0",
            "wanted 1 disk, offered 0",
            "wanted 1 random port, offered 0",
            "the agent has 2 gpus, which the app does not need",
        ]
    );
    assert_eq!(
        refusal.problems[1].unblock(),
        "free 1.5 more cpus on the agent, or ask for at most 0.5"
    );
    let reasons = refusal.reasons();
    assert!(reasons.is_sorted());
    assert_eq!(reasons.len(), 6);
    assert!(Reason::ALL.is_sorted());
    assert_eq!(Reason::ALL[9].as_str(), "DeclinedScarceResources");
    assert!(
        refusal
            .problems
            .contains(&Problem::Ports(PortsLacking::Any {
                wanted: 1,
                offered: 0,
            }))
    );
}

#[test]
fn roles_decide_which_resources_are_used() {
    let mixed = "cpus:1;cpus(web):1;mem:1024";
    // Accepted roles of the app, behaviour without them, CPUs wanted, whether they are found.
    let cases: &[(Value, DefaultRoles, f64, bool)] = &[
        (Value::Null, DefaultRoles::Any, 2.0, true),
        (Value::Null, DefaultRoles::Unreserved, 1.0, true),
        (Value::Null, DefaultRoles::Unreserved, 1.5, false),
        (Value::Null, DefaultRoles::Reserved, 1.0, false),
        (json!(["*"]), DefaultRoles::Any, 1.5, false),
        (json!(["*", "web"]), DefaultRoles::Unreserved, 2.0, true),
    ];
    for (accepted, default_roles, cpus, found) in cases {
        let app = app(json!({"cpus": cpus, "acceptedResourceRoles": accepted}));
        let settings = MatchSettings {
            default_roles: *default_roles,
            ..MatchSettings::default()
        };
        let answer = try_with(&app, &offer(mixed, ""), &settings, at(0));
        assert_eq!(
            answer.is_ok(),
            *found,
            "{accepted} {default_roles:?} {cpus}"
        );
    }
    let own = app(json!({"acceptedResourceRoles": ["web"]}));
    let refusal = try_match(&own, &offer("cpus:9;mem:999", "")).expect_err("none is reserved");
    assert_eq!(refusal.problems[0].to_string(), "nothing left for role web");
    assert_eq!(refusal.reasons()[0], Reason::UnfulfilledRole);
}

#[test]
fn reserved_resources_are_used_first() {
    let app = app(json!({"cpus": 1.5}));
    let offer = offer("cpus:4;mem:1024;cpus(web):1;mem(web):64", "");
    let found = try_match(&app, &offer).expect("a match");
    assert_eq!(
        found.resources,
        bag("cpus(web):1;cpus:0.5;mem(web):64;mem:64")
    );
}

#[test]
fn volumes_and_what_is_kept_for_residents_are_left_alone() {
    let mut with_label = offer("cpus:1;mem:1024", "");
    let label = v1::Label {
        key: "marathon_task_id".into(),
        value: Some("t".into()),
    };
    with_label.resources[0].role = None;
    with_label.resources[0].reservations = vec![v1::resource::ReservationInfo {
        role: Some("web".into()),
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        labels: Some(v1::Labels {
            labels: vec![label],
        }),
        ..Default::default()
    }];
    assert_eq!(
        reasons(&app(json!({})), &with_label),
        [Reason::InsufficientCpus]
    );
    with_label.resources[0].reservations[0].labels = None;
    assert!(reasons(&app(json!({})), &with_label).is_empty());
    let mut revocable = offer("cpus:1;mem:1024", "");
    revocable.resources[0].revocable = Some(Default::default());
    assert_eq!(
        reasons(&app(json!({})), &revocable),
        [Reason::InsufficientCpus]
    );
}

#[test]
fn one_offer_carries_several_launches_until_it_is_used_up() {
    let app = app(json!({
        "cpus": 1.0, "instances": 9,
        "portDefinitions": [{"port": 0, "protocol": "tcp"}],
    }));
    let mut offer = OpenOffer::read(&offer("cpus:3.5;mem:1024;ports:[1-9]", "")).expect("an offer");
    let (rules, spread) = (Rules::default(), Spread::default());
    let settings = MatchSettings::default();
    let request = MatchRequest {
        app: &app,
        rules: &rules,
        spread: &spread,
        settings: &settings,
        now: at(0),
    };
    let mut random = random();
    let mut ports = Vec::new();
    let refusal = loop {
        match match_offer(&offer, &request, &mut random) {
            Ok(found) => {
                offer.take(&found);
                ports.extend(found.ports.iter().filter_map(|port| port.host));
            }
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(offer.launches, 3);
    assert_eq!(refusal.reasons(), [Reason::InsufficientCpus]);
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    assert_eq!(offer.remaining.scalar_milli("cpus"), 500);
}

#[test]
fn custom_executors_need_resources_of_their_own() {
    let changes = |executor: &str| {
        json!({
            "cpus": 1.0, "mem": 64.0, "executor": executor,
            "executorResources": {"cpus": 0.5, "mem": 32.0, "disk": 0.0},
        })
    };
    let custom = app(changes("/opt/run"));
    let found = try_match(&custom, &offer("cpus(web):1.2;cpus:1;mem:96", "")).expect("a match");
    assert_eq!(found.resources, bag("cpus(web):1;mem:64"));
    assert_eq!(
        found.executor_resources,
        bag("cpus(web):0.2;cpus:0.3;mem:32")
    );
    assert_eq!(
        found.consumed(),
        bag("cpus(web):1.2;cpus:0.3;mem:96"),
        "both together"
    );
    let refusal = try_match(&custom, &offer("cpus:1;mem:96", "")).expect_err("too few cpus");
    assert_eq!(
        refusal.problems[0].to_string(),
        "wanted 1.5 cpus, offered 1"
    );
    for plain in ["", "//cmd"] {
        let found = try_match(&app(changes(plain)), &offer("cpus:1;mem:64", ""));
        assert!(found.expect("a match").executor_resources.is_empty());
    }
}

#[test]
fn agents_under_maintenance_are_left_alone() {
    let mut planned = offer("cpus:2;mem:1024", "");
    let mut window = v1::Unavailability {
        start: v1::TimeInfo {
            nanoseconds: 1000 * 1_000_000_000,
        },
        duration: Some(v1::DurationInfo {
            nanoseconds: 100 * 1_000_000_000,
        }),
    };
    planned.unavailability = Some(window);
    let settings = |draining| MatchSettings {
        draining: Duration::from_secs(draining),
        ..MatchSettings::default()
    };
    // Now, seconds of draining, whether the agent may be used.
    for (now, draining, usable) in [
        (999, 0, true),
        (1000, 0, false),
        (1099, 0, false),
        (1100, 0, true),
        (939, 60, true),
        (940, 60, false),
    ] {
        let answer = try_with(&app(json!({})), &planned, &settings(draining), at(now));
        assert_eq!(answer.is_ok(), usable, "at {now} with {draining}");
    }
    let refusal = try_with(&app(json!({})), &planned, &settings(60), at(950));
    let problem = &refusal.expect_err("it drains").problems[0];
    assert_eq!(
        problem.to_string(),
        "maintenance of the agent begins in 50 s and lasts 100 s"
    );
    assert!(problem.unblock().starts_with("wait 150 s"));
    let off = MatchSettings {
        maintenance_mode: false,
        ..settings(0)
    };
    assert!(try_with(&app(json!({})), &planned, &off, at(1000)).is_ok());
    window.duration = None;
    planned.unavailability = Some(window);
    assert!(try_with(&app(json!({})), &planned, &settings(0), at(1 << 30)).is_err());
}

#[test]
fn gpus_are_kept_for_those_who_need_them() {
    let with_gpus = offer("cpus:2;mem:1024;gpus:1", "");
    let free = MatchSettings {
        gpu_scheduling: GpuScheduling::Unrestricted,
        ..MatchSettings::default()
    };
    let label = |value: &str| json!({"labels": {"GPU_SCHEDULING_BEHAVIOR": value}});
    for (changes, settings, usable) in [
        (json!({}), MatchSettings::default(), false),
        (json!({"gpus": 1}), MatchSettings::default(), true),
        (json!({}), free.clone(), true),
        (label("unrestricted"), MatchSettings::default(), true),
        (label("restricted"), free.clone(), false),
        (label("whatever"), free, true),
    ] {
        let answer = try_with(&app(changes.clone()), &with_gpus, &settings, at(0));
        assert_eq!(answer.is_ok(), usable, "{changes} {settings:?}");
    }
}

#[test]
fn other_regions_need_a_constraint() {
    let abroad = within(offer("cpus:2;mem:1024", ""), "eu", "eu-1");
    let home = |region: Option<&str>| MatchSettings {
        local_region: region.map(str::to_owned),
        ..MatchSettings::default()
    };
    let zoned = json!({"constraints": [["@zone", "IS", "eu-1"]]});
    for (changes, region, usable) in [
        (json!({}), Some("eu"), true),
        (json!({}), Some("us"), false),
        (json!({}), None, true),
        (zoned, Some("us"), true),
        (
            json!({"constraints": [["hostname", "UNIQUE"]]}),
            Some("us"),
            false,
        ),
    ] {
        let answer = try_with(&app(changes.clone()), &abroad, &home(region), at(0));
        assert_eq!(answer.is_ok(), usable, "{changes} at home in {region:?}");
    }
    let refusal = try_with(&app(json!({})), &abroad, &home(Some("us")), at(0));
    let problem = &refusal.expect_err("abroad").problems[0];
    assert_eq!(
        problem.to_string(),
        "wanted the local region us, offered eu"
    );
    assert_eq!(
        problem.unblock(),
        "add the constraint [\"@region\", \"IS\", \"eu\"]"
    );
}

#[test]
fn ten_thousand_offers_spread_ten_thousand_instances() {
    let app = app(json!({"instances": 10_000, "constraints": [["hostname", "GROUP_BY", "10000"]]}));
    let rules = Rules::of(&app);
    let mut spread = Spread::new(&app.constraints);
    let settings = MatchSettings::default();
    let mut random = random();
    for number in 0..10_000 {
        let mut one = offer("cpus:2;mem:1024", "");
        one.hostname = format!("h{number}");
        let mut open = OpenOffer::read(&one).expect("an offer");
        let request = MatchRequest {
            app: &app,
            rules: &rules,
            spread: &spread,
            settings: &settings,
            now: at(0),
        };
        let found = match_offer(&open, &request, &mut random).expect("a host of its own");
        open.take(&found);
        spread.add(&found.place);
        // What a decision looks at does not grow with what has been placed.
        assert_eq!(
            spread.counts("hostname").map(|counts| counts.steps()),
            Some(1)
        );
    }
}

fn some_app() -> impl Strategy<Value = App> {
    let amount = || prop_oneof![Just(0.0), 0.0..9.0, -1.0..1e9];
    let amounts = (amount(), amount(), amount(), 0..3_u32);
    let ports = prop::collection::vec(0..40_u16, 0..4);
    let constraint = prop_oneof![
        Just(json!(["hostname", "UNIQUE"])),
        Just(json!(["rack", "GROUP_BY", "3"])),
        Just(json!(["rack", "LIKE", "("])),
        Just(json!(["@zone", "MAX_PER", "1"])),
    ];
    let constraints = prop::collection::vec(constraint, 0..2);
    let roles = prop_oneof![
        Just(json!(null)),
        Just(json!(["*"])),
        Just(json!(["a", "*", "a"]))
    ];
    let role = prop_oneof![Just("a"), Just("a/b"), Just("*")];
    let rest = (
        roles,
        role,
        any::<bool>(),
        prop_oneof![Just(""), Just("/run")],
    );
    (amounts, ports, constraints, rest).prop_map(|(amounts, ports, constraints, rest)| {
        let (cpus, mem, disk, gpus) = amounts;
        let (roles, role, require, executor) = rest;
        let ports: Vec<Value> = ports
            .into_iter()
            .map(|port| json!({"port": port, "protocol": "tcp"}))
            .collect();
        app(json!({
            "cpus": cpus, "mem": mem, "disk": disk, "gpus": gpus, "portDefinitions": ports,
            "constraints": constraints, "acceptedResourceRoles": roles, "role": role,
            "requirePorts": require, "executor": executor,
            "executorResources": {"cpus": 0.1, "mem": 1.0, "disk": 0.0},
        }))
    })
}

/// An attribute with any type and any values, fitting or not.
fn some_attribute() -> impl Strategy<Value = v1::Attribute> {
    let range = (any::<u64>(), any::<u64>());
    let values = (
        prop::option::of(prop_oneof![any::<f64>(), Just(f64::NAN)]),
        prop::option::of(prop::collection::vec(range, 0..3)),
        prop::option::of("[a-z]{0,3}"),
        prop::option::of(prop::collection::vec("[a-z]{0,3}", 0..3)),
    );
    let name = prop_oneof![Just("rack"), Just("other")];
    (name, -1..5_i32, values).prop_map(|(name, kind, (scalar, ranges, text, items))| {
        let range = |(begin, end)| v1::value::Range { begin, end };
        v1::Attribute {
            name: name.into(),
            r#type: kind,
            scalar: scalar.map(|value| v1::value::Scalar { value }),
            ranges: ranges.map(|ranges| v1::value::Ranges {
                range: ranges.into_iter().map(range).collect(),
            }),
            text: text.map(|value| v1::value::Text { value }),
            set: items.map(|item| v1::value::Set { item }),
        }
    })
}

proptest! {
    #[test]
    fn launches_never_take_more_than_was_offered(
        app in some_app(),
        resources in prop::collection::vec(strategies::valid(), 0..9),
        ports in 0..60_u64,
        seed in any::<[u8; 32]>(),
    ) {
        let mut offer = offer(&format!("cpus:9;mem:90;ports:[10-{}]", 10 + ports), "rack:r1");
        offer.resources.extend(resources);
        offer.allocation_info = Some(v1::resource::AllocationInfo {
            role: Some(app.role.clone()),
        });
        let mut open = OpenOffer::read(&offer).expect("valid resources");
        let settings = MatchSettings {
            gpu_scheduling: GpuScheduling::Unrestricted,
            ..MatchSettings::default()
        };
        let rules = Rules::of(&app);
        let mut spread = Spread::new(&app.constraints);
        let mut random = IdSource::from_seed(seed);
        for _ in 0..4 {
            let request = MatchRequest {
                app: &app,
                rules: &rules,
                spread: &spread,
                settings: &settings,
                now: at(0),
            };
            let before = open.remaining.clone();
            match match_offer(&open, &request, &mut random) {
                Err(refusal) => {
                    prop_assert!(!refusal.problems.is_empty());
                    prop_assert!(refusal.reasons().is_sorted());
                    break;
                }
                Ok(found) => {
                    let consumed = found.consumed();
                    prop_assert!(before.contains(&consumed), "{} of {}", consumed, before);
                    for (name, wanted) in [("cpus", app.cpus), ("mem", app.mem)] {
                        let got = found.resources.scalar_milli(name);
                        prop_assert_eq!(got, to_milli(wanted).max(0));
                    }
                    open.take(&found);
                    spread.add(&found.place);
                    let mut whole = open.remaining.clone();
                    whole.add(&consumed);
                    prop_assert_eq!(whole, before);
                }
            }
        }
    }

    #[test]
    fn no_offer_makes_it_panic(
        app in some_app(),
        resources in prop::collection::vec(strategies::sent(), 0..9),
        start in any::<i64>(),
        duration in any::<i64>(),
        now in any::<u64>(),
        attributes in prop::collection::vec(some_attribute(), 0..4),
    ) {
        let mut offer = offer("", "");
        offer.attributes = attributes;
        offer.resources = resources;
        offer.unavailability = Some(v1::Unavailability {
            start: v1::TimeInfo { nanoseconds: start },
            duration: Some(v1::DurationInfo { nanoseconds: duration }),
        });
        if OpenOffer::read(&offer).is_ok() {
            let settings = MatchSettings::default();
            let now = Now { mono: Mono(0), wall: Wall(now) };
            if let Err(refusal) = try_with(&app, &offer, &settings, now) {
                for problem in &refusal.problems {
                    prop_assert!(!problem.to_string().is_empty());
                    prop_assert!(!problem.unblock().is_empty());
                }
            }
        }
    }
}
