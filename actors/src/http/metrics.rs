//! `/metrics/snapshot` and `/metrics/prometheus`, as master and agent answer them alike.
//! Measures nothing and knows no names.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};

use super::{json, text};
use crate::metrics::sink::Published;
use crate::metrics::text::CONTENT_TYPE;

/// Answers with Mesos's keys and their values, or refuses a query whose timeout is none.
pub fn snapshot(request: &HttpRequest, published: impl FnOnce() -> Published) -> HttpResponse {
    match check_timeout(request) {
        Ok(()) => json::answer(request, &published()),
        Err(refusal) => refusal,
    }
}

/// Answers with text in the form of Prometheus.
pub fn prometheus(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Content-Type", CONTENT_TYPE))
        .body(text)
}

/// Refuses a query that gives a timeout which is none.
pub fn check_timeout(request: &HttpRequest) -> Result<(), HttpResponse> {
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
            parse_timeout("abc").expect_err("no duration"),
            "Invalid timeout 'abc': Failed to convert '' to number.\n"
        );
        assert!(parse_timeout("5").is_err());
        assert!(parse_timeout("5parsecs").is_err());
    }
}
