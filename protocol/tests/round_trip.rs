//! Sends arbitrary messages of every type through every encoding and back.
//! Recorded and hand-made cases are elsewhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

mod support;

use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use support::Source;
use tepui_protocol::schema::Message;
use tepui_protocol::{json, wire};

/// What the codecs make of the bytes of one message.
struct Trip {
    /// Protobuf after protobuf.
    wire: Vec<u8>,
    /// Protobuf after JSON.
    json: Vec<u8>,
}

fn trip<M: Message + serde::Serialize>(bytes: &[u8]) -> Result<Trip, String> {
    let message: M = wire::decode(bytes).map_err(|error| error.to_string())?;
    let text = json::to_vec(&message);
    let again: M = json::from_slice(&text)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&text)))?;
    let same = M::SCHEMA.name == message.schema().name;
    assert!(same, "wrong table for {}", M::SCHEMA.name);
    Ok(Trip {
        wire: wire::encode(&message),
        json: wire::encode(&again),
    })
}

type TripFn = fn(&[u8]) -> Result<Trip, String>;

/// Reads arbitrary text as JSON, and JSON of the message with one byte changed.
fn read_damaged<M: Message + serde::Serialize>(bytes: &[u8], source: &mut Source) {
    let _ = json::from_slice::<M>(bytes);
    let Ok(message) = wire::decode::<M>(bytes) else {
        return;
    };
    let mut text = json::to_vec(&message);
    let at = source.below(text.len());
    text[at] = b"\"{}[]:,0-e\\\xffnt "[source.below(15)];
    let _ = json::from_slice::<M>(&text);
    let _ = json::list_from_slice::<M>(&text);
}

type DamageFn = fn(&[u8], &mut Source);

macro_rules! every_message {
    ($($name:literal => $type:ty,)*) => {
        const MESSAGES: &[(&str, TripFn, DamageFn)] =
            &[$(($name, trip::<$type>, read_damaged::<$type>)),*];
    };
}

include!(concat!(env!("OUT_DIR"), "/every_message.rs"));

#[test]
fn all_message_types_are_visited() {
    assert!(MESSAGES.len() > 340, "only {} types", MESSAGES.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_survives_protobuf_and_json(seed in any::<u64>()) {
        for (name, trip, _) in MESSAGES {
            let descriptor = support::descriptor(name);
            let message = support::arbitrary(&descriptor, &mut Source(seed), 0);
            let bytes = message.encode_to_vec();
            // A zero of proto3 that was set counts as unset after this.
            let message = DynamicMessage::decode(descriptor.clone(), bytes.as_slice());
            let trip = trip(&bytes);
            let trip = trip.map_err(|error| TestCaseError::fail(format!("{name}: {error}")))?;
            let decoded = DynamicMessage::decode(descriptor, trip.wire.as_slice());
            // Printing a descriptor never ends where types hold themselves.
            prop_assert!(decoded.is_ok() && decoded == message, "{name} in protobuf");
            prop_assert_eq!(trip.json, trip.wire, "{} in JSON", name);
        }
    }

    #[test]
    fn no_decoder_panics_on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (_, trip, read_damaged) in MESSAGES {
            // Whether such bytes are a message does not matter here.
            let _ = trip(&bytes);
            read_damaged(&bytes, &mut Source(1));
        }
    }

    #[test]
    fn no_json_makes_a_decoder_panic(text in r#"[\[\]{}":,a-z0-9.\\-]{0,60}"#) {
        for (_, _, read_damaged) in MESSAGES {
            read_damaged(text.as_bytes(), &mut Source(1));
        }
    }

    #[test]
    fn no_decoder_panics_on_damaged_messages(seed in any::<u64>(), at in any::<usize>()) {
        let mut source = Source(seed);
        let (name, trip, read_damaged) = MESSAGES[source.below(MESSAGES.len())];
        let message = support::arbitrary(&support::descriptor(name), &mut source, 0);
        let mut bytes = message.encode_to_vec();
        read_damaged(&bytes, &mut source);
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = source.next() as u8;
            let _ = trip(&bytes);
            bytes.truncate(at);
            let _ = trip(&bytes);
        }
    }
}
