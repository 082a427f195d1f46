//! Sees to it that a connection is closed when its request is answered before it was read.
//! Does not decide when that is; handlers just do not read on.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

/// Time in which an answer to an unread request has been written, so that the server closes the
/// connection. Dropped earlier, a chunked body would be read to an end that a hostile client
/// never sends, and the connection kept as long.
const HOLD: Duration = Duration::from_secs(1);

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

struct Body {
    payload: Payload,
    ended: bool,
}

/// The body of a request, of which a handler has the other half.
pub struct Unread(Rc<RefCell<Body>>);

struct Reading(Rc<RefCell<Body>>);

/// Splits a body: one half for the handler to read, one to be told when it has answered.
pub fn watch(payload: Payload) -> (Payload, Unread) {
    if matches!(payload, Payload::None) {
        return (
            Payload::None,
            Unread(Rc::new(RefCell::new(Body {
                payload,
                ended: true,
            }))),
        );
    }
    let body = Rc::new(RefCell::new(Body {
        payload,
        ended: false,
    }));
    let chunks: Chunks = Box::pin(Reading(body.clone()));
    (Payload::from(chunks), Unread(body))
}

impl Unread {
    /// The handler has answered.
    pub fn answered(self) {
        // A handler that still has its half, as that of a WebSocket, reads on.
        if self.0.borrow().ended || Rc::strong_count(&self.0) > 1 {
            return;
        }
        actix_web::rt::spawn(async move {
            tokio::time::sleep(HOLD).await;
            drop(self.0);
        });
    }
}

impl Stream for Reading {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.borrow_mut();
        let item = ready!(Pin::new(&mut body.payload).poll_next(cx));
        body.ended |= item.is_none();
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    /// A body of one chunk that tells when it is dropped.
    fn body() -> (Payload, Rc<()>) {
        let alive = Rc::new(());
        let held = alive.clone();
        let chunk = stream::iter([Ok(Bytes::from_static(b"x"))]).map(move |chunk| {
            let _held = &held;
            chunk
        });
        let chunks: Chunks = Box::pin(chunk);
        (Payload::from(chunks), alive)
    }

    #[actix::test]
    async fn an_unread_body_is_held_until_its_answer_is_written() {
        tokio::time::pause();
        let (payload, alive) = body();
        let (reading, unread) = watch(payload);
        drop(reading);
        unread.answered();
        tokio::time::sleep(HOLD / 2).await;
        assert_eq!(Rc::strong_count(&alive), 2, "it is held");
        tokio::time::sleep(HOLD).await;
        assert_eq!(Rc::strong_count(&alive), 1, "it is given up");
    }

    #[actix::test]
    async fn a_body_that_was_read_or_is_being_read_is_not_held() {
        let (payload, alive) = body();
        let (mut reading, unread) = watch(payload);
        while reading.next().await.is_some() {}
        drop(reading);
        unread.answered();
        assert_eq!(Rc::strong_count(&alive), 1);

        let (payload, alive) = body();
        let (reading, unread) = watch(payload);
        unread.answered();
        drop(reading);
        assert_eq!(Rc::strong_count(&alive), 1);
    }
}
