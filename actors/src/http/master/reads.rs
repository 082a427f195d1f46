//! The master's v0 reads: `/version`, `/flags`, `/state`, `/metrics/snapshot`.
//! They answer any method, as Mesos's do, and never ask the master: they read what it published.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Face;
use super::state::State;
use crate::allocator::{Figures, GetFigures};
use crate::http::{json, text, version};
use crate::master::config::MasterConfig;
use crate::metrics::names::{self, Published};

pub(super) fn version(request: &HttpRequest) -> HttpResponse {
    json::answer(request, &version::version())
}

pub(super) fn flags(request: &HttpRequest, config: &MasterConfig) -> HttpResponse {
    #[derive(Serialize)]
    struct Flags<'a> {
        flags: &'a BTreeMap<String, String>,
    }
    json::answer(
        request,
        &Flags {
            flags: &config.flags,
        },
    )
}

pub(super) async fn state(request: &HttpRequest, face: &Data<Face>) -> HttpResponse {
    let of = face.clone();
    let state = move || State {
        snapshot: of.snapshot.load_full(),
        config: of.config.clone(),
        address: of.address,
    };
    json::answer_shared(request, &face.state, state).await
}

pub(super) async fn metrics(request: &HttpRequest, face: &Face) -> HttpResponse {
    if let Err(refusal) = check_timeout(request) {
        return refusal;
    }
    json::answer(request, &measure(face).await)
}

/// Everything there is to publish now.
pub(super) async fn measure(face: &Face) -> Published {
    let mut published = face
        .metrics
        .publish(&face.snapshot.load_full(), face.clock.now());
    // An allocator that does not answer has ended, and the master with it.
    if let Ok(Figures(figures)) = face.allocator.send(GetFigures).await {
        names::publish_figures(&figures, &mut published);
    }
    published
}

/// Refuses a query that gives a timeout which is none.
pub(super) fn check_timeout(request: &HttpRequest) -> Result<(), HttpResponse> {
    match json::query(request, "timeout") {
        None => Ok(()),
        Some(timeout) => {
            parse_timeout(&timeout).map_err(|reason| text(StatusCode::BAD_REQUEST, reason))
        }
    }
}

/// Figures are read at once here, so a timeout is only checked.
fn parse_timeout(timeout: &str) -> Result<(), String> {
    const UNITS: [&str; 8] = ["ns", "us", "ms", "secs", "mins", "hrs", "days", "weeks"];
    let number = timeout.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = timeout.get(number.len()..).unwrap_or_default();
    if number.parse::<f64>().is_err() {
        return Err(format!(
            "Invalid timeout '{timeout}': Failed to convert '{number}' to number.\n"
        ));
    }
    if !UNITS.contains(&unit) {
        return Err(format!(
            "Invalid timeout '{timeout}': Unknown duration unit '{unit}'.\n"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_timeout;

    #[test]
    fn timeouts_are_durations() {
        assert_eq!(parse_timeout("5secs"), Ok(()));
        assert_eq!(parse_timeout("0.5mins"), Ok(()));
        assert_eq!(
            parse_timeout("abc").unwrap_err(),
            "Invalid timeout 'abc': Failed to convert '' to number.\n"
        );
        assert!(parse_timeout("5").is_err());
        assert!(parse_timeout("5parsecs").is_err());
    }
}
