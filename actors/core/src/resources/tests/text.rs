//! The text and JSON grammar, and the printed form.

use super::*;

fn error(text: &str) -> String {
    Resources::parse(text, "*").unwrap_err().0
}

#[test]
fn reads_what_the_manual_shows() {
    let all = bag("cpus:4; mem:1024 ;ports:[31000-31100, 32000-32099];disk(ads):10;z:{a, b}");
    assert_eq!(
        all.to_string(),
        "cpus:4; mem:1024; ports:[31000-31100, 32000-32099]; \
         disk(reservations: [(STATIC,ads)]):10; z:{a, b}"
    );
    let reserved = Resources::parse("cpus:1;mem(*):2", "ads").unwrap();
    assert_eq!(reserved, bag("cpus(ads):1;mem:2"));
}

#[test]
fn ranges_in_text_may_overlap() {
    assert_eq!(bag("ports:[3-5,1-3,9-9]").to_string(), "ports:[1-5, 9-9]");
    assert_eq!(bag("ports:[1-2];ports:[3-3]").to_string(), "ports:[1-3]");
}

#[test]
fn refuses_bad_text_with_the_texts_of_mesos() {
    let cases = [
        (
            "cpus",
            "Bad value for resources, missing or extra ':' in cpus",
        ),
        (
            "cpus:1:2",
            "Bad value for resources, missing or extra ':' in cpus:1:2",
        ),
        (
            "cpus(a:1",
            "Bad value for resources, mismatched parentheses in cpus(a:1",
        ),
        (
            "cpus)a(:1",
            "Bad value for resources, mismatched parentheses in cpus)a(:1",
        ),
        ("cpus:-1", "Bad type for resource cpus value -1 type TEXT"),
        ("cpus:NaN", "Bad type for resource cpus value NaN type TEXT"),
        ("cpus:inf", "Bad type for resource cpus value inf type TEXT"),
        ("cpus:x", "Bad type for resource cpus value x type TEXT"),
        (
            "cpus: ",
            "Failed to parse resource cpus value   error Expecting non-empty string",
        ),
        (
            "p:[1-2",
            "Failed to parse resource p value [1-2 error Mismatched brackets",
        ),
        (
            "p:[1]",
            "Failed to parse resource p value [1] error Expecting one or more \"ranges\"",
        ),
        (
            "p:[a-2]",
            "Failed to parse resource p value [a-2] error Expecting non-negative integers in 'a'",
        ),
        (
            "p:x[1-2]",
            "Failed to parse resource p value x[1-2] error Unexpected '[' found",
        ),
        (
            "p:x{1}",
            "Failed to parse resource p value x{1} error Unexpected '{' found",
        ),
        (
            "p:1e-310",
            "Failed to parse resource p value 1e-310 error Subnormal values not supported",
        ),
        (
            ":1;x",
            "Bad value for resources, missing or extra ':' in :1",
        ),
        (" :1", "Empty resource name"),
        ("cpus:0.0001", "Invalid scalar resource: value <= 0"),
        ("cpus:1e300", "Invalid scalar resource: value <= 0"),
        ("p:[5-2]", "Invalid ranges resource: begin > end"),
        ("z:{a,a}", "Invalid set resource: duplicated elements"),
        (
            "cpus(a b):1",
            "Role component 'a b' is invalid because it contains backspace or whitespace",
        ),
        (
            "x:1;x:[1-2]",
            "Resources with the same name ('x') but different types are not allowed",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn reads_the_json_form() {
    let text = r#"[
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}]}},
        {"name": "z", "type": "SET", "set": {"item": ["a"]}, "role": "r"},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 8}, "unknown": 1,
         "reservations": [{"type": "STATIC", "role": "s"}]},
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 7},
         "disk": {"source": {"type": "MOUNT", "mount": {"root": "/m"}}}}
    ]"#;
    let all = Resources::parse(text, "d").unwrap();
    assert_eq!(
        all.to_string(),
        "cpus(reservations: [(STATIC,d)]):4; ports(reservations: [(STATIC,d)]):[1-2]; \
         z(reservations: [(STATIC,r)]):{a}; mem(reservations: [(STATIC,s)]):8; \
         disk(reservations: [(STATIC,d)])[MOUNT:/m]:7"
    );
}

#[test]
fn refuses_bad_json() {
    let start = "Some JSON resources were not formatted properly: ";
    assert!(error("[{]").starts_with("resources that start with '[' must be a JSON array: "));
    assert_eq!(error("[1]"), format!("{start}Expecting a JSON object"));
    assert_eq!(
        error(r#"[{"name": "a"}]"#),
        format!("{start}Missing required fields: type")
    );
    assert_eq!(
        error(r#"[{"name": "a", "type": "FOO"}]"#),
        format!("{start}Failed to find enum for 'FOO'")
    );
    assert_eq!(
        error(r#"[{"name": "a", "type": "SCALAR", "scalar": {"value": []}}]"#),
        format!("{start}Not expecting a JSON array for field 'value'")
    );
    assert_eq!(
        error(r#"[{"name": "a", "type": "SCALAR"}]"#),
        "Invalid scalar resource"
    );
    assert_eq!(
        error(r#"[{"name": "a", "type": "SCALAR", "scalar": {"value": -1}}]"#),
        "Invalid scalar resource: value <= 0"
    );
}

#[test]
fn refuses_what_only_programs_may_say() {
    let with = |more: &str| {
        error(&format!(
            r#"[{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},{more}}}]"#
        ))
    };
    assert_eq!(
        with(r#""role":"r","disk":{"persistence":{"id":"v"}}"#),
        "Persistent volumes cannot be specified at the command line"
    );
    assert!(with(r#""revocable":{}"#).starts_with("Revocable resources cannot be specified"));
    assert!(
        with(r#""reservations":[{"type":"DYNAMIC","role":"r"}]"#)
            .starts_with("Dynamic reservations cannot be specified")
    );
    assert!(
        with(r#""role":"r","reservation":{"principal":"p"}"#)
            .starts_with("Dynamic reservations cannot be specified")
    );
}

#[test]
fn prints_as_mesos_does() {
    use v1::resource::reservation_info::Type::Dynamic;
    let all = bag("cpus:0.1;mem:32;ports:[1-2]").allocated_to("*");
    assert_eq!(
        all.to_string(),
        "cpus(allocated: *):0.1; mem(allocated: *):32; ports(allocated: *):[1-2]"
    );
    let mut cpus = scalar("cpus", 0.1);
    cpus.reservations = vec![reservation(Dynamic, "other")];
    assert_eq!(
        read(std::slice::from_ref(&cpus))
            .allocated_to("*")
            .to_string(),
        "cpus(allocated: *)(reservations: [(DYNAMIC,other)]):0.1"
    );
    cpus.reservations.push(reservation(Dynamic, "other/x"));
    cpus.reservations[0].principal = Some("p".to_owned());
    cpus.reservations[1].labels = Some(v1::Labels {
        labels: vec![
            v1::Label {
                key: "k".to_owned(),
                value: Some("v".to_owned()),
            },
            v1::Label {
                key: "l".to_owned(),
                value: None,
            },
        ],
    });
    assert_eq!(
        read(&[cpus]).to_string(),
        "cpus(reservations: [(DYNAMIC,other,p),(DYNAMIC,other/x,{k: v, l})]):0.1"
    );
    assert_eq!(Resources::new().to_string(), "{}");
}

#[test]
fn prints_disks() {
    use v1::resource::disk_info::source::Type as SourceType;
    let mut shared = volume("v", "a");
    shared.shared = Some(v1::resource::SharedInfo::default());
    shared.disk.as_mut().unwrap().volume = Some(v1::Volume {
        container_path: "in".to_owned(),
        host_path: Some("/out".to_owned()),
        mode: v1::volume::Mode::Ro as i32,
        ..Default::default()
    });
    let mut csi = sourced(SourceType::Raw, "");
    let source = csi.disk.as_mut().unwrap().source.as_mut().unwrap();
    (source.vendor, source.profile) = (Some("org".to_owned()), Some("fast".to_owned()));
    let all = read(&[
        shared,
        csi,
        sourced(SourceType::Mount, "/m"),
        sourced(SourceType::Block, ""),
    ]);
    assert_eq!(
        all.to_string(),
        "disk(reservations: [(DYNAMIC,a)])[v:/out:in:ro]<SHARED>:10<1>; disk[RAW(org,,fast)]:10; \
         disk[MOUNT:/m]:10; disk[BLOCK]:10"
    );
}

#[test]
fn prints_scalars_with_fifteen_digits() {
    let printed = |milli| format_milli(milli);
    assert_eq!(printed(0), "0");
    assert_eq!(printed(100), "0.1");
    assert_eq!(printed(1), "0.001");
    assert_eq!(printed(-1000), "-1");
    assert_eq!(printed(100_000_100), "100000.1");
    assert_eq!(printed(120_000), "120");
    assert_eq!(printed(999_999_999_999_999), "999999999999.999");
    assert_eq!(printed(1_234_567_890_123_456), "1234567890123.46");
    assert_eq!(printed(1_000_000_000_000_000_000), "1e+15");
    assert_eq!(printed(i64::MAX), "9.22337203685478e+15");
}
