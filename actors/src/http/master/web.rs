//! The web pages of a master that leads, and what they are told of it.
//! Serves no file itself; `crate::http::pages` does.

use actix_web::{HttpRequest, HttpResponse};

use super::{Face, standby};
use crate::http::{not_found, pages};

/// Answers below `/ui/`.
pub(super) fn page(request: &HttpRequest, face: &Face) -> HttpResponse {
    let told = || pages::Face::Cluster {
        version: env!("CARGO_PKG_VERSION"),
        id: face.info.id.clone(),
        leader: standby::host_and_port(&face.info),
    };
    pages::answer(request, told).unwrap_or_else(not_found)
}

/// Answers what no route leads to: the first page for `/`, and 404 for all else.
pub(super) fn root(request: &HttpRequest) -> HttpResponse {
    pages::root(request).unwrap_or_else(not_found)
}
