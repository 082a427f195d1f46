//! Content types, `Accept` and the texts of refusals.
//! What a body holds is tested elsewhere.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]

use tepui_protocol::media::{self, MediaType, Refusal};
use tepui_protocol::v1;

fn refusal<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (u16, String) {
    match result {
        Err(refusal) => (refusal.status, refusal.text),
        Ok(media) => panic!("accepted as {media:?}"),
    }
}

#[test]
fn content_type_is_compared_exactly() {
    assert_eq!(
        media::content_type(Some("application/json")),
        Ok(MediaType::Json)
    );
    assert_eq!(
        media::content_type(Some("application/x-protobuf")),
        Ok(MediaType::Protobuf)
    );
    let absent = (400, "Expecting 'Content-Type' to be present".to_owned());
    assert_eq!(refusal(media::content_type(None)), absent);
    assert_eq!(refusal(media::agent_content_type(None)), absent);
    for other in [
        "",
        "Application/JSON",
        "application/json; charset=utf-8",
        "text/html",
    ] {
        let text = "Expecting 'Content-Type' of application/json or application/x-protobuf";
        assert_eq!(
            refusal(media::content_type(Some(other))),
            (415, text.to_owned())
        );
        let text = format!("{text} or application/recordio");
        assert_eq!(refusal(media::agent_content_type(Some(other))), (415, text));
    }
}

#[test]
fn json_wins_whenever_it_is_allowed() {
    let json = [
        None,
        Some("*/*"),
        Some("application/*"),
        Some("application/json"),
        Some("APPLICATION/JSON"),
        Some("text/html, application/json;q=0.5"),
        Some("application/x-protobuf, application/json;q=0.1"),
    ];
    for header in json {
        assert_eq!(media::accept(header), Ok(MediaType::Json), "{header:?}");
    }
    let protobuf = [
        "application/x-protobuf",
        "application/json;q=0, application/x-protobuf",
        "application/json; q=0.0 , */*",
    ];
    for header in protobuf {
        assert_eq!(
            media::accept(Some(header)),
            Ok(MediaType::Protobuf),
            "{header}"
        );
    }
}

#[test]
fn other_types_are_not_acceptable() {
    for header in [
        "text/html",
        "application/json;q=0",
        "",
        ",;,",
        "*/*;q=0",
        "application/json;q=x, application/json",
    ] {
        let text = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'";
        assert_eq!(
            refusal(media::accept(Some(header))),
            (406, text.to_owned()),
            "{header}"
        );
        let text = "Expecting 'Accept' to allow application/json or application/x-protobuf \
                    or application/recordio";
        assert_eq!(
            refusal(media::agent_accept(Some(header))),
            (406, text.to_owned())
        );
    }
}

#[test]
fn refused_bodies_have_the_words_of_their_api() {
    type Call = v1::scheduler::Call;
    let text = |media, body: &[u8]| media::decode_call::<Call>(media, body).unwrap_err();
    assert_eq!(
        text(MediaType::Protobuf, b"{}"),
        "Failed to parse body into Call protobuf"
    );
    assert_eq!(
        text(MediaType::Json, b"[]"),
        "Failed to convert JSON into Call protobuf: Expecting a JSON object"
    );
    assert_eq!(
        text(MediaType::Json, b"x"),
        "Failed to parse body into JSON: syntax error at line 1 near: x"
    );
    let text = |media, body: &[u8]| media::decode_agent_call::<Call>(media, body).unwrap_err();
    assert_eq!(
        text(MediaType::Protobuf, b"{}"),
        "Failed to parse body into a protobuf object"
    );
    assert_eq!(text(MediaType::Json, b"[]"), "Expecting a JSON object");
}

#[test]
fn what_is_encoded_can_be_decoded() {
    let call = v1::scheduler::Call {
        r#type: Some(v1::scheduler::call::Type::Revive as i32),
        ..Default::default()
    };
    for media in [MediaType::Json, MediaType::Protobuf] {
        let body = media::encode(media, &call);
        assert_eq!(media::decode_call(media, &body), Ok(call.clone()));
    }
}
