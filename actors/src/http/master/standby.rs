//! What a master answers that does not lead: little itself, and the way to the one that does.
//! Elects nobody.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::master::model::Snapshot;
use tepui_protocol::v1;
use tokio::sync::watch;

use super::{ROUTES, Route, bad_request, pages, reads, unavailable};
use crate::clock::Clock;
use crate::election::Decision;
use crate::http::files::{self, Log};
use crate::http::form::Fields;
use crate::http::toggle::toggle;
use crate::http::{compress, json, metrics, system};
use crate::master::config::MasterConfig;
use crate::metrics::master::MasterMetrics;

/// What the handlers of a master on standby share.
pub struct Standby {
    /// The master's settings.
    pub config: Arc<MasterConfig>,
    /// What is known of the leader.
    pub decision: watch::Receiver<Decision>,
    /// A master that knows nothing, for its figures.
    pub snapshot: Snapshot,
    /// What its actors would measure.
    pub metrics: MasterMetrics,
    /// The clock.
    pub clock: Clock,
}

/// Answers every request of a master on standby.
pub async fn answer(request: HttpRequest, standby: Data<Standby>) -> HttpResponse {
    let response = match Fields::decode(request.query_string().as_bytes()) {
        Ok(_) => route(&request, &standby).await,
        Err(error) => bad_request(format!("Unable to decode query string: {error}")),
    };
    let mut response = compress::compress(&request, response);
    response.head_mut().set_camel_case_headers(true);
    response
}

/// As Mesos: what is about this process it answers itself, for all else there is the leader.
async fn route(request: &HttpRequest, standby: &Standby) -> HttpResponse {
    match ROUTES.find(request.path()) {
        Some(Route::Files(route)) => {
            let log = Log::of_master(&standby.config.flags);
            files::answer(route, request, &log).await
        }
        Some(Route::Health) => HttpResponse::Ok().finish(),
        Some(Route::Logging) => toggle(request),
        Some(Route::Version) => reads::version(request),
        Some(Route::Flags) => reads::flags(request, &standby.config),
        Some(Route::Metrics) => metrics(request, standby),
        Some(Route::Help) => pages::HELP.answer(request),
        Some(Route::Processes) => system::processes(request, &pages::HELP),
        Some(Route::SystemStats) => system::stats(request),
        Some(Route::Profiler) => system::profiler(),
        // It has read none.
        Some(Route::Registry) => json::answer(request, &serde_json::json!({})),
        Some(Route::Redirect) if goes_on(request.path()) => crate::http::not_found(),
        Some(Route::Prometheus) => prometheus(standby),
        Some(Route::Redirect) => to_leader(standby, ""),
        Some(
            Route::Scheduler
            | Route::Operator
            | Route::AgentLink
            | Route::Guard
            | Route::Why
            | Route::State
            | Route::Summary
            | Route::Slaves
            | Route::Frameworks
            | Route::Tasks
            | Route::Roles
            | Route::Quota
            | Route::Weights
            | Route::Change(_)
            | Route::Teardown
            | Route::Schedule
            | Route::Status
            | Route::MachineDown
            | Route::MachineUp,
        ) => {
            let whole = request.uri().path_and_query();
            let whole = whole.map_or("/", |whole| whole.as_str());
            to_leader(standby, &delegated(whole))
        }
        // Pages are read from the leader that they tell of, at the same path.
        Some(Route::Pages) => to_leader(standby, request.path()),
        None if request.path() == "/" => to_leader(standby, "/"),
        None => crate::http::not_found(),
    }
}

fn metrics(request: &HttpRequest, standby: &Standby) -> HttpResponse {
    let (figures, now) = (&standby.metrics, standby.clock.now());
    metrics::snapshot(request, || figures.publish(&standby.snapshot, now))
}

fn prometheus(standby: &Standby) -> HttpResponse {
    let (figures, now) = (&standby.metrics, standby.clock.now());
    metrics::prometheus(figures.prometheus(&standby.snapshot, now))
}

fn to_leader(standby: &Standby, path: &str) -> HttpResponse {
    match &*standby.decision.borrow() {
        Decision::Follow(leader) => redirect(leader, path),
        // It has won the election, or lost it, and is about to act on that.
        Decision::Wait | Decision::Lead { .. } | Decision::Stop(_) => {
            unavailable("No leader elected")
        }
    }
}

/// A path as Mesos redirects it: beginning with the process that answers it.
pub(super) fn delegated(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let own = ROUTES.delegate;
    let rest = match path.strip_prefix(own) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => {
            rest.trim_start_matches('/')
        }
        _ => path,
    };
    format!("/{own}/{rest}")
}

/// Whether a path goes on below `/redirect`: then there is nothing, so that nobody is sent in
/// circles.
pub(super) fn goes_on(path: &str) -> bool {
    !path.trim_end_matches('/').ends_with("/redirect")
}

/// Where a master is reached, by the name it gives itself.
pub(crate) fn host_and_port(master: &v1::MasterInfo) -> String {
    let host = match &master.hostname {
        Some(name) if name.contains(':') => format!("[{name}]"),
        Some(name) => name.clone(),
        None => std::net::Ipv4Addr::from(master.ip.to_le_bytes()).to_string(),
    };
    format!("{host}:{}", master.port)
}

/// Sends a client to a master, the way Mesos writes it: without a scheme, as it uses the client's.
pub(super) fn redirect(leader: &v1::MasterInfo, path: &str) -> HttpResponse {
    let location = format!("//{}{path}", host_and_port(leader));
    match HeaderValue::from_str(&location) {
        Ok(location) => HttpResponse::build(StatusCode::TEMPORARY_REDIRECT)
            .insert_header((LOCATION, location))
            .finish(),
        // A name that cannot be in a header came from another master's node.
        Err(_) => unavailable("The leading master has no usable name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_the_process_that_answers_them() {
        for (path, expected) in [
            ("/state", "/master/state"),
            ("/master/state?jsonp=f", "/master/state?jsonp=f"),
            ("/api/v1", "/master/api/v1"),
            ("//api/v1/scheduler", "/master/api/v1/scheduler"),
            ("/masters", "/master/masters"),
        ] {
            assert_eq!(delegated(path), expected);
        }
    }

    #[test]
    fn nothing_is_below_redirect() {
        assert!(!goes_on("/redirect") && !goes_on("/master/redirect/"));
        assert!(goes_on("/redirect/x") && goes_on("/master/redirect/redirect/x"));
    }

    #[test]
    fn leaders_are_named_as_they_name_themselves() {
        let mut leader = v1::MasterInfo {
            ip: u32::from_le_bytes([127, 0, 0, 1]),
            port: 5050,
            hostname: Some("m1".to_owned()),
            ..Default::default()
        };
        let location = |leader: &v1::MasterInfo| {
            let answer = redirect(leader, "/master/state");
            assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
            let location = answer.headers().get(LOCATION);
            location.unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(location(&leader), "//m1:5050/master/state");
        leader.hostname = Some("::1".to_owned());
        assert_eq!(location(&leader), "//[::1]:5050/master/state");
        leader.hostname = None;
        assert_eq!(location(&leader), "//127.0.0.1:5050/master/state");
        leader.hostname = Some("a\nb".to_owned());
        assert_eq!(
            redirect(&leader, "").status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
