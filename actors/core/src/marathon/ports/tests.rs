//! Ports of every kind of wish, and that none is given twice or from nowhere.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::marathon::matching::testing::{app, random};

fn fixed(port: u16) -> PortWish {
    PortWish {
        declared: port,
        host: HostPort::Fixed(port),
        container: None,
    }
}

fn anywhere() -> PortWish {
    PortWish {
        declared: 0,
        host: HostPort::Any,
        container: None,
    }
}

fn mapped(container: u16, host: HostPort) -> PortWish {
    PortWish {
        declared: container,
        host,
        container: Some(container),
    }
}

fn offered(text: &str) -> Resources {
    Resources::parse(text, "*").expect("resources")
}

fn hosts(ports: &Ports) -> Vec<Option<u16>> {
    ports.assigned.iter().map(|port| port.host).collect()
}

#[test]
fn definitions_are_random_unless_ports_are_required() {
    let definitions = json!([{"port": 10000, "protocol": "tcp"}, {"port": 0, "protocol": "udp"}]);
    let free = app(json!({"portDefinitions": definitions}));
    let declared = |declared, host| PortWish {
        declared,
        host,
        container: None,
    };
    assert_eq!(
        wishes(&free),
        [declared(10000, HostPort::Any), declared(0, HostPort::Any)]
    );
    let required = app(json!({"portDefinitions": definitions, "requirePorts": true}));
    assert_eq!(
        wishes(&required),
        [fixed(10000), declared(0, HostPort::Any)]
    );
    assert!(wishes(&app(json!({}))).is_empty());
}

#[test]
fn mappings_may_be_on_the_host_or_not() {
    let app = app(json!({
        "networks": [{"mode": "container/bridge"}],
        "portDefinitions": [{"port": 1, "protocol": "tcp"}],
        "container": {"type": "MESOS", "portMappings": [
            {"containerPort": 80, "hostPort": 0, "protocol": "tcp", "servicePort": 1},
            {"containerPort": 81, "hostPort": 8081, "protocol": "tcp", "servicePort": 1},
            {"containerPort": 82, "protocol": "tcp", "servicePort": 1},
        ]},
    }));
    assert_eq!(
        wishes(&app),
        [
            mapped(80, HostPort::Any),
            mapped(81, HostPort::Fixed(8081)),
            mapped(82, HostPort::None)
        ]
    );
}

#[test]
fn fixed_ports_are_found_in_any_range() {
    let offered = offered("ports:[80-80,31000-31010];ports(web):[443-443]");
    let ports = assign(
        &[fixed(443), fixed(80), fixed(31005)],
        &offered,
        &mut random(),
    );
    let ports = ports.expect("all are offered");
    assert_eq!(hosts(&ports), [Some(443), Some(80), Some(31005)]);
    // Each is consumed from where it was found.
    assert_eq!(
        ports.consumed.reserved_to("web").ranges("ports"),
        [(443, 443)]
    );
    assert_eq!(
        ports.consumed.unreserved().ranges("ports"),
        [(80, 80), (31005, 31005)]
    );
}

#[test]
fn lacking_ports_are_named() {
    let offered = offered("ports:[100-101]");
    let lacking = |wishes: &[PortWish]| {
        assign(wishes, &offered, &mut random()).expect_err("ports are lacking")
    };
    let missing = lacking(&[fixed(99), fixed(100), fixed(7)]);
    assert_eq!(missing, PortsLacking::Fixed(vec![7, 99]));
    assert_eq!(missing.to_string(), "wanted ports 7, 99, not offered");
    let few = lacking(&[fixed(100), anywhere(), anywhere()]);
    assert_eq!(few.to_string(), "wanted 2 random ports, offered 1");
}

#[test]
fn random_ports_follow_each_other_from_a_random_place() {
    let offered = offered("ports:[1000-1999]");
    let mut random = random();
    let mut starts = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let ports =
            assign(&[anywhere(), anywhere(), anywhere()], &offered, &mut random).expect("enough");
        let numbers: Vec<u16> = hosts(&ports).into_iter().flatten().collect();
        let next = |port: u16| if port == 1999 { 1000 } else { port + 1 };
        assert_eq!(numbers[1], next(numbers[0]));
        assert_eq!(numbers[2], next(numbers[1]));
        starts.insert(numbers[0]);
    }
    assert!(
        starts.len() > 25,
        "50 draws of 1000 hardly ever agree: {starts:?}"
    );
}

#[test]
fn two_wishes_for_one_fixed_port_share_it() {
    let ports = assign(
        &[fixed(53), fixed(53)],
        &offered("ports:[53-53]"),
        &mut random(),
    );
    let ports = ports.expect("it is offered");
    assert_eq!(hosts(&ports), [Some(53), Some(53)]);
    assert_eq!(ports.consumed.ranges("ports"), [(53, 53)]);
}

#[test]
fn container_ports_of_zero_follow_the_host_or_are_random_for_variables() {
    let wishes = [
        mapped(0, HostPort::Fixed(8080)),
        mapped(0, HostPort::None),
        mapped(0, HostPort::None),
        mapped(90, HostPort::None),
    ];
    let ports = assign(&wishes, &offered("ports:[8080-8080]"), &mut random()).expect("offered");
    let [host, first, second, plain] = ports.assigned[..] else {
        panic!("four ports were declared");
    };
    assert_eq!((host.container, host.variable), (Some(8080), 8080));
    assert_eq!((host.inside(), first.inside()), (Some(8080), None));
    for port in [first, second] {
        assert_eq!((port.host, port.container), (None, Some(0)));
        assert!(port.variable >= 1025);
    }
    assert_ne!(first.variable, second.variable);
    assert_eq!((plain.container, plain.variable), (Some(90), 90));
}

#[test]
fn without_wishes_on_the_host_nothing_is_taken() {
    let nothing = assign(
        &[mapped(80, HostPort::None)],
        &Resources::new(),
        &mut random(),
    );
    assert!(nothing.expect("no port is needed").consumed.is_empty());
    let none = assign(&[], &offered("ports:[1-9]"), &mut random()).expect("no port");
    assert!(none.assigned.is_empty() && none.consumed.is_empty());
}

#[test]
fn numbers_that_are_no_ports_are_never_given() {
    let offered = offered("ports:[0-1,65535-70000]");
    let ports = assign(&[anywhere(), anywhere()], &offered, &mut random()).expect("1 and 65535");
    let mut numbers = hosts(&ports);
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(1), Some(65535)]);
    assert!(
        assign(
            &[anywhere(), anywhere(), anywhere()],
            &offered,
            &mut random()
        )
        .is_err()
    );
}

fn some_wishes() -> impl Strategy<Value = Vec<PortWish>> {
    let host = prop_oneof![
        Just(HostPort::None),
        Just(HostPort::Any),
        (1..60_u16).prop_map(HostPort::Fixed),
    ];
    let wish = (host, prop::option::of(0..100_u16));
    let wish = wish.prop_map(|(host, container)| PortWish {
        declared: container.unwrap_or(0),
        host,
        container,
    });
    prop::collection::vec(wish, 0..8)
}

proptest! {
    #[test]
    fn ports_are_offered_ones_and_never_given_twice(
        wishes in some_wishes(),
        ranges in prop::collection::vec((0..80_u64, 0..9_u64, any::<bool>()), 0..5),
        seed in any::<[u8; 32]>(),
    ) {
        let text: Vec<String> = ranges
            .iter()
            .map(|(begin, size, reserved)| {
                let role = if *reserved { "(web)" } else { "" };
                format!("ports{role}:[{begin}-{}]", begin + size)
            })
            .collect();
        let offered = offered(&text.join(";"));
        let all = offered.ranges("ports");
        let holds = |port: u64| all.iter().any(|(begin, end)| (*begin..=*end).contains(&port));
        let answer = assign(&wishes, &offered, &mut IdSource::from_seed(seed));
        let Ok(ports) = answer else {
            // Then a fixed one is lacking, or there are truly too few.
            let fixed: BTreeSet<u16> = wishes.iter().filter_map(|wish| wish.host.fixed()).collect();
            let any = wishes.iter().filter(|wish| wish.host == HostPort::Any).count();
            let free = (1..=88_u16).filter(|port| holds(u64::from(*port)) && !fixed.contains(port));
            prop_assert!(fixed.iter().any(|port| !holds(u64::from(*port))) || free.count() < any);
            return Ok(());
        };
        prop_assert!(offered.contains(&ports.consumed));
        prop_assert_eq!(ports.assigned.len(), wishes.len());
        let mut random = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for (wish, port) in wishes.iter().zip(&ports.assigned) {
            match (wish.host, port.host) {
                (HostPort::None, None) => continue,
                (HostPort::Fixed(wanted), Some(got)) => prop_assert_eq!(wanted, got),
                (HostPort::Any, Some(got)) => prop_assert!(random.insert(got), "given twice"),
                other => prop_assert!(false, "{:?}", other),
            }
            let host = port.host.expect("matched above");
            prop_assert!(holds(u64::from(host)));
            taken.insert(host);
        }
        let fixed: BTreeSet<u16> = wishes.iter().filter_map(|wish| wish.host.fixed()).collect();
        prop_assert!(fixed.is_disjoint(&random));
        let consumed = ports.consumed.ranges("ports");
        let count: u64 = consumed.iter().map(|(begin, end)| end - begin + 1).sum();
        prop_assert_eq!(count, taken.len() as u64);
    }
}
