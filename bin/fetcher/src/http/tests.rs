//! Servers that answer rightly and wrongly, plain and by TLS, and what the client makes of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const STALL: Duration = Duration::from_millis(300);

fn client() -> Client {
    Client::trusting(std::iter::empty(), STALL)
}

/// Answers so many connections, each with the same text; gives what was asked.
fn server(answer: String, connections: usize) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move || {
        let accepted = listener.incoming().take(connections);
        accepted
            .map(|stream| converse(&mut stream.unwrap(), &answer))
            .collect()
    };
    (address, std::thread::spawn(serve))
}

/// Reads a head, answers, and gives the head.
fn converse(stream: &mut (impl Read + Write), answer: &str) -> String {
    let mut head = String::new();
    let mut lines = BufReader::new(&mut *stream);
    while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).unwrap() > 0 {}
    // The client may have had enough already.
    let _ = stream.write_all(answer.as_bytes());
    head
}

fn content(size: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n{body}")
}

fn read(client: &Client, url: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut download = client.get(url)?;
    let read = download.read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    Ok(text)
}

#[test]
fn a_resource_comes_as_it_is_and_nothing_more_is_asked() {
    let (address, serving) = server(content(4, "text"), 1);
    let url = format!("http://{address}/a/b?c=d");
    assert_eq!(read(&client(), &url), Ok("text".to_owned()));
    let asked = serving.join().unwrap().remove(0).to_ascii_lowercase();
    assert!(asked.starts_with("get /a/b?c=d http/1.1\r\n"), "{asked}");
    assert!(
        asked.contains("\r\naccept-encoding: identity\r\n"),
        "{asked}"
    );
}

#[test]
fn a_name_and_password_of_the_url_are_shown_to_the_server() {
    let (address, serving) = server(content(4, "text"), 1);
    let url = format!("http://user:word@{address}/a");
    assert_eq!(read(&client(), &url), Ok("text".to_owned()));
    let asked = serving.join().unwrap().remove(0).to_ascii_lowercase();
    assert!(
        asked.contains("\r\nauthorization: basic dxnlcjp3b3jk\r\n"),
        "{asked}"
    );
}

#[test]
fn the_size_is_asked_without_the_resource() {
    let (address, serving) = server(content(1234, ""), 1);
    assert_eq!(client().size(&format!("http://{address}/a")), Ok(1234));
    assert!(serving.join().unwrap()[0].starts_with("HEAD /a "));
    let (address, _serving) = server(content(0, ""), 1);
    let url = format!("http://{address}/a");
    let why = format!("URI reported content-length 0: {url}");
    assert_eq!(client().size(&url), Err(why));
    let untold = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let (address, _serving) = server(untold.to_owned(), 1);
    let why = client().size(&format!("http://{address}/a")).unwrap_err();
    assert_eq!(why, "the server does not tell its size");
}

#[test]
fn only_200_is_the_resource() {
    for code in [204, 206, 304, 404, 503] {
        let answer = format!("HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let (address, _serving) = server(answer, 1);
        assert_eq!(
            read(&client(), &format!("http://{address}/")),
            Err(format!(
                "Error downloading resource, received HTTP return code {code}"
            ))
        );
    }
}

#[test]
fn redirects_that_never_end_are_given_up() {
    let answer = "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /again\r\n\
                  Content-Length: 0\r\n\r\n";
    let (address, serving) = server(answer.to_owned(), 31);
    let why = read(&client(), &format!("http://{address}/")).unwrap_err();
    assert!(why.starts_with("Error downloading resource"), "{why}");
    assert_eq!(serving.join().unwrap().len(), 31);
}

#[test]
fn a_body_that_ends_early_is_an_error() {
    let (address, _serving) = server(content(10, "0123"), 1);
    assert_eq!(
        read(&client(), &format!("http://{address}/")),
        Err(
            "Error downloading resource: the server closed the connection after 4 of 10 bytes"
                .to_owned()
        )
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n012";
    let (address, _serving) = server(chunked.to_owned(), 1);
    let why = read(&client(), &format!("http://{address}/")).unwrap_err();
    assert!(why.starts_with("Error downloading resource: "), "{why}");
}

#[test]
fn silence_is_not_waited_for_longer_than_allowed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // The system takes the connection; nobody answers.
    let why = read(&client(), &format!("http://{address}/")).unwrap_err();
    assert_eq!(
        why,
        "Error downloading resource: no byte came for 0.3 seconds (see --fetcher_stall_timeout)"
    );
}

#[test]
fn tls_is_spoken_with_servers_whose_certificate_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let certificate = made.cert.der().clone();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut head = [0; 4096];
            // A client that does not trust us says nothing.
            if stream.read(&mut head).is_ok_and(|count| count > 0) {
                stream.write_all(content(4, "text").as_bytes()).unwrap();
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    let url = format!("https://localhost:{port}/");
    let trusting = Client::trusting(std::iter::once(certificate.as_ref()), STALL * 10);
    assert_eq!(read(&trusting, &url), Ok("text".to_owned()));
    let why = read(&client(), &url).unwrap_err();
    assert!(why.to_ascii_lowercase().contains("certificate"), "{why}");
}

#[test]
fn the_environment_names_proxies_by_scheme_and_exceptions_by_host() {
    let environment = BTreeMap::from([
        ("http_proxy", "http://plain:1"),
        ("HTTPS_PROXY", "http://secure:2"),
        ("no_proxy", "localhost, .example.com"),
    ]);
    let host = |url: &str| {
        let proxy = proxy(url, |name| environment.get(name).map(|it| (*it).to_owned()));
        proxy.unwrap().map(|proxy| proxy.host().to_owned())
    };
    assert_eq!(host("http://a/"), Some("plain".to_owned()));
    assert_eq!(host("https://a/"), Some("secure".to_owned()));
    for excepted in [
        "http://localhost:1/",
        "https://example.com/",
        "http://A.Example.com/",
    ] {
        assert_eq!(host(excepted), None, "{excepted}");
    }
    assert_eq!(host("http://notexample.com/"), Some("plain".to_owned()));
    assert!(is_excepted("any", "*"));
    let broken = proxy("http://a/", |_| Some("::".to_owned())).unwrap_err();
    assert!(
        broken.starts_with("the proxy that 'http_proxy' names cannot be used"),
        "{broken}"
    );
}

#[test]
fn a_plain_url_is_asked_of_its_proxy() {
    let (address, serving) = server("HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(), 1);
    let agent = client().agent_by("http://target.example:81/", |name| {
        (name == "http_proxy").then(|| format!("http://{address}"))
    });
    assert!(
        agent
            .unwrap()
            .get("http://target.example:81/")
            .call()
            .is_err()
    );
    let asked = serving.join().unwrap().remove(0);
    assert!(asked.starts_with("CONNECT target.example:81 "), "{asked}");
}
