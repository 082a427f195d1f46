//! Opens agent links: takes connections that ask for one before the HTTP server has read them.
//! Knows nothing of what is said on a link.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use bytes::BytesMut;
use tepui_core::master::messages::LinkId;
use tepui_protocol::link::PATH;
use tepui_protocol::v1;

use super::Face;
use crate::http::serve::Admission;
use crate::http::text;
use crate::master::link::{self, Pinging};

/// Time an agent has to finish the opening of its link.
const OPENING_LIMIT: Duration = Duration::from_secs(10);

/// Takes connections that are to become agent links.
#[derive(Clone)]
pub struct Links {
    face: Data<Face>,
}

impl Links {
    /// Takes them for this master.
    pub fn new(face: Data<Face>) -> Self {
        Links { face }
    }
}

impl Admission for Links {
    fn wants(&self, beginning: &[u8]) -> Option<bool> {
        wants(beginning)
    }

    fn take(&self, connection: TcpStream, peer: Option<SocketAddr>, read: BytesMut) {
        // A task of its own, of which the HTTP server's memory for connections is no part.
        actix_web::rt::spawn(open(connection, peer, read, self.face.clone()));
    }
}

/// What a request for a link is told that does not ask for a WebSocket.
pub(super) fn refuse() -> HttpResponse {
    let mut response = text(
        StatusCode::UPGRADE_REQUIRED,
        "Agent links are WebSockets; expecting 'Upgrade: websocket'",
    );
    let websocket = actix_web::http::header::HeaderValue::from_static("websocket");
    let headers = response.headers_mut();
    headers.insert(actix_web::http::header::UPGRADE, websocket);
    response
}

/// Whether a request asks for a link, once enough of it is there.
fn wants(beginning: &[u8]) -> Option<bool> {
    let line = format!("GET {PATH} ");
    let known = beginning.len().min(line.len());
    if beginning.get(..known) != line.as_bytes().get(..known) {
        return Some(false);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(beginning) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => {
            let mut upgrades = request.headers.iter().filter(|header| {
                header.name.eq_ignore_ascii_case("upgrade")
                    && header.value.eq_ignore_ascii_case(b"websocket")
            });
            Some(upgrades.next().is_some())
        }
        Err(_) => Some(false),
    }
}

async fn open(connection: TcpStream, peer: Option<SocketAddr>, read: BytesMut, face: Data<Face>) {
    let id = LinkId(face.next_link.fetch_add(1, Ordering::Relaxed));
    let info = v1::MasterInfo::clone(&face.info);
    let opening = link::accept(connection, &read, id, info);
    let opened = match tokio::time::timeout(OPENING_LIMIT, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return tracing::warn!(?peer, %error, "agent link could not be opened"),
        Err(_) => return tracing::warn!(?peer, "agent link was not opened in time"),
    };
    let peer_ip = peer.map_or_else(String::new, |peer| peer.ip().to_string());
    let pinging = Pinging {
        interval: face.config.agent_ping_timeout,
        max_unanswered: face.config.max_agent_ping_timeouts,
    };
    let master = face.master.clone();
    // What only opening needed is not kept for as long as the link lives.
    drop((face, read));
    link::serve(id, peer_ip, opened, pinging, master).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_from_other_requests_as_soon_as_they_differ() {
        let whole = format!("GET {PATH} HTTP/1.1\r\nHost: m\r\nUpgrade: WebSocket\r\n\r\n");
        for length in 0..whole.len() {
            assert_eq!(wants(&whole.as_bytes()[..length]), None, "{length}");
        }
        assert_eq!(wants(whole.as_bytes()), Some(true));
        assert_eq!(wants(b"P"), Some(false));
        assert_eq!(wants(b"GET /api/v1"), Some(false));
        let plain = format!("GET {PATH} HTTP/1.1\r\nHost: m\r\n\r\n");
        assert_eq!(wants(plain.as_bytes()), Some(false));
        let broken = format!("GET {PATH} HTTP/9\r\n\r\n");
        assert_eq!(wants(broken.as_bytes()), Some(false));
    }
}
