//! Watches the lengths that WebSocket frames announce, and ends the connection at one too large.
//! Decodes nothing: the WebSocket library behind it does, but it only looks at a frame's length
//! once all of the frame has come, and buffers whatever was announced.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

/// Longest head of a frame: two bytes, eight of length, four of mask.
const MAX_HEAD_BYTES: usize = 14;

/// Passes the bytes of a connection on as long as its frames are no longer than the limit.
pub(super) struct Guard {
    payload: Payload,
    frames: Frames,
}

impl Guard {
    pub(super) fn new(payload: Payload, limit: usize) -> Self {
        Guard {
            payload,
            frames: Frames::new(limit),
        }
    }
}

impl Stream for Guard {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.payload).poll_next(cx));
        if let Some(Ok(bytes)) = &item
            && !self.frames.pass(bytes)
        {
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        Poll::Ready(item)
    }
}

/// Where in the sequence of frames a connection is.
struct Frames {
    limit: u64,
    /// The head that is being read.
    head: [u8; MAX_HEAD_BYTES],
    head_length: usize,
    /// Bytes of the present frame's content that are still to come.
    content: u64,
}

impl Frames {
    fn new(limit: usize) -> Self {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Frames {
            limit,
            head: [0; MAX_HEAD_BYTES],
            head_length: 0,
            content: 0,
        }
    }

    /// Moves on by these bytes; false when a frame is too large.
    fn pass(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            let skipped = usize::try_from(self.content)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            self.content -= skipped as u64;
            rest = rest.split_at(skipped).1;
            let Some((byte, after)) = rest.split_first() else {
                return true;
            };
            rest = after;
            if let Some(slot) = self.head.get_mut(self.head_length) {
                *slot = *byte;
            }
            self.head_length += 1;
            if self.head_length == self.wanted_head_length() {
                self.content = self.announced();
                self.head_length = 0;
                if self.content > self.limit {
                    return false;
                }
            }
        }
        true
    }

    /// How long the present head is, as far as its first bytes tell.
    fn wanted_head_length(&self) -> usize {
        if self.head_length < 2 {
            return 2;
        }
        let [_, second, ..] = self.head;
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    /// The length that a whole head announces.
    fn announced(&self) -> u64 {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.head;
        match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            length => u64::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u64) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(0x80 | length as u8),
            126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame
    }

    fn with_content(length: u64) -> Vec<u8> {
        let mut frame = frame(length);
        // Content that would be a too large head, were it taken for one.
        frame.extend(vec![0xff; length as usize]);
        frame
    }

    #[test]
    fn frames_up_to_the_limit_pass_in_pieces_of_any_size() {
        let bytes: Vec<u8> = [0, 1, 125, 126, 1000, 65_536, 70_000, 0]
            .into_iter()
            .flat_map(with_content)
            .collect();
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut frames = Frames::new(70_000);
            assert!(
                bytes.chunks(piece).all(|chunk| frames.pass(chunk)),
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_stops_at_its_head() {
        for length in [70_001, u64::from(u32::MAX), u64::MAX] {
            let mut frames = Frames::new(70_000);
            assert!(frames.pass(&with_content(5)));
            assert!(!frames.pass(&frame(length)), "{length}");
        }
    }
}
