//! Passes requests on to the leading instance, as Marathon's instances do that do not lead.
//! Knows no routes, and finds no leader.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, BoxBody};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::ProxySettings;
use super::http::{InfoSource, ToLeader, message};
use crate::http::body::{self, Memory};

/// Names the instances that a request or an answer went through.
const VIA: &str = "x-marathon-via";

/// Tells the leader who asks.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Time after which a stream of events counts as dead; the leader gives a sign of life every 10 s.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Headers that belong to one connection, and those that this proxy makes anew.
const NOT_PASSED_ON: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Passes requests on.
pub struct Proxy(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    /// For streams of events, which may be silent for longer than an answer.
    of_streams: reqwest::Client,
    connections: Arc<Semaphore>,
    info: Arc<InfoSource>,
    memory: Memory,
}

impl Proxy {
    /// A proxy of the instance that `info` tells of.
    ///
    /// # Errors
    /// When the system has no random numbers or certificates to start with.
    pub fn new(
        settings: &ProxySettings,
        info: Arc<InfoSource>,
        memory: Memory,
    ) -> std::io::Result<Proxy> {
        let client = |silence| {
            reqwest::Client::builder()
                .connect_timeout(settings.leader_proxy_connection_timeout)
                .read_timeout(silence)
                .pool_max_idle_per_host(settings.leader_proxy_max_open_connections)
                .redirect(reqwest::redirect::Policy::none())
                .http1_title_case_headers()
                .no_proxy()
                .build()
                .map_err(std::io::Error::other)
        };
        let most = settings.leader_proxy_max_open_connections.max(1);
        Ok(Proxy(Arc::new(Inner {
            client: client(settings.leader_proxy_read_timeout)?,
            of_streams: client(MAX_SILENCE)?,
            connections: Arc::new(Semaphore::new(most)),
            info,
            memory,
        })))
    }
}

impl Inner {
    /// What this instance adds to `X-Marathon-Via`.
    fn via(&self) -> String {
        format!("1.1 {}", self.info.address)
    }

    async fn pass_on(&self, request: HttpRequest, payload: Payload) -> HttpResponse {
        let leader = match self.checked(&request) {
            Ok(leader) => leader,
            Err(refusal) => return refusal,
        };
        let body = match body::read(&request, payload, &self.memory).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        // Never closed; a request waits for its turn as it would in the leader's queue.
        let Ok(connection) = self.connections.clone().acquire_owned().await else {
            return message(StatusCode::SERVICE_UNAVAILABLE, "this instance is ending");
        };
        let bytes = body.bytes.clone();
        let sent = self.request(&self.client, &request, &leader, bytes);
        self.answered(sent, connection).await
    }

    /// What the leader answers, which is read as fast as the client does. As long as it is read, it
    /// takes up its place among those that may be open.
    async fn answered(
        &self,
        sent: reqwest::RequestBuilder,
        place: OwnedSemaphorePermit,
    ) -> HttpResponse {
        let answer = match sent.send().await {
            Ok(answer) => answer,
            Err(error) => return refused(&error),
        };
        let status = StatusCode::from_u16(answer.status().as_u16());
        let mut passed = HttpResponse::build(status.unwrap_or(StatusCode::BAD_GATEWAY));
        for (name, value) in answer.headers() {
            let is_kept =
                name.as_str() == "content-encoding" || !NOT_PASSED_ON.contains(&name.as_str());
            if let (true, Some(name), Some(value)) = (is_kept, own_name(name), own_value(value)) {
                passed.append_header((name, value));
            }
        }
        passed.append_header((VIA, self.via()));
        let pieces = answer.bytes_stream().map(move |piece| {
            let _ = &place;
            piece.map_err(std::io::Error::other)
        });
        passed.body(BoxBody::new(BodyStream::new(pieces)))
    }

    /// Where a request is to be sent.
    ///
    /// # Errors
    /// The answer to give when there is no leader, or the request came from here.
    fn checked(&self, request: &HttpRequest) -> Result<String, HttpResponse> {
        let via = self.via();
        let seen = request.headers().get_all(VIA);
        if seen
            .filter_map(|it| it.to_str().ok())
            .any(|it| it.split(',').any(|it| it.trim() == via))
        {
            let text = "Detected proxying loop.";
            return Err(message(StatusCode::BAD_GATEWAY, text));
        }
        self.leader().ok_or_else(|| {
            let text = "Could not determine the current leader";
            message(StatusCode::BAD_GATEWAY, text)
        })
    }

    /// The request as it is sent to the leader.
    fn request(
        &self,
        client: &reqwest::Client,
        request: &HttpRequest,
        leader: &str,
        body: Bytes,
    ) -> reqwest::RequestBuilder {
        let whole = request.uri().path_and_query().map_or("/", |it| it.as_str());
        let url = format!("{}://{leader}{whole}", self.info.scheme);
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
        let mut sent = client.request(method.unwrap_or_default(), url);
        for (name, value) in request.headers() {
            let is_made_anew = NOT_PASSED_ON.contains(&name.as_str());
            if !is_made_anew {
                sent = sent.header(name.as_str(), value.as_bytes());
            }
        }
        if let Some(peer) = request.peer_addr() {
            sent = sent.header(FORWARDED_FOR, peer.ip().to_string());
        }
        sent.header(VIA, self.via()).body(body)
    }

    /// The leader, if it is another instance.
    fn leader(&self) -> Option<String> {
        let leader = self.info.leadership.leader();
        leader.filter(|leader| *leader != self.info.address)
    }
}

impl ToLeader for Proxy {
    fn answer(&self, request: HttpRequest, body: Payload) -> LocalBoxFuture<'static, HttpResponse> {
        let proxy = self.0.clone();
        Box::pin(async move { proxy.pass_on(request, body).await })
    }

    fn stream(
        &self,
        request: HttpRequest,
        room: OwnedSemaphorePermit,
    ) -> LocalBoxFuture<'static, HttpResponse> {
        let proxy = self.0.clone();
        Box::pin(async move {
            let leader = match proxy.checked(&request) {
                Ok(leader) => leader,
                Err(refusal) => return refusal,
            };
            let sent = proxy.request(&proxy.of_streams, &request, &leader, Bytes::new());
            proxy.answered(sent, room).await
        })
    }
}

fn refused(error: &reqwest::Error) -> HttpResponse {
    tracing::warn!(error = %whole(error), "the leader does not answer");
    if error.is_connect() && !error.is_timeout() {
        return message(StatusCode::BAD_GATEWAY, "Connection to leader refused.");
    }
    let text = match error.is_timeout() {
        true => "the leader does not answer in time".to_owned(),
        false => format!("the connection to the leader failed: {}", whole(error)),
    };
    message(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// An error with all its causes.
fn whole(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Two libraries, two types.
fn own_name(name: &reqwest::header::HeaderName) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

fn own_value(value: &reqwest::header::HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}
