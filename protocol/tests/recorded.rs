//! Drives the codecs with requests and answers recorded from Apache Mesos 1.12.0.
//! Leaves out what is not decoding: statuses and texts that depend on a cluster's state.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::schema::Message;
use tepui_protocol::{json, v1};

fn load(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn body(entry: &Value) -> Vec<u8> {
    if let Some(json) = entry.get("json") {
        return serde_json::to_vec(json).unwrap();
    }
    if let Some(text) = entry.get("text") {
        return text.as_str().unwrap().as_bytes().to_vec();
    }
    let text = entry.get("base64").and_then(Value::as_str).unwrap_or("");
    STANDARD.decode(text).unwrap()
}

/// What our decoding says of a recorded request: nothing, or status and text.
fn answer(entry: &Value) -> Option<(u16, String)> {
    let header = match entry.get("content_type") {
        Some(header) => header.as_str(),
        None => Some("application/json"),
    };
    let is_agent = entry["api"] == "agent";
    let media = if is_agent {
        media::agent_content_type(header)
    } else {
        media::content_type(header)
    };
    let media = match media {
        Ok(media) => media,
        Err(refusal) => return Some((refusal.status, refusal.text)),
    };
    let body = body(entry);
    let result = match entry["api"].as_str().unwrap() {
        "scheduler" => call::<v1::scheduler::Call>(media, &body),
        "executor" => call::<v1::executor::Call>(media, &body),
        "master" => call::<v1::master::Call>(media, &body),
        "agent" => media::decode_agent_call::<v1::agent::Call>(media, &body).map(|_| ()),
        other => panic!("unknown api {other}"),
    };
    result.err().map(|text| (400, text))
}

fn call<M: Message>(media: MediaType, body: &[u8]) -> Result<(), String> {
    media::decode_call::<M>(media, body).map(|_| ())
}

#[test]
fn every_recorded_call_is_decoded_or_refused_as_recorded() {
    let entries = load(include_str!("data/calls.json"));
    let mut failures = Vec::new();
    for entry in &entries {
        let expected = entry.get("error").map(|text| {
            let status = entry["status"].as_u64().unwrap() as u16;
            (status, text.as_str().unwrap().to_owned())
        });
        let actual = answer(entry);
        if actual != expected {
            failures.push(format!(
                "{}: {actual:?} instead of {expected:?}",
                entry["id"]
            ));
        }
    }
    assert!(entries.len() > 500, "only {} entries", entries.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn reencode<M: Message + serde::Serialize>(text: &[u8]) -> Vec<u8> {
    let message: M = json::from_slice(text).unwrap();
    let bytes = message.encode_to_vec();
    let again: M = tepui_protocol::wire::decode(&bytes).unwrap();
    json::to_vec(&again)
}

#[test]
fn every_recorded_answer_is_written_as_it_was_read() {
    let entries = load(include_str!("data/messages.json"));
    assert!(entries.len() > 50, "only {} entries", entries.len());
    let mut failures = Vec::new();
    for entry in &entries {
        let text = serde_json::to_vec(&entry["json"]).unwrap();
        let written = match entry["type"].as_str().unwrap() {
            "mesos.v1.scheduler.Event" => reencode::<v1::scheduler::Event>(&text),
            "mesos.v1.executor.Event" => reencode::<v1::executor::Event>(&text),
            "mesos.v1.master.Event" => reencode::<v1::master::Event>(&text),
            "mesos.v1.master.Response" => reencode::<v1::master::Response>(&text),
            "mesos.v1.agent.Response" => reencode::<v1::agent::Response>(&text),
            other => panic!("unknown type {other}"),
        };
        let written: Value = serde_json::from_slice(&written).unwrap();
        let id = entry["id"].as_str().unwrap();
        compare(id, &written, &entry["json"], &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Lists where two JSON values differ.
///
/// The operator API of Mesos writes some answers by hand, not from the v1 messages: with arrays
/// that are empty, and with a field of its internal agent message. Those are no v1 content.
fn compare(path: &str, written: &Value, recorded: &Value, differences: &mut Vec<String>) {
    match (written, recorded) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (ours.get(key), theirs.get(key)) {
                    (Some(ours), Some(theirs)) => compare(&path, ours, theirs, differences),
                    (None, Some(Value::Array(items))) if items.is_empty() => {}
                    (None, Some(_)) if path.ends_with(".agent_info.checkpoint") => {}
                    (ours, theirs) => differences.push(format!("{path}: {ours:?}, {theirs:?}")),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{path}[{index}]"), ours, theirs, differences);
            }
        }
        _ if written == recorded => {}
        _ => differences.push(format!("{path}: {written}, {recorded}")),
    }
}
