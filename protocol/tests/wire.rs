//! Required fields in protobuf, and bytes that mean harm.
//! Arbitrary messages are elsewhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

use prost::Message as _;
use prost::encoding::encode_varint;
use tepui_protocol::schema::Message;
use tepui_protocol::wire::{self, WireError};
use tepui_protocol::{v1, wire::decode};

/// A length-delimited field.
fn field(number: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint((number << 3) | 2, &mut bytes);
    encode_varint(value.len() as u64, &mut bytes);
    bytes.extend_from_slice(value);
    bytes
}

fn is_incomplete<M: Message>(bytes: &[u8]) -> bool {
    matches!(wire::decode::<M>(bytes), Err(WireError::Incomplete(_)))
}

#[test]
fn a_missing_required_field_is_found_at_any_depth() {
    assert!(is_incomplete::<v1::TaskId>(b""));
    let call = |subscribe: &[u8]| field(3, subscribe);
    type Call = v1::scheduler::Call;
    assert!(is_incomplete::<Call>(&call(b"")));
    let user = field(1, b"root");
    assert!(is_incomplete::<Call>(&call(&field(1, &user))));
    let framework = [user, field(2, b"name")].concat();
    let call: Call = decode(&call(&field(1, &framework))).unwrap();
    assert_eq!(call.subscribe.unwrap().framework_info.name, "name");
}

#[test]
fn repeated_messages_are_each_judged() {
    let label = field(1, b"key");
    let whole = [field(1, &label), field(1, &label)].concat();
    assert_eq!(decode::<v1::Labels>(&whole).unwrap().labels.len(), 2);
    let broken = [field(1, &label), field(1, &field(2, b"value"))].concat();
    assert!(is_incomplete::<v1::Labels>(&broken));
}

#[test]
fn the_values_of_maps_are_judged() {
    let scalar = v1::value::Scalar { value: 1.0 }.encode_to_vec();
    let role = field(1, b"r");
    let quota = |entry: &[u8]| [role.clone(), field(2, entry)].concat();
    let entry = [field(1, b"cpus"), field(2, &scalar)].concat();
    assert_eq!(
        decode::<v1::quota::QuotaConfig>(&quota(&entry))
            .unwrap()
            .guarantees
            .len(),
        1
    );
    let empty_value = [field(1, b"cpus"), field(2, b"")].concat();
    assert!(is_incomplete::<v1::quota::QuotaConfig>(&quota(
        &empty_value
    )));
    // So prost writes a zero.
    let decoded = decode::<v1::quota::QuotaConfig>(&quota(&field(1, b"cpus"))).unwrap();
    assert_eq!(decoded.guarantees["cpus"].value, 0.0);
}

#[test]
fn a_message_in_pieces_is_judged_as_a_whole() {
    // Protobuf merges the occurrences of a singular message field.
    let framework = |part: &[u8]| field(3, &field(1, part));
    let pieces = [framework(&field(1, b"root")), framework(&field(2, b"name"))].concat();
    let call: v1::scheduler::Call = decode(&pieces).unwrap();
    let framework_info = call.subscribe.unwrap().framework_info;
    assert_eq!(
        (framework_info.user.as_str(), framework_info.name.as_str()),
        ("root", "name")
    );
    let pieces = [framework(&field(1, b"root")), framework(&field(1, b"name"))].concat();
    assert!(is_incomplete::<v1::scheduler::Call>(&pieces));
}

#[test]
fn unknown_fields_and_enum_numbers_are_tolerated() {
    let mut bytes = field(1, b"id");
    bytes.extend(field(500, b"new"));
    // A group, which no v1 message has.
    bytes.extend([0xa3, 0x01, 0xa4, 0x01]);
    assert_eq!(decode::<v1::TaskId>(&bytes).unwrap().value, "id");
    let capability = v1::framework_info::Capability { r#type: Some(999) };
    let again = decode::<v1::framework_info::Capability>(&capability.encode_to_vec());
    assert_eq!(again.unwrap().r#type, Some(999));
}

#[test]
fn deep_nesting_is_refused_and_does_no_harm() {
    let nest = |depth: usize| {
        let mut bytes = field(1, b"v");
        for _ in 0..depth {
            bytes = [field(1, b"v"), field(2, &bytes)].concat();
        }
        bytes
    };
    assert!(decode::<v1::ContainerId>(&nest(50)).is_ok());
    assert!(decode::<v1::ContainerId>(&nest(10_000)).is_err());
    let groups = [0x1b_u8].repeat(10_000);
    assert!(decode::<v1::ContainerId>(&groups).is_err());
}

#[test]
fn lengths_beyond_the_end_are_refused() {
    for bytes in [
        &[0x0a, 0x05, b'a'][..],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x0a],
        &[0x80],
    ] {
        assert!(matches!(
            decode::<v1::TaskId>(bytes),
            Err(WireError::Malformed(..))
        ));
    }
}

#[test]
fn a_zero_in_a_map_is_written() {
    let config = v1::quota::QuotaConfig {
        role: "r".into(),
        limits: [("cpus".to_owned(), v1::value::Scalar { value: 0.0 })].into(),
        ..Default::default()
    };
    let update = v1::master::call::UpdateQuota {
        quota_configs: vec![config.clone()],
        ..Default::default()
    };
    let scalar = config.limits["cpus"].encode_to_vec();
    assert_eq!(scalar.len(), 9);
    let bytes = wire::encode(&update);
    let is_there = bytes.windows(9).any(|window| window == scalar);
    assert!(is_there, "{bytes:?}");
    assert_eq!(
        decode::<v1::master::call::UpdateQuota>(&bytes).unwrap(),
        update
    );
}
