//! The reads of the operator API, each as the message that answers it.
//! What may be large is written elsewhere, and so are streams.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::master::model::Snapshot;
use tepui_core::master::operator::{self, Read, Usage};
use tepui_protocol::v1::master::Response;
use tepui_protocol::v1::master::response::{self, Type};
use tepui_protocol::v1::{self, Flag, Metric, VersionInfo};

use super::super::Face;
use super::super::reads::measure;
use super::large::{self, Large, Section};
use super::subscribe;
use crate::http::media::MediaType;
use crate::http::version;
use crate::logging;
use crate::master::config::MasterConfig;
use crate::metrics::sink::Published;

/// Answers a read.
///
/// # Errors
/// With the answer, when a stream cannot begin.
pub(super) async fn answer(
    request: &HttpRequest,
    face: &Data<Face>,
    read: Read,
    media: MediaType,
) -> Result<HttpResponse, HttpResponse> {
    let large = |large| large::answer(request, face, large, media);
    let snapshot = || face.snapshot.load();
    let response = match read {
        Read::State => return Ok(large(Large::State).await),
        Read::Agents => return Ok(large(Large::One(Section::Agents)).await),
        Read::Frameworks => return Ok(large(Large::One(Section::Frameworks)).await),
        Read::Executors => return Ok(large(Large::One(Section::Executors)).await),
        Read::Tasks => return Ok(large(Large::One(Section::Tasks)).await),
        Read::Subscribe => return subscribe::begin(request, face, media).await,
        Read::SetLoggingLevel(set) => {
            logging::process().set_verbosity(set.level, set.time);
            return Ok(HttpResponse::Ok().finish());
        }
        Read::Health => health(),
        Read::Flags => flags(&face.config),
        Read::Version => version(),
        Read::Metrics => metrics(measure(face)),
        Read::LoggingLevel => logging_level(),
        Read::Roles => roles(&snapshot(), face.config.roles.as_deref()),
        Read::Weights => weights(&snapshot()),
        Read::Master => master(&snapshot()),
        Read::MaintenanceStatus => maintenance_status(&snapshot()),
        Read::MaintenanceSchedule => maintenance_schedule(&snapshot()),
        Read::Quota => quota(&snapshot()),
        Read::Operations => operations(&snapshot()),
    };
    Ok(HttpResponse::Ok()
        .insert_header(("Content-Type", media.name()))
        .body(media.encode(&response)))
}

fn of(kind: Type) -> Response {
    Response {
        r#type: Some(kind as i32),
        ..Response::default()
    }
}

/// A master that answers is well.
fn health() -> Response {
    Response {
        get_health: Some(response::GetHealth { healthy: true }),
        ..of(Type::GetHealth)
    }
}

fn flags(config: &MasterConfig) -> Response {
    let flags = config.flags.iter();
    let flag = |(name, value): (&String, &String)| Flag {
        name: name.clone(),
        value: Some(value.clone()),
    };
    Response {
        get_flags: Some(response::GetFlags {
            flags: flags.map(flag).collect(),
        }),
        ..of(Type::GetFlags)
    }
}

fn version() -> Response {
    let version = version::version();
    let version_info = VersionInfo {
        version: version.version.to_owned(),
        build_date: Some(version.build_date.to_owned()),
        build_time: Some(version.build_time),
        build_user: Some(version.build_user.to_owned()),
        git_sha: Some(version.git_sha.to_owned()),
        ..VersionInfo::default()
    };
    Response {
        get_version: Some(response::GetVersion { version_info }),
        ..of(Type::GetVersion)
    }
}

fn metrics(published: Published) -> Response {
    let metric = |(name, value): (std::borrow::Cow<'static, str>, f64)| Metric {
        name: name.into_owned(),
        value: Some(value),
    };
    Response {
        get_metrics: Some(response::GetMetrics {
            metrics: published.into_iter().map(metric).collect(),
        }),
        ..of(Type::GetMetrics)
    }
}

fn logging_level() -> Response {
    let level = logging::process().verbosity();
    Response {
        get_logging_level: Some(response::GetLoggingLevel { level }),
        ..of(Type::GetLoggingLevel)
    }
}

pub(super) fn roles(snapshot: &Snapshot, listed: Option<&[String]>) -> Response {
    let roles = operator::roles(snapshot, &Usage::of(snapshot), listed);
    Response {
        get_roles: Some(response::GetRoles { roles }),
        ..of(Type::GetRoles)
    }
}

fn weights(snapshot: &Snapshot) -> Response {
    let weight_infos = operator::weights(snapshot);
    Response {
        get_weights: Some(response::GetWeights { weight_infos }),
        ..of(Type::GetWeights)
    }
}

fn master(snapshot: &Snapshot) -> Response {
    Response {
        get_master: Some(response::GetMaster {
            master_info: Some(v1::MasterInfo::clone(&snapshot.master)),
            start_time: Some(snapshot.start_time.as_secs_f64()),
            elected_time: Some(snapshot.elected_time.as_secs_f64()),
        }),
        ..of(Type::GetMaster)
    }
}

fn maintenance_status(snapshot: &Snapshot) -> Response {
    let status = operator::maintenance_status(snapshot);
    Response {
        get_maintenance_status: Some(response::GetMaintenanceStatus { status }),
        ..of(Type::GetMaintenanceStatus)
    }
}

fn maintenance_schedule(snapshot: &Snapshot) -> Response {
    let schedule = snapshot.maintenance.schedule();
    Response {
        get_maintenance_schedule: Some(response::GetMaintenanceSchedule { schedule }),
        ..of(Type::GetMaintenanceSchedule)
    }
}

fn quota(snapshot: &Snapshot) -> Response {
    let status = operator::quota_status(snapshot);
    Response {
        get_quota: Some(response::GetQuota { status }),
        ..of(Type::GetQuota)
    }
}

fn operations(snapshot: &Snapshot) -> Response {
    let operations = operator::operations(snapshot).cloned().collect();
    Response {
        get_operations: Some(response::GetOperations { operations }),
        ..of(Type::GetOperations)
    }
}
