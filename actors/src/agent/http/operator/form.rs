//! In which form a call of the agent's operator API comes, and in which it is to be answered.
//! Reads headers only.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use tepui_protocol::media::{self, MediaType, Refusal};
use tepui_protocol::v1::agent::call::Type;

use crate::http::text;

const RECORDIO: &str = "application/recordio";
const MESSAGE_CONTENT_TYPE: &str = "Message-Content-Type";
const MESSAGE_ACCEPT: &str = "Message-Accept";

/// A body that is one message, or a stream of records each of which is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One message.
    Message(MediaType),
    /// A stream.
    Records(MediaType),
}

/// What the headers of a call say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forms {
    /// Of the call.
    pub(super) call: Form,
    /// Of the answer.
    pub(super) answer: Form,
}

impl Forms {
    /// Reads the headers in Mesos's order (`Http::api` of the agent).
    ///
    /// # Errors
    /// With the answer to give: 400, 406 or 415.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, HttpResponse> {
        Ok(Forms {
            call: call(headers)?,
            answer: answer(headers)?,
        })
    }

    /// Checks that calls of this type come and are answered so, and tells how to write an answer
    /// that is one message.
    ///
    /// # Errors
    /// With the answer to give: 406 or 415.
    pub(super) fn check(self, kind: Type) -> Result<MediaType, HttpResponse> {
        let name = kind.as_str_name();
        let comes_in_records = kind == Type::AttachContainerInput;
        match self.call {
            Form::Records(_) if !comes_in_records => {
                return Err(unsupported(format!(
                    "Streaming 'Content-Type' {RECORDIO} is not supported for {name} call"
                )));
            }
            Form::Message(_) if comes_in_records => {
                return Err(unsupported(format!(
                    "Expecting 'Content-Type' to be {RECORDIO} for {name} call"
                )));
            }
            Form::Records(_) | Form::Message(_) => {}
        }
        let may_stream = matches!(
            kind,
            Type::AttachContainerOutput | Type::LaunchNestedContainerSession
        );
        match self.answer {
            Form::Message(media) => Ok(media),
            Form::Records(media) if may_stream => Ok(media),
            Form::Records(_) => Err(unacceptable(format!(
                "Streaming response is not supported for {name} call"
            ))),
        }
    }
}

fn call(headers: &HeaderMap) -> Result<Form, HttpResponse> {
    let of_messages = header(headers, MESSAGE_CONTENT_TYPE);
    let whole = header(headers, CONTENT_TYPE.as_str());
    if whole.as_deref() != Some(RECORDIO) {
        let media = media::agent_content_type(whole.as_deref()).map_err(refuse)?;
        return match of_messages {
            None => Ok(Form::Message(media)),
            Some(_) => Err(unsupported(format!(
                "Expecting '{MESSAGE_CONTENT_TYPE}' to be not set for non-streaming requests"
            ))),
        };
    }
    let Some(of_messages) = of_messages else {
        return Err(text(
            StatusCode::BAD_REQUEST,
            format!("Expecting '{MESSAGE_CONTENT_TYPE}' to be set for streaming requests"),
        ));
    };
    let known = [MediaType::Json, MediaType::Protobuf].into_iter();
    let media = known.into_iter().find(|media| media.name() == of_messages);
    media.map(Form::Records).ok_or_else(|| {
        unsupported(format!(
            "Expecting '{MESSAGE_CONTENT_TYPE}' of application/json or application/x-protobuf"
        ))
    })
}

fn answer(headers: &HeaderMap) -> Result<Form, HttpResponse> {
    let whole = header(headers, ACCEPT.as_str());
    let of_messages = header(headers, MESSAGE_ACCEPT);
    match media::agent_accept(whole.as_deref()) {
        Ok(media) if of_messages.is_none() => Ok(Form::Message(media)),
        Ok(_) => Err(unacceptable(format!(
            "Expecting '{MESSAGE_ACCEPT}' to be not set for non-streaming responses"
        ))),
        Err(_) if media::accepts(whole.as_deref(), RECORDIO) => {
            let media = media::accept(of_messages.as_deref());
            media.map(Form::Records).map_err(|_| {
                unacceptable(format!(
                    "Expecting '{MESSAGE_ACCEPT}' to allow application/json or \
                     application/x-protobuf"
                ))
            })
        }
        Err(refusal) => Err(refuse(refusal)),
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn refuse(refusal: Refusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    text(status, refusal.text)
}

fn unsupported(reason: String) -> HttpResponse {
    text(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason)
}

fn unacceptable(reason: String) -> HttpResponse {
    text(StatusCode::NOT_ACCEPTABLE, reason)
}
