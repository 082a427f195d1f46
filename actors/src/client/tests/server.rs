//! Tests of requests to a server and of its event streams, against a small HTTP server.
//! The app manager itself is driven from the command line, in the process tests.

use super::*;

/// A server that says what it was asked: method, path, and some headers.
fn echo() -> Played {
    Played::start(|request, body| {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        HttpResponse::Accepted()
            .insert_header(("X-Said", "yes"))
            .json(serde_json::json!({
                "method": request.method().as_str(),
                "path": request.uri().to_string(),
                "accept": header("Accept"),
                "type": header("Content-Type"),
                "length": header("Content-Length"),
                "authorization": header("Authorization"),
                "body": String::from_utf8_lossy(body),
            }))
    })
}

fn at(played: &Played, before: &str, behind: &str) -> Server {
    let url = format!("http://{before}{}{behind}", played.target);
    url.parse().unwrap()
}

#[actix_web::test]
async fn requests_carry_method_body_and_password() {
    let played = echo();
    let server = at(&played, "user:p%40ss@", "/prefix/");
    for (method, name) in [
        (Method::Get, "GET"),
        (Method::Post, "POST"),
        (Method::Put, "PUT"),
        (Method::Patch, "PATCH"),
        (Method::Delete, "DELETE"),
    ] {
        let request = Request::new(method, "/v2/apps?x=1").with_body(b"{}".to_vec());
        let answer = server.send(&request).await.unwrap();
        assert!(answer.is_success());
        assert_eq!(
            (answer.status, answer.header("x-said").as_deref()),
            (202, Some("yes"))
        );
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = serde_json::json!({
            "method": name,
            "path": "/prefix/v2/apps?x=1",
            "accept": "application/json",
            "type": "application/json",
            "length": "2",
            // user:p@ss
            "authorization": "Basic dXNlcjpwQHNz",
            "body": "{}",
        });
        assert_eq!(said, expected);
    }
    let plain = at(&played, "", "").or_credentials("a:b");
    let answer = plain.send(&Request::new(Method::Delete, "/")).await;
    let said: serde_json::Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    assert_eq!(said["authorization"], "Basic YTpi");
    assert_eq!(
        (&said["type"], &said["length"]),
        (&serde_json::Value::Null, &"0".into())
    );
    played.stop().await;
}

#[actix_web::test]
async fn only_reads_follow_redirects() {
    let leader = echo();
    let location = format!("http://{}/leader", leader.target);
    let standby = Played::start(move |request, _| match request.path() {
        "/circle" => HttpResponse::TemporaryRedirect()
            .insert_header(("Location", "/circle"))
            .finish(),
        _ => HttpResponse::Found()
            .insert_header(("Location", location.clone()))
            .finish(),
    });
    let server = at(&standby, "u:p@", "");
    let answer = server.send(&Request::new(Method::Get, "/a")).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&said["path"], &said["authorization"]),
        (&"/leader".into(), &"Basic dTpw".into())
    );
    let answer = server.send(&Request::new(Method::Post, "/a")).await;
    assert_eq!(answer.unwrap().status, 302);
    let answer = server.send(&Request::new(Method::Get, "/circle")).await;
    assert_eq!(answer.unwrap().status, 307);
    standby.stop().await;
    leader.stop().await;
}

#[actix_web::test]
async fn events_are_streamed_from_where_the_leader_is() {
    let leader = Played::start(|request, _| match request.headers().get("Accept") {
        Some(accept) if accept == "text/event-stream" => HttpResponse::Ok()
            .body("\r\nevent: a\r\ndata: 1\r\n\r\nevent: b\r\ndata: 2\r\n\r\nevent: c\r\ndata"),
        _ => HttpResponse::MethodNotAllowed().finish(),
    });
    let location = format!("http://{}/v2/events", leader.target);
    let standby = Played::start(move |_, _| {
        HttpResponse::Found()
            .insert_header(("Location", location.clone()))
            .finish()
    });
    let mut stream = EventStream::open(&at(&standby, "", ""), "/v2/events")
        .await
        .unwrap();
    let mut told = Vec::new();
    let end = loop {
        match stream.next().await {
            Ok(event) => told.push(format!("{}={}", event.name, event.data)),
            Err(error) => break error,
        }
    };
    assert_eq!(told, ["a=1", "b=2"]);
    assert_eq!(end, ClientError::Closed);
    standby.stop().await;

    let full = Played::start(|_, _| HttpResponse::ServiceUnavailable().body("too many\n"));
    let refused = EventStream::open(&at(&full, "", ""), "/v2/events").await;
    let expected = ClientError::Refused {
        status: 503,
        text: "too many".to_owned(),
    };
    assert_eq!(refused.err(), Some(expected));
    full.stop().await;
    leader.stop().await;
}

#[actix_web::test]
async fn servers_that_are_none_are_told_apart() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server: Server = free.local_addr().unwrap().to_string().parse().unwrap();
    drop(free);
    let nobody = server.send(&Request::new(Method::Get, "/")).await;
    let Err(ClientError::Unreachable { url, why }) = nobody else {
        panic!("{nobody:?}");
    };
    assert_eq!(url, server.to_string());
    assert!(why.contains("refused"), "{why}");

    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server: Server = other.local_addr().unwrap().to_string().parse().unwrap();
    let speaking = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for greeting in [&b"SSH-2.0-x\r\n\r\n"[..], b""] {
            let (mut stream, _) = other.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(greeting).unwrap();
        }
    });
    let no_http = server.send(&Request::new(Method::Get, "/")).await;
    assert!(
        matches!(no_http, Err(ClientError::Answer(_))),
        "{no_http:?}"
    );
    let silent = server.send(&Request::new(Method::Get, "/")).await;
    assert!(
        matches!(silent, Err(ClientError::Unreachable { ref why, .. }) if why.contains("without")),
        "{silent:?}"
    );
    speaking.join().unwrap();
}

#[test]
fn urls_of_servers_are_checked_and_hide_passwords() {
    for (text, shown) in [
        ("http://h", "http://h:80"),
        ("https://h/", "https://h:443"),
        ("h:8080", "http://h:8080"),
        ("http://u:p@h:1/m/", "http://h:1/m"),
        ("http://u:p@x@h:1", "http://h:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://[::1]", "https://[::1]:443"),
    ] {
        let server: Server = text.parse().unwrap();
        assert_eq!(server.to_string(), shown);
        assert!(!format!("{server:?}").contains("p@"));
    }
    for text in [
        "",
        "h",
        "http://",
        "http://h:0",
        "http://h:x",
        "ftp://h",
        "http://h:1/?a",
        "http://::1",
        "http://u:%zz@h",
        "http://h h:1",
    ] {
        let error = text.parse::<Server>().expect_err(text).to_string();
        assert!(error.contains("http://host:port"), "{error}");
    }
    let error = "http://u:secret@h:x".parse::<Server>();
    assert!(!error.expect_err("wrong").to_string().contains("secret"));
}

#[actix_web::test]
async fn only_the_last_lines_of_a_file_are_read() {
    let lines: String = (0..20_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    let content: &'static [u8] = lines.into_bytes().leak();
    let agent = play_agent(content);
    for (count, first) in [
        (2, "line 19998\n"),
        (9_000, "line 11000\n"),
        (99_999, "line 0\n"),
    ] {
        let file = AgentFile::new(&agent.target.url(""), &framework_id(), "t 1", "stdout");
        let mut file = file.unwrap();
        file.skip_to_last_lines(count).await.unwrap();
        let mut read = Vec::new();
        loop {
            let more = file.read_more().await.unwrap();
            if more.is_empty() {
                break;
            }
            read.extend(more);
        }
        assert!(read.starts_with(first.as_bytes()), "{count}");
        assert_eq!(
            read.iter().filter(|byte| **byte == b'\n').count(),
            count.min(20_000)
        );
    }
    agent.stop().await;
}
