//! LIST_FILES and READ_FILE of the operator API.
//! What may be reached is decided with `/files/*`.

use actix_web::HttpResponse;
use tepui_core::master::operator::CallError;
use tepui_protocol::v1::master::call::{ListFiles, ReadFile, Type};
use tepui_protocol::v1::master::response::{self, Type as Answered};
use tepui_protocol::v1::master::{Call, Response};

use super::super::Face;
use crate::http::files;
use crate::http::media::MediaType;

/// What a call wants to see.
pub(super) enum Wanted {
    List(ListFiles),
    Read(ReadFile),
}

impl Wanted {
    /// What a call wants to see; none when it is about no file. Mesos: `master::call::validate`.
    pub(super) fn from_call(call: &Call) -> Result<Option<Wanted>, CallError> {
        let missing = |name| CallError::Invalid(format!("Expecting '{name}' to be present"));
        Ok(
            match call.r#type.and_then(|kind| Type::try_from(kind).ok()) {
                Some(Type::ListFiles) => {
                    let list = call.list_files.clone();
                    Some(Wanted::List(list.ok_or_else(|| missing("list_files"))?))
                }
                Some(Type::ReadFile) => {
                    let read = call.read_file.clone();
                    Some(Wanted::Read(read.ok_or_else(|| missing("read_file"))?))
                }
                _ => None,
            },
        )
    }
}

/// Answers what is wanted.
///
/// # Errors
/// With the answer that says why not.
pub(super) async fn answer(
    face: &Face,
    wanted: Wanted,
    media: MediaType,
) -> Result<HttpResponse, HttpResponse> {
    let attached = face.files();
    let response = match wanted {
        Wanted::List(list) => {
            let file_infos = files::list_files(&list.path, &attached).await?;
            Response {
                r#type: Some(Answered::ListFiles as i32),
                list_files: Some(response::ListFiles { file_infos }),
                ..Response::default()
            }
        }
        Wanted::Read(read) => {
            let part = files::read_file(&read.path, read.offset, read.length, &attached);
            let (size, data) = part.await?;
            Response {
                r#type: Some(Answered::ReadFile as i32),
                read_file: Some(response::ReadFile { size, data }),
                ..Response::default()
            }
        }
    };
    Ok(HttpResponse::Ok()
        .insert_header(("Content-Type", media.name()))
        .body(media.encode(&response)))
}
