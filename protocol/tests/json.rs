//! The JSON form of v1 messages, case by case: what is written, what is read, what is refused.
//! Recorded exchanges and arbitrary messages are elsewhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

use serde_json::{Value, json};
use tepui_protocol::json::{self, JsonError};
use tepui_protocol::schema::Message;
use tepui_protocol::v1;

fn read<M: Message>(text: &str) -> Result<M, JsonError> {
    json::from_slice(text.as_bytes())
}

fn convert_error<M: Message + std::fmt::Debug>(text: &str) -> String {
    match read::<M>(text) {
        Err(JsonError::Convert(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn parse_error<M: Message + std::fmt::Debug>(text: &str) -> String {
    match read::<M>(text) {
        Err(JsonError::Parse(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn written<M: serde::Serialize>(message: &M) -> String {
    String::from_utf8(json::to_vec(message)).unwrap()
}

#[test]
fn defaults_are_written_and_deprecated_ones_are_not() {
    let framework = v1::FrameworkInfo {
        user: "root".into(),
        name: "n".into(),
        ..Default::default()
    };
    let expected = r#"{"user":"root","name":"n","failover_timeout":0.0,"checkpoint":false}"#;
    assert_eq!(written(&framework), expected);
    let address = v1::network_info::IpAddress::default();
    assert_eq!(written(&address), r#"{"protocol":"IPv4"}"#);
}

#[test]
fn bytes_numbers_and_maps_have_mesos_form() {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "t".into() },
        state: v1::TaskState::TaskRunning as i32,
        uuid: Some(vec![0xff, 0, 1]),
        timestamp: Some(15.0),
        ..Default::default()
    };
    let status: Value = serde_json::from_str(&written(&status)).unwrap();
    assert_eq!(status["uuid"], "/wAB");
    assert_eq!(status["timestamp"].to_string(), "15.0");
    let range = v1::value::Range {
        begin: 1,
        end: u64::MAX,
    };
    assert_eq!(written(&range), r#"{"begin":1,"end":18446744073709551615}"#);
    let text = r#"{"role":"r","limits":{"cpus":{"value":1.5},"mem":{"value":64.0}}}"#;
    let quota: v1::quota::QuotaConfig = read(text).unwrap();
    assert_eq!(quota.limits.len(), 2);
    assert_eq!(written(&quota), text);
}

#[test]
fn a_zero_of_proto3_is_unset() {
    let duration = tepui_protocol::Duration {
        seconds: 0,
        nanos: 5,
    };
    assert_eq!(written(&duration), r#"{"nanos":5}"#);
}

#[test]
fn infinities_and_nan_go_through_as_strings() {
    for (value, text) in [
        (f64::INFINITY, r#"{"value":"Infinity"}"#),
        (f64::NEG_INFINITY, r#"{"value":"-Infinity"}"#),
    ] {
        assert_eq!(written(&v1::value::Scalar { value }), text);
        assert_eq!(read::<v1::value::Scalar>(text).unwrap().value, value);
    }
    let text = written(&v1::value::Scalar { value: f64::NAN });
    assert_eq!(text, r#"{"value":"NaN"}"#);
    assert!(read::<v1::value::Scalar>(&text).unwrap().value.is_nan());
    let error = convert_error::<v1::value::Range>(r#"{"begin":"Infinity","end":1}"#);
    assert_eq!(
        error,
        "Failed to parse 'Infinity' as a JSON number for field 'begin': \
         syntax error at line 1 near: Infinity"
    );
}

#[test]
fn unknown_enum_numbers_are_left_out() {
    let capabilities = v1::FrameworkInfo {
        capabilities: vec![v1::framework_info::Capability { r#type: Some(999) }],
        ..Default::default()
    };
    let text: Value = serde_json::from_str(&written(&capabilities)).unwrap();
    assert_eq!(text["capabilities"], json!([{}]));
    let services = v1::CsiPluginContainerInfo {
        services: vec![1, 999],
        ..Default::default()
    };
    assert_eq!(written(&services), r#"{"services":["CONTROLLER_SERVICE"]}"#);
}

#[test]
fn unknown_keys_and_nulls_are_ignored() {
    let text = r#"{"user":"u","name":"n","new":{"a":[1,"x",{}]},"id":null,"roles":[null,"a"]}"#;
    let framework: v1::FrameworkInfo = read(text).unwrap();
    assert_eq!(framework.user, "u");
    assert_eq!(framework.id, None);
    assert_eq!(framework.roles, ["a"]);
    let error = convert_error::<v1::FrameworkInfo>(r#"{"user":null,"name":"n"}"#);
    assert_eq!(error, "Missing required fields: user");
}

#[test]
fn an_unknown_enum_name_is_unset_or_refused() {
    let call: v1::scheduler::Call = read(r#"{"type":"NEW"}"#).unwrap();
    assert_eq!(call.r#type, None);
    let error = convert_error::<v1::TaskStatus>(r#"{"task_id":{"value":"t"},"state":"NEW"}"#);
    assert_eq!(error, "Failed to find enum for 'NEW'");
}

#[test]
fn the_last_of_equal_keys_wins() {
    let text = r#"{"user":"a","user":"b","name":"n","roles":["x"],"roles":["y"],
        "id":{"value":"1"},"id":{"value":"2"}}"#;
    let framework: v1::FrameworkInfo = read(text).unwrap();
    assert_eq!(framework.user, "b");
    assert_eq!(framework.roles, ["y"]);
    assert_eq!(framework.id.unwrap().value, "2");
    let error = convert_error::<v1::FrameworkInfo>(r#"{"user":"a","name":"n","user":null}"#);
    assert_eq!(error, "Missing required fields: user");
    // What the first value lacked does not matter once the second replaces it.
    let text = r#"{"user":"a","name":"n","id":{},"id":{"value":"2"}}"#;
    assert!(read::<v1::FrameworkInfo>(text).is_ok());
    let text = r#"{"role":"r","limits":{"a":{},"a":{"value":1}}}"#;
    assert!(read::<v1::quota::QuotaConfig>(text).is_ok());
}

#[test]
fn missing_fields_are_listed_in_mesos_order() {
    // The message's own fields come before those of its parts, whatever order the text has.
    let text = r#"{"statuses":[{},{"task_id":{}}],"task_id":{}}"#;
    let error = convert_error::<v1::Task>(text);
    assert_eq!(
        error,
        "Missing required fields: name, framework_id, agent_id, state, task_id.value, \
         statuses[0].task_id, statuses[0].state, statuses[1].state, statuses[1].task_id.value"
    );
}

#[test]
fn map_entries_are_named_by_their_place_among_the_sorted_keys() {
    let text = r#"{"role":"r","limits":{"c":{},"b":{"value":1},"a":{}}}"#;
    assert_eq!(
        convert_error::<v1::quota::QuotaConfig>(text),
        "Missing required fields: limits[0].value.value, limits[2].value.value"
    );
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    let cases = [
        (
            r#"{"id":"text"}"#,
            "Not expecting a JSON string for field 'id'",
        ),
        (r#"{"id":[]}"#, "Not expecting a JSON array for field 'id'"),
        (
            r#"{"id":true}"#,
            "Not expecting a JSON boolean for field 'id'",
        ),
        (
            r#"{"user":1.5}"#,
            "Not expecting a JSON number for field 'user'",
        ),
        (
            r#"{"user":{"a":[{}]}}"#,
            "Not expecting a JSON object for field 'user'",
        ),
        (
            r#"{"offer_filters":1}"#,
            "Not expecting a JSON number for field 'offer_filters'",
        ),
        (
            r#"{"offer_filters":{"a":1}}"#,
            "Not expecting a JSON number for field 'value'",
        ),
        (
            r#"{"failover_timeout":"true"}"#,
            "Failed to parse 'true' as a JSON number for field 'failover_timeout': \
             Unexpected JSON type parsed",
        ),
        (
            r#"{"checkpoint":"1"}"#,
            "Failed to parse '1' as a JSON boolean for field 'checkpoint': \
             Unexpected JSON type parsed",
        ),
        // The first in the order of the keys, not of the text.
        (
            r#"{"user":1,"id":1}"#,
            "Not expecting a JSON number for field 'id'",
        ),
    ];
    for (text, error) in cases {
        assert_eq!(convert_error::<v1::FrameworkInfo>(text), error, "{text}");
    }
}

#[test]
fn numbers_are_converted_as_mesos_does() {
    let port = |text: &str| read::<v1::AgentInfo>(text).unwrap().port;
    assert_eq!(port(r#"{"hostname":"h","port":5.9}"#), Some(5));
    assert_eq!(port(r#"{"hostname":"h","port":"17"}"#), Some(17));
    let scalar = |text: &str| read::<v1::value::Scalar>(text).unwrap().value;
    assert_eq!(scalar(r#"{"value":3}"#), 3.0);
    assert_eq!(scalar(r#"{"value":"0.25"}"#), 0.25);
    let framework = r#"{"user":"u","name":"n","checkpoint":"true"}"#;
    let framework: v1::FrameworkInfo = read(framework).unwrap();
    assert_eq!(framework.checkpoint, Some(true));
}

#[test]
fn base64_is_read_leniently() {
    let data = |text: &str| {
        let text = format!(
            r#"{{"data":"{text}","agent_id":{{"value":""}},"executor_id":{{"value":""}}}}"#
        );
        read::<v1::scheduler::call::Message>(&text).map(|message| message.data)
    };
    assert_eq!(data("aGVsbG8=").unwrap(), b"hello");
    assert_eq!(data("aGVs bG8").unwrap(), b"hello");
    assert_eq!(data("").unwrap(), b"");
    assert_eq!(
        data("aGV-").unwrap_err().to_string(),
        "Failed to base64 decode bytes field 'data': Invalid character '-'"
    );
}

#[test]
fn syntax_errors_weigh_more_than_wrong_values() {
    let error = parse_error::<v1::FrameworkInfo>("{\"user\":1,\n \"name\":}");
    assert_eq!(error, "syntax error at line 2 near: }");
    let error = parse_error::<v1::FrameworkInfo>("[1,");
    assert_eq!(error, "syntax error at line 1 near: ");
    assert_eq!(
        parse_error::<v1::value::Scalar>(r#"{"value":1e999}"#),
        "Value out of range"
    );
}

#[test]
fn deep_nesting_is_refused_and_does_no_harm() {
    let nested = |open: &str, close: &str| {
        let mut text = open.repeat(10_000);
        text.push('1');
        text.push_str(&close.repeat(10_000));
        text
    };
    let texts = [
        nested("[", "]"),
        nested(r#"{"parent":"#, "}"),
        nested(r#"{"unknown":"#, "}"),
        format!(r#"{{"value":"v","unknown":{}}}"#, nested("[", "]")),
    ];
    for text in texts {
        let error = parse_error::<v1::ContainerId>(&text);
        assert!(
            error.starts_with("syntax error at line 1 near: "),
            "{error}"
        );
        assert!(error.len() < 2000, "{} bytes of text", error.len());
    }
    let text = format!(r#"{{"value":"{}"}}"#, "[".repeat(10_000));
    assert!(parse_error::<v1::value::Scalar>(&format!("{}{{", text)).contains("trailing"));
}

#[test]
fn a_flood_of_missing_fields_gives_a_bounded_text() {
    let text = format!(r#"{{"labels":[{}{{}}]}}"#, "{},".repeat(100_000));
    let error = convert_error::<v1::Labels>(&text);
    assert!(error.starts_with("Missing required fields: labels[0].key, labels[1].key"));
    assert!(error.len() < 100_000, "{} bytes of text", error.len());
}

#[test]
fn a_list_of_messages_is_read() {
    let list = |text: &str| json::list_from_slice::<v1::TaskId>(text.as_bytes());
    assert_eq!(list(r#"[{"value":"a"},{"value":"b"}]"#).unwrap().len(), 2);
    let convert = |text: &str| Err(JsonError::Convert(text.to_owned()));
    assert_eq!(list("{}"), convert("Expecting a JSON array"));
    assert_eq!(list("[1]"), convert("Expecting a JSON object"));
    assert_eq!(list("[{},{}]"), convert("Missing required fields: value"));
    assert!(matches!(list("[{]"), Err(JsonError::Parse(_))));
}
