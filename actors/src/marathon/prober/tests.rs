//! Tests of the prober against servers that answer what their test wants, over real sockets.
//! Nothing here depends on how long something takes; which probe is due when is tested in `wheel`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::client::connection::{Connection, Security};

/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(120);

/// A time limit for what will never be answered.
const SHORT: Duration = Duration::from_millis(50);

/// Listens on a free port.
async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Serves every connection this answer to its first request, then closes it if `close` says so.
async fn serve(answer: impl Into<Vec<u8>>, close: bool) -> u16 {
    let (listener, port) = listen().await;
    let answer = answer.into();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move { reply(stream, &answer, close).await });
        }
    });
    port
}

/// Reads a request's head, answers, and waits for the end of the connection.
async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], close: bool) {
    read_head(&mut stream).await;
    // The other side may have read enough by then.
    let _ = stream.write_all(answer).await;
    if close {
        let _ = stream.shutdown().await;
    }
    let _ = stream.read(&mut [0; 100]).await;
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

fn get(scheme: Scheme) -> HttpGet {
    HttpGet {
        scheme,
        path: "/health".to_owned(),
    }
}

fn http(ignore_1xx: bool) -> HealthProbe {
    HealthProbe::Http {
        get: get(Scheme::Http),
        ignore_1xx,
    }
}

/// A health check whose first probe is made at once.
fn now(probe: HealthProbe, port: u16, timeout: Duration) -> ProbeSpec {
    ProbeSpec {
        first_after: Duration::ZERO,
        ..ProbeSpec::health(probe, ("127.0.0.1", port), LONG, timeout)
    }
}

/// The outcome of a probe.
async fn outcome(spec: ProbeSpec) -> Outcome {
    let (results, mut received) = mpsc::channel(1);
    let prober = Prober::start(results);
    prober.watch("key", spec);
    let result = received.recv().await.unwrap();
    assert_eq!(result.key, "key");
    result.outcome
}

/// The outcome of an HTTP health check of a server with this answer.
async fn health_of(answer: &str) -> Outcome {
    let port = serve(answer, true).await;
    outcome(now(http(false), port, LONG)).await
}

fn alive() -> Outcome {
    Outcome::Health {
        alive: true,
        cause: None,
    }
}

fn cause(outcome: Outcome) -> String {
    match outcome {
        Outcome::Health {
            alive: false,
            cause: Some(cause),
        } => cause,
        other => panic!("must be unhealthy: {other:?}"),
    }
}

async fn readiness_of(answer: impl Into<Vec<u8>>, close: bool, timeout: Duration) -> Outcome {
    let port = serve(answer, close).await;
    let at = ("127.0.0.1", port);
    outcome(ProbeSpec::readiness(get(Scheme::Http), at, LONG, timeout)).await
}

fn answered(status: u16, content_type: &str, body: &str) -> Outcome {
    Outcome::Readiness {
        answered: true,
        status,
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    }
}

#[test]
fn the_first_probe_comes_when_marathon_makes_it() {
    let at = ("h", 1);
    let first = |secs| {
        let interval = Duration::from_secs(secs);
        ProbeSpec::health(HealthProbe::Tcp, at, interval, LONG).first_after
    };
    assert_eq!(first(3), Duration::from_secs(3));
    assert_eq!(first(60), Duration::from_secs(5));
    let ready = ProbeSpec::readiness(get(Scheme::Http), at, LONG, LONG);
    assert_eq!(ready.first_after, Duration::ZERO);
}

#[tokio::test]
async fn statuses_from_200_to_399_are_healthy() {
    for status in [200, 204, 299, 302, 399] {
        // No redirect is followed: where this one leads nobody listens.
        let answer = format!("HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
        assert_eq!(health_of(&answer).await, alive(), "{status}");
    }
    for (status, expected) in [
        ("404 Not Found", "404 Not Found"),
        ("500 Oh", "500 Oh"),
        ("400", "400"),
        ("103 Early Hints", "103 Early Hints"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\n\r\n");
        assert_eq!(cause(health_of(&answer).await), expected);
    }
}

#[tokio::test]
async fn an_informational_status_counts_neither_way_if_so_wanted() {
    let port = serve("HTTP/1.1 102 Processing\r\n\r\n", false).await;
    assert_eq!(outcome(now(http(true), port, LONG)).await, Outcome::Ignored);
    let port = serve("HTTP/1.1 200 OK\r\n\r\n", false).await;
    assert_eq!(outcome(now(http(true), port, LONG)).await, alive());
}

#[tokio::test]
async fn the_body_of_a_health_check_is_not_waited_for() {
    let port = serve("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", false).await;
    assert_eq!(outcome(now(http(false), port, LONG)).await, alive());
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        read_head(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let _ = stream.read(&mut [0; 10]).await;
    });
    assert_eq!(outcome(now(http(false), port, LONG)).await, alive());
}

#[tokio::test]
async fn whoever_does_not_answer_is_unhealthy() {
    for (answer, close, timeout, expected) in [
        ("", false, SHORT, "no answer within 50 ms"),
        (
            "HTTP/1.1 200 OK\r\nA: ",
            false,
            SHORT,
            "no answer within 50 ms",
        ),
        ("HTTP/1.1 200 OK\r\nA: ", true, LONG, "closed before"),
        ("", true, LONG, "closed before"),
        ("SSH-2.0-x\r\n\r\n", false, LONG, "not HTTP"),
    ] {
        let port = serve(answer, close).await;
        let cause = cause(outcome(now(http(false), port, timeout)).await);
        assert!(cause.contains(expected), "{answer:?}: {cause}");
    }
    let huge = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(1 << 20));
    let cause = cause(health_of(&huge).await);
    assert!(cause.contains("longer than 16384 bytes"), "{cause}");
}

#[tokio::test]
async fn a_connection_is_enough_by_tcp_and_necessary_everywhere() {
    let (listener, port) = listen().await;
    assert_eq!(outcome(now(HealthProbe::Tcp, port, LONG)).await, alive());
    drop(listener);
    for probe in [HealthProbe::Tcp, http(false)] {
        let cause = cause(outcome(now(probe, port, LONG)).await);
        assert!(cause.contains("refused"), "{cause}");
    }
}

#[tokio::test]
async fn ipv6_addresses_are_probed_with_and_without_brackets() {
    let listener = TcpListener::bind(("::1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["::1", "[::1]"] {
        let mut spec = now(http(false), port, LONG);
        spec.host = host.to_owned();
        let (heads, mut head) = mpsc::channel(1);
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            heads.send(read_head(&mut stream).await).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            stream
        };
        let (found, _stream) = tokio::join!(outcome(spec), answering);
        assert_eq!(found, alive());
        let head = head.recv().await.unwrap();
        assert!(head.starts_with("GET /health HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains(&format!("\r\nHost: [::1]:{port}\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn readiness_checks_bring_the_answer_home() {
    let counted = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nready";
    let ready = answered(200, "text/plain", "ready");
    assert_eq!(readiness_of(counted, false, LONG).await, ready);
    let chunked = "HTTP/1.1 503 X\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nnot\r\n4\r\n yet\r\n0\r\n\r\n";
    let not_yet = answered(503, "text/html", "not yet");
    assert_eq!(readiness_of(chunked, false, LONG).await, not_yet);
    let closed = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    let whole = answered(200, "application/octet-stream", "until the end");
    assert_eq!(readiness_of(closed, true, LONG).await, whole);

    let mut endless = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n".to_vec();
    endless.resize(1 << 20, b'x');
    let cut = answered(200, "a/b", &"x".repeat(probe::MAX_BODY_BYTES));
    assert_eq!(readiness_of(endless, false, LONG).await, cut);
}

#[tokio::test]
async fn a_readiness_check_without_an_answer_is_kept_as_marathon_keeps_it() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    for (answer, close, timeout, reason) in [
        ("", false, SHORT, "no answer within"),
        (half, false, SHORT, "no answer within"),
        (half, true, LONG, "closed before"),
    ] {
        let Outcome::Readiness {
            answered,
            status,
            content_type,
            body,
        } = readiness_of(answer, close, timeout).await
        else {
            panic!("must be of a readiness check");
        };
        assert!(!answered);
        assert_eq!((status, content_type.as_str()), (504, "text/plain"));
        assert!(body.contains(reason), "{body}");
    }
}

/// Serves an answer by TLS with a certificate that nobody has signed but its owner.
async fn serve_tls(answer: &'static str) -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["elsewhere".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever does not trust the certificate ends here.
            if let Ok(stream) = acceptor.accept(stream).await {
                reply(stream, answer.as_bytes(), true).await;
            }
        }
    });
    port
}

#[tokio::test]
async fn certificates_of_tasks_are_not_verified_but_those_of_masters_are() {
    let port = serve_tls("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nby tls").await;
    let https = HealthProbe::Http {
        get: get(Scheme::Https),
        ignore_1xx: false,
    };
    assert_eq!(outcome(now(https, port, LONG)).await, alive());
    let at = ("localhost", port);
    let ready = ProbeSpec::readiness(get(Scheme::Https), at, LONG, LONG);
    assert_eq!(outcome(ready).await, answered(200, "a/b", "by tls"));
    let verified = Connection::open("localhost", port, Security::Verified).await;
    let error = verified.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    // Nor is plain HTTP taken for TLS.
    let plain = serve("HTTP/1.1 200 OK\r\n\r\n", true).await;
    let https = HealthProbe::Http {
        get: get(Scheme::Https),
        ignore_1xx: false,
    };
    let cause = cause(outcome(now(https, plain, SHORT)).await);
    assert!(
        cause.contains("cannot connect") || cause.contains("no answer"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_target_is_probed_again_and_again() {
    let port = serve("HTTP/1.1 200 OK\r\n\r\n", true).await;
    let (results, mut received) = mpsc::channel(1);
    let prober = Prober::start(results);
    let mut spec = now(http(false), port, LONG);
    spec.interval = Duration::ZERO;
    prober.watch(7, spec);
    for _ in 0..5 {
        let expected = ProbeResult {
            key: 7,
            outcome: alive(),
        };
        assert_eq!(received.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn results_of_what_is_not_watched_do_not_come() {
    let (listener, port) = listen().await;
    let other = serve("HTTP/1.1 500 X\r\n\r\n", true).await;
    let (results, mut received) = mpsc::channel(10);
    let prober = Prober::start_with(ProberSettings { max_concurrent: 1 }, results);
    prober.watch("gone", now(http(false), port, LONG));
    let (mut gone, _) = listener.accept().await.unwrap();
    read_head(&mut gone).await;
    assert!(prober.unwatch(&"gone"));
    assert!(!prober.unwatch(&"gone"));
    // Its probe ends at once and makes room for the next one.
    prober.watch("next", now(http(false), other, LONG));
    let next = received.recv().await.unwrap();
    assert_eq!(next.key, "next");
    assert_eq!(
        gone.read(&mut [0; 10]).await.unwrap_or(0),
        0,
        "it is closed"
    );

    // A target that is watched anew is probed anew: the first of these probes is never answered.
    prober.watch("next", now(http(false), port, LONG));
    let (mut old, _) = listener.accept().await.unwrap();
    read_head(&mut old).await;
    prober.watch("next", now(http(false), other, LONG));
    let again = received.recv().await.unwrap();
    assert_eq!(cause(again.outcome), "500 X");
    assert_eq!(prober.targets(), 1);
}

#[tokio::test]
async fn a_prober_ends_with_its_handles_and_with_its_listener() {
    let (listener, port) = listen().await;
    let (results, mut received) = mpsc::channel::<ProbeResult<u8>>(1);
    let prober = Prober::start(results);
    prober.watch(1, now(http(false), port, LONG));
    let (mut probe, _) = listener.accept().await.unwrap();
    read_head(&mut probe).await;
    drop(prober.clone());
    drop(prober);
    assert_eq!(received.recv().await, None);
    assert_eq!(probe.read(&mut [0; 10]).await.unwrap_or(0), 0);

    let (results, received) = mpsc::channel::<ProbeResult<u8>>(1);
    let prober = Prober::start(results);
    prober.watch(1, now(http(false), port, LONG));
    let (mut probe, _) = listener.accept().await.unwrap();
    read_head(&mut probe).await;
    drop(received);
    assert_eq!(probe.read(&mut [0; 10]).await.unwrap_or(0), 0);
}

/// Holds every connection until it is let go, and counts those that are open at once.
async fn hold(open: Arc<AtomicUsize>, most: Arc<AtomicUsize>, go: Arc<Semaphore>) -> u16 {
    let (listener, port) = listen().await;
    let answer = async |mut stream: TcpStream, open: &AtomicUsize, go: &Semaphore| {
        read_head(&mut stream).await;
        go.acquire().await.unwrap().forget();
        open.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let now = open.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            let (open, go) = (open.clone(), go.clone());
            tokio::spawn(async move { answer(stream, &open, &go).await });
        }
    });
    port
}

#[tokio::test]
async fn thousands_of_targets_are_probed_and_never_too_many_at_once() {
    const TARGETS: usize = 5_000;
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let go = Arc::new(Semaphore::new(0));
    let port = hold(open.clone(), most.clone(), go.clone()).await;
    let (results, mut received) = mpsc::channel(100);
    let prober = Prober::start(results);
    for key in 0..TARGETS {
        prober.watch(key, now(http(false), port, LONG));
    }
    assert_eq!(prober.targets(), TARGETS);
    while open.load(Ordering::SeqCst) < MAX_CONCURRENT_PROBES {
        tokio::task::yield_now().await;
    }
    let mut seen = HashSet::new();
    while seen.len() < TARGETS {
        go.add_permits(1);
        let result = received.recv().await.unwrap();
        assert_eq!(result.outcome, alive());
        assert!(seen.insert(result.key), "each is probed once");
    }
    assert_eq!(most.load(Ordering::SeqCst), MAX_CONCURRENT_PROBES);
}
