//! The two encodings of the v1 API as HTTP handlers use them: headers and bodies in, answers out.
//! The encodings themselves, and which of them a header wants, are in `tepui_protocol::media`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use bytes::Bytes;
use serde::Serialize;
use tepui_protocol::media::{self, Refusal};
use tepui_protocol::recordio;
use tepui_protocol::schema::Message;

use super::text;

/// How messages of the v1 API are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType(media::MediaType);

impl MediaType {
    /// Mesos's JSON form.
    pub const JSON: MediaType = MediaType(media::MediaType::Json);
    /// Protobuf.
    pub const PROTOBUF: MediaType = MediaType(media::MediaType::Protobuf);

    /// Its name in HTTP headers.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Decodes a call.
    ///
    /// # Errors
    /// With Mesos's text for the 400 answer.
    pub fn decode_call<M: Message>(self, body: &[u8]) -> Result<M, String> {
        media::decode_call(self.0, body)
    }

    /// Encodes a message.
    pub fn encode<M: Message + Serialize>(self, message: &M) -> Bytes {
        media::encode(self.0, message)
    }

    /// Encodes a message as one record of a stream.
    pub fn record<M: Message + Serialize>(self, message: &M) -> Bytes {
        recordio::encode(&self.encode(message))
    }
}

/// The encoding of a request's body.
///
/// # Errors
/// With Mesos's answer: 400 when the header is missing, 415 when it names anything else.
pub fn content_type(headers: &HeaderMap) -> Result<MediaType, HttpResponse> {
    let header = header(headers, CONTENT_TYPE);
    media::content_type(header.as_deref())
        .map(MediaType)
        .map_err(refuse)
}

/// The encoding a client wants its answer in; JSON when it does not mind.
///
/// # Errors
/// With Mesos's 406 when it accepts neither.
pub fn accepted(headers: &HeaderMap) -> Result<MediaType, HttpResponse> {
    let header = header(headers, ACCEPT);
    media::accept(header.as_deref())
        .map(MediaType)
        .map_err(refuse)
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn refuse(refusal: Refusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    text(status, refusal.text)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn accept_prefers_json() {
        assert_eq!(accepted(&HeaderMap::new()).unwrap(), MediaType::JSON);
        for (value, expected) in [
            ("*/*", MediaType::JSON),
            ("application/*", MediaType::JSON),
            ("application/json", MediaType::JSON),
            ("Application/JSON ; q=0.5", MediaType::JSON),
            ("application/x-protobuf", MediaType::PROTOBUF),
            ("application/x-protobuf, application/json", MediaType::JSON),
            (
                "application/json;q=0, application/x-protobuf",
                MediaType::PROTOBUF,
            ),
            ("application/json;q=0, */*", MediaType::PROTOBUF),
        ] {
            assert_eq!(
                accepted(&headers(ACCEPT, value)).unwrap(),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn accept_of_neither_is_406() {
        for value in [
            "text/html",
            "application/json;q=0",
            "",
            "application/json;q=x",
        ] {
            let response = accepted(&headers(ACCEPT, value)).unwrap_err();
            assert_eq!(response.status(), 406, "{value}");
        }
    }

    #[test]
    fn content_type_is_exact() {
        let of = |value| content_type(&headers(CONTENT_TYPE, value));
        assert_eq!(of("application/json").unwrap(), MediaType::JSON);
        assert_eq!(of("application/x-protobuf").unwrap(), MediaType::PROTOBUF);
        for value in [
            "application/json; charset=utf-8",
            "Application/JSON",
            "",
            "text/plain",
        ] {
            assert_eq!(of(value).unwrap_err().status(), 415, "{value}");
        }
        assert_eq!(content_type(&HeaderMap::new()).unwrap_err().status(), 400);
    }
}
