//! The shapes everyone speaks and their codecs.
//! No behaviour lives here: what a message means is decided in `tepui-core`.

/// The Mesos v1 API, generated from the files in `proto/`.
#[allow(missing_docs, clippy::all, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/v1_modules.rs"));
}

pub use generated::google::protobuf::Duration;
pub use generated::mesos::v1;
pub use prost;

pub mod checkpoint;
pub mod fetch;
pub mod journal;
pub mod json;
pub mod link;
pub mod marathon;
pub mod media;
pub mod packed;
pub mod pb;
pub mod recordio;
pub mod registry;
pub mod schema;
pub mod wire;
