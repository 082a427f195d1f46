//! Who may ask at all: basic credentials, and the number of requests that are served at a time.
//! Knows no routes and no rights of single users; there is one user who may everything.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answers;
use crate::marathon::config::HttpSettings;

/// Lets requests in; by default all.
#[derive(Default)]
pub struct Guard {
    /// `user:password`.
    credentials: Option<Vec<u8>>,
    challenge: String,
    room: Option<(usize, Arc<Semaphore>)>,
}

impl Guard {
    /// A guard with these settings.
    #[must_use]
    pub fn new(settings: &HttpSettings) -> Guard {
        let credentials = settings.http_credentials.as_ref();
        let realm = settings.http_realm.replace(['"', '\\'], "");
        Guard {
            credentials: credentials
                .map(|(user, password)| format!("{user}:{password}").into_bytes()),
            challenge: format!("Basic realm=\"{realm}\""),
            room: settings
                .http_max_concurrent_requests
                .map(|most| (most, Arc::new(Semaphore::new(most)))),
        }
    }

    /// Lets a request in; what is given is kept until it is answered.
    ///
    /// # Errors
    /// The answer: 401 without the right credentials, 503 while too many are served.
    pub(super) fn admit(
        &self,
        request: &HttpRequest,
    ) -> Result<Option<OwnedSemaphorePermit>, HttpResponse> {
        if let Some(credentials) = &self.credentials {
            let given = given(request).unwrap_or_default();
            if !is_same(credentials, &given) {
                let mut answer = answers::message(StatusCode::UNAUTHORIZED, "Unauthorized");
                let challenge = self.challenge.parse();
                if let Ok(challenge) = challenge {
                    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
                return Err(answer);
            }
        }
        let Some((most, room)) = &self.room else {
            return Ok(None);
        };
        room.clone().try_acquire_owned().map(Some).map_err(|_| {
            let text = format!("Too many concurrent requests! Allowed: {most}.");
            answers::message(StatusCode::SERVICE_UNAVAILABLE, text)
        })
    }
}

/// What stands behind `Basic`.
fn given(request: &HttpRequest) -> Option<Vec<u8>> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, coded) = header.split_once(' ')?;
    match scheme.eq_ignore_ascii_case("basic") {
        true => STANDARD.decode(coded.trim()).ok(),
        false => None,
    }
}

/// Compares in a time that tells nothing but the length of what was given.
fn is_same(right: &[u8], given: &[u8]) -> bool {
    let mut differs = u8::from(right.len() != given.len());
    for (at, byte) in given.iter().enumerate() {
        let right = right
            .get(at % right.len().max(1))
            .copied()
            .unwrap_or_default();
        differs |= std::hint::black_box(right ^ byte);
    }
    std::hint::black_box(differs) == 0
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn guard(credentials: Option<(&str, &str)>, most: Option<usize>) -> Guard {
        Guard::new(&HttpSettings {
            http_credentials: credentials.map(|(user, word)| (user.to_owned(), word.to_owned())),
            http_realm: "Meso\"sphere".to_owned(),
            http_compression: true,
            access_control_allow_origin: Vec::new(),
            http_max_concurrent_requests: most,
        })
    }

    fn request(header: &str) -> HttpRequest {
        TestRequest::get()
            .insert_header((AUTHORIZATION, header))
            .to_http_request()
    }

    #[test]
    fn only_the_right_credentials_are_let_in() {
        let guard = guard(Some(("user", "pass:word")), None);
        let coded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(guard.admit(&request(&coded("user:pass:word"))).is_ok());
        let lower = coded("user:pass:word").replace("Basic", "basic");
        assert!(guard.admit(&request(&lower)).is_ok());
        for wrong in [
            "",
            "user:pass:wore",
            "user:pass:wor",
            "user:pass:wordy",
            "x:pass:word",
        ] {
            assert!(guard.admit(&request(&coded(wrong))).is_err(), "{wrong}");
        }
        for wrong in ["", "Basic", "Basic *", "Bearer dXNlcjpwYXNzOndvcmQ="] {
            let refusal = guard.admit(&request(wrong)).expect_err(wrong);
            assert_eq!(refusal.status(), 401);
            let challenge = refusal
                .headers()
                .get(WWW_AUTHENTICATE)
                .expect("a challenge");
            assert_eq!(challenge, "Basic realm=\"Mesosphere\"");
        }
    }

    #[test]
    fn no_more_than_allowed_are_served_at_a_time() {
        let guard = guard(None, Some(1));
        let first = guard.admit(&request("")).expect("room");
        let refusal = guard.admit(&request("")).expect_err("full");
        assert_eq!(refusal.status(), 503);
        drop(first);
        assert!(guard.admit(&request("")).is_ok());
    }
}
