//! The web pages of an agent, and what they are told of it.
//! Serves no file itself; `crate::http::pages` does.

use actix_web::{HttpRequest, HttpResponse};

use super::Shared;
use crate::http::master::host_and_port;
use crate::http::{not_found, pages};

/// Answers below `/ui/`.
pub(super) fn page(request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let told = || {
        let snapshot = shared.snapshot();
        pages::Face::Agent {
            version: env!("CARGO_PKG_VERSION"),
            id: snapshot.agent_id.as_ref().map(ToString::to_string),
            hostname: snapshot.info.hostname.clone(),
            master: snapshot.master.as_deref().map(host_and_port),
            registered: snapshot.registered,
        }
    };
    pages::answer(request, told).unwrap_or_else(not_found)
}

/// Answers what no route leads to: 404, but for `/` a browser gets the first page. Mesos's agents
/// have none, and whoever asks them as a program is answered as they do.
pub(super) fn root(request: &HttpRequest) -> HttpResponse {
    pages::root_for_browsers(request).unwrap_or_else(not_found)
}
