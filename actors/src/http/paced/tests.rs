//! Tests of pacing: what is handed on when, for requests that come in any pieces.
//! No HTTP server takes part.

use tepui_core::time::Mono;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::clock::Clock;

const FIRST: &str = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
const SECOND: &str = "POST /b HTTP/1.1\r\ncontent-length: 2\r\n\r\nde";
const THIRD: &str = "GET /c HTTP/1.1\r\n\r\n";

const LIMIT: Duration = Duration::from_secs(10);

fn paced() -> (DuplexStream, Paced<DuplexStream>) {
    let (client, server) = duplex(1 << 20);
    (client, Paced::new(server, LIMIT))
}

/// What can be read without anything being written.
async fn readable(paced: &mut Paced<DuplexStream>) -> String {
    let mut found = Vec::new();
    loop {
        let mut bytes = [0; 16];
        tokio::select! {
            biased;
            count = paced.read(&mut bytes) => match count.unwrap() {
                0 => break,
                count => found.extend_from_slice(&bytes[..count]),
            },
            () = tokio::task::yield_now() => break,
        }
    }
    String::from_utf8(found).unwrap()
}

#[tokio::test]
async fn a_request_waits_until_the_one_before_is_answered() {
    let all = [FIRST, SECOND, THIRD].concat();
    for piece in [1, 5, 30, all.len()] {
        let (mut client, mut paced) = paced();
        let mut found = Vec::new();
        for bytes in all.as_bytes().chunks(piece) {
            client.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            found.push(readable(&mut paced).await);
            assert_eq!(readable(&mut paced).await, "");
            paced.write_all(b"answer").await.unwrap();
        }
        assert_eq!(found, [FIRST, SECOND, THIRD], "pieces of {piece}");
    }
}

#[tokio::test]
async fn a_later_request_is_handed_on_whole_and_the_first_as_it_comes() {
    let (mut client, mut paced) = paced();
    client.write_all(&FIRST.as_bytes()[..40]).await.unwrap();
    assert_eq!(readable(&mut paced).await, FIRST[..40]);
    client.write_all(&FIRST.as_bytes()[40..]).await.unwrap();
    assert_eq!(readable(&mut paced).await, FIRST[40..]);
    client.write_all(&SECOND.as_bytes()[..40]).await.unwrap();
    paced.write_all(b"answer").await.unwrap();
    assert_eq!(readable(&mut paced).await, "");
    client.write_all(&SECOND.as_bytes()[40..]).await.unwrap();
    assert_eq!(readable(&mut paced).await, SECOND);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_the_answer() {
    let (mut client, paced) = paced();
    client
        .write_all([FIRST, THIRD].concat().as_bytes())
        .await
        .unwrap();
    let (mut read, mut write) = tokio::io::split(paced);
    let mut first = vec![0; FIRST.len()];
    read.read_exact(&mut first).await.unwrap();
    let second = tokio::spawn(async move {
        let mut second = vec![0; THIRD.len()];
        read.read_exact(&mut second).await.unwrap();
        second
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    write.write_all(b"answer").await.unwrap();
    assert_eq!(second.await.unwrap(), THIRD.as_bytes());
}

#[tokio::test]
async fn answers_to_requests_that_came_together_leave_together() {
    let (mut client, mut paced) = paced();
    let all = [FIRST, SECOND, THIRD].concat();
    client.write_all(all.as_bytes()).await.unwrap();
    for request in [FIRST, SECOND, THIRD] {
        let mut sent = [0; 64];
        tokio::select! {
            biased;
            count = client.read(&mut sent) => panic!("{count:?} bytes were sent too early"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(readable(&mut paced).await, request);
        paced.write_all(b"answer;").await.unwrap();
        paced.flush().await.unwrap();
    }
    let mut sent = [0; 21];
    client.read_exact(&mut sent).await.unwrap();
    assert_eq!(&sent, b"answer;answer;answer;");
    // Nothing else follows, so the next answer leaves at once.
    client.write_all(SECOND.as_bytes()).await.unwrap();
    assert_eq!(readable(&mut paced).await, SECOND);
    paced.write_all(b"last").await.unwrap();
    let mut sent = [0; 4];
    client.read_exact(&mut sent).await.unwrap();
    assert_eq!(&sent, b"last");
}

#[tokio::test]
async fn a_long_answer_keeps_its_place_and_the_end_loses_nothing() {
    let (mut client, mut paced) = paced();
    client
        .write_all([FIRST, SECOND, THIRD].concat().as_bytes())
        .await
        .unwrap();
    let long = vec![b'x'; MAX_ANSWER_BYTES + 1];
    for answer in [b"first".as_slice(), &long, b"third"] {
        readable(&mut paced).await;
        paced.write_all(answer).await.unwrap();
    }
    paced.shutdown().await.unwrap();
    drop(paced);
    let mut sent = Vec::new();
    client.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, [b"first".as_slice(), &long, b"third"].concat());
}

#[tokio::test]
async fn what_has_no_plain_length_passes() {
    for head in [
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\n\r\n",
        "no request at all\r\n\r\n",
    ] {
        let (mut client, mut paced) = paced();
        let text = format!("{head}{SECOND}{THIRD}");
        client.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(readable(&mut paced).await, text);
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_seen_while_an_answer_is_awaited() {
    let (mut client, mut paced) = paced();
    client.write_all(FIRST.as_bytes()).await.unwrap();
    assert_eq!(readable(&mut paced).await, FIRST);
    drop(client);
    assert_eq!(paced.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_that_ends_within_a_head_hands_on_what_came() {
    let (mut client, mut paced) = paced();
    client.write_all(b"GET / HT").await.unwrap();
    drop(client);
    assert_eq!(readable(&mut paced).await, "GET / HT");
    assert_eq!(paced.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_sends_without_end_is_not_read_without_end() {
    let (mut client, mut paced) = paced();
    client.write_all(FIRST.as_bytes()).await.unwrap();
    assert_eq!(readable(&mut paced).await, FIRST);
    client.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    assert_eq!(readable(&mut paced).await, "");
    assert!(paced.ahead.len() < MAX_AHEAD_BYTES + READ_BYTES);
}

#[tokio::test]
async fn the_beginning_of_a_request_can_be_looked_at() {
    let (mut client, mut paced) = paced();
    client.write_all(b"POST /a").await.unwrap();
    let fits = |head: &[u8]| (head.len() >= 6).then(|| head.starts_with(b"POST /"));
    assert!(paced.begins_with(fits).await.unwrap());
    client.write_all(&FIRST.as_bytes()[7..]).await.unwrap();
    assert_eq!(readable(&mut paced).await, FIRST);
    drop(client);
    let mut ended = Paced::new(tokio::io::empty(), LIMIT);
    assert!(!ended.begins_with(fits).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_begun_must_come_and_one_that_has_not_may_wait() {
    let (mut client, mut idle) = paced();
    let mut bytes = [0; 8];
    let day = Duration::from_secs(86_400);
    assert!(
        tokio::time::timeout(day, idle.read(&mut bytes))
            .await
            .is_err()
    );
    client.write_all(b"GET /").await.unwrap();
    let clock = Clock::start();
    let error = idle.read(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let waited = clock.now().mono.since(Mono::default());
    assert_eq!(waited.as_secs(), LIMIT.as_secs());

    // A later request has its own time, and its body is part of it.
    let (mut client, mut paced) = self::paced();
    client.write_all(FIRST.as_bytes()).await.unwrap();
    assert_eq!(readable(&mut paced).await, FIRST);
    paced.write_all(b"answer").await.unwrap();
    client.write_all(&SECOND.as_bytes()[..40]).await.unwrap();
    let error = paced.read(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
