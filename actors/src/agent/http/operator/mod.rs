//! `/api/v1`: the agent's operator API.
//! Checks in Mesos's order; the checks that need no state are in the core.

mod containers;
mod form;
mod views;

use std::time::Duration;

use actix_web::dev::{Decompress, Payload};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt;
use tepui_core::validation::agent_call;
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::recordio::{Decoder, MAX_RECORD_BYTES};
use tepui_protocol::v1::agent::call::Type;
use tepui_protocol::v1::agent::response::Type as Answered;
use tepui_protocol::v1::agent::{Call, Response, response};
use tepui_protocol::v1::{self, Flag, Metric};

use super::containers as lists;
use super::{Shared, ended, reads};
use crate::agent::images;
use crate::http::{body, files, method_not_allowed, text, version};
use crate::logging;
use form::{Form, Forms};

/// Time a client has to send the first record of a stream.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn call(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
) -> HttpResponse {
    match checked(request, payload.into_inner(), shared).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn checked(
    request: &HttpRequest,
    payload: Payload,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    if request.method() != "POST" {
        return Err(method_not_allowed("POST", request.method().as_str()));
    }
    let forms = Forms::of(request.headers())?;
    let bad = |why: String| text(StatusCode::BAD_REQUEST, why);
    let call: Call = match forms.call {
        Form::Message(media) => {
            let body = body::read(request, payload, &shared.memory).await?;
            media::decode_agent_call(media, &body.bytes).map_err(bad)?
        }
        Form::Records(media) => {
            let record = first_record(request, payload).await?;
            media::decode_agent_call(media, &record).map_err(bad)?
        }
    };
    let kind = agent_call::validate(&call)
        .map_err(|why| bad(format!("Failed to validate agent::Call: {why}")))?;
    let media = forms.check(kind)?;
    answer(kind, call, media, shared).await
}

/// The first record of a stream, which says what is wanted; the rest may not come for a while.
async fn first_record(request: &HttpRequest, payload: Payload) -> Result<Bytes, HttpResponse> {
    let read = async {
        let mut decoder = Decoder::new(MAX_RECORD_BYTES);
        let mut chunks = Decompress::from_headers(payload, request.headers());
        loop {
            match decoder.next_record() {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => {}
                Err(error) => {
                    let reason = format!("Decoder failure: {error}");
                    return Err(text(StatusCode::INTERNAL_SERVER_ERROR, reason));
                }
            }
            match chunks.next().await {
                Some(Ok(chunk)) => decoder.push(&chunk),
                Some(Err(_)) | None => {
                    let reason = "Received EOF while reading request body";
                    return Err(text(StatusCode::BAD_REQUEST, reason));
                }
            }
        }
    };
    tokio::time::timeout(RECORD_TIMEOUT, read)
        .await
        .unwrap_or_else(|_elapsed| {
            let seconds = RECORD_TIMEOUT.as_secs();
            let reason = format!("The first record did not arrive within {seconds} seconds");
            Err(text(StatusCode::REQUEST_TIMEOUT, reason))
        })
}

async fn answer(
    kind: Type,
    call: Call,
    media: MediaType,
    shared: &Shared,
) -> Result<HttpResponse, HttpResponse> {
    let response = match kind {
        Type::Unknown => {
            return Err(text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented."));
        }
        Type::GetHealth => health(),
        Type::GetFlags => flags(shared),
        Type::GetVersion => version(),
        Type::GetMetrics => metrics(shared),
        Type::ListFiles => list_files(call, shared).await?,
        Type::ReadFile => read_file(call, shared).await?,
        Type::GetState | Type::GetFrameworks | Type::GetExecutors | Type::GetTasks => {
            let snapshot = shared.snapshot();
            let body = web::block(move || views::body(kind, &snapshot, media)).await;
            let body = body.map_err(|_pool_is_gone| ended())?;
            return Ok(written(media, body));
        }
        Type::GetContainers => Response {
            get_containers: Some(response::GetContainers {
                containers: lists::list(call.get_containers.as_ref(), shared).await,
            }),
            ..typed(Answered::GetContainers)
        },
        Type::GetAgent => agent(shared),
        Type::GetOperations => operations(shared),
        // No provider can be added yet.
        Type::GetResourceProviders => Response {
            get_resource_providers: Some(response::GetResourceProviders::default()),
            ..typed(Answered::GetResourceProviders)
        },
        Type::PruneImages => return prune_images(call, shared).await,
        Type::GetLoggingLevel => Response {
            get_logging_level: Some(response::GetLoggingLevel {
                level: logging::process().verbosity(),
            }),
            ..typed(Answered::GetLoggingLevel)
        },
        Type::SetLoggingLevel => return Ok(set_logging_level(&call)),
        Type::LaunchNestedContainer
        | Type::WaitNestedContainer
        | Type::KillNestedContainer
        | Type::RemoveNestedContainer
        | Type::LaunchContainer
        | Type::WaitContainer
        | Type::KillContainer
        | Type::RemoveContainer => {
            let Some(call) = containers::read(kind, call) else {
                return Err(unsupported(kind));
            };
            return containers::ask(kind, call, media, shared).await;
        }
        Type::LaunchNestedContainerSession
        | Type::AttachContainerInput
        | Type::AttachContainerOutput
        | Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig
        | Type::MarkResourceProviderGone => return Err(unsupported(kind)),
    };
    Ok(written(media, media::encode(media, &response)))
}

fn set_logging_level(call: &Call) -> HttpResponse {
    let set = call.set_logging_level.unwrap_or_default();
    // A negative time is over at once.
    let nanoseconds = u64::try_from(set.duration.nanoseconds).unwrap_or(0);
    let time = Duration::from_nanos(nanoseconds);
    logging::process().set_verbosity(set.level, time);
    HttpResponse::Ok().finish()
}

/// Removes the images that no container uses, but for those that the call or
/// `--image_gc_config` excludes.
async fn prune_images(call: Call, shared: &Shared) -> Result<HttpResponse, HttpResponse> {
    let asked = call.prune_images.unwrap_or_default().excluded_images;
    let (containerizer, images) = (shared.containerizer.clone(), shared.images.clone());
    let pruned = web::block(move || images::prune(&containerizer, images.as_ref(), asked)).await;
    match pruned.map_err(|_pool_is_gone| ended())? {
        Ok(()) => Ok(HttpResponse::Ok().finish()),
        Err(why) => Err(text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("Failed to prune images: {why}"),
        )),
    }
}

fn unsupported(kind: Type) -> HttpResponse {
    let name = kind.as_str_name();
    let reason = format!("{name} is not supported by this version");
    text(StatusCode::NOT_IMPLEMENTED, reason)
}

fn written(media: MediaType, body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type(media.name()).body(body)
}

/// An answer that says nothing yet but what it is to.
fn typed(kind: Answered) -> Response {
    Response {
        r#type: Some(kind as i32),
        ..Response::default()
    }
}

fn health() -> Response {
    Response {
        get_health: Some(response::GetHealth { healthy: true }),
        ..typed(Answered::GetHealth)
    }
}

fn flags(shared: &Shared) -> Response {
    let flag = |(name, value): (&String, &String)| Flag {
        name: name.clone(),
        value: Some(value.clone()),
    };
    Response {
        get_flags: Some(response::GetFlags {
            flags: shared.flags.iter().map(flag).collect(),
        }),
        ..typed(Answered::GetFlags)
    }
}

fn version() -> Response {
    let version = version::version();
    let version_info = v1::VersionInfo {
        version: version.version.to_owned(),
        build_date: Some(version.build_date.to_owned()),
        build_time: Some(version.build_time),
        build_user: Some(version.build_user.to_owned()),
        git_sha: Some(version.git_sha.to_owned()),
        ..v1::VersionInfo::default()
    };
    Response {
        get_version: Some(response::GetVersion { version_info }),
        ..typed(Answered::GetVersion)
    }
}

fn metrics(shared: &Shared) -> Response {
    let published = reads::published(shared);
    let metrics = published.iter().map(|(name, value)| Metric {
        name: name.to_string(),
        value: Some(*value),
    });
    Response {
        get_metrics: Some(response::GetMetrics {
            metrics: metrics.collect(),
        }),
        ..typed(Answered::GetMetrics)
    }
}

fn agent(shared: &Shared) -> Response {
    let snapshot = shared.snapshot();
    let drain = snapshot.drain.as_ref();
    Response {
        get_agent: Some(response::GetAgent {
            agent_info: Some(v1::AgentInfo::clone(&snapshot.info)),
            drain_config: drain.map(|drain| drain.config),
            estimated_drain_start_time: drain.map(|drain| v1::TimeInfo {
                nanoseconds: drain.started.as_nanos(),
            }),
        }),
        ..typed(Answered::GetAgent)
    }
}

fn operations(shared: &Shared) -> Response {
    let operations = shared.snapshot().operations.values().cloned().collect();
    Response {
        get_operations: Some(response::GetOperations { operations }),
        ..typed(Answered::GetOperations)
    }
}

async fn list_files(call: Call, shared: &Shared) -> Result<Response, HttpResponse> {
    let path = call.list_files.unwrap_or_default().path;
    let file_infos = files::list_files(&path, &shared.files()).await?;
    Ok(Response {
        list_files: Some(response::ListFiles { file_infos }),
        ..typed(Answered::ListFiles)
    })
}

async fn read_file(call: Call, shared: &Shared) -> Result<Response, HttpResponse> {
    let wanted = call.read_file.unwrap_or_default();
    let attached = shared.files();
    let read = files::read_file(&wanted.path, wanted.offset, wanted.length, &attached);
    let (size, data) = read.await?;
    Ok(Response {
        read_file: Some(response::ReadFile { size, data }),
        ..typed(Answered::ReadFile)
    })
}
