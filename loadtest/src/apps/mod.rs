//! An operator's end of an app manager: changes of apps and groups, reads, ends of deployments.
//! Measures nothing.

pub mod api;
pub mod deployments;
mod stream;

pub use api::Api;
pub use deployments::Deployments;
