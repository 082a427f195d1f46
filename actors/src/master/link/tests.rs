//! Tests of the reading half of an agent link under a paused clock: pings, permits, bad frames.
//! The socket itself is tested with a real agent's client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream;
use tepui_core::master::messages::{Input, LinkId};
use tepui_core::time::Mono;
use tepui_protocol::link::{self, AgentToMaster, Frame};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Pinging;
use super::outbox::{Order, Outbox};
use super::reader::Reader;
use super::socket::{Message, SocketError};

use crate::clock::Clock;
use crate::master::ToMaster;
use crate::master::testing::mailbox;

const PINGING: Pinging = Pinging {
    interval: Duration::from_secs(15),
    max_unanswered: 5,
};

struct Fixture {
    to_link: UnboundedSender<Result<Message, SocketError>>,
    outbox: Arc<Outbox>,
    inputs: UnboundedReceiver<ToMaster>,
    reading: actix_web::rt::task::JoinHandle<()>,
}

fn start(permits: usize) -> Fixture {
    let (master, inputs) = mailbox();
    let (to_link, from_agent) = unbounded_channel();
    let outbox = Arc::new(Outbox::default());
    let reader = Reader {
        link: LinkId(7),
        agent: Arc::new(OnceLock::new()),
        master,
        permits: Arc::new(Semaphore::new(permits)),
        pinging: PINGING,
        outbox: outbox.clone(),
    };
    let messages = stream::unfold(from_agent, async |mut from_agent| {
        let message = from_agent.recv().await?;
        Some((message, from_agent))
    });
    let reading = actix_web::rt::spawn(async move {
        let mut messages = std::pin::pin!(messages);
        reader.run(&mut messages).await;
    });
    Fixture {
        to_link,
        outbox,
        inputs,
        reading,
    }
}

impl Fixture {
    fn send(&self, epoch: u64, body: AgentToMaster) {
        let frame = link::encode(&Frame { epoch, body }).unwrap();
        self.to_link.send(Ok(Message::Binary(frame))).unwrap();
    }

    /// The next message handed to the master, with its permit.
    async fn handed(&mut self) -> ToMaster {
        let message = self.inputs.recv().await.unwrap();
        assert!(matches!(
            message,
            ToMaster::FromAgent {
                link: LinkId(7),
                ..
            }
        ));
        message
    }

    async fn ping(&mut self) {
        let mut orders = self.outbox.next().await;
        assert!(matches!(orders.make_contiguous(), [Order::Ping]));
    }
}

/// Seconds since the clock was started.
fn elapsed(clock: &Clock) -> u64 {
    clock.now().mono.since(Mono::default()).as_secs()
}

#[actix::test]
async fn an_agent_that_answers_no_ping_is_unresponsive_after_the_last_one() {
    tokio::time::pause();
    let mut fixture = start(4);
    let clock = Clock::start();
    for _ in 0..PINGING.max_unanswered {
        fixture.ping().await;
        assert!(fixture.inputs.try_recv().is_err());
    }
    match fixture.inputs.recv().await {
        Some(ToMaster::Input(Input::LinkUnresponsive { link })) => assert_eq!(link, LinkId(7)),
        _ => panic!("the master must be told"),
    }
    // One interval to the first ping, then one for each that was not answered. Timers may be a
    // millisecond late.
    let intervals = PINGING.interval * (1 + PINGING.max_unanswered);
    assert_eq!(elapsed(&clock), intervals.as_secs());
}

#[actix::test]
async fn an_agent_that_answers_after_all_is_told_of_once() {
    tokio::time::pause();
    let mut fixture = start(4);
    for _ in 0..PINGING.max_unanswered {
        fixture.ping().await;
    }
    let Some(ToMaster::Input(Input::LinkUnresponsive { .. })) = fixture.inputs.recv().await else {
        panic!("the master must be told");
    };
    fixture.ping().await;
    for _ in 0..2 {
        fixture.send(7, AgentToMaster::Pong);
        fixture.ping().await;
    }
    match fixture.inputs.recv().await {
        Some(ToMaster::Input(Input::LinkResponsive { link })) => assert_eq!(link, LinkId(7)),
        _ => panic!("the master must be told"),
    }
    assert!(fixture.inputs.try_recv().is_err());
}

#[actix::test]
async fn an_agent_that_answers_stays() {
    tokio::time::pause();
    let mut fixture = start(4);
    for _ in 0..20 {
        fixture.ping().await;
        fixture.send(7, AgentToMaster::Pong);
    }
    assert!(
        fixture.inputs.try_recv().is_err(),
        "pongs do not reach the master"
    );
}

#[actix::test]
async fn an_agent_is_not_read_while_the_master_has_too_many_of_its_messages() {
    tokio::time::pause();
    let mut fixture = start(2);
    for _ in 0..3 {
        fixture.send(7, AgentToMaster::Unregister);
    }
    let first = fixture.handed().await;
    let _second = fixture.handed().await;
    // However long the master takes, the agent is not blamed for answers that nobody reads.
    for _ in 0..20 {
        fixture.ping().await;
    }
    assert!(fixture.inputs.try_recv().is_err());
    drop(first);
    let _third = fixture.handed().await;
}

#[actix::test]
async fn a_frame_of_another_epoch_is_dropped() {
    let mut fixture = start(4);
    fixture.send(6, AgentToMaster::Unregister);
    let update = AgentToMaster::ExecutorExited {
        framework_id: "F".to_owned(),
        executor_id: "E".to_owned(),
        status: 0,
    };
    fixture.send(7, update.clone());
    match fixture.handed().await {
        ToMaster::FromAgent { message, .. } => assert_eq!(*message, update),
        _ => unreachable!(),
    }
}

#[actix::test]
async fn bad_frames_and_texts_end_the_link() {
    let junk = [
        Message::Binary(b"\xc1junk".to_vec()),
        Message::Text,
        Message::Close,
    ];
    for message in junk {
        let mut fixture = start(4);
        fixture.to_link.send(Ok(message)).unwrap();
        (&mut fixture.reading).await.unwrap();
        assert!(fixture.inputs.try_recv().is_err());
    }
    let fixture = start(4);
    fixture.to_link.send(Err(SocketError::Ended)).unwrap();
    fixture.reading.await.unwrap();
}
