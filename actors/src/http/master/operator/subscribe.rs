//! SUBSCRIBE of the operator API: the whole state, and then all that happens.
//! The stream itself is `crate::master::subscribers`'s.

use std::sync::atomic::Ordering;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::oneshot;

use super::super::{Face, unavailable};
use super::large::subscribed;
use crate::http::background;
use crate::http::media::MediaType;
use crate::master::ToMaster;
use crate::master::subscribers::{self, Seat};

/// Begins a stream, when it is its turn.
pub(super) async fn begin(
    request: &HttpRequest,
    face: &Data<Face>,
    media: MediaType,
) -> Result<HttpResponse, HttpResponse> {
    let ended = || unavailable("Master is shutting down");
    let turn = face.operator.beginning.acquire().await;
    let turn = turn.map_err(|_| ended())?;
    let id = &face.operator.next_subscriber;
    let id = id.fetch_add(1, Ordering::Relaxed);
    let peer = request.peer_addr().map(|peer| peer.to_string());
    let seat = Seat::new(id, peer.unwrap_or_default(), face.master.clone());
    let (reply, opened) = oneshot::channel();
    face.master.send(ToMaster::Subscribe { seat, reply });
    let opened = opened.await.map_err(|_| ended())?;
    let snapshot = opened.snapshot.clone();
    let first = background::spawn(move || subscribed(snapshot, media)).await;
    drop(turn);
    let first = first.map_err(|error| {
        tracing::error!(%error, "state was not written");
        HttpResponse::InternalServerError().finish()
    })?;
    Ok(HttpResponse::Ok()
        .insert_header(("Content-Type", media.name()))
        .streaming(subscribers::open(media, &first, opened)))
}
