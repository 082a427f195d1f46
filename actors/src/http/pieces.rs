//! A long body in pieces: written without moving what is there, sent without copying it whole.
//! Knows nothing of what it says.

use std::convert::Infallible;
use std::future::Future as _;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::turns::Turn;

/// Bytes of a piece. Larger ones would be given back to the system after each answer, and cost
/// more to get again than to fill.
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes of a piece that is rather copied to others than kept apart.
const SHORT_PIECE_BYTES: usize = PIECE_BYTES / 4;

/// Bytes of an answer that waits for its turn among others of its thread.
const LONG_BYTES: usize = 4 * PIECE_BYTES;

/// What was written, in pieces. Copies share them.
#[derive(Debug, Clone, Default)]
pub struct Pieces(Arc<[Bytes]>);

impl Pieces {
    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// The same between two others.
    pub fn between(&self, before: Bytes, after: Bytes) -> Pieces {
        let all = std::iter::once(before).chain(self.0.iter().cloned());
        Pieces(all.chain(std::iter::once(after)).collect())
    }
}

impl From<Bytes> for Pieces {
    /// One piece.
    fn from(whole: Bytes) -> Self {
        Pieces([whole].into())
    }
}

/// Takes what is written and cuts it into pieces.
#[derive(Debug, Default)]
pub struct PieceWriter {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl PieceWriter {
    /// Adds what was written elsewhere, without copying what is long.
    pub fn append(&mut self, pieces: &Pieces) {
        for piece in pieces.iter() {
            if piece.len() <= SHORT_PIECE_BYTES {
                // Writing to memory cannot fail.
                let _ = self.write_all(piece);
                continue;
            }
            if !self.open.is_empty() {
                self.full.push(Bytes::from(std::mem::take(&mut self.open)));
            }
            self.full.push(piece.clone());
        }
    }

    /// What was written.
    pub fn finish(mut self) -> Pieces {
        self.open.shrink_to_fit();
        self.full.push(Bytes::from(self.open));
        Pieces(self.full.into())
    }
}

impl io::Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PIECE_BYTES);
        }
        let free = PIECE_BYTES - self.open.len();
        let taken = free.min(bytes.len());
        self.open.extend_from_slice(&bytes[..taken]);
        if self.open.len() == PIECE_BYTES {
            self.full.push(Bytes::from(std::mem::take(&mut self.open)));
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets others of the thread go first, those among them that the network has something for: pending,
/// and woken once the thread has looked there. It looks only every sixty steps or so when a task
/// wakes itself.
pub fn poll_others(context: &mut Context<'_>) -> Poll<()> {
    std::pin::pin!(tokio::task::yield_now()).poll(context)
}

/// A body that sends pieces one after the other: no more than one is waiting to be sent.
///
/// After each piece others of the same thread have their turn. A reader on the same machine takes
/// what is written as fast as it is, so that the whole answer would be sent in one go.
/// Long ones take turns.
#[derive(Debug)]
pub struct PiecesBody {
    pieces: Pieces,
    /// None for what is short.
    turn: Option<Turn>,
    next: usize,
    is_resting: bool,
}

impl From<Pieces> for PiecesBody {
    fn from(pieces: Pieces) -> Self {
        PiecesBody {
            turn: (pieces.len() >= LONG_BYTES).then(Turn::new),
            pieces,
            next: 0,
            is_resting: false,
        }
    }
}

impl MessageBody for PiecesBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.pieces.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if std::mem::take(&mut self.is_resting) {
            std::task::ready!(poll_others(context));
        }
        loop {
            let Some(piece) = self.pieces.0.get(self.next).cloned() else {
                self.turn = None;
                return Poll::Ready(None);
            };
            if let Some(turn) = &mut self.turn {
                std::task::ready!(turn.poll(context));
            }
            self.next += 1;
            if !piece.is_empty() {
                self.is_resting = true;
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[&[u8]]) -> Pieces {
        let mut writer = PieceWriter::default();
        for part in parts {
            writer.write_all(part).unwrap();
        }
        writer.finish()
    }

    #[actix_web::test]
    async fn all_that_was_written_is_sent_in_order() {
        let long: Vec<u8> = (0..3 * PIECE_BYTES + 5).map(|i| (i % 251) as u8).collect();
        let pieces = written(&[b"begin", &long, b"", b"end"]);
        assert_eq!(pieces.len(), long.len() + 8);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        let around = pieces.between(Bytes::from_static(b"f("), Bytes::from_static(b")"));
        let body = PiecesBody::from(around);
        assert_eq!(body.size(), BodySize::Sized(long.len() as u64 + 11));
        let sent = actix_web::body::to_bytes(body).await.unwrap();
        assert_eq!(sent, [b"f(begin", &long[..], b"end)"].concat());
    }

    #[test]
    fn what_was_written_elsewhere_takes_its_place() {
        let long = vec![7; 2 * PIECE_BYTES + 9];
        let mut writer = PieceWriter::default();
        for part in [&b"short"[..], &long, b"", b"end"] {
            writer.write_all(b"<").unwrap();
            writer.append(&written(&[part]));
            writer.write_all(b">").unwrap();
        }
        let all: Vec<u8> = writer.finish().iter().flatten().copied().collect();
        let expected = [b"<short><", &long[..], b"><><end>"].concat();
        assert_eq!(all, expected);
    }

    #[actix_web::test]
    async fn what_comes_from_the_network_is_seen_between_two_pieces() {
        let (mut far, near) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = tokio::net::UnixStream::from_std(near).unwrap();
        let seen = std::rc::Rc::new(std::cell::Cell::new(false));
        let reader = actix_web::rt::spawn({
            let seen = seen.clone();
            async move {
                near.readable().await.unwrap();
                seen.set(true);
            }
        });
        tokio::task::yield_now().await;
        assert!(!seen.get());
        far.write_all(b"x").unwrap();
        // As a connection does it: in a task of the thread.
        let sending = actix_web::rt::spawn(async move {
            let mut body = std::pin::pin!(PiecesBody::from(written(&[&vec![7; 20 * PIECE_BYTES]])));
            for sent in 0..20 {
                let piece = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await;
                assert!(piece.is_some());
                if seen.get() {
                    return sent;
                }
            }
            20
        });
        let sent = sending.await.unwrap();
        assert!(sent <= 3, "seen only after {sent} pieces");
        reader.await.unwrap();
    }

    #[actix_web::test]
    async fn others_have_their_turn_between_two_pieces() {
        let turns = std::cell::Cell::new(0);
        let body = PiecesBody::from(written(&[&vec![7; 3 * PIECE_BYTES]]));
        let others = async {
            loop {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            sent = actix_web::body::to_bytes(body) => assert_eq!(sent.unwrap().len(), 3 * PIECE_BYTES),
            () = others => {}
        }
        assert_eq!(turns.get(), 3);
    }

    #[actix_web::test]
    async fn many_long_ones_are_all_sent() {
        let long = written(&[&vec![7; LONG_BYTES + 1]]);
        let all = (0..10).map(|_| actix_web::body::to_bytes(PiecesBody::from(long.clone())));
        for sent in futures_util::future::join_all(all).await {
            assert_eq!(sent.unwrap().len(), LONG_BYTES + 1);
        }
    }

    #[actix_web::test]
    async fn nothing_and_whole_pieces_are_sent_too() {
        assert!(written(&[]).is_empty());
        let sent = actix_web::body::to_bytes(PiecesBody::from(written(&[]))).await;
        assert_eq!(sent.unwrap(), b"".as_slice());
        let whole = vec![7; PIECE_BYTES];
        let sent = actix_web::body::to_bytes(PiecesBody::from(written(&[&whole]))).await;
        assert_eq!(sent.unwrap(), whole);
    }
}
