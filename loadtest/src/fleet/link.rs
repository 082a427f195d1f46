//! A simulated agent's end of the agent link: one WebSocket, delayed and cut as the options say.
//! Knows nothing of what the messages mean.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tepui_core::agent::messages::LinkNumber;
use tepui_core::time::Mono;
use tepui_protocol::link::{self, AgentToMaster, Frame, MAX_FRAME_BYTES, MasterToAgent};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::framework::Error;

/// Bytes a socket's buffer begins with; thousands of them share one process.
const BUFFER_BYTES: usize = 2048;

/// Connections of one local address. The kernel has about 28,000 ports for each, and takes ever
/// longer to find a free one, those of closed connections included.
const CONNECTIONS_PER_ADDRESS: usize = 4_000;

/// Messages taken from the socket before what they caused is sent.
const MAX_BATCH: usize = 64;

type Socket = WebSocketStream<TcpStream>;
type Opening = Pin<Box<dyn Future<Output = Result<Socket, Error>> + Send>>;

/// A message with the time from which it counts.
type Delayed<T> = VecDeque<(Mono, T)>;

/// How the network between agents and master is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Network {
    /// Delay of every message, in each direction.
    pub delay: Duration,
    /// Further random delay of every message, up to this; order is kept.
    pub jitter: Duration,
    /// Mean time after which a link is cut; zero means never.
    pub mean_time_to_cut: Duration,
}

/// A link in one of its states.
enum State {
    None,
    Opening(Opening),
    Open(Box<Socket>),
}

/// What became of a link.
pub enum Happened {
    /// Messages came; they are in [`Link::arrived`]'s queue.
    Arrived,
    /// It could not be opened, or ended.
    Closed(LinkNumber),
}

/// The link of one simulated agent, or none.
pub struct Link {
    number: LinkNumber,
    state: State,
    network: Network,
    inbound: Delayed<MasterToAgent>,
    outbound: Delayed<Bytes>,
    /// When it is cut.
    cut_at: Option<Mono>,
}

/// What opening a link needs.
#[derive(Clone)]
pub struct Opener {
    /// The master.
    pub master: SocketAddr,
    /// Links that may be opened at a time.
    pub permits: Arc<Semaphore>,
}

impl Link {
    /// No link.
    pub fn none(network: Network) -> Self {
        Link {
            number: LinkNumber(0),
            state: State::None,
            network,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            cut_at: None,
        }
    }

    /// Starts to open a link for the agent of this index.
    pub fn open(&mut self, number: LinkNumber, opener: Opener, index: usize, cut_at: Option<Mono>) {
        self.close();
        self.number = number;
        self.cut_at = cut_at;
        self.state = State::Opening(Box::pin(connect(opener, index)));
    }

    /// Ends the link without a word, as a broken network would.
    pub fn close(&mut self) {
        self.state = State::None;
        self.cut_at = None;
        self.inbound.clear();
        self.outbound.clear();
    }

    /// The number of the link that is open or being opened.
    pub fn number(&self) -> Option<LinkNumber> {
        match self.state {
            State::None => None,
            State::Opening(_) | State::Open(_) => Some(self.number),
        }
    }

    /// Queues a frame for the master.
    ///
    /// # Errors
    /// When the frame is too large.
    pub fn queue(
        &mut self,
        now: Mono,
        random: u64,
        frame: &Frame<AgentToMaster>,
    ) -> Result<(), Error> {
        let bytes = Bytes::from(link::encode(frame)?);
        let due = self.network.due(now, random, self.outbound.back());
        self.outbound.push_back((due, bytes));
        Ok(())
    }

    /// Queues the same frame so many times, which costs far less than it costs to read them.
    ///
    /// # Errors
    /// When the frame is too large.
    pub fn queue_many(
        &mut self,
        now: Mono,
        frame: &Frame<AgentToMaster>,
        count: usize,
    ) -> Result<(), Error> {
        let bytes = Bytes::from(link::encode(frame)?);
        let due = self.network.due(now, 0, self.outbound.back());
        self.outbound
            .extend(std::iter::repeat_n((due, bytes), count));
        Ok(())
    }

    /// Sends what is due; false when the link has ended.
    pub async fn send_due(&mut self, now: Mono) -> bool {
        let State::Open(socket) = &mut self.state else {
            return true;
        };
        let mut sent = false;
        while let Some((due, _)) = self.outbound.front()
            && *due <= now
        {
            let Some((_, bytes)) = self.outbound.pop_front() else {
                break;
            };
            sent = true;
            if socket.feed(Message::Binary(bytes)).await.is_err() {
                return false;
            }
        }
        !sent || socket.flush().await.is_ok()
    }

    /// A message that is due; none when nothing is.
    pub fn arrived(&mut self, now: Mono) -> Option<MasterToAgent> {
        let (due, _) = self.inbound.front()?;
        if *due > now {
            return None;
        }
        self.inbound.pop_front().map(|(_, message)| message)
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Mono> {
        let inbound = self.inbound.front().map(|(due, _)| *due);
        let outbound = match self.state {
            State::Open(_) => self.outbound.front().map(|(due, _)| *due),
            State::None | State::Opening(_) => None,
        };
        [inbound, outbound, self.cut_at].into_iter().flatten().min()
    }

    /// Whether the time to cut it has come.
    pub fn is_cut(&self, now: Mono) -> bool {
        self.cut_at.is_some_and(|at| at <= now)
    }

    /// Waits for the link to open, to bring something, or to end. May be dropped and called again.
    pub async fn next(&mut self, now: impl Fn() -> Mono, random: u64) -> Happened {
        loop {
            match &mut self.state {
                State::None => std::future::pending().await,
                State::Opening(opening) => match opening.await {
                    Ok(socket) => self.state = State::Open(Box::new(socket)),
                    Err(_) => return self.closed(),
                },
                State::Open(socket) => {
                    let mut next = Poll::Ready(socket.next().await);
                    let mut taken = 0;
                    while let Poll::Ready(message) = next {
                        let Some(Ok(message)) = message else {
                            return self.closed();
                        };
                        if let Message::Binary(bytes) = message {
                            let Ok(frame) = link::decode::<MasterToAgent>(&bytes) else {
                                return self.closed();
                            };
                            let due = self.network.due(now(), random, self.inbound.back());
                            self.inbound.push_back((due, frame.body));
                        }
                        taken += 1;
                        if taken == MAX_BATCH {
                            break;
                        }
                        // What is taken here would be lost if it were left unread.
                        let more = |cx: &mut Context<'_>| Poll::Ready(socket.poll_next_unpin(cx));
                        next = std::future::poll_fn(more).await;
                    }
                    return Happened::Arrived;
                }
            }
        }
    }

    fn closed(&mut self) -> Happened {
        self.close();
        Happened::Closed(self.number)
    }
}

impl Network {
    /// When a message counts that is sent now, behind the one before.
    fn due<T>(&self, now: Mono, random: u64, before: Option<&(Mono, T)>) -> Mono {
        if self.delay.is_zero() && self.jitter.is_zero() {
            return now;
        }
        let jitter = self.jitter.mul_f64(super::players::share(random));
        let due = now + self.delay + jitter;
        before.map_or(due, |(before, _)| due.max(*before))
    }

    /// When a link that is opened now is cut: exponentially distributed, as independent failures
    /// are.
    pub fn cut_at(&self, now: Mono, random: u64) -> Option<Mono> {
        if self.mean_time_to_cut.is_zero() {
            return None;
        }
        let share = 1.0 - super::players::share(random);
        Some(now + self.mean_time_to_cut.mul_f64(-share.ln()))
    }
}

async fn connect(opener: Opener, index: usize) -> Result<Socket, Error> {
    // The permit is held until the handshake is done: more at a time would overflow the master's
    // queue of connections and wait for the kernel to try again.
    let _permit = opener.permits.acquire().await?;
    let socket = match opener.master {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source(opener.master.ip(), index, std::process::id()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(opener.master).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let url = format!("ws://{}{}", opener.master, link::PATH);
    let (socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    Ok(socket)
}

/// The address to connect from: all of 127/8 is this machine, so that more agents fit on it than
/// one address has ports. Each run has addresses of its own, as ports of the one before may not be
/// free yet.
fn source(master: IpAddr, index: usize, run: u32) -> Option<IpAddr> {
    let IpAddr::V4(address) = master else {
        return None;
    };
    let block = u8::try_from(index / CONNECTIONS_PER_ADDRESS).ok()?;
    let [.., high, low] = run.to_be_bytes();
    // Addresses that begin with 127.0 and 127.1 are left to others on this machine.
    let source = Ipv4Addr::new(127, high % 254 + 2, low, block.checked_add(1)?);
    address.is_loopback().then_some(IpAddr::V4(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(delay_ms: u64, jitter_ms: u64) -> Network {
        Network {
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::from_millis(jitter_ms),
            mean_time_to_cut: Duration::from_secs(10),
        }
    }

    #[test]
    fn delays_keep_the_order() {
        let plain = network(0, 0);
        assert_eq!(plain.due::<()>(Mono(7), u64::MAX, None), Mono(7));
        let slow = network(10, 100);
        let late = slow.due::<()>(Mono(0), u64::MAX, None);
        assert!(late > Mono(109_000) && late <= Mono(110_000), "{late:?}");
        assert_eq!(slow.due(Mono(0), 0, Some(&(late, ()))), late);
        assert_eq!(slow.due::<()>(Mono(5), 0, None), Mono(10_005));
    }

    #[test]
    fn cuts_come_on_average_when_they_should() {
        let network = network(0, 0);
        let count = 1000_u64;
        let total: u64 = (0..count)
            .map(|step| network.cut_at(Mono(0), step * (u64::MAX / count)))
            .map(|at| at.unwrap().0)
            .sum();
        let mean = total as f64 / count as f64 / 1e6;
        assert!((9.5..10.5).contains(&mean), "{mean}");
        assert_eq!(Network::default().cut_at(Mono(0), 1), None);
    }

    #[test]
    fn agents_of_one_machine_share_many_addresses() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source(loopback, 0, 0x0102), "127.3.2.1".parse().ok());
        assert_eq!(source(loopback, 9_000, 0x0102), "127.3.2.3".parse().ok());
        assert_ne!(source(loopback, 0, 7), source(loopback, 0, 8));
        let last = usize::from(u8::MAX) * CONNECTIONS_PER_ADDRESS - 1;
        assert!(source(loopback, last, u32::MAX).is_some());
        assert_eq!(source("10.1.1.1".parse().unwrap(), 0, 1), None);
    }
}
