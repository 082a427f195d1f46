//! `/files/*` of master and agent, and what LIST_FILES and READ_FILE of their operator APIs need.
//! What is shown under which virtual path is the server's to say ([`Attached`]).

mod log;
mod place;
mod range;
#[cfg(test)]
mod tests;

pub use log::Log;
pub use place::{FileError, MAX_LISTED, MAX_READ_BYTES, Place};
use range::Wanted;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_RANGE;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tepui_protocol::v1::FileInfo;

use super::{TEXT, json, not_found, text};

/// Bytes of a download read at a time.
const DOWNLOAD_CHUNK_BYTES: usize = 256 * 1024;

/// What a server shows, and under which paths.
pub trait Attached {
    /// Where a virtual path leads, if anywhere.
    fn find(&self, path: &str) -> Option<Place>;

    /// Every virtual path that something is attached to, and the real path of that.
    fn paths(&self) -> BTreeMap<String, String>;
}

/// The routes below `/files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Lists a directory.
    Browse,
    /// Shows what is attached where.
    Debug,
    /// Gives a whole file, or the part of it that is asked for by a `Range`.
    Download,
    /// Gives a part of a file.
    Read,
}

/// Answers a request of one of the routes (Mesos: `FilesProcess`).
pub async fn answer(route: Route, request: &HttpRequest, attached: &impl Attached) -> HttpResponse {
    let answered = match route {
        Route::Browse => browse(request, attached).await,
        Route::Debug => Ok(json::answer(request, &attached.paths())),
        Route::Download => download(request, attached).await,
        Route::Read => read(request, attached).await,
    };
    answered.unwrap_or_else(|refusal| refusal)
}

/// What LIST_FILES answers, of master and agent alike: the entries of a directory by name.
///
/// # Errors
/// With the answer to give: 404 for a path that leads nowhere (empty, as Mesos's is), 500 when the
/// directory cannot be read.
pub async fn list_files(
    path: &str,
    attached: &impl Attached,
) -> Result<Vec<FileInfo>, HttpResponse> {
    let place = attached.find(path).ok_or_else(nothing_there)?;
    let shown_as = path.to_owned();
    let listed = blocking(move || place.list(&shown_as)).await?;
    listed.map_err(|error| refused(error, "Cannot browse a directory.\n"))
}

/// What READ_FILE answers, of master and agent alike: the size of the file, and a part of it,
/// [`MAX_READ_BYTES`] at most.
///
/// # Errors
/// With the answer to give: 400 for a directory, 404 for a path that leads nowhere (empty, as
/// Mesos's is), 500 when the file cannot be read.
pub async fn read_file(
    path: &str,
    offset: u64,
    length: Option<u64>,
    attached: &impl Attached,
) -> Result<(u64, Vec<u8>), HttpResponse> {
    let place = attached.find(path).ok_or_else(nothing_there)?;
    let read = blocking(move || place.read(offset, length)).await?;
    read.map_err(|error| refused(error, "Cannot read a directory.\n"))
}

async fn browse(
    request: &HttpRequest,
    attached: &impl Attached,
) -> Result<HttpResponse, HttpResponse> {
    let listed = list_files(&path(request)?, attached).await?;
    let entries: Vec<Entry<'_>> = listed.iter().map(Entry::from).collect();
    Ok(json::answer(request, &entries))
}

async fn read(
    request: &HttpRequest,
    attached: &impl Attached,
) -> Result<HttpResponse, HttpResponse> {
    let path = path(request)?;
    let offset = number(request, "offset")?;
    let length = number(request, "length")?;
    let (from, wanted) = match offset {
        Some(offset) => (offset, length),
        // Without an offset only the size is told.
        None => (0, Some(0)),
    };
    let (size, data) = read_file(&path, from, wanted, attached).await?;
    let value = json!({
        "data": String::from_utf8_lossy(&data),
        "offset": offset.unwrap_or(size),
    });
    Ok(json::answer(request, &value))
}

async fn download(
    request: &HttpRequest,
    attached: &impl Attached,
) -> Result<HttpResponse, HttpResponse> {
    // Mesos words a 404 unlike the others here.
    let place = attached.find(&path(request)?).ok_or_else(not_found)?;
    let name = place.file_name();
    let (mut file, size) = match blocking(move || place.open_file()).await? {
        Ok(opened) => opened,
        Err(FileError::NotFound) => return Err(not_found()),
        Err(error) => return Err(refused(error, "Cannot download a directory.\n")),
    };
    let mut answer = HttpResponse::Ok();
    let (start, length) = match Wanted::of(request, size) {
        Wanted::Whole => (0, size),
        Wanted::Part { start, length } => {
            let last = start + length - 1;
            answer.status(StatusCode::PARTIAL_CONTENT);
            answer.insert_header((CONTENT_RANGE, format!("bytes {start}-{last}/{size}")));
            (start, length)
        }
        Wanted::Nothing => {
            return Ok(HttpResponse::RangeNotSatisfiable()
                .insert_header((CONTENT_RANGE, format!("bytes */{size}")))
                .finish());
        }
    };
    let sought = file.seek(SeekFrom::Start(start));
    sought.map_err(|error| refused(FileError::Io(error), ""))?;
    Ok(answer
        .content_type("application/octet-stream")
        .insert_header((
            "Content-Disposition",
            format!("attachment; filename={}", in_header(&name)),
        ))
        .no_chunking(length)
        .streaming(content(file, length)))
}

/// A file name as a header takes it: as it is, if it is a token, else in quotes.
fn in_header(name: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !name.is_empty() && name.chars().all(is_token) {
        return name.to_owned();
    }
    let safe = |c: char| match c {
        '"' | '\\' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    format!("\"{}\"", name.chars().map(safe).collect::<String>())
}

/// The next `size` bytes of a file; it may grow meanwhile.
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

/// Does what may wait for a disk away from the thread that serves.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HttpResponse> {
    web::block(work).await.map_err(|_pool_is_gone| {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is shutting down",
        )
    })
}

fn path(request: &HttpRequest) -> Result<String, HttpResponse> {
    json::query(request, "path")
        .filter(|path| !path.is_empty())
        .ok_or_else(|| bad_request("Expecting 'path=value' in query.\n"))
}

/// A number of the query; -1 counts as not given.
fn number(request: &HttpRequest, name: &str) -> Result<Option<u64>, HttpResponse> {
    let Some(given) = json::query(request, name) else {
        return Ok(None);
    };
    let number: i64 = given.parse().map_err(|_| {
        bad_request(format!(
            "Failed to parse {name}: Failed to convert '{given}' to number.\n"
        ))
    })?;
    match u64::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) if number == -1 => Ok(None),
        Err(_) => Err(bad_request(format!(
            "Negative {name} provided: {number}.\n"
        ))),
    }
}

fn bad_request(reason: impl Into<String>) -> HttpResponse {
    text(StatusCode::BAD_REQUEST, reason)
}

fn refused(error: FileError, of_directory: &'static str) -> HttpResponse {
    match error {
        FileError::NotFound => nothing_there(),
        FileError::Directory => bad_request(of_directory),
        FileError::Io(error) => {
            let reason = format!("Failed to open file: {error}.\n");
            text(StatusCode::INTERNAL_SERVER_ERROR, reason)
        }
    }
}

/// Mesos says nothing more about a path that leads nowhere.
///
/// One that leads out of what is shown is answered so, too, where Mesos answers 400: the
/// difference would tell whether a file is there.
fn nothing_there() -> HttpResponse {
    HttpResponse::NotFound().content_type(TEXT).finish()
}

/// One entry of a listing as `/files/browse` writes it.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    gid: &'a str,
    mode: String,
    /// In seconds since the Unix epoch.
    mtime: f64,
    nlink: i32,
    path: &'a str,
    size: u64,
    uid: &'a str,
}

impl<'a> From<&'a FileInfo> for Entry<'a> {
    fn from(info: &'a FileInfo) -> Self {
        let nanoseconds = info.mtime.as_ref().map_or(0, |time| time.nanoseconds);
        Entry {
            gid: info.gid(),
            mode: mode_text(info.mode()),
            mtime: (nanoseconds / 1_000_000_000) as f64,
            nlink: info.nlink(),
            path: &info.path,
            size: info.size(),
            uid: info.uid(),
        }
    }
}

/// Kind and permissions as `ls -l` shows them.
fn mode_text(mode: u32) -> String {
    use nix::sys::stat::SFlag;
    let kind = match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFDIR => 'd',
        SFlag::S_IFLNK => 'l',
        SFlag::S_IFIFO => 'p',
        SFlag::S_IFSOCK => 's',
        SFlag::S_IFBLK => 'b',
        SFlag::S_IFCHR => 'c',
        _ => '-',
    };
    let bits = (0..9).rev().map(|bit| 1 << bit);
    let permissions = bits
        .zip("rwxrwxrwx".chars())
        .map(|(bit, letter)| match mode & bit {
            0 => '-',
            _ => letter,
        });
    std::iter::once(kind).chain(permissions).collect()
}
