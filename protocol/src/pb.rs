//! Carries a protobuf message inside a serde message as one byte string.
//! Used by the agent link, where the inner messages are the v1 API's own.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::schema::Message;
use crate::wire;

/// A protobuf message that serialises to its protobuf bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pb<M>(pub M);

impl<M> Deref for Pb<M> {
    type Target = M;
    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M> DerefMut for Pb<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.0
    }
}

impl<M> From<M> for Pb<M> {
    fn from(message: M) -> Self {
        Pb(message)
    }
}

impl<M: Message> Serialize for Pb<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&wire::encode(&self.0))
    }
}

impl<'de, M: prost::Message + Default> Deserialize<'de> for Pb<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        M::decode(bytes.as_slice())
            .map(Pb)
            .map_err(de::Error::custom)
    }
}
