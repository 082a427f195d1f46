//! Opens agent links: turns a request into a WebSocket and leaves it to the master's skin.
//! Knows nothing of what is said on it.

use std::sync::atomic::Ordering;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tepui_core::master::messages::LinkId;

use tepui_protocol::v1;

use super::Face;
use crate::master::link::{self, Pinging};

pub(super) async fn handle(
    request: &HttpRequest,
    payload: Payload,
    face: &Data<Face>,
) -> HttpResponse {
    let (response, session, stream) = match link::open(request, payload).await {
        Ok(opened) => opened,
        Err(error) => return error.error_response(),
    };
    let id = LinkId(face.next_link.fetch_add(1, Ordering::Relaxed));
    let peer_ip = request
        .peer_addr()
        .map_or_else(String::new, |peer| peer.ip().to_string());
    let pinging = Pinging {
        interval: face.config.agent_ping_timeout,
        max_unanswered: face.config.max_agent_ping_timeouts,
    };
    let info = v1::MasterInfo::clone(&face.info);
    let master = face.master.clone();
    actix_web::rt::spawn(link::serve(
        id, peer_ip, session, stream, info, pinging, master,
    ));
    response
}
