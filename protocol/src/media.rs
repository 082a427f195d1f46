//! Media types of the v1 API: which one a body is in, which one the answer may be in.
//! Reads no HTTP messages: header values and bodies come in, texts go out.

use bytes::Bytes;
use serde::Serialize;

use crate::json::{self, JsonError};
use crate::schema::Message;
use crate::wire;

/// How a v1 message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// Mesos's JSON form.
    Json,
    /// Protobuf.
    Protobuf,
}

impl MediaType {
    /// Value of `Content-Type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MediaType::Json => "application/json",
            MediaType::Protobuf => "application/x-protobuf",
        }
    }
}

/// An HTTP answer that refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {text}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The whole body, in Mesos's words.
    pub text: String,
}

impl Refusal {
    fn new(status: u16, text: &str) -> Self {
        Refusal {
            status,
            text: text.to_owned(),
        }
    }
}

/// The media type a request's body is in. The value must be exactly one of the two names.
///
/// # Errors
/// 400 when the header is absent, 415 when it is anything else.
pub fn content_type(header: Option<&str>) -> Result<MediaType, Refusal> {
    let types = "application/json or application/x-protobuf";
    known_content_type(header, types)
}

/// As [`content_type`], in the words of the agent's operator API.
///
/// That API also takes streaming bodies of `application/recordio`, which its caller looks for first.
///
/// # Errors
/// As [`content_type`].
pub fn agent_content_type(header: Option<&str>) -> Result<MediaType, Refusal> {
    let types = "application/json or application/x-protobuf or application/recordio";
    known_content_type(header, types)
}

fn known_content_type(header: Option<&str>, types: &str) -> Result<MediaType, Refusal> {
    let Some(header) = header else {
        return Err(Refusal::new(400, "Expecting 'Content-Type' to be present"));
    };
    [MediaType::Json, MediaType::Protobuf]
        .into_iter()
        .find(|media| media.name() == header)
        .ok_or_else(|| Refusal::new(415, &format!("Expecting 'Content-Type' of {types}")))
}

/// The media type of the answer. JSON wins whenever it is allowed.
///
/// # Errors
/// 406 when neither type is allowed.
pub fn accept(header: Option<&str>) -> Result<MediaType, Refusal> {
    let types = "'application/x-protobuf' or 'application/json'";
    allowed(header, types)
}

/// As [`accept`], in the words of the agent's operator API.
///
/// # Errors
/// As [`accept`].
pub fn agent_accept(header: Option<&str>) -> Result<MediaType, Refusal> {
    let types = "application/json or application/x-protobuf or application/recordio";
    allowed(header, types)
}

fn allowed(header: Option<&str>, types: &str) -> Result<MediaType, Refusal> {
    [MediaType::Json, MediaType::Protobuf]
        .into_iter()
        .find(|media| accepts(header, media.name()))
        .ok_or_else(|| Refusal::new(406, &format!("Expecting 'Accept' to allow {types}")))
}

/// True when an `Accept` header allows `media`, e.g. `application/json`.
///
/// As in libprocess, the most specific match decides, and only a weight of zero excludes.
#[must_use]
pub fn accepts(header: Option<&str>, media: &str) -> bool {
    let Some(header) = header else {
        return true;
    };
    let family = media.split('/').next().unwrap_or(media);
    let candidates = [media, &format!("{family}/*"), "*/*"];
    let ranges = || {
        header
            .split(',')
            .map(|range| range.split(';').map(str::trim))
    };
    let matched = candidates.iter().find_map(|candidate| {
        ranges().find_map(|mut parts| {
            let found = parts.next()?.eq_ignore_ascii_case(candidate);
            found.then_some(parts)
        })
    });
    let Some(mut parameters) = matched else {
        return false;
    };
    let weight = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "q").then_some(value.trim())
    });
    match weight {
        Some(weight) => weight.parse::<f64>().is_ok_and(|weight| weight > 0.0),
        None => true,
    }
}

/// Decodes a call of the scheduler, executor or master operator API.
///
/// # Errors
/// The whole text of a 400 answer.
pub fn decode_call<M: Message>(media: MediaType, body: &[u8]) -> Result<M, String> {
    match media {
        MediaType::Protobuf => {
            wire::decode(body).map_err(|_| "Failed to parse body into Call protobuf".to_owned())
        }
        MediaType::Json => json::from_slice(body).map_err(|error| match error {
            JsonError::Parse(text) => format!("Failed to parse body into JSON: {text}"),
            JsonError::Convert(text) => {
                format!("Failed to convert JSON into Call protobuf: {text}")
            }
        }),
    }
}

/// Decodes a call of the agent's operator API, whose refusals are worded otherwise.
///
/// # Errors
/// The whole text of a 400 answer.
pub fn decode_agent_call<M: Message>(media: MediaType, body: &[u8]) -> Result<M, String> {
    match media {
        MediaType::Protobuf => {
            wire::decode(body).map_err(|_| "Failed to parse body into a protobuf object".to_owned())
        }
        MediaType::Json => json::from_slice(body).map_err(|error| match error {
            JsonError::Parse(text) => format!("Failed to parse body into JSON: {text}"),
            JsonError::Convert(text) => text,
        }),
    }
}

/// Encodes a message for an answer or a stream.
#[must_use]
pub fn encode<M: Message + Serialize>(media: MediaType, message: &M) -> Bytes {
    match media {
        MediaType::Json => json::to_vec(message).into(),
        MediaType::Protobuf => wire::encode(message).into(),
    }
}
