//! Long answers in the compressed forms that clients take: zstd and gzip.
//! Looks at no answer's content.

use std::io::{self, Write};

use actix_web::body::{BodySize, MessageBody, to_bytes};
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::background;
use super::pieces::{PieceWriter, Pieces, PiecesBody};

/// Answers at least this long are compressed for those who want it; shorter ones fit a packet.
pub const MIN_COMPRESSED_BYTES: usize = 1024;

/// How hard zstd tries. Of a `/state` of 4 MB the first level makes 191 KB in 4 ms, the third
/// 225 KB in 8 ms, the fifth 219 KB in 33 ms: what repeats so much is not found better by searching.
const ZSTD_LEVEL: i32 = 1;

/// How hard gzip tries. Of the same `/state` zlib's first level makes 278 KB in 18 ms, the sixth, its
/// usual one, 240 KB in 43 ms: an answer is read once, and mostly by somebody near.
const GZIP_LEVEL: Compression = Compression::fast();

/// A compressed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// zstd's, which takes a quarter of gzip's time here.
    Zstd,
    /// gzip's, which every client knows.
    Gzip,
}

/// A body in the form it is sent in. Copies share it.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Its bytes.
    pub pieces: Pieces,
    /// How they are compressed, if they are.
    pub coding: Option<Coding>,
}

impl Coding {
    /// The form that a client wants most, by the weights it gives; of those it likes alike the one
    /// that takes less time. None when it takes neither, or would rather have the plain form.
    pub fn wanted(request: &HttpRequest) -> Option<Coding> {
        let weights: Vec<(String, f64)> = weighted(request, ACCEPT_ENCODING).collect();
        let weight = |name: &str| {
            let mut named = weights.iter().filter(|(entry, _)| entry == name);
            named.next().map(|(_, weight)| *weight)
        };
        // What is meant by `*` is any form that is not named. Those who say it and name none
        // are given the one that has been known for longest.
        let zstd = weight("zstd").unwrap_or(0.0);
        let gzip = weight("gzip").or_else(|| weight("x-gzip"));
        let gzip = gzip.or_else(|| weight("*")).unwrap_or(0.0);
        let plain = weight("identity").unwrap_or(0.0);
        match zstd >= gzip {
            true => (zstd > 0.0 && zstd >= plain).then_some(Coding::Zstd),
            false => (gzip >= plain).then_some(Coding::Gzip),
        }
    }

    /// Its name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    fn write(self, plain: &Pieces) -> io::Result<Pieces> {
        let out = PieceWriter::default();
        let write = |out: &mut dyn Write| plain.iter().try_for_each(|piece| out.write_all(piece));
        match self {
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.set_pledged_src_size(Some(plain.len() as u64))?;
                write(&mut encoder)?;
                encoder.finish()
            }
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(out, GZIP_LEVEL);
                write(&mut encoder)?;
                encoder.finish()
            }
        }
        .map(PieceWriter::finish)
    }
}

impl Packed {
    /// A body in a wanted form, or plain if it is short. To be called where nobody waits for the
    /// thread.
    pub fn new(plain: Pieces, wanted: Option<Coding>) -> Packed {
        let Some(coding) = wanted.filter(|_| plain.len() >= MIN_COMPRESSED_BYTES) else {
            return Packed {
                pieces: plain,
                coding: None,
            };
        };
        match coding.write(&plain) {
            Ok(pieces) => Packed {
                pieces,
                coding: Some(coding),
            },
            Err(error) => {
                tracing::warn!(%error, form = coding.name(), "answer was not compressed");
                Packed {
                    pieces: plain,
                    coding: None,
                }
            }
        }
    }

    /// The answer with this body.
    pub fn answer(self, content_type: &str) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        answer.insert_header(("Content-Type", content_type));
        if let Some(coding) = self.coding {
            answer.insert_header((CONTENT_ENCODING, coding.name()));
            answer.insert_header((VARY, "accept-encoding"));
        }
        answer.body(PiecesBody::from(self.pieces))
    }
}

/// Compresses an answer if the client wants that, unless it is short, endless or compressed. The
/// work is not done on the thread that serves.
pub async fn compress(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let is_long = match answer.body().size() {
        BodySize::Sized(length) => length >= MIN_COMPRESSED_BYTES as u64,
        // Streams of events are of no known size, and never compressed.
        BodySize::None | BodySize::Stream => false,
    };
    if !is_long || answer.headers().contains_key(CONTENT_ENCODING) {
        return answer;
    }
    let Some(coding) = Coding::wanted(request) else {
        return answer;
    };
    let (mut head, body) = answer.into_parts();
    let plain = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => match to_bytes(body).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "answer was not written");
                return HttpResponse::InternalServerError().finish();
            }
        },
    };
    let kept = plain.clone();
    let pack = move || Packed::new(Pieces::from(plain), Some(coding));
    match background::spawn(pack).await {
        Ok(packed) => {
            if let Some(coding) = packed.coding {
                let headers = head.headers_mut();
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
                headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
            }
            head.set_body(PiecesBody::from(packed.pieces))
                .map_into_boxed_body()
        }
        Err(error) => {
            tracing::warn!(%error, "answer was not compressed");
            head.set_body(kept).map_into_boxed_body()
        }
    }
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
    weighted(request, name).map(|(entry, weight)| (entry, weight > 0.0))
}

/// The entries of such a header and their weights, from 0 to 1; what gives none, or no number,
/// has the highest.
fn weighted(request: &HttpRequest, name: HeaderName) -> impl Iterator<Item = (String, f64)> {
    let headers = request.headers().get_all(name);
    let texts = headers.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.and_then(|weight| weight.parse::<f64>().ok());
        let weight = weight.filter(|weight| weight.is_finite());
        (kind, weight.map_or(1.0, |weight| weight.clamp(0.0, 1.0)))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use actix_web::test::TestRequest;
    use bytes::Bytes;

    use super::*;

    fn asking(accepted: &str) -> HttpRequest {
        TestRequest::default()
            .insert_header((ACCEPT_ENCODING, accepted))
            .to_http_request()
    }

    async fn sent(answer: HttpResponse) -> Vec<u8> {
        to_bytes(answer.into_body()).await.expect("a body").to_vec()
    }

    fn unpacked(coding: Coding, packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            Coding::Zstd => zstd::Decoder::new(packed)
                .and_then(|mut decoder| decoder.read_to_end(&mut plain))
                .expect("zstd"),
            Coding::Gzip => flate2::read::GzDecoder::new(packed)
                .read_to_end(&mut plain)
                .expect("gzip"),
        };
        plain
    }

    #[test]
    fn clients_get_the_form_they_weigh_most() {
        for (accepted, wanted) in [
            ("gzip", Some(Coding::Gzip)),
            ("deflate, GZIP;q=0.5", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("zstd;q=0.4, gzip;q=0.5", Some(Coding::Gzip)),
            ("zstd;q=0.5, *;q=0.9", Some(Coding::Gzip)),
            ("zstd;q=0, gzip", Some(Coding::Gzip)),
            ("gzip;q=0, zstd;Q=0.001", Some(Coding::Zstd)),
            ("gzip;q=0.5, identity", None),
            ("identity;q=0.5, zstd", Some(Coding::Zstd)),
            ("gzip;q=0", None),
            ("gzip;q=0, *", None),
            ("*;q=0", None),
            ("br", None),
            ("identity", None),
            ("", None),
            ("gzip;q=x", Some(Coding::Gzip)),
            ("gzip;q=NaN", Some(Coding::Gzip)),
            ("gzip;q=-1", None),
        ] {
            assert_eq!(Coding::wanted(&asking(accepted)), wanted, "{accepted}");
        }
    }

    #[actix_web::test]
    async fn long_answers_are_compressed_and_say_so() {
        // Of several pieces, and nothing that packs well.
        let plain: Vec<u8> = (0..1_000_003_u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for (accepted, coding) in [("gzip", Coding::Gzip), ("zstd", Coding::Zstd)] {
            let body = PiecesBody::from(Pieces::from(Bytes::from(plain.clone())));
            for answer in [
                HttpResponse::Ok().body(plain.clone()),
                HttpResponse::Ok().body(body),
            ] {
                let answer = compress(&asking(accepted), answer).await;
                assert_eq!(answer.headers().get(CONTENT_ENCODING).unwrap(), accepted);
                assert_eq!(answer.headers().get(VARY).unwrap(), "accept-encoding");
                let size = answer.body().size();
                let packed = sent(answer).await;
                assert_eq!(size, BodySize::Sized(packed.len() as u64));
                assert_eq!(unpacked(coding, &packed), plain);
            }
        }
    }

    #[actix_web::test]
    async fn short_answers_and_streams_stay_as_they_are() {
        for (length, is_compressed) in [(0, false), (1023, false), (1024, true)] {
            let answer = HttpResponse::Ok().body(vec![b'x'; length]);
            let answer = compress(&asking("zstd"), answer).await;
            let headers = answer.headers();
            assert_eq!(headers.contains_key(CONTENT_ENCODING), is_compressed);
            let plain = Pieces::from(Bytes::from(vec![b'x'; length]));
            let packed = Packed::new(plain, Some(Coding::Gzip));
            assert_eq!(packed.coding.is_some(), is_compressed);
        }
        let chunks = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from(vec![7; 5000]))]);
        let stream = HttpResponse::Ok().streaming(chunks);
        let answer = compress(&asking("gzip"), stream).await;
        assert!(!answer.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(sent(answer).await, [7; 5000]);
    }

    #[actix_web::test]
    async fn what_is_compressed_already_stays_as_it_is() {
        let packed = HttpResponse::Ok()
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(vec![b'x'; 2000]);
        let answer = compress(&asking("gzip, zstd"), packed).await;
        assert_eq!(answer.body().size(), BodySize::Sized(2000));
    }
}
