//! What an instance tells of itself: /v2/info, /v2/leader, /v2/plugins; and where that comes from.
//! Elects nobody and measures nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tepui_core::marathon::matching::MatchSettings;
use tokio::sync::OwnedSemaphorePermit;

use super::{Answered, Call, answers, change};
use crate::marathon::process::path_of;

/// Version of Marathon's interfaces spoken here. Clients parse it.
pub const MARATHON_VERSION: &str = "1.11.0";

/// Time between the answer to DELETE /v2/leader and stepping down. Marathon.
const STEP_DOWN_DELAY: Duration = Duration::from_millis(500);

/// What an instance tells of itself.
pub struct InfoSource {
    /// `http` or `https`: how instances are reached.
    pub scheme: &'static str,
    /// Own host and port.
    pub address: String,
    /// `marathon_config` of /v2/info, written already: its members keep Marathon's order.
    pub marathon_config: Box<RawValue>,
    /// `zookeeper_config` of /v2/info.
    pub zookeeper_config: Box<RawValue>,
    /// `http_config` of /v2/info.
    pub http_config: Box<RawValue>,
    /// `--access_control_allow_origin`; empty means that no such header is sent.
    pub access_control_allow_origin: Vec<String>,
    /// Whether long answers are compressed for those who ask for it: `--http_compression`.
    pub compresses: bool,
    /// Whether lists of tasks are given as text to those who ask: the feature `text_plain_tasks`
    /// of `--deprecated_features`.
    pub text_plain_tasks: bool,
    /// Flags that offers are matched by, to tell why one was not used.
    pub matching: MatchSettings,
    /// Who leads.
    pub leadership: Box<dyn Leadership>,
    /// What is measured.
    pub metrics: Box<dyn Metrics>,
    /// Levels of logging.
    pub loggers: Box<dyn Loggers>,
}

/// Who leads, as this instance knows it.
pub trait Leadership: Send + Sync {
    /// Whether this instance leads and is ready.
    fn is_elected(&self) -> bool;
    /// Host and port of the leader, if one is known.
    fn leader(&self) -> Option<String>;
    /// Steps down.
    fn abdicate(&self, wishes: Abdication);
}

/// What is to be done before another instance takes over; places are `file` URIs of the leader's
/// machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Abdication {
    /// Where a backup is to be written to.
    pub backup: Option<String>,
    /// The backup that is to replace what is stored; after the backup that is written.
    pub restore: Option<String>,
}

/// What is measured.
pub trait Metrics: Send + Sync {
    /// As GET /metrics shows it.
    fn json(&self) -> Value;
    /// In the text form of Prometheus; none when that is disabled.
    fn prometheus(&self) -> Option<String>;
}

/// Levels of logging.
pub trait Loggers: Send + Sync {
    /// Levels by name of the logger; `ROOT` is among them.
    fn levels(&self) -> BTreeMap<String, String>;
    /// Changes one.
    fn change(&self, change: LoggerChange);
}

/// A change of one logger's level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggerChange {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Name of the logger; not empty.
    pub logger: String,
    /// Time after which the level before comes back; none means for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
}

/// Answers for an instance that does not lead, by asking the leader.
pub trait ToLeader: Send + Sync {
    /// Passes a request on.
    fn answer(&self, request: HttpRequest, body: Payload) -> LocalBoxFuture<'static, HttpResponse>;

    /// Passes a request for a stream of events on, which takes up `room` as long as it is read.
    fn stream(
        &self,
        request: HttpRequest,
        room: OwnedSemaphorePermit,
    ) -> LocalBoxFuture<'static, HttpResponse>;
}

/// What this instance was started with.
#[derive(Serialize)]
pub(super) struct Flags<'a> {
    marathon_config: &'a RawValue,
    zookeeper_config: &'a RawValue,
    http_config: &'a RawValue,
}

impl InfoSource {
    pub(super) fn flags(&self) -> Flags<'_> {
        Flags {
            marathon_config: &self.marathon_config,
            zookeeper_config: &self.zookeeper_config,
            http_config: &self.http_config,
        }
    }
}

#[derive(Serialize)]
struct Info<'a> {
    name: &'static str,
    version: &'static str,
    buildref: &'static str,
    elected: bool,
    leader: Option<String>,
    #[serde(rename = "frameworkId")]
    framework_id: Option<&'a str>,
    #[serde(flatten)]
    flags: Flags<'a>,
}

/// Routes of /v2/info, /v2/leader and /v2/plugins.
pub(super) fn route(call: &Call<'_>, rest: &[&str]) -> Answered {
    match (rest, call.method()) {
        (["info"], "GET") => info(call),
        (["leader"], "GET") => leader(call),
        (["leader"], "DELETE") => abdicate(call),
        (["plugins"], "GET") => answers::ok(&json!({"plugins": []})),
        (["info" | "leader" | "plugins"], _) => Err(answers::not_allowed()),
        (["plugins", plugin, ..], _) => {
            let text = format!("No plugin with this pluginId: {plugin}");
            Err(answers::detailed(StatusCode::NOT_FOUND, text))
        }
        _ => Err(answers::no_uri()),
    }
}

fn info(call: &Call<'_>) -> Answered {
    let info = &call.face.info;
    let snapshot = call.snapshot();
    let commit = crate::http::version::version().git_sha;
    answers::ok(&Info {
        name: "marathon",
        version: MARATHON_VERSION,
        buildref: if commit.is_empty() { "unknown" } else { commit },
        elected: info.leadership.is_elected(),
        leader: info.leadership.leader(),
        framework_id: snapshot.framework_id.as_deref(),
        flags: info.flags(),
    })
}

fn leader(call: &Call<'_>) -> Answered {
    let leader = call.face.info.leadership.leader().ok_or_else(no_leader)?;
    answers::ok(&json!({"leader": leader}))
}

fn no_leader() -> HttpResponse {
    answers::detailed(StatusCode::NOT_FOUND, "There is no leader")
}

fn abdicate(call: &Call<'_>) -> Answered {
    let place = |name: &str| {
        let place = call.query.get(name).map(str::to_owned);
        match place.filter(|place| !place.is_empty()) {
            Some(place) if path_of(&place).is_none() => {
                let text = format!(
                    "Invalid URI or unsupported scheme: {place}; expected a file of the leader, file:///path"
                );
                Err(answers::message(StatusCode::UNPROCESSABLE_ENTITY, text))
            }
            place => Ok(place),
        }
    };
    let wishes = Abdication {
        backup: place("backup")?,
        restore: place("restore")?,
    };
    if call.is_dry() {
        return change::no_steps();
    }
    let info = call.face.info.clone();
    actix_web::rt::spawn(async move {
        tokio::time::sleep(STEP_DOWN_DELAY).await;
        info.leadership.abdicate(wishes);
    });
    Ok(answers::detailed(StatusCode::OK, "Leadership abdicated"))
}
