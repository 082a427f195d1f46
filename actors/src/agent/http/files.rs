//! `/files/browse`, `/files/read` and `/files/download`, with Mesos's answers.
//! What may be reached is decided in `agent::files`.

use std::fs::File;
use std::io::Read;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::super::files::{self, FileError, Place};
use super::Shared;
use crate::http::{TEXT, json, not_found, text};

/// Bytes of a download read at a time.
const DOWNLOAD_CHUNK_BYTES: usize = 64 * 1024;

pub(super) async fn browse(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let (path, place) = match place(request, shared).await {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    match web::block(move || files::browse(&place, &path)).await {
        Ok(Ok(entries)) => json::answer(request, &entries),
        Ok(Err(error)) => refused(error, "Cannot browse a directory.\n"),
        Err(_) => super::ended(),
    }
}

pub(super) async fn read(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    if let Err(answer) = path(request) {
        return answer;
    }
    let (offset, length) = match (number(request, "offset"), number(request, "length")) {
        (Ok(offset), Ok(length)) => (offset, length),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let place = match place(request, shared).await {
        Ok((_, place)) => place,
        Err(answer) => return answer,
    };
    let (from, wanted) = match offset {
        Some(offset) => (offset, length),
        // Without an offset only the size is told.
        None => (0, Some(0)),
    };
    match web::block(move || files::read(&place, from, wanted)).await {
        Ok(Ok((size, data))) => {
            let value = json!({
                "data": String::from_utf8_lossy(&data),
                "offset": offset.unwrap_or(size),
            });
            json::answer(request, &value)
        }
        Ok(Err(error)) => refused(error, "Cannot read a directory.\n"),
        Err(_) => super::ended(),
    }
}

pub(super) async fn download(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let place = match place(request, shared).await {
        Ok((_, place)) => place,
        // Mesos words this 404 unlike the others.
        Err(answer) if answer.status() == StatusCode::NOT_FOUND => return not_found(),
        Err(answer) => return answer,
    };
    let name = place.file_name().replace(['"', '\\', '\r', '\n'], "_");
    match web::block(move || files::open_file(&place)).await {
        Ok(Ok((file, size))) => HttpResponse::Ok()
            .content_type("application/octet-stream")
            .insert_header((
                "Content-Disposition",
                format!("attachment; filename={name}"),
            ))
            .no_chunking(size)
            .streaming(content(file, size)),
        Ok(Err(FileError::NotFound)) => not_found(),
        Ok(Err(error)) => refused(error, "Cannot download a directory.\n"),
        Err(_) => super::ended(),
    }
}

/// The first `size` bytes of a file; it may grow meanwhile.
fn content(file: File, size: u64) -> impl stream::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::try_unfold(file.take(size), |mut file| async move {
        let read = web::block(move || {
            let mut chunk = vec![0; DOWNLOAD_CHUNK_BYTES];
            let length = file.read(&mut chunk)?;
            chunk.truncate(length);
            std::io::Result::Ok((Bytes::from(chunk), file))
        });
        let (chunk, file) = read.await.map_err(std::io::Error::other)??;
        Ok((!chunk.is_empty()).then_some((chunk, file)))
    })
}

#[allow(
    clippy::result_large_err,
    reason = "the error is the answer, made once"
)]
fn path(request: &HttpRequest) -> Result<String, HttpResponse> {
    json::query(request, "path")
        .filter(|path| !path.is_empty())
        .ok_or_else(|| {
            text(
                StatusCode::BAD_REQUEST,
                "Expecting 'path=value' in query.\n",
            )
        })
}

async fn place(request: &HttpRequest, shared: &Shared) -> Result<(String, Place), HttpResponse> {
    let path = path(request)?;
    let snapshot = shared.snapshot().await?;
    match files::find(&snapshot, &shared.work_dir, &path) {
        Some(place) => Ok((path, place)),
        None => Err(nothing_there()),
    }
}

/// A number of the query; -1 counts as not given.
#[allow(
    clippy::result_large_err,
    reason = "the error is the answer, made once"
)]
fn number(request: &HttpRequest, name: &str) -> Result<Option<u64>, HttpResponse> {
    let Some(given) = json::query(request, name) else {
        return Ok(None);
    };
    let bad = |reason: String| text(StatusCode::BAD_REQUEST, reason);
    let number: i64 = given.parse().map_err(|_| {
        bad(format!(
            "Failed to parse {name}: Failed to convert '{given}' to number.\n"
        ))
    })?;
    match u64::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) if number == -1 => Ok(None),
        Err(_) => Err(bad(format!("Negative {name} provided: {number}.\n"))),
    }
}

fn refused(error: FileError, of_directory: &'static str) -> HttpResponse {
    match error {
        FileError::NotFound => nothing_there(),
        FileError::Directory => text(StatusCode::BAD_REQUEST, of_directory),
        FileError::Io(error) => {
            let reason = format!("Failed to open file: {error}.\n");
            text(StatusCode::INTERNAL_SERVER_ERROR, reason)
        }
    }
}

/// Mesos says nothing more about a path that leads nowhere.
fn nothing_there() -> HttpResponse {
    HttpResponse::NotFound().content_type(TEXT).finish()
}
