//! Tests of calls: their order, and what becomes of them when something breaks.
//! How subscriptions are made is tested next door.

use super::*;

/// A subscribed driver.
async fn subscribe(settings: impl FnOnce(&mut Settings)) -> (Played, Driven, Peer) {
    let master = Played::start().await;
    let mut given = master.settings();
    settings(&mut given);
    let mut driven = Driven::start(given);
    let (stream, _) = master.grant(None).await;
    driven.subscribed().await;
    (master, driven, stream)
}

fn kill(driven: &Driven, task: &str) {
    driven.handle.kill(task_id(task), None, None).unwrap();
}

fn launch(driven: &Driven) {
    let accepted = driven.handle.accept(vec![offer_id("O")], vec![], 0.0);
    accepted.unwrap();
}

#[tokio::test]
async fn calls_follow_each_other_without_waiting_for_answers() {
    let (master, driven, _stream) = subscribe(|settings| {
        settings.credentials = Some(Credentials::new("p", b"secret").unwrap());
    })
    .await;
    for number in 0..200 {
        kill(&driven, &number.to_string());
    }
    let mut peer = master.accept().await;
    for number in 0..200 {
        let request = peer.request().await.unwrap();
        assert_eq!(request.header("Mesos-Stream-Id"), Some("S-1"));
        assert_eq!(request.header("Authorization"), Some("Basic cDpzZWNyZXQ="));
        assert_eq!(request.call.framework_id.clone().unwrap().value, "F-1");
        assert_eq!(names(&[request.call]), [number.to_string()]);
    }
    for _ in 0..200 {
        peer.answer(202, "", "").await;
    }
    driven.handle.settled().await;
    assert_eq!(driven.handle.counts().accepted, 200);
}

#[tokio::test]
async fn ten_thousand_calls_go_through_one_connection() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    let taking = tokio::spawn(async move {
        let mut peer = master.accept().await;
        let calls = peer.take_calls(10_000).await;
        (names(&calls), peer)
    });
    for number in 0..10_000 {
        kill(&driven, &number.to_string());
    }
    let (calls, _peer) = taking.await.unwrap();
    let expected: Vec<String> = (0..10_000).map(|number: u32| number.to_string()).collect();
    assert_eq!(calls, expected);
    driven.handle.settled().await;
    assert_eq!(driven.handle.counts().accepted, 10_000);
    assert_eq!(driven.handle.counts().repeated, 0);
}

#[tokio::test]
async fn each_call_is_what_its_name_says() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    let handle = &driven.handle;
    let agent = v1::AgentId {
        value: "S".to_owned(),
    };
    let executor = v1::ExecutorId {
        value: "e".to_owned(),
    };
    launch(&driven);
    handle.decline(vec![offer_id("P")], 2.5).unwrap();
    handle.acknowledge(&status("t")).unwrap();
    let silent = v1::TaskStatus {
        uuid: None,
        ..status("t")
    };
    handle.acknowledge(&silent).unwrap();
    handle.reconcile(vec![]).unwrap();
    handle.revive(vec!["r".to_owned()]).unwrap();
    handle.suppress(vec!["r".to_owned()]).unwrap();
    handle.message(agent, executor, b"x".to_vec()).unwrap();
    handle.teardown().unwrap();
    let mut peer = master.accept().await;
    let calls = peer.take_calls(8).await;
    let expected = "ACCEPT DECLINE ACKNOWLEDGE RECONCILE REVIVE SUPPRESS MESSAGE TEARDOWN";
    assert_eq!(names(&calls).join(" "), expected);
    assert_eq!(calls[0].accept.as_ref().unwrap().offer_ids, [offer_id("O")]);
    let filters = calls[1].decline.as_ref().unwrap().filters.unwrap();
    assert_eq!(filters.refuse_seconds, Some(2.5));
    assert_eq!(calls[2].acknowledge.as_ref().unwrap().uuid, [1; 16]);
    assert_eq!(calls[4].revive.as_ref().unwrap().roles, ["r"]);
}

#[tokio::test]
async fn what_may_be_said_twice_is_repeated_and_a_launch_is_not() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    kill(&driven, "a");
    launch(&driven);
    kill(&driven, "b");
    let mut peer = master.accept().await;
    for _ in 0..3 {
        peer.request().await.unwrap();
    }
    peer.answer(202, "", "").await;
    drop(peer);
    let mut peer = master.accept().await;
    assert_eq!(names(&peer.take_calls(1).await), ["b"]);
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!(
        (counts.accepted, counts.unconfirmed, counts.repeated),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn a_call_that_always_breaks_the_connection_is_given_up() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    kill(&driven, "poison");
    kill(&driven, "next");
    for _ in 0..5 {
        let mut peer = master.accept().await;
        assert_eq!(names(&[peer.request().await.unwrap().call]), ["poison"]);
    }
    let mut peer = master.accept().await;
    assert_eq!(names(&peer.take_calls(1).await), ["next"]);
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!((counts.accepted, counts.unconfirmed), (1, 1));
}

#[tokio::test]
async fn a_refused_call_is_counted_and_not_repeated() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    kill(&driven, "a");
    launch(&driven);
    kill(&driven, "b");
    let mut peer = master.accept().await;
    for status in [403, 503, 202] {
        peer.request().await.unwrap();
        let long = "x".repeat(5000);
        peer.answer(status, "", &long).await;
    }
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!(
        (counts.accepted, counts.refused, counts.repeated),
        (1, 2, 0)
    );
    kill(&driven, "c");
    let request = peer.request().await.unwrap();
    assert_eq!(names(&[request.call]), ["c"]);
}

#[tokio::test]
async fn a_busy_master_is_asked_again_on_the_same_connection() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    kill(&driven, "a");
    kill(&driven, "b");
    let mut peer = master.accept().await;
    peer.request().await.unwrap();
    peer.answer(503, "", "Too many calls are waiting").await;
    assert_eq!(names(&peer.take_calls(2).await), ["b", "a"]);
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!((counts.accepted, counts.repeated), (2, 1));
}

#[tokio::test]
async fn answers_that_are_none_break_the_connection() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    for (number, nonsense) in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 202 A\r\nContent-Length: x\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        kill(&driven, &number.to_string());
        let mut peer = master.accept().await;
        peer.request().await.unwrap();
        peer.send(nonsense.as_bytes()).await;
        let mut peer = master.accept().await;
        assert_eq!(names(&peer.take_calls(1).await), [number.to_string()]);
        // An answer to nothing.
        peer.answer(202, "", "").await;
        peer.ended().await;
        driven.handle.settled().await;
    }
    assert_eq!(driven.handle.counts().accepted, 2);
}

#[tokio::test]
async fn connections_that_end_while_nothing_is_sent_are_opened_anew() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    for number in 0..3 {
        kill(&driven, &number.to_string());
        let mut peer = master.accept().await;
        peer.request().await.unwrap();
        let header = ["", "Connection: close\r\n"][number % 2];
        peer.answer(202, header, "").await;
        driven.handle.settled().await;
    }
    let counts = driven.handle.counts();
    assert_eq!((counts.accepted, counts.unconfirmed), (3, 0));
}

#[tokio::test]
async fn a_master_that_leads_no_longer_is_left() {
    let (master, mut driven, stream) = subscribe(|_| {}).await;
    kill(&driven, "a");
    let mut peer = master.accept().await;
    peer.request().await.unwrap();
    peer.answer(307, "Location: //h:1/\r\n", "").await;
    let why = driven.disconnected().await;
    assert!(why.contains("leads no longer"), "{why}");
    stream.ended().await;
    let (_stream, _) = master.grant(None).await;
    assert!(!driven.subscribed().await);
}

#[tokio::test]
async fn calls_of_a_lost_subscription_are_dropped_and_counted() {
    let (master, mut driven, stream) = subscribe(|_| {}).await;
    for number in 0..3 {
        kill(&driven, &number.to_string());
    }
    let mut peer = master.accept().await;
    peer.request().await.unwrap();
    drop(stream);
    driven.disconnected().await;
    let none = driven.handle.revive(vec![]);
    assert_eq!(none, Err(CallError::NotSubscribed));
    while peer.request().await.is_some() {}
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!(counts.accepted, 0);
    assert_eq!(counts.dropped + counts.unconfirmed, 4, "{counts:?}");
    // The new subscription hears nothing of them.
    let (_stream, _) = master.grant(None).await;
    driven.subscribed().await;
    kill(&driven, "new");
    let mut peer = master.accept().await;
    assert_eq!(names(&peer.take_calls(1).await), ["new"]);
}

#[tokio::test]
async fn no_more_calls_are_queued_than_may() {
    let (master, driven, _stream) = subscribe(|settings| settings.limits.max_calls = 3).await;
    for number in 0..3 {
        kill(&driven, &number.to_string());
    }
    let full = driven.handle.kill(task_id("4"), None, None);
    assert_eq!(full, Err(CallError::Full(3)));
    let mut peer = master.accept().await;
    peer.take_calls(3).await;
    driven.handle.settled().await;
    kill(&driven, "5");
    assert_eq!(names(&peer.take_calls(1).await), ["5"]);
}

#[tokio::test]
async fn a_changed_framework_is_told_now_and_later() {
    let (master, mut driven, stream) = subscribe(|_| {}).await;
    let mut next = master.settings().registration;
    next.framework_info.roles = vec!["new".to_owned()];
    next.suppressed_roles = vec!["new".to_owned()];
    driven.handle.update_framework(next.clone()).unwrap();
    let mut peer = master.accept().await;
    let call = peer.take_calls(1).await.remove(0);
    let told = call.update_framework.unwrap();
    assert_eq!(told.framework_info.roles, ["new"]);
    assert_eq!(told.framework_info.id.unwrap().value, "F-1");
    drop(stream);
    driven.disconnected().await;
    let (_stream, request) = master.grant(None).await;
    let subscribe = request.call.subscribe.unwrap();
    assert_eq!(subscribe.framework_info.roles, ["new"]);
    assert_eq!(subscribe.suppressed_roles, ["new"]);
}

#[tokio::test]
async fn a_connection_that_answers_by_halves_or_not_at_all_is_replaced() {
    let (master, driven, _stream) =
        subscribe(|settings| settings.limits.answer = Duration::from_millis(200)).await;
    kill(&driven, "a");
    let mut half = master.accept().await;
    half.request().await.unwrap();
    half.send(b"HTTP/1.1 202 Acc").await;
    drop(half);
    let mut silent = master.accept().await;
    assert_eq!(
        names(&[silent.request().await.unwrap().call]),
        ["a"],
        "what was answered by half is repeated"
    );
    silent.ended().await;
    let mut peer = master.accept().await;
    assert_eq!(names(&peer.take_calls(1).await), ["a"]);
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    assert_eq!((counts.accepted, counts.repeated), (1, 2));
}

#[tokio::test]
async fn a_launch_that_was_not_begun_is_sent_on_the_next_connection() {
    let (master, driven, _stream) = subscribe(|_| {}).await;
    // More than the buffers of a connection that is not read can take.
    let data = vec![0; 8 << 20];
    let (agent, executor) = (v1::AgentId::default(), v1::ExecutorId::default());
    driven.handle.message(agent, executor, data).unwrap();
    launch(&driven);
    let peer = master.accept().await;
    peer.stream.readable().await.unwrap();
    drop(peer);
    let mut peer = master.accept().await;
    assert_eq!(names(&peer.take_calls(1).await), ["ACCEPT"]);
    driven.handle.settled().await;
    let counts = driven.handle.counts();
    let fates = (counts.accepted, counts.unconfirmed, counts.repeated);
    assert_eq!(fates, (1, 1, 0), "{counts:?}");
}
