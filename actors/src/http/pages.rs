//! Serves the embedded web pages, and tells them which face of the system they show.
//! Knows no state: what pages show they read from the public APIs.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use serde::Serialize;
use tepui_ui::Page;

use super::compress::wants_gzip;
use super::json::JSON;

/// Where the pages are.
const BELOW: &str = "/ui/";

/// Below [`BELOW`]: what a page asks to learn which face it shows.
const FACE: &str = "face.json";

/// Everything comes from the server that the page came from; scripts and styles from files alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A file whose name changes with its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What may change at the same name: it is kept, and asked for again.
const ASK_AGAIN: &str = "no-cache";

/// What a page is told about the server it came from.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "face", rename_all = "snake_case")]
pub enum Face {
    /// The app manager.
    Apps {
        /// The version of the program.
        version: &'static str,
    },
    /// The master.
    Cluster {
        /// The version of the program.
        version: &'static str,
        /// Id of this master.
        id: String,
        /// Its host and port as others reach it.
        leader: String,
    },
    /// An agent.
    Agent {
        /// The version of the program.
        version: &'static str,
        /// Id of this agent; none before it has registered for the first time.
        id: Option<String>,
        /// Its name.
        hostname: String,
        /// Host and port of the master it is registered with, or was last.
        master: Option<String>,
        /// Whether it is registered now.
        registered: bool,
    },
}

/// Answers for a path below `/ui/`; none when there is no such file.
pub fn answer(request: &HttpRequest, face: impl FnOnce() -> Face) -> Option<HttpResponse> {
    if !is_read(request) {
        return None;
    }
    match request.path().strip_prefix(BELOW)? {
        "" => page(request, tepui_ui::find(tepui_ui::INDEX)?),
        FACE => Some(tell(&face())),
        path => page(request, tepui_ui::find(path)?),
    }
}

/// The first page for `/`, on a server that has it there.
pub fn root(request: &HttpRequest) -> Option<HttpResponse> {
    match request.path() {
        "/" if is_read(request) => page(request, tepui_ui::find(tepui_ui::ROOT_INDEX)?),
        _ => None,
    }
}

/// The first page for `/`, for browsers alone: on a server that answers all others as Mesos's does.
pub fn root_for_browsers(request: &HttpRequest) -> Option<HttpResponse> {
    let is_browser = listed(request, &ACCEPT).any(|range| {
        let kind = range.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/html")
    });
    let mut answer = root(request).filter(|_| is_browser)?;
    let varies = HeaderValue::from_static("accept, accept-encoding");
    answer.headers_mut().insert(VARY, varies);
    Some(answer)
}

fn is_read(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn tell(face: &Face) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    secure(&mut answer);
    match serde_json::to_vec(face) {
        Ok(body) => answer
            .insert_header((CONTENT_TYPE, JSON))
            .insert_header((CACHE_CONTROL, ASK_AGAIN))
            .body(body),
        Err(error) => {
            tracing::error!(%error, "answer was not written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn page(request: &HttpRequest, page: &Page) -> Option<HttpResponse> {
    let is_known = listed(request, &IF_NONE_MATCH).any(|etag| {
        let etag = etag.strip_prefix("W/").unwrap_or(etag);
        etag == page.etag || etag == "*"
    });
    let mut answer = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    secure(&mut answer);
    let cached = if page.is_hashed { FOR_EVER } else { ASK_AGAIN };
    answer
        .insert_header((ETAG, HeaderValue::from_static(page.etag)))
        .insert_header((CACHE_CONTROL, cached))
        .insert_header((VARY, "accept-encoding"));
    if is_known {
        return Some(answer.finish());
    }
    answer.insert_header((CONTENT_TYPE, page.kind));
    if wants_gzip(request) {
        answer.insert_header((CONTENT_ENCODING, "gzip"));
        return Some(answer.body(Bytes::from_static(page.gzip)));
    }
    Some(answer.body(Bytes::from_static(page.plain)))
}

fn secure(answer: &mut HttpResponseBuilder) {
    answer
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        // Pages of agents and tasks need not know which app one comes from.
        .insert_header((REFERRER_POLICY, "no-referrer"));
}

/// The entries of headers that list something.
fn listed<'a>(request: &'a HttpRequest, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = request.headers().get_all(name);
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::http::header::ACCEPT_ENCODING;
    use actix_web::test::TestRequest;

    use super::*;

    fn face() -> Face {
        Face::Apps { version: "1.2.3" }
    }

    fn asset() -> &'static Page {
        let mut pages = tepui_ui::PAGES.iter();
        pages
            .find(|page| page.is_hashed && page.path.ends_with(".js"))
            .expect("a script")
    }

    fn header(answer: &HttpResponse, name: HeaderName) -> &str {
        let value = answer.headers().get(&name).expect("the header");
        value.to_str().expect("text")
    }

    #[actix_web::test]
    async fn files_are_served_as_they_are_or_in_gzip() {
        let asset = asset();
        let path = format!("/ui/{}", asset.path);
        for (accepted, is_gzip) in [
            ("", false),
            ("gzip;q=0, br", false),
            ("br, GZIP;q=0.5", true),
        ] {
            let request = TestRequest::get()
                .uri(&path)
                .insert_header((ACCEPT_ENCODING, accepted))
                .to_http_request();
            let answer = answer(&request, face).expect("a page");
            assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), is_gzip);
            assert_eq!(header(&answer, CACHE_CONTROL), FOR_EVER);
            assert_eq!(header(&answer, X_CONTENT_TYPE_OPTIONS), "nosniff");
            let kind = header(&answer, CONTENT_TYPE).to_owned();
            assert_eq!(kind, "text/javascript; charset=utf-8");
            let body = to_bytes(answer.into_body()).await.expect("a body");
            assert_eq!(body, if is_gzip { asset.gzip } else { asset.plain });
        }
    }

    #[actix_web::test]
    async fn what_a_browser_has_is_not_sent_again() {
        let index = tepui_ui::find(tepui_ui::INDEX).expect("the first page");
        for (known, status) in [
            (index.etag.to_owned(), 304),
            (format!("\"x\", W/{}", index.etag), 304),
            ("\"x\"".to_owned(), 200),
        ] {
            let request = TestRequest::get()
                .uri("/ui/")
                .insert_header((IF_NONE_MATCH, known))
                .to_http_request();
            let answer = answer(&request, face).expect("a page");
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(header(&answer, CACHE_CONTROL), ASK_AGAIN);
            assert_eq!(header(&answer, ETAG), index.etag);
        }
    }

    #[actix_web::test]
    async fn no_script_from_elsewhere_may_run() {
        let request = TestRequest::get().uri("/").to_http_request();
        let answer = root(&request).expect("a page");
        let policy = header(&answer, CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
        assert!(!policy.contains("unsafe") && !policy.contains("data:"));
        assert_eq!(header(&answer, X_FRAME_OPTIONS), "DENY");
    }

    #[actix_web::test]
    async fn a_page_learns_which_face_it_shows() {
        let request = TestRequest::get().uri("/ui/face.json").to_http_request();
        let answer = answer(&request, face).expect("an answer");
        let body = to_bytes(answer.into_body()).await.expect("a body");
        assert_eq!(body, r#"{"face":"apps","version":"1.2.3"}"#);
    }

    #[actix_web::test]
    async fn an_agent_that_has_no_id_yet_says_so() {
        let face = || Face::Agent {
            version: "1.2.3",
            id: None,
            hostname: "host".to_owned(),
            master: None,
            registered: false,
        };
        let request = TestRequest::get().uri("/ui/face.json").to_http_request();
        let answer = answer(&request, face).expect("an answer");
        let body = to_bytes(answer.into_body()).await.expect("a body");
        let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let expected = serde_json::json!({
            "face": "agent", "version": "1.2.3", "id": null, "hostname": "host", "master": null,
            "registered": false,
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn only_browsers_are_shown_a_page_where_mesos_has_none() {
        let asked = |accepted: &str| {
            let request = TestRequest::get().uri("/");
            let request = request.insert_header((ACCEPT, accepted)).to_http_request();
            root_for_browsers(&request)
        };
        for accepted in [
            "text/html,application/xml;q=0.9,*/*;q=0.8",
            "a/b, TEXT/HTML;q=1",
        ] {
            let answer = asked(accepted).expect(accepted);
            assert_eq!(header(&answer, VARY), "accept, accept-encoding");
        }
        for accepted in ["", "*/*", "application/json", "text/htmlx", "text/*"] {
            assert!(asked(accepted).is_none(), "{accepted}");
        }
    }

    #[test]
    fn what_is_no_page_is_left_to_others() {
        for (method, path) in [
            (Method::POST, "/ui/"),
            (Method::GET, "/ui"),
            (Method::GET, "/ui/none.js"),
            (Method::GET, "/ui/../Cargo.toml"),
            (Method::GET, "/v2/apps"),
        ] {
            let request = TestRequest::default()
                .method(method)
                .uri(path)
                .to_http_request();
            assert!(answer(&request, face).is_none(), "{path}");
            assert!(root(&request).is_none(), "{path}");
        }
        let request = TestRequest::post().uri("/").to_http_request();
        assert!(root(&request).is_none());
    }
}
