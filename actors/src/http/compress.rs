//! Answers in gzip's form for clients that take it.
//! Looks at no answer's content.

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, ContentEncoding, HeaderName, HeaderValue, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

/// Answers at least this long are compressed for those who want it; shorter ones fit a packet.
const MIN_COMPRESSED_BYTES: u64 = 1024;

/// Compresses an answer if the client wants that, unless it is short, endless or compressed.
pub fn compress(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let is_long = match answer.body().size() {
        BodySize::Sized(length) => length >= MIN_COMPRESSED_BYTES,
        // Streams of events are of no known size, and never compressed.
        BodySize::None | BodySize::Stream => false,
    };
    if !is_long || answer.headers().contains_key(CONTENT_ENCODING) || !wants_gzip(request) {
        return answer;
    }
    answer.map_body(|head, body| {
        head.headers_mut()
            .insert(VARY, HeaderValue::from_static("accept-encoding"));
        let gzip = ContentEncoding::Gzip;
        BoxBody::new(actix_http::encoding::Encoder::response(gzip, head, body))
    })
}

/// Whether a client takes answers in gzip's form.
pub fn wants_gzip(request: &HttpRequest) -> bool {
    listed(request, ACCEPT_ENCODING).any(|(entry, wanted)| wanted && is_gzip(&entry))
}

fn is_gzip(entry: &str) -> bool {
    matches!(entry, "gzip" | "*")
}

/// The entries of a header that lists what a client takes, in lower case, and whether it takes
/// them: what has a weight of 0 it does not.
pub fn listed(request: &HttpRequest, name: HeaderName) -> impl Iterator<Item = (String, bool)> {
    let headers = request.headers().get_all(name);
    let texts = headers.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight = weight.and_then(|weight| weight.parse::<f64>().ok());
        (kind, weight != Some(0.0))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn compressed(length: usize, accepted: &str) -> bool {
        let request = TestRequest::default()
            .insert_header((ACCEPT_ENCODING, accepted))
            .to_http_request();
        let answer = compress(&request, HttpResponse::Ok().body(vec![b'x'; length]));
        answer.headers().contains_key(CONTENT_ENCODING)
    }

    #[test]
    fn long_answers_are_compressed_for_those_who_take_it() {
        assert!(compressed(1024, "gzip"));
        assert!(compressed(1024, "deflate, GZIP;q=0.5"));
        assert!(compressed(1024, "*"));
        assert!(!compressed(1023, "gzip"));
        assert!(!compressed(1024, "gzip;q=0"));
        assert!(!compressed(1024, "br"));
    }

    #[test]
    fn what_is_compressed_already_stays_as_it_is() {
        let request = TestRequest::default()
            .insert_header((ACCEPT_ENCODING, "gzip"))
            .to_http_request();
        let packed = HttpResponse::Ok()
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(vec![b'x'; 2000]);
        let answer = compress(&request, packed);
        assert_eq!(answer.body().size(), BodySize::Sized(2000));
    }
}
