//! Tests of the client against a small HTTP server that plays master and agent.
//! The real master and agent are driven in the process tests.

use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tepui_protocol::media::{self, MediaType};
use tepui_protocol::{recordio, v1};
use v1::scheduler::{Call, Event, call, event};

use super::*;

mod server;

/// What a server was sent: stream id and body of each request.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server that plays a master or agent, and what it was sent.
struct Played {
    target: Target,
    seen: Seen,
    handle: ServerHandle,
}

impl Played {
    /// Answers every request with what `answer` makes of it.
    fn start(
        answer: impl Fn(&HttpRequest, &[u8]) -> HttpResponse + Clone + Send + 'static,
    ) -> Self {
        let seen = Seen::default();
        let log = seen.clone();
        let server = HttpServer::new(move || {
            let (answer, log) = (answer.clone(), log.clone());
            let handler = move |request: HttpRequest, body: web::Bytes| {
                let header = request.headers().get("Mesos-Stream-Id");
                let stream = header
                    .and_then(|id| id.to_str().ok())
                    .unwrap_or_default()
                    .to_owned();
                log.lock().unwrap().push((stream, body.to_vec()));
                std::future::ready(answer(&request, &body))
            };
            App::new().default_service(web::to(handler))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let target = server.addrs()[0].to_string().parse().unwrap();
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Played {
            target,
            seen,
            handle,
        }
    }

    async fn stop(self) {
        self.handle.stop(false).await;
    }
}

fn subscribe() -> call::Subscribe {
    let framework_info = v1::FrameworkInfo {
        user: "u".to_owned(),
        name: "n".to_owned(),
        ..Default::default()
    };
    call::Subscribe {
        framework_info,
        ..Default::default()
    }
}

fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId {
        value: "F-1".to_owned(),
    }
}

fn subscribed() -> Event {
    let subscribed = event::Subscribed {
        framework_id: framework_id(),
        heartbeat_interval_seconds: Some(15.0),
        ..Default::default()
    };
    Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(subscribed),
        ..Default::default()
    }
}

fn heartbeat() -> Event {
    Event {
        r#type: Some(event::Type::Heartbeat.into()),
        ..Default::default()
    }
}

/// A stream of these events that ends after them.
fn stream(media: MediaType, events: &[Event]) -> HttpResponse {
    let mut body = Vec::new();
    for event in events {
        body.extend_from_slice(&recordio::encode(&media::encode(media, event)));
    }
    HttpResponse::Ok()
        .insert_header(("Mesos-Stream-Id", "S-1"))
        .body(body)
}

fn play_master(media: MediaType) -> Played {
    Played::start(
        move |request, _| match request.headers().contains_key("Mesos-Stream-Id") {
            true => HttpResponse::Accepted().finish(),
            false => stream(media, &[subscribed(), heartbeat()]),
        },
    )
}

#[actix_web::test]
async fn events_come_and_calls_go_in_both_encodings() {
    for media in [MediaType::Json, MediaType::Protobuf] {
        let master = play_master(media);
        let opened = Subscription::open(&master.target, media, subscribe()).await;
        let (mut subscription, first) = opened.unwrap();
        assert_eq!(first.framework_id, framework_id());
        assert_eq!(subscription.framework_id(), Some(&framework_id()));
        assert_eq!(subscription.stream_id(), "S-1");
        assert_eq!(subscription.next().await, Ok(heartbeat()));
        assert_eq!(subscription.next().await, Err(ClientError::Closed));

        let offer = v1::OfferId {
            value: "O-1".to_owned(),
        };
        let decline = decline(&framework_id(), vec![offer], 1.5);
        subscription
            .call(&Call {
                framework_id: None,
                ..decline.clone()
            })
            .await
            .unwrap();
        let seen = master.seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].0, "", "SUBSCRIBE bears no stream id");
        assert_eq!(seen[1].0, "S-1");
        let sent: Call = media::decode_call(media, &seen[1].1).unwrap();
        assert_eq!(sent, decline, "the framework's id is filled in");
        master.stop().await;
    }
}

#[actix_web::test]
async fn a_standby_master_leads_to_the_leader() {
    let leader = play_master(MediaType::Json);
    let location = format!("//{}/api/v1/scheduler", leader.target);
    let standby = Played::start(move |_, _| {
        HttpResponse::TemporaryRedirect()
            .insert_header(("Location", location.clone()))
            .finish()
    });
    let opened = Subscription::open(&standby.target, MediaType::Json, subscribe()).await;
    assert_eq!(opened.unwrap().0.caller().target(), &leader.target);
    standby.stop().await;
    leader.stop().await;
}

#[actix_web::test]
async fn masters_that_point_at_each_other_are_given_up() {
    let circle = Played::start(|request, _| {
        let host = request.connection_info().host().to_owned();
        let location = format!("//{host}/api/v1/scheduler");
        HttpResponse::TemporaryRedirect()
            .insert_header(("Location", location))
            .finish()
    });
    let opened = Subscription::open(&circle.target, MediaType::Json, subscribe()).await;
    assert!(matches!(opened, Err(ClientError::Answer(why)) if why.contains("redirects")));
    circle.stop().await;
}

#[actix_web::test]
async fn refusals_tell_status_and_text() {
    let refusing = Played::start(|_, _| HttpResponse::BadRequest().body("No such thing.\n"));
    let opened = Subscription::open(&refusing.target, MediaType::Json, subscribe()).await;
    let refused = ClientError::Refused {
        status: 400,
        text: "No such thing.".to_owned(),
    };
    assert_eq!(opened.err(), Some(refused));
    refusing.stop().await;

    let message = "User 'root' is not allowed".to_owned();
    let error = event::Error {
        message: message.clone(),
    };
    let event = Event {
        r#type: Some(event::Type::Error.into()),
        error: Some(error),
        ..Default::default()
    };
    let erring = Played::start(move |_, _| stream(MediaType::Json, std::slice::from_ref(&event)));
    let opened = Subscription::open(&erring.target, MediaType::Json, subscribe()).await;
    assert_eq!(
        opened.err(),
        Some(ClientError::Refused {
            status: 200,
            text: message
        })
    );
    erring.stop().await;
}

#[actix_web::test]
async fn nobody_listening_is_told_with_the_address() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let target: Target = free.local_addr().unwrap().to_string().parse().unwrap();
    drop(free);
    let opened = Subscription::open(&target, MediaType::Json, subscribe()).await;
    let error = opened.expect_err("nobody listens").to_string();
    assert!(
        error.contains(&target.to_string()) && error.contains("refused"),
        "{error}"
    );
}

/// Plays an agent with one file, which `/files/read` gives as text as far as it can.
fn play_agent(content: &'static [u8]) -> Played {
    Played::start(move |request, _| {
        let query = request.query_string();
        assert!(
            query.contains("path=/frameworks/F-1/executors/t%201/runs/latest/stdout"),
            "{query}"
        );
        if request.path() == "/files/download" {
            return HttpResponse::Ok().body(content);
        }
        let number = |name: &str| {
            let part = query.split('&').find_map(|part| part.strip_prefix(name));
            part.and_then(|number| number.parse::<i64>().ok())
        };
        let Ok(offset) = usize::try_from(number("offset=").unwrap()) else {
            return HttpResponse::Ok()
                .json(serde_json::json!({"data": "", "offset": content.len()}));
        };
        let length = usize::try_from(number("length=").unwrap()).unwrap();
        let data = String::from_utf8_lossy(&content[offset..offset + length]);
        HttpResponse::Ok().json(serde_json::json!({"data": data, "offset": offset}))
    })
}

#[actix_web::test]
async fn files_are_read_to_their_end_and_byte_by_byte() {
    const TEXT: &[u8] = b"one\ntwo\n";
    const BINARY: &[u8] = &[b'a', 0xff, 0xc3, 0xbc, 0, b'\n', 0xe2, 0x82];
    for content in [TEXT, BINARY, "\u{fffd}".as_bytes(), b""] {
        let agent = play_agent(content);
        let file = AgentFile::new(&agent.target.url(""), &framework_id(), "t 1", "stdout");
        let mut file = file.unwrap();
        assert_eq!(file.read_more().await.unwrap(), content);
        assert_eq!(file.read_more().await.unwrap(), b"", "there is no more");
        agent.stop().await;
    }
}

#[actix_web::test]
async fn a_file_that_is_rotated_while_it_is_read_loses_nothing() {
    // The log, and the file it was rotated to.
    let files = Arc::new(Mutex::new(["one\ntwo\n", ""]));
    let shown = files.clone();
    let agent = Played::start(move |request, _| {
        let query = request.query_string();
        let is_older = query.contains("stdout.1&");
        let content = shown.lock().unwrap()[usize::from(is_older)];
        let number = |name: &str| {
            let part = query.split('&').find_map(|part| part.strip_prefix(name));
            part.and_then(|number| number.parse::<usize>().ok())
        };
        let Some((offset, length)) = number("offset=").zip(number("length=")) else {
            let size = content.len();
            return HttpResponse::Ok().json(serde_json::json!({"data": "", "offset": size}));
        };
        let data = &content[offset..offset + length];
        HttpResponse::Ok().json(serde_json::json!({"data": data, "offset": offset}))
    });
    let file = AgentFile::new(&agent.target.url(""), &framework_id(), "t", "stdout");
    let mut file = file.unwrap();
    assert_eq!(file.read_more().await.unwrap(), b"one\ntwo\n");
    *files.lock().unwrap() = ["four\n", "one\ntwo\nthree\n"];
    assert_eq!(file.read_more().await.unwrap(), b"three\n");
    assert_eq!(file.read_more().await.unwrap(), b"four\n");
    assert_eq!(file.read_more().await.unwrap(), b"");
    agent.stop().await;
}

#[test]
fn addresses_are_checked() {
    for good in [
        "127.0.0.1:5050",
        "http://host:1",
        "[::1]:5050",
        " host:5050/ ",
    ] {
        assert!(good.parse::<Target>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "host",
        "host:",
        "host:0",
        "host:99999",
        "zk://a:1/b",
        "a b:1",
        "::1:5050",
    ] {
        let error = bad.parse::<Target>().expect_err(bad).to_string();
        assert!(error.contains("host:port"), "{error}");
    }
    assert_eq!(
        "host:1".parse::<Target>().unwrap().url("/x"),
        "http://host:1/x"
    );
}

#[test]
fn the_agents_url_comes_from_its_offer() {
    let address = |ip: Option<&str>| v1::Address {
        hostname: Some("h".to_owned()),
        ip: ip.map(str::to_owned),
        port: 5051,
    };
    let offer = |ip| v1::Offer {
        url: Some(v1::Url {
            scheme: "http".to_owned(),
            address: address(ip),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(
        agent_url(&offer(Some("10.0.0.1"))).as_deref(),
        Some("http://10.0.0.1:5051")
    );
    assert_eq!(
        agent_url(&offer(Some("::1"))).as_deref(),
        Some("http://[::1]:5051")
    );
    assert_eq!(agent_url(&offer(None)).as_deref(), Some("http://h:5051"));
    assert_eq!(agent_url(&v1::Offer::default()), None);
}

#[test]
fn only_statuses_that_ask_for_it_are_acknowledged() {
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId {
            value: "t".to_owned(),
        },
        agent_id: Some(v1::AgentId {
            value: "a".to_owned(),
        }),
        ..Default::default()
    };
    assert_eq!(acknowledge(&framework_id(), &status), None);
    status.uuid = Some(b"0123456789abcdef".to_vec());
    let call = acknowledge(&framework_id(), &status).expect("a call");
    assert_eq!(call.acknowledge.unwrap().uuid, b"0123456789abcdef");
}
