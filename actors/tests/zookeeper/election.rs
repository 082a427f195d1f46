//! Elections with real ZooKeeper servers.
//! The decisions themselves are tested where they are made.

use crate::support::proxy::{Break, CREATE, GET_CHILDREN, GET_DATA, Proxy};
use crate::support::{
    Ensemble, PATIENCE, connected, master, open, open_short, until, until_state, url,
};
use tepui_actors::election::node::Sequence;
use tepui_actors::election::session::SessionState;
use tepui_actors::election::{
    Candidacy, Contender, Decision, Detector, Election, Leader, Loss, Session, StopReason,
};
use tepui_protocol::wire;
use tokio::sync::watch;
use zookeeper_client::{Acls, Client, CreateMode, Error};

const PATH: &str = "/tepui/test";

async fn leads(election: &Election) -> u64 {
    let mut decision = election.decision();
    let led = until(&mut decision, "leads", |decision| {
        matches!(decision, Decision::Lead { .. })
    });
    match led.await {
        Decision::Lead { epoch } => epoch,
        other => panic!("does not lead: {other:?}"),
    }
}

async fn follows(election: &Election, name: &str) {
    let id = format!("id-{name}");
    until(
        &mut election.decision(),
        "follows",
        |decision| matches!(decision, Decision::Follow(info) if info.id == id),
    )
    .await;
}

async fn stops(election: &Election) -> StopReason {
    let mut decision = election.decision();
    let stopped = until(&mut decision, "stops", |decision| {
        matches!(decision, Decision::Stop(_))
    });
    match stopped.await {
        Decision::Stop(reason) => reason,
        other => panic!("does not stop: {other:?}"),
    }
}

async fn contends(candidacy: &mut watch::Receiver<Candidacy>) -> Sequence {
    let contends = until(candidacy, "contends", |candidacy| {
        matches!(candidacy, Candidacy::Contending(_))
    });
    match contends.await {
        Candidacy::Contending(sequence) => sequence,
        other => panic!("does not contend: {other:?}"),
    }
}

async fn detected(leader: &mut watch::Receiver<Option<Leader>>, name: &str) -> Leader {
    let id = format!("id-{name}");
    let detected = until(leader, "detects", |leader| {
        leader.as_ref().is_some_and(|leader| leader.info.id == id)
    });
    detected.await.expect("a leader")
}

/// A master in the election; it contends before this returns, so that numbers grow in order.
async fn join(ensemble: &Ensemble, name: &str) -> (Session, Election) {
    enter(open(ensemble.url(PATH)), name).await
}

async fn enter(session: Session, name: &str) -> (Session, Election) {
    let election = Election::start(session.clone(), &master(name));
    contends(&mut election.candidacy()).await;
    until(&mut election.decision(), "leads or follows", |decision| {
        matches!(decision, Decision::Lead { .. } | Decision::Follow(_))
    })
    .await;
    (session, election)
}

async fn children(client: &Client) -> Vec<String> {
    let mut children = client.list_children(PATH).await.expect("children");
    children.sort();
    children
}

#[tokio::test]
async fn one_of_three_leads_and_the_next_takes_over() {
    let ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let (_, first) = join(&ensemble, "a").await;
    let (_, second) = join(&ensemble, "b").await;
    let (_, third) = join(&ensemble, "c").await;
    assert_eq!(leads(&first).await, 0);
    follows(&second, "a").await;
    follows(&third, "a").await;
    let names = [
        "json.info_0000000000",
        "json.info_0000000001",
        "json.info_0000000002",
    ];
    assert_eq!(children(&client).await, names);

    let (data, stat) = client
        .get_data(&format!("{PATH}/json.info_0000000000"))
        .await
        .expect("data");
    let text = String::from_utf8(data).expect("text");
    assert!(text.contains(r#""pid":"master@a:5050""#), "{text}");
    assert_ne!(stat.ephemeral_owner, 0);

    // A clean shutdown needs no timeout: the node is gone when it returns.
    first.withdraw().await;
    assert_eq!(children(&client).await, names[1..]);
    assert_eq!(leads(&second).await, 1);
    follows(&third, "b").await;

    // A crash: the session ends with its last handle.
    drop(second);
    assert_eq!(leads(&third).await, 2);
}

#[tokio::test]
async fn a_leader_without_its_node_stops_and_a_follower_contends_again() {
    let ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let (_, leader) = join(&ensemble, "a").await;
    let (_, follower) = join(&ensemble, "b").await;
    leads(&leader).await;
    follows(&follower, "a").await;

    let node = format!("{PATH}/json.info_0000000001");
    client.delete(&node, None).await.expect("deleted");
    let again = format!("{PATH}/json.info_0000000002");
    loop {
        let (stat, changed) = client.check_and_watch_stat(&again).await.expect("stat");
        if stat.is_some() {
            break;
        }
        changed.changed().await;
    }
    follows(&follower, "a").await;

    let node = format!("{PATH}/json.info_0000000000");
    client.delete(&node, None).await.expect("deleted");
    let reason = stops(&leader).await;
    assert!(
        matches!(
            reason,
            StopReason::Lost(Loss::NodeGone) | StopReason::OtherLeader { .. }
        ),
        "{reason}"
    );
    assert_eq!(leads(&follower).await, 2);
}

#[tokio::test]
async fn a_session_survives_a_restarted_server() {
    let mut ensemble = Ensemble::start(1).await;
    let (session, leader) = join(&ensemble, "a").await;
    let epoch = leads(&leader).await;
    let before = connected(&session).await;
    let mut decision = leader.decision();
    decision.mark_unchanged();

    ensemble.server(0).kill();
    until_state(&session, "disconnected", |state| {
        matches!(state, SessionState::Disconnected)
    })
    .await;
    ensemble.server(0).start_again();
    let after = until_state(&session, "connected or lost", |state| match state {
        SessionState::Connected(now) => now.connection != before.connection,
        SessionState::Absent => true,
        SessionState::Disconnected => false,
    });
    match after.await {
        SessionState::Connected(now) => assert_eq!(now.session, before.session),
        other => panic!("the server took too long to start: {other:?}"),
    }
    assert!(!decision.has_changed().expect("deciding"));
    assert_eq!(*decision.borrow(), Decision::Lead { epoch });
}

#[tokio::test]
async fn a_leader_that_cannot_reach_zookeeper_stops_by_itself() {
    let mut ensemble = Ensemble::start(1).await;
    let (_, leader) = enter(open_short(ensemble.url(PATH)), "a").await;
    let (_, follower) = enter(open_short(ensemble.url(PATH)), "b").await;
    leads(&leader).await;
    follows(&follower, "a").await;

    // The server hangs, so nobody could tell the leader.
    ensemble.server(0).pause();
    let reason = stops(&leader).await;
    assert!(
        matches!(
            reason,
            StopReason::Lost(Loss::SessionExpired) | StopReason::NoLeader
        ),
        "{reason}"
    );
    until(&mut follower.decision(), "waits", |decision| {
        *decision == Decision::Wait
    })
    .await;

    drop(leader);
    ensemble.server(0).resume();
    leads(&follower).await;
}

#[tokio::test]
async fn an_ensemble_may_lose_one_of_three_but_not_two() {
    let mut ensemble = Ensemble::start(3).await;
    let (first_session, leader) = enter(open_short(ensemble.url(PATH)), "a").await;
    let (_, follower) = enter(open_short(ensemble.url(PATH)), "b").await;
    let detector = Detector::start(open_short(ensemble.url(PATH)));
    let epoch = leads(&leader).await;
    follows(&follower, "a").await;
    detected(&mut detector.leader(), "a").await;
    let before = connected(&first_session).await;
    let session_id = format!("{:#x}", before.client.session_id().0);
    let (session, connection) = (before.session, before.connection);
    // It would keep the leader's session, and so its node, for ever.
    drop(before);

    // The one the leader is connected to, so that its session has to move.
    let mut used = 0;
    for at in 0..3 {
        let stat = ensemble.server(at).connections().await.to_lowercase();
        if stat.contains(&session_id) {
            used = at;
        }
    }
    let mut decision = leader.decision();
    decision.mark_unchanged();
    ensemble.server(used).kill();
    let after = until_state(&first_session, "moved", |state| match state {
        SessionState::Connected(now) => now.connection != connection,
        SessionState::Absent => true,
        SessionState::Disconnected => false,
    });
    assert!(matches!(after.await, SessionState::Connected(now) if now.session == session));
    assert!(!decision.has_changed().expect("deciding"));
    assert_eq!(*decision.borrow(), Decision::Lead { epoch });

    ensemble.server((used + 1) % 3).kill();
    stops(&leader).await;
    until(&mut follower.decision(), "waits", |decision| {
        *decision == Decision::Wait
    })
    .await;
    until(&mut detector.leader(), "none", Option::is_none).await;

    // With a quorum again the rest goes on.
    drop(leader);
    drop(first_session);
    ensemble.server(used).start_again();
    leads(&follower).await;
    detected(&mut detector.leader(), "b").await;
}

#[tokio::test]
async fn others_may_read_but_not_delete_what_a_user_made() {
    let ensemble = Ensemble::start(1).await;
    let user = |credentials: &str| url(&format!("zk://{credentials}@{}{PATH}", ensemble.hosts()));
    let election = Election::start(open(user("tepui:secret")), &master("a"));
    leads(&election).await;
    let node = format!("{PATH}/json.info_0000000000");

    for other in [open(user("tepui:wrong")), open(ensemble.url(PATH))] {
        let client = connected(&other).await.client;
        assert_eq!(client.delete(&node, None).await, Err(Error::NoAuth));
        assert_eq!(
            client.set_data(&node, b"", None).await.err(),
            Some(Error::NoAuth)
        );
        assert_eq!(client.delete("/tepui", None).await, Err(Error::NotEmpty));
        let contender = client
            .create(
                &format!("{PATH}/json.info_"),
                b"",
                &CreateMode::EphemeralSequential.with_acls(Acls::anyone_all()),
            )
            .await;
        assert_eq!(contender.err(), Some(Error::NoAuth));
        client.get_data(&node).await.expect("all may read");
        let detector = Detector::start(other);
        detected(&mut detector.leader(), "a").await;
    }

    // The user itself may contend with a and delete its node.
    let session = open(user("tepui:secret"));
    let contender = Contender::start(session.clone(), &master("b"));
    assert_eq!(contends(&mut contender.candidacy()).await, Sequence(1));
    let client = connected(&session).await.client;
    client.delete(&node, None).await.expect("deleted");
    stops(&election).await;
}

#[tokio::test]
async fn detects_old_masters_and_survives_nodes_it_cannot_read() {
    let ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    // Started before there is a path, as an agent may be.
    let detector = Detector::start(open(ensemble.url(PATH)));
    let mut leader = detector.leader();
    let open_to_all = CreateMode::Persistent.with_acls(Acls::anyone_all());
    connected(&open(ensemble.url(PATH))).await;
    client.mkdir(PATH, &open_to_all).await.expect("path");
    for other in ["log_replicas", "registry", "json.info_x"] {
        let node = format!("{PATH}/{other}");
        client.create(&node, b"x", &open_to_all).await.expect(other);
    }
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let make = async |name: &str, data: &[u8]| {
        let node = format!("{PATH}/{name}");
        client.create(&node, data, &ephemeral).await.expect("made");
        node
    };
    let binary = make("info_0000000007", &wire::encode(&master("old"))).await;
    let found = detected(&mut leader, "old").await;
    assert_eq!(found.sequence, Sequence(7));
    assert_eq!(*found.info, master("old"));

    // A larger number changes nothing, a smaller one that nobody can read leads nowhere.
    let json = tepui_actors::election::node::write(&master("new"));
    make("json.info_0000000008", &json).await;
    let broken = make("json.info_0000000006", b"{\"id\":").await;
    until(&mut leader, "none", Option::is_none).await;
    client.delete(&broken, None).await.expect("deleted");
    detected(&mut leader, "old").await;
    let empty = make("json.info_0000000005", b"").await;
    until(&mut leader, "none", Option::is_none).await;
    client.delete(&empty, None).await.expect("deleted");
    detected(&mut leader, "old").await;
    client.delete(&binary, None).await.expect("deleted");
    assert_eq!(detected(&mut leader, "new").await.sequence, Sequence(8));
}

#[tokio::test]
async fn detection_goes_on_after_any_outage() {
    let mut ensemble = Ensemble::start(1).await;
    let (_, election) = enter(open_short(ensemble.url(PATH)), "a").await;
    leads(&election).await;
    let session = open_short(ensemble.url(PATH));
    let detector = Detector::start(session.clone());
    let mut leader = detector.leader();
    detected(&mut leader, "a").await;

    // Out of reach it keeps the leader, then nobody leads, then it finds the next one.
    ensemble.server(0).pause();
    until_state(&session, "disconnected", |state| {
        matches!(state, SessionState::Disconnected)
    })
    .await;
    assert!(leader.borrow().is_some());
    until(&mut leader, "none", Option::is_none).await;
    drop(election);
    ensemble.server(0).kill();
    ensemble.server(0).start_again();
    let (_, next) = tokio::time::timeout(PATIENCE, join(&ensemble, "b"))
        .await
        .expect("joined");
    leads(&next).await;
    detected(&mut leader, "b").await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_ends_no_detection() {
    let mut ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let proxy = Proxy::start(ensemble.server(0).port()).await;
    let all = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir(PATH, &all).await.expect("path");
    let session = open(url(&format!("zk://{}{PATH}", proxy.host())));
    let detector = Detector::start(session);
    let mut leader = detector.leader();
    let mut number = 9;
    for kind in [GET_CHILDREN, GET_DATA] {
        for when in [Break::Before, Break::After] {
            proxy.arm(kind, PATH, when);
            let name = format!("m{number}");
            let json = tepui_actors::election::node::write(&master(&name));
            let node = format!("{PATH}/json.info_000000000{number}");
            client.create(&node, &json, &all).await.expect("made");
            detected(&mut leader, &name).await;
            assert!(proxy.sprung(), "{kind} {when:?}");
            number -= 1;
        }
    }
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_node() {
    let mut ensemble = Ensemble::start(1).await;
    let client = ensemble.client().await;
    let proxy = Proxy::start(ensemble.server(0).port()).await;
    let proxied = url(&format!("zk://{}{PATH}", proxy.host()));
    for (when, name) in [
        (Break::After, "json.info_0000000000"),
        (Break::Before, "json.info_0000000001"),
    ] {
        proxy.arm(CREATE, &format!("{PATH}/json.info_"), when);
        let election = Election::start(open(proxied.clone()), &master("a"));
        leads(&election).await;
        assert!(proxy.sprung(), "{when:?}");
        assert_eq!(children(&client).await, [name], "{when:?}");
        election.withdraw().await;
        assert!(children(&client).await.is_empty());
    }
}
