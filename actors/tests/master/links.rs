//! Agent links over real WebSockets.
//! Pings and permits are tested under a paused clock, next to the link.

use serde_json::json;
use tepui_protocol::link::{AgentToMaster, Frame, MAX_FRAME_BYTES, PATH};
use tokio_tungstenite::tungstenite::Message;

use super::agent::Agent;
use super::client::{Master, new_framework, request};

#[test]
fn agents_register_and_get_ids_in_order() {
    let master = Master::start();
    let first = Agent::register(&master, 5051);
    let second = Agent::register(&master, 5052);
    assert!(first.id.ends_with("-S0"), "{}", first.id);
    assert!(second.id.ends_with("-S1"), "{}", second.id);
    assert!(second.epoch > first.epoch);
    master.state_when(|state| state["activated_slaves"] == 2.0);
}

#[test]
fn an_agent_that_drops_its_link_is_noticed() {
    let master = Master::start();
    let mut subscription = master.subscribe(&new_framework("x"));
    let agent = Agent::register(&master, 5051);
    let offers = subscription.event("OFFERS");
    drop(agent);
    let rescind = subscription.event("RESCIND");
    assert_eq!(
        rescind["rescind"]["offer_id"],
        offers["offers"]["offers"][0]["id"]
    );
    master.state_when(|state| state["slaves"][0]["active"] == json!(false));
}

#[test]
fn frames_of_another_epoch_do_not_count() {
    let master = Master::start();
    let mut agent = Agent::register(&master, 5051);
    let epoch = agent.epoch + 1;
    agent.send_frame(&Frame {
        epoch,
        body: AgentToMaster::Unregister,
    });
    // The link lives on: what is right is still heard.
    agent.send(AgentToMaster::Unregister);
    master.state_when(|state| state["slaves"] == json!([]));
}

#[test]
fn whoever_breaks_the_protocol_loses_the_link_and_only_that() {
    let master = Master::start();
    let junk = [Message::binary(vec![0xc1, 2, 3]), Message::text("hello")];
    for message in junk {
        let mut agent = Agent::connect(&master);
        agent.send_raw(message);
        assert!(agent.receive().is_none(), "the link must end");
    }
    Agent::register(&master, 5051);
}

#[test]
fn a_websockets_own_messages_are_answered() {
    let master = Master::start();
    let mut agent = Agent::register(&master, 5051);
    agent.send_raw(Message::Ping("there?".into()));
    assert_eq!(agent.receive_raw(), Message::Pong("there?".into()));
    agent.send_raw(Message::Close(None));
    assert_eq!(agent.receive_raw(), Message::Close(None));
    master.state_when(|state| state["slaves"][0]["active"] == json!(false));
}

#[test]
fn a_frame_that_is_announced_too_large_ends_the_link() {
    let master = Master::start();
    let mut connection = master.connect();
    let upgrade = format!(
        "GET {PATH} HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    connection.send(upgrade.as_bytes());
    assert_eq!(connection.head().status, 101);
    // A binary frame, masked, whose length is one byte too much.
    let mut frame = vec![0x82, 0xff];
    frame.extend((MAX_FRAME_BYTES as u64 + 1).to_be_bytes());
    frame.extend([1, 2, 3, 4]);
    connection.send(&frame);
    connection.until_closed();
    assert_eq!(master.get("/health").status, 200);
}

#[test]
fn a_plain_request_opens_no_link() {
    let master = Master::start();
    let status = master.get(PATH).status;
    assert!((400..500).contains(&status), "{status}");
}

#[test]
fn a_request_for_a_websocket_of_another_version_is_told_so() {
    let master = Master::start();
    let key = ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
    let upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), key];
    let mut connection = master.connect();
    let other = [&upgrade[..], &[("Sec-WebSocket-Version", "8")]].concat();
    connection.send(&request("GET", PATH, &other, b""));
    let answer = connection.response();
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("Sec-WebSocket-Version"),
        "{}",
        answer.text()
    );
    assert!(connection.until_closed().is_empty());

    let mut connection = master.connect();
    let right = [&upgrade[..], &[("Sec-WebSocket-Version", "13")]].concat();
    connection.send(&request("GET", PATH, &right, b""));
    assert_eq!(connection.head().status, 101);
}
