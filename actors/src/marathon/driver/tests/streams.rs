//! Tests of subscriptions: how they are made, read, lost and made again.
//! What becomes of calls is tested next door.

use super::*;

#[tokio::test]
async fn events_come_in_order_however_slowly_they_are_taken() {
    let master = Played::start().await;
    let mut settings = master.settings();
    settings.credentials = Some(Credentials::new("p", b"secret").unwrap());
    let mut driven = Driven::start(settings);
    let (mut stream, request) = master.grant(Some(100.0)).await;
    assert_eq!(
        request.header("Content-Type"),
        Some("application/x-protobuf")
    );
    assert_eq!(request.header("Authorization"), Some("Basic cDpzZWNyZXQ="));
    assert_eq!(request.call.framework_id, None);
    let told = request.call.subscribe.unwrap().framework_info;
    assert_eq!((told.user.as_str(), told.name.as_str()), ("u", "n"));
    assert!(driven.subscribed().await, "the first time");

    let writing = tokio::spawn(async move {
        for number in 0..500 {
            stream.event(&rescind(&number.to_string())).await;
            stream.event(&typed(event::Type::Heartbeat)).await;
        }
        stream
    });
    for number in 0..500 {
        let expected = DriverEvent::Rescind(offer_id(&number.to_string()));
        assert_eq!(driven.next().await, expected);
    }
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn every_event_has_its_meaning() {
    let master = Played::start().await;
    let mut driven = Driven::start(master.settings());
    let (mut stream, _) = master.grant(None).await;
    driven.subscribed().await;
    let id = |value: &str| v1::AgentId {
        value: value.to_owned(),
    };
    let failure = event::Failure {
        agent_id: Some(id("S")),
        ..Default::default()
    };
    let message = event::Message {
        agent_id: id("S"),
        executor_id: v1::ExecutorId {
            value: "e".to_owned(),
        },
        data: b"x".to_vec(),
    };
    let offers = event::Offers {
        offers: vec![v1::Offer {
            id: offer_id("O"),
            ..Default::default()
        }],
    };
    let all = [
        typed(event::Type::Unknown),
        Event {
            offers: Some(offers.clone()),
            ..typed(event::Type::Offers)
        },
        Event {
            inverse_offers: Some(event::InverseOffers::default()),
            ..typed(event::Type::InverseOffers)
        },
        Event {
            message: Some(message.clone()),
            ..typed(event::Type::Message)
        },
        Event {
            failure: Some(failure.clone()),
            ..typed(event::Type::Failure)
        },
        update(status("t")),
    ];
    // In one chunk, as a master under load writes them.
    let mut records = Vec::new();
    for event in &all {
        records.extend_from_slice(&recordio::encode(&wire::encode(event)));
    }
    stream.chunk(&records).await;
    assert_eq!(driven.next().await, DriverEvent::Offers(offers.offers));
    assert_eq!(driven.next().await, DriverEvent::InverseOffers(vec![]));
    assert_eq!(driven.next().await, DriverEvent::Message(message));
    assert_eq!(driven.next().await, DriverEvent::Failure(failure));
    assert_eq!(
        driven.next().await,
        DriverEvent::Update(Box::new(status("t")))
    );
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_with_the_frameworks_id() {
    let master = Played::start().await;
    let mut settings = master.settings();
    settings.limits.max_event_bytes = 1000;
    let mut driven = Driven::start(settings);
    let whole = recordio::encode(&wire::encode(&rescind("O")));
    let half = &whole[..whole.len() / 2];
    let endings: [(&[u8], &str); 6] = [
        (b"", "closed"),
        (half, "closed"),
        (b"not a length", "length"),
        (b"1001\n", "limit"),
        (b"99999999999999999999999\n", "length"),
        (b"3\n\xff\xff\xff", "not a"),
    ];
    for (number, (bytes, reason)) in endings.into_iter().enumerate() {
        let (mut stream, request) = master.grant(Some(100.0)).await;
        let told = request.call.framework_id.is_some();
        assert_eq!(told, number > 0, "the id is told when it is known");
        assert_eq!(driven.subscribed().await, number == 0);
        if !bytes.is_empty() {
            stream.chunk(bytes).await;
        }
        if reason == "closed" {
            drop(stream);
        } else {
            // What cannot be read ends the subscription from this side.
            stream.ended().await;
        }
        let why = driven.disconnected().await;
        assert!(why.contains(reason), "{why}");
    }
    assert_eq!(driven.handle.counts().subscriptions, 6);
}

#[tokio::test]
async fn an_end_of_the_stream_in_due_form_is_an_end_too() {
    let master = Played::start().await;
    let mut driven = Driven::start(master.settings());
    let (mut stream, _) = master.grant(None).await;
    driven.subscribed().await;
    stream.send(b"0\r\n\r\n").await;
    let why = driven.disconnected().await;
    assert!(why.contains("the master ended"), "{why}");
}

#[tokio::test]
async fn a_master_without_its_heartbeats_is_left() {
    let master = Played::start().await;
    let mut driven = Driven::start(master.settings());
    let (mut stream, _) = master.grant(Some(0.5)).await;
    driven.subscribed().await;
    // An event that never ends is as good as none.
    stream.chunk(b"10\nhalf").await;
    let why = driven.disconnected().await;
    assert!(why.contains("nothing was heard for 1000 ms"), "{why}");
    stream.ended().await;
    let (_stream, _) = master.grant(Some(100.0)).await;
    assert!(!driven.subscribed().await);
}

#[tokio::test]
async fn a_master_that_promises_no_heartbeats_is_asked_for_an_answer() {
    let master = Played::start().await;
    let mut settings = master.settings();
    settings.limits.probe_interval = Duration::from_millis(50);
    settings.limits.missed_probes = 30;
    let mut driven = Driven::start(settings);
    let (mut stream, _) = master.grant(None).await;
    driven.subscribed().await;
    let mut calls = master.accept().await;
    let asked = calls.take_calls(1).await.remove(0).reconcile.unwrap();
    assert_eq!(asked.tasks.len(), 1);
    let answer = v1::TaskStatus {
        uuid: None,
        ..status(&asked.tasks[0].task_id.value)
    };
    stream.event(&update(answer)).await;
    // It answers no further question; the answer to the first is not shown.
    let why = driven.disconnected().await;
    assert!(why.contains("nothing was heard for 1500 ms"), "{why}");
}

#[tokio::test]
async fn standbys_lead_to_the_leader_and_are_asked_again_while_there_is_none() {
    let leader = Played::start().await;
    let standby = Played::start().await;
    let mut driven = Driven::start(standby.settings());
    for (status, header) in [
        (503, String::new()),
        (500, String::new()),
        (404, String::new()),
        (307, "Location: /nowhere\r\n".to_owned()),
        (
            307,
            format!("Location: //{}/api/v1/scheduler\r\n", leader.address()),
        ),
    ] {
        let mut peer = standby.accept().await;
        peer.request().await.unwrap();
        peer.answer(status, &header, "later").await;
    }
    let (_stream, _) = leader.grant(None).await;
    assert!(driven.subscribed().await);
    // Calls go to the leader as well.
    driven.handle.revive(vec![]).unwrap();
    let mut calls = leader.accept().await;
    assert_eq!(names(&calls.take_calls(1).await), ["REVIVE"]);
}

#[tokio::test]
async fn masters_that_point_at_each_other_or_speak_no_http_are_tried_later() {
    let master = Played::start().await;
    let mut driven = Driven::start(master.settings());
    for _ in 0..6 {
        let mut peer = master.accept().await;
        peer.request().await.unwrap();
        let back = format!("Location: //{}/api/v1/scheduler\r\n", master.address());
        peer.answer(307, &back, "").await;
    }
    for nonsense in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", ""] {
        let mut peer = master.accept().await;
        peer.request().await.unwrap();
        peer.send(nonsense.as_bytes()).await;
    }
    let mut peer = master.accept().await;
    peer.request().await.unwrap();
    peer.grant().await;
    peer.event(&rescind("before SUBSCRIBED")).await;
    let (_stream, _) = master.grant(None).await;
    assert!(driven.subscribed().await);
}

#[tokio::test]
async fn refusals_are_final() {
    for status in [400, 401, 403] {
        let master = Played::start().await;
        let mut driven = Driven::start(master.settings());
        let mut peer = master.accept().await;
        peer.request().await.unwrap();
        peer.answer(status, "", "No such thing.").await;
        let text = driven.error().await;
        assert!(
            text.contains("No such thing.") && text.contains(&status.to_string()),
            "{text}"
        );
    }
    let master = Played::start().await;
    let mut driven = Driven::start(master.settings());
    let mut peer = master.accept().await;
    peer.request().await.unwrap();
    peer.grant().await;
    peer.event(&error("Framework has been removed")).await;
    assert_eq!(driven.error().await, "Framework has been removed");

    let mut driven = Driven::start(master.settings());
    let (mut stream, _) = master.grant(None).await;
    driven.subscribed().await;
    stream.event(&error("Framework failed over")).await;
    assert_eq!(driven.error().await, "Framework failed over");
}

#[tokio::test]
async fn nobody_listening_is_tried_until_somebody_does() {
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut driven = Driven::start(settings_for(&address.to_string()));
    tokio::task::yield_now().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let master = Played { listener };
    let (_stream, _) = master.grant(None).await;
    assert!(driven.subscribed().await);
}

#[tokio::test]
async fn a_driver_that_nobody_needs_leaves_the_master() {
    let master = Played::start().await;
    let mut driven = Driven::start(master.settings());
    let (stream, _) = master.grant(None).await;
    driven.subscribed().await;
    let other = driven.handle.clone();
    drop(driven.handle);
    other.revive(vec![]).unwrap();
    drop(other);
    stream.ended().await;

    let mut driven = Driven::start(master.settings());
    let (stream, _) = accept_after_calls(&master).await;
    driven.subscribed().await;
    driven.handle.stop();
    stream.ended().await;
    assert_eq!(driven.handle.revive(vec![]), Err(CallError::Ended));

    let mut driven = Driven::start(master.settings());
    let (stream, _) = accept_after_calls(&master).await;
    driven.subscribed().await;
    drop(driven.events);
    stream.ended().await;
}

/// As [`Played::grant`], past connections for calls that ended before they were used.
async fn accept_after_calls(master: &Played) -> (Peer, Request) {
    loop {
        let mut peer = master.accept().await;
        let Some(request) = peer.request().await else {
            continue;
        };
        if request.call.r#type() == call::Type::Subscribe {
            peer.grant().await;
            peer.event(&subscribed(None)).await;
            return (peer, request);
        }
    }
}
