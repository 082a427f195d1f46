//! A protobuf message kept as its bytes: a tenth of the memory of the message itself.
//! For what is seldom looked into; looking means decoding.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};

use crate::schema::Message;
use crate::wire;

/// A message as bytes. Copies share them.
pub struct Packed<M> {
    bytes: Arc<[u8]>,
    of: PhantomData<fn() -> M>,
}

impl<M: Message> Packed<M> {
    /// Packs a message.
    pub fn new(message: &M) -> Self {
        Packed {
            bytes: wire::encode(message).into(),
            of: PhantomData,
        }
    }

    /// The message as protobuf.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The message. What it does not carry is as in a new message, also what is required.
    pub fn unpack(&self) -> M {
        // Our own bytes can be read; that they cannot would be a fault of the codec.
        M::decode(&*self.bytes).unwrap_or_default()
    }

    /// One field of type `double` by its number, if it is there: nothing else is decoded.
    pub fn double(&self, number: u32) -> Option<f64> {
        let mut bytes = &*self.bytes;
        let mut found = None;
        while !bytes.is_empty() {
            let (tag, wire_type) = decode_key(&mut bytes).ok()?;
            match (tag == number, wire_type) {
                (true, WireType::SixtyFourBit) => {
                    let (value, rest) = bytes.split_first_chunk::<8>()?;
                    found = Some(f64::from_le_bytes(*value));
                    bytes = rest;
                }
                _ => skip_field(wire_type, tag, &mut bytes, DecodeContext::default()).ok()?,
            }
        }
        found
    }
}

impl<M> Clone for Packed<M> {
    fn clone(&self) -> Self {
        Packed {
            bytes: self.bytes.clone(),
            of: PhantomData,
        }
    }
}

impl<M> PartialEq for Packed<M> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<M: Message + fmt::Debug> fmt::Debug for Packed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    #[test]
    fn what_is_packed_comes_out_again() {
        let status = v1::TaskStatus {
            state: v1::TaskState::TaskRunning.into(),
            message: Some("text".to_owned()),
            uuid: Some(vec![0, 255]),
            ..Default::default()
        };
        let packed = Packed::new(&status);
        assert_eq!(packed.unpack(), status);
        assert_eq!(packed.clone(), packed);
        assert_ne!(packed, Packed::new(&v1::TaskStatus::default()));
    }

    #[test]
    fn one_number_is_read_without_the_rest() {
        let status = |timestamp| v1::TaskStatus {
            state: v1::TaskState::TaskRunning.into(),
            message: Some("text".to_owned()),
            timestamp,
            uuid: Some(vec![0, 255]),
            ..Default::default()
        };
        assert_eq!(Packed::new(&status(Some(1.5))).double(6), Some(1.5));
        assert_eq!(Packed::new(&status(None)).double(6), None);
        assert_eq!(Packed::new(&status(Some(1.5))).double(3), None, "no double");
    }

    #[test]
    fn entries_of_maps_keep_required_fields() {
        let unbounded = v1::value::Scalar { value: 0.0 };
        let task = v1::Task {
            limits: [("mem".to_owned(), unbounded)].into(),
            ..Default::default()
        };
        assert_eq!(Packed::new(&task).unpack(), task);
    }
}
