//! What of a task's URIs is fetched from where, where it goes, and what is kept in the cache.
//! Fetches nothing: the agent's skin and `tepui-fetcher` do.

pub mod cache;
pub mod plan;
