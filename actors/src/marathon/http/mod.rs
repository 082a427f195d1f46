//! Marathon's REST API: which path leads to which handler, and what all answers share.
//! Decides nothing: reads come from the published snapshot, changes are asked of the manager.

mod answers;
mod app_info;
mod apps;
mod change;
mod deployments;
mod events;
mod groups;
mod guard;
mod headers;
mod info;
mod label;
mod measure;
mod offers;
mod path;
mod pods;
mod query;
mod queue;
mod schemas;
mod stats;
mod system;
mod tasks;
mod tasks_text;
#[cfg(test)]
mod tests;
mod why;

pub use answers::message;
pub use guard::Guard;
pub use info::{Abdication, InfoSource, Leadership, LoggerChange, Loggers, MARATHON_VERSION};
pub use info::{Metrics, ToLeader};

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;
use tepui_core::marathon::definition::parse_body;
use tepui_core::marathon::manager::Snapshot;
use tokio::sync::Semaphore;

use self::measure::Measured;
use self::query::Query;
use super::handle::Handle;
use crate::clock::Clock;
use crate::http::body::{self, Memory};
use crate::http::{pages, unread};
use crate::metrics::marathon::MarathonMetrics;

/// Event streams that may be open at a time; further ones are answered 503. Each takes some KB.
pub const MAX_STREAMS: usize = 4096;

/// Looks for a leader before a request is answered without one: for 2.75 s, as in Marathon.
const LOOKS: u32 = 55;

/// What web pages are told; each instance serves them itself, whoever leads.
const TOLD: pages::Face = pages::Face::Apps {
    version: env!("CARGO_PKG_VERSION"),
};

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Says in a query for events that they are to be passed on rather than read from the leader itself:
/// a web page may not read them from elsewhere. Not in Marathon.
const PASS_ON: &str = "passOn";

/// What the handlers of all workers share.
pub struct Face {
    /// The way to the manager.
    pub handle: Handle,
    /// What this instance tells of itself.
    pub info: Arc<InfoSource>,
    /// Where requests and answers are measured.
    pub metrics: Arc<MarathonMetrics>,
    /// The clock.
    pub clock: Clock,
    /// Memory that bodies may take.
    pub memory: Memory,
    /// Room for event streams.
    pub streams: Arc<Semaphore>,
    /// Who answers while another instance leads.
    pub to_leader: Arc<dyn ToLeader>,
    /// Who may ask.
    pub guard: Guard,
}

/// An answer, or the one a request is refused with; both are sent.
type Answered = Result<HttpResponse, HttpResponse>;

/// A request with what handlers ask about it.
struct Call<'a> {
    request: &'a HttpRequest,
    query: Query,
    face: &'a Data<Face>,
}

/// The routes of a server: every path leads to this face.
pub fn routes(face: Arc<Face>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let face = Data::from(face);
    move |config| {
        let everything = web::to(dispatch);
        config.app_data(face.clone()).default_service(everything);
    }
}

/// Answers every request.
pub async fn dispatch(
    request: HttpRequest,
    payload: web::Payload,
    face: Data<Face>,
) -> HttpResponse {
    respond(request, payload.into_inner(), &face).await
}

async fn respond(request: HttpRequest, payload: Payload, face: &Data<Face>) -> HttpResponse {
    let measured = Measured::begin(&request, face);
    let (payload, unread) = unread::watch(measured.received(payload));
    let admitted = face.guard.admit(&request);
    if admitted.is_ok()
        && let Some(page) = pages::answer(&request, || TOLD)
    {
        unread.answered();
        return measured.answered(page);
    }
    let is_elected = admitted.is_ok() && until_led(&face.info).await;
    let answer = match admitted {
        Err(refusal) => refusal,
        Ok(_room) if is_elected => lead(&request, payload, face)
            .await
            .unwrap_or_else(|refusal| refusal),
        Ok(_room) => follow(&request, payload, face).await,
    };
    unread.answered();
    let answer = headers::finish(&request, &face.info, is_elected, answer).await;
    measured.answered(answer)
}

/// Waits a little for a leader; gives whether it is this instance.
async fn until_led(info: &InfoSource) -> bool {
    let is_led = || {
        let leader = info.leadership.leader();
        info.leadership.is_elected() || leader.is_some_and(|leader| leader != info.address)
    };
    for _ in 0..LOOKS {
        if is_led() {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    info.leadership.is_elected()
}

/// Answers while another instance leads, or none: event streams are sent to the leader, unless their
/// reader cannot follow, and all else is passed on to it.
async fn follow(request: &HttpRequest, payload: Payload, face: &Data<Face>) -> HttpResponse {
    let leader = face.info.leadership.leader();
    let Some(leader) = leader.filter(|_| request.path().starts_with("/v2/events")) else {
        return face.to_leader.answer(request.clone(), payload).await;
    };
    let query = Query::parse(request.query_string());
    if !query.is_ok_and(|query| query.flag(PASS_ON, false)) {
        let whole = request.uri().path_and_query();
        let whole = whole.map_or("/v2/events", |whole| whole.as_str());
        return answers::found(&format!("{}://{leader}{whole}", face.info.scheme));
    }
    match face.streams.clone().try_acquire_owned() {
        Ok(room) => face.to_leader.stream(request.clone(), room).await,
        Err(_) => events::no_room(),
    }
}

async fn lead(request: &HttpRequest, payload: Payload, face: &Data<Face>) -> Answered {
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::Ok().finish());
    }
    let segments = path::segments(request.path())?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let call = Call {
        request,
        query: Query::parse(request.query_string())?,
        face,
    };
    let Some(("v2", rest)) = segments.split_first().map(|(first, rest)| (*first, rest)) else {
        return system::route(&call, &segments, payload).await;
    };
    if rest.first() == Some(&"events") {
        return events::route(&call, rest);
    }
    let text = face.info.text_plain_tasks && rest.last() == Some(&"tasks");
    if !(headers::accepts(request, "application/json")
        || (text && headers::accepts(request, "text/plain")))
    {
        return Err(answers::message(
            StatusCode::NOT_ACCEPTABLE,
            "Not Acceptable",
        ));
    }
    match rest {
        ["apps", rest @ ..] => apps::route(&call, rest, payload).await,
        ["tasks", rest @ ..] => tasks::route(&call, rest, payload).await,
        ["groups", rest @ ..] => groups::route(&call, rest, payload).await,
        ["deployments", rest @ ..] => deployments::route(&call, rest).await,
        ["queue", rest @ ..] => queue::route(&call, rest).await,
        ["pods", ..] => pods::route(&call, &rest.join("/")),
        ["pods::status"] => pods::route(&call, rest[0]),
        ["info" | "leader" | "plugins", ..] => info::route(&call, rest),
        ["schemas", rest @ ..] => schemas::route(&call, rest),
        _ => Err(answers::no_uri()),
    }
}

impl Call<'_> {
    /// The method; what may be read may also be asked for without its body.
    fn method(&self) -> &str {
        match self.request.method().as_str() {
            "HEAD" => "GET",
            method => method,
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.face.handle.snapshot()
    }

    /// Whether only the plan of a change is asked for. Marathon knows this of groups only.
    fn is_dry(&self) -> bool {
        self.query.flag("dryRun", false)
    }

    fn is_forced(&self) -> bool {
        self.query.flag("force", false)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// The answer: 415 for other types, 400 for what is no JSON, and those of [`body::read`].
    async fn body(&self, payload: Payload) -> Result<Value, HttpResponse> {
        if !headers::is_json(self.request) {
            let text = "Unsupported Media Type";
            return Err(answers::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        let body = body::read(self.request, payload, &self.face.memory).await?;
        parse_body(&body.bytes).map_err(|rejection| answers::refuse(&rejection))
    }
}
